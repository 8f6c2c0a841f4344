//! The receiver's side: one download of one content.
//!
//! This module handles what happens to a download: sources come and go, chunks arrive, requests fail. `choose` is the
//! picker, `follow` the receiver in the relay line, `ledger` keeps the accounts of requests and sources, and `view` is
//! the read-only side. A download holds no data: the caller verifies and writes each chunk before it calls
//! [`Picker::stored`].

mod choose;
mod follow;
mod ledger;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::message::{ChunkRequest, FollowRequest, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId, failpoint};

use self::follow::Following;
pub use self::follow::LineAction;
use self::ledger::Rates;
use super::availability::Availability;
use super::doubt::{Doubt, IMPOSTORS_MAX};
use super::requests::{RequestKey, Requests};
use super::rng::Rng;
use super::source::Source;
use super::tuning::Tuning;
use crate::time::Time;

/// Decides which source is asked for which chunk.
///
/// After every input, call [`Picker::next_follow`] and [`Picker::next_request`] until they return `None`, then
/// [`Picker::cancels`]. Each request ends exactly once: by [`Picker::stored`], by [`Picker::failed`], or with its
/// source.
#[derive(Debug)]
pub struct Picker {
    content: Arc<GameContent>,
    /// Chunks that are verified and written.
    had: ChunkSet,
    sources: BTreeMap<PeerId, Source>,
    /// Sources that are never asked again for this content.
    rejected: BTreeSet<PeerId>,
    /// Doubt about sources that have left.
    doubts: BTreeMap<PeerId, Doubt>,
    /// Number of doubted sources that had never delivered anything.
    impostors: u32,
    availability: Availability,
    requests: Requests,
    /// Requests to cancel, not yet given to the caller.
    cancels: VecDeque<RequestKey>,
    /// Answers that are arriving although they are no longer needed, and since when.
    unneeded: BTreeMap<RequestKey, Time>,
    following: Following,
    /// Random number that chooses which of several seeds to ask for a place.
    order: u64,
    /// Seeds that answer and are believed, in an order that all receivers share.
    seeds: Vec<PeerId>,
    /// Number of fellows that are believed.
    fellows: usize,
    /// Number of fellows that do not have everything yet.
    downloading: usize,
    /// Requests at the fellows that are believed.
    fellow_requests: usize,
    bytes_in_flight: u64,
    duplicates: u64,
    /// Known rates of the sources. A source of unknown rate counts as their mean.
    rates: Rates,
    /// End of the chunks that may be requested (exclusive).
    limit: u32,
    quiet: Quiet,
    rng: Rng,
    tuning: Tuning,
    now: Time,
}

/// Whether another selection pass could find work. Most announcements change nothing.
#[derive(Debug, Default)]
struct Quiet {
    /// The last pass found nothing to ask for, and nothing has happened since that would change that.
    settled: bool,
    /// A request was late at the last pass, or the endgame had begun, so a new holder of a chunk in flight matters.
    helpless: bool,
    /// Time at which another pass is needed even if nothing happens.
    until: Option<Time>,
}

/// What to do with a chunk that begins to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartCheck {
    /// The chunk is wanted.
    Wanted,
    /// The chunk came from another source meanwhile, or the source was removed: throw the bytes away unread.
    Unneeded,
    /// It is not the requested chunk: the source breaks the protocol.
    Breach,
}

/// Result of [`Picker::stored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The chunk was not here before.
    pub new: bool,
}

/// Why a request brought no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The bytes did not verify. The caller also reports the source by [`Picker::reject_source`].
    Corrupt,
    /// The source refused the request.
    Refused(Refusal),
    /// The data connection failed, or our own disk did.
    Lost,
}

