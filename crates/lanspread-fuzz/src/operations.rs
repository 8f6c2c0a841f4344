//! Target that drives one node: connections, messages, requests, commands, disk reports and the passing of time, in
//! the order that the bytes of the input choose.
//!
//! Whatever happens, the node comes to rest, answers every command at most once, and sends only messages that can be
//! encoded. The target plays the runtime, the disk and the other peers; it checks no decision of the node.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_core::catalog::Catalog;
use lanspread_core::command::{Command, CommandId, RateLimits};
use lanspread_core::discovery::DiscoverySettings;
use lanspread_core::io::{
    CloseReason, ConnId, Connected, DialFailure, DiskError, DiskJob, DiskReport, FileStamp, Input, LinkId,
    NetInput, Output, RequestFailure, Scan, ScannedGame,
};
use lanspread_core::refusals::RefusalCause;
use lanspread_core::rules::OwnerPolicy;
use lanspread_core::time::Time;
use lanspread_core::{Node, NodeConfig};
use lanspread_proto::{encode, split};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{Hello, Message, Request, RequestId};
use lanspread_types::{
    ChunkIndex, ContentId, GameId, GameVersion, Means, PartyMismatch, PeerId, PeerName, Sighting,
};

use crate::Reached;

/// Most operations in one run.
const OPERATIONS_MAX: usize = 400;
/// Most outputs that one input of the node may cause.
const OUTPUTS_MAX: usize = 5000;

/// Runs one node on the operations in `bytes`, and then for two more minutes.
pub fn node(bytes: &[u8]) -> Reached {
    let mut play = Play::new();
    let mut script = Script(bytes);
    let mut kinds = BTreeSet::new();
    for _ in 0..OPERATIONS_MAX {
        let Some(operation) = script.byte() else { break };
        play.step(operation, &mut script);
        play.settle(&mut kinds);
    }
    play.pass(Duration::from_secs(120));
    play.settle(&mut kinds);
    let kinds: Vec<u8> = kinds.into_iter().collect();
    Reached::hash(&kinds)
}

/// Bytes of a run, read from the front.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn small(&mut self, below: u8) -> u8 {
        self.byte().unwrap_or(0) % below
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

struct Play {
    node: Node,
    now: Time,
    conns: u64,
    commands: u64,
    open: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    requests: Vec<(PeerId, RequestId)>,
    jobs: Vec<DiskJob>,
}

fn game(n: u8) -> GameId {
    GameId::new(format!("game{}", n % 4)).unwrap_or_else(|_| unreachable!("a plain name"))
}

fn peer(n: u8) -> PeerId {
    PeerId([n % 6 + 2; 32])
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n % 6 + 2], 4000))
}

