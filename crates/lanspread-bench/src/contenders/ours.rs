//! lanspread as a contender: starts our peers, connects them, and reads the figures from their events.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde_json::{Value, json};

use crate::contenders::contender::{Click, Contender, Party, Room, Sent};
use crate::contenders::peer::Peer;
use crate::game::{ARCHIVE, GAME_ID, flip_in_place};
use crate::process::Process;

const AN_HOUR: Duration = Duration::from_secs(3600);

/// One build of our peer.
#[derive(Debug)]
pub struct Lanspread {
    /// Name in tables and records.
    pub name: &'static str,
    /// Path of `lanspread-peer-cli`.
    pub program: PathBuf,
    /// What a receiver's click asks for.
    pub click: Click,
}

impl Contender for Lanspread {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Starts all peers. When it returns, the seed has hashed the game, every pair is connected, and each receiver
    /// knows the sources.
    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let seed = self.start_seed(room)?;
        let liar = room.liar_host().map(|host| self.start_liar(room, host)).transpose()?;
        let sources = 1 + u64::from(liar.is_some());
        let mut peers = vec![seed];
        for receiver in 0..room.receivers {
            let folder = room.scratch.fresh(&format!("receiver{receiver}"))?;
            std::fs::create_dir_all(folder.join("games"))?;
            let host = &room.lab.hosts[room.host_of(receiver)];
            peers.push(Peer::start(&self.program, host, &format!("receiver{receiver}"), &folder)?);
        }
        peers.extend(liar);
        connect_all(&mut peers)?;
        for peer in &mut peers[1..=room.receivers] {
            peer.wait_game("Remote", sources)?;
        }
        Ok(Box::new(OurParty { peers, receivers: room.receivers, click: self.click }))
    }
}

impl Lanspread {
    fn start_seed(&self, room: &Room<'_>) -> Result<Peer> {
        let folder = room.scratch.fresh("seed")?;
        room.game.place(&folder.join("games"))?;
        let mut seed = Peer::start(&self.program, &room.lab.hosts[Room::SEED], "seed", &folder)?;
        seed.wait_game("Ready", 0)?;
        Ok(seed)
    }

    /// Starts a peer that hashed good bytes before they were flipped, so that it offers them as good.
    fn start_liar(&self, room: &Room<'_>, host: usize) -> Result<Peer> {
        let folder = room.scratch.fresh("liar")?;
        room.game.place(&folder.join("games"))?;
        let archive = folder.join("games").join(GAME_ID).join(ARCHIVE);
        // A copy of its own, made before it is hashed: the index identifies a file by more than its name.
        let copy = archive.with_extension("own");
        std::fs::copy(&room.game.archive, &copy)?;
        std::fs::rename(&copy, &archive)?;
        // Old enough for the index to trust that a later change would show.
        File::options().write(true).open(&archive)?.set_modified(SystemTime::now() - AN_HOUR)?;
        let host = &room.lab.hosts[host];
        let mut honest = Peer::start(&self.program, host, "liar", &folder)?;
        honest.wait_game("Ready", 0)?;
        honest.shut_down()?;
        flip_in_place(&archive)?;
        let mut liar = Peer::start(&self.program, host, "liar", &folder)?;
        liar.wait_game("Ready", 0)?;
        Ok(liar)
    }
}

/// Connects every pair of peers and waits until each peer counts all others.
pub fn connect_all(peers: &mut [Peer]) -> Result<()> {
    for i in 1..peers.len() {
        let (known, rest) = peers.split_at_mut(i);
        for other in known {
            rest[0].connect(other.addr())?;
        }
    }
    let others = peers.len() - 1;
    peers.iter_mut().try_for_each(|peer| peer.wait_peers(others))
}

/// Seed, receivers, then the liar if the room has one.
struct OurParty {
    peers: Vec<Peer>,
    receivers: usize,
    click: Click,
}

impl OurParty {
    fn receivers(&self) -> &[Peer] {
        &self.peers[1..=self.receivers]
    }
}

impl Party for OurParty {
    fn start(&mut self, receiver: usize) -> Result<()> {
        let peer = &mut self.peers[receiver + 1];
        match self.click {
            Click::Download => peer.download(),
            Click::Install => peer.download_and_install(),
        }
    }

    fn installs(&self) -> bool {
        self.click == Click::Install
    }

    fn playable_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        let peer = &mut self.peers[receiver + 1];
        peer.listen()?;
        Ok(peer.installed)
    }

    fn installed(&self, receiver: usize) -> Option<PathBuf> {
        self.installs().then(|| self.peers[receiver + 1].game_folder().join("local"))
    }

    fn sent(&mut self) -> Result<Vec<Option<Sent>>> {
        self.peers
            .iter_mut()
            .map(|peer| if peer.process.ended()?.is_some() { Ok(None) } else { peer.sent() })
            .collect()
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        let peer = &mut self.peers[receiver + 1];
        peer.listen()?;
        Ok(peer.finished)
    }

    fn kill(&mut self, receiver: usize) {
        self.peers[receiver + 1].process.kill();
    }

    fn output(&self, receiver: usize) -> PathBuf {
        self.peers[receiver + 1].archive()
    }

    fn received_bytes(&mut self, receiver: usize) -> u64 {
        self.peers[receiver + 1].received_bytes()
    }

    fn processes(&self) -> Vec<&Process> {
        self.peers.iter().map(|peer| &peer.process).collect()
    }

    fn stated_seed_bytes(&self) -> Option<u64> {
        let seed = &self.peers[0].id;
        let sources = self.receivers().iter().flat_map(|peer| &peer.sources);
        Some(sources.filter(|source| source.peer_id == *seed).map(|source| source.bytes).sum())
    }

    fn remarks(&self, start: Instant) -> Vec<Value> {
        self.receivers().iter().map(|peer| timeline(peer, &self.peers[0].id, start)).collect()
    }
}

/// Times of one receiver in seconds from the start of the clock: first chunk, parts of all bytes, end. Also the
/// longest silence between two chunks, and the bytes from the seed.
fn timeline(peer: &Peer, seed: &str, start: Instant) -> Value {
    let seconds = |at: Instant| at.saturating_duration_since(start).as_secs_f64();
    let total = peer.received_bytes();
    let reached = |part: f64| {
        let mut sum = 0;
        let chunk = peer.chunks.iter().find(|chunk| {
            sum += chunk.bytes;
            sum as f64 >= part * total as f64
        });
        chunk.map(|chunk| seconds(chunk.at))
    };
    let silence = peer.chunks.windows(2).map(|pair| seconds(pair[1].at) - seconds(pair[0].at));
    let from_seed: u64 = peer.chunks.iter().filter(|c| c.from == seed).map(|c| c.bytes).sum();
    json!({
        "first_chunk_s": reached(0.0), "p10_s": reached(0.1), "p50_s": reached(0.5), "p90_s": reached(0.9),
        "p99_s": reached(0.99), "last_chunk_s": reached(1.0), "finished_s": peer.finished.map(seconds),
        "longest_silence_s": silence.fold(0.0, f64::max), "from_seed_bytes": from_seed,
        "downloaded_bytes": peer.sources.iter().map(|source| source.bytes).sum::<u64>(),
        "chunks": peer.chunks.len(), "sources": peer.sources.len(), "rejections": peer.rejections,
    })
}
