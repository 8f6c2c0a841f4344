//! Refused and dropped peers, with the cause, for the owner to read.
//!
//! Bounded in memory and in output: a peer that is refused a thousand times a second causes one event a minute and
//! one line in `status`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::{Origin, PeerId};

use crate::time::Time;

pub use lanspread_types::connection::{RefusalCause, RefusalKind};

/// Refusals that are remembered; beyond that the oldest is forgotten.
const REFUSALS_MAX: usize = 64;
/// Time after which a refusal that still happens is reported again.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// A peer that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it can be reached or, if it never said so, where it came from.
    pub addr: SocketAddr,
    /// Its identity, if it proved one.
    pub peer: Option<PeerId>,
    /// Why, the last time.
    pub cause: RefusalCause,
    /// How often.
    pub count: u64,
    /// When it happened last.
    pub at: Time,
}

/// Recent refusals, one for each address (or IPv6 /64) and kind.
#[derive(Debug, Default)]
pub struct Refusals {
    by_kind: BTreeMap<(Origin, RefusalKind), (Refused, Time)>,
}

impl Refusals {
    /// Notes a refusal. Returns true if it should be reported.
    pub fn note(&mut self, addr: SocketAddr, peer: Option<PeerId>, cause: RefusalCause, now: Time) -> bool {
        let key = (Origin::of(addr.ip()), cause.kind());
        if let Some((known, told)) = self.by_kind.get_mut(&key) {
            let count = known.count + 1;
            *known = Refused { addr, peer, cause, count, at: now };
            let again = now.since(*told) >= TELL_AGAIN;
            if again {
                *told = now;
            }
            return again;
        }
        if self.by_kind.len() >= REFUSALS_MAX {
            let oldest = self.by_kind.iter().min_by_key(|(_, (refused, _))| refused.at).map(|(key, _)| *key);
            oldest.map(|key| self.by_kind.remove(&key));
        }
        self.by_kind.insert(key, (Refused { addr, peer, cause, count: 1, at: now }, now));
        true
    }

    /// Returns all refusals, the latest first.
    pub fn list(&self) -> Vec<Refused> {
        let mut all: Vec<Refused> = self.by_kind.values().map(|(refused, _)| refused.clone()).collect();
        all.sort_by_key(|refused| std::cmp::Reverse(refused.at));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lanspread_types::PartyMismatch;

    use super::*;

    fn addr(n: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), 4000)
    }

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn flood_is_one_line_and_one_event_a_minute() {
        let mut refusals = Refusals::default();
        let noise = || RefusalCause::NotAPeer("noise".to_owned());
        let told = (0..1000).filter(|n| refusals.note(addr(1), None, noise(), at(n / 10))).count();
        assert_eq!(told, 2, "in a hundred seconds");
        assert_eq!(refusals.list().len(), 1);
        assert_eq!((refusals.list()[0].count, refusals.list()[0].at), (1000, at(99)));
        assert!(refusals.note(addr(1), None, RefusalCause::TooManyConnections, at(99)), "another kind");
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_latest() {
        let mut refusals = Refusals::default();
        for n in 0..1000 {
            refusals.note(addr(n), None, RefusalCause::Party(PartyMismatch::Open), at(u64::from(n)));
        }
        let list = refusals.list();
        assert_eq!(list.len(), REFUSALS_MAX);
        assert_eq!(
            (list[0].addr, list[REFUSALS_MAX - 1].addr),
            (addr(999), addr(1000 - REFUSALS_MAX as u32))
        );
    }

    #[test]
    fn one_ipv6_network_is_one_line() {
        let mut refusals = Refusals::default();
        let host = |n: u16| SocketAddr::new(IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, 1]), 4000);
        let told =
            (0..1000).filter(|n| refusals.note(host(*n), None, RefusalCause::TooManyConnections, at(0)));
        assert_eq!(told.count(), 1);
        assert_eq!((refusals.list().len(), refusals.list()[0].count), (1, 1000));
    }
}
