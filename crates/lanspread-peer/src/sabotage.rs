//! Faults that show at the border between the brain and its hands: lies, silence, repetition, and what is not done.
//!
//! Only in builds with the feature `sabotage`. It stands in the runtime's way and changes what passes; faults in
//! decisions are failpoints beside the decision. Each is named by a scenario that must notice it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanspread_core::command::{Command, CommandError, CommandId, OperationKind, Reply};
use lanspread_core::event::{DownloadFailure, Event, TransferTotals};
use lanspread_core::io::{CloseReason, ConnId, DiskReport, Input, NetInput, Output, Serving};
use lanspread_core::snapshot::{Availability, GameSnapshot, PeerSnapshot, StatusSnapshot};
use lanspread_types::manifest::{LOCAL_FOLDER, is_archive};
use lanspread_types::message::{ChunkRequest, LibraryUpdate, Message, Request, RequestId};
use lanspread_types::{GameId, PeerId, RelPath, failpoint};

/// Stands between the node and the rest of the runtime.
pub(crate) struct Saboteur {
    games_dir: PathBuf,
    scanned: bool,
    /// Games that this run has downloaded, and those that it has sent chunks of.
    committed: BTreeSet<GameId>,
    served: BTreeSet<GameId>,
    streamed: bool,
    cancelled: bool,
    /// Kinds of events that were swallowed once.
    swallowed: Vec<Discriminant<Event>>,
    doubled: bool,
    /// What `list-games` once showed.
    shown: BTreeMap<GameId, GameSnapshot>,
    downloading: BTreeSet<GameId>,
    conns: HashMap<ConnId, PeerId>,
    /// Downloads that were asked for, by command.
    asked: HashMap<CommandId, GameId>,
}

