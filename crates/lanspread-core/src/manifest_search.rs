//! The receiver's side of manifests: which source to ask for a manifest, and when to ask another one beside it.
//!
//! Any source will do, because the content id shows whether a manifest is the right one. So the search does not wait
//! for a slow source: it asks a second source beside it, then a third. An attacker can make any number of identities,
//! but has few addresses, so the next source is one at an address that was asked least often. This module only decides
//! which source to ask and which request to give up; the node sends the messages.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_types::PeerId;
use lanspread_types::message::RequestId;

use crate::limits::{
    MANIFEST_ANSWER_PATIENCE, MANIFEST_BUSY_PAUSE_MAX, MANIFEST_BUSY_PAUSE_MIN, MANIFEST_HEDGE_MIN,
    MANIFEST_PLACES_MAX, MANIFEST_RATE_USUAL, MANIFEST_SEARCH_MAX, MANIFEST_SEND_PATIENCE,
    MANIFEST_SEND_RATE_MIN, MANIFEST_SOURCES_MAX,
};
use crate::manifest_sends::Place;
use crate::swarm::Rng;
use crate::time::Time;

/// A source that could be asked for the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Offerer {
    /// Peer that offers the content.
    pub peer: PeerId,
    /// Address of that peer. All addresses in one IPv6 /64 count as one.
    pub place: Place,
    /// Usual size of a manifest, in bytes, for a game of the size that this source states.
    pub usual_bytes: u64,
    /// Whether this peer has as many manifest requests open at the source as it may.
    pub saturated: bool,
    /// Whether the source is still downloading the content, so that its links are busy.
    pub fellow: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask this source, then call [`ManifestSearch::asked`].
    Ask(PeerId),
    /// Cancel this request; its answer is no longer needed.
    GiveUp {
        /// Source that was asked.
        peer: PeerId,
        /// Number of the request.
        id: RequestId,
    },
    /// Do nothing until something happens or [`ManifestSearch::next_wakeup`].
    Wait,
    /// Every source was asked, and none has helped.
    Exhausted,
}

/// Why a manifest request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Too many requests wait at the source at present.
    Busy,
    /// Any other reason; the source is not asked again.
    Otherwise,
}

/// Search for the manifest of one content.
#[derive(Debug)]
pub struct ManifestSearch {
    since: Time,
    tried: BTreeMap<PeerId, Tried>,
    /// How often each address was asked.
    places: BTreeMap<Place, u32>,
    asked: Vec<Asked>,
    /// When a source was asked last; `None` if the next one may be asked at once.
    asked_at: Option<Time>,
    wake_at: Option<Time>,
    /// Number of fellow downloaders that have received the manifest since the search began.
    holders: u64,
    /// Peer to ask before all others.
    next: Option<PeerId>,
}

#[derive(Debug, Default)]
struct Tried {
    times: u32,
    busy: u32,
    rests_until: Time,
    given_up: bool,
}

#[derive(Debug)]
struct Asked {
    peer: PeerId,
    id: RequestId,
    deadline: Time,
    started: bool,
}

impl ManifestSearch {
    /// Starts a search.
    pub fn new(now: Time) -> Self {
        Self {
            since: now,
            tried: BTreeMap::new(),
            places: BTreeMap::new(),
            asked: Vec::new(),
            asked_at: None,
            wake_at: None,
            holders: 0,
            next: None,
        }
    }

    /// Notes that the fellow downloader `peer` has received the manifest. If our only request still waits at another
    /// source, the search may give it up and ask `peer` next, with a probability of 1 in (number of such fellows + 1).
    /// So the downloaders that still wait spread evenly over the peers that have the manifest. Returns the request to
    /// cancel.
    pub fn holder_appeared(&mut self, peer: PeerId, rng: &mut Rng) -> Option<(PeerId, RequestId)> {
        self.holders += 1;
        let waiting = self.asked.first().filter(|asked| !asked.started && self.asked.len() == 1)?;
        let (from, id) = (waiting.peer, waiting.id);
        if rng.below(self.holders + 1) > 0 {
            return None;
        }
        self.asked.clear();
        (self.asked_at, self.next) = (None, Some(peer));
        Some((from, id))
    }

