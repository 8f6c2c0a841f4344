//! Commands of the owner, and the commands that wait for something to happen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lanspread_types::{ContentId, GameId, GameVersion, PeerId, failpoint};

use super::Node;
use crate::agreement::{Agreed, Disagreement};
use crate::api::command::{Command, CommandError, CommandId, OperationKind, Priority, RateLimits, Reply};
use crate::api::event::{DownloadFailure, DownloadTotals, Event};
use crate::api::snapshot::{
    Availability, GameListSnapshot, GameSnapshot, StatusSnapshot, SwarmSnapshot, SwarmSource,
};
use crate::download::Download;
use crate::io::{CloseReason, DiskError, DiskJob, Output, Play};
use crate::library::LocalGame;
use crate::limits::LISTED_GAMES_MAX;
use crate::swarm::SourceFigures;
use crate::time::Time;

/// Commands that wait for something to happen.
#[derive(Debug, Default)]
pub struct PendingCommands {
    /// Commands to connect to an address that is being dialled.
    pub connects: Vec<(CommandId, SocketAddr)>,
    /// Commands that wait for a number of connected peers.
    pub peers: Vec<PeerWait>,
    /// The command that moves the library, and the new folder.
    pub games_dir: Option<(CommandId, PathBuf)>,
    /// Games that are being verified and should be repaired.
    pub repairs: BTreeSet<GameId>,
    /// Commands to play a game, by game.
    pub plays: BTreeMap<GameId, CommandId>,
    /// Starts of games whose program the disk looks at first.
    pub starts: BTreeMap<GameId, Play>,
    /// Commands to shut down. The node is stopping if there is one.
    pub shutdown: Vec<CommandId>,
}

impl PendingCommands {
    /// Returns true if a `Connect` command waits for this address.
    pub fn is_typed(&self, addr: SocketAddr) -> bool {
        self.connects.iter().any(|(_, wanted)| *wanted == addr)
    }
}

/// A command that waits for connected peers.
#[derive(Debug, Clone, Copy)]
pub struct PeerWait {
    /// The command to answer.
    pub id: CommandId,
    /// Number of peers to wait for.
    pub wanted: usize,
    /// When the wait fails.
    pub deadline: Time,
}

impl Node {
    pub(super) fn handle_command(&mut self, now: Time, id: CommandId, command: Command) {
        if self.is_stopping() && command != Command::Shutdown {
            return self.outbox.reply(id, Err(CommandError::ShuttingDown));
        }
        match command {
            Command::Status => self.outbox.reply(id, Ok(Reply::Status(Box::new(self.status(now))))),
            Command::ListPeers => {
                let peers = self.dialling.peer_list(&self.roster);
                self.outbox.reply(id, Ok(Reply::Peers(peers)));
            }
            Command::ListGames => self.outbox.reply(id, Ok(Reply::Games(self.game_list()))),
            Command::WaitPeers { count, timeout_ms } => {
                let deadline = now + Duration::from_millis(timeout_ms);
                self.pending.peers.push(PeerWait { id, wanted: count, deadline });
                self.answer_peer_waits(now);
            }
            Command::Connect { addr } => self.connect(id, addr),
            Command::Download { game, install, confirm } => self.download(now, id, &game, install, confirm),
            Command::StreamInstall { game } => self.stream_install(now, id, &game),
            Command::CancelDownload { game } => self.cancel(now, id, &game),
            Command::Install { game } => self.install(id, &game),
            Command::AllowUnpacked { game, bytes, command } => {
                self.outbox.job(DiskJob::AllowUnpacked { game, bytes });
                self.handle_command(now, id, *command);
            }
            Command::Uninstall { game } => self.uninstall(id, &game),
            Command::RemoveDownload { game } => self.remove(now, id, &game),
            Command::DiscardDownload { game } => self.discard(id, &game),
            Command::Verify { game, repair } => self.verify(id, &game, repair),
            Command::Play { game, user_name, language, launch, confirm } => {
                self.play(id, &game, (user_name, language), launch, confirm);
            }
            Command::SetLimits(limits) => {
                self.set_limits(now, limits);
                self.outbox.reply(id, Ok(Reply::Done));
            }
            Command::SetPriority { game, priority } => self.set_priority(now, id, &game, priority),
            Command::SetSharing { game, shared } => self.set_sharing(id, game, shared),
            Command::Room => self.ask_room(now, id),
            Command::WantGame { game } => self.want_game(id, &game),
            Command::TrustCatalog { organiser } => self.trust_catalog(now, id, organiser),
            Command::DeclineCatalog { organiser } => self.decline_catalog(id, organiser),
            Command::SetGamesDir { path } => {
                if !self.operations.is_empty() || self.pending.games_dir.is_some() {
                    return self.outbox.reply(id, Err(CommandError::Busy));
                }
                self.pending.games_dir = Some((id, path.clone()));
                self.outbox.job(DiskJob::ChangeGamesDir { path });
            }
            Command::Shutdown => self.shutdown(now, id),
        }
    }

