//! Whether a source that is connected delivers at all.
//!
//! A control connection may live while the data port is blocked (a firewall), or while a process hangs. Such a source
//! is left alone for growing pauses, and counts as *mute* when that has lasted: then it is nobody to wait for.

use std::time::Duration;

use crate::time::Time;

/// Pause after the first lost request. Each further one doubles it ...
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// ... up to this: a firewall that was opened meanwhile is noticed before the download is given up.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Without any answer for so long a source is mute. Five attempts have failed by then.
pub(super) const MUTE_AFTER: Duration = Duration::from_secs(30);
/// A request that is not answered at all for so long is taken back, which must be answered at once: a queue may be long
/// (an upload limit, a crowd), but who does not even say "cancelled" is not there.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What the answers of one source tell of it.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Attempts that failed since it last answered.
    lost: u32,
    /// Since when it owes an answer: the first of the attempts that failed, or the request that was taken back.
    failing_since: Option<Time>,
    /// Since when something is asked of it, or since its last answer if that came later.
    waiting_since: Option<Time>,
    /// All that was asked of it was taken back, and it has said nothing.
    taken_back: bool,
}

impl Contact {
    pub fn asked(&mut self, now: Time) {
        self.waiting_since.get_or_insert(now);
    }

    /// An answer of any kind. `open` tells whether others are still to come.
    pub fn answered(&mut self, open: bool, now: Time) {
        *self = Self { waiting_since: open.then_some(now), ..Self::default() };
    }

    /// An attempt failed; returns how long to leave it alone.
    pub fn lost(&mut self, now: Time) -> Duration {
        let pause = PAUSE_MIN * (1 << self.lost.min(6));
        self.failing_since.get_or_insert(self.waiting_since.unwrap_or(now));
        self.lost += 1;
        (self.waiting_since, self.taken_back) = (None, false);
        pause.min(PAUSE_MAX)
    }

    /// Whether what was asked of it should be taken back now.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.overdue_at().is_some_and(|at| at <= now)
    }

    pub fn taken_back(&mut self) {
        self.taken_back = true;
        self.failing_since = self.failing_since.or(self.waiting_since);
    }

    /// It may be asked for many things at a time.
    pub fn is_good(&self) -> bool {
        self.failing_since.is_none()
    }

    /// It may be tried again, pauses aside.
    pub fn may_be_tried(&self) -> bool {
        !self.taken_back
    }

    /// Nothing is to be expected of it.
    pub fn is_mute(&self, now: Time) -> bool {
        self.mute_at().is_some_and(|at| at <= now)
    }

    /// When time alone changes what is said here.
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
    fn who_does_not_answer_owes_since_the_first_question() {
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
