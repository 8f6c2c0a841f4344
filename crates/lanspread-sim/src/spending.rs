//! What control messages cost their receivers, for each connection: the figures that the product's budgets stand on.

use std::collections::HashMap;

use lanspread_core::io::ConnId;
use lanspread_core::limits::UNITS_PER_SECOND;
use lanspread_core::time::Time;

/// Most that one connection spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Units within one second.
    pub second: u64,
    /// Units that a bucket must hold which is refilled at the product's rate.
    pub burst: u64,
}

/// Adds up what each connection spends.
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
    /// A message arrives that costs so much.
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

    pub fn most(&self) -> Spent {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_and_bursts_are_counted_apart() {
        let mut spending = Spending::default();
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        for ms in [100, 600, 1100, 1600] {
            spending.note(ConnId(1), 8000, at(ms));
        }
        spending.note(ConnId(2), 9000, at(1600));
        assert_eq!(spending.most(), Spent { second: 16_000, burst: 9000 });
    }
}
