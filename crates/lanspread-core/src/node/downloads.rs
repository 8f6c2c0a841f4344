//! All downloads of this peer, and the requests that they have made.
//!
//! Owns the downloads, the table of open requests and the download limit. `asking` makes requests, `chunks` takes in
//! what sources have and send, `manifests` searches for manifests. The node begins and ends downloads, because that
//! concerns the library and the operations as well. An open request is in exactly one entry of the table.

mod asking;
mod chunks;
mod manifests;
mod requests;

use std::collections::BTreeMap;

use lanspread_types::message::Message;
use lanspread_types::{ChunkSet, ContentId, GameId, PeerId, failpoint};

use self::requests::{RequestKey, RequestTable};
use super::outbox::Outbox;
use crate::api::command::RateLimits;
use crate::api::event::Event;
use crate::download::{Download, Ending, PROGRESS_INTERVAL, Phase, Transfer, source_patience};
use crate::io::DiskJob;
use crate::roster::Roster;
use crate::swarm::{RateLimit, Tuning};
use crate::time::Time;

/// The downloads of this peer.
#[derive(Debug, Default)]
pub struct Downloads {
    all: BTreeMap<GameId, Download>,
    requests: RequestTable,
    limit: RateLimit,
    /// The limits that the owner set. The upload limit decides our place in a relay line.
    limits: RateLimits,
    /// Constants of future downloads.
    pub tuning: Tuning,
}

impl Downloads {
    /// Returns the download of a game.
    pub fn get(&self, game: &GameId) -> Option<&Download> {
        self.all.get(game)
    }

    /// The same, mutable.
    pub fn get_mut(&mut self, game: &GameId) -> Option<&mut Download> {
        self.all.get_mut(game)
    }

    /// Returns all downloads, by game.
    pub fn iter(&self) -> impl Iterator<Item = &Download> {
        self.all.values()
    }

    /// Returns the games that are being downloaded.
    pub fn games(&self) -> impl Iterator<Item = &GameId> {
        self.all.keys()
    }

    /// Adds a download.
    pub fn insert(&mut self, download: Download) {
        self.all.insert(download.game.clone(), download);
    }

    /// Removes the download of a game.
    pub fn remove(&mut self, game: &GameId) -> Option<Download> {
        self.all.remove(game)
    }

    /// Returns the transfer of a game, if its download is in that phase.
    pub fn transfer_mut(&mut self, game: &GameId) -> Option<&mut Transfer> {
        self.all.get_mut(game)?.transfer_mut()
    }

    /// Returns the transfer of a content, if its download is in that phase.
    pub fn transfer_of(&mut self, content: ContentId) -> Option<&mut Transfer> {
        self.all.values_mut().find(|f| f.content == content)?.transfer_mut()
    }

    /// Returns the limits that the owner set.
    pub fn limits(&self) -> RateLimits {
        self.limits
    }

    /// Sets the limits. A new upload limit may change our place in the relay lines.
    pub fn set_limits(&mut self, limits: RateLimits, now: Time) {
        if std::mem::replace(&mut self.limits, limits).upload != limits.upload {
            let transfers = self.all.values_mut().filter_map(Download::transfer_mut);
            transfers.for_each(|transfer| transfer.picker.uplink_changed());
        }
        self.limit.set(limits.download, now);
    }

    /// Returns true if a download limit is set and allows requests now.
    pub fn limit_allows(&self, now: Time) -> bool {
        self.limits.download.is_some() && self.limit.allows(now)
    }