impl Picker {
    /// Creates a download. `had` are the verified chunks that an earlier attempt left; `seed` is the seed of all random
    /// choices.
    pub fn new(content: Arc<GameContent>, had: ChunkSet, seed: u64, tuning: Tuning) -> Self {
        let chunks = content.manifest().chunk_count();
        let mut rng = Rng::new(seed);
        Self {
            content,
            had,
            sources: BTreeMap::new(),
            rejected: BTreeSet::new(),
            doubts: BTreeMap::new(),
            impostors: 0,
            availability: Availability::new(chunks),
            requests: Requests::new(chunks),
            cancels: VecDeque::new(),
            unneeded: BTreeMap::new(),
            following: Following::default(),
            order: rng.next_u64(),
            seeds: Vec::new(),
            fellows: 0,
            downloading: 0,
            fellow_requests: 0,
            bytes_in_flight: 0,
            duplicates: 0,
            rates: Rates::default(),
            limit: u32::MAX,
            quiet: Quiet::default(),
            rng,
            tuning,
            now: Time::START,
        }
    }

    /// Adds a source that has these chunks: all, some, or none yet. For a known source, `has` replaces what was known.
    /// A peer that downloads the same content is a source from the moment it says so, because the policy depends on the
    /// number of receivers.
    pub fn add_source(&mut self, peer: PeerId, has: ChunkSet, now: Time) {
        self.now = now;
        if self.rejected.contains(&peer) || has.len() != self.had.len() {
            return;
        }
        let others = self.sources.keys().any(|known| *known != peer);
        if others && failpoint!("one-source-only") {
            return;
        }
        let resumed = self.sources.is_empty() && self.had.count() > 0;
        if resumed && failpoint!("never-resume") {
            return;
        }
        if resumed && failpoint!("restart-from-zero") {
            self.had = ChunkSet::empty(self.had.len());
        }
        match self.sources.get_mut(&peer) {
            Some(source) => {
                if source.is_counted() {
                    self.availability.remove_all(&source.has);
                }
                if !source.seed {
                    // The peer connected first and told its chunks later.
                    source.seed = source.has.is_empty() && source.chunks == 0 && has.is_full();
                }
                source.has = has;
            }
            None => {
                let mut source = Source::new(has);
                source.doubt = self.doubts.remove(&peer).unwrap_or_default();
                let believed = failpoint!("believe-everybody");
                if !source.seed && self.impostors >= IMPOSTORS_MAX && !source.doubt.is_any() && !believed {
                    source.doubt = Doubt::from_the_start(now);
                }
                self.sources.insert(peer, source);
            }
        }
        let source = &self.sources[&peer];
        if source.is_counted() {
            self.availability.add_all(&source.has);
        }
        self.quiet.settled = false;
        self.recount();
    }

    /// Adds a peer that downloads the same content and will have chunks later. A source that is already known stays
    /// unchanged.
    pub fn add_fellow(&mut self, peer: PeerId, now: Time) {
        if !self.sources.contains_key(&peer) {
            self.add_source(peer, ChunkSet::empty(self.had.len()), now);
        }
    }

    /// Notes chunks that a source announces.
    pub fn source_has(&mut self, peer: PeerId, chunks: &[ChunkIndex], now: Time) {
        self.now = now;
        let window = self.window();
        let Some(source) = self.sources.get_mut(&peer) else { return };
        let may_ask = self.fellow_requests < self.tuning.swarm_requests;
        let mut matters = self.requests.len() == 0;
        for &chunk in chunks {
            if source.has.insert(chunk) && !source.seed {
                if source.is_counted() {
                    self.availability.add(chunk);
                }
                let carried = self.requests.carriers(chunk) > 0;
                let near = chunk.0 < window.end() && !self.had.contains(chunk);
                matters |= near && if carried { self.quiet.helpless } else { may_ask };
            }
        }
        let full = source.has.is_full();
        if matters || full {
            self.quiet.settled = false;
        }
        if full {
            self.recount();
        }
    }

