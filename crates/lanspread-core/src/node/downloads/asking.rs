//! Requests of the downloads: which download makes the next one, and what each says to its sources.

use lanspread_types::message::{Message, PlaceWanted, Request};
use lanspread_types::{GameId, failpoint};

use super::Downloads;
use crate::api::event::Event;
use crate::download::{Download, Phase, Transfer};
use crate::node::outbox::Outbox;
use crate::roster::Roster;
use crate::swarm::LineAction;
use crate::time::Time;

impl Downloads {
    /// Commits complete downloads, and lets others make requests. Only downloads of the highest priority that can get
    /// anything make requests, in turns, so that none of them takes all bytes that may be in flight.
    pub fn pump(&mut self, now: Time, roster: &Roster, outbox: &mut Outbox) {
        let restless = |download: &Download| download.transfer().is_some_and(|t| !t.picker.is_settled(now));
        if !self.all.values().any(restless) {
            return;
        }
        let games: Vec<GameId> = self.all.keys().cloned().collect();
        for game in &games {
            let complete =
                |t: &Transfer| t.picker.is_complete() || t.had_bytes() > 0 && failpoint!("commit-early");
            // A streamed install ends when its archives are unpacked.
            if !self.all[game].stream && self.all[game].transfer().is_some_and(complete) {
                self.commit(game, roster, outbox);
            }
        }
        let fed = self.all.values().filter(|f| f.transfer().is_some_and(Transfer::is_fed));
        let highest = fed.map(|f| f.priority).max();
        let mut asking: Vec<&GameId> =
            games.iter().filter(|g| highest.is_none_or(|highest| self.all[*g].priority >= highest)).collect();
        if asking.len() > 1 && failpoint!("one-download-at-a-time") {
            asking.truncate(1);
        }
        while let Some(at) = (0..asking.len()).min_by_key(|&at| self.all[asking[at]].turn) {
            if !self.ask_for_one(now, asking[at], outbox) {
                asking.swap_remove(at);
            }
        }
        for game in &games {
            let upload_limit = self.limits.upload;
            let Some(download) = self.all.get_mut(game) else { continue };
            // The download is due and cannot make a request: buffers are full, or the rate limit or another download
            // comes first.
            if let Some(transfer) = download.transfer_mut()
                && transfer.picker.next_wakeup().is_some_and(|at| at <= now)
            {
                transfer.picker.pass(now);
            }
            say_line_actions(download, upload_limit, roster, outbox);
            end_requests(download, now, outbox);
            watch_starvation(download, now, outbox);
        }
    }

    /// Lets a download make one request. Returns true if it made one.
    fn ask_for_one(&mut self, now: Time, game: &GameId, outbox: &mut Outbox) -> bool {
        let in_flight: u64 =
            self.all.values().filter_map(Download::transfer).map(|t| t.picker.bytes_in_flight()).sum();
        let Some(download) = self.all.get_mut(game) else { return false };
        let Phase::Transfer(transfer) = &mut download.phase else { return false };
        // All downloads together may have as many bytes in flight as one alone; each may always have one request.
        let crowded = in_flight >= self.tuning.in_flight_bytes && transfer.picker.requests_in_flight() > 0;
        if crowded || !self.limit.allows(now) {
            return false;
        }
        let mut next_id = || self.requests.next_id();
        let (peer, request, asked) = match transfer.picker.next_follow(now, &mut next_id) {
            Some((peer, follow)) => {
                let asked: Vec<_> = follow.each().collect();
                (peer, Request::Follow(follow), asked)
            }
            None => match transfer.picker.next_request(now, &mut next_id) {
                Some((peer, one)) => (peer, Request::Chunk(one.clone()), vec![(one.id, one.chunk)]),
                None => return false,
            },
        };
        download.turn = asked.first().map_or(download.turn, |(id, _)| id.0);
        for (id, chunk) in asked {
            let bytes = transfer.content.manifest().place(chunk).map_or(0, |place| place.len);
            self.limit.spend(bytes, now);
            let charged = if self.limits.download.is_some() { bytes } else { 0 };
            self.requests.insert((peer, id), game, charged);
        }
        outbox.request(peer, request);
        true
    }
}

/// Sends the questions of the line: for a place, and for the progress of other peers.
fn say_line_actions(
    download: &mut Download,
    upload_limit: Option<u64>,
    roster: &Roster,
    outbox: &mut Outbox,
) {
    let content = download.content;
    // A streamed install drops its chunks too soon to feed others.
    let upload_limit = if download.stream { Some(0) } else { upload_limit };
    let Some(transfer) = download.transfer_mut() else { return };
    let below = transfer.picker.have_below();
    for action in transfer.picker.line_actions() {
        let (to, message) = match action {
            LineAction::AskPlace { of, instead_of } => {
                (of, Message::PlaceWanted(PlaceWanted { content, below, upload_limit, instead_of }))
            }
            LineAction::AskProgress(of) => (of, Message::ProgressWanted { content }),
        };
        outbox.send_to(roster, &to, message);
    }
}

/// Cancels requests that are no longer wanted, and closes the connections of sources that are stuck.
fn end_requests(download: &mut Download, now: Time, outbox: &mut Outbox) {
    let Some(transfer) = download.transfer_mut() else { return };
    transfer.picker.cancels().for_each(|key| outbox.cancel(key));
    transfer.picker.stuck_sources(now).into_iter().for_each(|peer| outbox.drop_source(peer));
}

/// Reports when no source that answers has a missing chunk, and notices when one has again.
fn watch_starvation(download: &mut Download, now: Time, outbox: &mut Outbox) {
    let Phase::Transfer(transfer) = &mut download.phase else { return };
    if transfer.picker.is_complete() || transfer.picker.is_fed() {
        transfer.starving_since = None;
    } else if transfer.starving_since.is_none() {
        transfer.starving_since = Some(now);
        outbox.event(Event::DownloadPeersGone { game: download.game.clone() });
    }
}
