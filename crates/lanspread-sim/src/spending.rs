//! Cost of control messages to their receivers, for each connection.
//!
//! The product's rate limits (`lanspread_core::limits`) are derived from these figures.

use std::collections::HashMap;

use lanspread_core::io::ConnId;
use lanspread_core::limits::UNITS_PER_SECOND;
use lanspread_core::time::Time;

/// Largest cost of the messages of one connection, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Units within one second of virtual time.
    pub second: u64,
    /// Capacity that a token bucket needs that is refilled with `UNITS_PER_SECOND`.
    pub burst: u64,
}

/// Sums of each connection's costs, and the largest of them.
#[derive(Debug, Default)]
pub struct Spending {
    conns: HashMap<ConnId, Account>,
    most: Spent,
}

#[derive(Debug, Default)]
struct Account {
    second: u64,
    spent: u64,
    drawn: f64,
    at: Time,
}

impl Spending {
    /// Records a message that arrives on `conn` and costs `units`.
    pub fn note(&mut self, conn: ConnId, units: u32, now: Time) {
        let account = self.conns.entry(conn).or_default();
        let second = now.since_start().as_secs();
        if account.second != second {
            (account.second, account.spent) = (second, 0);
        }
        account.spent += u64::from(units);
        let refilled = now.since(account.at).as_secs_f64() * f64::from(UNITS_PER_SECOND);
        account.drawn = (account.drawn - refilled).max(0.0) + f64::from(units);
        account.at = now;
        self.most.second = self.most.second.max(account.spent);
        self.most.burst = self.most.burst.max(account.drawn.ceil() as u64);
    }

    /// Returns the largest values of any connection so far.
    pub fn most(&self) -> Spent {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_and_bursts_are_counted_separately() {
        let mut spending = Spending::default();
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        for ms in [100, 600, 1100, 1600] {
            spending.note(ConnId(1), 8000, at(ms));
        }
        spending.note(ConnId(2), 9000, at(1600));
        assert_eq!(spending.most(), Spent { second: 16_000, burst: 9000 });
    }
}
