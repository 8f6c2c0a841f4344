//! Memory of a serving peer in a full room: two hundred connected peers with chunks on the way, or with full
//! libraries.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent, Payload};
use lanspread_types::limits::{
    CHUNK_BYTES_MIN, GAMES_PER_LIBRARY_MESSAGE_MAX, GAMES_PER_PEER_MAX, REQUESTS_PER_SOURCE_MAX,
};
use lanspread_types::message::{ChunkRequest, GameOffer, LibraryUpdate, Message, Request, RequestId};
use lanspread_types::{ChunkIndex, ConnId, ContentId, GameId, GameVersion, PeerId, PeerName};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PEERS: usize = 200;
/// Requests of each peer: as many as may wait at one source.
const REQUESTS: u64 = REQUESTS_PER_SOURCE_MAX as u64;
/// The bound that docs/memory.md states for a serving peer with this room, in KiB.
const BOUND_KIB: u64 = 64 << 10;

#[test]
fn two_hundred_receivers_fit_into_64_mib() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::start(root.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let idle = server.memory_kib("VmRSS");
    runtime.block_on(async {
        let mut guests = Vec::new();
        for _ in 0..PEERS {
            guests.push(Guest::connect(server.addr, server.peer).await);
        }
        let connected = server.memory_kib("VmRSS");
        for guest in &guests {
            guest.ask();
        }
        for guest in &mut guests {
            guest.take_all().await;
        }
        let peak = server.memory_kib("VmHWM");
        println!(
            "idle {idle} KiB, {PEERS} connected {connected} KiB, at most {peak} KiB while serving them all"
        );
        assert!(peak < BOUND_KIB, "{peak} KiB");
    });
    server.stop();
}

/// Bound with 200 identities that share no game and announce as many as the protocol allows, in KiB.
const OFFERS_BOUND_KIB: u64 = 64 << 10;

#[test]
fn two_hundred_full_libraries_fit_into_64_mib() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::start(root.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let idle = server.memory_kib("VmRSS");
    runtime.block_on(async {
        let mut guests = Vec::new();
        for n in 0..PEERS {
            let guest = Guest::connect(server.addr, server.peer).await;
            guest.announce(n);
            guests.push(guest);
        }
        for guest in &mut guests {
            guest.await_answer().await;
        }
        let (after, peak) = (server.memory_kib("VmRSS"), server.memory_kib("VmHWM"));
        println!("idle {idle} KiB, {PEERS} x {GAMES_PER_PEER_MAX} games {after} KiB, at most {peak} KiB");
        assert!(peak < OFFERS_BOUND_KIB, "{peak} KiB");
    });
    server.stop();
}

/// A real peer with one game of 64 MiB.
struct Server {
    process: Child,
    peer: PeerId,
    addr: SocketAddr,
}

impl Server {
    fn start(root: &Path) -> Self {
        let game = root.join("games/big");
        fs::create_dir_all(&game).unwrap();
        fs::write(game.join("big.eti"), vec![7; 64 << 20]).unwrap();
        fs::write(game.join("version.ini"), "20250101").unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_lanspread-peer-cli"))
            .args(["--listen", "127.0.0.1:0", "--games-dir"])
            .arg(root.join("games"))
            .arg("--state-dir")
            .arg(root.join("state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut wait_for = |event: &str, enough: &dyn Fn(&Value) -> bool| loop {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if line["event"] == event && enough(&line) {
                return line;
            }
        };
        let ready = wait_for("local-peer-ready", &|_| true);
        wait_for("local-library-changed", &|line| {
            line["games"].as_array().is_some_and(|games| games.len() == 1)
        });
        // The rest of the output is read so that a full pipe never blocks the peer.
        std::thread::spawn(move || lines.for_each(drop));
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self { process, peer: text("peer_id").parse().unwrap(), addr: text("addr").parse().unwrap() }
    }

    fn memory_kib(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    }

    fn stop(&mut self) {
        self.process.stdin.take().unwrap().write_all(b"{\"cmd\":\"shutdown\"}\n").unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a successful test the process has already ended.
        let _ = self.process.kill();
    }
}

/// Another peer, as the server sees it.
struct Guest {
    endpoint: Endpoint,
    server: PeerId,
    addr: SocketAddr,
    conn: ConnId,
    content: ContentId,
    events: mpsc::Receiver<NetEvent>,
    payloads: mpsc::Receiver<Payload>,
}

impl Guest {
    async fn connect(addr: SocketAddr, server: PeerId) -> Self {
        let (net, mut events) = mpsc::channel(64);
        let (data, payloads) = mpsc::channel(64);
        let config = EndpointConfig {
            identity: Identity::generate().unwrap(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            port_fallback: false,
            name: PeerName::new("guest").unwrap(),
            program: "test".to_owned(),
            party: None,
        };
        let endpoint = Endpoint::bind(config, net, data).await.unwrap();
        endpoint.dial(addr);
        let mut connected = None;
        let (conn, content) = loop {
            match timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap() {
                NetEvent::Connected { conn, .. } => connected = Some(conn),
                NetEvent::Message { message: Message::Library(library), .. } if !library.games.is_empty() => {
                    break (connected.unwrap(), library.games[0].content);
                }
                NetEvent::DialFailed { failure, .. } => panic!("{failure}"),
                _ => {}
            }
        };
        Self { endpoint, server, addr, conn, content, events, payloads }
    }

    /// Announces as many games as the protocol allows, with the longest possible names, that no other peer has.
    fn announce(&self, guest: usize) {
        let offer = |n: usize| GameOffer {
            game: GameId::new(format!("{guest:03}-{n:060}")).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([guest as u8; 32]),
            bytes: 1,
            files: 1,
        };
        let games: Vec<GameOffer> = (0..GAMES_PER_PEER_MAX).map(offer).collect();
        let parts = games.chunks(GAMES_PER_LIBRARY_MESSAGE_MAX);
        let last = parts.len() - 1;
        for (at, part) in parts.enumerate() {
            let (more, games) = (at < last, part.to_vec());
            let update = LibraryUpdate { revision: 1, base: 0, more, games, removed: Vec::new() };
            self.endpoint.send(self.conn, &Message::Library(update));
        }
        // The answer to this ping comes once the server has handled the whole library.
        self.endpoint.send(self.conn, &Message::Ping { nonce: 1 });
    }

    async fn await_answer(&mut self) {
        loop {
            match timeout(Duration::from_secs(60), self.events.recv()).await.unwrap().unwrap() {
                NetEvent::Message { message: Message::Pong { .. }, .. } => return,
                NetEvent::Closed { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    fn ask(&self) {
        for id in 0..REQUESTS {
            let request = ChunkRequest {
                id: RequestId(id),
                game: GameId::new("big").unwrap(),
                content: self.content,
                chunk: ChunkIndex(id as u32),
            };
            self.endpoint.request(self.server, self.addr, Request::Chunk(request));
        }
    }

    /// Waits until every request has ended: with its chunk, or with a refusal because the server is crowded.
    async fn take_all(&mut self) {
        let mut ended = 0;
        while ended < REQUESTS {
            tokio::select! {
                Some(payload) = self.payloads.recv() => {
                    assert_eq!(payload.bytes.len() as u64, CHUNK_BYTES_MIN);
                    ended += 1;
                }
                Some(event) = self.events.recv() => {
                    ended += u64::from(matches!(event, NetEvent::RequestFailed { .. }));
                }
                () = tokio::time::sleep(Duration::from_secs(60)) => panic!("{ended} of {REQUESTS} requests ended"),
            }
        }
    }
}