    fn status(&self, now: Time) -> StatusSnapshot {
        let mut operations = self.operations.snapshot();
        for operation in &mut operations {
            if let Some(transfer) = self.downloads.get(&operation.game).and_then(Download::transfer) {
                operation.done = transfer.had_bytes();
                operation.total = transfer.total_bytes();
            }
        }
        StatusSnapshot {
            peer: self.config.me,
            name: self.config.name.clone(),
            addr: self.config.addr,
            games_dir: self.config.games_dir.clone(),
            catalogued: matches!(self.config.catalog, crate::catalog::Catalog::Listed { .. }),
            catalog: self.catalog_mode(),
            catalog_offered: self.offered_catalogs(),
            accepts_wants: self.config.rules.accept_wants,
            party: self.config.rules.party.clone(),
            peers: self.roster.len(),
            refused: self.refused_list(now),
            library_fault: self.library.fault().cloned(),
            library_read_only: self.library.is_read_only() && !failpoint!("hide-read-only"),
            operations,
            swarms: self.downloads.iter().filter_map(|download| self.swarm_snapshot(now, download)).collect(),
            limits: self.downloads.limits(),
            outbound: self.uploads.uplink.active_per_game().into_iter().collect(),
            traffic: self.traffic,
        }
    }

    fn swarm_snapshot(&self, now: Time, download: &Download) -> Option<SwarmSnapshot> {
        let transfer = download.transfer()?;
        let picker = &transfer.picker;
        let bytes_per_second = transfer.rate(download.started(), now);
        let rates = transfer.rates(download.started(), now);
        let source = |(peer, figures): (PeerId, SourceFigures)| SwarmSource {
            peer,
            name: self.roster.name_of(&peer),
            chunks_has: figures.has,
            bytes: figures.bytes,
            bytes_per_second: rates.get(&peer).copied().unwrap_or(0),
        };
        Some(SwarmSnapshot {
            game: download.game.clone(),
            priority: download.priority,
            chunks_had: picker.had().count(),
            chunks_total: picker.had().len(),
            copies: picker.copies_in_room(),
            bytes_per_second,
            seconds_left: transfer.seconds_left(now),
            sources: picker.sources().map(source).collect(),
        })
    }

    pub(super) fn set_limits(&mut self, now: Time, limits: RateLimits) {
        self.downloads.set_limits(limits, now);
        self.uploads.uplink.set_limit(limits.upload, now);
        self.pump_uplink(now);
        self.pump_downloads(now);
    }

    fn set_priority(&mut self, now: Time, id: CommandId, game: &GameId, priority: Priority) {
        let Some(download) = self.downloads.get_mut(game) else {
            return self.outbox.reply(id, Err(CommandError::NotDownloading { game: game.clone() }));
        };
        download.priority = priority;
        self.pump_downloads(now);
        self.outbox.reply(id, Ok(Reply::Done));
    }

