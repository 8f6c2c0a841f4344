//! Doubt about one source: its claims count until requests to it have been fruitless for long enough.
//!
//! A doubted source is asked for one chunk at a time, at growing intervals, and its claims do not count as copies in
//! the room. The first chunk that it delivers clears it.

use std::time::Duration;

use crate::time::Time;

/// Consecutive refusals, without a chunk in between, after which a source is doubted. The number leaves room for a
/// streaming peer, which refuses a few chunks that it has dropped. Two refusals suffice if they are [`SILENCE_MIN`]
/// apart. Refusals by a crowded source (`TooMany`) count only if there are this many *and* they have lasted long
/// enough.
pub(super) const FRUITLESS_MAX: u32 = 8;
/// Shortest time after which a fellow that owes a chunk is doubted: longer than a wireless link stalls. The time is
/// also at least [`SILENCE_FACTOR`] times the time that an answer takes.
pub(super) const SILENCE_MIN: Duration = Duration::from_secs(1);
/// Multiple of the expected time of an answer after which a fellow that owes a chunk is doubted.
pub(super) const SILENCE_FACTOR: u32 = 8;
/// Pause before a doubted source is tried again. It doubles each time the source is doubted, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest such pause. A source that was stuck is found to have recovered within a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause before the next request to a seed that has been too crowded for as long as a fellow may be silent.
pub(super) const CROWDED_PAUSE: Duration = Duration::from_millis(250);
/// Time in doubt after which nothing more is expected of a source.
const HOPELESS_AFTER: Duration = Duration::from_secs(30);
/// Doubted sources that never delivered anything after which new fellows are doubted from the start. Identities cost
/// nothing, so a liar could return under ever new ones.
pub(super) const IMPOSTORS_MAX: u32 = 3;
/// Most departed sources whose doubt is remembered.
pub(super) const REMEMBERED_MAX: usize = 1024;

/// Evidence against one source.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt {
    /// Start of the present doubt.
    since: Option<Time>,
    /// Times that the source was doubted. A delivered chunk halves the number.
    times: u32,
    /// Refusals since the source last delivered a chunk.
    fruitless: u32,
    /// Time of the first of these refusals.
    fruitless_since: Option<Time>,
}

impl Doubt {
    /// Creates the doubt of a source that is doubted before its first request.
    pub fn from_the_start(now: Time) -> Self {
        Self { since: Some(now), ..Self::default() }
    }

    /// Returns true if the source is not doubted.
    pub fn is_credible(&self) -> bool {
        self.since.is_none()
    }

    /// Returns true if there is evidence to remember.
    pub fn is_any(&self) -> bool {
        self.since.is_some() || self.times > 0 || self.fruitless > 0
    }

    /// Returns true if nothing more is expected of the source.
    pub fn is_hopeless(&self, now: Time) -> bool {
        self.hopeless_at().is_some_and(|at| at <= now)
    }

    /// Returns when [`Self::is_hopeless`] becomes true, if the source is doubted.
    pub fn hopeless_at(&self) -> Option<Time> {
        self.since.map(|since| since + HOPELESS_AFTER)
    }

    /// Notes that the source delivered a chunk. Returns whether it was doubted.
    pub fn cleared(&mut self) -> bool {
        (self.fruitless, self.fruitless_since) = (0, None);
        self.times /= 2;
        self.since.take().is_some()
    }

    /// Returns the time since the first refusal after the last delivered chunk; zero if there is none.
    pub fn fruitless_for(&self, now: Time) -> Duration {
        self.fruitless_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Notes a refusal. `for_now` is true if the source is crowded (`TooMany`), and `usual` is the time for which other
    /// sources refuse before they deliver. Returns whether the source should be doubted.
    pub fn refused(&mut self, for_now: bool, usual: Duration, now: Time) -> bool {
        self.fruitless += 1;
        self.fruitless_since.get_or_insert(now);
        let many = self.fruitless >= FRUITLESS_MAX;
        let lasted = self.fruitless_for(now);
        let doubtful = if for_now {
            many && lasted >= (usual * SILENCE_FACTOR).clamp(SILENCE_MIN, HOPELESS_AFTER)
        } else {
            many || lasted >= SILENCE_MIN
        };
        doubtful || !self.is_credible()
    }

    /// Begins or continues the doubt. Returns the pause before the next try; a source that is only crowded (`for_now`)
    /// always gets the shortest.
    pub fn doubted(&mut self, for_now: bool, now: Time) -> Duration {
        self.since.get_or_insert(now);
        if for_now {
            return PAUSE_MIN;
        }
        let pause = PAUSE_MIN * (1 << self.times.min(6));
        self.times = self.times.saturating_add(1);
        pause.min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_double_and_a_delivery_clears() {
        let mut doubt = Doubt::default();
        let pauses: Vec<u64> = (0..8).map(|n| doubt.doubted(false, at(n)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!doubt.is_credible() && !doubt.is_hopeless(at(29)) && doubt.is_hopeless(at(30)));
        assert!(doubt.cleared() && doubt.is_credible() && !doubt.is_hopeless(at(100)));
        assert!(!doubt.cleared());
    }

    #[test]
    fn crowded_source_is_doubted_after_a_while() {
        let mut doubt = Doubt::default();
        let mut refused = |seconds| doubt.refused(true, Duration::ZERO, at(seconds));
        assert!((0..100).all(|_| !refused(5)) && refused(6));
        assert_eq!([doubt.doubted(true, at(6)), doubt.doubted(true, at(7))], [PAUSE_MIN; 2]);
    }

    #[test]
    fn crowded_source_may_refuse_eight_times_as_long() {
        let mut doubt = Doubt::default();
        let mut refused = |usual, seconds| doubt.refused(true, Duration::from_secs(usual), at(seconds));
        assert!((0..100).all(|_| !refused(1, 5)) && !refused(1, 12) && refused(1, 13));
        assert!(!refused(1000, 34) && refused(1000, 35), "patience ends after half a minute");
    }

    #[test]
    fn few_refusals_are_harmless_within_a_second() {
        let mut doubt = Doubt::default();
        assert!((1..FRUITLESS_MAX).all(|_| !doubt.refused(false, Duration::ZERO, at(0))));
        doubt.cleared();
        assert!(
            (1..FRUITLESS_MAX).all(|_| !doubt.refused(false, Duration::ZERO, at(0)))
                && doubt.refused(false, Duration::ZERO, at(0))
        );
        let mut doubt = Doubt::default();
        assert!(
            !doubt.refused(false, Duration::ZERO, at(0)) && doubt.refused(false, Duration::ZERO, at(1)),
            "but for a second they are"
        );
    }
}
