//! Test environment: whole nodes on an ideal network and disk. Every output is carried out at once and in order, unless
//! a test says otherwise. Time stands still until a test moves it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::message::{Hello, Refusal, Request, RequestId};
use lanspread_types::tree::{ChunkPosition, root_of};
use lanspread_types::{
    CatalogKey, ChunkHash, ChunkIndex, ChunkSet, ChunkSize, ContentId, FileEntry, GameContent, GameId,
    GameVersion, KnownPeer, Manifest, PeerId, PeerName, RelPath,
};

use crate::api::command::{Command, CommandError, CommandId, RateLimits, Reply};
use crate::api::event::Event;
use crate::catalog::{Catalog, SignedCatalog};
use crate::io::*;
use crate::rules::OwnerPolicy;
use crate::time::Time;
use crate::trust::Provenance;
use crate::{Node, NodeConfig};

pub type Answer = Result<Reply, CommandError>;

/// A node with its disk, its events and its faults.
pub struct Guest {
    pub node: Node,
    pub events: Vec<Event>,
    pub answers: BTreeMap<CommandId, Answer>,
    pub disk: BTreeMap<GameId, (Option<Arc<GameContent>>, bool)>,
    pub incoming: BTreeMap<GameId, ChunkSet>,
    pub streaming: Option<Streaming>,
    pub jobs: Vec<DiskJob>,
    /// Sends garbage instead of chunks.
    pub liar: bool,
    /// How this connected guest fails to answer requests for chunks.
    pub deaf: Option<Deaf>,
    /// Its process is gone: it gets no input, and its outputs are not carried out.
    pub dead: bool,
    /// No listener answers at the address that it states.
    pub walled: bool,
    pub stopped: bool,
    /// Its jobs wait until the test releases them.
    pub hold_jobs: bool,
    /// New streamed installs unpack nothing until the test says so.
    pub stuck: bool,
    pub held: VecDeque<DiskJob>,
    /// Peers that it dialled, with the addresses that it tried.
    pub dials: Vec<(PeerId, Vec<SocketAddr>)>,
    pub remembered: Vec<KnownPeer>,
    /// Serial numbers of the catalogues that it was told to keep.
    pub kept: Vec<u64>,
    /// The organiser that it was told to keep as trusted.
    pub trusted: Option<CatalogKey>,
    /// The organisers that it was told to keep as declined.
    pub declined: BTreeSet<CatalogKey>,
    /// Its disk is full.
    pub full: bool,
    /// Findings of its next verification.
    pub broken: Vec<BrokenPart>,
    /// Its index knows that its games are broken.
    pub known_broken: bool,
    pub played: Option<Play>,
    /// Recorded origins and confirmations of its games.
    pub records: BTreeMap<GameId, Provenance>,
    /// Recorded contents of its installed games.
    pub installed: BTreeMap<GameId, ContentId>,
}

/// Key of the organiser in all tests.
pub const KEY: CatalogKey = CatalogKey([77; 32]);

/// A catalogue as text: `S`, the serial number, the games, and the groups as `name=network`.
pub fn signed_catalog(serial: u64, games: &[&str]) -> Arc<SignedCatalog> {
    let text = format!("S {serial} {}", games.join(" "));
    check_catalog(text.as_bytes()).unwrap()
}

fn check_catalog(bytes: &[u8]) -> Option<Arc<SignedCatalog>> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ').filter(|word| !word.is_empty());
    words.next().filter(|word| *word == "S")?;
    let serial = words.next()?.parse().ok()?;
    let (groups, games): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
    let catalog = super::grouped(super::listed(&games), &groups);
    Some(Arc::new(SignedCatalog { key: KEY, serial, title: None, catalog, bytes: bytes.to_vec() }))
}

/// How a connected guest fails to answer requests for chunks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deaf {
    /// Data connections to it fail.
    Blocked,
    /// It accepts requests and never answers.
    Silent,
}

/// A streamed install on the ideal disk.
pub struct Streaming {
    pub content: Arc<GameContent>,
    /// Chunks in the window.
    pub held: ChunkSet,
    /// Most chunks that were in the window at one time.
    pub most_held: u32,
    next: u32,
    /// The unpacker takes no chunk until the test says so.
    pub stuck: bool,
    /// The chunk at which the archive is damaged.
    pub damaged_at: Option<u32>,
}