    /// Removes a source that has left. Its requests end here, and their chunks may be requested from other sources.
    pub fn remove_source(&mut self, peer: PeerId) {
        for key in self.requests.at(peer) {
            if let Some(asked) = self.end(&key)
                && failpoint!("forget-in-flight")
            {
                self.had.insert(asked.chunk);
            }
        }
        if let Some(source) = self.sources.remove(&peer) {
            if source.is_counted() {
                self.availability.remove_all(&source.has);
            }
            self.remember_doubt(peer, &source);
        }
        self.quiet.settled = false;
        self.recount();
    }

    /// Removes a source that cannot be trusted. It is never asked again for this content.
    pub fn reject_source(&mut self, peer: PeerId) {
        self.remove_source(peer);
        self.rejected.insert(peer);
    }

    /// Requests no chunk from this one on until the next call. A streamed install sets the limit, because its spool has
    /// room for no more chunks.
    pub fn set_limit(&mut self, limit: u32) {
        if self.limit != limit {
            self.limit = limit;
            self.quiet.settled = false;
        }
    }

    /// Returns the next request to make now. Call it until it returns `None`.
    pub fn next_request(
        &mut self,
        now: Time,
        next_id: &mut impl FnMut() -> RequestId,
    ) -> Option<(PeerId, ChunkRequest)> {
        if self.is_settled(now) {
            return None;
        }
        self.now = now;
        self.take_back_overdue();
        self.doubt_the_silent();
        let ask = if self.keep_in_line() { None } else { self.choose() };
        if ask.is_none() {
            self.settle();
        }
        ask.map(|ask| self.record(ask, next_id()))
    }

    /// Returns the next chunks to await from the upstream. Call it before `next_request`, until it returns `None`.
    pub fn next_follow(
        &mut self,
        now: Time,
        next_id: &mut impl FnMut() -> RequestId,
    ) -> Option<(PeerId, FollowRequest)> {
        if self.is_settled(now) || self.had.is_full() {
            return None;
        }
        self.now = now;
        if self.keep_in_line() { self.follow(next_id) } else { None }
    }

    /// Acts on what is overdue without making a request. Call it when [`Self::next_wakeup`] is due and there is no room
    /// for a request; otherwise the download would want to be woken again at once.
    pub fn pass(&mut self, now: Time) {
        self.now = now;
        self.take_back_overdue();
        self.doubt_the_silent();
        self.keep_in_line();
        self.quiet.settled = false;
    }

    /// Returns true if another call of `next_request` could not find work. Cheap enough to call after every input.
    pub fn is_settled(&self, now: Time) -> bool {
        self.quiet.settled && self.quiet.until.is_none_or(|until| now < until)
    }