    /// Returns when to look at the downloads even if nothing happens.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let limited = self.limit.next_wakeup(now).filter(|_| !self.all.is_empty());
        let rest = [limited, self.requests.next_deadline()];
        self.all.values().filter_map(download_wakeup).chain(rest.into_iter().flatten()).min()
    }

    /// Returns the games whose downloads are due.
    pub fn due(&self, now: Time) -> Vec<GameId> {
        let due = |download: &&Download| download_wakeup(download).is_some_and(|at| now >= at);
        self.all.values().filter(due).map(|f| f.game.clone()).collect()
    }

    /// Closes connections on which the answer to a cancelled request does not end.
    pub fn drop_late_sources(&mut self, now: Time, outbox: &mut Outbox) {
        while let Some(peer) = self.requests.late_source(now) {
            outbox.drop_source(peer);
        }
    }

    /// Forgets what a request was charged and for which download it was made, because its answer has ended. Returns
    /// the game, if a download still needs the answer.
    pub fn request_ended(&mut self, key: &RequestKey) -> Option<GameId> {
        self.requests.end(key)?.game
    }

    /// Like [`Self::request_ended`], for a request that brought nothing: the download limit gets its charge back.
    pub fn request_failed(&mut self, key: &RequestKey) -> Option<GameId> {
        let request = self.requests.end(key)?;
        if !failpoint!("keep-spent-limit") {
            self.limit.refund(request.charged);
        }
        request.game
    }

    /// Removes a peer that has left the room from all downloads.
    pub fn peer_left(&mut self, peer: PeerId) {
        self.requests.peer_left(peer);
        for download in self.all.values_mut() {
            match &mut download.phase {
                Phase::Manifest(search) => search.gone(peer),
                Phase::Transfer(transfer) => transfer.picker.remove_source(peer),
                _ => {}
            }
        }
    }

    /// Begins to download the chunks of a transfer: tells all peers about it, and learns which of them have the
    /// content.
    pub fn begin_transfer(
        &mut self,
        now: Time,
        game: &GameId,
        mut transfer: Transfer,
        roster: &Roster,
        outbox: &mut Outbox,
    ) {
        let Some(download) = self.all.get_mut(game) else { return };
        let content = download.content;
        let all = transfer.content.manifest().chunk_count();
        for peer in roster.sources(game, content).filter(|p| !download.rejected.contains(&p.id)) {
            transfer.picker.add_source(peer.id, ChunkSet::full(all), now);
        }
        let fellows = roster.iter().filter(|peer| peer.is_interested(content));
        fellows.for_each(|peer| transfer.picker.add_fellow(peer.id, now));
        let (bytes, had_bytes) = (transfer.total_bytes(), transfer.had_bytes());
        download.phase = Phase::Transfer(Box::new(transfer));
        let reused_bytes = download.reused_bytes;
        outbox.event(Event::DownloadBegin { game: game.clone(), bytes, had_bytes, reused_bytes });
        outbox.send_to_all(roster, &Message::Interested { game: game.clone(), content });
    }

    /// Reports the progress of a download.
    pub fn tell_progress(&mut self, now: Time, game: &GameId, outbox: &mut Outbox) {
        let Some(download) = self.all.get_mut(game) else { return };
        let started = download.started();
        let Some(transfer) = download.transfer_mut() else { return };
        let progress = transfer.progress(game, started, now);
        transfer.progress_due = now + PROGRESS_INTERVAL;
        outbox.event(Event::DownloadProgress(progress));
    }

    /// Lets the disk commit a download.
    fn commit(&mut self, game: &GameId, roster: &Roster, outbox: &mut Outbox) {
        let Some(download) = self.all.get_mut(game) else { return };
        let Some(transfer) = download.transfer() else { return };
        let (content, id, origin) = (transfer.content.clone(), download.content, download.origin.clone());
        download.phase = Phase::Committing(content.clone());
        self.withdraw(game, id, roster, outbox);
        outbox.job(DiskJob::Commit { content, origin });
    }

    /// Lets the disk give up the place of a download, which then ends. Returns its content.
    pub fn give_up(
        &mut self,
        now: Time,
        game: &GameId,
        ending: Ending,
        roster: &Roster,
        outbox: &mut Outbox,
    ) -> Option<ContentId> {
        self.give_up_manifests(now, game, outbox);
        let download = self.all.get_mut(game)?;
        let content = download.content;
        // The job that unpacks a streamed install cleans up and reports; before it there is nothing to clean up. The
        // job that opens a download's place reports as well, and must end first.
        let unpacks = download.stream && !matches!(download.phase, Phase::Manifest(_));
        let ends_itself = unpacks || matches!(download.phase, Phase::Opening(_));
        download.phase = Phase::Dropping(ending);
        self.withdraw(game, content, roster, outbox);
        let game = game.clone();
        outbox.job(if ends_itself {
            DiskJob::Cancel { game }
        } else {
            DiskJob::DropIncoming { game, content }
        });
        Some(content)
    }

    /// Cancels all requests of a game, and tells all peers that we no longer download its content.
    pub fn withdraw(&mut self, game: &GameId, content: ContentId, roster: &Roster, outbox: &mut Outbox) {
        self.requests.cancel_all(game, outbox);
        outbox.send_to_all(roster, &Message::NotInterested { content });
    }
}

/// Returns when a download must be looked at even if nothing happens.
fn download_wakeup(download: &Download) -> Option<Time> {
    match &download.phase {
        Phase::Manifest(search) => search.next_wakeup(),
        Phase::Transfer(transfer) => {
            let haves =
                (!transfer.unannounced.is_empty()).then(|| transfer.announced_at + transfer.have_interval);
            let starved = transfer.starving_since.map(|since| since + source_patience());
            let due = [Some(transfer.progress_due), haves, starved, transfer.picker.next_wakeup()];
            due.into_iter().flatten().min()
        }
        _ => None,
    }
}
