//! Accounts of a download: requests without an answer, what is known of each source, and the counters that follow from
//! both.

use std::collections::BTreeSet;
use std::time::Duration;

use lanspread_types::failpoint;
use lanspread_types::message::{ChunkRequest, RequestId};
use lanspread_types::{ChunkIndex, PeerId};

use super::Picker;
use super::choose::Ask;
use crate::swarm::doubt::{CROWDED_PAUSE, REMEMBERED_MAX};
use crate::swarm::requests::{Asked, RequestKey};
use crate::swarm::source::Source;
use crate::swarm::window::Window;
use crate::time::Time;

/// Rate of a source while no source's rate is known, in bytes per second: a 100 Mbit/s link.
pub(super) const RATE_UNKNOWN: f64 = 12e6;

impl Picker {
    /// Records a request that the picker has chosen, and returns its message.
    pub(super) fn record(&mut self, ask: Ask, id: RequestId) -> (PeerId, ChunkRequest) {
        let bytes = self.chunk_bytes(ask.chunk);
        let expected = self.sources.get(&ask.peer).map_or(0.0, |source| {
            source.backlog(bytes, self.rates.mean()).max(source.latency().unwrap_or_default().as_secs_f64())
        });
        let asked = Asked {
            chunk: ask.chunk,
            bytes,
            asked: self.now,
            started: false,
            awaited: false,
            late_at: self.late_at(expected),
            dropped: false,
        };
        self.begin((ask.peer, id), asked);
        let manifest = self.content.manifest();
        let request = ChunkRequest {
            id,
            game: manifest.game().clone(),
            content: self.content.content_id(),
            chunk: ask.chunk,
        };
        (ask.peer, request)
    }

    /// Adds a request to the accounts. [`Self::end`] removes it.
    pub(super) fn begin(&mut self, key: RequestKey, asked: Asked) {
        if let Some(source) = self.sources.get_mut(&key.0) {
            source.requests += 1;
            source.contact.asked(self.now);
            source.bytes_in_flight += asked.bytes;
            self.fellow_requests += usize::from(source.is_counted());
        }
        self.bytes_in_flight += asked.bytes;
        self.requests.insert(key, asked);
    }

    /// Returns the chunks that may be requested now.
    pub(super) fn window(&self) -> Window {
        Window::of(&self.had, self.downloading + 1, &self.tuning).cut(self.limit)
    }

