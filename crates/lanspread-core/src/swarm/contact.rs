//! Contact with one connected source: whether it delivers at all.
//!
//! A control connection can live while the data port is blocked (a firewall) or the process hangs. The download leaves
//! such a source alone for growing pauses. After 30 s of failure the source is *mute*: the download no longer waits for
//! it.

use std::time::Duration;

use crate::time::Time;

/// Pause after the first lost request. Each further lost request doubles the pause, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause. It is short enough to notice an opened firewall before the download is given up.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Time without any answer after which a source is mute. By then five attempts have failed.
pub(super) const MUTE_AFTER: Duration = Duration::from_secs(30);
/// Time without any answer after which all requests at a source are cancelled. Its queue may be long (an upload limit,
/// a crowd), but a cancellation must be answered at once, so a source that ignores that is gone.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// Answers and failures of one source.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Failed attempts since the last answer.
    lost: u32,
    /// Start of the present failure: when the first failed attempt, or the request that was cancelled, began to wait.
    failing_since: Option<Time>,
    /// Time of the oldest open request, or of the last answer if that came later.
    waiting_since: Option<Time>,
    /// All requests were cancelled, and the source has not answered since.
    taken_back: bool,
}

impl Contact {
    /// Notes a request to the source.
    pub fn asked(&mut self, now: Time) {
        self.waiting_since.get_or_insert(now);
    }

    /// Notes an answer of any kind. `open` is true if other requests still wait for theirs.
    pub fn answered(&mut self, open: bool, now: Time) {
        *self = Self { waiting_since: open.then_some(now), ..Self::default() };
    }

    /// Notes a failed attempt. Returns the pause before the next one.
    pub fn lost(&mut self, now: Time) -> Duration {
        let pause = PAUSE_MIN * (1 << self.lost.min(6));
        self.failing_since.get_or_insert(self.waiting_since.unwrap_or(now));
        self.lost += 1;
        (self.waiting_since, self.taken_back) = (None, false);
        pause.min(PAUSE_MAX)
    }

    /// Returns true if the requests at this source should be cancelled now.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.overdue_at().is_some_and(|at| at <= now)
    }

    /// Notes that all requests at this source were cancelled.
    pub fn taken_back(&mut self) {
        self.taken_back = true;
        self.failing_since = self.failing_since.or(self.waiting_since);
    }

    /// Returns true if several requests at a time may be made: the source owes no answer.
    pub fn is_good(&self) -> bool {
        self.failing_since.is_none()
    }

    /// Returns true if the source may be tried again, pauses aside.
    pub fn may_be_tried(&self) -> bool {
        !self.taken_back
    }

    /// Returns true if the download should no longer wait for this source.
    pub fn is_mute(&self, now: Time) -> bool {
        self.mute_at().is_some_and(|at| at <= now)
    }

    /// Returns the times at which the answers of these functions change without input.
    pub fn next_change(&self) -> impl Iterator<Item = Time> {
        self.overdue_at().into_iter().chain(self.mute_at())
    }

    fn overdue_at(&self) -> Option<Time> {
        self.waiting_since.filter(|_| !self.taken_back).map(|since| since + ANSWER_PATIENCE)
    }

    fn mute_at(&self) -> Option<Time> {
        self.failing_since.map(|since| since + MUTE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_grow_until_an_answer_comes() {
        let mut contact = Contact::default();
        let pauses: Vec<u64> = (0..8).map(|n| contact.lost(at(n)).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10, 10, 10]);
        assert!(!contact.is_good() && !contact.is_mute(at(29)) && contact.is_mute(at(30)));
        contact.answered(false, at(40));
        assert!(contact.is_good() && !contact.is_mute(at(100)));
        assert_eq!(contact.lost(at(50)).as_secs(), 1);
    }

    #[test]
    fn silence_counts_from_the_first_request() {
        let mut contact = Contact::default();
        contact.asked(at(5));
        contact.asked(at(50));
        assert!(!contact.is_overdue(at(64)) && contact.is_overdue(at(65)));
        contact.taken_back();
        assert!(contact.is_mute(at(65)) && !contact.is_overdue(at(65)) && !contact.may_be_tried());
        contact.answered(true, at(70));
        assert!(contact.is_good() && !contact.is_overdue(at(129)) && contact.is_overdue(at(130)));
    }
}
