//! A room that fills up: nodes start within some seconds, find each other and exchange their libraries.
//!
//! Nobody downloads, so the network is a latency alone. [`fill`] measures how long it takes until every guest is
//! connected to every other guest and knows all their games, and how many bytes of control messages that costs. The
//! parties with downloads are in `world`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_core::budget::cost;
use lanspread_core::catalog::Catalog;
use lanspread_core::command::{Command, CommandId, RateLimits, Reply};
use lanspread_core::discovery::DiscoverySettings;
use lanspread_core::io::{
    CloseReason, ConnId, Connected, DiskJob, DiskReport, FileStamp, Input, NetInput, Output, Scan,
    ScannedGame,
};
use lanspread_core::swarm::Rng;
use lanspread_core::time::Time;
use lanspread_core::{Node, NodeConfig};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::manifest::{FileEntry, SENTINEL};
use lanspread_types::message::{Hello, Message};
use lanspread_types::tree::root_of;
use lanspread_types::{
    ChunkHash, ChunkSize, GameContent, GameId, GameVersion, Manifest, Means, PeerId, PeerName, RelPath,
    Sighting,
};

use crate::content::random_32;
use crate::queue::EventQueue;
use crate::spending::{Spending, Spent};

/// One-way latency between two guests.
const LATENCY: Duration = Duration::from_micros(300);
/// Time of a handshake: TCP, TLS and the hellos.
const HANDSHAKE: Duration = Duration::from_millis(3);
/// Latest time after which a multicast announcement is heard.
const HEARD_WITHIN: Duration = Duration::from_millis(500);
/// A room that is not complete this long after the last start never will be.
const PATIENCE: Duration = Duration::from_secs(120);

/// How guests learn of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearsay {
    /// Every guest hears the announcements of every other guest.
    Multicast,
    /// No announcement is heard; each guest connects to the first one, which introduces the others.
    Introductions,
}

/// Description of a room that fills up.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    /// Number of guests.
    pub guests: usize,
    /// Guests start at random moments within this time; the first one starts at once.
    pub within: Duration,
    /// Games that each guest offers; all offer the same.
    pub games: usize,
    /// How guests learn of each other.
    pub hearsay: Hearsay,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// Result of a room that filled up.
#[derive(Debug, Clone)]
pub struct Filled {
    /// Time from the last start until every guest was connected to all others and knew all their games, to within 50
    /// ms.
    pub converged: Duration,
    /// Control bytes that each guest had sent by then, smallest first.
    pub sent: Vec<u64>,
    /// Bytes of introductions among them, smallest first.
    pub introduced: Vec<u64>,
    /// Control connections that were opened.
    pub connections: usize,
    /// Control connections that a full mesh needs.
    pub pairs: usize,
    /// Largest cost of the control messages of one connection, to their receiver.
    pub spent: Spent,
}

#[derive(Debug)]
enum Event {
    Start(usize),
    Sighted { by: usize, other: usize },
    Established { conn: ConnId },
    Net { to: usize, input: NetInput },
    Wake { guest: usize, planned: Time },
}

struct Guest {
    id: PeerId,
    node: Option<Node>,
    wake: Option<Time>,
    sent: u64,
    introduced: u64,
}

struct Room {
    filling: Filling,
    guests: Vec<Guest>,
    contents: BTreeMap<GameId, Arc<GameContent>>,
    by_id: BTreeMap<PeerId, usize>,
    /// Ends of the control connections: owner, other guest, whether the owner dialled, whether it is open. The two
    /// ends of a connection have the numbers 2n and 2n + 1.
    ends: Vec<(usize, usize, bool, bool)>,
    queue: EventQueue<Event>,
    now: Time,
    rng: Rng,
    /// Guests, from the first on, that have seen all others with all games.
    full: usize,
    checks: u64,
    spending: Spending,
}

/// Plays a room. Returns `None` if it was not complete in time.
pub fn fill(filling: Filling) -> Option<Filled> {
    let mut room = Room::new(filling);
    let last_start = room.plan_starts();
    let limit = last_start + PATIENCE;
    // Asking every node is expensive, so the room is checked in steps of this size.
    let step = Duration::from_millis(50);
    let mut look_at = last_start;
    while let Some((at, event)) = room.queue.pop() {
        room.now = room.now.max(at);
        while room.now >= look_at {
            if look_at >= last_start && room.is_complete() {
                return Some(room.result(look_at.since(last_start)));
            }
            look_at = look_at + step;
        }
        if room.now > limit {
            return None;
        }
        room.handle_event(event);
    }
    None
}

fn addr_of(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 24_930))
}