impl Play {
    fn new() -> Self {
        let mut node = Node::new(NodeConfig {
            me: PeerId([1; 32]),
            name: "me".to_owned(),
            addr: SocketAddr::from(([10, 0, 0, 1], 4000)),
            games_dir: "games".into(),
            catalog: Catalog::Open,
            limits: RateLimits::default(),
            rules: OwnerPolicy { accept_wants: true, ..OwnerPolicy::default() },
            seed: 1,
        });
        let finding = DiscoverySettings { introductions: true, remembered: Vec::new(), remember: true };
        node.find_peers(Time::START, finding);
        Self {
            node,
            now: Time::START,
            conns: 0,
            commands: 0,
            open: BTreeSet::new(),
            answered: BTreeSet::new(),
            requests: Vec::new(),
            jobs: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
    }

    fn net(&mut self, input: NetInput) {
        self.input(Input::Net(input));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(Input::Wake);
    }

    fn step(&mut self, operation: u8, script: &mut Script<'_>) {
        match operation % 12 {
            0 => self.connect(script),
            1..=4 => self.message(script),
            5 => self.request(script),
            6 => self.command(script),
            7 => self.disk(script),
            8 => self.close(script),
            9 => self.answer_request(script),
            10 => self.meet(script),
            _ => self.pass(Duration::from_millis(1 << script.small(15))),
        }
    }

    /// Another peer is heard of, or a dial ends.
    fn meet(&mut self, script: &mut Script<'_>) {
        let (n, dialled) = (script.small(6), script.small(2) == 0);
        let (addr, failure) = (addr(n), DialFailure::Unreachable(String::new()));
        let refused = |cause| NetInput::Refused { addr, peer: Some(peer(n)), cause, dialled };
        let sighted = |protocol| {
            let (peer, addrs, means) = (peer(n), vec![addr], Means::Mdns);
            NetInput::Sighted(Sighting { peer, name: None, protocol, addrs, means })
        };
        self.net(match script.small(8) {
            0 => NetInput::DialFailed { addr, failure },
            1 => NetInput::Incompatible { addr, peer: dialled.then(|| peer(n)), theirs: 9 },
            2 => refused(RefusalCause::NotAPeer("noise".to_owned())),
            3 => refused(RefusalCause::Party(PartyMismatch::WrongPassPhrase)),
            4 => NetInput::PeerDialFailed { peer: peer(n), reason: "nobody".to_owned() },
            5 => NetInput::Reached { peer: peer(n), addr },
            6 => sighted(PROTOCOL_VERSION),
            _ => sighted(9),
        });
    }

    fn conn(&self, n: u8) -> ConnId {
        let known = self.open.iter().nth(usize::from(n) % self.open.len().max(1));
        ConnId(known.copied().unwrap_or(99))
    }

    fn connect(&mut self, script: &mut Script<'_>) {
        let n = script.small(6);
        self.conns += 1;
        self.open.insert(self.conns);
        let Ok(name) = PeerName::new(format!("guest {n}")) else { return };
        let hello = Hello { protocol: 1, name, listen_port: 4000, program: String::new() };
        let (conn, dialled) = (ConnId(self.conns), script.small(2) == 0);
        self.net(NetInput::Connected(Connected {
            conn,
            peer: peer(n),
            hello,
            addr: addr(n),
            local_ip: None,
            dialled,
        }));
    }

    /// A peer sends any message that the decoder accepts.
    fn message(&mut self, script: &mut Script<'_>) {
        let conn = self.conn(script.small(8));
        let len = usize::from(script.byte().unwrap_or(0));
        let mut frame = (len as u32).to_le_bytes().to_vec();
        frame.extend(script.take(len));
        if let Ok(Some((message, _))) = split::<Message>(&frame) {
            self.net(NetInput::Message { conn, message });
        }
    }

    fn request(&mut self, script: &mut Script<'_>) {
        let (link, from) = (LinkId(u64::from(script.small(4))), peer(script.small(6)));
        let len = usize::from(script.byte().unwrap_or(0));
        let mut frame = (len as u32).to_le_bytes().to_vec();
        frame.extend(script.take(len));
        match split::<Request>(&frame) {
            Ok(Some((request, _))) => self.net(NetInput::Requested { link, peer: from, request }),
            _ if script.small(2) == 0 => self.net(NetInput::LinkClosed { link }),
            _ => self.net(NetInput::Served {
                link,
                id: RequestId(u64::from(script.small(8))),
                bytes: 1,
                ok: true,
            }),
        }
    }

    fn command(&mut self, script: &mut Script<'_>) {
        self.commands += 1;
        let id = CommandId(self.commands);
        let (which, n) = (script.small(14), script.small(6));
        let command = match which {
            0 => Command::Status,
            1 => Command::ListPeers,
            2 => Command::ListGames,
            3 => Command::WaitPeers { count: usize::from(n), timeout_ms: 1000 },
            4 => Command::Connect { addr: addr(n) },
            5 | 6 => Command::Download { game: game(n), install: which == 5, confirm: None },
            7 => Command::CancelDownload { game: game(n) },
            8 => Command::Install { game: game(n) },
            9 => Command::Uninstall { game: game(n) },
            10 if n % 2 == 0 => Command::RemoveDownload { game: game(n) },
            10 if n == 5 => Command::SetSharing { game: game(n), shared: script.small(2) == 0 },
            10 => Command::DiscardDownload { game: game(n) },
            11 => Command::Room,
            12 => Command::WantGame { game: game(n) },
            _ => Command::SetLimits(RateLimits { upload: Some(1 << n), download: None }),
        };
        self.input(Input::Command { id, command });
    }

    /// The disk finishes the oldest job, with success or not.
    fn disk(&mut self, script: &mut Script<'_>) {
        let well = script.small(3) > 0;
        if self.jobs.is_empty() {
            return;
        }
        let job = self.jobs.remove(0);
        let failed = || DiskError::Other("broken".to_owned());
        let done = if well { Ok(()) } else { Err(failed()) };
        let report = match job {
            DiskJob::Scan => DiskReport::Scanned(scan(script)),
            DiskJob::Index { game, stamp } => DiskReport::Indexed { game, stamp, result: Err(failed()) },
            DiskJob::OpenIncoming { content } => {
                let game = content.manifest().game().clone();
                let none = lanspread_types::ChunkSet::empty(content.manifest().chunk_count());
                DiskReport::IncomingOpened { game, result: done.map(|()| none) }
            }
            DiskJob::Commit { content, .. } => DiskReport::Committed {
                game: content.manifest().game().clone(),
                result: done.map(|()| lanspread_core::io::CommittedGame { stamp: FileStamp(1) }),
            },
            DiskJob::DropIncoming { game, .. } => DiskReport::IncomingDropped { game },
            DiskJob::Install { game } | DiskJob::Reinstall { game } => {
                DiskReport::Installed { game, result: done }
            }
            DiskJob::Uninstall { game } => DiskReport::Uninstalled { game, result: done },
            DiskJob::Remove { game } => DiskReport::Removed { game, result: done },
            DiskJob::Discard { game } => DiskReport::Discarded { game, result: done },
            DiskJob::ChangeGamesDir { .. } => DiskReport::GamesDirChanged { result: done },
            _ => return,
        };
        self.input(Input::Disk(report));
    }

    fn close(&mut self, script: &mut Script<'_>) {
        let conn = self.conn(script.small(8));
        let reason = if script.small(2) == 0 { CloseReason::Lost } else { CloseReason::Goodbye };
        self.open.remove(&conn.0);
        self.net(NetInput::Closed { conn, reason });
    }

    /// A source answers a request or fails, at times under a number that was never used.
    fn answer_request(&mut self, script: &mut Script<'_>) {
        let stray = (peer(script.small(6)), RequestId(u64::from(script.small(16))));
        let (from, id) =
            if self.requests.is_empty() || script.small(4) == 0 { stray } else { self.requests.remove(0) };
        let chunk = ChunkIndex(u32::from(script.small(8)));
        match script.small(4) {
            0 => self.net(NetInput::ChunkStarted { peer: from, id, chunk }),
            1 => self.net(NetInput::ChunkEnded { peer: from, id, chunk, result: Ok(()) }),
            2 => {
                let result = Err(lanspread_core::io::ManifestFault("bad".to_owned()));
                self.net(NetInput::ManifestArrived { peer: from, id, result });
            }
            _ => {
                let failure = RequestFailure::Lost("gone".to_owned());
                self.net(NetInput::RequestFailed { peer: from, id, failure });
            }
        }
    }

    /// Carries out the node's outputs as far as the target needs a runtime.
    fn settle(&mut self, kinds: &mut BTreeSet<u8>) {
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "one input has no end of outputs");
            let Some(output) = self.node.poll_output() else { return };
            match output {
                Output::Send { message, .. } => {
                    let bytes = encode(&message);
                    assert!(bytes.is_ok(), "{message:?} cannot be sent: {bytes:?}");
                    kinds.insert(bytes.map_or(0, |bytes| bytes[4]));
                }
                Output::Reply { id, .. } => {
                    assert!(self.answered.insert(id.0), "command {id:?} is answered twice");
                    kinds.insert(0x80);
                }
                Output::Request { peer, request } => {
                    let ids = request.ids();
                    if !ids.is_empty() {
                        kinds.insert(0x81);
                    }
                    self.requests.extend(ids.into_iter().map(|id| (peer, id)));
                }
                Output::Close { conn, .. } => {
                    self.open.remove(&conn.0);
                    kinds.insert(0x82);
                }
                Output::Disk(job) => {
                    self.jobs.push(job);
                    kinds.insert(0x83);
                }
                Output::Event(event) => {
                    let name = format!("{event:?}");
                    kinds.insert(0x90 | (name.len() as u8 & 0xf));
                }
                Output::CheckCatalog { peer, .. } => {
                    let result = Err("it does not verify".to_owned());
                    self.node.handle(self.now, Input::CatalogChecked { peer, result });
                }
                _ => {}
            }
        }
    }
}

fn scan(script: &mut Script<'_>) -> Scan {
    let count = script.small(4);
    let found = |n: u8, stamp: u8| {
        Some(ScannedGame {
            game: game(n),
            version: GameVersion::new(20_250_101 + u32::from(stamp % 3)).ok(),
            installed: stamp.is_multiple_of(2),
            installed_version: GameVersion::new(20_250_101).ok().filter(|_| stamp.is_multiple_of(4)),
            recorded: None,
            bytes: 100,
            files: 2,
            stamp: FileStamp(u64::from(stamp)),
        })
    };
    let games = (0..count).filter_map(|n| found(n, script.byte().unwrap_or(0))).collect();
    Scan { games, ..Scan::default() }
}

/// Content of the game that peers offer in the seeds.
pub(crate) const CONTENT: ContentId = ContentId([7; 32]);
