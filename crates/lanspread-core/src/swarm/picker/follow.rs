//! Following: a receiver gets all chunks in order from one peer, its *upstream*, which sends each chunk as soon as it
//! has it.
//!
//! While other peers receive the content too, a receiver stands in a line (`swarm::line`) and follows the peer before
//! it. This module decides which peer to follow, how many chunks to await ahead, and when to blame the upstream for a
//! standstill. While there is no upstream, the picker (`choose`) asks all sources.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lanspread_types::limits::{AWAITED_PER_SOURCE_MAX, CHUNKS_PER_FOLLOW_MAX};
use lanspread_types::message::{FollowRequest, Place, RequestId};
use lanspread_types::{ChunkIndex, PeerId, failpoint};

use super::Picker;
use crate::swarm::requests::{Asked, RequestKey};
use crate::time::Time;

/// Chunks are awaited for this long ahead, at the upstream's rate. Requests wait behind data in our own uplink, which
/// systems and switches queue for up to 200 ms.
const AWAITED_AHEAD: Duration = Duration::from_millis(250);
/// Fewest chunks to await ahead.
const AWAITED_MIN: u64 = 8;
/// Chunks from an upstream before its rate counts. If it is as many chunks ahead, as many are awaited until then: with
/// few chunks under way, an upstream whose links are full would seem to be slow.
const RATED_CHUNKS: u64 = CHUNKS_PER_FOLLOW_MAX as u64;
/// Number of chunk times without a chunk after which an upstream counts as silent.
const SILENT_CHUNKS: f64 = 10.0;
/// Shortest time without a chunk that counts as silence: three times the stall of a busy PC.
const SILENT_MIN: Duration = Duration::from_millis(300);
/// Silences in a row after which the upstream is blamed without evidence.
const SILENCES_MAX: u32 = 10;
/// A blamed peer is avoided for this long. Each further blame doubles the time.
const AVOIDED_FOR: Duration = Duration::from_secs(2);
/// Most doublings of that time, which make 128 seconds.
const AVOIDED_DOUBLINGS_MAX: u32 = 6;
/// Blamed upstreams of one placer after which the placer is avoided as well.
const BLAMES_MAX: u32 = 4;
/// Most peers that are remembered as blamed.
const AVOIDED_MAX: usize = 64;
/// An unanswered request for a place is repeated after this time.
const PLACE_PATIENCE: Duration = Duration::from_secs(2);
/// Time to wait for a place before chunks are asked for by name.
const PLACE_EXPECTED: Duration = Duration::from_millis(500);
/// Interval between questions to the peer before the upstream about its progress: shorter than `PROBE_AFTER`, so that an
/// answer is there when the first probe is due.
const LAG_INTERVAL: Duration = Duration::from_millis(250);
/// Chunks by which that peer must be ahead of us before the upstream is suspected of being slow.
const LAG_CHUNKS: u32 = 2 * AWAITED_MIN as u32;
/// Chunks of a probe, which shows whether the peer before the upstream could feed us faster. If the upstream takes all
/// that this peer can send, the probe gets at most half of its rate.
const PROBE_CHUNKS: u32 = 8;
/// A probe must be this many times faster than the upstream before the upstream is blamed.
const PROBE_FACTOR: f64 = 1.5;
/// Time from a new upstream to the first probe: in a shorter time a stall would look like a low rate. The upstream must
/// also have sent as many chunks as a probe, and gain no speed any more. The pause before each further probe is four
/// times as long.
const PROBE_AFTER: Duration = SILENT_MIN;
/// Two such times in a row show whether the upstream gains speed. TCP doubles its rate with each round trip at first,
/// and with full queues a round trip takes up to 200 ms: what comes in the second time is far more than in the first.
const PACE_TIME: Duration = Duration::from_millis(100);
/// A probe that takes longer is given up.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// A download with an upstream counts as fed for this long after its last chunk.
pub(super) const FED_FOR: Duration = Duration::from_secs(5);