pub struct Party {
    pub now: Time,
    pub guests: Vec<Guest>,
    conns: BTreeMap<ConnId, (usize, usize)>,
    next: u64,
    /// Chunks served: (source, receiver, chunk).
    pub served: Vec<(usize, usize, ChunkIndex)>,
    /// Reasons of all refusals.
    pub refused: Vec<Refusal>,
    /// Requests for chunks to deaf guests: the guest and the time.
    pub unheard: Vec<(usize, Time)>,
    /// Dials neither succeed nor fail.
    pub hold_dials: bool,
    /// Guests that run on one machine, and connect from its address.
    pub one_machine: BTreeSet<usize>,
    /// Requests for chunks wait instead of being answered.
    pub hold_chunks: bool,
    waiting: VecDeque<(usize, LinkId, RequestId, Serving)>,
}

pub fn game(id: &str) -> GameId {
    GameId::new(id).unwrap()
}

pub fn id_of(guest: usize) -> PeerId {
    PeerId([guest as u8 + 1; 32])
}

fn node(at: usize, catalog: &Catalog) -> Node {
    node_with(at, catalog, OwnerPolicy::default())
}

fn node_with(at: usize, catalog: &Catalog, rules: OwnerPolicy) -> Node {
    Node::new(NodeConfig {
        me: id_of(at),
        name: format!("guest {at}"),
        addr: addr_of(at),
        games_dir: "games".into(),
        catalog: catalog.clone(),
        limits: RateLimits::default(),
        rules,
        seed: at as u64,
    })
}

pub fn addr_of(guest: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, guest as u8 + 1], 4000))
}

/// Chunk size of small games, in bytes.
pub const CHUNK: u64 = lanspread_types::limits::CHUNK_BYTES_MIN;

/// A game of one archive with `chunks` chunks, and its sentinel. Different seeds give different contents.
pub fn content(id: &str, chunks: usize, seed: u8) -> Arc<GameContent> {
    let size = ChunkSize::for_game(0);
    let archive = vec![seed; chunks * size.bytes() as usize];
    let mut hashes = Vec::new();
    for (at, bytes) in archive.chunks(size.bytes() as usize).enumerate() {
        let position = ChunkPosition { offset: at as u64 * size.bytes(), atomic_file: chunks == 1 };
        hashes.push(ChunkHash::of(position, bytes));
    }
    let archive_root = root_of(&hashes, size, archive.len() as u64).unwrap();
    let sentinel = ChunkHash(*blake3::hash(b"20250101").as_bytes());
    let file = |path: &str, size, root| FileEntry { path: RelPath::new(path).unwrap(), size, root };
    let files = vec![file("a.eti", archive.len() as u64, archive_root), file("version.ini", 8, sentinel)];
    hashes.push(sentinel);
    let manifest = Manifest::new(game(id), GameVersion::new(20_250_101).unwrap(), files).unwrap();
    assert_eq!(manifest.chunk_size(), size);
    Arc::new(GameContent::new(manifest, hashes).unwrap())
}

/// The same files as a later version of the game.
pub fn newer(content: &GameContent) -> Arc<GameContent> {
    let manifest = content.manifest();
    let version = GameVersion::new(20_260_101).unwrap();
    let manifest = Manifest::new(manifest.game().clone(), version, manifest.files().to_vec()).unwrap();
    Arc::new(GameContent::new(manifest, content.hashes().to_vec()).unwrap())
}

impl Party {
    /// Creates guests with these games on their disks. They are not connected.
    pub fn new(games: &[&[Arc<GameContent>]]) -> Self {
        Self::with_catalog(games, &Catalog::Open)
    }

    pub fn with_catalog(games: &[&[Arc<GameContent>]], catalog: &Catalog) -> Self {
        let guest = |(at, games): (usize, &&[Arc<GameContent>])| Guest {
            node: node(at, catalog),
            events: Vec::new(),
            answers: BTreeMap::new(),
            disk: games.iter().map(|c| (c.manifest().game().clone(), (Some(c.clone()), false))).collect(),
            incoming: BTreeMap::new(),
            streaming: None,
            jobs: Vec::new(),
            liar: false,
            deaf: None,
            dead: false,
            walled: false,
            stopped: false,
            hold_jobs: false,
            stuck: false,
            held: VecDeque::new(),
            kept: Vec::new(),
            trusted: None,
            declined: BTreeSet::new(),
            dials: Vec::new(),
            remembered: Vec::new(),
            full: false,
            broken: Vec::new(),
            known_broken: false,
            played: None,
            records: BTreeMap::new(),
            installed: BTreeMap::new(),
        };
        let mut party = Self {
            now: Time::START,
            guests: games.iter().enumerate().map(guest).collect(),
            conns: BTreeMap::new(),
            next: 100,
            served: Vec::new(),
            refused: Vec::new(),
            unheard: Vec::new(),
            hold_chunks: false,
            hold_dials: false,
            one_machine: BTreeSet::new(),
            waiting: VecDeque::new(),
        };
        party.settle();
        party
    }