    /// Returns requests to cancel. Their sources may have answered already, so each still ends by `stored` or `failed`.
    pub fn cancels(&mut self) -> impl Iterator<Item = (PeerId, RequestId)> + '_ {
        self.cancels.drain(..)
    }

    /// Returns sources that have been sending unneeded chunks for too long, each once. Close their data connections,
    /// which hold memory for nothing. Their requests still end by `failed`.
    pub fn stuck_sources(&mut self, now: Time) -> BTreeSet<PeerId> {
        let stuck = |(_, since): &(&RequestKey, &Time)| **since + UNNEEDED_MAX <= now;
        let peers: BTreeSet<PeerId> = self.unneeded.iter().filter(stuck).map(|(key, _)| key.0).collect();
        self.unneeded.retain(|(peer, _), _| !peers.contains(peer));
        peers
    }

    /// Notes that a source begins to send this chunk.
    pub fn started(&mut self, peer: PeerId, id: RequestId, chunk: ChunkIndex, now: Time) -> StartCheck {
        self.now = now;
        let key = (peer, id);
        let Some(asked) = self.requests.get(&key) else { return StartCheck::Unneeded };
        self.quiet.settled = false;
        if asked.chunk != chunk {
            return StartCheck::Breach;
        }
        self.count_again(&key);
        let bytes = self.requests.get(&key).map_or(0, |asked| asked.bytes);
        let transfer = self.sources[&peer].backlog(0, self.rates.mean());
        let late_at = self.late_at(transfer.max(bytes as f64 / self.rates.mean()));
        self.requests.start(&key, late_at);
        self.answered(peer);
        if self.had.contains(chunk) {
            self.requests.drop_wanted(&key);
            self.cancels.push_back(key);
            self.unneeded.insert(key, now);
            return StartCheck::Unneeded;
        }
        StartCheck::Wanted
    }

    /// Notes that a chunk is verified and written, and cancels other requests for it.
    pub fn stored(&mut self, peer: PeerId, id: RequestId, chunk: ChunkIndex, now: Time) -> Stored {
        self.now = now;
        let bytes = self.chunk_bytes(chunk);
        let asked = self.end(&(peer, id));
        self.answered(peer);
        if let Some(asked) = asked
            && let Some(source) = self.sources.get_mut(&peer)
        {
            let before = source.rate();
            source.stored(bytes, asked.asked, now);
            self.rates.change(before, source.rate());
            self.clear_of_doubt(peer);
        }
        self.quiet.settled = false;
        let new = self.had.insert(chunk);
        self.fed_by(peer);
        self.duplicates += u64::from(!new);
        let others =
            if self.requests.carriers(chunk) > 0 { self.requests.bringing(chunk) } else { Vec::new() };
        for key in others {
            if self.requests.get(&key).is_some_and(|asked| asked.started) {
                self.unneeded.insert(key, now);
            }
            self.requests.drop_wanted(&key);
            self.cancels.push_back(key);
        }
        Stored { new }
    }

    /// Notes that a request brought no chunk, for the reason `why`.
    pub fn failed(&mut self, peer: PeerId, id: RequestId, why: Failure, now: Time) {
        self.now = now;
        let Some(asked) = self.end(&(peer, id)) else { return };
        match why {
            Failure::Lost => {
                if failpoint!("forget-in-flight") {
                    self.had.insert(asked.chunk);
                }
                return self.lost(peer);
            }
            Failure::Corrupt | Failure::Refused(_) => self.answered(peer),
        }
        let cancelled = asked.dropped && matches!(why, Failure::Refused(Refusal::Cancelled));
        match why {
            Failure::Corrupt
            | Failure::Refused(Refusal::NotHad | Refusal::NoSuchChunk | Refusal::ReadFailed) => {
                self.lacks(peer, asked.chunk);
            }
            Failure::Refused(Refusal::Cancelled) if cancelled => {}
            Failure::Refused(Refusal::TooMany) => {
                let chunk = self.content.manifest().chunk_size().bytes() as f64;
                let pause = self.tuning.busy_pause_chunks * chunk / self.rates.mean().max(1.0);
                self.rest(peer, Duration::from_secs_f64(pause.clamp(BUSY_PAUSE_MIN, BUSY_PAUSE_MAX)));
            }
            Failure::Refused(_) => self.rest(peer, self.tuning.refused_pause),
            Failure::Lost => {}
        }
        if asked.awaited && !cancelled {
            self.refused_to_follower(peer);
        }
        // After the pause for the refusal itself, because a doubted source gets a longer one.
        if !cancelled {
            self.refused_in_vain(peer, matches!(why, Failure::Refused(Refusal::TooMany)));
        }
    }

    /// Returns when to call `next_request` even if nothing has happened.
    pub fn next_wakeup(&self) -> Option<Time> {
        if self.had.is_full() {
            None
        } else if self.quiet.settled {
            self.quiet.until
        } else {
            self.next_change()
        }
    }
}

/// Longest time that a source may go on sending an unneeded chunk: 8 MiB over a bad wireless link.
pub(super) const UNNEEDED_MAX: Duration = Duration::from_secs(10);

/// Shortest pause, in seconds, after a `TooMany`: a shorter one would flood the source with requests.
const BUSY_PAUSE_MIN: f64 = 0.005;
/// Longest pause, in seconds, after a `TooMany`, so that a wrong estimate goes unnoticed.
const BUSY_PAUSE_MAX: f64 = 0.25;