/// A question that a download has for another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineAction {
    /// Ask the placer `of` for a place, and name the upstream that did not deliver, if any.
    AskPlace {
        /// Placer to ask.
        of: PeerId,
        /// Upstream that did not deliver, if any.
        instead_of: Option<PeerId>,
    },
    /// Ask this peer how far it is.
    AskProgress(PeerId),
}

/// Where a download stands in the line.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Chunks come along the line. A receiver with an upstream stays in the line after the others have finished.
    on: bool,
    /// Upstreams of our place, nearest first.
    upstreams: Vec<PeerId>,
    /// The upstream that we follow.
    current: Option<PeerId>,
    /// Blamed peers: number of doublings of the time, and its end.
    avoided: BTreeMap<PeerId, (u32, Time)>,
    /// The placer that was asked last, and when.
    asked: Option<(PeerId, Time)>,
    /// The placer of our present place.
    placed_by: Option<PeerId>,
    /// Upstreams of that placer that were blamed.
    blames: u32,
    /// The placer that a seed recommended.
    placer: Option<PeerId>,
    /// Start of the time without an upstream.
    alone_since: Option<Time>,
    /// Time of the upstream's last chunk, or of the switch to it.
    fed_at: Time,
    /// Start of the time over which the upstream is compared with the next probe, and the chunks that it has sent since
    /// then. The time starts with the upstream's first chunk, and again with each probe.
    compared: Option<(Time, u32)>,
    /// How fast the upstream's chunks have come lately.
    pace: Pace,
    /// Time of the last chunk from any peer.
    pub stored_at: Option<Time>,
    /// The standstill that is being looked into.
    silence: Option<Silence>,
    /// Silences in a row of the present upstream.
    silences: u32,
    /// Time of the last question to the peer before the upstream.
    lag_asked: Option<Time>,
    /// The probe that is under way.
    probe: Option<Probe>,
    /// We are behind the peer before the upstream.
    lagging: bool,
    /// No probe before this.
    probe_at: Time,
    /// Pause from the next probe to the one after it.
    probe_pause: Duration,
    /// Questions that the caller has not sent yet.
    pub actions: VecDeque<LineAction>,
}

/// Chunks of the upstream in two times of [`PACE_TIME`] that follow each other, and in the one that has begun.
#[derive(Debug, Default)]
struct Pace {
    since: Time,
    counts: [u32; 3],
    /// Times that have passed since the upstream's first chunk.
    times: u32,
}

impl Pace {
    fn new(now: Time) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Begins as many new times as have passed.
    fn advance(&mut self, now: Time) {
        let passed = (now.since(self.since).as_millis() / PACE_TIME.as_millis()) as u32;
        self.since = self.since + PACE_TIME * passed;
        self.times = self.times.saturating_add(passed);
        for _ in 0..passed.min(3) {
            self.counts = [self.counts[1], self.counts[2], 0];
        }
    }

    /// Returns true if less than two times have passed, or if the second one brought more than a quarter more than the
    /// first, and more than one chunk more.
    fn grows(&self) -> bool {
        self.times < 2 || self.counts[1] > self.counts[0] + self.counts[0] / 4 + 1
    }
}

/// A standstill under investigation.
#[derive(Debug)]
struct Silence {
    since: Time,
    /// The upstream has told its progress.
    answered: bool,
    /// The upstream or the peer before it has the chunk that we await.
    ahead: bool,
}

/// Chunks fetched from the peer before the upstream, to measure its rate.
#[derive(Debug)]
struct Probe {
    /// The peer before the upstream.
    of: PeerId,
    since: Time,
    /// Arrival of the first chunk, and how many chunks the upstream had sent since the probe began.
    first: Option<(Time, u32)>,
    /// Chunks that have arrived.
    got: u32,
    /// Seconds per chunk from the upstream since the last probe. Over a shorter time, a stall would make a healthy
    /// upstream look slow.
    usual: f64,
}

impl Picker {
    /// Returns true while chunks come along the line.
    pub fn is_in_line(&self) -> bool {
        self.following.on
    }