    /// Restarts a guest with these rules.
    pub fn with_rules(&mut self, guest: usize, rules: OwnerPolicy) {
        self.with_rules_and_catalog(guest, rules, &Catalog::Open);
    }

    pub fn with_rules_and_catalog(&mut self, guest: usize, rules: OwnerPolicy, catalog: &Catalog) {
        self.guests[guest].node = node_with(guest, catalog, rules);
        self.settle();
    }

    pub fn command(&mut self, guest: usize, command: Command) -> Option<Answer> {
        self.next += 1;
        let id = CommandId(self.next);
        self.input(guest, Input::Command { id, command });
        self.settle();
        self.guests[guest].answers.remove(&id)
    }

    pub fn connect(&mut self, from: usize, to: usize) -> Option<Answer> {
        self.command(from, Command::Connect { addr: addr_of(to) })
    }

    pub fn download(&mut self, guest: usize, id: &str) -> Option<Answer> {
        self.command(guest, Command::Download { game: game(id), install: false, confirm: None })
    }

    /// Lets time pass. Nodes are woken when they asked for it.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            let due =
                self.guests.iter().filter(|g| !g.dead).filter_map(|g| g.node.next_wakeup(self.now)).min();
            self.now = due.unwrap_or(end).max(self.now + Duration::from_millis(1)).min(end);
            for guest in 0..self.guests.len() {
                self.input(guest, Input::Wake);
            }
            self.settle();
        }
    }

    /// Kills the process of a guest. If `noticed`, its connections break at once.
    pub fn kill(&mut self, guest: usize, noticed: bool) {
        self.guests[guest].dead = true;
        if noticed {
            let gone: Vec<ConnId> =
                self.conns.iter().filter(|(_, ends)| ends.0 == guest).map(|(c, _)| *c).collect();
            for conn in gone {
                self.close(conn, CloseReason::Lost);
            }
            self.settle();
        }
    }

    /// Restarts the process of a guest on the same disk.
    pub fn restart(&mut self, guest: usize) {
        self.guests[guest].node = node(guest, &Catalog::Open);
        self.guests[guest].dead = false;
        self.settle();
    }

    /// Answers the requests that were held back.
    pub fn release_chunks(&mut self) {
        self.hold_chunks = false;
        while let Some((guest, link, id, what)) = self.waiting.pop_front() {
            self.serve(guest, link, id, &what);
        }
        self.settle();
    }

    /// Does the jobs that were held back.
    pub fn release_jobs(&mut self, guest: usize) {
        self.guests[guest].hold_jobs = false;
        while let Some(job) = self.guests[guest].held.pop_front() {
            self.do_job(guest, job);
        }
        self.settle();
    }

    pub fn input(&mut self, guest: usize, input: Input) {
        if !self.guests[guest].dead {
            self.guests[guest].node.handle(self.now, input);
        }
    }

    /// Gives an input to a node and returns its outputs, without carrying them out.
    pub fn wishes(&mut self, guest: usize, input: Input) -> Vec<Output> {
        self.input(guest, input);
        let node = &mut self.guests[guest].node;
        std::iter::from_fn(|| node.poll_output()).collect()
    }

    /// Carries out outputs until no node has any.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let mut alive = self.guests.iter_mut().enumerate().filter(|(_, guest)| !guest.dead);
            let next = alive.find_map(|(at, guest)| Some((at, guest.node.poll_output()?)));
            let Some((guest, output)) = next else { return };
            self.perform(guest, output);
        }
        panic!("the party never comes to rest");
    }

    fn perform(&mut self, guest: usize, output: Output) {
        match output {
            Output::Dial { .. } if self.hold_dials => {}
            Output::Dial { addr } => self.dial(guest, addr),
            Output::DialPeer { peer, addrs } => self.dial_peer(guest, peer, &addrs),
            Output::Probe { peer, addr } => {
                if self.at(addr).is_some_and(|to| id_of(to) == peer) {
                    self.input(guest, Input::Net(NetInput::Reached { peer, addr }));
                }
            }
            Output::Remember(peers) => self.guests[guest].remembered = peers,
            Output::Send { conn, message } => {
                if let Some((_, to, theirs)) = self.other_end(conn) {
                    self.input(to, Input::Net(NetInput::Message { conn: theirs, message }));
                }
            }
            Output::Close { conn, reason } => {
                let theirs =
                    if reason == CloseReason::Leaving { CloseReason::Goodbye } else { CloseReason::Lost };
                self.close(conn, theirs);
            }
            Output::Request { peer, request } => self.request(guest, peer, request),
            Output::Serve { link, id, what } => match (&what, self.hold_chunks) {
                (Serving::Chunk { .. }, true) => self.waiting.push_back((guest, link, id, what)),
                _ => self.serve(guest, link, id, &what),
            },
            Output::Refuse { link, id, reason } => {
                self.refused.push(reason);
                let failure = RequestFailure::Refused(reason);
                let failed = NetInput::RequestFailed { peer: id_of(guest), id, failure };
                self.input(receiver_of(link), Input::Net(failed));
            }
            Output::DropSource { .. } => panic!("nobody dawdles here"),
            Output::DropLink { link } => self.input(guest, Input::Net(NetInput::LinkClosed { link })),
            Output::Disk(job) if self.guests[guest].hold_jobs => self.guests[guest].held.push_back(job),
            Output::Disk(job) => self.do_job(guest, job),
            Output::Event(event) => self.guests[guest].events.push(event),
            Output::Reply { id, result } => {
                self.guests[guest].answers.insert(id, result);
            }
            Output::CheckCatalog { peer, bytes } => {
                let result = check_catalog(&bytes).ok_or_else(|| "it does not verify".to_owned());
                self.input(guest, Input::CatalogChecked { peer, result });
            }
            Output::KeepCatalog(catalog) => self.guests[guest].kept.push(catalog.serial),
            Output::KeepOrganiser(key) => self.guests[guest].trusted = Some(key),
            Output::KeepDeclined(declined) => self.guests[guest].declined = declined,
            Output::Stopped => self.guests[guest].stopped = true,
        }
    }

    /// The connection of one guest to another.
    pub fn conn_between(&self, guest: usize, other: usize) -> ConnId {
        self.conns.iter().find(|(_, ends)| **ends == (guest, other)).map(|(conn, _)| *conn).unwrap()
    }

    fn at(&self, addr: SocketAddr) -> Option<usize> {
        (0..self.guests.len()).find(|&g| addr_of(g) == addr && !self.guests[g].dead && !self.guests[g].walled)
    }

    /// The address from which a guest connects, as other guests see it.
    fn seen_at(&self, guest: usize) -> SocketAddr {
        let machine = SocketAddr::from(([10, 0, 0, 99], 4000 + guest as u16));
        if self.one_machine.contains(&guest) { machine } else { addr_of(guest) }
    }

    fn dial_peer(&mut self, guest: usize, peer: PeerId, addrs: &[SocketAddr]) {
        self.guests[guest].dials.push((peer, addrs.to_vec()));
        if self.hold_dials {
            return;
        }
        match addrs.iter().find(|&&addr| self.at(addr).is_some()) {
            Some(&addr) => self.dial(guest, addr),
            None => {
                let reason = "nobody".to_owned();
                self.input(guest, Input::Net(NetInput::PeerDialFailed { peer, reason }));
            }
        }
    }

    fn dial(&mut self, guest: usize, addr: SocketAddr) {
        let Some(to) = self.at(addr) else {
            let failure = DialFailure::Unreachable("nobody".to_owned());
            return self.input(guest, Input::Net(NetInput::DialFailed { addr, failure }));
        };
        self.next += 2;
        let (ours, theirs) = (ConnId(self.next), ConnId(self.next + 1));
        self.conns.insert(ours, (guest, to));
        self.conns.insert(theirs, (to, guest));
        for (at, conn, other) in [(guest, ours, to), (to, theirs, guest)] {
            let hello = Hello {
                protocol: 1,
                name: PeerName::new(format!("guest {other}")).unwrap(),
                listen_port: 4000,
                program: String::new(),
            };
            let connected = Connected {
                conn,
                peer: id_of(other),
                hello,
                addr: self.seen_at(other),
                local_ip: Some(self.seen_at(at).ip()),
                dialled: at == guest,
            };
            self.input(at, Input::Net(NetInput::Connected(connected)));
        }
    }

    /// The two ends of a connection, and the other side's number for it: the next or the previous one.
    fn other_end(&self, conn: ConnId) -> Option<(usize, usize, ConnId)> {
        let &(from, to) = self.conns.get(&conn)?;
        let other = [ConnId(conn.0 + 1), ConnId(conn.0 - 1)];
        let theirs = other.into_iter().find(|c| self.conns.get(c) == Some(&(to, from)))?;
        Some((from, to, theirs))
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let Some((from, to, theirs)) = self.other_end(conn) else { return };
        self.conns.remove(&conn);
        self.conns.remove(&theirs);
        self.input(to, Input::Net(NetInput::Closed { conn: theirs, reason }));
        self.input(from, Input::Net(NetInput::Closed { conn, reason: CloseReason::Leaving }));
    }

    fn request(&mut self, guest: usize, peer: PeerId, request: Request) {
        let source = peer.0[0] as usize - 1;
        if self.guests[source].dead {
            for id in request.ids() {
                let failure = RequestFailure::Lost("dead".to_owned());
                self.input(guest, Input::Net(NetInput::RequestFailed { peer, id, failure }));
            }
            return;
        }
        if let (Some(deaf), false) = (self.guests[source].deaf, matches!(request, Request::Manifest { .. })) {
            let ids = request.ids();
            if !ids.is_empty() {
                self.unheard.push((source, self.now));
            }
            for id in ids {
                let failure = RequestFailure::Lost("blocked".to_owned());
                if deaf == Deaf::Blocked {
                    self.input(guest, Input::Net(NetInput::RequestFailed { peer, id, failure }));
                }
            }
            return;
        }
        let link = LinkId((guest * 1000 + source) as u64);
        self.input(source, Input::Net(NetInput::Requested { link, peer: id_of(guest), request }));
    }

    fn serve(&mut self, source: usize, link: LinkId, id: RequestId, what: &Serving) {
        let (receiver, peer) = (receiver_of(link), id_of(source));
        if self.guests[source].dead {
            let failure = RequestFailure::Lost("dead".to_owned());
            return self.input(receiver, Input::Net(NetInput::RequestFailed { peer, id, failure }));
        }
        match what {
            Serving::Manifest { content } => {
                let (bytes, result) = (content.encoded_bytes_max(), Ok(content.clone()));
                self.input(receiver, Input::Net(NetInput::ManifestArrived { peer, id, result }));
                self.input(source, Input::Net(NetInput::Served { link, id, bytes, ok: true }));
            }
            Serving::Chunk { content, chunk, incoming } => {
                let streamed = self.guests[source].streaming.as_ref().map(|s| &s.held);
                let held = self.guests[source].incoming.get(content.manifest().game()).or(streamed);
                // The commit may have happened between the choice and the sending.
                let committed = self.guests[source].disk.contains_key(content.manifest().game());
                let there = committed || held.is_some_and(|h| h.contains(*chunk));
                assert!(!incoming || there, "served what is not there");
                self.served.push((source, receiver, *chunk));
                self.input(receiver, Input::Net(NetInput::ChunkStarted { peer, id, chunk: *chunk }));
                let result = if self.guests[source].liar { Err(ChunkFault::Corrupt) } else { Ok(()) };
                if result.is_ok()
                    && let Some(incoming) = self.guests[receiver].incoming.get_mut(content.manifest().game())
                {
                    incoming.insert(*chunk);
                }
                let arrived = result.is_ok();
                self.input(receiver, Input::Net(NetInput::ChunkEnded { peer, id, chunk: *chunk, result }));
                if let Some(streaming) = self.guests[receiver].streaming.as_mut().filter(|_| arrived) {
                    streaming.held.insert(*chunk);
                    streaming.most_held = streaming.most_held.max(streaming.held.count());
                    self.unpack(receiver);
                }
                let bytes = content.manifest().place(*chunk).unwrap().len;
                self.input(source, Input::Net(NetInput::Served { link, id, bytes, ok: true }));
            }
        }
    }

    /// Unpacks the chunks that are there in order, and ends the streamed install after the last one.
    pub fn unpack(&mut self, guest: usize) {
        let Some(streaming) = self.guests[guest].streaming.as_mut().filter(|s| !s.stuck) else { return };
        let (game, start) = (streaming.content.manifest().game().clone(), streaming.next);
        while streaming.held.contains(ChunkIndex(streaming.next))
            && streaming.damaged_at != Some(streaming.next)
        {
            streaming.next += 1;
        }
        let below = ChunkIndex(streaming.next);
        let damaged = streaming.damaged_at == Some(below.0) && streaming.held.contains(below);
        let done = below.0 == streaming.content.manifest().chunks_of(0).end;
        if below.0 > start {
            self.input(guest, Input::Disk(DiskReport::Unpacked { game: game.clone(), below }));
        }
        if done || damaged {
            self.guests[guest].streaming = None;
            let result = if done { Ok(()) } else { Err(DiskError::Archive("a.eti is damaged".to_owned())) };
            if done {
                self.guests[guest].disk.insert(game.clone(), (None, true));
            }
            self.input(guest, Input::Disk(DiskReport::Streamed { game, result }));
        }
    }

    fn do_job(&mut self, guest: usize, job: DiskJob) {
        let report = self.guests[guest].do_job(&job);
        self.guests[guest].jobs.push(job);
        if let Some(report) = report {
            self.input(guest, Input::Disk(report));
        }
    }

    /// The connection on which a guest hears another one.
    pub fn conn_from(&self, guest: usize, other: usize) -> ConnId {
        *self.conns.iter().find(|(_, ends)| **ends == (guest, other)).unwrap().0
    }

    pub fn games(&mut self, guest: usize) -> Vec<crate::api::snapshot::GameSnapshot> {
        match self.command(guest, Command::ListGames) {
            Some(Ok(Reply::Games(list))) => list.games,
            other => panic!("{other:?}"),
        }
    }

    pub fn status(&mut self, guest: usize) -> crate::api::snapshot::StatusSnapshot {
        match self.command(guest, Command::Status) {
            Some(Ok(Reply::Status(status))) => *status,
            other => panic!("{other:?}"),
        }
    }
}

