//! Hostile peers: what one machine on the network can do to a transfer between two other peers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lanspread_api::event::RefusalCode;
use lanspread_api::{Event, Request};
use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent};
use lanspread_types::message::{Message, Request as Asked, RequestId};
use lanspread_types::{ContentId, GameId, PeerId, PeerName};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::flow::{MIB, await_finished, require_committed_once};
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::unit;
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S56",
    title: "hostile peer",
    claim: "Garbage, oversized frames, slow drip and thousands of half-open connections do not hinder honest transfers, and memory stays bounded",
    setup: "seed with 64 MiB, client fetches it three times in peace, and at least three times while an attacker with a few addresses keeps thousands of half-open connections coming, sends garbage, drips bytes, and as a peer with a key asks twice under one number and floods its connection; oversized and unknown frames by a unit test, demanded by name",
    expected: "all downloads finish and are byte-equal, the slowest under attack in at most twice the time of the slowest in peace, or in 11 s if that is longer; more than 2000 hostile connections were made meanwhile; a third peer can still connect; the seed's memory grows by less than 64 MiB and its open sockets fall back; the attacker is told of by `peer-refused` with `protocol-error`, `not-a-peer` and `too-many-connections`, and in `status`; no connection has more than a few of its 2000 pings answered",
    sabotages: &[
        Sabotage::new("no-eviction", &["a third peer could not connect during the attack"]),
        Sabotage::new("forget-misbehaviour", &["seed prints peer-refused with"]),
        Sabotage::new("leak-refused-connections", &["the seed has closed what hostile connections took"]),
        Sabotage::new("hoard-refused-connections", &["the seed's memory grew from"]),
        Sabotage::new("take-every-ping", &["pings of one connection were answered"]),
        Sabotage::new("slow-under-attack", &["64 MiB took up to"]).at("seed"),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(hostile_peer),
}];

const SIZE: u64 = 64 * MIB;
/// Most that the seed's resident memory may grow under the attack.
const GROWTH_MAX: u64 = 64 * MIB;
const CONNECTIONS_WANTED: u64 = 2000;
/// A fetch under attack may take this long, however short one in peace is: twice the time of 64 MiB over a network of
/// 100 Mbit/s, the slowest at a LAN party. The attackers run on the same cores as the peers, so on a busy machine they
/// take more from a fetch than they could from another PC.
const ATTACKED_FLOOR: Duration = Duration::from_secs(11);
/// Most pings that may be answered on one connection. A peer that sends more than eight in a second is dropped. A
/// second in which the seed hardly runs may last longer.
const PINGS_ANSWERED_MAX: u64 = 100;
/// Files that honest peers may have opened meanwhile: the newcomer's connection and a data connection or two.
const OPEN_FILES_SLACK: usize = 8;