    fn set_sharing(&mut self, id: CommandId, game: GameId, shared: bool) {
        if !self.config.catalog.knows(&game) {
            return self.outbox.reply(id, Err(CommandError::UnknownGame { game }));
        }
        self.library.set_private(game, !shared);
        self.announce_library();
        self.outbox.reply(id, Ok(Reply::Done));
    }

    /// Returns every game that is here, is being downloaded, or is offered in the version that counts. Of the games
    /// that are neither here nor in the catalogue, it returns at most [`LISTED_GAMES_MAX`], those that most peers
    /// offer.
    fn game_list(&self) -> GameListSnapshot {
        let known = |game: &GameId| self.config.catalog.knows(game) || failpoint!("list-unknown-games");
        let is_listed = |game: &GameId| self.config.catalog.entry(game).is_some();
        let offered = self.roster.offer_table().games().filter(|(game, _)| known(game));
        let (mut games, mut others): (Vec<_>, Vec<_>) = offered.partition(|(game, _)| is_listed(game));
        let left_out = others.len().saturating_sub(LISTED_GAMES_MAX);
        if left_out > 0 {
            others.select_nth_unstable_by_key(LISTED_GAMES_MAX - 1, |(game, peers)| (Reverse(*peers), *game));
            others.truncate(LISTED_GAMES_MAX);
        }
        games.append(&mut others);
        let here = self.library.iter().map(|(game, _)| game).filter(|game| self.config.catalog.knows(game));
        // A running download is listed even while no peer offers the game.
        let all: BTreeSet<&GameId> =
            games.into_iter().map(|(game, _)| game).chain(here).chain(self.downloads.games()).collect();
        let games = all.into_iter().filter_map(|game| self.game_snapshot(game)).collect();
        GameListSnapshot { games, left_out }
    }

    fn game_snapshot(&self, game: &GameId) -> Option<GameSnapshot> {
        let all = self.offers(game);
        let version = self.wanted_among(game, &all);
        let entry = self.config.catalog.entry(game);
        let pinned = self.pinned_content(game);
        let counts = |offer: &lanspread_types::message::GameOffer| {
            let right_version = Some(offer.version) == version || failpoint!("ignore-version");
            right_version && pinned.is_none_or(|content| content == offer.content)
        };
        let mut offers = self.roster.offer_table().variants(game);
        offers.retain(|(offer, _)| counts(offer));
        let peer_count = offers.iter().map(|(_, peers)| peers).sum();
        let bytes = offers.first().map(|(offer, _)| offer.bytes);
        let local = self.library.get(game);
        let availability = match local {
            Some(_) if self.library.is_announced(game) => Availability::Ready,
            Some(_) => Availability::LocalOnly,
            None if offers.is_empty() && self.downloads.get(game).is_none() => return None,
            None => Availability::Remote,
        };
        let standing = self.standing(game, version, &all);
        Some(GameSnapshot {
            game: game.clone(),
            title: entry.and_then(|e| e.title.clone()),
            about: entry.map(|e| e.about.clone()).unwrap_or_default(),
            downloaded: local.is_some_and(LocalGame::downloaded),
            installed: local.is_some_and(|l| l.installed),
            installed_version: local.and_then(|l| l.installed_version),
            availability,
            local_version: local.and_then(|l| l.version),
            version,
            content: self.library.content_of(game),
            peer_count,
            bytes: local.filter(|l| l.downloaded()).map(|l| l.bytes).or(bytes).unwrap_or(0),
            support: standing.support,
            voices: standing.voices,
            supplier: standing.supplier,
            offered_content: standing.offered_content,
            update_needs_confirmation: standing.update_needs_confirmation,
            dated_ahead: local.is_some_and(|l| l.is_dated_ahead(self.today)),
            private: self.library.is_private(game),
        })
    }

