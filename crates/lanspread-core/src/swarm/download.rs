//! The receiver's side: one download of one content.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::CANDIDATES_PER_REQUEST_MAX;
use lanspread_types::message::{ChunkRequest, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId};

use super::availability::Availability;
use super::requests::{Asked, RequestKey, Requests};
use super::rng::{Rng, mix};
use super::source::{Source, SourceFigures};
use super::tuning::Tuning;
use super::window::Window;
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
    availability: Availability,
    requests: Requests,
    cancels: VecDeque<RequestKey>,
    /// Chunks that a scarce source has sent to somebody else, and when it said so.
    elsewhere: BTreeMap<ChunkIndex, Time>,
    /// The sources that had everything from the start, in an order that all peers share.
    seeds: Vec<PeerId>,
    /// The other sources, how many of them are still downloading, and the requests at all of them.
    fellows: usize,
    downloading: usize,
    fellow_requests: usize,
    bytes_in_flight: u64,
    duplicates: u64,
    /// Bytes per second of a typical source.
    usual_rate: f64,
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

/// What to make of the chunk that a source has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartCheck {
    /// It is wanted.
    Wanted,
    /// It came from elsewhere in the meantime, or the source was removed: the bytes may be thrown away unread.
    Unneeded,
    /// It is none of the candidates: the source breaks the protocol.
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

/// A request to be made.
struct Ask {
    peer: PeerId,
    candidates: Vec<ChunkIndex>,
    fresh_only: bool,
}

impl Ask {
    fn one(peer: PeerId, chunk: ChunkIndex) -> Self {
        Self { peer, candidates: vec![chunk], fresh_only: false }
    }
}