fn receiver_of(link: LinkId) -> usize {
    link.0 as usize / 1000
}

impl Guest {
    fn do_job(&mut self, job: &DiskJob) -> Option<DiskReport> {
        let done = Ok(());
        Some(match job.clone() {
            DiskJob::Scan => DiskReport::Scanned(self.scan()),
            DiskJob::Index { game, stamp } if self.known_broken => {
                let result = Err(DiskError::Damaged(format!("a.eti of {game} is damaged")));
                DiskReport::Indexed { game, stamp, result }
            }
            DiskJob::Index { game, stamp } => {
                let content = self.disk[&game].0.clone().unwrap();
                DiskReport::Indexed { game, stamp, result: Ok(content) }
            }
            DiskJob::OpenIncoming { content } if self.full => {
                let game = content.manifest().game().clone();
                DiskReport::IncomingOpened { game, result: Err(DiskError::Full { missing: 7 }) }
            }
            DiskJob::OpenIncoming { content } => {
                let game = content.manifest().game().clone();
                let none = || ChunkSet::empty(content.manifest().chunk_count());
                let had = self.incoming.entry(game.clone()).or_insert_with(none).clone();
                DiskReport::IncomingOpened { game, result: Ok(had) }
            }
            DiskJob::Commit { content, origin } => {
                let game = content.manifest().game().clone();
                origin.into_iter().for_each(|o| self.records.entry(game.clone()).or_default().note_origin(o));
                let had = self.incoming.remove(&game).unwrap();
                assert!(had.is_full(), "committed before everything is there");
                let installed = self.disk.get(&game).is_some_and(|d| d.1);
                self.disk.insert(game.clone(), (Some(content), installed));
                DiskReport::Committed { game, result: Ok(CommittedGame { stamp: FileStamp(1) }) }
            }
            DiskJob::DropIncoming { game, .. } => DiskReport::IncomingDropped { game },
            DiskJob::Verify { game } => {
                let content = self.disk[&game].0.clone().unwrap();
                let broken = std::mem::take(&mut self.broken);
                DiskReport::Verified { game, result: Ok(VerifiedGame { content, broken }) }
            }
            DiskJob::LookAtStart { game, start } => {
                let provenance = self.records.get(&game).cloned().unwrap_or_default();
                let info = StartInfo {
                    program: "go.exe".to_owned(),
                    from_game_file: start.is_none(),
                    noted: true,
                    installed: self.installed.get(&game).copied(),
                    provenance,
                    ..StartInfo::default()
                };
                DiskReport::StartLookedAt { game, result: Ok(info) }
            }
            DiskJob::Stamp { game, play } => {
                if let Some(confirmed) = play.confirmed {
                    self.records.entry(game.clone()).or_default().note_confirmed(confirmed);
                }
                let launched = play.launch;
                let already_applied = self.played.replace(play).is_some();
                let stamped = Stamped { already_applied, launched, ..Stamped::default() };
                DiskReport::Stamped { game, result: Ok(stamped) }
            }
            DiskJob::Install { game } | DiskJob::Reinstall { game } => {
                let (content, installed) = self.disk.get_mut(&game).unwrap();
                *installed = true;
                self.installed.extend(content.iter().map(|c| (game.clone(), c.content_id())));
                DiskReport::Installed { game, result: done }
            }
            DiskJob::Uninstall { game } => {
                self.disk.get_mut(&game).unwrap().1 = false;
                DiskReport::Uninstalled { game, result: done }
            }
            DiskJob::Remove { game } => {
                self.disk.remove(&game);
                DiskReport::Removed { game, result: done }
            }
            DiskJob::Discard { game } => DiskReport::Discarded { game, result: done },
            DiskJob::UnpackAhead { content } => {
                DiskReport::UnpackedAhead { game: content.manifest().game().clone() }
            }
            DiskJob::StreamInstall { content, .. } => {
                let manifest = content.manifest();
                let (game, all, archive) =
                    (manifest.game().clone(), manifest.chunk_count(), manifest.chunks_of(0));
                let mut unneeded = ChunkSet::empty(all);
                (archive.end..all).for_each(|c| assert!(unneeded.insert(ChunkIndex(c))));
                let held = ChunkSet::empty(all);
                let (most_held, next, stuck) = (0, 0, self.stuck);
                let damaged_at = None;
                self.streaming = Some(Streaming { content, held, most_held, next, stuck, damaged_at });
                DiskReport::StreamOpened { game, unneeded }
            }
            DiskJob::AllowUnpacked { .. } => return None,
            DiskJob::DropChunks { below, .. } => {
                if let Some(streaming) = &mut self.streaming {
                    for chunk in 0..below.0 {
                        streaming.held.remove(ChunkIndex(chunk));
                    }
                }
                return None;
            }
            DiskJob::Cancel { game } => {
                self.streaming.take()?;
                DiskReport::Streamed { game, result: Err(DiskError::Cancelled) }
            }
            DiskJob::ChangeGamesDir { .. } => {
                self.disk.clear();
                DiskReport::GamesDirChanged { result: done }
            }
        })
    }