    /// Returns what to do now. Call it after every change, until it returns [`Step::Wait`] or [`Step::Exhausted`].
    pub fn step(&mut self, now: Time, offerers: &[Offerer], rng: &mut Rng) -> Step {
        if let Some(at) = self.asked.iter().position(|asked| asked.deadline <= now) {
            return self.give_up(at, true);
        }
        let is_asked = |peer: &PeerId| self.asked.iter().any(|asked| asked.peer == *peer);
        self.tried.retain(|peer, _| is_asked(peer) || offerers.iter().any(|offerer| offerer.peer == *peer));
        let hopeful = |offerer: &&Offerer| {
            !is_asked(&offerer.peer) && !self.tried.get(&offerer.peer).is_some_and(|tried| tried.given_up)
        };
        let rests_until =
            |offerer: &Offerer| self.tried.get(&offerer.peer).map_or(Time::START, |tried| tried.rests_until);
        let ready = |offerer: &&Offerer| !offerer.saturated && rests_until(offerer) <= now;
        let times = |offerer: &Offerer| self.tried.get(&offerer.peer).map_or(0, |tried| tried.times);
        let at_place = |offerer: &Offerer| self.places.get(&offerer.place).copied().unwrap_or(0);
        let next = self.next.take();
        let rank = |offerer: &&Offerer| {
            let asked_before = (at_place(offerer), times(offerer));
            (Some(offerer.peer) != next, asked_before, offerer.fellow, rng.next_u64())
        };
        let best = offerers.iter().filter(hopeful).filter(ready).min_by_key(rank).copied();
        let next_at = self.asked_at.map_or(now, |at| at + hedge_after(offerers));
        if let Some(best) = best.filter(|_| self.asked.is_empty() || next_at <= now) {
            if self.asked.len() < MANIFEST_SOURCES_MAX {
                let place = self.places.len() < MANIFEST_PLACES_MAX || self.places.contains_key(&best.place);
                if place {
                    *self.places.entry(best.place).or_default() += 1;
                }
                self.asked_at = Some(now);
                return Step::Ask(best.peer);
            }
            // All asked sources are slow, so a new one replaces the one that was asked first.
            if times(&best) == 0 {
                return self.give_up(0, false);
            }
        }
        if self.asked.is_empty() && !offerers.iter().any(|offerer| hopeful(&offerer)) {
            return Step::Exhausted;
        }
        let deadlines = self.asked.iter().map(|asked| asked.deadline);
        let rested = offerers.iter().filter(hopeful).map(rests_until);
        let hedge = best.map(|_| next_at);
        self.wake_at = deadlines.chain(rested).chain(hedge).filter(|at| *at > now).min();
        Step::Wait
    }

    /// Returns when to call [`Self::step`] although nothing has happened.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.wake_at
    }

    /// Notes that a source was asked.
    pub fn asked(&mut self, peer: PeerId, id: RequestId, now: Time) {
        self.tried.entry(peer).or_default().times += 1;
        self.asked.push(Asked { peer, id, deadline: now + MANIFEST_ANSWER_PATIENCE, started: false });
    }

    /// Notes that a source has begun to send a manifest of this size.
    pub fn started(&mut self, peer: PeerId, id: RequestId, bytes: u64, now: Time) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.peer == peer && asked.id == id) {
            let at_worst = Duration::from_secs(bytes / MANIFEST_SEND_RATE_MIN);
            asked.deadline = now + MANIFEST_SEND_PATIENCE + at_worst;
            asked.started = true;
        }
    }

    /// Notes that a request failed. The next source is asked at once.
    pub fn failed(&mut self, peer: PeerId, id: RequestId, why: Failed, now: Time, rng: &mut Rng) {
        let Some(at) = self.asked.iter().position(|asked| asked.peer == peer && asked.id == id) else {
            return;
        };
        self.asked.remove(at);
        self.asked_at = None;
        let tried = self.tried.entry(peer).or_default();
        if why == Failed::Busy && now.since(self.since) < MANIFEST_SEARCH_MAX {
            let pause = MANIFEST_BUSY_PAUSE_MIN * (1 << tried.busy.min(8));
            let pause = pause.min(MANIFEST_BUSY_PAUSE_MAX);
            // Receivers that were turned away together should not return together.
            let spread = Duration::from_millis(rng.below(pause.as_millis() as u64));
            tried.busy += 1;
            tried.rests_until = now + pause / 2 + spread;
        } else {
            tried.given_up = true;
        }
    }

    /// Notes that a source is gone, or that its answer arrived.
    pub fn gone(&mut self, peer: PeerId) {
        if let Some(at) = self.asked.iter().position(|asked| asked.peer == peer) {
            self.asked.remove(at);
            self.asked_at = None;
        }
    }

    /// Returns true if this request is open.
    pub fn is_asked(&self, peer: PeerId, id: RequestId) -> bool {
        self.asked.iter().any(|asked| asked.peer == peer && asked.id == id)
    }

    /// Returns the open requests.
    pub fn open(&self) -> impl Iterator<Item = (PeerId, RequestId)> + '_ {
        self.asked.iter().map(|asked| (asked.peer, asked.id))
    }

    fn give_up(&mut self, at: usize, for_good: bool) -> Step {
        let Asked { peer, id, .. } = self.asked.remove(at);
        self.asked_at = None;
        if for_good {
            self.tried.entry(peer).or_default().given_up = true;
        }
        Step::GiveUp { peer, id }
    }
}

/// Returns how long a source is waited for before another one is asked beside it. The smallest size that a source
/// states counts, because a source that overstates the size would only make receivers wait.
fn hedge_after(offerers: &[Offerer]) -> Duration {
    let bytes = offerers.iter().map(|offerer| offerer.usual_bytes).min().unwrap_or(0);
    MANIFEST_HEDGE_MIN + Duration::from_secs_f64(bytes as f64 / MANIFEST_RATE_USUAL as f64)
}

#[cfg(test)]
mod tests;
