//! Measures the cost of handling each kind of control message: the figures behind `lanspread_core::budget::cost`.
//!
//! `cargo run --release -p lanspread-sim --example message_costs` prints microseconds of the node's thread for each
//! kind, including decoding, with 200 peers connected, beside the price in units.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanspread_core::budget::cost;
use lanspread_core::catalog::Catalog;
use lanspread_core::command::RateLimits;
use lanspread_core::discovery::DiscoverySettings;
use lanspread_core::groups::Group;
use lanspread_core::io::{ConnId, Connected, Input, NetInput};
use lanspread_core::rules::OwnerPolicy;
use lanspread_core::swarm::Lines;
use lanspread_core::time::Time;
use lanspread_core::{Node, NodeConfig};
use lanspread_types::limits::{PEERS_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{
    DownloadState, GameOffer, HaveMap, Hello, Introduction, LibraryUpdate, Message, PeerState, Place,
    PlaceWanted,
};
use lanspread_types::{CatalogKey, ChunkIndex, ContentId, GameId, GameVersion, PeerId, PeerName};

const PEERS: u64 = 200;
/// Messages of each kind, spread over the peers and over time so that no rate limit is reached.
const TIMES: u64 = 2000;

fn main() -> anyhow::Result<()> {
    let content = ContentId([7; 32]);
    let game = |n: u64| GameId::new(format!("some-game-{n:04}"));
    let version = GameVersion::new(20_250_101)?;
    let offer = |n: u64, round: u64| -> anyhow::Result<GameOffer> {
        Ok(GameOffer { game: game(n)?, version, content, bytes: round, files: 1 })
    };
    let download = DownloadState {
        game: game(1)?,
        version,
        content,
        done_bytes: 1,
        total_bytes: 2,
        bytes_per_second: 3,
    };
    let introduction = |n: u64| Introduction { peer: peer_id(1000 + n), addr: addr_of(1000 + n) };
    let part = |bytes| HaveMap::Part { content, first: ChunkIndex(0), bits: vec![0xff; bytes] };
    let library = |round: u64, games: u64| -> anyhow::Result<Message> {
        let games = (0..games).map(|n| offer(n, round)).collect::<Result<_, _>>()?;
        Ok(Message::Library(LibraryUpdate {
            revision: round + 1,
            base: 0,
            more: false,
            games,
            removed: vec![],
        }))
    };
    let mut measured: Vec<(&str, Vec<Message>)> = Vec::new();
    let rounds =
        |make: &dyn Fn(u64) -> anyhow::Result<Message>| (0..TIMES).map(make).collect::<Result<Vec<_>, _>>();
    measured.push(("library, 1 game", rounds(&|round| library(round, 1))?));
    measured.push(("library, 256 games", rounds(&|round| library(round, 256))?));
    let mut fixed = |name, message: Message| measured.push((name, vec![message; TIMES as usize]));
    fixed("interested", Message::Interested { game: game(1)?, content });
    fixed("not interested", Message::NotInterested { content });
    fixed("have map, all", Message::HaveMap(HaveMap::All { content }));
    fixed("have map, 32 KiB", Message::HaveMap(part(32 << 10)));
    fixed("have, 1 chunk", Message::Have { content, chunks: vec![ChunkIndex(1)] });
    fixed("have, 8192 chunks", Message::Have { content, chunks: (0..8192).map(ChunkIndex).collect() });
    fixed("place", Message::Place(Place { content, upstreams: vec![PeerId([1; 32]); 3], ask: None }));
    fixed("introduce, 64 peers", Message::Introduce { peers: (0..64).map(introduction).collect() });
    fixed("catalogue offer", Message::CatalogOffer { key: CatalogKey([1; 32]), serial: 1, bytes: 1 });
    fixed("catalogue wanted", Message::CatalogWanted { key: CatalogKey([1; 32]), serial: 1, offset: 0 });
    fixed("catalogue part, 32 KiB", Message::CatalogPart { serial: 1, offset: 0, part: vec![7; 32 << 10] });
    fixed("state wanted", Message::StateWanted);
    let state = PeerState { downloads: vec![download; 64], ..PeerState::default() };
    fixed("state, 64 downloads", Message::State(state));
    fixed("pong", Message::Pong { nonce: 1 });
    fixed("ping", Message::Ping { nonce: 1 });
    measured.push(("fetch wanted", rounds(&|round| Ok(Message::DownloadWanted { game: game(round)? }))?));
    for (name, messages) in measured {
        print(name, &messages)?;
    }
    print_placing(content);
    Ok(())
}

/// Measures the line by itself, because a node without games places nobody. It has as many members as a peer has
/// connections.
#[expect(clippy::print_stdout, reason = "the program's result")]
fn print_placing(content: ContentId) {
    let mut lines = Lines::default();
    let wanted = PlaceWanted { content, below: ChunkIndex(0), upload_limit: None, instead_of: None };
    let mut place = |n: u64| {
        let group = |n: u64| Group::subnet(addr_of(n).ip());
        lines.place((PeerId([5; 32]), group(0)), (peer_id(n), group(n)), &wanted, 8193, Time::START)
    };
    let members = PEERS_MAX as u64;
    (0..members).for_each(|n| drop(place(n)));
    let began = Instant::now();
    (0..TIMES).for_each(|n| drop(place(n % members)));
    let each = began.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    println!(
        "{:24} {each:8.1} us  {:6} units",
        "place wanted, 512 peers",
        cost(&Message::PlaceWanted(wanted))
    );
}

fn peer_id(n: u64) -> PeerId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    PeerId(id)
}