    fn connect(&mut self, id: CommandId, addr: SocketAddr) {
        if addr == self.config.addr && !failpoint!("accept-self") {
            let failure = crate::io::DialFailure::OwnAddress;
            return self.outbox.reply(id, Err(CommandError::ConnectFailed { addr, failure }));
        }
        if let Some(peer) = self.roster.at_addr(addr) {
            let snapshot = self.dialling.peer_snapshot(peer, &self.roster);
            return self.outbox.reply(id, Ok(Reply::Connected(snapshot)));
        }
        self.pending.connects.push((id, addr));
        self.outbox.push(Output::Dial { addr });
    }

    /// Starts a download, unless the wanted version is here or the owner must be asked first. `confirm` is the content
    /// that the owner has agreed to.
    pub(super) fn download(
        &mut self,
        now: Time,
        id: CommandId,
        game: &GameId,
        install: bool,
        confirm: Option<ContentId>,
    ) {
        if let Err(error) = self.check_command(game) {
            return self.outbox.reply(id, Err(error));
        }
        if let Err(error) = self.check_name(game) {
            return self.outbox.reply(id, Err(error));
        }
        let named = confirm.and_then(|content| self.named_content(game, content));
        let version = named.as_ref().map_or_else(|| self.wanted_version(game), |named| Some(named.version));
        let here = named.as_ref().is_none_or(|n| self.library.content_of(game) == Some(n.content));
        if here && self.is_here(game, version) {
            if let Some(job) = self.install_due(game, false).filter(|_| install) {
                self.start_install(game, job);
            }
            return self.outbox.reply(id, Ok(Reply::AlreadyThere { game: game.clone() }));
        }
        let chosen = named.map_or_else(|| self.choose_content(game, version), Ok);
        let question = chosen.as_ref().ok().and_then(|agreed| self.replacement(game, agreed));
        let has_word =
            |content| confirm == Some(content) || confirm.is_some() && failpoint!("replace-on-any-word");
        if let Some(question) = question.filter(|question| !has_word(question.new_content)) {
            return self.outbox.reply(id, Err(CommandError::UnconfirmedSource(Box::new(question))));
        }
        let new = |content, version| Download::new(game.clone(), version, content, install, now);
        self.start_download(now, id, game, OperationKind::Downloading, (version, chosen), new);
    }

    /// Starts a download of the chosen content, and answers the command.
    pub(super) fn start_download(
        &mut self,
        now: Time,
        id: CommandId,
        game: &GameId,
        kind: OperationKind,
        (version, chosen): (Option<GameVersion>, Result<Agreed, Disagreement>),
        new: impl FnOnce(ContentId, GameVersion) -> Download,
    ) {
        if let Err(error) = self.check_writable() {
            return self.outbox.reply(id, Err(error));
        }
        match chosen {
            Ok(agreed) => {
                let origin = self.origin_of(game, &agreed);
                let Agreed { content, version, bytes, .. } = agreed;
                self.operations.start(game, kind);
                self.operations.progress(game, 0, bytes);
                self.outbox
                    .reply(id, Ok(Reply::DownloadStarted { game: game.clone(), version, content, bytes }));
                self.operations_changed();
                self.downloads.insert(new(content, version).from(origin));
                self.search_manifest(now, game);
            }
            Err(disagreement) => self.refuse_download(id, game, version, disagreement),
        }
    }

    /// Starts a download that no command waits for, on a wish of another peer.
    pub(super) fn begin_download(&mut self, now: Time, game: &GameId, agreed: &Agreed, install: bool) {
        self.operations.start(game, OperationKind::Downloading);
        self.operations.progress(game, 0, agreed.bytes);
        self.operations_changed();
        let origin = self.origin_of(game, agreed);
        let download = Download::new(game.clone(), agreed.version, agreed.content, install, now);
        self.downloads.insert(download.from(origin));
        self.search_manifest(now, game);
    }

