//! Cost of a node's views when its peers announce as many games as they may.
//!
//! `cargo test --release -p lanspread-sim --test crowds -- --nocapture` prints the times.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanspread_core::catalog::Catalog;
use lanspread_core::command::{Command, CommandId, RateLimits};
use lanspread_core::io::{ConnId, Connected, Input, NetInput, Output};
use lanspread_core::rules::OwnerPolicy;
use lanspread_core::time::Time;
use lanspread_core::{Node, NodeConfig};
use lanspread_types::limits::{GAMES_PER_PEER_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{GameOffer, Hello, LibraryUpdate, Message, PeerState};
use lanspread_types::{ContentId, GameId, GameVersion, PeerId, PeerName};

const CROWD: u8 = 16;
/// Longest time for a view. In a release build each answer takes less than 20 ms; ten times as much allows for a
/// build with little optimisation on a busy machine. The view of the room once took 7.9 s.
const BOUND: Duration = Duration::from_millis(200);

#[test]
fn views_of_a_crowded_room_are_cheap() {
    let mut node = crowd();
    let commands =
        [("room", Command::Room), ("list-games", Command::ListGames), ("list-peers", Command::ListPeers)];
    for (at, (name, command)) in commands.into_iter().enumerate() {
        let now = Time::from_start(Duration::from_secs(1 + at as u64));
        let began = Instant::now();
        node.handle(now, Input::Command { id: CommandId(at as u64), command });
        // The view of the room waits for the state of every peer.
        for peer in 1..=CROWD {
            heard(&mut node, peer, Message::State(PeerState::default()), now);
        }
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
        let took = began.elapsed();
        assert!(outputs.iter().any(|output| matches!(output, Output::Reply { result: Ok(_), .. })), "{name}");
        println!("{name}: {took:?}");
        assert!(took < BOUND, "{name} took {took:?}");
    }
}

fn heard(node: &mut Node, by: u8, message: Message, now: Time) {
    node.handle(now, Input::Net(NetInput::Message { conn: ConnId(by.into()), message }));
}

/// Returns a node whose sixteen peers announce 4,096 games each that no other peer has.
fn crowd() -> Node {
    let addr = |n| SocketAddr::from(([10, 0, 0, n], 24_930));
    let mut node = Node::new(NodeConfig {
        me: PeerId([99; 32]),
        name: "guest".to_owned(),
        addr: addr(99),
        games_dir: "games".into(),
        catalog: Catalog::Open,
        limits: RateLimits::default(),
        rules: OwnerPolicy::default(),
        seed: 1,
    });
    for by in 1..=CROWD {
        let name = PeerName::new(format!("peer {by}")).unwrap();
        let hello = Hello { protocol: PROTOCOL_VERSION, name, listen_port: 24_930, program: String::new() };
        let (conn, peer) = (ConnId(by.into()), PeerId([by; 32]));
        let connected = Connected { conn, peer, hello, addr: addr(by), local_ip: None, dialled: true };
        node.handle(Time::START, Input::Net(NetInput::Connected(connected)));
        let offer = |n: usize| GameOffer {
            game: GameId::new(format!("s{by}-{n}")).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([by; 32]),
            bytes: 1,
            files: 1,
        };
        let games = (0..GAMES_PER_PEER_MAX).map(offer).collect();
        let update = LibraryUpdate { revision: 1, base: 0, more: false, games, removed: vec![] };
        heard(&mut node, by, Message::Library(update), Time::START);
    }
    while node.poll_output().is_some() {}
    node
}