    /// Returns the missing chunks of the window.
    pub(super) fn missing_in(&self, window: &Window) -> impl Iterator<Item = ChunkIndex> + '_ {
        let end = window.end();
        self.had.missing_from(window.start()).take_while(move |chunk| chunk.0 < end)
    }

    /// Counts seeds, fellows and rates again after the sources have changed.
    pub(super) fn recount(&mut self) {
        let good = |source: &Source| source.seed && source.contact.is_good() && source.doubt.is_credible();
        self.seeds = self.sources.iter().filter(|(_, source)| good(source)).map(|(peer, _)| *peer).collect();
        let fellows = || self.sources.values().filter(|source| !source.seed);
        self.fellows = fellows().filter(|source| source.is_counted()).count();
        self.downloading = fellows().filter(|source| !source.has.is_full()).count();
        // Requests at doubted fellows do not use up the requests to other fellows.
        self.fellow_requests =
            fellows().filter(|source| source.is_counted()).map(|source| source.requests).sum();
        self.rates = Rates::default();
        self.sources.values().for_each(|source| self.rates.change(None, source.rate()));
    }

    /// Returns true if the picker may make another request to the source.
    pub(super) fn is_free(&self, source: &Source) -> bool {
        let depth = match source.chunks {
            _ if !source.contact.is_good() || !source.doubt.is_credible() => 0,
            // A liar costs one chunk, not as many as were requested before its first one arrived.
            0 => 1,
            _ => source.depth(self.content.manifest().chunk_size().bytes(), &self.tuning),
        };
        source.requests < depth && source.rests_until <= self.now
    }

    /// Returns true if a request at this source is late.
    pub(super) fn has_late(&self, peer: PeerId) -> bool {
        let late = |asked: &Asked| asked.late_at <= self.now;
        self.requests.at(peer).iter().filter_map(|key| self.requests.get(key)).any(late)
    }

    /// Returns true if another chunk may be in flight.
    pub(super) fn has_room(&self) -> bool {
        let next = self.content.manifest().chunk_size().bytes();
        self.requests.len() < self.tuning.in_flight_chunks_min
            || self.bytes_in_flight + next <= self.tuning.in_flight_bytes
    }

    /// Returns when a request that is expected to take this many seconds becomes late.
    pub(super) fn late_at(&self, expected_seconds: f64) -> Time {
        let expected = Duration::from_secs_f64(expected_seconds.min(3600.0)) * self.tuning.late_factor;
        self.now + expected.max(self.tuning.late_min)
    }

    /// Returns the length of a chunk in bytes.
    pub(super) fn chunk_bytes(&self, chunk: ChunkIndex) -> u64 {
        self.content.manifest().place(chunk).map_or(0, |place| place.len)
    }

    /// Removes a request that has ended from the accounts.
    pub(super) fn end(&mut self, key: &RequestKey) -> Option<Asked> {
        let asked = self.requests.remove(key)?;
        self.unneeded.remove(key);
        self.quiet.settled = false;
        self.bytes_in_flight -= asked.bytes;
        if let Some(source) = self.sources.get_mut(&key.0) {
            source.requests -= 1;
            self.fellow_requests -= usize::from(source.is_counted());
            source.bytes_in_flight -= asked.bytes;
        }
        Some(asked)
    }

    /// Makes no request to a source for the time of `pause`.
    pub(super) fn rest(&mut self, peer: PeerId, pause: Duration) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.rests_until = self.now + pause;
        }
    }

    /// Notes an answer of any kind from a source.
    pub(super) fn answered(&mut self, peer: PeerId) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let again = !source.contact.is_good();
        source.contact.answered(source.requests > 0, self.now);
        if again {
            self.recount();
        }
    }

    /// Notes a request that was lost on the way, or whose answer was. Requests that were lost together count once.
    pub(super) fn lost(&mut self, peer: PeerId) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.rests_until > self.now && !source.contact.is_good() {
            return;
        }
        let pause = source.contact.lost(self.now);
        self.rest(peer, pause);
        self.recount();
    }

    /// Cancels all requests at sources that have not answered for too long. A source must at least answer the
    /// cancellations.
    pub(super) fn take_back_overdue(&mut self) {
        let is_overdue = |source: &Source| source.contact.is_overdue(self.now);
        let overdue = |peer: &PeerId| self.sources.get(peer).is_some_and(is_overdue);
        let overdue: Vec<PeerId> = self.requests.peers().filter(overdue).collect();
        for peer in overdue {
            let keys = self.requests.at(peer);
            // The data connection watches over chunks that are arriving.
            let comes = |key: &RequestKey| self.requests.get(key).is_some_and(|asked| asked.started);
            let comes = keys.iter().any(comes);
            let Some(source) = self.sources.get_mut(&peer) else { continue };
            if comes {
                source.contact.answered(true, self.now);
                continue;
            }
            source.contact.taken_back();
            for key in keys {
                self.requests.drop_wanted(&key);
                self.cancels.push_back(key);
            }
            self.recount();
        }
    }

    /// Returns the believed fellows that owe an answer, each with the time at which it counts as silent.
    pub(super) fn silences(&self) -> impl Iterator<Item = (PeerId, Time)> + '_ {
        // An upstream may not have an awaited chunk yet. `follow` judges its silence.
        let owed = self.requests.due().filter(|(_, asked)| !asked.awaited);
        owed.filter_map(|(&(peer, _), asked)| {
            let source = self.sources.get(&peer).filter(|source| source.is_counted())?;
            Some((peer, source.silent_at(asked.asked, self.rates.mean())))
        })
    }

    /// Doubts the fellows that have owed an answer for too long.
    pub(super) fn doubt_the_silent(&mut self) {
        let silent: BTreeSet<PeerId> =
            self.silences().filter(|(_, at)| *at <= self.now).map(|(peer, _)| peer).collect();
        if silent.is_empty() || failpoint!("believe-everybody") {
            return;
        }
        silent.into_iter().for_each(|peer| self.doubt(peer, false));
    }

    /// Notes that a source refused a chunk that it claims to have. `for_now` is true if it is crowded (`TooMany`). A
    /// crowded seed is not doubted for that, but asked less often.
    pub(super) fn refused_in_vain(&mut self, peer: PeerId, for_now: bool) {
        let usual = Duration::from_secs_f64(self.usual_crowding(peer));
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if !source.doubt.refused(for_now, usual, self.now) || failpoint!("believe-everybody") {
            return;
        }
        if source.seed && for_now {
            self.rest(peer, CROWDED_PAUSE);
        } else {
            self.doubt(peer, for_now);
        }
    }

    /// Returns the mean seconds for which the other fellows refuse before they deliver a chunk.
    fn usual_crowding(&self, besides: PeerId) -> f64 {
        let others = self.sources.iter().filter(|(peer, source)| **peer != besides && source.is_counted());
        mean(others.filter_map(|(_, source)| source.crowding())).unwrap_or(0.0)
    }

    /// Doubts a source: its claims no longer count, and its requests that have not begun to arrive take no room from
    /// other requests.
    pub(super) fn doubt(&mut self, peer: PeerId, for_now: bool) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.is_counted() {
            self.availability.remove_all(&source.has);
        }
        self.impostors += u32::from(source.doubt.is_credible() && source.chunks == 0);
        let pause = source.doubt.doubted(for_now, self.now);
        self.rest(peer, pause);
        for key in self.requests.at(peer) {
            if self.requests.get(&key).is_some_and(|asked| !asked.started) {
                self.set_expected(&key, 0);
            }
        }
        self.quiet.settled = false;
        self.recount();
    }

    /// Ends the doubt about a source that has delivered a chunk.
    pub(super) fn clear_of_doubt(&mut self, peer: PeerId) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.doubt.cleared() {
            source.rests_until = self.now;
            if source.is_counted() {
                self.availability.add_all(&source.has);
            }
            self.recount();
        }
    }

    /// Remembers the doubt about a source that leaves, so that coming back does not clear it.
    pub(super) fn remember_doubt(&mut self, peer: PeerId, source: &Source) {
        if source.doubt.is_any() && self.doubts.len() < REMEMBERED_MAX {
            self.doubts.insert(peer, source.doubt.clone());
        }
    }

    /// Counts the bytes of a request again: a source was doubted before it began to send, and sends after all.
    pub(super) fn count_again(&mut self, key: &RequestKey) {
        let Some(asked) = self.requests.get(key).filter(|asked| asked.bytes == 0) else { return };
        let bytes = self.chunk_bytes(asked.chunk);
        self.set_expected(key, bytes);
    }

    /// Changes the bytes that a request is expected to bring, here and in the totals.
    fn set_expected(&mut self, key: &RequestKey, bytes: u64) {
        let before = self.requests.set_bytes(key, bytes);
        self.bytes_in_flight = self.bytes_in_flight + bytes - before;
        if let Some(source) = self.sources.get_mut(&key.0) {
            source.bytes_in_flight = source.bytes_in_flight + bytes - before;
        }
    }

    /// Notes that a source does not have a chunk, whatever it announced.
    pub(super) fn lacks(&mut self, peer: PeerId, chunk: ChunkIndex) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        if source.has.remove(chunk) && source.is_counted() {
            self.availability.remove(chunk);
        }
    }
}

