//! Following: the chunks in order from one peer, the *upstream*, which sends each as soon as it has it.
//!
//! In a room with more receivers than seeds each receiver stands in a line (`swarm::line`) and follows the peer before
//! it. What is decided here is whom to follow, how much to await ahead, and when the upstream is to blame for a
//! standstill. While there is nobody to follow, chunks are asked for as in `choose`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lanspread_types::limits::{AWAITED_PER_SOURCE_MAX, CHUNKS_PER_FOLLOW_MAX};
use lanspread_types::message::{FollowRequest, Place, RequestId};
use lanspread_types::{ChunkIndex, PeerId, failpoint};

use super::Download;
use crate::swarm::requests::{Asked, RequestKey};
use crate::time::Time;

/// So much of the upstream's rate is awaited ahead: requests wait behind the data in our own uplink, which systems and
/// switches queue for up to 200 ms.
const AWAITED_AHEAD: Duration = Duration::from_millis(250);
/// At least so many chunks are awaited.
const AWAITED_MIN: u64 = 8;
/// An upstream is silent after so many chunk times without a chunk ...
const SILENT_CHUNKS: f64 = 10.0;
/// ... but not before this: three times the stall of a busy PC.
const SILENT_MIN: Duration = Duration::from_millis(300);
/// So many silences in a row in which nobody could be blamed end the following: the whole line stands still.
const SILENCES_MAX: u32 = 10;
/// A peer that was followed in vain is not followed again for this long, twice as long each time ...
const LEFT_FOR: Duration = Duration::from_secs(2);
/// ... up to two minutes.
const LEFT_TIMES_MAX: u32 = 6;
/// After so many peers of a line that were followed in vain, another seed is asked for a place.
const BLAMES_MAX: u32 = 4;
/// Peers that are remembered for that.
const LEFT_MAX: usize = 64;
/// A place that was asked for and not given is asked for again after this time.
const PLACE_PATIENCE: Duration = Duration::from_secs(2);
/// Without an upstream, a place is waited for so long before chunks are asked for by name.
const PLACE_EXPECTED: Duration = Duration::from_millis(500);
/// The peer before the upstream is asked how far it is this often, ...
const LAG_INTERVAL: Duration = Duration::from_millis(500);
/// ... and if we are so many chunks behind it, more than what is awaited, the upstream may be slow.
const LAG_CHUNKS: u32 = 2 * AWAITED_MIN as u32;
/// So many chunks of the peer before the upstream show whether that one could feed us faster. While the upstream takes all
/// that it can send, it sends us half of its rate at the most.
const PROBE_CHUNKS: u32 = 8;
/// So many times faster is enough to follow it instead.
const PROBE_FACTOR: f64 = 1.5;
/// Time from following an upstream to the first probe. Each further one comes after four times as long.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// A probe that takes longer is given up.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// A download counts as fed for so long after its last chunk.
pub(super) const FED_FOR: Duration = Duration::from_secs(5);

/// What a download wants to be said to others about the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineAction {
    /// Ask this peer for a place, if any instead of following another one.
    AskPlace { of: PeerId, instead_of: Option<PeerId> },
    /// Ask this peer how far it is.
    AskProgress(PeerId),
}

/// Where a download stands in the line.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Chunks come along the line. Whoever follows somebody goes on when most others are done: their upstreams are busy
    /// with those behind them.
    on: bool,
    /// Whom to follow, nearest first.
    upstreams: Vec<PeerId>,
    /// The one that is followed.
    current: Option<PeerId>,
    /// Peers that were followed in vain: how often, and until when they are not followed again.
    left: BTreeMap<PeerId, (u32, Time)>,
    /// Who was last asked for a place, and when.
    asked: Option<(PeerId, Time)>,
    /// Who gave the present place, and how often a peer of that line was followed in vain.
    placed_by: Option<PeerId>,
    blames: u32,
    /// Who places instead of the seeds, as one of them said.
    placer: Option<PeerId>,
    /// Since when there is nobody to follow.
    alone_since: Option<Time>,
    /// When the upstream last delivered, or was first followed.
    fed_at: Time,
    /// When any chunk last came.
    pub stored_at: Option<Time>,
    silence: Option<Silence>,
    silences: u32,
    /// When the peer before the upstream was last asked how far it is.
    lag_asked: Option<Time>,
    probe: Option<Probe>,
    /// We are behind the peer before the upstream.
    lagging: bool,
    /// No probe before this.
    probe_at: Time,
    probe_pause: Duration,
    pub actions: VecDeque<LineAction>,
}

