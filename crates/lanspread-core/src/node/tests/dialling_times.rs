//! Tests of the timing of a single node: when it tests that peers can be reached (`Output::Probe`), when it introduces
//! and remembers peers, and when it sleeps. Also tests which peers and addresses it lists as not connected.

use std::net::SocketAddr;
use std::slice::from_ref;
use std::time::Duration;

use lanspread_types::limits::{PEERS_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{Hello, Introduction, Message};
use lanspread_types::{Means, PeerId, PeerName, Sighting};

use super::party::{Party, content, game};
use crate::Node;
use crate::api::command::{Command, CommandError, CommandId, Reply};
use crate::discovery::{Absence, DiscoverySettings, Stranger};
use crate::io::{CloseReason, ConnId, Connected, DialFailure, Input, NetInput, Output};
use crate::time::Time;

/// A node and its outputs with their times in milliseconds. The peers that the node meets answer its pings and send
/// nothing else by themselves.
struct Host {
    node: Node,
    now: u64,
    done: Vec<(u64, Output)>,
}

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn id(n: u16) -> PeerId {
    let mut id = [9; 32];
    id[1..3].copy_from_slice(&n.to_be_bytes());
    PeerId(id)
}

fn conn(n: u16) -> ConnId {
    ConnId(u64::from(n))
}

fn addr(n: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 4000))
}

fn introducing() -> DiscoverySettings {
    DiscoverySettings { introductions: true, ..DiscoverySettings::default() }
}

fn remembering() -> DiscoverySettings {
    DiscoverySettings { remember: true, ..DiscoverySettings::default() }
}

impl Host {
    fn new(finding: DiscoverySettings) -> Self {
        let mut node = Party::new(&[&[]]).guests.remove(0).node;
        node.find_peers(Time::START, finding);
        Self { node, now: 0, done: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        self.node.handle(at(self.now), input);
        while let Some(output) = self.node.poll_output() {
            if let Output::Send { conn, message: Message::Ping { nonce } } = &output {
                let pong = NetInput::Message { conn: *conn, message: Message::Pong { nonce: *nonce } };
                self.node.handle(at(self.now), Input::Net(pong));
            }
            self.done.push((self.now, output));
        }
    }

    fn net(&mut self, input: NetInput) {
        self.input(Input::Net(input));
    }

    fn come_from(&mut self, n: u16, addr: SocketAddr, dialled: bool) {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            name: PeerName::new(format!("guest {n}")).unwrap(),
            listen_port: addr.port(),
            program: String::new(),
        };
        self.net(NetInput::Connected(Connected {
            conn: conn(n),
            peer: id(n),
            hello,
            addr,
            local_ip: None,
            dialled,
        }));
    }

    fn come(&mut self, n: u16, dialled: bool) {
        self.come_from(n, addr(n), dialled);
    }

    /// Lets time pass. The node is woken when it asked for it.
    fn until(&mut self, ms: u64) {
        for _ in 0..10_000 {
            let Some(next) = self.node.next_wakeup(at(self.now)).filter(|next| *next <= at(ms)) else {
                self.now = ms;
                return;
            };
            self.now = next.since_start().as_micros().div_ceil(1000).max(self.now.into()) as u64;
            self.input(Input::Wake);
        }
        panic!("it never sleeps");
    }

    /// Outputs of one kind, with their times.
    fn done<T>(&self, of: impl Fn(&Output) -> Option<T>) -> Vec<(u64, T)> {
        self.done.iter().filter_map(|(ms, output)| Some((*ms, of(output)?))).collect()
    }

    fn probes(&self) -> Vec<(u64, PeerId)> {
        self.done(|output| match output {
            Output::Probe { peer, addr: probed } => {
                assert!((1..=PEERS_MAX as u16).any(|n| (id(n), addr(n)) == (*peer, *probed)));
                Some(*peer)
            }
            _ => None,
        })
    }

    fn remembered(&self) -> Vec<(u64, Vec<PeerId>)> {
        self.done(|output| match output {
            Output::Remember(known) => Some(known.iter().map(|known| known.peer).collect()),
            _ => None,
        })
    }

    fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        let asked = CommandId(7);
        self.done.retain(|(_, output)| !matches!(output, Output::Reply { id, .. } if *id == asked));
        self.input(Input::Command { id: asked, command });
        self.answer().unwrap()
    }

    fn answer(&self) -> Option<Result<Reply, CommandError>> {
        let reply = |output: &Output| match output {
            Output::Reply { result, .. } => Some(result.clone()),
            _ => None,
        };
        self.done(reply).pop().map(|(_, result)| result)
    }

    fn others(&mut self) -> Vec<Stranger> {
        match self.command(Command::ListPeers) {
            Ok(Reply::Peers(peers)) => peers.others,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn idle_node_sleeps() {
    let host =
        Host::new(DiscoverySettings { introductions: true, remember: true, ..DiscoverySettings::default() });
    assert_eq!(host.node.next_wakeup(Time::START), None);
}

#[test]
fn unreached_listener_is_probed_three_times() {
    let mut host = Host::new(introducing());
    host.come(1, false);
    host.until(120_000);
    let tried: Vec<u64> = host.probes().iter().map(|(ms, _)| *ms).collect();
    let [first, second, third] = tried[..] else { panic!("{tried:?}") };
    assert!(first < 200, "{tried:?}");
    assert!((10_000..10_010).contains(&(second - first)), "{tried:?}");
    assert!((20_000..20_010).contains(&(third - second)), "{tried:?}");
}

#[test]
fn reached_listener_is_not_probed() {
    let mut host = Host::new(introducing());
    host.come(1, true);
    host.come(2, false);
    host.net(NetInput::Reached { peer: id(2), addr: addr(2) });
    host.until(60_000);
    assert_eq!(host.probes(), []);
}

#[test]
fn probes_of_a_whole_room_are_spread() {
    let mut host = Host::new(introducing());
    (1..=100).for_each(|n| host.come(n, false));
    assert!(host.probes().len() < 20, "not all of them in the same moment");
    host.until(110);
    let soon = host.probes().len();
    assert!((1..50).contains(&soon), "nor in the time that one of them would have: {soon}");
    host.until(1100);
    assert_eq!(host.probes().len(), 100);
}

#[test]
fn introductions_are_collected_into_one_message() {
    let mut host = Host::new(introducing());
    for (ms, n) in [(1000, 1), (5000, 2), (5390, 3)] {
        host.until(ms);
        host.come(n, true);
    }
    host.until(9000);
    let told = host.done(|output| match output {
        Output::Send { conn: to, message: Message::Introduce { peers } } if *to == conn(1) => {
            Some(peers.iter().map(|p| p.peer).collect::<Vec<_>>())
        }
        _ => None,
    });
    let [(ms, ref peers)] = told[..] else { panic!("{told:?}") };
    assert!((5400..=5801).contains(&ms) && *peers == [id(2), id(3)], "{told:?}");
}

#[test]
fn peers_are_remembered_once_in_twenty_seconds() {
    let mut host = Host::new(remembering());
    for (ms, n) in [(1000, 1), (11_000, 2)] {
        host.until(ms);
        host.come(n, true);
    }
    host.until(90_000);
    assert_eq!(host.remembered(), [(21_000, vec![id(1), id(2)])]);
}

#[test]
fn peers_are_remembered_at_shutdown() {
    let written = |settings: DiscoverySettings, came: bool| {
        let mut host = Host::new(settings);
        if came {
            host.come(1, true);
        }
        host.input(Input::Command { id: CommandId(1), command: Command::Shutdown });
        host.remembered()
    };
    assert_eq!(written(remembering(), true), [(0, vec![id(1)])]);
    assert_eq!(written(remembering(), false), [], "those of the last party are kept");
    assert_eq!(written(DiscoverySettings::default(), true), []);
    assert_eq!(written(DiscoverySettings::default(), false), []);
}

#[test]
fn surplus_peer_is_turned_away_with_a_reason() {
    let mut host = Host::new(DiscoverySettings::default());
    let room = PEERS_MAX as u16;
    (0..room).for_each(|n| host.come(n, false));
    let (name, means) = (None, Means::Mdns);
    let sighting =
        Sighting { peer: id(room), name, protocol: PROTOCOL_VERSION, addrs: vec![addr(room)], means };
    host.net(NetInput::Sighted(sighting));
    host.come(room, true);
    let closed = host.done(|output| match output {
        Output::Close { conn, reason } => Some((*conn, *reason)),
        _ => None,
    });
    assert_eq!(closed, [(0, (conn(room), CloseReason::TooManyPeers))]);
    let reason = CloseReason::TooManyPeers.to_string();
    assert_eq!(host.others()[0].absence, Absence::TurnedAway { reason });
}

#[test]
fn connect_that_waits_at_the_end_was_not_timed_out() {
    let mut host = Host::new(DiscoverySettings::default());
    host.input(Input::Command { id: CommandId(1), command: Command::Connect { addr: addr(11) } });
    assert_eq!(host.answer(), None);
    host.input(Input::Command { id: CommandId(2), command: Command::Shutdown });
    let answers = host.done(|output| match output {
        Output::Reply { id, result } => Some((*id, result.clone())),
        _ => None,
    });
    assert!(answers.iter().any(|(_, answer)| *answer == (CommandId(1), Err(CommandError::ShuttingDown))));
}

#[test]
fn failed_typed_addresses_are_listed() {
    let mut host = Host::new(DiscoverySettings::default());
    let nobody = || DialFailure::Unreachable("nobody".to_owned());
    for (n, failure) in [(11, nobody()), (12, DialFailure::OwnAddress)] {
        host.input(Input::Command {
            id: CommandId(u64::from(n)),
            command: Command::Connect { addr: addr(n) },
        });
        host.net(NetInput::DialFailed { addr: addr(n), failure: failure.clone() });
        assert_eq!(host.answer(), Some(Err(CommandError::ConnectFailed { addr: addr(n), failure })));
    }
    let shown: Vec<_> = host.others().into_iter().map(|s| (s.addrs, s.found_by, s.absence)).collect();
    let line = |n, absence| (vec![addr(n)], vec![Means::Typed], absence);
    let unreachable = Absence::Unreachable { reason: nobody().to_string() };
    assert_eq!(shown, [line(11, unreachable), line(12, Absence::Own)]);
}

#[test]
fn loopback_address_counts_only_from_the_same_machine() {
    let (own, lan): (SocketAddr, SocketAddr) = ("127.0.0.1:5000".parse().unwrap(), addr(1));
    for (introducer, believed) in [(own, vec![own, addr(3)]), (lan, vec![addr(3)])] {
        let mut host = Host::new(introducing());
        host.come_from(1, introducer, true);
        let peers =
            vec![Introduction { peer: id(2), addr: own }, Introduction { peer: id(3), addr: addr(3) }];
        host.net(NetInput::Message { conn: conn(1), message: Message::Introduce { peers } });
        let heard: Vec<SocketAddr> = host.others().into_iter().flat_map(|s| s.addrs).collect();
        assert_eq!(heard, believed, "from {introducer}");
    }
}

#[test]
fn stopping_node_sleeps_until_operations_end() {
    let mut party = Party::new(&[from_ref(&content("ggoo", 2, 7)), &[]]);
    let now = party.now;
    party.guests[0].node.find_peers(now, DiscoverySettings { remember: true, ..introducing() });
    party.connect(0, 1);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::Install { game: game("ggoo") });
    party.command(0, Command::Shutdown);
    assert!(!party.guests[0].stopped, "it still installs");
    for _ in 0..50 {
        party.now = party.now + Duration::from_millis(100);
        party.input(0, Input::Wake);
        party.settle();
        let next = party.guests[0].node.next_wakeup(party.now);
        assert!(next.is_none_or(|next| next > party.now), "{next:?} is over: it would be woken without end");
    }
    party.release_jobs(0);
    assert!(party.guests[0].stopped);
}
