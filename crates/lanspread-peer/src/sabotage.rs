//! Faults for tests at the border between the node and the runtime: lies, silence, repetition and omissions.
//!
//! Built only with the feature `sabotage`. The saboteur sees every input and output and changes some of them; faults in
//! decisions are failpoints beside the decision. A scenario names each fault and must notice it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanspread_core::command::{Command, CommandError, CommandId, OperationKind, Reply};
use lanspread_core::event::{DownloadFailure, DownloadTotals, Event};
use lanspread_core::io::{CloseReason, ConnId, DiskReport, Input, NetInput, Output, Serving};
use lanspread_core::snapshot::{Availability, GameSnapshot, PeerSnapshot, StatusSnapshot};
use lanspread_types::manifest::{LOCAL_FOLDER, is_archive};
use lanspread_types::message::{ChunkRequest, LibraryUpdate, Message, Request, RequestId};
use lanspread_types::{GameId, PeerId, RelPath, failpoint};

/// Filter between the node and the rest of the runtime.
pub(crate) struct Saboteur {
    games_dir: PathBuf,
    /// The first scan has been reported.
    scanned: bool,
    /// Games that this run has downloaded.
    committed: BTreeSet<GameId>,
    /// Games of which this run has sent chunks.
    served: BTreeSet<GameId>,
    /// A streamed install has succeeded.
    streamed: bool,
    /// A receiver has cancelled a request.
    cancelled: bool,
    /// A download that was cancelled here.
    given_up: Option<GameId>,
    /// Kinds of events that were swallowed once.
    swallowed: Vec<Discriminant<Event>>,
    /// An event of a chunk was doubled once.
    doubled: bool,
    /// Games of other peers as `list-games` once showed them, with the highest number of peers.
    shown: BTreeMap<GameId, GameSnapshot>,
    /// Games that are being downloaded.
    downloading: BTreeSet<GameId>,
    /// Number of chunks that each source has served.
    chunks_from: BTreeMap<PeerId, u64>,
    conns: HashMap<ConnId, PeerId>,
    /// Games of the `Download` commands, by command.
    asked: HashMap<CommandId, GameId>,
}

impl Saboteur {
    /// Makes a saboteur that may also change files in this games folder.
    pub fn new(games_dir: PathBuf) -> Self {
        Self {
            games_dir,
            scanned: false,
            committed: BTreeSet::new(),
            served: BTreeSet::new(),
            streamed: false,
            cancelled: false,
            given_up: None,
            swallowed: Vec::new(),
            doubled: false,
            shown: BTreeMap::new(),
            downloading: BTreeSet::new(),
            chunks_from: BTreeMap::new(),
            conns: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Returns the input that the node gets instead, if any.
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

    /// Returns true if the node gets the input.
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

    /// Changes a report; returns true if the node gets it.
    fn disk(&mut self, report: &mut DiskReport) -> bool {
        match report {
            DiskReport::Scanned(scan) => {
                if self.scanned && failpoint!("never-rescan") {
                    return false;
                }
                // A scan would correct the false offer of the streamed game.
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

    /// Damages the files of a fresh install.
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

    /// Leaves files behind after an uninstall, or removes too many.
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

    /// Returns the outputs that are carried out instead.
    pub fn output(&mut self, mut output: Output) -> Vec<Output> {
        match &mut output {
            Output::Request { peer, request: Request::Chunk(ask) }
                if ask.chunk.0 % 8 == 0 && failpoint!("ask-twice") =>
            {
                // With another id, so that it counts as another request.
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

    /// Changes a message; returns true if it goes out.
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
        if matches!(result, Err(CommandError::NoSource { .. })) && failpoint!("refuse-late") {
            std::thread::sleep(Duration::from_secs(3));
        }
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

    /// Returns the events that are emitted instead.
    fn event(&mut self, event: &mut Event) -> Vec<Event> {
        self.lie(event);
        if self.is_swallowed(event) {
            return Vec::new();
        }
        match event {
            Event::DownloadFinished { game, .. } | Event::InstallFinished { game }
                if failpoint!("fail-unasked") =>
            {
                let (game, failure) = (game.clone(), DownloadFailure::NoSource);
                let failed = Event::DownloadFailed { game, failure, totals: DownloadTotals::default() };
                return vec![event.clone(), failed];
            }
            _ => {}
        }
        let twice = match event {
            Event::DownloadChunkFinished { .. } => !self.doubled && failpoint!("duplicate-event-chunk"),
            Event::DownloadFinished { .. } => failpoint!("commit-twice"),
            _ => false,
        };
        self.doubled |= twice;
        let twice = twice || (!is_progress(event) && failpoint!("duplicate-event"));
        let mut events = vec![event.clone(); 1 + usize::from(twice)];
        events.extend(self.late_failure(event));
        events
    }

    /// Returns the failure of a cancelled download that still minds the loss of a peer.
    fn late_failure(&mut self, event: &Event) -> Option<Event> {
        match event {
            Event::DownloadCancelled { game, .. } => self.given_up = Some(game.clone()),
            Event::PeerLost { .. } if self.given_up.is_some() && failpoint!("cancel-fails-later") => {
                let (failure, totals) = (DownloadFailure::SourcesGone, DownloadTotals::default());
                return self.given_up.take().map(|game| Event::DownloadFailed { game, failure, totals });
            }
            _ => {}
        }
        None
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
        // Without `LocalPeerReady` no scenario could begin.
        let first = first && !matches!(event, Event::LocalPeerReady { .. }) && failpoint!("drop-event");
        if first {
            self.swallowed.push(kind);
        }
        always || first
    }

    /// Returns the source that has served the fewest chunks.
    fn idle_source(&self) -> Option<PeerId> {
        self.chunks_from.iter().min_by_key(|(_, chunks)| **chunks).map(|(peer, _)| *peer)
    }

    /// Counts a chunk for its source. Returns whether another source gets the credit: for one in 2 MiB, so that it is
    /// little in all.
    fn is_credited_to_idle(&mut self, offset: u64, peer: &PeerId) -> bool {
        *self.chunks_from.entry(*peer).or_default() += 1;
        let other = self.idle_source().is_some_and(|idle| idle != *peer);
        other && offset.is_multiple_of(2 << 20) && failpoint!("credit-idle-source")
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
            Event::DownloadChunkFinished { offset, peer, .. } if self.is_credited_to_idle(*offset, peer) => {
                *peer = self.idle_source().unwrap_or(*peer);
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

fn lie_about(totals: &mut DownloadTotals) {
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

/// Returns true for events whose number is not fixed.
fn is_progress(event: &Event) -> bool {
    matches!(event, Event::DownloadProgress(_) | Event::IndexProgress { .. } | Event::InstallProgress { .. })
}

/// Returns all files below a folder, sorted.
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