    /// Returns the peer that we follow.
    pub(super) fn followed(&self) -> Option<PeerId> {
        self.following.current
    }

    /// Returns true if other peers receive the content as well. A lone receiver asks all sources.
    fn needs_line(&self) -> bool {
        self.tuning.relay_line && self.downloading > 0 && !failpoint!("no-line")
    }

    /// Returns the questions to send to other peers.
    pub fn line_actions(&mut self) -> impl Iterator<Item = LineAction> + '_ {
        self.following.actions.drain(..)
    }

    /// Takes a place, or the recommendation of another placer, from the peer that was asked last. Returns false if `by`
    /// is another peer.
    pub fn placed(&mut self, by: PeerId, place: &Place, now: Time) -> bool {
        self.now = now;
        if self.following.asked.is_none_or(|(of, _)| of != by) {
            return false;
        }
        self.quiet.settled = false;
        if let Some(placer) = place.ask {
            // Only one recommendation counts, so two peers cannot send us back and forth.
            if self.following.placer.is_none() && self.sources.contains_key(&placer) {
                self.following.placer = Some(placer);
                self.ask_for_place(None);
            }
            return true;
        }
        let first = self.following.placed_by.is_none();
        if self.following.placed_by.replace(by) != Some(by) {
            self.following.blames = 0;
        }
        if first || !failpoint!("heal-at-seed") {
            self.following.upstreams = place.upstreams.clone();
        }
        self.switch();
        true
    }

    /// Asks for another place, because our upload limit has changed.
    pub fn uplink_changed(&mut self) {
        if self.following.asked.is_some() {
            self.ask_for_place(None);
            self.quiet.settled = false;
        }
    }

    /// Notes that a source has every chunk below this one.
    pub fn source_has_below(&mut self, peer: PeerId, below: ChunkIndex, now: Time) {
        self.now = now;
        let Some(source) = self.sources.get(&peer) else { return };
        let news: Vec<ChunkIndex> = source.has.missing_from(0).take_while(|chunk| *chunk < below).collect();
        self.source_has(peer, &news, now);
        self.note_progress(peer, below);
    }

    /// Returns the nearest upstream of our place that can be followed.
    pub(super) fn upstream(&self) -> Option<PeerId> {
        let upstreams = &self.following.upstreams;
        if !self.can_be_followed(upstreams.first()?) && failpoint!("heal-at-seed") {
            return upstreams.last().copied().filter(|last| self.can_be_followed(last));
        }
        upstreams.iter().find(|peer| self.can_be_followed(peer)).copied()
    }

    fn can_be_followed(&self, peer: &PeerId) -> bool {
        !self.is_avoided(peer) && self.sources.get(peer).is_some_and(|source| source.contact.is_good())
    }

    /// Returns true if the peer was blamed and its time has not passed.
    fn is_avoided(&self, peer: &PeerId) -> bool {
        self.following.avoided.get(peer).is_some_and(|(_, until)| self.now < *until)
    }

    /// Returns the peer before our upstream.
    fn before_upstream(&self) -> Option<PeerId> {
        let upstream = self.upstream()?;
        let mut rest = self.following.upstreams.iter().skip_while(|peer| **peer != upstream).skip(1);
        rest.find(|peer| self.sources.contains_key(*peer)).copied()
    }

    /// Does what is due in the line. Returns true while the picker should make no requests.
    pub(super) fn keep_in_line(&mut self) -> bool {
        if !self.tuning.relay_line {
            return false;
        }
        self.following.on = self.needs_line() || self.following.current.is_some();
        self.look_into_silence();
        if let Some(left) = self.switch() {
            // No complaint about an upstream that we left only because a nearer one is no longer avoided.
            self.ask_for_place(Some(left).filter(|left| !self.can_be_followed(left)));
        }
        let alone = self.following.current.is_none();
        if (alone || self.following.asked.is_none())
            && let Some(placer) = self.placer()
        {
            let again = |(of, at): (PeerId, Time)| alone && (of != placer || at + PLACE_PATIENCE <= self.now);
            if self.following.asked.is_none_or(again) {
                self.ask_for_place(None);
            }
        }
        if !self.is_in_line() {
            return false;
        }
        if alone {
            let since = *self.following.alone_since.get_or_insert(self.now);
            return self.placer().is_some() && self.now < since + PLACE_EXPECTED;
        }
        self.following.alone_since = None;
        self.ask_for_lag();
        true
    }

    /// Follows the nearest upstream that can be followed. Returns the previous one if that changed.
    fn switch(&mut self) -> Option<PeerId> {
        let next = self.upstream().filter(|_| self.following.on);
        if next == self.following.current {
            return None;
        }
        let last = std::mem::replace(&mut self.following.current, next);
        let following = &mut self.following;
        (following.fed_at, following.silence, following.silences) = (self.now, None, 0);
        (following.lag_asked, following.compared) = (None, None);
        (following.probe_at, following.probe_pause) = (self.now + PROBE_AFTER, PROBE_AFTER * 4);
        match (last, next) {
            (Some(last), _) => self.take_back_awaited(last, false),
            (None, Some(upstream)) => self.take_back_named(upstream),
            (None, None) => {}
        }
        self.end_probe();
        last
    }

    /// Returns the next request to follow: a probe if one is due, or else chunks of the upstream.
    pub(super) fn follow(
        &mut self,
        next_id: &mut impl FnMut() -> RequestId,
    ) -> Option<(PeerId, FollowRequest)> {
        let (peer, chunks) = self.probe().or_else(|| self.await_next())?;
        let ids: Vec<RequestId> = chunks.iter().map(|_| next_id()).collect();
        let request = FollowRequest {
            first: *ids.first()?,
            game: self.content.manifest().game().clone(),
            content: self.content.content_id(),
            placer: self.following.placed_by?,
            chunks,
        };
        request.each().for_each(|(id, chunk)| self.record_awaited((peer, id), chunk));
        Some((peer, request))
    }

    /// Returns the upstream and the next chunks to await from it.
    fn await_next(&self) -> Option<(PeerId, Vec<ChunkIndex>)> {
        let upstream = self.following.current?;
        let source = self.sources.get(&upstream)?;
        if source.rests_until > self.now {
            return None;
        }
        let size = self.content.manifest().chunk_size().bytes();
        let rate = source.rate().unwrap_or(self.rates.mean());
        let at_rate = (rate * AWAITED_AHEAD.as_secs_f64()) as u64;
        let far = ChunkIndex((self.have_below().0 + RATED_CHUNKS as u32).min(self.had.len() - 1));
        let unrated = source.chunks < RATED_CHUNKS && source.has.contains(far);
        let chunks_min = if unrated { RATED_CHUNKS } else { AWAITED_MIN };
        let ahead = at_rate.max(chunks_min * size).min(self.tuning.in_flight_bytes / 2);
        let mut room = ahead.saturating_sub(source.bytes_in_flight);
        let mut most = AWAITED_PER_SOURCE_MAX.saturating_sub(source.requests).min(CHUNKS_PER_FOLLOW_MAX);
        if source.chunks == 0 && !failpoint!("trust-untried") {
            // A liar costs one chunk.
            most = 1_usize.saturating_sub(source.requests);
        } else if source.requests > 0 && (room < ahead / 2 || most < CHUNKS_PER_FOLLOW_MAX) {
            // Wait until one request can name many chunks.
            return None;
        }
        room = room.min(self.tuning.in_flight_bytes.saturating_sub(self.bytes_in_flight));
        let end = self.limit;
        let free = |chunk: &ChunkIndex| self.requests.carriers(*chunk) == 0;
        let missing = self.had.missing_from(0).take_while(|chunk| chunk.0 < end).filter(free);
        let mut chunks = Vec::new();
        for chunk in missing.take(most) {
            let bytes = self.chunk_bytes(chunk);
            if bytes > room && !(chunks.is_empty() && source.requests == 0) {
                break;
            }
            room = room.saturating_sub(bytes);
            chunks.push(chunk);
        }
        Some((upstream, chunks))
    }

    fn record_awaited(&mut self, key: RequestKey, chunk: ChunkIndex) {
        let asked = Asked {
            chunk,
            bytes: self.chunk_bytes(chunk),
            asked: self.now,
            started: false,
            awaited: true,
            late_at: Time::MAX,
            dropped: false,
        };
        self.begin(key, asked);
    }

    /// Notes that a chunk came from this peer.
    pub(super) fn fed_by(&mut self, peer: PeerId) {
        self.following.stored_at = Some(self.now);
        if self.upstream() == Some(peer) {
            self.following.fed_at = self.now;
            (self.following.silence, self.following.silences) = (None, 0);
            match &mut self.following.compared {
                Some((_, chunks)) => *chunks += 1,
                none => {
                    *none = Some((self.now, 0));
                    self.following.pace = Pace::new(self.now);
                }
            }
            self.following.pace.advance(self.now);
            self.following.pace.counts[2] += 1;
        }
        if self.following.probe.as_ref().is_some_and(|probe| probe.of == peer) {
            self.probed();
        }
    }

    /// Returns the earliest time after `now` at which something is due in the line.
    pub(super) fn line_wakeup(&self) -> Option<Time> {
        let following = &self.following;
        let alone = following.current.is_none();
        let asked = following.asked.filter(|_| alone && self.placer().is_some());
        let again = asked.map(|(_, at)| at + PLACE_PATIENCE);
        let expected = following.alone_since.filter(|_| alone).map(|since| since + PLACE_EXPECTED);
        let fed = following.stored_at.map(|at| at + FED_FOR);
        let avoided = following.avoided.values().map(|(_, until)| *until);
        if alone || !self.is_in_line() {
            let due = [again, expected, fed].into_iter().flatten();
            return due.chain(avoided).filter(|at| *at > self.now).min();
        }
        let silent = Some(match &following.silence {
            Some(silence) => silence.since + self.silent_after(),
            None => following.fed_at + self.silent_after(),
        });
        let lag = following.lag_asked.map(|at| at + LAG_INTERVAL);
        let probe = following.probe.as_ref().map(|probe| probe.since + PROBE_MAX);
        let due = [silent, lag, probe, fed, Some(following.probe_at)];
        due.into_iter().flatten().chain(avoided).filter(|at| *at > self.now).min()
    }

    /// Returns the peer to ask for a place: one that has everything and is not avoided. Receivers spread over several
    /// such peers.
    fn placer(&self) -> Option<PeerId> {
        let recommended = self.following.placer.filter(|placer| self.sources.contains_key(placer));
        let asked = self.following.asked.map(|(of, _)| of).filter(|of| self.seeds.contains(of));
        if let Some(placer) = recommended.or(asked).filter(|placer| !self.is_avoided(placer)) {
            return Some(placer);
        }
        let seeds: Vec<PeerId> = self.seeds.iter().copied().filter(|seed| !self.is_avoided(seed)).collect();
        if !seeds.is_empty() {
            return Some(seeds[(self.order % seeds.len() as u64) as usize]);
        }
        let complete = self.sources.iter().find(|(peer, source)| {
            source.has.is_full()
                && source.contact.is_good()
                && source.doubt.is_credible()
                && !self.is_avoided(peer)
        });
        complete.map(|(peer, _)| *peer)
    }

    fn ask_for_place(&mut self, instead_of: Option<PeerId>) {
        let Some(of) = self.placer() else { return };
        self.following.asked = Some((of, self.now));
        self.following.actions.push_back(LineAction::AskPlace { of, instead_of });
    }

    /// Cancels awaited chunks of a peer: all of them, or those whose bytes have not begun to arrive.
    pub(super) fn take_back_awaited(&mut self, peer: PeerId, all: bool) {
        for key in self.requests.at(peer) {
            let Some(asked) = self.requests.get(&key) else { continue };
            if asked.awaited && !asked.dropped && (all || !asked.started) {
                self.requests.drop_wanted(&key);
                self.cancels.push_back(key);
            }
        }
        self.quiet.settled = false;
    }

    /// Cancels requests by name whose bytes have not begun to arrive. They were made while there was no upstream, and
    /// the line brings their chunks in order. An upstream that has delivered nothing yet keeps its only request.
    fn take_back_named(&mut self, upstream: PeerId) {
        let untried = self.sources.get(&upstream).is_some_and(|source| source.chunks == 0);
        let waits = |(key, asked): &(&RequestKey, &Asked)| {
            let keeps = untried && key.0 == upstream;
            !keeps && !asked.awaited && !asked.started && !asked.dropped
        };
        let waiting: Vec<RequestKey> = self.requests.due().filter(waits).map(|(key, _)| *key).collect();
        for key in waiting {
            self.requests.drop_wanted(&key);
            self.cancels.push_back(key);
        }
    }

    /// Notes that a peer refused an awaited chunk.
    pub(super) fn refused_to_follower(&mut self, peer: PeerId) {
        if self.following.current == Some(peer) {
            self.blame(peer);
        }
    }

    /// Avoids a peer as upstream and placer for a while.
    fn avoid(&mut self, peer: PeerId) {
        let avoided = &mut self.following.avoided;
        if avoided.len() >= AVOIDED_MAX {
            avoided.pop_first();
        }
        let (times, until) = avoided.entry(peer).or_default();
        *until = self.now + AVOIDED_FOR * (1 << *times);
        *times = (*times + 1).min(AVOIDED_DOUBLINGS_MAX);
    }

    /// Gives up an upstream that does not deliver.
    fn blame(&mut self, upstream: PeerId) {
        if !failpoint!("never-heal") {
            self.avoid(upstream);
            // A placer that keeps giving bad places may do so on purpose.
            self.following.blames += 1;
            if self.following.blames >= BLAMES_MAX
                && let Some(placer) = self.following.placed_by
            {
                self.following.blames = 0;
                self.avoid(placer);
            }
            self.take_back_awaited(upstream, true);
        }
    }

    /// Returns the seconds that the upstream takes for a chunk.
    fn chunk_time(&self, upstream: PeerId) -> f64 {
        let rate = self.sources[&upstream].rate().unwrap_or(self.rates.mean());
        self.content.manifest().chunk_size().bytes() as f64 / rate.max(1.0)
    }

    /// Returns the time without a chunk after which the upstream counts as silent.
    fn silent_after(&self) -> Duration {
        let chunk = self.upstream().map_or(0.0, |upstream| self.chunk_time(upstream));
        SILENT_MIN.max(Duration::from_secs_f64((SILENT_CHUNKS * chunk).min(60.0)))
    }

    /// Asks the two peers before us for their progress if the upstream is silent, and judges it by the answers.
    fn look_into_silence(&mut self) {
        let Some(upstream) = self.following.current.filter(|current| self.upstream() == Some(*current))
        else {
            return;
        };
        let patience = self.silent_after();
        match &self.following.silence {
            None if self.following.fed_at + patience <= self.now => {
                self.following.silence = Some(Silence { since: self.now, answered: false, ahead: false });
                let before = self.before_upstream();
                let asked = [Some(upstream), before].into_iter().flatten();
                self.following.actions.extend(asked.map(LineAction::AskProgress));
            }
            Some(silence) if silence.since + patience <= self.now => {
                let guilty = !silence.answered || silence.ahead;
                self.following.silence = None;
                self.following.silences += 1;
                if guilty || self.following.silences >= SILENCES_MAX {
                    self.blame(upstream);
                } else {
                    self.following.fed_at = self.now;
                }
            }
            _ => {}
        }
    }

    /// Notes progress of a peer, as evidence in a standstill and for the next probe.
    fn note_progress(&mut self, peer: PeerId, below: ChunkIndex) {
        let first = self.have_below().0;
        let (upstream, before) = (self.upstream(), self.before_upstream());
        if let Some(silence) = &mut self.following.silence {
            // Members further ahead say nothing about our upstream.
            let near = upstream == Some(peer) || before == Some(peer);
            silence.answered |= upstream == Some(peer);
            silence.ahead |= near && below.0 > first;
        }
        if before == Some(peer) && below.0.saturating_sub(first) >= LAG_CHUNKS {
            self.following.lagging = true;
        }
        self.quiet.settled = false;
    }

    /// Asks the peer before the upstream for its progress if that is due, unless it has everything.
    fn ask_for_lag(&mut self) {
        let Some(before) = self.before_upstream() else { return };
        if self.following.probe.as_ref().is_some_and(|probe| probe.since + PROBE_MAX <= self.now) {
            self.end_probe();
        }
        let due = self.following.lag_asked.is_none_or(|at| at + LAG_INTERVAL <= self.now);
        if due && !self.sources[&before].has.is_full() {
            self.following.lag_asked = Some(self.now);
            self.following.actions.push_back(LineAction::AskProgress(before));
        }
    }

    /// Begins a probe if the upstream may be slow. Returns the peer before it and the chunks to fetch.
    fn probe(&mut self) -> Option<(PeerId, Vec<ChunkIndex>)> {
        self.following.pace.advance(self.now);
        let before = self.before_upstream()?;
        let source = &self.sources[&before];
        let suspicious = self.following.lagging || source.has.is_full();
        let due = self.following.probe.is_none() && self.following.probe_at <= self.now;
        let (since, sent) = self.following.compared?;
        let settled = sent >= PROBE_CHUNKS && !self.following.pace.grows();
        if !due || !suspicious || !settled || !source.contact.is_good() {
            return None;
        }
        let usual = self.now.since(since).as_secs_f64() / f64::from(sent);
        let free = |chunk: &ChunkIndex| self.requests.carriers(*chunk) == 0 && source.has.contains(*chunk);
        let ahead: Vec<ChunkIndex> =
            self.had.missing_from(0).filter(free).take(PROBE_CHUNKS as usize).collect();
        // Near the end a probe could only delay the last chunks.
        let left = self.had.len() - self.had.count();
        if ahead.len() < PROBE_CHUNKS as usize || left < 8 * PROBE_CHUNKS || ahead.last()?.0 >= self.limit {
            return None;
        }
        let following = &mut self.following;
        following.compared = Some((self.now, 0));
        (following.lagging, following.probe_at) = (false, self.now + following.probe_pause);
        following.probe_pause *= 4;
        following.probe = Some(Probe { of: before, since: self.now, first: None, got: 0, usual });
        Some((before, ahead))
    }

    /// Counts a chunk of the probe, and judges the upstream after the last one.
    fn probed(&mut self) {
        let Some(probe) = &mut self.following.probe else { return };
        let sent = self.following.compared.map_or(0, |(_, chunks)| chunks);
        let (first, sent_before) = *probe.first.get_or_insert((self.now, sent));
        probe.got += 1;
        if probe.got < PROBE_CHUNKS {
            return;
        }
        let probed = f64::from(PROBE_CHUNKS - 1);
        let took = self.now.since(first).as_secs_f64() / probed;
        let usually_slower = took * PROBE_FACTOR < probe.usual;
        // An upstream that has just begun was slow while its connection gained speed, but it is not slow now.
        let slower_now = f64::from(sent.saturating_sub(sent_before)) * PROBE_FACTOR < probed;
        self.following.probe = None;
        if usually_slower
            && slower_now
            && let Some(upstream) = self.following.current
        {
            self.blame(upstream);
        }
    }

    /// Ends a probe and cancels its outstanding chunks.
    fn end_probe(&mut self) {
        if let Some(probe) = self.following.probe.take()
            && self.following.current != Some(probe.of)
        {
            self.take_back_awaited(probe.of, false);
        }
    }
}