/// Sum of the known rates of all sources.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// In bytes per second.
    sum: f64,
    /// Number of sources with a known rate.
    known: u32,
}

impl Rates {
    /// Replaces the rate of one source. `None` is an unknown rate.
    pub fn change(&mut self, before: Option<f64>, after: Option<f64>) {
        self.sum += after.unwrap_or(0.0) - before.unwrap_or(0.0);
        self.known = self.known + u32::from(after.is_some()) - u32::from(before.is_some());
    }

    /// Returns the mean of the known rates in bytes per second, or [`RATE_UNKNOWN`] if there is none.
    pub fn mean(&self) -> f64 {
        if self.known == 0 { RATE_UNKNOWN } else { self.sum / f64::from(self.known) }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use lanspread_types::ChunkSet;
    use lanspread_types::message::Refusal;

    use super::*;
    use crate::swarm::Failure;
    use crate::swarm::tests::{at, download, peer, requests};

    #[test]
    fn usual_rate_is_the_mean_of_known_rates() {
        let mut rates = Rates::default();
        let mut mean = |before, after| {
            rates.change(before, after);
            rates.mean()
        };
        assert_eq!([mean(None, None), mean(None, Some(10_000.0))], [RATE_UNKNOWN, 10_000.0]);
        assert_eq!([mean(None, Some(4000.0)), mean(Some(4000.0), Some(2000.0))], [7000.0, 6000.0]);
        assert_eq!(mean(Some(10_000.0), None), 2000.0);
    }

    /// Two fellows refuse every 100 ms, and one of them delivers after 600 ms. The other one is believed for eight
    /// times as long; otherwise the seed would be asked for another copy. In a room of 32, fellows refuse for 500 ms on
    /// average.
    #[test]
    fn fellow_as_crowded_as_others_is_believed() {
        let (mut download, mut ids) = (download(64), 0);
        download.add_source(peer(1), ChunkSet::full(64), at(0));
        for n in 2..=3 {
            let mut has = ChunkSet::empty(64);
            has.insert(ChunkIndex(n.into()));
            download.add_source(peer(n), has, at(0));
        }
        for ms in (0..=5000).step_by(100) {
            for (source, request) in requests(&mut download, at(ms), &mut ids) {
                if source == peer(2) && ms >= 600 {
                    download.stored(source, request.id, request.chunk, at(ms));
                } else if source != peer(1) {
                    download.failed(source, request.id, Failure::Refused(Refusal::TooMany), at(ms));
                }
            }
            let believed = download.availability.copies(ChunkIndex(3)) == 1;
            assert_eq!(believed, ms < 8 * 600, "after {ms} ms");
        }
    }
}
