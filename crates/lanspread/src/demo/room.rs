//! The demo's room: four peers in one process, each with its own folders and its own port on 127.0.0.1.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog::Catalog;
use lanspread_peer::command::{Command, RateLimits, Reply};
use lanspread_peer::snapshot::GameSnapshot;
use lanspread_peer::{PeerConfig, RunningPeer};
use lanspread_types::{GameId, PeerName};
use tokio::time::{Instant, timeout};

use super::internal;
use super::library::{self, DemoGame};

/// Longest wait for the room's games; nothing in the demo takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time between two looks at the state if no event arrives.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Longest time for the peers to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Peers that have games, with the numbers of their games.
const HOSTS: [(&str, &[usize]); 3] = [("ada", &[0, 1, 4]), ("bela", &[0, 2, 4]), ("caro", &[2, 3, 4])];
/// The peer that has no games yet.
const GUEST: &str = "dora";

/// One of the four peers.
#[derive(Debug)]
pub struct Member {
    /// Name that the other peers see.
    pub name: &'static str,
    /// The peer's library.
    pub games_dir: PathBuf,
    /// The peer itself, and its events.
    pub peer: RunningPeer,
}

/// The four peers and the games of the demo.
#[derive(Debug)]
pub struct Room {
    /// Peers that have games.
    pub hosts: Vec<Member>,
    /// The peer that downloads.
    pub guest: Member,
    /// All games of the room; the first one is downloaded.
    pub games: Vec<DemoGame>,
}

/// Returns the room's games: a large one that two hosts have, and some small ones.
pub fn games(large_bytes: u64) -> Result<Vec<DemoGame>, ErrorBody> {
    let all = [
        ("sky-harbour", "Sky Harbour", large_bytes),
        ("tin-soldiers", "Tin Soldiers", 3 << 20),
        ("night-ferry", "Night Ferry", 2 << 20),
        ("moss-racer", "Moss Racer", 5 << 20),
        ("paper-planes", "Paper Planes", 700 << 10),
    ];
    all.iter()
        .map(|(id, title, bytes)| DemoGame::new(id, title, *bytes))
        .collect::<Result<_, _>>()
        .map_err(internal)
}

/// Writes the hosts' games below `root`, and makes an empty library for the guest.
pub fn furnish(root: &Path, games: &[DemoGame]) -> Result<(), ErrorBody> {
    let mut first_copy: Vec<Option<PathBuf>> = vec![None; games.len()];
    for (host, has) in HOSTS {
        let dir = games_dir(root, host);
        for &number in has {
            match &first_copy[number] {
                Some(from) => library::copy(&games[number], from, &dir).map_err(internal)?,
                None => {
                    games[number].write(&dir).map_err(internal)?;
                    first_copy[number] = Some(dir.clone());
                }
            }
        }
    }
    std::fs::create_dir_all(games_dir(root, GUEST)).map_err(internal)
}

fn games_dir(root: &Path, name: &str) -> PathBuf {
    root.join(name).join("games")
}

impl Room {
    /// Starts the four peers. Nobody looks for others; [`Room::introduce`] connects them.
    pub async fn open(root: &Path, games: Vec<DemoGame>) -> Result<Self, ErrorBody> {
        let catalog = library::catalog(&games);
        let mut hosts = Vec::new();
        for (name, _) in HOSTS {
            hosts.push(start(root, name, &catalog).await?);
        }
        let guest = start(root, GUEST, &catalog).await?;
        Ok(Self { hosts, guest, games })
    }

    /// Connects the guest to each host.
    pub async fn introduce(&self) -> Result<(), ErrorBody> {
        for host in &self.hosts {
            let command = Command::Connect { addr: host.peer.addr };
            self.guest.peer.handle.command(command).await.map_err(internal)?;
        }
        Ok(())
    }

    /// Returns how many hosts have a game.
    fn copies(&self, number: usize) -> usize {
        HOSTS.iter().filter(|(_, has)| has.contains(&number)).count()
    }

    /// Waits until the guest sees every game at all hosts that have it.
    pub async fn see_games(&mut self) -> Result<Vec<GameSnapshot>, ErrorBody> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = list_games(&self.guest).await?;
            let is_seen = |(number, game): (usize, &DemoGame)| {
                seen.iter().any(|s| s.game == game.id && s.peer_count == self.copies(number))
            };
            if self.games.iter().enumerate().all(is_seen) {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                let missing = format!("{} did not see all games of the room in time: {seen:?}", GUEST);
                return Err(ErrorBody::new(ErrorCode::Internal, missing));
            }
            // Any event is a reason to look again.
            let _ = timeout(LOOK_AGAIN, self.guest.peer.events.next()).await;
        }
    }

    /// Returns one game as the guest sees it.
    pub async fn guests_view(&self, game: &GameId) -> Result<GameSnapshot, ErrorBody> {
        let seen = list_games(&self.guest).await?;
        seen.into_iter()
            .find(|s| s.game == *game)
            .ok_or_else(|| internal(format!("{game} is not listed any more")))
    }

    /// Stops all four peers.
    pub async fn close(self) {
        let members = self.hosts.into_iter().chain([self.guest]);
        let ending = members.map(|member| {
            tokio::spawn(async move {
                let _ = member.peer.handle.command(Command::Shutdown).await;
                member.peer.ended().await;
            })
        });
        for end in ending.collect::<Vec<_>>() {
            let _ = timeout(GOODBYE, end).await;
        }
    }
}

async fn start(root: &Path, name: &'static str, catalog: &Catalog) -> Result<Member, ErrorBody> {
    let games_dir = games_dir(root, name);
    let config = PeerConfig {
        find: lanspread_peer::Find::NOBODY,
        games_dir: games_dir.clone(),
        state_dir: root.join(name).join("state"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        port_fallback: false,
        name: Some(PeerName::new(name).map_err(internal)?),
        catalog: catalog.clone().into(),
        invited: None,
        accept_wants: false,
        private: BTreeSet::new(),
        party: None,
        limits: RateLimits::default(),
    };
    let peer = lanspread_peer::start(config).await.map_err(internal)?;
    Ok(Member { name, games_dir, peer })
}

async fn list_games(member: &Member) -> Result<Vec<GameSnapshot>, ErrorBody> {
    match member.peer.handle.command(Command::ListGames).await {
        Ok(Reply::Games(list)) => Ok(list.games),
        Ok(other) => Err(internal(format!("the list of games is {other:?}"))),
        Err(error) => Err(internal(error)),
    }
}