impl Download {
    /// `had` are the chunks that an earlier attempt left, verified.
    pub fn new(content: Arc<GameContent>, had: ChunkSet, seed: u64, tuning: Tuning) -> Self {
        let chunks = content.manifest().chunk_count();
        Self {
            content,
            had,
            sources: BTreeMap::new(),
            rejected: BTreeSet::new(),
            availability: Availability::new(chunks),
            requests: Requests::new(chunks),
            cancels: VecDeque::new(),
            elsewhere: BTreeMap::new(),
            seeds: Vec::new(),
            fellows: 0,
            downloading: 0,
            fellow_requests: 0,
            bytes_in_flight: 0,
            duplicates: 0,
            usual_rate: RATE_UNKNOWN,
            quiet: Quiet::default(),
            rng: Rng::new(seed),
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
        match self.sources.get_mut(&peer) {
            Some(source) => {
                if !source.seed {
                    self.availability.remove_all(&source.has);
                    // Connected first, heard of its chunks later.
                    source.seed = source.has.is_empty() && source.chunks == 0 && has.is_full();
                }
                source.has = has;
            }
            None => {
                self.sources.insert(peer, Source::new(has));
            }
        }
        let source = &self.sources[&peer];
        if !source.seed {
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
                self.availability.add(chunk);
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
            self.end(&key);
        }
        if let Some(source) = self.sources.remove(&peer)
            && !source.seed
        {
            self.availability.remove_all(&source.has);
            // What a seed had sent to this one alone is to be wished for again.
            self.elsewhere.clear();
        }
        self.quiet.settled = false;
        self.recount();
    }

    /// The source is not to be trusted: it is removed and never asked again for this content.
    pub fn reject_source(&mut self, peer: PeerId) {
        self.remove_source(peer);
        self.rejected.insert(peer);
    }

    pub fn is_rejected(&self, peer: PeerId) -> bool {
        self.rejected.contains(&peer)
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
        let ask = self.choose();
        if ask.is_none() {
            self.settle();
        }
        ask.map(|ask| self.record(ask, next_id()))
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

    /// A source has chosen this chunk; its bytes follow.
    pub fn started(&mut self, peer: PeerId, id: RequestId, chunk: ChunkIndex, now: Time) -> StartCheck {
        self.now = now;
        let key = (peer, id);
        let Some(asked) = self.requests.get(&key) else { return StartCheck::Unneeded };
        self.quiet.settled = false;
        if !asked.candidates.contains(&chunk) || asked.chunk.is_some_and(|expected| expected != chunk) {
            return StartCheck::Breach;
        }
        let open_wish = asked.is_open_wish();
        let bytes = asked.bytes;
        let transfer = self.sources[&peer].backlog(0, self.usual_rate);
        let late_at = self.late_at(transfer.max(bytes as f64 / self.usual_rate));
        self.requests.assign(&key, chunk, late_at);
        if open_wish && let Some(source) = self.sources.get_mut(&peer) {
            source.wishes -= 1;
        }
        if self.had.contains(chunk) {
            self.requests.drop_wanted(&key);
            self.cancels.push_back(key);
            return StartCheck::Unneeded;
        }
        StartCheck::Wanted
    }

    /// The chunk is verified and written.
    pub fn stored(&mut self, peer: PeerId, id: RequestId, chunk: ChunkIndex, now: Time) -> Stored {
        self.now = now;
        let bytes = self.chunk_bytes(chunk);
        if let Some(asked) = self.end(&(peer, id))
            && let Some(source) = self.sources.get_mut(&peer)
        {
            source.stored(bytes, asked.asked, now);
            self.usual_rate = usual_rate(self.sources.values());
        }
        self.quiet.settled = false;
        let new = self.had.insert(chunk);
        if new {
            self.elsewhere.remove(&chunk);
        } else {
            self.duplicates += 1;
        }
        for key in self.requests.bringing(chunk) {
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
            Failure::Corrupt
            | Failure::Refused(Refusal::NotHad | Refusal::NoSuchChunk | Refusal::ReadFailed) => {
                self.lacks(peer, &asked.candidates);
            }
            Failure::Refused(Refusal::NothingFresh) => {
                for chunk in asked.candidates {
                    self.elsewhere.insert(chunk, now);
                }
            }
            Failure::Refused(Refusal::Cancelled) => {}
            Failure::Refused(Refusal::TooMany) => {
                let chunk = self.content.manifest().chunk_size().bytes() as f64;
                let pause = self.tuning.busy_pause_chunks * chunk / self.usual_rate.max(1.0);
                self.rest(peer, Duration::from_secs_f64(pause.clamp(BUSY_PAUSE_MIN, BUSY_PAUSE_MAX)));
            }
            Failure::Refused(_) | Failure::Lost => self.rest(peer, self.tuning.refused_pause),
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

    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    pub fn had(&self) -> &ChunkSet {
        &self.had
    }

    pub fn is_complete(&self) -> bool {
        self.had.is_full()
    }

    pub fn first_missing(&self) -> Option<ChunkIndex> {
        self.had.first_missing()
    }

    /// The chunks that may be asked for now.
    pub fn window_range(&self) -> std::ops::Range<u32> {
        let window = self.window();
        window.start()..window.end()
    }

    pub fn sources(&self) -> impl Iterator<Item = (PeerId, SourceFigures)> + '_ {
        self.sources.iter().map(|(peer, source)| (*peer, source.figures()))
    }

    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Copies of a chunk in the room that this download knows of, its own not counted.
    pub fn copies(&self, chunk: ChunkIndex) -> usize {
        self.sources.values().filter(|source| source.has.contains(chunk)).count()
    }

    /// Copies of the content in the room, ours included: as many as the rarest chunk has, and the share of chunks that
    /// have more.
    pub fn copies_in_room(&self) -> f64 {
        let copies = |at| {
            let chunk = ChunkIndex(at);
            self.copies(chunk) + usize::from(self.had.contains(chunk))
        };
        let rarest = (0..self.had.len()).map(copies).min().unwrap_or(0);
        let more = (0..self.had.len()).filter(|&at| copies(at) > rarest).count();
        rarest as f64 + more as f64 / f64::from(self.had.len().max(1))
    }

    /// Whether the sources together have everything that is missing.
    pub fn can_complete(&self) -> bool {
        let any_seed = self.sources.values().any(|source| source.has.is_full());
        any_seed || self.had.missing_from(0).all(|chunk| self.copies(chunk) > 0)
    }

    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    pub fn requests_in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Verified chunks that came a second time.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

/// Choosing.
impl Download {
    fn choose(&mut self) -> Option<Ask> {
        if self.had.is_full() || !self.has_room() {
            return None;
        }
        let window = self.window();
        self.wish(&window).or_else(|| self.fetch(&window)).or_else(|| self.help())
    }

    /// There is nothing to ask: until when?
    fn settle(&mut self) {
        let mut late = self.requests.wanted().filter(|(_, asked)| asked.chunk.is_some());
        let helpless = self.is_endgame() || late.any(|(_, asked)| asked.late_at <= self.now);
        self.quiet = Quiet { settled: true, helpless, until: self.next_change() };
    }

    /// When time alone makes a difference.
    fn next_change(&self) -> Option<Time> {
        let late =
            self.requests.wanted().filter(|(_, asked)| asked.chunk.is_some()).map(|(_, asked)| asked.late_at);
        let rested = self.sources.values().map(|source| source.rests_until);
        let patience = self.spread_patience();
        let spread = self.elsewhere.values().map(|&told| told + patience);
        late.chain(rested).chain(spread).filter(|&at| at > self.now).min()
    }

    fn is_endgame(&self) -> bool {
        self.had.len() - self.had.count() <= self.tuning.endgame_chunks
    }

    /// Asks a scarce source for whatever it has not sent to anybody yet, out of its share of the window.
    fn wish(&mut self, window: &Window) -> Option<Ask> {
        if !self.is_scarce() {
            return None;
        }
        for (at, &peer) in self.seeds.iter().enumerate() {
            let source = &self.sources[&peer];
            if source.wishes >= self.tuning.wishes || source.rests_until > self.now {
                continue;
            }
            let unspread = |wanted: &dyn Fn(ChunkIndex) -> bool| -> Vec<ChunkIndex> {
                let only_here = |&chunk: &ChunkIndex| {
                    self.requests.carriers(chunk) == 0
                        && self.availability.copies(chunk) == 0
                        && wanted(chunk)
                };
                self.missing_in(window).filter(only_here).take(CANDIDATES_PER_REQUEST_MAX).collect()
            };
            let seeds = self.seeds.len();
            // Sent to somebody, but long ago, and he does not pass it on: the seed may count it as fresh again.
            let told_off = |chunk| self.elsewhere.contains_key(&chunk) && !self.is_overdue(chunk);
            let fresh = unspread(&|chunk| !told_off(chunk) && home(chunk, seeds) == at);
            // Each wish takes one away; one more than there are chunks could only be refused.
            if fresh.len() > source.wishes {
                return Some(Ask { peer, candidates: fresh, fresh_only: true });
            }
        }
        None
    }

    /// Asks for a chunk by name: the rarest one in the window that somebody with time to spare has.
    fn fetch(&mut self, window: &Window) -> Option<Ask> {
        let draw = self.rng.next_u64();
        let may_ask = self.fellow_requests < self.tuning.swarm_requests;
        let free = if may_ask { self.free_fellows() } else { Vec::new() };
        let fellows = !free.is_empty();
        let scarce = self.is_scarce();
        if !fellows && scarce {
            return None;
        }
        let in_order = self.fellows == 0 || draw % 100 < self.tuning.in_order_percent;
        let mut ranked: Vec<(u16, u64, ChunkIndex)> = Vec::new();
        for chunk in self.had.missing_from(window.start()).take_while(|chunk| chunk.0 < window.end()) {
            let copies = self.availability.copies(chunk);
            if self.requests.carriers(chunk) == 0 && ((copies > 0 && fellows) || !scarce) {
                // Alone, in order: there is nobody to have other chunks than.
                let tie = if in_order { u64::from(chunk.0) } else { mix(draw ^ u64::from(chunk.0)) };
                let copies = if in_order { copies.min(1) } else { copies };
                ranked.push((copies, tie, chunk));
            }
        }
        ranked.sort_unstable();
        ranked.iter().find_map(|&(copies, _, chunk)| {
            let fellow = if copies > 0 && fellows { self.best_of(&free, chunk) } else { None };
            let seed = || if !scarce { self.home_or_thief(chunk, window) } else { None };
            fellow.or_else(seed).map(|peer| Ask::one(peer, chunk))
        })
    }

    /// Asks a second source for a chunk that is late, or for one of the very last.
    fn help(&mut self) -> Option<Ask> {
        let endgame = self.is_endgame();
        let mut candidates: Vec<(Time, ChunkIndex, PeerId)> = Vec::new();
        for (&(peer, _), asked) in self.requests.wanted() {
            let Some(chunk) = asked.chunk else { continue };
            if (asked.late_at <= self.now || endgame)
                && self.requests.carriers(chunk) < 2
                && !self.had.contains(chunk)
            {
                candidates.push((asked.late_at, chunk, peer));
            }
        }
        candidates.sort_unstable();
        candidates.into_iter().find_map(|(late_at, chunk, bringer)| {
            let late = late_at <= self.now;
            let usual = self.usual_rate;
            let bytes = self.chunk_bytes(chunk);
            let bringer_needs = self.sources[&bringer].backlog(0, usual);
            let able = self.sources.iter().filter(|(peer, source)| {
                **peer != bringer && source.has.contains(chunk) && self.is_free(source)
            });
            let helper = able
                .map(|(peer, source)| (source.backlog(bytes, usual), *peer))
                .filter(|&(needs, _)| late || is_worth_it(needs, bringer_needs))
                .min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Ask::one(helper.1, chunk))
        })
    }

    /// Those who can be asked now, with the seconds that one chunk more would take from each.
    fn free_fellows(&self) -> Vec<(PeerId, &Source, u64)> {
        let bytes = self.content.manifest().chunk_size().bytes();
        self.sources
            .iter()
            .filter(|(_, source)| !source.seed && !source.has.is_empty() && self.is_free(source))
            .map(|(peer, source)| (*peer, source, (source.backlog(bytes, self.usual_rate) * 100.0) as u64))
            .collect()
    }

    /// The fellow downloader that will probably deliver first.
    fn best_of(&self, free: &[(PeerId, &Source, u64)], chunk: ChunkIndex) -> Option<PeerId> {
        let moment = u64::from(chunk.0) ^ self.now.since_start().as_nanos() as u64;
        free.iter()
            .filter(|(_, source, _)| source.has.contains(chunk))
            .min_by_key(|(peer, _, needs)| (*needs, mix(short(peer) ^ moment)))
            .map(|(peer, ..)| *peer)
    }

    /// The seed whose share the chunk belongs to, or another one that has nothing left to do and would be much sooner.
    fn home_or_thief(&self, chunk: ChunkIndex, window: &Window) -> Option<PeerId> {
        let seeds = &self.seeds;
        let home_at = home(chunk, seeds.len().max(1));
        let owner = *seeds.get(home_at)?;
        let owner_source = &self.sources[&owner];
        if self.is_free(owner_source) {
            return Some(owner);
        }
        let (usual, bytes) = (self.usual_rate, self.chunk_bytes(chunk));
        let unasked = |at: usize| {
            let free = self.missing_in(window).filter(|&c| self.requests.carriers(c) == 0);
            free.filter(|&c| home(c, seeds.len()) == at).count() as u64
        };
        let owner_needs = if self.has_late(owner) || owner_source.rests_until > self.now {
            f64::INFINITY
        } else {
            owner_source.backlog(unasked(home_at) * bytes, usual)
        };
        let mut thieves: Vec<_> = (0..seeds.len())
            .filter(|&at| at != home_at && self.is_free(&self.sources[&seeds[at]]))
            .map(|at| (self.sources[&seeds[at]].backlog(bytes, usual), at))
            .collect();
        thieves.sort_by(|a, b| a.0.total_cmp(&b.0));
        thieves
            .into_iter()
            .find(|&(needs, at)| is_worth_it(needs, owner_needs) && unasked(at) == 0)
            .map(|(_, at)| seeds[at])
    }

    fn record(&mut self, ask: Ask, id: RequestId) -> (PeerId, ChunkRequest) {
        let open = ask.fresh_only || ask.candidates.len() > 1;
        let chunk = if open { None } else { ask.candidates.first().copied() };
        let bytes = ask.candidates.first().map_or(0, |&chunk| self.chunk_bytes(chunk));
        let usual = self.usual_rate;
        let source = self.sources.get_mut(&ask.peer);
        let mut expected = 0.0;
        if let Some(source) = source {
            source.requests += 1;
            source.wishes += usize::from(open);
            source.bytes_in_flight += bytes;
            self.fellow_requests += usize::from(!source.seed);
            expected = source.backlog(0, usual).max(source.latency().unwrap_or_default().as_secs_f64());
        }
        self.bytes_in_flight += bytes;
        let asked = Asked {
            candidates: ask.candidates.clone(),
            chunk,
            bytes,
            asked: self.now,
            late_at: self.late_at(expected),
            dropped: false,
        };
        self.requests.insert((ask.peer, id), asked);
        let manifest = self.content.manifest();
        let request = ChunkRequest {
            id,
            game: manifest.game().clone(),
            content: self.content.content_id(),
            candidates: ask.candidates,
            fresh_only: ask.fresh_only,
        };
        (ask.peer, request)
    }
}

/// Another source takes over, or helps at the very end, when it would be done in less than half the time, and by so
/// much that it cannot be chance.
const STEAL_FACTOR: f64 = 2.0;
const STEAL_SECONDS: f64 = 0.05;

fn is_worth_it(needs: f64, instead_of: f64) -> bool {
    STEAL_FACTOR * needs + STEAL_SECONDS < instead_of
}

/// A pause after being turned away is neither so short that it floods the other side, nor so long that a wrong estimate
/// would be felt. In seconds.
const BUSY_PAUSE_MIN: f64 = 0.005;
const BUSY_PAUSE_MAX: f64 = 0.25;

/// The rate of a source of which nothing is known, in bytes per second: a 100 Mbit/s link.
const RATE_UNKNOWN: f64 = 12e6;

/// Accounting.
impl Download {
    fn window(&self) -> Window {
        Window::of(&self.had, self.downloading + 1, &self.tuning)
    }

    fn missing_in(&self, window: &Window) -> impl Iterator<Item = ChunkIndex> + '_ {
        let end = window.end();
        self.had.missing_from(window.start()).take_while(move |chunk| chunk.0 < end)
    }

    /// Counts who is who, after the sources have changed.
    fn recount(&mut self) {
        self.seeds = self.sources.iter().filter(|(_, source)| source.seed).map(|(peer, _)| *peer).collect();
        self.fellows = self.sources.len() - self.seeds.len();
        let fellows = || self.sources.values().filter(|source| !source.seed);
        self.downloading = fellows().filter(|source| !source.has.is_full()).count();
        self.fellow_requests = fellows().map(|source| source.requests).sum();
        self.usual_rate = usual_rate(self.sources.values());
    }

    /// Whether the seeds must not waste their time on second copies: there are at least twice as many downloaders.
    fn is_scarce(&self) -> bool {
        self.fellows > 0 && self.fellows + 1 >= 2 * self.seeds.len()
    }

    /// A chunk that was just sent to somebody arrives there about as late as our own chunks from that seed do.
    fn spread_patience(&self) -> Duration {
        let latency =
            self.seeds.iter().filter_map(|peer| self.sources[peer].latency()).max().unwrap_or_default();
        self.tuning.spread_patience.max(latency * 2)
    }

    /// The seed has sent it to somebody long ago, and nobody has announced it.
    fn is_overdue(&self, chunk: ChunkIndex) -> bool {
        self.elsewhere.get(&chunk).is_some_and(|&told| told + self.spread_patience() <= self.now)
    }

    fn is_free(&self, source: &Source) -> bool {
        let depth = match source.chunks {
            // A liar costs one chunk, not as many as were asked of it before the first came.
            0 => 1,
            _ => source.depth(self.content.manifest().chunk_size().bytes(), &self.tuning),
        };
        source.requests < depth && source.rests_until <= self.now
    }

    fn has_late(&self, peer: PeerId) -> bool {
        let late = |asked: &Asked| asked.chunk.is_some() && asked.late_at <= self.now;
        self.requests.at(peer).iter().filter_map(|key| self.requests.get(key)).any(late)
    }

    fn has_room(&self) -> bool {
        let next = self.content.manifest().chunk_size().bytes();
        self.requests.len() < self.tuning.in_flight_chunks_min
            || self.bytes_in_flight + next <= self.tuning.in_flight_bytes
    }

    fn late_at(&self, expected_seconds: f64) -> Time {
        let expected = Duration::from_secs_f64(expected_seconds.min(3600.0)) * self.tuning.late_factor;
        self.now + expected.max(self.tuning.late_min)
    }

    fn chunk_bytes(&self, chunk: ChunkIndex) -> u64 {
        self.content.manifest().place(chunk).map_or(0, |place| place.len)
    }

    fn end(&mut self, key: &RequestKey) -> Option<Asked> {
        let asked = self.requests.remove(key)?;
        self.quiet.settled = false;
        self.bytes_in_flight -= asked.bytes;
        if let Some(source) = self.sources.get_mut(&key.0) {
            source.requests -= 1;
            self.fellow_requests -= usize::from(!source.seed);
            source.bytes_in_flight -= asked.bytes;
            source.wishes -= usize::from(asked.is_open_wish());
        }
        Some(asked)
    }

    fn rest(&mut self, peer: PeerId, pause: Duration) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.rests_until = self.now + pause;
        }
    }

    /// The source turns out not to have these chunks, whatever it announced.
    fn lacks(&mut self, peer: PeerId, chunks: &[ChunkIndex]) {
        let Some(source) = self.sources.get_mut(&peer) else { return };
        for &chunk in chunks {
            if source.has.remove(chunk) && !source.seed {
                self.availability.remove(chunk);
            }
        }
    }
}

/// The mean over those of which something is known.
fn usual_rate<'a>(sources: impl Iterator<Item = &'a Source>) -> f64 {
    let (mut sum, mut known) = (0.0, 0);
    for rate in sources.filter_map(Source::rate) {
        sum += rate;
        known += 1;
    }
    if known == 0 { RATE_UNKNOWN } else { sum / f64::from(known) }
}

/// Which of so many seeds a chunk belongs to: each has exactly one of every run of as many chunks, in turns that
/// change from run to run, so that no pattern of the files favours one.
fn home(chunk: ChunkIndex, seeds: usize) -> usize {
    let seeds = seeds as u64;
    let (run, place) = (u64::from(chunk.0) / seeds, u64::from(chunk.0) % seeds);
    ((place + mix(run)) % seeds) as usize
}

fn short(peer: &PeerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *peer.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
