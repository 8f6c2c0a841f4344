//! Downloads as the node sees them: how they move from phase to phase, and how they end.
//!
//! [`Downloads`](super::downloads::Downloads) makes the requests and takes in the answers. The end of a download is
//! reported only after the disk has finished its part.

use std::sync::Arc;

use lanspread_types::message::RequestId;
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameContent, GameId, PeerId, failpoint};

use super::Node;
use crate::api::command::OperationKind;
use crate::api::event::{DownloadFailure, Event, RejectReason};
use crate::download::{Ending, Phase, Transfer, source_patience};
use crate::io::{ChunkFault, CommittedGame, DiskError, DiskJob, ManifestFault, RequestFailure};
use crate::library::LocalGame;
use crate::refusals::RefusalCause;
use crate::swarm::{Failure, Picker};
use crate::time::Time;

/// Number of games with bad data from a peer at which that peer is dropped: one may be a faulty disk, two are not.
const STRIKES_MAX: u32 = 2;

impl Node {
    // ---- the manifest

    /// Continues the search for the manifest of a download, or fails the download if no source is left.
    pub(super) fn search_manifest(&mut self, now: Time, game: &GameId) {
        let Self { downloads, roster, rng, outbox, .. } = self;
        if let Some(failure) = downloads.search_manifest(now, game, roster, rng, outbox) {
            self.end_download(now, game, Ending::Failed(failure));
        }
    }

    /// Continues all searches for manifests: a source may have become free.
    pub(super) fn search_manifests(&mut self, now: Time) {
        self.downloads.searching().iter().for_each(|game| self.search_manifest(now, game));
    }

    /// Notes that a peer has a manifest.
    pub(super) fn holder_appeared(&mut self, now: Time, peer: PeerId, game: &GameId, content: ContentId) {
        self.uploads.manifests.has_manifest(&peer, &content);
        let Self { downloads, rng, outbox, .. } = self;
        if downloads.holder_appeared(now, peer, (game, content), rng, outbox) {
            self.search_manifest(now, game);
        }
    }

    /// Rejects the source of a manifest that is too large.
    pub(super) fn manifest_started(&mut self, now: Time, peer: PeerId, id: RequestId, bytes: u64) {
        let Self { downloads, roster, outbox, .. } = self;
        if let Some(game) = downloads.manifest_started(now, (peer, id), bytes, roster, outbox) {
            self.reject(now, &game, peer, RejectReason::BadManifest);
            self.search_manifest(now, &game);
        }
    }

    pub(super) fn manifest_arrived(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        result: Result<Arc<GameContent>, ManifestFault>,
    ) {
        let Some(game) = self.downloads.manifest_arrived((peer, id)) else { return };
        match result {
            Ok(content) => self.downloads.got_manifest(now, &game, content, &mut self.outbox),
            Err(_) => self.reject(now, &game, peer, RejectReason::BadManifest),
        }
        self.search_manifests(now);
    }

    // ---- the transfer

    /// Begins to download chunks into the place that the disk has prepared.
    pub(super) fn incoming_opened(&mut self, now: Time, game: &GameId, result: Result<ChunkSet, DiskError>) {
        let Some(download) = self.downloads.get_mut(game) else { return };
        let id = download.content;
        match (&download.phase, result) {
            (Phase::Opening(content), Ok(had)) => {
                let (content, install) = (content.clone(), download.install);
                let tuning = self.downloads.tuning.clone();
                let have_interval = tuning.have_interval;
                let picker = Picker::new(content.clone(), had, self.rng.next_u64(), tuning);
                self.begin_transfer(now, game, Transfer::new(content.clone(), picker, have_interval, now));
                if install && !self.library.get(game).is_some_and(|local| local.installed) {
                    self.outbox.job(DiskJob::UnpackAhead { content });
                }
            }
            (Phase::Opening(_), Err(error)) => {
                download.phase = Phase::Dropping(Ending::Failed(DownloadFailure::Disk(error)));
                self.outbox.job(DiskJob::DropIncoming { game: game.clone(), content: id });
            }
            // The download was given up meanwhile. Only now does no job work on its place any more.
            (Phase::Dropping(_), _) => {
                self.outbox.job(DiskJob::DropIncoming { game: game.clone(), content: id });
            }
            _ => {}
        }
    }