fn addr_of(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 24_930))
}

/// Returns a node with two hundred peers.
fn node() -> anyhow::Result<Node> {
    let mut node = Node::new(NodeConfig {
        me: PeerId([5; 32]),
        name: "guest".to_owned(),
        addr: addr_of(0),
        games_dir: "games".into(),
        catalog: Catalog::Open,
        limits: RateLimits::default(),
        rules: OwnerPolicy::default(),
        seed: 1,
    });
    node.find_peers(Time::START, DiscoverySettings { introductions: true, ..DiscoverySettings::default() });
    for n in 0..PEERS {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            name: PeerName::new("guest")?,
            listen_port: 24_930,
            program: String::new(),
        };
        let (conn, peer, addr) = (ConnId(n), peer_id(n), addr_of(n + 1));
        let connected = Connected { conn, peer, hello, addr, local_ip: None, dialled: true };
        node.handle(Time::START, Input::Net(NetInput::Connected(connected)));
    }
    while node.poll_output().is_some() {}
    Ok(node)
}

#[expect(clippy::print_stdout, reason = "the program's result")]
fn print(name: &str, messages: &[Message]) -> anyhow::Result<()> {
    let mut node = node()?;
    let units = cost(&messages[0]);
    let encoded = messages.iter().map(lanspread_proto::encode).collect::<Result<Vec<_>, _>>()?;
    let mut took = Duration::ZERO;
    for (round, bytes) in encoded.iter().enumerate() {
        // One peer after the other, with 10 s between two messages of the same peer: no budget is short, and no peer
        // is silent for long.
        let now = Time::from_start(Duration::from_millis(50 * round as u64));
        let began = Instant::now();
        let mut decoder = lanspread_proto::Decoder::<Message>::new();
        decoder.push(bytes);
        while let Some(message) = decoder.next()? {
            let conn = ConnId(round as u64 % PEERS);
            node.handle(now, Input::Net(NetInput::Message { conn, message }));
        }
        while node.poll_output().is_some() {}
        let _ = node.next_wakeup(now);
        took += began.elapsed();
    }
    let each = took.as_secs_f64() * 1e6 / messages.len() as f64;
    println!("{name:24} {each:8.1} us  {units:6} units");
    Ok(())
}
