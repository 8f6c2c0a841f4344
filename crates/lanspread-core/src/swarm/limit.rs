//! A rate limit as a token bucket.

use std::time::Duration;

use crate::time::Time;

/// How much unused time may be made up for. Timers fire a millisecond or two late and chunks take their time to the
/// wire: without this each chunk would lose that (a tenth of the rate with small chunks). More would be a burst.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Allows so many bytes per second on average, spent ahead: an answer may start as soon as the debt of the ones before
/// is paid off. So the rate is met whatever the size of the chunks.
#[derive(Debug, Clone, Default)]
pub struct RateLimit {
    bytes_per_second: Option<u64>,
    free_at: Time,
}

impl RateLimit {
    /// `None` lifts the limit. Zero is taken as one byte per second: a limit never blocks for ever.
    pub fn set(&mut self, bytes_per_second: Option<u64>, now: Time) {
        self.bytes_per_second = bytes_per_second.map(|rate| rate.max(1));
        self.free_at = now;
    }

    pub fn allows(&self, now: Time) -> bool {
        self.bytes_per_second.is_none() || self.free_at <= now
    }

    pub fn spend(&mut self, bytes: u64, now: Time) {
        if let Some(rate) = self.bytes_per_second {
            self.free_at =
                self.free_at.max(now - CATCH_UP) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
    }

    /// Gives back what was spent on bytes that did not come.
    pub fn refund(&mut self, bytes: u64) {
        if let Some(rate) = self.bytes_per_second {
            self.free_at = self.free_at - Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
    }

    /// When the limit allows the next bytes; `None` if it allows them now.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        (!self.allows(now)).then_some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_met_within_one_chunk() {
        let mut limit = RateLimit::default();
        let (mut now, mut sent) = (Time::START, 0u64);
        limit.set(Some(1_000_000), now);
        while now.since_start() < Duration::from_secs(60) {
            assert!(limit.allows(now));
            limit.spend(256 << 10, now);
            sent += 256 << 10;
            now = limit.next_wakeup(now).unwrap();
        }
        assert!((sent as f64 / now.since_start().as_secs_f64() / 1e6 - 1.0).abs() < 0.01, "{sent}");
    }

    #[test]
    fn late_timers_do_not_lower_the_average() {
        let mut limit = RateLimit::default();
        let (mut now, mut sent) = (Time::START, 0u64);
        limit.set(Some(10_000_000), now);
        while now.since_start() < Duration::from_secs(60) {
            limit.spend(64 << 10, now);
            sent += 64 << 10;
            now = limit.next_wakeup(now).unwrap_or(now) + Duration::from_millis(2);
        }
        assert!((sent as f64 / now.since_start().as_secs_f64() / 1e7 - 1.0).abs() < 0.01, "{sent}");
    }

    #[test]
    fn what_was_not_used_for_long_is_not_made_up_for() {
        let mut limit = RateLimit::default();
        limit.set(Some(1_000_000), Time::START);
        let now = Time::from_start(Duration::from_secs(60));
        let at_once = (0..1000).take_while(|_| {
            let allowed = limit.allows(now);
            limit.spend(10_000, now);
            allowed
        });
        assert_eq!(at_once.count(), 6, "what the last fifty milliseconds allowed, and one ahead");
    }

    #[test]
    fn what_is_given_back_can_be_spent_again() {
        let mut limit = RateLimit::default();
        limit.set(Some(1_000_000), Time::START);
        for _ in 0..1000 {
            limit.spend(500_000, Time::START);
            limit.refund(500_000);
        }
        limit.spend(500_000, Time::START);
        let free_at = Time::START + Duration::from_millis(500);
        assert!(limit.next_wakeup(Time::START).is_some_and(|at| at <= free_at && at + CATCH_UP >= free_at));
    }

    #[test]
    fn no_limit_never_waits() {
        let mut limit = RateLimit::default();
        limit.spend(u64::MAX, Time::START);
        assert!(limit.allows(Time::START) && limit.next_wakeup(Time::START).is_none());
    }
}
