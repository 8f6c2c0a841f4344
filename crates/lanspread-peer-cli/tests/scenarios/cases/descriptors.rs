//! File descriptors run out: which peers take them, and how a peer behaves without any.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanspread_api::{ErrorCode, Event};
use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent};
use lanspread_types::message::{Request, RequestId};
use lanspread_types::{ContentId, GameId, PeerId, PeerName};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::flow::MIB;
use super::hostile::{fetch, median};
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S75",
    title: "descriptors run out",
    claim: "A stranger cannot take the file descriptors of a peer, and a peer that has none left keeps its library and tells its owner",
    setup: "seed with 64 MiB and a limit of 256 open files; client is connected. A stranger opens 400 data connections with one key and leaves them idle, then 300 more with a key each. When they are gone the limit is set to what is open just then, and a game is added",
    expected: "of one key at most 4 data connections stay; client fetches the game meanwhile, byte-equal, in at most twice the peaceful time; the seed keeps more than 64 descriptors free and never says `library-unreadable`. With the limit at what is open it says `library-unreadable` with `out-of-files`, which stands in its status, and nobody sees a game withdrawn; with the limit raised again the fault goes from the status and the new game is offered",
    sabotages: &[
        Sabotage::new("keep-every-link", &["of one key only a few data connections stay"]),
        Sabotage::new("forget-the-reserve", &["descriptors are taken while"]),
        Sabotage::new("unreadable-is-empty", &["the seed gave up its library because it had no files left"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(descriptors_run_out),
}];

const SIZE: u64 = 64 * MIB;
/// The seed's limit of open files.
const LIMIT: usize = 256;
const LINKS_OF_ONE_KEY: usize = 400;
/// Bound from the claim.
const LINKS_KEPT_MAX: usize = 4;
const KEYS: usize = 300;
/// Descriptors that must stay free for the library.
const FREE_MIN: usize = 64;

fn descriptors_run_out(lab: &Lab) -> Outcome {
    // The stranger's connections take descriptors of this process, too.
    lanspread_net::raise_file_limit();
    let seed = lab.peer("seed")?.game(&Game::blob("ggoo", 75, SIZE))?.start()?;
    set_limit(&seed, LIMIT)?;
    let client = lab.peer("client")?.start()?;
    seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    let open_idle = open_files(&seed)?.len();
    let mut peaceful = (0..3).map(|_| fetch(&client, &seed)).collect::<Outcome<Vec<_>>>()?;
    let (since, open_before) = (seed.mark(), open_files(&seed)?.len());

    let attack = Attack::start(&seed)?;
    attack.one_key(LINKS_OF_ONE_KEY)?;
    let kept = eventually("of one key only a few data connections stay", || {
        let kept = open_files(&seed)?.len().saturating_sub(open_before);
        Ok(if kept <= LINKS_KEPT_MAX { Ok(kept) } else { Err(format!("{kept} stay")) })
    })?;
    let mut attacked = (0..3).map(|_| fetch(&client, &seed)).collect::<Outcome<Vec<_>>>()?;
    let (peace, attacked) = (median(&mut peaceful), median(&mut attacked));
    require!(
        attacked <= peace * 2,
        "64 MiB took {attacked:?} beside idle connections and {peace:?} in peace"
    );
    let (let_in, open_most) = attack.many_keys(&seed, KEYS)?;
    require!(
        open_most + FREE_MIN <= LIMIT,
        "{open_most} of {LIMIT} descriptors are taken while {let_in} keys are let in"
    );
    require_readable(&seed, since)?;
    drop(attack);
    // A scan of the library closes the files that were read.
    Game::blob("early", 77, 1000).write(&seed.games_dir())?;
    client.await_offered("early", 1)?;
    // Connections are accepted in order, so once this one is accepted none of the stranger's is left.
    let last = lab.peer("last")?.start()?;
    last.connect(&seed)?;
    last.shut_down()?;
    let open_after = eventually("only the client's data connection is left", || {
        let (open, peers) = (open_files(&seed)?.len(), seed.peers()?.len());
        let closed = open <= open_idle + 1 && peers == 1;
        Ok(if closed {
            Ok(open)
        } else {
            Err(format!("{open} are open, {open_idle} at first; {peers} peers"))
        })
    })?;
    require_readable(&seed, since)?;

    let lost = |event: &Event| match event {
        Event::LocalLibraryChanged { games, .. } => !games.iter().any(|game| game == "ggoo"),
        _ => false,
    };
    // From now on the seed cannot open another file.
    let taken = open_files(&seed)?;
    let first_free = (0..).find(|fd| !taken.contains(fd)).unwrap_or_default();
    set_limit(&seed, first_free)?;
    let (since, client_since) = (seed.mark(), client.mark());
    Game::blob("late", 76, 1000).write(&seed.games_dir())?;
    let (_, told) = seed.await_event(since, "library-unreadable with out-of-files", |event| match event {
        Event::LibraryUnreadable(fault) if fault.code == ErrorCode::OutOfFiles => Some(true),
        event => lost(event).then_some(false),
    })?;
    require!(told, "the seed gave up its library because it had no files left");
    let fault = seed.status()?.library_fault;
    require!(
        fault.as_ref().is_some_and(|fault| fault.code == ErrorCode::OutOfFiles),
        "the seed's status does not tell that it has no files left: {fault:?}"
    );
    require_offered(&client, &seed)?;
    set_limit(&seed, LIMIT)?;
    eventually("the seed can read its library again", || {
        Ok(match seed.status()?.library_fault {
            None => Ok(()),
            Some(fault) => Err(fault.reason),
        })
    })?;
    client.await_offered("late", 1)?;
    require_offered(&client, &seed)?;
    let shrunk = |event: &Event| matches!(event, Event::RemoteLibraryChanged { game_count: 0, .. });
    client.require_none(client_since, "that the seed's library is empty", shrunk)?;
    seed.require_none(since, "that it no longer shares its game", lost)?;
    figures::note(
        "S75",
        format!(
            "64 MiB in {} ms in peace, in {} ms under attack; of {LINKS_OF_ONE_KEY} idle data connections of one key {kept} stayed; of {KEYS} keys {let_in} were let in; the seed had \
             {open_before} files open before, {open_most} of {LIMIT} at the most, {open_after} after",
            peace.as_millis(),
            attacked.as_millis()
        ),
    );
    Ok(())
}

/// Requires that the client sees the game and the seed has it.
fn require_offered(client: &Peer, seed: &Peer) -> Outcome {
    let seen = client.game("ggoo")?.is_some_and(|game| game.peer_count == 1);
    require!(seen, "the client no longer sees the seed's game");
    let served = seed.game("ggoo")?.is_some_and(|game| game.downloaded);
    require!(served, "the seed no longer has its game");
    Ok(())
}

fn require_readable(seed: &Peer, since: crate::log::Mark) -> Outcome {
    let unreadable = |event: &Event| matches!(event, Event::LibraryUnreadable(_));
    seed.require_none(since, "that it cannot read its library", unreadable)?;
    let fault = seed.status()?.library_fault;
    require!(fault.is_none(), "the seed cannot read its library: {fault:?}");
    Ok(())
}

/// Returns the descriptors that the peer's process has open.
fn open_files(peer: &Peer) -> Outcome<Vec<usize>> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"))?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Sets the soft limit of open files of the peer's process. The hard limit stays, so that the soft one can be raised
/// again.
fn set_limit(peer: &Peer, files: usize) -> Outcome {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    let (process, limit) = (format!("--pid={process}"), format!("--nofile={files}:"));
    let told = std::process::Command::new("prlimit").args([process, limit]).output()?;
    require!(told.status.success(), "the limit cannot be set: {}", String::from_utf8_lossy(&told.stderr));
    peer.log().note(format!("may have {files} files open"));
    Ok(())
}

/// A machine with many keys, whose connections stay open until it is dropped.
struct Attack {
    victim: SocketAddr,
    victim_id: PeerId,
    kept: std::sync::Mutex<Vec<(Endpoint, mpsc::Receiver<NetEvent>)>>,
    runtime: tokio::runtime::Runtime,
}

impl Attack {
    fn start(seed: &Peer) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let victim_id = seed.id().parse().map_err(|_| Failure("the seed has no id".to_owned()))?;
        Ok(Self { victim: seed.addr()?, victim_id, kept: std::sync::Mutex::default(), runtime })
    }

    /// Opens data connections with one key and waits until each has carried a request.
    fn one_key(&self, links: usize) -> Outcome {
        let identity = Identity::generate()?;
        for _ in 0..links {
            let (endpoint, mut events) = self.endpoint(&identity)?;
            self.runtime.block_on(async {
                let (id, content) = (RequestId(1), ContentId([75; 32]));
                let request = Request::Manifest { id, game: GameId::new("ggoo")?, content };
                endpoint.request(self.victim_id, self.victim, request);
                // No peer has this content. Whether the request is refused or cut off, the connection was there.
                while let Ok(Some(event)) = timeout(PATIENCE, events.recv()).await {
                    if matches!(event, NetEvent::RequestFailed { .. }) {
                        return Ok(());
                    }
                }
                Err(Failure("a data connection of the stranger was not answered".to_owned()))
            })?;
            self.keep(endpoint, events);
        }
        Ok(())
    }

    /// Connects once with each of many keys. Returns how many were admitted, and the largest number of files that the
    /// victim had open.
    fn many_keys(&self, seed: &Peer, keys: usize) -> Outcome<(usize, usize)> {
        let (mut let_in, mut open_most) = (0, 0);
        for _ in 0..keys {
            let (endpoint, mut events) = self.endpoint(&Identity::generate()?)?;
            self.runtime.block_on(async {
                endpoint.dial(self.victim);
                while let Ok(Some(event)) = timeout(PATIENCE, events.recv()).await {
                    match event {
                        NetEvent::Connected { .. } => let_in += 1,
                        NetEvent::DialFailed { .. } => {}
                        _ => continue,
                    }
                    return;
                }
            });
            self.keep(endpoint, events);
            open_most = open_most.max(open_files(seed)?.len());
        }
        Ok((let_in, open_most))
    }

    fn endpoint(&self, identity: &Identity) -> Outcome<(Endpoint, mpsc::Receiver<NetEvent>)> {
        let (net, events) = mpsc::channel(64);
        let (data, _) = mpsc::channel(1);
        let config = EndpointConfig {
            identity: identity.clone(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 75)), 0),
            port_fallback: false,
            name: PeerName::new("mallory")?,
            program: String::new(),
            party: None,
        };
        Ok((self.runtime.block_on(Endpoint::bind(config, net, data))?, events))
    }

    fn keep(&self, endpoint: Endpoint, events: mpsc::Receiver<NetEvent>) {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((endpoint, events));
    }
}

/// Longest time for one of the stranger's connections.
const PATIENCE: Duration = Duration::from_secs(20);
