//! The receiver's side: one download of one content. Here is what happens to it; the rest in concepts of their own.

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

/// Decides who is asked for which chunk.
///
/// After every input, call [`Download::next_request`] until it returns `None`, then [`Download::cancels`]. Each request
/// ends exactly once: by [`Download::stored`], by [`Download::failed`], or with its source.
#[derive(Debug)]
pub struct Download {
    content: Arc<GameContent>,
    had: ChunkSet,
    sources: BTreeMap<PeerId, Source>,
    rejected: BTreeSet<PeerId>,
    /// What spoke against sources that have left.
    doubts: BTreeMap<PeerId, Doubt>,
    /// Sources that were doubted and had never delivered anything.
    impostors: u32,
    availability: Availability,
    requests: Requests,
    cancels: VecDeque<RequestKey>,
    /// Answers that are coming and are no longer needed, and since when.
    unneeded: BTreeMap<RequestKey, Time>,
    following: Following,
    /// Which of several seeds is asked for a place.
    order: u64,
    /// The sources that had everything from the start, in an order that all peers share.
    seeds: Vec<PeerId>,
    /// The other sources, how many of them are still downloading, and the requests at all of them.
    fellows: usize,
    downloading: usize,
    fellow_requests: usize,
    bytes_in_flight: u64,
    duplicates: u64,
    /// A source of which nothing is known counts as fast as their mean.
    rates: Rates,
    /// No chunk from here on is asked for.
    limit: u32,
    quiet: Quiet,
    rng: Rng,
    tuning: Tuning,
    now: Time,
}

/// Whether choosing again could come to anything: most announcements change nothing.
#[derive(Debug, Default)]
struct Quiet {
    /// Nothing was to be asked when last looked, and nothing has happened since that would change it.
    settled: bool,
    /// Something was late then, or the endgame has begun: then a new holder of a chunk that is on its way matters.
    helpless: bool,
    /// When time alone changes it.
    until: Option<Time>,
}

/// What to make of a chunk that begins to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartCheck {
    /// It is wanted.
    Wanted,
    /// It came from elsewhere in the meantime, or the source was removed: the bytes may be thrown away unread.
    Unneeded,
    /// It is not the chunk that was asked for: the source breaks the protocol.
    Breach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The chunk was not there before.
    pub new: bool,
}

/// Why a request brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The bytes did not verify. The caller names the source and calls [`Download::reject_source`].
    Corrupt,
    Refused(Refusal),
    /// The data connection failed, or our own disk did.
    Lost,
}

impl Download {
    /// `had` are the chunks that an earlier attempt left, verified.
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

    /// A peer has these chunks: all of them, some, or as yet none. Said again, it replaces what was known. A peer that
    /// downloads the same content is a source from the moment it says so: that there are others decides the policy.
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
                    // Connected first, heard of its chunks later.
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

    /// A peer downloads the same content and will have chunks, if it has none yet. What is known of it stays.
    pub fn add_fellow(&mut self, peer: PeerId, now: Time) {
        if !self.sources.contains_key(&peer) {
            self.add_source(peer, ChunkSet::empty(self.had.len()), now);
        }
    }

    /// A source announces chunks that it has got since.
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

    /// The source is gone. What was asked of it is free again; no answer to that is expected.
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

    /// The source is not to be trusted: it is removed and never asked again for this content.
    pub fn reject_source(&mut self, peer: PeerId) {
        self.remove_source(peer);
        self.rejected.insert(peer);
    }

    /// Asks for no chunk from this one on until told otherwise: whoever takes the chunks has room for no more.
    pub fn set_limit(&mut self, limit: u32) {
        if self.limit != limit {
            self.limit = limit;
            self.quiet.settled = false;
        }
    }

    /// The next request to make now. To be called until it returns `None`.
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

    /// The next chunks to await from the upstream. To be called before `next_request`, until it returns `None`.
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

    /// Lets a turn to ask go by: acts on what is overdue, and asks for nothing. To be called when the time of
    /// [`Self::next_wakeup`] has come and there is no room for a request, or the download would want to be woken at once.
    pub fn pass(&mut self, now: Time) {
        self.now = now;
        self.take_back_overdue();
        self.doubt_the_silent();
        self.keep_in_line();
        self.quiet.settled = false;
    }

    /// Whether `next_request` has nothing to ask and nothing else came of what happened since it was last called. Cheap
    /// enough to be asked after every input.
    pub fn is_settled(&self, now: Time) -> bool {
        self.quiet.settled && self.quiet.until.is_none_or(|until| now < until)
    }

    /// Requests that are no longer needed. Their sources may have answered already, so each still ends by `stored` or
    /// `failed`.
    pub fn cancels(&mut self) -> impl Iterator<Item = (PeerId, RequestId)> + '_ {
        self.cancels.drain(..)
    }

    /// Sources that go on sending what is no longer needed for too long: their connections hold memory for nothing, and are
    /// to be closed. Each of their requests still ends by `failed`.
    pub fn stuck_sources(&mut self, now: Time) -> BTreeSet<PeerId> {
        let stuck = |(_, since): &(&RequestKey, &Time)| **since + UNNEEDED_MAX <= now;
        let peers: BTreeSet<PeerId> = self.unneeded.iter().filter(stuck).map(|(key, _)| key.0).collect();
        self.unneeded.retain(|(peer, _), _| !peers.contains(peer));
        peers
    }

    /// A source sends this chunk; its bytes follow.
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

    /// The chunk is verified and written.
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

    /// The request brought nothing.
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
        // After the pause that the refusal itself calls for: that of a doubted source is longer.
        if !cancelled {
            self.refused_in_vain(peer, matches!(why, Failure::Refused(Refusal::TooMany)));
        }
    }

    /// When to call `next_request` although nothing has happened.
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

/// How long a source may go on sending a chunk that has come from elsewhere: 8 MiB over a bad wireless link.
pub(super) const UNNEEDED_MAX: Duration = Duration::from_secs(10);

/// A pause after being turned away is neither so short that it floods the other side, nor so long that a wrong estimate
/// would be felt. In seconds.
const BUSY_PAUSE_MIN: f64 = 0.005;
const BUSY_PAUSE_MAX: f64 = 0.25;