fn tiny_game(at: usize, rng: &mut Rng) -> GameContent {
    let chunk = ChunkSize::for_game(8);
    let hash = ChunkHash(random_32(rng));
    let path = RelPath::new(SENTINEL).expect("a constant path");
    let root = root_of(&[hash], chunk, 8).expect("one hash, one chunk");
    let game = GameId::new(format!("some-game-{at:04}")).expect("a well-formed id");
    let version = GameVersion::new(20_250_101).expect("a constant version");
    let files = vec![FileEntry { path, size: 8, root }];
    let manifest = Manifest::new(game, version, files).expect("a well-formed game");
    GameContent::new(manifest, vec![hash]).expect("hashes that merge to the roots")
}

impl Room {
    fn new(filling: Filling) -> Self {
        let mut rng = Rng::new(filling.seed);
        let guest = |rng: &mut Rng| Guest {
            id: PeerId(random_32(rng)),
            node: None,
            wake: None,
            sent: 0,
            introduced: 0,
        };
        let guests: Vec<Guest> = (0..filling.guests).map(|_| guest(&mut rng)).collect();
        let games = (0..filling.games).map(|at| Arc::new(tiny_game(at, &mut rng)));
        let contents = games.map(|content| (content.manifest().game().clone(), content)).collect();
        Self {
            by_id: guests.iter().enumerate().map(|(at, guest)| (guest.id, at)).collect(),
            guests,
            contents,
            ends: Vec::new(),
            queue: EventQueue::default(),
            now: Time::START,
            rng,
            filling,
            full: 0,
            checks: 0,
            spending: Spending::default(),
        }
    }

