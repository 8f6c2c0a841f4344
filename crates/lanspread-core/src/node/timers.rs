//! When the node must run although nothing happens.
//!
//! [`TimerTable`] holds the deadlines that belong to the node as a whole. Parts whose deadlines follow from their own
//! state, such as a search for a manifest, compute them instead.

use super::Node;
use crate::time::Time;

/// A deadline of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Look for silent peers.
    Liveness,
    /// Announce games that were hashed meanwhile.
    Announce,
    /// Report remote libraries that change too often to report each change.
    News,
}

/// Number of timers.
const TIMERS: usize = Timer::News as usize + 1;

/// When each timer is due.
#[derive(Debug, Default)]
pub struct TimerTable([Option<Time>; TIMERS]);

impl TimerTable {
    /// Sets when a timer is due; `None` stops it.
    pub fn set(&mut self, timer: Timer, due: Option<Time>) {
        self.0[timer as usize] = due;
    }

    /// Makes a timer due at this time, unless it is due earlier.
    pub fn set_no_later(&mut self, timer: Timer, due: Time) {
        let known = &mut self.0[timer as usize];
        *known = Some(known.map_or(due, |known| known.min(due)));
    }

    /// Stops a timer.
    pub fn stop(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    /// Returns true if a timer is due. It stays due until it is set or stopped.
    pub fn is_due(&self, timer: Timer, now: Time) -> bool {
        self.0[timer as usize].is_some_and(|due| now >= due)
    }

    /// Returns when the first timer is due.
    pub fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }
}

impl Node {
    /// Returns when to wake the node even if nothing happens.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let waits = self.pending.peers.iter().map(|wait| wait.deadline);
        let rest = [
            self.timers.next(),
            self.catalogs.next_wakeup(),
            self.room_wakeup(),
            self.dialling.next_wakeup(now).filter(|_| !self.is_stopping()),
            self.uploads.next_wakeup(now),
            self.downloads.next_wakeup(now),
        ];
        waits.chain(rest.into_iter().flatten()).min()
    }

    pub(super) fn run_timers(&mut self, now: Time) {
        self.answer_peer_waits(now);
        self.check_liveness(now);
        self.announce_if_due(now);
        self.announcer.report_overdue(now, &mut self.roster, &mut self.timers, &mut self.outbox);
        self.give_up_late_catalog(now);
        self.answer_rooms(now);
        if !self.is_stopping() {
            self.dialling.run_timers(now, &self.roster, &mut self.outbox);
        }
        self.run_download_timers(now);
        self.pump_manifests(now);
        self.downloads.drop_late_sources(now, &mut self.outbox);
        if self.downloads.limit_allows(now) {
            self.pump_downloads(now);
        }
        if self.downloads.limits().upload.is_some() || self.uploads.uplink.is_overdue(now) {
            self.pump_uplink(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn earliest_timer_is_next() {
        let mut timers = TimerTable::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Liveness, Some(at(5)));
        timers.set(Timer::News, Some(at(3)));
        assert_eq!(timers.next(), Some(at(3)));
        timers.stop(Timer::News);
        assert_eq!(timers.next(), Some(at(5)));
    }

    #[test]
    fn timer_is_due_until_it_is_set_again() {
        let mut timers = TimerTable::default();
        assert!(!timers.is_due(Timer::Announce, at(9)));
        timers.set(Timer::Announce, Some(at(5)));
        assert!(!timers.is_due(Timer::Announce, at(4)));
        assert!(timers.is_due(Timer::Announce, at(5)) && timers.is_due(Timer::Announce, at(6)));
        timers.set(Timer::Announce, Some(at(8)));
        assert!(!timers.is_due(Timer::Announce, at(6)) && !timers.is_due(Timer::Liveness, at(9)));
    }

    #[test]
    fn set_no_later_keeps_the_earlier_time() {
        let mut timers = TimerTable::default();
        for (due, earliest) in [(5, 5), (7, 5), (4, 4)] {
            timers.set_no_later(Timer::News, at(due));
            assert_eq!(timers.next(), Some(at(earliest)));
        }
    }
}
