//! Rate limit for bytes, as a token bucket.

use std::time::Duration;

use crate::time::Time;

/// Unused time that may be made up for. Timers fire a millisecond or two late and chunks take time to reach the wire;
/// without this allowance each chunk would lose that time (a tenth of the rate with small chunks). A larger one would
/// allow bursts.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Token bucket that goes into debt: the next answer may start as soon as the debt of earlier answers is paid off. The
/// average rate therefore holds for chunks of any size.
#[derive(Debug, Clone, Default)]
pub struct RateLimit {
    bytes_per_second: Option<u64>,
    free_at: Time,
}

impl RateLimit {
    /// Sets the limit and forgives all debt. `None` lifts the limit. Zero counts as one byte per second, so a limit
    /// never blocks for ever.
    pub fn set(&mut self, bytes_per_second: Option<u64>, now: Time) {
        self.bytes_per_second = bytes_per_second.map(|rate| rate.max(1));
        self.free_at = now;
    }

    /// Returns true if the next answer may start now.
    pub fn allows(&self, now: Time) -> bool {
        self.bytes_per_second.is_none() || self.free_at <= now
    }

    /// Charges bytes to the limit.
    pub fn spend(&mut self, bytes: u64, now: Time) {
        if let Some(rate) = self.bytes_per_second {
            self.free_at =
                self.free_at.max(now - CATCH_UP) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
    }

    /// Gives back the charge for bytes that did not arrive.
    pub fn refund(&mut self, bytes: u64) {
        if let Some(rate) = self.bytes_per_second {
            self.free_at = self.free_at - Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
    }

    /// Returns when the limit allows the next bytes, or `None` if it allows them now.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        (!self.allows(now)).then_some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_rate_is_met() {
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
    fn late_timers_do_not_lower_the_rate() {
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
    fn idle_time_gives_no_burst() {
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
    fn refund_can_be_spent_again() {
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