fn hostile_peer(lab: &Lab) -> Outcome {
    unit::require_ok(lab, "lanspread-net", "tests::control::a_breach_of_the_protocol_ends_the_connection")?;
    let seed = lab.peer("seed")?.game(&Game::blob("ggoo", 56, SIZE))?.start()?;
    let client = lab.peer("client")?.start()?;
    let served = seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    let mut peaceful = Duration::ZERO;
    for _ in 0..3 {
        peaceful = peaceful.max(fetch(&client, &seed)?);
    }
    let before = resident(&seed)?;
    require!(before > 0, "this system does not tell how much memory a process has");
    let open_before = open_files(&seed)?;

    let since = seed.mark();
    let attack =
        Attack::start(seed.addr()?, parsed(&seed.id())?, parsed(served.content_id.as_deref().unwrap_or(""))?);
    attack.wait_for(200)?;
    let mut under_attack = Vec::new();
    let mut peak = resident(&seed)?;
    // Until there were enough hostile connections, whatever the speed of this machine.
    while under_attack.len() < 3 || attack.made() < CONNECTIONS_WANTED {
        under_attack.push(fetch(&client, &seed)?);
        peak = peak.max(resident(&seed)?);
        require!(under_attack.len() < 100, "only {} hostile connections were made", attack.made());
    }
    let newcomer = lab.peer("newcomer")?.start()?;
    let entered = newcomer.connect(&seed);
    entered.map_err(|Failure(why)| {
        Failure(format!("a third peer could not connect during the attack: {why}"))
    })?;
    newcomer.await_offered("ggoo", 1)?;
    let made = attack.made();
    for code in [RefusalCode::ProtocolError, RefusalCode::NotAPeer, RefusalCode::TooManyConnections] {
        let told = |event: &Event| match event {
            Event::PeerRefused { code: found, reason, .. } if *found == code => Some(reason.clone()),
            _ => None,
        };
        let (_, reason) = seed.await_event(since, &format!("peer-refused with {code:?}"), told)?;
        require!(!reason.is_empty(), "{code:?} has no reason");
        let listed = seed.status()?.refused.iter().any(|r| r.code == code && r.count > 0);
        require!(listed, "{code:?} is not in the seed's status");
    }
    let answered = attack.stop()?;
    require!(
        answered > 0 && answered <= PINGS_ANSWERED_MAX,
        "{answered} pings of one connection were answered"
    );
    let open_after = eventually("the seed has closed what hostile connections took", || {
        let open = open_files(&seed)?;
        Ok(if open <= open_before + OPEN_FILES_SLACK { Ok(open) } else { Err(format!("{open} open files")) })
    })?;
    let after = resident(&seed)?;
    require!(
        peak.max(after) < before + GROWTH_MAX,
        "the seed's memory grew from {before} to {peak}, and was {after} at the end"
    );
    let slowest = under_attack.iter().max().copied().unwrap_or_default();
    let median = median(&mut under_attack);
    figures::note(
        "S56",
        format!(
            "{} MiB in {} ms in peace (slowest of 3); with {made} hostile connections meanwhile {} ms (median of {}), {} ms (slowest); \
             the seed's memory {} MiB before, {} MiB at the peak, {} MiB after; its open files {open_before} before, \
             {open_after} after",
            SIZE / MIB,
            peaceful.as_millis(),
            median.as_millis(),
            under_attack.len(),
            slowest.as_millis(),
            before / MIB,
            peak / MIB,
            after / MIB
        ),
    );
    require!(
        slowest <= (2 * peaceful).max(ATTACKED_FLOOR),
        "64 MiB took up to {} ms under attack and {} ms in peace",
        slowest.as_millis(),
        peaceful.as_millis()
    );
    Ok(())
}

/// Returns the number of files and sockets that the peer's process has open.
fn open_files(peer: &Peer) -> Outcome<usize> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// Downloads the game, compares it, and removes it again. Returns the time of the download.
pub fn fetch(client: &Peer, seed: &Peer) -> Outcome<Duration> {
    let (since, began) = (client.mark(), Instant::now());
    client.download("ggoo", false)?;
    await_finished(client, since, "ggoo")?;
    let took = began.elapsed();
    require_committed_once(client, since, "ggoo")?;
    let theirs = Manifest::root_files(&seed.game_dir("ggoo"))?;
    Manifest::root_files(&client.game_dir("ggoo"))?.require_equal(&theirs, "what the client has")?;
    client.ask(&Request::RemoveDownload { game_id: GameId::new("ggoo")? })?;
    client.await_event(since, "the removal", |event| {
        matches!(event, Event::RemoveFinished { .. }).then_some(())
    })?;
    Ok(took)
}

pub fn median(all: &mut [Duration]) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Returns the resident memory of the peer's process in bytes, or 0 if the system does not tell.
pub fn resident(peer: &Peer) -> Outcome<u64> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    Ok(kib << 10)
}

pub fn parsed<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| Failure(format!("{text:?} is no id")))
}

/// Several attacks at the same time, until they are stopped.
struct Attack {
    course: Arc<Course>,
    threads: Vec<JoinHandle<()>>,
}

/// State of an attack.
#[derive(Default)]
struct Course {
    over: AtomicBool,
    /// Number of connections and requests.
    made: AtomicU64,
    /// Answered pings on the connection with most answers.
    answered: AtomicU64,
}

impl Course {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }
}

impl Attack {
    fn start(seed: SocketAddr, id: PeerId, content: ContentId) -> Self {
        let mut attack = Self { course: Arc::default(), threads: Vec::new() };
        attack.spawn(move |course| half_open(seed, course));
        attack.spawn(move |course| garbage(seed, course));
        attack.spawn(move |course| drip(seed, course));
        attack.spawn(move |course| bad_peer(seed, id, content, course));
        attack
    }