impl Saboteur {
    pub fn new(games_dir: PathBuf) -> Self {
        Self {
            games_dir,
            scanned: false,
            committed: BTreeSet::new(),
            served: BTreeSet::new(),
            streamed: false,
            cancelled: false,
            swallowed: Vec::new(),
            doubled: false,
            shown: BTreeMap::new(),
            downloading: BTreeSet::new(),
            conns: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// What the node is to hear of it.
    pub fn input(&mut self, mut input: Input) -> Option<Input> {
        let heard = match &mut input {
            Input::Net(net) => self.net(net),
            Input::Disk(report) => self.disk(report),
            Input::Command { id, command: Command::Download { game, install, .. } } => {
                self.asked.insert(*id, game.clone());
                if !*install && failpoint!("install-always") {
                    *install = true;
                } else if *install && failpoint!("install-never") {
                    *install = false;
                }
                true
            }
            _ => true,
        };
        heard.then_some(input)
    }

    fn net(&mut self, net: &NetInput) -> bool {
        match net {
            NetInput::Connected(connected) => {
                self.conns.insert(connected.conn, connected.peer);
            }
            NetInput::Closed { .. } | NetInput::Message { message: Message::Goodbye, .. }
                if failpoint!("keep-stale-peer") =>
            {
                return false;
            }
            NetInput::Requested { request: Request::Cancel { .. }, .. } => self.cancelled = true,
            NetInput::Closed { conn, .. } => {
                self.conns.remove(conn);
            }
            _ => {}
        }
        true
    }

    fn disk(&mut self, report: &mut DiskReport) -> bool {
        match report {
            DiskReport::Scanned(scan) => {
                if self.scanned && failpoint!("never-rescan") {
                    return false;
                }
                // A look at the disk would end this lie of the node's.
                if self.streamed && failpoint!("offer-streamed") {
                    return false;
                }
                self.scanned = true;
                if scan.games.len() > 1 && failpoint!("scan-skip-first-game") {
                    scan.games.remove(0);
                }
                if !scan.games.is_empty() && failpoint!("scan-claim-installed") {
                    scan.games.iter_mut().for_each(|game| game.installed = true);
                }
                if !scan.ignored.is_empty() && failpoint!("forget-ignored-folders") {
                    scan.ignored.clear();
                }
            }
            DiskReport::Committed { game, result: Ok(_) } => {
                self.committed.insert(game.clone());
            }
            DiskReport::Installed { game, result: Ok(()) } => self.spoil_install(game),
            DiskReport::Streamed { game, result: Ok(()) } => {
                self.streamed = true;
                self.spoil_install(game);
            }
            DiskReport::Uninstalled { game, result: Ok(()) } => self.spoil_uninstall(game),
            _ => {}
        }
        true
    }

    fn spoil_install(&self, game: &GameId) {
        let files = files_below(&self.folder(game).join(LOCAL_FOLDER));
        let Some(last) = files.iter().rfind(|path| fs::metadata(path).is_ok_and(|m| m.len() > 0)) else {
            return;
        };
        if failpoint!("unpack-drop-last-entry") {
            let _ = fs::remove_file(last);
        }
        let archives = self.archives(game);
        if !archives.is_empty() && failpoint!("install-removes-archive") {
            archives.iter().for_each(|path| drop(fs::remove_file(path)));
        }
        if failpoint!("unpack-flip-byte") {
            let mut bytes = fs::read(last).unwrap_or_default();
            bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
            let _ = fs::write(last, bytes);
        }
    }

    fn spoil_uninstall(&self, game: &GameId) {
        let folder = self.folder(game);
        let left = folder.join(LOCAL_FOLDER);
        if failpoint!("uninstall-leaves-files") {
            let _ = fs::create_dir_all(&left).and_then(|()| fs::write(left.join("left"), b"left"));
        }
        if failpoint!("uninstall-removes-root") {
            self.archives(game).iter().for_each(|path| drop(fs::remove_file(path)));
        }
    }

    fn archives(&self, game: &GameId) -> Vec<PathBuf> {
        let folder = self.folder(game);
        let is_archive = |path: &PathBuf| RelPath::below(&folder, path).is_ok_and(|rel| is_archive(&rel));
        files_below(&folder).into_iter().filter(is_archive).collect()
    }

    fn folder(&self, game: &GameId) -> PathBuf {
        self.games_dir.join(game.as_str())
    }

    /// What becomes of it.
    pub fn output(&mut self, mut output: Output) -> Vec<Output> {
        match &mut output {
            Output::Request { peer, request: Request::Chunk(ask) }
                if ask.chunk.0 % 8 == 0 && failpoint!("ask-twice") =>
            {
                // Another number, so that it is another request.
                let again = ChunkRequest { id: RequestId(ask.id.0 | 1 << 40), ..ask.clone() };
                let again = Output::Request { peer: *peer, request: Request::Chunk(again) };
                return vec![output, again];
            }
            Output::Send { conn, message: Message::Library(update) }
                if update.base > 0 && failpoint!("reconnect-for-news") =>
            {
                return vec![Output::Close { conn: *conn, reason: CloseReason::Replaced }];
            }
            Output::Event(event) => {
                let events = self.event(event);
                return events.into_iter().map(Output::Event).collect();
            }
            Output::Send { message, .. } => {
                if !self.message(message) {
                    return Vec::new();
                }
            }
            Output::Close { reason: CloseReason::Replaced, .. }
                if failpoint!("keep-duplicate-connections") =>
            {
                return Vec::new();
            }
            Output::Serve { what: Serving::Chunk { content, .. }, .. } => {
                self.served.insert(content.manifest().game().clone());
            }
            Output::Reply { id, result } => self.reply(*id, result),
            _ => {}
        }
        vec![output]
    }

    /// Whether the message goes out.
    fn message(&self, message: &mut Message) -> bool {
        match message {
            Message::Library(update) => {
                let LibraryUpdate { base, games, removed, .. } = update;
                if *base == 0 && failpoint!("forget-library-snapshot") {
                    return false;
                }
                if *base > 0 && failpoint!("forget-library-delta") {
                    return false;
                }
                if !removed.is_empty() && failpoint!("forget-removals") {
                    removed.clear();
                }
                if games.iter().any(|offer| self.committed.contains(&offer.game))
                    && failpoint!("never-serve-downloads")
                {
                    games.retain(|offer| !self.committed.contains(&offer.game));
                }
                true
            }
            _ => true,
        }
    }

    fn reply(&mut self, id: CommandId, result: &mut Result<Reply, CommandError>) {
        match result {
            Ok(Reply::Status(status)) => self.status(status),
            Ok(Reply::Games(list)) => self.games(&mut list.games),
            Ok(Reply::Peers(room)) => self.peers(&mut room.peers),
            Err(CommandError::AmbiguousContent { variants, .. }) if failpoint!("hide-variants") => {
                variants.clear()
            }
            Err(CommandError::OperationInProgress { running, .. })
                if failpoint!("lie-about-operation-kind") =>
            {
                *running = match running {
                    OperationKind::Downloading => OperationKind::Installing,
                    _ => OperationKind::Downloading,
                };
            }
            Err(CommandError::NoSource { .. }) if failpoint!("accept-without-source") => {
                if let Some(game) = self.asked.get(&id).cloned() {
                    *result = Ok(Reply::AlreadyThere { game });
                }
            }
            _ => {}
        }
    }

    fn status(&self, status: &mut StatusSnapshot) {
        if failpoint!("lie-about-count") {
            status.peers += 1;
        }
        if !status.outbound.is_empty() && failpoint!("never-count-transfers") {
            status.outbound.clear();
        }
        let sending = self.cancelled && failpoint!("cancel-keeps-sending");
        if sending || (!self.served.is_empty() && failpoint!("leak-transfer")) {
            status.outbound = self.served.iter().map(|game| (game.clone(), 1)).collect();
        }
    }

    fn games(&mut self, games: &mut Vec<GameSnapshot>) {
        if games.iter().any(|game| game.peer_count > 0) && failpoint!("lie-about-peer-count") {
            games.iter_mut().filter(|game| game.peer_count > 0).for_each(|game| game.peer_count += 1);
        }
        if games.iter().any(|game| game.peer_count > 1) && failpoint!("list-games-per-peer") {
            let each = |game: &GameSnapshot| {
                let copies = game.peer_count.max(1);
                let one = GameSnapshot { peer_count: game.peer_count.min(1), ..game.clone() };
                vec![one; copies]
            };
            *games = games.iter().flat_map(each).collect();
        }
        for game in games.iter().filter(|game| game.availability == Availability::Remote) {
            let most = self.shown.entry(game.game.clone()).or_insert_with(|| game.clone());
            if game.peer_count >= most.peer_count {
                *most = game.clone();
            }
        }
        for (id, before) in &self.shown {
            match games.iter_mut().find(|game| game.game == *id) {
                Some(game) if game.peer_count < before.peer_count && failpoint!("keep-lost-count") => {
                    game.peer_count = before.peer_count;
                }
                None if failpoint!("keep-lost-library") => games.push(before.clone()),
                _ => {}
            }
        }
    }

    fn peers(&self, peers: &mut Vec<PeerSnapshot>) {
        let conns = |peer: &PeerId| self.conns.values().filter(|of| *of == peer).count().max(1);
        if peers.iter().any(|peer| conns(&peer.peer) > 1) && failpoint!("keep-duplicate-connections") {
            *peers = peers.iter().flat_map(|peer| vec![peer.clone(); conns(&peer.peer)]).collect();
        }
    }

    /// What is told instead of the event.
    fn event(&mut self, event: &mut Event) -> Vec<Event> {
        self.lie(event);
        if self.is_swallowed(event) {
            return Vec::new();
        }
        let twice = match event {
            Event::DownloadChunkFinished { .. } => !self.doubled && failpoint!("duplicate-event-chunk"),
            Event::DownloadFinished { .. } => failpoint!("commit-twice"),
            _ => false,
        };
        self.doubled |= twice;
        let twice = twice || (!is_progress(event) && failpoint!("duplicate-event"));
        vec![event.clone(); 1 + usize::from(twice)]
    }

    fn is_swallowed(&mut self, event: &Event) -> bool {
        let always = match event {
            Event::PeerConnected { .. } => failpoint!("drop-event-peer-connected"),
            Event::GotGameFiles { .. } => failpoint!("drop-event-got-game-files"),
            Event::DownloadPeersGone { .. } => failpoint!("drop-event-peers-gone"),
            Event::LocalLibraryChanged { .. } => failpoint!("forget-library-event"),
            Event::SourceRejected { .. } => failpoint!("blame-nobody"),
            _ => false,
        };
        let kind = discriminant(event);
        let first = !self.swallowed.contains(&kind) && !is_progress(event);
        // Nothing could begin without it.
        let first = first && !matches!(event, Event::LocalPeerReady { .. }) && failpoint!("drop-event");
        if first {
            self.swallowed.push(kind);
        }
        always || first
    }

    fn lie(&mut self, event: &mut Event) {
        match event {
            Event::LocalPeerReady { games, .. } => *games += usize::from(failpoint!("ready-wrong-count")),
            Event::RemoteLibraryChanged { games, .. } => *games += usize::from(failpoint!("lie-about-count")),
            Event::ActiveOperationsChanged { operations } => {
                let downloads = operations.iter().filter(|o| o.kind == OperationKind::Downloading);
                self.downloading = downloads.map(|o| o.game.clone()).collect();
            }
            Event::GotGameFiles { files, chunks, .. } => {
                *files -= usize::from(failpoint!("lie-about-file-count"));
                *chunks += u32::from(failpoint!("lie-about-count"));
            }
            Event::DownloadBegin { had_bytes, .. } if *had_bytes > 0 && failpoint!("lie-about-had-bytes") => {
                *had_bytes += 1 << 16;
            }
            Event::DownloadChunkFinished { game, .. }
                if self.downloading.len() > 1 && failpoint!("mix-up-games") =>
            {
                let other = self.downloading.iter().find(|other| *other != game).cloned();
                *game = other.unwrap_or_else(|| game.clone());
            }
            Event::DownloadFinished { totals, .. } | Event::DownloadCancelled { totals, .. } => {
                lie_about(totals)
            }
            Event::DownloadFailed { game, failure, totals } => {
                lie_about(totals);
                if let DownloadFailure::AmbiguousContent(variants) = failure
                    && failpoint!("hide-variants-in-event")
                {
                    variants.clear();
                }
                if failpoint!("leave-empty-root") {
                    let _ = fs::create_dir_all(self.games_dir.join(game.as_str()));
                }
            }
            _ => {}
        }
    }
}

fn lie_about(totals: &mut TransferTotals) {
    if totals.chunks == 0 {
        return;
    }
    totals.chunks += u64::from(failpoint!("lie-about-count"));
    totals.bytes += u64::from(failpoint!("lie-about-bytes"));
    if failpoint!("lie-about-duration") {
        totals.duration += Duration::from_secs(5);
    }
    if let Some(source) = totals.sources.first_mut()
        && failpoint!("lie-about-source-bytes")
    {
        source.bytes += 1;
    }
}

/// Events that come as often as it suits.
fn is_progress(event: &Event) -> bool {
    matches!(event, Event::DownloadProgress(_) | Event::IndexProgress { .. } | Event::InstallProgress { .. })
}

/// All files below a folder, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files.sort();
    files
}