    /// Refuses a download that cannot start: the reason is returned as an error and emitted as an event.
    fn refuse_download(
        &mut self,
        id: CommandId,
        game: &GameId,
        version: Option<GameVersion>,
        disagreement: Disagreement,
    ) {
        let game = game.clone();
        let (error, failure) = match disagreement {
            Disagreement::NoSource => match self.version_ahead(&game) {
                Some(error) => (error, DownloadFailure::VersionAhead),
                None => (CommandError::NoSource { game: game.clone(), version }, DownloadFailure::NoSource),
            },
            Disagreement::Ambiguous(variants) => (
                CommandError::AmbiguousContent { game: game.clone(), variants: variants.clone() },
                DownloadFailure::AmbiguousContent(variants),
            ),
        };
        failpoint!("leave-operation", self.leave_operation(&game));
        self.outbox.event(Event::DownloadFailed { game, failure, totals: DownloadTotals::default() });
        self.outbox.reply(id, Err(error));
    }

    fn cancel(&mut self, now: Time, id: CommandId, game: &GameId) {
        match self.operations.kind(game) {
            Some(OperationKind::Downloading | OperationKind::Streaming)
                if self.cancel_download(now, game) => {}
            Some(OperationKind::Installing | OperationKind::Verifying) => {
                self.outbox.job(DiskJob::Cancel { game: game.clone() });
            }
            _ => return self.outbox.reply(id, Err(CommandError::NothingToCancel { game: game.clone() })),
        }
        self.outbox.reply(id, Ok(Reply::Done));
    }