    /// Tells all peers about the download, and makes its first requests.
    pub(super) fn begin_transfer(&mut self, now: Time, game: &GameId, transfer: Transfer) {
        let content = transfer.content.content_id();
        self.downloads.begin_transfer(now, game, transfer, &self.roster, &mut self.outbox);
        // Peers that download the content asked before there was anything to tell them.
        let fellows = self.roster.iter().filter(|peer| peer.is_interested(content));
        let conns: Vec<_> = fellows.map(|peer| peer.conn).collect();
        conns.into_iter().for_each(|conn| self.send_have_map(conn, game, content));
        self.pump_downloads(now);
    }

    /// Lets the downloads commit or make requests.
    pub(super) fn pump_downloads(&mut self, now: Time) {
        self.downloads.pump(now, &self.roster, &mut self.outbox);
    }

    pub(super) fn chunk_ended(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        chunk: ChunkIndex,
        result: Result<(), ChunkFault>,
    ) {
        let Some(game) = self.downloads.request_ended(&(peer, id)) else { return };
        match result {
            Ok(()) => {
                let Self { downloads, roster, outbox, .. } = self;
                let stored = downloads.chunk_stored(now, &game, (peer, id), chunk, roster, outbox);
                if let Some(bytes) = stored {
                    self.count_received(&peer, bytes);
                    // A follower may await this chunk.
                    self.pump_uplink(now);
                }
            }
            Err(ChunkFault::Corrupt) => {
                self.downloads.chunk_failed(now, &game, (peer, id), Failure::Corrupt);
                self.reject(now, &game, peer, RejectReason::CorruptChunk);
            }
            Err(ChunkFault::Write(error)) => {
                self.end_download(now, &game, Ending::Failed(DownloadFailure::Disk(error)));
            }
        }
        self.pump_downloads(now);
    }

    pub(super) fn request_failed(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        failure: &RequestFailure,
    ) {
        let Some(game) = self.downloads.request_failed(&(peer, id)) else { return };
        if self.downloads.manifest_failed(now, &game, (peer, id), failure, &mut self.rng) {
            return self.search_manifests(now);
        }
        if matches!(failure, RequestFailure::Lost(_)) && failpoint!("skip-retry") {
            return self.end_download(now, &game, Ending::Failed(DownloadFailure::SourcesGone));
        }
        let failure = match failure {
            RequestFailure::Refused(reason) => Failure::Refused(*reason),
            RequestFailure::Lost(_) => Failure::Lost,
        };
        self.downloads.chunk_failed(now, &game, (peer, id), failure);
        self.pump_downloads(now);
    }

    /// Reports a source whose data does not verify, and asks it no more for this game. The second strike drops the
    /// peer.
    fn reject(&mut self, now: Time, game: &GameId, peer: PeerId, reason: RejectReason) {
        let Some(download) = self.downloads.get_mut(game) else { return };
        let trusted_again = failpoint!("ask-liars-again");
        let first_time = trusted_again || download.rejected.insert(peer);
        if let Some(transfer) = download.transfer_mut()
            && !trusted_again
            && !(first_time && failpoint!("believe-liars-once"))
        {
            transfer.picker.reject_source(peer);
        }
        // Data that was on its way when the first bad chunk arrived is the same offence.
        if !first_time {
            return;
        }
        self.traffic.rejected_sources += 1;
        let name = self.roster.name_of(&peer);
        self.outbox.event(Event::SourceRejected { game: game.clone(), peer, name, reason });
        let Some(remote) = self.roster.get_mut(&peer) else { return };
        remote.strikes += 1;
        if remote.strikes >= STRIKES_MAX {
            self.roster.ban(peer);
            self.drop_peer(now, peer, RefusalCause::BadData);
        }
    }

    // ---- the end

    /// Ends a download whose commit has succeeded or failed. After a success, begins the install if one is due.
    pub(super) fn committed(&mut self, now: Time, game: &GameId, result: Result<CommittedGame, DiskError>) {
        let Some(download) = self.downloads.remove(game) else { return };
        let Phase::Committing(content) = &download.phase else { return };
        let totals = download.totals(now);
        self.operations.end(game);
        match result {
            Ok(committed) => {
                let updated = self.library.get(game).is_some_and(LocalGame::downloaded);
                self.library.downloaded(content, committed.stamp);
                self.announce_library();
                let wanted = download.install && !self.is_stopping();
                let install = self.install_due(game, updated).filter(|_| wanted);
                if install.is_some() {
                    self.operations.start(game, OperationKind::Installing);
                }
                self.operations_changed();
                self.outbox.event(Event::DownloadFinished { game: game.clone(), totals });
                if let Some(job) = install {
                    self.begin_install(game, job);
                }
            }
            Err(error) => {
                self.operations_changed();
                let failure = DownloadFailure::Disk(error);
                self.outbox.event(Event::DownloadFailed { game: game.clone(), failure, totals });
                self.outbox.job(DiskJob::Scan);
            }
        }
        self.pump_downloads(now);
        self.stop_when_idle();
    }

