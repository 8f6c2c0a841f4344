//! What the user asks for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lanspread_types::{ContentId, GameId, GameVersion, PeerId, failpoint};

use super::Node;
use crate::agreement::{Agreed, Disagreement};
use crate::command::{Command, CommandError, CommandId, OperationKind, Priority, RateLimits, Reply};
use crate::event::{DownloadFailure, Event, TransferTotals};
use crate::fetch::Fetch;
use crate::io::{CloseReason, DiskJob, Output, Play};
use crate::library::LocalGame;
use crate::limits::LISTED_GAMES_MAX;
use crate::snapshot::{
    Availability, GameListSnapshot, GameSnapshot, StatusSnapshot, SwarmSnapshot, SwarmSource,
};
use crate::swarm::SourceFigures;
use crate::time::Time;

/// Commands that wait for something to happen.
#[derive(Debug, Default)]
pub struct Waiting {
    pub connects: Vec<(CommandId, SocketAddr)>,
    pub peers: Vec<PeerWait>,
    /// The folder that the library is to have.
    pub games_dir: Option<(CommandId, PathBuf)>,
    /// Games that are verified, and are to be repaired.
    pub repairs: BTreeSet<GameId>,
    pub plays: BTreeMap<GameId, CommandId>,
    /// Starts of games that are looked at first.
    pub starts: BTreeMap<GameId, Play>,
    pub shutdown: Vec<CommandId>,
}

#[derive(Debug, Clone, Copy)]
pub struct PeerWait {
    pub id: CommandId,
    pub wanted: usize,
    pub deadline: Time,
}

impl Node {
    pub(super) fn handle_command(&mut self, now: Time, id: CommandId, command: Command) {
        if self.is_stopping() && command != Command::Shutdown {
            return self.reply(id, Err(CommandError::ShuttingDown));
        }
        match command {
            Command::Status => self.reply(id, Ok(Reply::Status(Box::new(self.status(now))))),
            Command::ListPeers => {
                let peers = self.peer_list();
                self.reply(id, Ok(Reply::Peers(peers)));
            }
            Command::ListGames => self.reply(id, Ok(Reply::Games(self.game_list()))),
            Command::WaitPeers { count, timeout_ms } => {
                let deadline = now + Duration::from_millis(timeout_ms);
                self.waiting.peers.push(PeerWait { id, wanted: count, deadline });
                self.answer_peer_waits(now);
            }
            Command::Connect { addr } => self.connect(id, addr),
            Command::Download { game, install, confirm } => self.download(now, id, &game, install, confirm),
            Command::StreamInstall { game } => self.stream_install(now, id, &game),
            Command::CancelDownload { game } => self.cancel(now, id, &game),
            Command::Install { game } => self.install(id, &game),
            Command::AllowUnpacked { game, bytes, command } => {
                self.job(DiskJob::AllowUnpacked { game, bytes });
                self.handle_command(now, id, *command);
            }
            Command::Uninstall { game } => self.uninstall(id, &game),
            Command::RemoveDownload { game } => self.remove(now, id, &game),
            Command::Verify { game, repair } => self.verify(id, &game, repair),
            Command::Play { game, user_name, language, launch, confirm } => {
                self.play(id, &game, (user_name, language), launch, confirm);
            }
            Command::SetLimits(limits) => {
                self.set_limits(now, limits);
                self.reply(id, Ok(Reply::Done));
            }
            Command::SetPriority { game, priority } => self.set_priority(now, id, &game, priority),
            Command::Room => self.ask_room(now, id),
            Command::WantGame { game } => self.want_game(id, &game),
            Command::TrustCatalog { organiser } => self.trust_catalog(now, id, organiser),
            Command::DeclineCatalog { organiser } => self.decline_catalog(id, organiser),
            Command::SetGamesDir { path } => {
                if !self.operations.is_empty() || self.waiting.games_dir.is_some() {
                    return self.reply(id, Err(CommandError::Busy));
                }
                self.waiting.games_dir = Some((id, path.clone()));
                self.job(DiskJob::ChangeGamesDir { path });
            }
            Command::Shutdown => self.shutdown(now, id),
        }
    }