    pub fn scan(&self) -> Scan {
        let scanned =
            |(game, (content, installed)): (&GameId, &(Option<Arc<GameContent>>, bool))| ScannedGame {
                game: game.clone(),
                version: content.as_ref().map(|c| c.manifest().version()),
                installed: *installed,
                installed_version: None,
                recorded: content
                    .as_ref()
                    .and_then(|c| self.records.get(game)?.content_of_version(c.manifest().version())),
                bytes: content.as_ref().map_or(0, |c| c.manifest().total_bytes()),
                files: 2,
                stamp: FileStamp(1),
            };
        Scan { games: self.disk.iter().map(scanned).collect(), ..Scan::default() }
    }

    /// Names of all events, in order.
    pub fn event_names(&self) -> Vec<String> {
        let name = |e: &Event| format!("{e:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        self.events.iter().map(name).collect()
    }
}

/// Served chunks, each with the number of times.
pub fn times_served(party: &Party, receiver: usize) -> BTreeMap<ChunkIndex, usize> {
    let mut times = BTreeMap::new();
    for (_, _, chunk) in party.served.iter().filter(|s| s.1 == receiver) {
        *times.entry(*chunk).or_insert(0) += 1;
    }
    times
}

pub fn sources_of(party: &Party, receiver: usize) -> BTreeSet<usize> {
    party.served.iter().filter(|s| s.1 == receiver).map(|s| s.0).collect()
}