    /// Cancels a download for the owner. Returns false if it is too late.
    pub(super) fn cancel_download(&mut self, now: Time, game: &GameId) -> bool {
        let Some(download) = self.downloads.get(game) else { return false };
        if matches!(download.phase, Phase::Committing(_) | Phase::Dropping(_)) {
            return false;
        }
        self.drop_download(now, game, Ending::Cancelled);
        true
    }

    fn end_download(&mut self, now: Time, game: &GameId, ending: Ending) {
        let Some(download) = self.downloads.get(game) else { return };
        match download.phase {
            Phase::Committing(_) | Phase::Dropping(_) => {}
            Phase::Manifest(_) => {
                self.downloads.give_up_manifests(now, game, &mut self.outbox);
                self.finish_download(now, game, ending);
            }
            Phase::Opening(_) | Phase::Transfer(_) => self.drop_download(now, game, ending),
        }
    }

    /// Ends a download. The disk gives up its place first; then the end is reported.
    fn drop_download(&mut self, now: Time, game: &GameId, ending: Ending) {
        let Self { downloads, roster, outbox, .. } = self;
        if let Some(content) = downloads.give_up(now, game, ending, roster, outbox) {
            self.uploads.uplink.content_gone(&content);
        }
    }

    pub(super) fn incoming_dropped(&mut self, now: Time, game: &GameId) {
        let Some(download) = self.downloads.get(game) else { return };
        if let Phase::Dropping(ending) = &download.phase {
            let ending = ending.clone();
            self.finish_download(now, game, ending);
        }
    }

    /// Removes a download that ended without a commit, and reports its end.
    pub(super) fn finish_download(&mut self, now: Time, game: &GameId, ending: Ending) {
        let Some(download) = self.downloads.remove(game) else { return };
        let totals = download.totals(now);
        if !failpoint!("leave-operation") {
            self.operations.end(game);
        }
        self.operations_changed();
        let game = game.clone();
        self.outbox.event(match ending {
            Ending::Failed(failure) => Event::DownloadFailed { game, failure, totals },
            Ending::Cancelled if failpoint!("cancel-is-failure") => {
                Event::DownloadFailed { game, failure: DownloadFailure::SourcesGone, totals }
            }
            Ending::Cancelled => Event::DownloadCancelled { game, totals },
        });
        // Downloads that waited for this one may continue.
        self.pump_downloads(now);
        self.stop_when_idle();
    }

    /// Ends a download because the peer shuts down. Its chunks are kept for the next start.
    pub(super) fn abandon_download(&mut self, now: Time, game: &GameId) {
        let Some(download) = self.downloads.get(game) else { return };
        match download.phase {
            Phase::Committing(_) | Phase::Dropping(_) => {}
            _ => self.drop_download(now, game, Ending::Failed(DownloadFailure::ShuttingDown)),
        }
    }

    // ---- time

    pub(super) fn run_download_timers(&mut self, now: Time) {
        for game in self.downloads.due(now) {
            match self.downloads.get(&game).map(|f| &f.phase) {
                Some(Phase::Manifest(_)) => self.search_manifest(now, &game),
                Some(Phase::Transfer(transfer)) => {
                    let progress_due = now >= transfer.progress_due;
                    let starved = transfer.starving_since.is_some_and(|since| {
                        now.since(since) >= source_patience() || failpoint!("give-up-at-once")
                    });
                    let swarm_due = transfer.picker.next_wakeup().is_some_and(|at| now >= at);
                    if starved {
                        self.end_download(now, &game, Ending::Failed(self.why_starved(&game)));
                        continue;
                    }
                    self.downloads.announce_chunks(now, &game, &self.roster, &mut self.outbox);
                    if progress_due {
                        self.downloads.tell_progress(now, &game, &mut self.outbox);
                    }
                    if swarm_due {
                        self.pump_downloads(now);
                    }
                }
                _ => {}
            }
        }
    }

    fn why_starved(&self, game: &GameId) -> DownloadFailure {
        match self.downloads.get(game) {
            Some(download) if !download.rejected.is_empty() => DownloadFailure::AllSourcesRejected,
            _ => DownloadFailure::SourcesGone,
        }
    }
}