    fn status(&self, now: Time) -> StatusSnapshot {
        let mut operations = self.operations.snapshot();
        for operation in &mut operations {
            if let Some(transfer) = self.fetches.get(&operation.game).and_then(Fetch::transfer) {
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
            library_fault: self.library_fault.clone(),
            operations,
            swarms: self.fetches.values().filter_map(|fetch| self.swarm_snapshot(now, fetch)).collect(),
            limits: self.limits,
            outbound: self.uplink.active_per_game().into_iter().collect(),
            traffic: self.traffic,
        }
    }

    fn swarm_snapshot(&self, now: Time, fetch: &Fetch) -> Option<SwarmSnapshot> {
        let transfer = fetch.transfer()?;
        let swarm = &transfer.swarm;
        let bytes_per_second = transfer.rate(fetch.started(), now);
        let missing = transfer.total_bytes() - transfer.had_bytes();
        let source = |(peer, figures): (PeerId, SourceFigures)| SwarmSource {
            peer,
            name: self.roster.name_of(&peer),
            chunks_has: figures.has,
            bytes: figures.bytes,
            bytes_per_second: figures.bytes_per_second,
        };
        Some(SwarmSnapshot {
            game: fetch.game.clone(),
            priority: fetch.priority,
            chunks_had: swarm.had().count(),
            chunks_total: swarm.had().len(),
            copies: swarm.copies_in_room(),
            bytes_per_second,
            seconds_left: (bytes_per_second > 0).then(|| missing.div_ceil(bytes_per_second)),
            sources: swarm.sources().map(source).collect(),
        })
    }

    pub(super) fn set_limits(&mut self, now: Time, limits: RateLimits) {
        if std::mem::replace(&mut self.limits, limits).upload != limits.upload {
            let transfers = self.fetches.values_mut().filter_map(Fetch::transfer_mut);
            transfers.for_each(|transfer| transfer.swarm.uplink_changed());
        }
        self.uplink.set_limit(limits.upload, now);
        self.download_limit.set(limits.download, now);
        self.pump_uplink(now);
        self.pump_fetches(now);
    }

    fn set_priority(&mut self, now: Time, id: CommandId, game: &GameId, priority: Priority) {
        let Some(fetch) = self.fetches.get_mut(game) else {
            return self.reply(id, Err(CommandError::NotDownloading { game: game.clone() }));
        };
        fetch.priority = priority;
        self.pump_fetches(now);
        self.reply(id, Ok(Reply::Done));
    }

    /// Every game that is here or that somebody offers in the version that counts. Of those that neither are here nor stand
    /// in the catalogue, the ones that most peers offer.
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
        // A download under way shows also while nobody is there to fetch from.
        let all: BTreeSet<&GameId> =
            games.into_iter().map(|(game, _)| game).chain(here).chain(self.fetches.keys()).collect();
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
            None if offers.is_empty() && !self.fetches.contains_key(game) => return None,
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
        })
    }

    fn connect(&mut self, id: CommandId, addr: SocketAddr) {
        if addr == self.config.addr && !failpoint!("accept-self") {
            let failure = crate::io::DialFailure::OwnAddress;
            return self.reply(id, Err(CommandError::ConnectFailed { addr, failure }));
        }
        if let Some(peer) = self.roster.at_addr(addr) {
            let snapshot = self.peer_snapshot(peer);
            return self.reply(id, Ok(Reply::Connected(snapshot)));
        }
        self.waiting.connects.push((id, addr));
        self.outbox.push_back(Output::Dial { addr });
    }

    pub(super) fn download(
        &mut self,
        now: Time,
        id: CommandId,
        game: &GameId,
        install: bool,
        confirm: Option<ContentId>,
    ) {
        if let Err(error) = self.check_command(game) {
            return self.reply(id, Err(error));
        }
        if let Err(error) = self.check_name(game) {
            return self.reply(id, Err(error));
        }
        let named = confirm.and_then(|content| self.named_content(game, content));
        let version = named.as_ref().map_or_else(|| self.wanted_version(game), |named| Some(named.version));
        let here = named.as_ref().is_none_or(|n| self.library.content_of(game) == Some(n.content));
        if here && self.is_here(game, version) {
            if let Some(job) = self.install_due(game, false).filter(|_| install) {
                self.start_install(game, job);
            }
            return self.reply(id, Ok(Reply::AlreadyThere { game: game.clone() }));
        }
        let chosen = named.map_or_else(|| self.choose_content(game, version), Ok);
        let question = chosen.as_ref().ok().and_then(|agreed| self.replacement(game, agreed));
        let has_word =
            |content| confirm == Some(content) || confirm.is_some() && failpoint!("replace-on-any-word");
        if let Some(question) = question.filter(|question| !has_word(question.new_content)) {
            return self.reply(id, Err(CommandError::UnconfirmedSource(Box::new(question))));
        }
        let new = |content, version| Fetch::new(game.clone(), version, content, install, now);
        self.start_fetch(now, id, game, OperationKind::Downloading, (version, chosen), new);
    }

    /// Starts to fetch the content that was chosen, for whatever purpose.
    pub(super) fn start_fetch(
        &mut self,
        now: Time,
        id: CommandId,
        game: &GameId,
        kind: OperationKind,
        (version, chosen): (Option<GameVersion>, Result<Agreed, Disagreement>),
        new: impl FnOnce(ContentId, GameVersion) -> Fetch,
    ) {
        match chosen {
            Ok(agreed) => {
                let origin = self.origin_of(game, &agreed);
                let Agreed { content, version, bytes, .. } = agreed;
                self.operations.start(game, kind);
                self.operations.progress(game, 0, bytes);
                self.reply(id, Ok(Reply::DownloadStarted { game: game.clone(), version, content, bytes }));
                self.operations_changed();
                self.fetches.insert(game.clone(), new(content, version).from(origin));
                self.search_manifest(now, game);
            }
            Err(disagreement) => self.refuse_download(id, game, version, disagreement),
        }
    }

    pub(super) fn begin_download(&mut self, now: Time, game: &GameId, agreed: &Agreed, install: bool) {
        self.operations.start(game, OperationKind::Downloading);
        self.operations.progress(game, 0, agreed.bytes);
        self.operations_changed();
        let origin = self.origin_of(game, agreed);
        let fetch = Fetch::new(game.clone(), agreed.version, agreed.content, install, now).from(origin);
        self.fetches.insert(game.clone(), fetch);
        self.search_manifest(now, game);
    }

    /// A download that cannot even start is an error to who asked, and an event to who watches.
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
        if failpoint!("leave-operation") {
            self.operations.start(&game, OperationKind::Downloading);
            self.operations_changed();
        }
        self.event(Event::DownloadFailed { game, failure, totals: TransferTotals::default() });
        self.reply(id, Err(error));
    }

    fn cancel(&mut self, now: Time, id: CommandId, game: &GameId) {
        match self.operations.kind(game) {
            Some(OperationKind::Downloading | OperationKind::Streaming) if self.cancel_fetch(now, game) => {}
            Some(OperationKind::Installing | OperationKind::Verifying) => {
                self.job(DiskJob::Cancel { game: game.clone() });
            }
            _ => return self.reply(id, Err(CommandError::NothingToCancel { game: game.clone() })),
        }
        self.reply(id, Ok(Reply::Done));
    }

    fn install(&mut self, id: CommandId, game: &GameId) {
        let local = self.library.get(game);
        let checked = self.check_command(game).and_then(|()| match local {
            Some(local) if local.installed && !local.is_outdated() => {
                Err(CommandError::AlreadyInstalled { game: game.clone() })
            }
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if let Some(job) = self.install_due(game, false).filter(|_| checked.is_ok()) {
            self.start_install(game, job);
        }
        self.reply(id, checked.map(|()| Reply::Done));
    }

    fn uninstall(&mut self, id: CommandId, game: &GameId) {
        let checked = self.check_command(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.installed => Ok(()),
            _ => Err(CommandError::NotInstalled { game: game.clone() }),
        });
        if checked.is_ok() {
            self.operations.start(game, OperationKind::Uninstalling);
            self.operations_changed();
            self.job(DiskJob::Uninstall { game: game.clone() });
        }
        self.reply(id, checked.map(|()| Reply::Done));
    }

    fn remove(&mut self, now: Time, id: CommandId, game: &GameId) {
        let checked = self.check_command(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if checked.is_ok() {
            self.operations.start(game, OperationKind::Removing);
            self.operations_changed();
            // Withdrawn before the first file goes, so that nobody is promised what is being deleted.
            self.announce_library();
            if let Some(content) = self.library.content_of(game) {
                self.uplink.content_gone(&content);
                self.lines.content_gone(&content);
                self.pump_uplink(now);
            }
            self.job(DiskJob::Remove { game: game.clone() });
        }
        self.reply(id, checked.map(|()| Reply::Done));
    }

    pub(super) fn check_command(&self, game: &GameId) -> Result<(), CommandError> {
        if !self.config.catalog.knows(game) && !failpoint!("command-unknown-games") {
            return Err(CommandError::UnknownGame { game: game.clone() });
        }
        self.operations.check_idle(game)
    }

    /// Fails where a game of this name in other capitals is here or coming, or a folder that is no game: a system that
    /// takes both names for one folder would mix them up. The same on every system, so that all know the same games.
    pub(super) fn check_name(&self, game: &GameId) -> Result<(), CommandError> {
        if self.library.get(game).is_some() {
            return Ok(());
        }
        let games = self.library.iter().map(|(game, _)| game.as_str());
        let coming = self.fetches.keys().map(GameId::as_str);
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

    /// The install's first steps, once it stands among the operations.
    pub(super) fn begin_install(&mut self, game: &GameId, job: DiskJob) {
        self.event(Event::InstallBegin { game: game.clone() });
        self.job(job);
    }

    pub(super) fn answer_peer_waits(&mut self, now: Time) {
        let have = self.roster.len();
        let (done, waiting): (Vec<PeerWait>, Vec<PeerWait>) =
            self.waiting.peers.drain(..).partition(|wait| have >= wait.wanted || now >= wait.deadline);
        self.waiting.peers = waiting;
        for PeerWait { id, wanted, .. } in done {
            let enough = have >= wanted;
            let answer = if enough {
                Ok(Reply::PeerCount(have))
            } else {
                Err(CommandError::WaitTimedOut { have, wanted })
            };
            self.reply(id, answer);
        }
    }

    fn shutdown(&mut self, now: Time, id: CommandId) {
        let first = !self.is_stopping();
        self.waiting.shutdown.push(id);
        if !first {
            return;
        }
        let conns: Vec<_> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            self.outbox.push_back(Output::Close { conn, reason: CloseReason::Leaving });
        }
        self.remember_now();
        for (wait, addr) in std::mem::take(&mut self.waiting.connects) {
            let failure = crate::io::DialFailure::TimedOut;
            self.reply(wait, Err(CommandError::ConnectFailed { addr, failure }));
        }
        for wait in self.room.take_askers() {
            self.reply(wait, Err(CommandError::ShuttingDown));
        }
        for wait in std::mem::take(&mut self.waiting.peers) {
            self.reply(wait.id, Err(CommandError::ShuttingDown));
        }
        for game in self.operations.games() {
            self.stop_operation(now, &game);
        }
        self.stop_when_idle();
    }

    fn stop_operation(&mut self, now: Time, game: &GameId) {
        match self.operations.kind(game) {
            Some(OperationKind::Downloading | OperationKind::Streaming) => self.abandon_fetch(now, game),
            Some(OperationKind::Installing | OperationKind::Verifying) => {
                self.job(DiskJob::Cancel { game: game.clone() });
            }
            _ => {}
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        !self.waiting.shutdown.is_empty()
    }

    /// Ends the node once nothing runs on the disk any more.
    pub(super) fn stop_when_idle(&mut self) {
        if !self.is_stopping() || !self.operations.is_empty() {
            return;
        }
        self.outbox.push_back(Output::Stopped);
        for id in self.waiting.shutdown.clone() {
            self.reply(id, Ok(Reply::Done));
        }
    }
}