/// A standstill that is being looked into.
#[derive(Debug)]
struct Silence {
    since: Time,
    /// The upstream has said how far it is.
    answered: bool,
    /// The upstream, or the peer before it, has the chunk that we await.
    ahead: bool,
}

/// Chunks that are fetched from the peer before the upstream, to see how fast they come.
#[derive(Debug)]
struct Probe {
    of: PeerId,
    since: Time,
    /// When the first chunk came, and how many have.
    first: Option<Time>,
    got: u32,
    /// Seconds that a chunk took from the upstream.
    usual: f64,
}

impl Download {
    /// Whether chunks come along the line.
    pub fn is_in_line(&self) -> bool {
        self.following.on
    }

    /// Whether others receive as well. Alone, a receiver asks all sources; with others it leaves their uplinks alone.
    fn needs_line(&self) -> bool {
        self.tuning.relay_line && self.downloading > 0 && !failpoint!("no-line")
    }

    /// What is to be said to others about the line.
    pub fn line_actions(&mut self) -> impl Iterator<Item = LineAction> + '_ {
        self.following.actions.drain(..)
    }

    /// A place in the line was given. Only the peer that was asked is listened to. Returns whether it was.
    pub fn placed(&mut self, by: PeerId, place: &Place, now: Time) -> bool {
        self.now = now;
        if self.following.asked.is_none_or(|(of, _)| of != by) {
            return false;
        }
        self.quiet.settled = false;
        if let Some(placer) = place.ask {
            // A peer that was recommended recommends nobody else, or two could keep us busy.
            if self.following.placer.is_none() && self.sources.contains_key(&placer) {
                self.following.placer = Some(placer);
                self.ask_for_place(None);
            }
            return true;
        }
        if self.following.placed_by.replace(by) != Some(by) {
            self.following.blames = 0;
        }
        self.following.upstreams = place.upstreams.clone();
        self.switch();
        true
    }

    /// Our upload limit has changed: our place may be another one.
    pub fn uplink_changed(&mut self) {
        if self.following.asked.is_some() {
            self.ask_for_place(None);
            self.quiet.settled = false;
        }
    }

    /// A source has every chunk below this one.
    pub fn source_has_below(&mut self, peer: PeerId, below: ChunkIndex, now: Time) {
        self.now = now;
        let Some(source) = self.sources.get(&peer) else { return };
        let news: Vec<ChunkIndex> = source.has.missing_from(0).take_while(|chunk| *chunk < below).collect();
        self.source_has(peer, &news, now);
        self.note_progress(peer, below);
    }

    /// Whom we follow.
    pub(super) fn upstream(&self) -> Option<PeerId> {
        let follows = |peer: &&PeerId| {
            !self.is_left(peer) && self.sources.get(*peer).is_some_and(|source| source.contact.is_good())
        };
        self.following.upstreams.iter().find(follows).copied()
    }

    fn is_left(&self, peer: &PeerId) -> bool {
        self.following.left.get(peer).is_some_and(|(_, until)| self.now < *until)
    }

    /// The peer before our upstream.
    fn before_upstream(&self) -> Option<PeerId> {
        let upstream = self.upstream()?;
        let mut rest = self.following.upstreams.iter().skip_while(|peer| **peer != upstream).skip(1);
        rest.find(|peer| self.sources.contains_key(*peer)).copied()
    }

    /// Keeps up the place in the line. Returns whether chunks come from there, or will at once.
    pub(super) fn keep_in_line(&mut self) -> bool {
        if !self.tuning.relay_line {
            return false;
        }
        self.following.on = self.needs_line() || self.following.current.is_some();
        self.look_into_silence();
        if let Some(lost) = self.switch() {
            self.ask_for_place(Some(lost));
        }
        let alone = self.following.current.is_none();
        if let Some(placer) = self.placer() {
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

    /// Turns to the upstream that is to be followed now. Returns the one that is not followed any more.
    fn switch(&mut self) -> Option<PeerId> {
        let next = self.upstream().filter(|_| self.following.on);
        if next == self.following.current {
            return None;
        }
        let last = std::mem::replace(&mut self.following.current, next);
        let following = &mut self.following;
        (following.fed_at, following.silence, following.silences) = (self.now, None, 0);
        following.lag_asked = None;
        (following.probe_at, following.probe_pause) = (self.now + PROBE_AFTER, PROBE_AFTER * 4);
        if let Some(last) = last {
            self.take_back_awaited(last, false);
        }
        self.end_probe();
        last
    }

    /// The next chunks to await, and of whom.
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

    /// The next chunks to await of the upstream.
    fn await_next(&self) -> Option<(PeerId, Vec<ChunkIndex>)> {
        let upstream = self.following.current?;
        let source = self.sources.get(&upstream)?;
        if source.rests_until > self.now {
            return None;
        }
        let size = self.content.manifest().chunk_size().bytes();
        let rate = source.rate().unwrap_or(self.usual_rate);
        let ahead = (rate * AWAITED_AHEAD.as_secs_f64()) as u64;
        let ahead = ahead.max(AWAITED_MIN * size).min(self.tuning.in_flight_bytes / 2);
        let mut room = ahead.saturating_sub(source.bytes_in_flight);
        let mut most = AWAITED_PER_SOURCE_MAX.saturating_sub(source.requests).min(CHUNKS_PER_FOLLOW_MAX);
        if source.chunks == 0 {
            // A liar costs one chunk.
            most = 1_usize.saturating_sub(source.requests);
        } else if source.requests > 0 && (room < ahead / 2 || most < CHUNKS_PER_FOLLOW_MAX) {
            // Few requests for many chunks, not one for each.
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
        let bytes = self.chunk_bytes(chunk);
        let Some(source) = self.sources.get_mut(&key.0) else { return };
        source.requests += 1;
        source.bytes_in_flight += bytes;
        source.contact.asked(self.now);
        self.fellow_requests += usize::from(source.is_counted());
        self.bytes_in_flight += bytes;
        let asked = Asked {
            candidates: vec![chunk],
            chunk: Some(chunk),
            bytes,
            asked: self.now,
            started: false,
            awaited: true,
            late_at: Time::MAX,
            dropped: false,
        };
        self.requests.insert(key, asked);
    }

    /// A chunk has come.
    pub(super) fn fed_by(&mut self, peer: PeerId) {
        self.following.stored_at = Some(self.now);
        if self.upstream() == Some(peer) {
            self.following.fed_at = self.now;
            (self.following.silence, self.following.silences) = (None, 0);
        }
        if self.following.probe.as_ref().is_some_and(|probe| probe.of == peer) {
            self.probed();
        }
    }

    /// When time alone changes something about the line.
    pub(super) fn line_wakeup(&self) -> Option<Time> {
        let following = &self.following;
        let alone = following.current.is_none();
        let asked = following.asked.filter(|_| alone && self.placer().is_some());
        let again = asked.map(|(_, at)| at + PLACE_PATIENCE);
        let expected = following.alone_since.filter(|_| alone).map(|since| since + PLACE_EXPECTED);
        let fed = following.stored_at.map(|at| at + FED_FOR);
        let left = following.left.values().map(|(_, until)| *until);
        if alone || !self.is_in_line() {
            let due = [again, expected, fed].into_iter().flatten();
            return due.chain(left).filter(|at| *at > self.now).min();
        }
        let silent = Some(match &following.silence {
            Some(silence) => silence.since + self.silent_after(),
            None => following.fed_at + self.silent_after(),
        });
        let lag = following.lag_asked.map(|at| at + LAG_INTERVAL);
        let probe = following.probe.as_ref().map(|probe| probe.since + PROBE_MAX);
        let due = [silent, lag, probe, fed, Some(following.probe_at)];
        due.into_iter().flatten().chain(left).filter(|at| *at > self.now).min()
    }

    /// Who is asked for a place: a peer that has everything and was not followed in vain. Not all receivers ask the same
    /// one of several.
    fn placer(&self) -> Option<PeerId> {
        let recommended = self.following.placer.filter(|placer| self.sources.contains_key(placer));
        let asked = self.following.asked.map(|(of, _)| of).filter(|of| self.seeds.contains(of));
        if let Some(placer) = recommended.or(asked).filter(|placer| !self.is_left(placer)) {
            return Some(placer);
        }
        let seeds: Vec<PeerId> = self.seeds.iter().copied().filter(|seed| !self.is_left(seed)).collect();
        if !seeds.is_empty() {
            return Some(seeds[(self.order % seeds.len() as u64) as usize]);
        }
        let complete = self.sources.iter().find(|(peer, source)| {
            source.has.is_full()
                && source.contact.is_good()
                && source.doubt.is_credible()
                && !self.is_left(peer)
        });
        complete.map(|(peer, _)| *peer)
    }

    fn ask_for_place(&mut self, instead_of: Option<PeerId>) {
        let Some(of) = self.placer() else { return };
        self.following.asked = Some((of, self.now));
        self.following.actions.push_back(LineAction::AskPlace { of, instead_of });
    }

    /// Takes back what is awaited of a peer and has not begun to come, or all of it.
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

    /// A peer will not send what is awaited of it.
    pub(super) fn refused_to_follower(&mut self, peer: PeerId) {
        if self.following.current == Some(peer) {
            self.blame(peer);
        }
    }

    /// Does not follow a peer, or take a place from it, for a while.
    fn leave_alone(&mut self, peer: PeerId) {
        let left = &mut self.following.left;
        if left.len() >= LEFT_MAX {
            left.pop_first();
        }
        let (times, until) = left.entry(peer).or_default();
        *until = self.now + LEFT_FOR * (1 << *times);
        *times = (*times + 1).min(LEFT_TIMES_MAX);
    }

    /// The upstream does not deliver: the one before it is followed instead.
    fn blame(&mut self, upstream: PeerId) {
        if !failpoint!("never-heal") {
            self.leave_alone(upstream);
            // Whoever places us badly time and again may mean to.
            self.following.blames += 1;
            if self.following.blames >= BLAMES_MAX
                && let Some(placer) = self.following.placed_by
            {
                self.following.blames = 0;
                self.leave_alone(placer);
            }
            self.take_back_awaited(upstream, true);
        }
    }

    fn chunk_time(&self, upstream: PeerId) -> f64 {
        let rate = self.sources[&upstream].rate().unwrap_or(self.usual_rate);
        self.content.manifest().chunk_size().bytes() as f64 / rate.max(1.0)
    }

    fn silent_after(&self) -> Duration {
        let chunk = self.upstream().map_or(0.0, |upstream| self.chunk_time(upstream));
        SILENT_MIN.max(Duration::from_secs_f64((SILENT_CHUNKS * chunk).min(60.0)))
    }

    /// Asks those before us how far they are when the upstream is silent, and blames it if they get on.
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

    fn note_progress(&mut self, peer: PeerId, below: ChunkIndex) {
        let first = self.had.first_missing().map_or(self.had.len(), |chunk| chunk.0);
        let (upstream, before) = (self.upstream(), self.before_upstream());
        if let Some(silence) = &mut self.following.silence {
            // Others may be ahead by the whole line.
            let near = upstream == Some(peer) || before == Some(peer);
            silence.answered |= upstream == Some(peer);
            silence.ahead |= near && below.0 > first;
        }
        if before == Some(peer) && below.0.saturating_sub(first) >= LAG_CHUNKS {
            self.following.lagging = true;
        }
        self.quiet.settled = false;
    }

    /// Asks the peer before the upstream how far it is, now and then. A seed has everything.
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

    /// Chunks to fetch from the peer before the upstream, if the upstream may be slow.
    fn probe(&mut self) -> Option<(PeerId, Vec<ChunkIndex>)> {
        let (upstream, before) = (self.following.current?, self.before_upstream()?);
        let (source, current) = (&self.sources[&before], &self.sources[&upstream]);
        let suspicious = self.following.lagging || source.has.is_full();
        let due = self.following.probe.is_none() && self.following.probe_at <= self.now;
        if !due || !suspicious || current.chunks == 0 || !source.contact.is_good() {
            return None;
        }
        let free = |chunk: &ChunkIndex| self.requests.carriers(*chunk) == 0 && source.has.contains(*chunk);
        let ahead: Vec<ChunkIndex> =
            self.had.missing_from(0).filter(free).take(PROBE_CHUNKS as usize).collect();
        // At the very end it would only be in the way.
        let left = self.had.len() - self.had.count();
        if ahead.len() < PROBE_CHUNKS as usize || left < 8 * PROBE_CHUNKS || ahead.last()?.0 >= self.limit {
            return None;
        }
        let usual = self.chunk_time(upstream);
        let following = &mut self.following;
        (following.lagging, following.probe_at) = (false, self.now + following.probe_pause);
        following.probe_pause *= 4;
        following.probe = Some(Probe { of: before, since: self.now, first: None, got: 0, usual });
        Some((before, ahead))
    }

    /// A chunk of the probe has come.
    fn probed(&mut self) {
        let Some(probe) = &mut self.following.probe else { return };
        let first = *probe.first.get_or_insert(self.now);
        probe.got += 1;
        if probe.got < PROBE_CHUNKS {
            return;
        }
        let took = self.now.since(first).as_secs_f64() / f64::from(PROBE_CHUNKS - 1);
        let faster = took * PROBE_FACTOR < probe.usual;
        self.following.probe = None;
        if faster && let Some(upstream) = self.following.current {
            self.blame(upstream);
        }
    }

    /// Takes back what has not come of a probe.
    fn end_probe(&mut self) {
        if let Some(probe) = self.following.probe.take()
            && self.following.current != Some(probe.of)
        {
            self.take_back_awaited(probe.of, false);
        }
    }
}