    fn spawn(&mut self, nuisance: impl Fn(&Course) + Send + 'static) {
        let course = Arc::clone(&self.course);
        self.threads.push(std::thread::spawn(move || nuisance(&course)));
    }

    fn made(&self) -> u64 {
        self.course.made.load(Ordering::Relaxed)
    }

    /// Waits until this many connections were made.
    fn wait_for(&self, connections: u64) -> Outcome {
        eventually("the attack is under way", || {
            let made = self.made();
            Ok(if made >= connections { Ok(()) } else { Err(format!("{made} connections")) })
        })
    }

    /// Ends the attack and returns the answered pings on the connection with most answers.
    fn stop(self) -> Outcome<u64> {
        self.course.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| Failure("a part of the attack panicked".to_owned()))?;
        }
        Ok(self.course.answered.load(Ordering::Relaxed))
    }
}

fn connect(seed: SocketAddr, course: &Course) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&seed, Duration::from_secs(2)).ok()?;
    course.count();
    let patience = Some(Duration::from_millis(200));
    stream.set_read_timeout(patience).ok()?;
    stream.set_write_timeout(patience).ok()?;
    Some(stream)
}

/// Opens connections that send nothing, and keeps a few hundred at a time.
fn half_open(seed: SocketAddr, course: &Course) {
    let mut kept = std::collections::VecDeque::new();
    while !course.is_over() {
        kept.extend(connect(seed, course));
        if kept.len() > 300 {
            kept.pop_front();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends bytes that no peer sends.
fn garbage(seed: SocketAddr, course: &Course) {
    let talks: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0; 4096], &[0xff; 70_000], &[0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff]];
    for talk in talks.iter().cycle() {
        if course.is_over() {
            return;
        }
        if let Some(mut stream) = connect(seed, course) {
            // The seed may close the connection before it has read everything.
            let _ = stream.write_all(talk);
            let _ = stream.read(&mut [0; 64]);
        }
    }
}

/// Sends the beginning of a TLS handshake byte by byte.
fn drip(seed: SocketAddr, course: &Course) {
    while !course.is_over() {
        let Some(mut stream) = connect(seed, course) else { continue };
        for byte in [0x16u8, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().cycle().take(50) {
            if course.is_over() || stream.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A peer with a key that completes the handshake and then breaks every rule.
fn bad_peer(seed: SocketAddr, id: PeerId, content: ContentId, course: &Course) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        while !course.is_over() {
            // Whatever the result, the next attempt uses a new key.
            let _ = timeout(Duration::from_secs(5), break_rules(seed, id, content, course)).await;
        }
    });
}

async fn break_rules(seed: SocketAddr, id: PeerId, content: ContentId, course: &Course) -> Outcome {
    let (net, mut events) = mpsc::channel(256);
    let (data, _payloads) = mpsc::channel(4);
    let config = EndpointConfig {
        identity: Identity::generate()?,
        // Not the address of the half-open connections: these evict each other and would evict this one, too.
        listen: SocketAddr::from(([127, 0, 0, 66], 0)),
        port_fallback: false,
        name: PeerName::new("mallory")?,
        program: String::new(),
        party: None,
    };
    let endpoint = Endpoint::bind(config, net, data).await?;
    endpoint.dial(seed);
    course.count();
    let conn = loop {
        match events.recv().await {
            Some(NetEvent::Connected { conn, .. }) => break conn,
            Some(NetEvent::DialFailed { .. }) => fail!("the seed does not let it in"),
            Some(_) => {}
            None => fail!("the endpoint ended"),
        }
    };
    // Two requests with the same id, which no honest peer sends.
    let game = GameId::new("ggoo")?;
    for _ in 0..2 {
        course.count();
        endpoint.request(id, seed, Asked::Manifest { id: RequestId(1), game: game.clone(), content });
    }
    // Many more pings than an honest peer sends.
    for nonce in 0..2000 {
        endpoint.send(conn, &Message::Ping { nonce });
    }
    let mut pongs = 0;
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Message { message: Message::Pong { .. }, .. } => {
                pongs += 1;
                course.answered.fetch_max(pongs, Ordering::Relaxed);
            }
            NetEvent::Closed { .. } => break,
            _ => {}
        }
    }
    Ok(())
}
