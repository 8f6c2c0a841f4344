//! How far a source's word is believed: what it says that it has counts until it was asked in vain for long enough.
//!
//! A source that is doubted is asked for one chunk at a time, ever less often, and what it claims is not counted among the
//! copies in the room. The first chunk that it delivers clears it.

use std::time::Duration;

use crate::time::Time;

/// Refusals in a row, without a chunk in between, after which a source is doubted. A peer that streams refuses a few of
/// what it has dropped; two are enough when it has gone on for as long as a silence may. Being turned away because too
/// many wait counts only if both hold.
pub(super) const FRUITLESS_MAX: u32 = 8;
/// A fellow that has been asked and has delivered nothing for so long is doubted: beyond the stalls of a wireless link ...
pub(super) const SILENCE_MIN: Duration = Duration::from_secs(1);
/// ... and beyond so many times what an answer takes.
pub(super) const SILENCE_FACTOR: u32 = 8;
/// Pause before a doubted source is tried again. Each time that it is doubted doubles it ...
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// ... up to this: a source that was stuck is found to be well again within a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause before a seed is asked again that has turned us away for as long as a silence may last.
pub(super) const CROWDED_PAUSE: Duration = Duration::from_millis(250);
/// Nothing more is expected of a source that was doubted for so long.
const HOPELESS_AFTER: Duration = Duration::from_secs(30);
/// After so many sources were doubted that never delivered anything, the next ones are doubted from the start: identities
/// cost nothing.
pub(super) const IMPOSTORS_MAX: u32 = 3;
/// Sources that have left and are remembered as doubtful.
pub(super) const REMEMBERED_MAX: usize = 1024;

/// What speaks against a source.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt {
    /// Since when it is doubted.
    since: Option<Time>,
    /// How often it was.
    times: u32,
    /// Refusals since it last delivered, and when the first of them was.
    fruitless: u32,
    fruitless_since: Option<Time>,
}

impl Doubt {
    /// A source that is doubted before it was asked for anything.
    pub fn from_the_start(now: Time) -> Self {
        Self { since: Some(now), ..Self::default() }
    }

    pub fn is_credible(&self) -> bool {
        self.since.is_none()
    }

    /// Whether there is anything to remember.
    pub fn is_any(&self) -> bool {
        self.since.is_some() || self.times > 0 || self.fruitless > 0
    }

    /// Whether nothing more is expected of it.
    pub fn is_hopeless(&self, now: Time) -> bool {
        self.hopeless_at().is_some_and(|at| at <= now)
    }

    pub fn hopeless_at(&self) -> Option<Time> {
        self.since.map(|since| since + HOPELESS_AFTER)
    }

    /// It delivered a chunk. Returns whether it was doubted.
    pub fn cleared(&mut self) -> bool {
        (self.fruitless, self.fruitless_since) = (0, None);
        self.times /= 2;
        self.since.take().is_some()
    }

    /// Time since its first refusal without a delivery.
    pub fn fruitless_for(&self, now: Time) -> Duration {
        self.fruitless_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Notes a refusal, `for_now` if too many requests wait there. Other sources refuse for `usual` before they deliver.
    /// Returns whether the source is to be doubted.
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

    /// It is doubted from now on, or still. Returns how long to leave it alone; `for_now` it may have better times soon.
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
    fn a_crowd_turns_away_for_a_while_before_that_counts() {
        let mut doubt = Doubt::default();
        let mut refused = |seconds| doubt.refused(true, Duration::ZERO, at(seconds));
        assert!((0..100).all(|_| !refused(5)) && refused(6));
        assert_eq!([doubt.doubted(true, at(6)), doubt.doubted(true, at(7))], [PAUSE_MIN; 2]);
    }

    #[test]
    fn a_crowd_may_turn_away_for_eight_times_as_long_as_others_do() {
        let mut doubt = Doubt::default();
        let mut refused = |usual, seconds| doubt.refused(true, Duration::from_secs(usual), at(seconds));
        assert!((0..100).all(|_| !refused(1, 5)) && !refused(1, 12) && refused(1, 13));
        assert!(!refused(1000, 34) && refused(1000, 35), "patience ends after half a minute");
    }

    #[test]
    fn a_few_refusals_in_a_row_are_none_too_many() {
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