    fn install(&mut self, id: CommandId, game: &GameId) {
        let local = self.library.get(game);
        let checked = self.check_change(game).and_then(|()| match local {
            Some(local) if local.installed && !local.is_outdated() => {
                Err(CommandError::AlreadyInstalled { game: game.clone() })
            }
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if let Some(job) = self.install_due(game, false).filter(|_| checked.is_ok()) {
            self.start_install(game, job);
        }
        self.outbox.reply(id, checked.map(|()| Reply::Done));
    }

    fn uninstall(&mut self, id: CommandId, game: &GameId) {
        let checked = self.check_change(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.installed => Ok(()),
            _ => Err(CommandError::NotInstalled { game: game.clone() }),
        });
        if checked.is_ok() {
            self.operations.start(game, OperationKind::Uninstalling);
            self.operations_changed();
            self.outbox.job(DiskJob::Uninstall { game: game.clone() });
        }
        self.outbox.reply(id, checked.map(|()| Reply::Done));
    }

    fn remove(&mut self, now: Time, id: CommandId, game: &GameId) {
        let checked = self.check_change(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if checked.is_ok() {
            self.operations.start(game, OperationKind::Removing);
            self.operations_changed();
            // Withdrawn before the first file is deleted, so that no peer relies on it.
            self.announce_library();
            if let Some(content) = self.library.content_of(game) {
                self.uploads.content_gone(&content);
                self.pump_uplink(now);
            }
            self.outbox.job(DiskJob::Remove { game: game.clone() });
        }
        self.outbox.reply(id, checked.map(|()| Reply::Done));
    }

    fn discard(&mut self, id: CommandId, game: &GameId) {
        let checked = self.check_change(game);
        if checked.is_ok() {
            self.operations.start(game, OperationKind::Removing);
            self.operations_changed();
            self.outbox.job(DiskJob::Discard { game: game.clone() });
        }
        self.outbox.reply(id, checked.map(|()| Reply::Done));
    }

    /// Fails if the catalogue does not know the game or an operation runs on it.
    pub(super) fn check_command(&self, game: &GameId) -> Result<(), CommandError> {
        if !self.config.catalog.knows(game) && !failpoint!("command-unknown-games") {
            return Err(CommandError::UnknownGame { game: game.clone() });
        }
        self.operations.check_idle(game)
    }

    /// Fails if the game's folder may not be changed now.
    pub(super) fn check_change(&self, game: &GameId) -> Result<(), CommandError> {
        self.check_command(game)?;
        self.check_writable()
    }

    /// Fails if the games folder cannot be written.
    pub(super) fn check_writable(&self) -> Result<(), CommandError> {
        if !self.library.is_read_only() || failpoint!("change-read-only") {
            return Ok(());
        }
        let folder = self.config.games_dir.display();
        let why = format!("the games folder {folder} is read-only, so nothing in it can be changed");
        Err(CommandError::Disk(DiskError::ReadOnly(why)))
    }

    /// Fails if a game, a download or a folder that is no game has a name that differs only in capitals: some systems
    /// take both names for one folder. The rule is the same on every system, so that all peers know the same games.
    pub(super) fn check_name(&self, game: &GameId) -> Result<(), CommandError> {
        if self.library.get(game).is_some() {
            return Ok(());
        }
        let games = self.library.iter().map(|(game, _)| game.as_str());
        let coming = self.downloads.games().map(GameId::as_str);
        let folders = self.library.ignored().iter().map(|folder| folder.name.as_str());
        let alike = |other: &&str| *other != game.as_str() && other.eq_ignore_ascii_case(game.as_str());
        match games.chain(coming).chain(folders).find(alike) {
            Some(other) => Err(CommandError::NameTaken { game: game.clone(), other: other.to_owned() }),
            None => Ok(()),
        }
    }

    fn start_install(&mut self, game: &GameId, job: DiskJob) {
        self.operations.start(game, OperationKind::Installing);
        self.operations_changed();
        self.begin_install(game, job);
    }

    /// Starts an install that already stands among the operations.
    pub(super) fn begin_install(&mut self, game: &GameId, job: DiskJob) {
        self.outbox.event(Event::InstallBegin { game: game.clone() });
        self.outbox.job(job);
    }

    pub(super) fn answer_peer_waits(&mut self, now: Time) {
        let have = self.roster.len();
        let (done, waiting): (Vec<PeerWait>, Vec<PeerWait>) =
            self.pending.peers.drain(..).partition(|wait| have >= wait.wanted || now >= wait.deadline);
        self.pending.peers = waiting;
        for PeerWait { id, wanted, .. } in done {
            let enough = have >= wanted;
            let answer = if enough {
                Ok(Reply::PeerCount(have))
            } else {
                Err(CommandError::WaitTimedOut { have, wanted })
            };
            self.outbox.reply(id, answer);
        }
    }

    fn shutdown(&mut self, now: Time, id: CommandId) {
        let first = !self.is_stopping();
        self.pending.shutdown.push(id);
        if !first {
            return;
        }
        self.roster.iter().for_each(|peer| self.outbox.close(peer.conn, CloseReason::Leaving));
        self.dialling.remember_now(true, &mut self.outbox);
        for (wait, _) in std::mem::take(&mut self.pending.connects) {
            self.outbox.reply(wait, Err(CommandError::ShuttingDown));
        }
        for wait in self.room.take_askers() {
            self.outbox.reply(wait, Err(CommandError::ShuttingDown));
        }
        for wait in std::mem::take(&mut self.pending.peers) {
            self.outbox.reply(wait.id, Err(CommandError::ShuttingDown));
        }
        for game in self.operations.games() {
            self.stop_operation(now, &game);
        }
        self.stop_when_idle();
    }

    fn stop_operation(&mut self, now: Time, game: &GameId) {
        match self.operations.kind(game) {
            Some(OperationKind::Downloading | OperationKind::Streaming) => self.abandon_download(now, game),
            Some(OperationKind::Installing | OperationKind::Verifying) => {
                self.outbox.job(DiskJob::Cancel { game: game.clone() });
            }
            _ => {}
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        !self.pending.shutdown.is_empty()
    }

    /// Stops the node once no operation is left.
    pub(super) fn stop_when_idle(&mut self) {
        if !self.is_stopping() || !self.operations.is_empty() {
            return;
        }
        self.outbox.push(Output::Stopped);
        for id in self.pending.shutdown.clone() {
            self.outbox.reply(id, Ok(Reply::Done));
        }
    }
}
