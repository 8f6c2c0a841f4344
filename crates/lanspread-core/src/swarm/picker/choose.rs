//! The picker: chooses the next chunk and the source to ask for it.
//!
//! Each pass tries three things in order: a new chunk, rarest first; a second source for a late chunk or in the
//! endgame; a source that failed or is doubted. The picker works while the download has no upstream (`follow`).
//!
//! Every chunk has one *owner* among the seeds, so that equal seeds serve equal shares.

use lanspread_types::{ChunkIndex, PeerId, failpoint};

use super::{Picker, Quiet, UNNEEDED_MAX};
use crate::swarm::rng::mix;
use crate::swarm::source::Source;
use crate::swarm::window::Window;
use crate::time::Time;

/// A request to make.
pub(super) struct Ask {
    /// The source to ask.
    pub peer: PeerId,
    /// The chunk to ask for.
    pub chunk: ChunkIndex,
}

impl Picker {
    /// Returns the next request, or `None` if there is nothing to ask for or no room for more bytes in flight.
    pub(super) fn choose(&mut self) -> Option<Ask> {
        if self.had.is_full() || !self.has_room() {
            return None;
        }
        let window = self.window();
        let ask = self.pick_new_chunk(&window).or_else(|| self.pick_second_source());
        ask.or_else(|| self.try_again(&window))
    }

    /// Notes that there is nothing to ask for, and when to look again.
    pub(super) fn settle(&mut self) {
        let helpless =
            self.is_endgame() || self.requests.wanted().any(|(_, asked)| asked.late_at <= self.now);
        self.quiet = Quiet { settled: true, helpless, until: self.next_change() };
    }

    /// Returns the earliest time after `now` at which the state changes without input.
    pub(super) fn next_change(&self) -> Option<Time> {
        let late = self.requests.wanted().map(|(_, asked)| asked.late_at).filter(|at| *at < Time::MAX);
        let silent = self.silences().map(|(_, at)| at);
        let stuck = self.unneeded.values().map(|&since| since + UNNEEDED_MAX);
        let of_requests = late.chain(silent).chain(stuck).chain(self.line_wakeup());
        let of_requests = of_requests.filter(|&at| at > self.now).min();
        let of_source = |source: &Source| source.changes().filter(|&at| at > self.now).min();
        let of_sources = match self.followed() {
            // A follower uses few of its sources. It looks at all of them again after it has lost its upstream.
            Some(upstream) => {
                let few = self.requests.peers().chain([upstream]).filter_map(|peer| self.sources.get(&peer));
                few.filter_map(of_source).min()
            }
            None => self.sources.values().filter_map(of_source).min(),
        };
        of_requests.into_iter().chain(of_sources).min()
    }

    /// Returns true while only the last few chunks are missing.
    pub(super) fn is_endgame(&self) -> bool {
        self.had.len() - self.had.count() <= self.tuning.endgame_chunks
    }

    /// Picks the rarest chunk in the window that a free source has.
    fn pick_new_chunk(&mut self, window: &Window) -> Option<Ask> {
        let draw = self.rng.next_u64();
        let may_ask = self.fellow_requests < self.tuning.swarm_requests;
        let free = if may_ask { self.free_fellows() } else { Vec::new() };
        if free.is_empty() && !self.seeds.iter().any(|seed| self.is_free(&self.sources[seed])) {
            return None;
        }
        let in_order = draw % 100 < self.tuning.in_order_percent;
        let mut ranked: Vec<(u16, u64, ChunkIndex)> = Vec::new();
        for chunk in self.missing_in(window).filter(|&chunk| self.requests.carriers(chunk) == 0) {
            let copies = self.availability.copies(chunk);
            // A lone receiver asks in order. Among fellows, chunks that no fellow has are drawn at random, so that
            // receivers ask the seeds for different chunks.
            let next = self.fellows == 0 || in_order && copies > 0;
            let tie = if next { u64::from(chunk.0) } else { mix(draw ^ u64::from(chunk.0)) };
            ranked.push((if in_order { copies.min(1) } else { copies }, tie, chunk));
        }
        ranked.sort_unstable();
        ranked.iter().find_map(|&(copies, _, chunk)| {
            let fellow = if copies > 0 { self.best_of(&free, chunk) } else { None };
            fellow.or_else(|| self.home_or_helper(chunk, window)).map(|peer| Ask { peer, chunk })
        })
    }