    fn plan_starts(&mut self) -> Time {
        let mut last = Time::START;
        for guest in 0..self.guests.len() {
            // In `Hearsay::Introductions` everybody connects to the first guest, so it starts first.
            let within = if guest == 0 { Duration::ZERO } else { self.filling.within };
            let at = Time::from_start(Duration::from_micros(self.rng.below(within.as_micros() as u64 + 1)));
            last = last.max(at);
            self.queue.plan(at, Event::Start(guest));
        }
        last
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Start(guest) => self.start(guest),
            Event::Sighted { by, other } => {
                let sighting = Sighting {
                    peer: self.guests[other].id,
                    name: None,
                    protocol: PROTOCOL_VERSION,
                    addrs: vec![addr_of(other)],
                    means: Means::Mdns,
                };
                self.input(by, Input::Net(NetInput::Sighted(sighting)));
            }
            Event::Established { conn } => self.established(conn),
            Event::Net { to, input } => {
                if let NetInput::Message { conn, message } = &input {
                    self.spending.note(*conn, cost(message), self.now);
                }
                self.input(to, Input::Net(input));
            }
            Event::Wake { guest, planned } if self.guests[guest].wake == Some(planned) => {
                self.guests[guest].wake = None;
                self.input(guest, Input::Wake);
            }
            Event::Wake { .. } => {}
        }
    }

    fn start(&mut self, guest: usize) {
        let mut node = Node::new(NodeConfig {
            me: self.guests[guest].id,
            name: format!("guest {guest}"),
            addr: addr_of(guest),
            games_dir: "games".into(),
            catalog: Catalog::Open,
            limits: RateLimits::default(),
            rules: lanspread_core::rules::OwnerPolicy::default(),
            seed: self.rng.next_u64(),
        });
        node.find_peers(self.now, DiscoverySettings { introductions: true, ..DiscoverySettings::default() });
        self.guests[guest].node = Some(node);
        self.input(guest, Input::Wake);
        match self.filling.hearsay {
            Hearsay::Introductions if guest > 0 => {
                let command = Command::Connect { addr: addr_of(0) };
                self.input(guest, Input::Command { id: CommandId(1), command });
            }
            Hearsay::Introductions => {}
            Hearsay::Multicast => {
                for other in 0..self.guests.len() {
                    if other != guest && self.guests[other].node.is_some() {
                        for (by, other) in [(guest, other), (other, guest)] {
                            let after =
                                Duration::from_micros(self.rng.below(HEARD_WITHIN.as_micros() as u64));
                            self.queue.plan(self.now + after, Event::Sighted { by, other });
                        }
                    }
                }
            }
        }
    }

    fn input(&mut self, guest: usize, input: Input) {
        let now = self.now;
        let Some(node) = &mut self.guests[guest].node else { return };
        node.handle(now, input);
        while let Some(output) = self.guests[guest].node.as_mut().and_then(Node::poll_output) {
            self.perform(guest, output);
        }
        let guest_at = &mut self.guests[guest];
        if let Some(at) = guest_at.node.as_ref().and_then(|node| node.next_wakeup(now)) {
            let at = at.max(now + Duration::from_nanos(1));
            if guest_at.wake.is_none_or(|planned| at < planned) {
                guest_at.wake = Some(at);
                self.queue.plan(at, Event::Wake { guest, planned: at });
            }
        }
    }

    fn perform(&mut self, guest: usize, output: Output) {
        match output {
            Output::Dial { addr } => self.dial(guest, addr),
            Output::DialPeer { addrs, .. } => self.dial(guest, addrs[0]),
            Output::Probe { peer, addr } => {
                let answer = Event::Net { to: guest, input: NetInput::Reached { peer, addr } };
                if self.by_id.get(&peer).is_some_and(|&at| self.guests[at].node.is_some()) {
                    self.queue.plan(self.now + HANDSHAKE, answer);
                }
            }
            Output::Send { conn, message } => self.send(guest, conn, message),
            Output::Close { conn, reason } => self.close(conn, reason),
            Output::Disk(job) => self.job(guest, &job),
            _ => {}
        }
    }

    fn dial(&mut self, from: usize, addr: SocketAddr) {
        let Some(to) = (0..self.guests.len()).find(|&at| addr_of(at) == addr) else { return };
        let conn = ConnId(self.ends.len() as u64);
        self.ends.push((from, to, true, true));
        self.ends.push((to, from, false, true));
        for conn in [conn, ConnId(conn.0 + 1)] {
            self.queue.plan(self.now + HANDSHAKE, Event::Established { conn });
        }
    }

    fn established(&mut self, conn: ConnId) {
        let (owner, peer, dialled, open) = self.ends[conn.0 as usize];
        if !open {
            return;
        }
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            name: PeerName::new(format!("guest {peer}")).expect("a short name"),
            listen_port: 24_930,
            program: String::new(),
        };
        let connected = Connected {
            conn,
            peer: self.guests[peer].id,
            hello,
            addr: addr_of(peer),
            local_ip: None,
            dialled,
        };
        self.input(owner, Input::Net(NetInput::Connected(connected)));
    }

    fn send(&mut self, guest: usize, conn: ConnId, message: Message) {
        let (_, peer, _, open) = self.ends[conn.0 as usize];
        if !open {
            return;
        }
        let bytes = lanspread_proto::encode(&message).map_or(0, |bytes| bytes.len() as u64);
        self.guests[guest].sent += bytes;
        if matches!(message, Message::Introduce { .. }) {
            self.guests[guest].introduced += bytes;
        }
        let conn = ConnId(conn.0 ^ 1);
        self.queue
            .plan(self.now + LATENCY, Event::Net { to: peer, input: NetInput::Message { conn, message } });
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let end = &mut self.ends[conn.0 as usize];
        if !std::mem::replace(&mut end.3, false) {
            return;
        }
        let to = end.1;
        let reason = if reason == CloseReason::Leaving { CloseReason::Goodbye } else { CloseReason::Lost };
        let input = NetInput::Closed { conn: ConnId(conn.0 ^ 1), reason };
        self.queue.plan(self.now + LATENCY, Event::Net { to, input });
    }

    fn job(&mut self, guest: usize, job: &DiskJob) {
        let stamp = FileStamp(1);
        let report = match job {
            DiskJob::Scan => {
                let game = |content: &Arc<GameContent>| ScannedGame {
                    game: content.manifest().game().clone(),
                    version: Some(content.manifest().version()),
                    installed: false,
                    installed_version: None,
                    recorded: None,
                    bytes: 8,
                    files: 1,
                    stamp,
                };
                DiskReport::Scanned(Scan {
                    games: self.contents.values().map(game).collect(),
                    ..Scan::default()
                })
            }
            DiskJob::Index { game, stamp } => {
                let Some(content) = self.contents.get(game).cloned() else { return };
                DiskReport::Indexed { game: game.clone(), stamp: *stamp, result: Ok(content) }
            }
            _ => return,
        };
        self.input(guest, Input::Disk(report));
    }

    /// Returns whether every guest sees all others with all games. A guest that did once is not asked again.
    fn is_complete(&mut self) -> bool {
        while self.full < self.guests.len() && self.sees_all(self.full) {
            self.full += 1;
        }
        self.full == self.guests.len()
    }

    fn sees_all(&mut self, guest: usize) -> bool {
        self.checks += 1;
        let id = CommandId(1000 + self.checks);
        let Some(node) = &mut self.guests[guest].node else { return false };
        node.handle(self.now, Input::Command { id, command: Command::ListPeers });
        let mut all = false;
        let mut outputs = Vec::new();
        while let Some(output) = node.poll_output() {
            match output {
                Output::Reply { id: answered, result: Ok(Reply::Peers(room)) } if answered == id => {
                    all = room.peers.len() + 1 == self.filling.guests
                        && room.peers.iter().all(|peer| peer.games.len() == self.filling.games);
                }
                other => outputs.push(other),
            }
        }
        outputs.into_iter().for_each(|output| self.perform(guest, output));
        all
    }

    fn result(&self, converged: Duration) -> Filled {
        let sorted = |of: fn(&Guest) -> u64| {
            let mut all: Vec<u64> = self.guests.iter().map(of).collect();
            all.sort_unstable();
            all
        };
        let guests = self.guests.len();
        Filled {
            converged,
            sent: sorted(|guest| guest.sent),
            introduced: sorted(|guest| guest.introduced),
            connections: self.ends.len() / 2,
            pairs: guests * (guests - 1) / 2,
            spent: self.spending.most(),
        }
    }
}