    /// Picks a second source for a late chunk, or in the endgame for any chunk in flight.
    pub(super) fn pick_second_source(&mut self) -> Option<Ask> {
        let endgame = self.is_endgame();
        let mut candidates: Vec<(Time, ChunkIndex, PeerId)> = Vec::new();
        for (&(peer, _), asked) in self.requests.wanted() {
            let chunk = asked.chunk;
            if (asked.late_at <= self.now || endgame)
                && self.requests.carriers(chunk) < 2
                && !self.had.contains(chunk)
            {
                candidates.push((asked.late_at, chunk, peer));
            }
        }
        if !candidates.is_empty() && failpoint!("forget-late-chunks") {
            return None;
        }
        candidates.sort_unstable();
        candidates.into_iter().find_map(|(late_at, chunk, bringer)| {
            let late = late_at <= self.now;
            let usual = self.rates.mean();
            let bytes = self.chunk_bytes(chunk);
            let bringer_needs = self.sources[&bringer].backlog(0, usual);
            let able = self.sources.iter().filter(|(peer, source)| {
                **peer != bringer && source.has.contains(chunk) && self.is_free(source)
            });
            let helper = able
                .map(|(peer, source)| (source.backlog(bytes, usual), *peer))
                .filter(|&(needs, _)| late || is_worth_it(needs, bringer_needs))
                .min_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Ask { peer: helper.1, chunk })
        })
    }

    /// Picks a source that failed last time or is doubted, and asks it for the chunk that is needed last.
    pub(super) fn try_again(&mut self, window: &Window) -> Option<Ask> {
        let due = |source: &Source| {
            !(source.contact.is_good() && source.doubt.is_credible())
                && source.contact.may_be_tried()
                && source.requests == 0
                && source.rests_until <= self.now
        };
        self.sources.iter().filter(|(_, source)| due(source)).find_map(|(peer, source)| {
            let free =
                |chunk: &ChunkIndex| source.has.contains(*chunk) && self.requests.carriers(*chunk) == 0;
            let chunk = self.missing_in(window).filter(free).last()?;
            Some(Ask { peer: *peer, chunk })
        })
    }

    /// Returns the fellows that can be asked now, each with its backlog after one chunk more, in hundredths of a
    /// second.
    pub(super) fn free_fellows(&self) -> Vec<(PeerId, &Source, u64)> {
        let bytes = self.content.manifest().chunk_size().bytes();
        self.sources
            .iter()
            .filter(|(_, source)| !source.seed && !source.has.is_empty() && self.is_free(source))
            .map(|(peer, source)| {
                let seconds = source.backlog_as_seen(bytes, self.rates.mean(), self.now);
                (*peer, source, (seconds * 100.0) as u64)
            })
            .collect()
    }

    /// Returns the fellow that will probably deliver the chunk first. Equally fast fellows are chosen at random.
    pub(super) fn best_of(&self, free: &[(PeerId, &Source, u64)], chunk: ChunkIndex) -> Option<PeerId> {
        let moment = u64::from(chunk.0) ^ self.now.since_start().as_nanos() as u64;
        free.iter()
            .filter(|(_, source, _)| source.has.contains(chunk))
            .min_by_key(|(peer, _, needs)| (*needs, mix(short(peer) ^ moment)))
            .map(|(peer, ..)| *peer)
    }

    /// Returns the index of the seed that owns a chunk. If that seed lacks the chunk, because its disk cannot be read
    /// there, the next seed that has it is the owner.
    fn home_of(&self, chunk: ChunkIndex) -> Option<usize> {
        let seeds = self.seeds.len();
        let first = home(chunk, seeds.max(1));
        let has = |at: &usize| self.sources[&self.seeds[*at]].has.contains(chunk);
        (0..seeds).map(|next| (first + next) % seeds).find(has)
    }

    /// Returns the owner of a chunk if it is free, or else a seed that has no chunk of its own left to ask for and
    /// would deliver much sooner.
    pub(super) fn home_or_helper(&self, chunk: ChunkIndex, window: &Window) -> Option<PeerId> {
        let seeds = &self.seeds;
        let home_at = self.home_of(chunk)?;
        let owner = seeds[home_at];
        let owner_source = &self.sources[&owner];
        if self.is_free(owner_source) {
            return Some(owner);
        }
        let (usual, bytes) = (self.rates.mean(), self.chunk_bytes(chunk));
        let mut helpers: Vec<_> = (0..seeds.len())
            .filter(|&at| at != home_at && self.is_free(&self.sources[&seeds[at]]))
            .filter(|&at| self.sources[&seeds[at]].has.contains(chunk))
            .map(|at| (self.sources[&seeds[at]].backlog(bytes, usual), at))
            .collect();
        // The code below searches the whole window.
        if helpers.is_empty() {
            return None;
        }
        let unasked = |at: usize| {
            let free = self.missing_in(window).filter(|&c| self.requests.carriers(c) == 0);
            free.filter(|&c| self.home_of(c) == Some(at)).count() as u64
        };
        let owner_needs = if self.has_late(owner) || owner_source.rests_until > self.now {
            f64::INFINITY
        } else {
            owner_source.backlog(unasked(home_at) * bytes, usual)
        };
        helpers.sort_by(|a, b| a.0.total_cmp(&b.0));
        helpers
            .into_iter()
            .find(|&(needs, at)| is_worth_it(needs, owner_needs) && unasked(at) == 0)
            .map(|(_, at)| seeds[at])
    }
}

/// Factor by which another source must be faster to take over a chunk or to help in the endgame. It must also be
/// [`STEAL_SECONDS`] faster.
const STEAL_FACTOR: f64 = 2.0;
/// Lead in seconds that another source must have, so that chance does not decide.
const STEAL_SECONDS: f64 = 0.05;

/// Returns true if a source that takes `needs` seconds should replace one that takes `instead_of` seconds.
fn is_worth_it(needs: f64, instead_of: f64) -> bool {
    STEAL_FACTOR * needs + STEAL_SECONDS < instead_of
}

/// Returns the owner's index among `seeds` seeds. Each seed owns exactly one chunk of every run of `seeds` chunks. The
/// order of the owners changes from run to run, so that no pattern of the files favours one seed.
fn home(chunk: ChunkIndex, seeds: usize) -> usize {
    if seeds > 1 && !mix(u64::from(chunk.0)).is_multiple_of(8) && failpoint!("prefer-first-source") {
        return 0;
    }
    if seeds > 1 && chunk.0 % 8 == 1 && failpoint!("tilt-the-split") {
        return 0;
    }
    let seeds = seeds as u64;
    let (run, place) = (u64::from(chunk.0) / seeds, u64::from(chunk.0) % seeds);
    ((place + mix(run)) % seeds) as usize
}

/// Returns the first eight bytes of a peer id.
fn short(peer: &PeerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *peer.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
