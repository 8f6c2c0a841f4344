//! Which rooms are measured: every combination of what was listed, and how long each must take at least.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{PAYLOAD_PART, Situation};
use crate::lab::{Groups, Link};
use crate::race::Plan;

/// A staggered start: time between two clicks.
const STAGGER: Duration = Duration::from_secs(5);
/// The slow peer's part of the rate.
pub const SLOW_PART: f64 = 0.2;

/// What was listed on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Rooms<'a> {
    pub situations: &'a [Situation],
    pub receivers: &'a [usize],
    pub rates: &'a [f64],
    pub queues_ms: &'a [u32],
    pub groups: usize,
    pub uplink_mbit: Option<f64>,
}

/// One room, and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Case {
    pub situation: Situation,
    pub receivers: usize,
    pub rate_mbit_per_s: f64,
    pub queue_ms: u32,
    /// 1 is a single switch.
    pub groups: usize,
    /// `None` with a single switch.
    pub uplink_mbit_per_s: Option<f64>,
}

impl Rooms<'_> {
    /// Every combination.
    pub fn cases(self) -> Result<Vec<Case>> {
        let positive = |rate: f64| rate.is_finite() && rate > 0.0;
        ensure!(
            self.rates.iter().copied().chain(self.uplink_mbit).all(positive),
            "a rate is more than 0 Mbit/s"
        );
        ensure!(self.receivers.iter().all(|&receivers| receivers > 0), "a room has at least one receiver");
        ensure!(self.uplink_mbit.is_none() || self.groups > 1, "--uplink-mbit needs --groups of 2 or more");
        let mut cases = Vec::new();
        for &situation in self.situations {
            for &receivers in self.receivers {
                for &rate_mbit_per_s in self.rates {
                    for &queue_ms in self.queues_ms {
                        let uplink = self.uplink_mbit.unwrap_or(rate_mbit_per_s);
                        cases.push(Case {
                            situation,
                            receivers,
                            rate_mbit_per_s,
                            queue_ms,
                            groups: self.groups,
                            uplink_mbit_per_s: (self.groups > 1).then_some(uplink),
                        });
                    }
                }
            }
        }
        Ok(cases)
    }
}

impl Case {
    /// Of the seed, the receivers, then the liar if there is one.
    pub fn links(&self) -> Vec<Link> {
        let link = self.link(self.rate_mbit_per_s);
        let mut links = vec![link; 1 + self.receivers];
        match self.situation {
            Situation::Slow => links[self.receivers] = link.slowed(SLOW_PART),
            Situation::Liar => links.push(link),
            Situation::Mass | Situation::Staggered | Situation::Killed => {}
        }
        links
    }

    pub fn switches(&self) -> Groups {
        Groups {
            count: self.groups,
            uplink: self.link(self.uplink_mbit_per_s.unwrap_or(self.rate_mbit_per_s)),
        }
    }

    fn link(&self, rate: f64) -> Link {
        Link { mbit_per_s: Some(rate), queue_ms: self.queue_ms }
    }

    pub fn liar(&self) -> bool {
        self.situation == Situation::Liar
    }

    /// From the start of the clock to each receiver's click.
    pub fn clicks(&self) -> Vec<Duration> {
        let step = if self.situation == Situation::Staggered { STAGGER } else { Duration::ZERO };
        (0..self.receivers as u32).map(|receiver| step * receiver).collect()
    }

    /// When who starts and who dies. The time limit is twice what a seed needs that serves one receiver after the other.
    pub fn plan(&self, archive_bytes: u64) -> Plan {
        let slowed = if self.situation == Situation::Slow { SLOW_PART } else { 1.0 };
        let copies = self.receivers as f64 / slowed;
        Plan {
            clicks: self.clicks(),
            victim: (self.situation == Situation::Killed).then(|| self.receivers - 1),
            limit: Duration::from_secs_f64(2.0 * copies * self.one_copy_s(archive_bytes) + 60.0),
        }
    }

    /// One copy over the slowest link that a copy must cross.
    pub fn one_copy_s(&self, archive_bytes: u64) -> f64 {
        let rate = self.uplink_mbit_per_s.map_or(self.rate_mbit_per_s, |up| up.min(self.rate_mbit_per_s));
        archive_bytes as f64 * 8.0 / (PAYLOAD_PART * rate * 1e6)
    }

    /// How long the last of the unhurt receivers must take at least: until the last click, and one copy.
    pub fn bound_s(&self, archive_bytes: u64) -> f64 {
        let last_click = self.clicks().last().copied().unwrap_or_default();
        last_click.as_secs_f64() + self.one_copy_s(archive_bytes)
    }

    /// The receivers that nothing is done to; they come first.
    pub fn unhurt(&self) -> usize {
        self.receivers - usize::from(matches!(self.situation, Situation::Slow | Situation::Killed))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { situation, receivers, rate_mbit_per_s, queue_ms, groups, .. } = self;
        write!(f, "{situation:?} N={receivers} {rate_mbit_per_s} Mbit/s {queue_ms} ms")?;
        if *groups > 1 { write!(f, " in {groups} groups") } else { Ok(()) }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const ROOMS: Rooms<'static> = Rooms {
        situations: &[Situation::Mass],
        receivers: &[6],
        rates: &[25.0, 100.0],
        queues_ms: &[20, 50, 200],
        groups: 1,
        uplink_mbit: None,
    };
    const MIB: u64 = 1 << 20;

    fn only(rooms: Rooms<'_>) -> Case {
        rooms.cases().unwrap()[0]
    }

    #[test]
    fn every_rate_meets_every_queue() {
        let cases = ROOMS.cases().unwrap();
        let pairs: Vec<(f64, u32)> = cases.iter().map(|c| (c.rate_mbit_per_s, c.queue_ms)).collect();
        assert_eq!(pairs, [(25.0, 20), (25.0, 50), (25.0, 200), (100.0, 20), (100.0, 50), (100.0, 200)]);
        let rooms = Rooms { situations: &[Situation::Mass, Situation::Slow], receivers: &[6, 33], ..ROOMS };
        assert_eq!(rooms.cases().unwrap().len(), 24);
    }

    #[test]
    fn an_uplink_has_the_rate_of_a_host_unless_told() {
        assert_eq!(only(ROOMS).uplink_mbit_per_s, None);
        assert_eq!(only(Rooms { groups: 2, ..ROOMS }).uplink_mbit_per_s, Some(25.0));
        let told = only(Rooms { groups: 2, uplink_mbit: Some(10.0), ..ROOMS });
        assert_eq!(told.uplink_mbit_per_s, Some(10.0));
        assert_eq!(told.switches().uplink, Link { mbit_per_s: Some(10.0), queue_ms: 20 });
    }

    #[test]
    fn nonsense_is_refused() {
        for rooms in [
            Rooms { rates: &[100.0, 0.0], ..ROOMS },
            Rooms { rates: &[f64::NAN], ..ROOMS },
            Rooms { receivers: &[0], ..ROOMS },
            Rooms { uplink_mbit: Some(10.0), ..ROOMS },
            Rooms { uplink_mbit: Some(-1.0), groups: 2, ..ROOMS },
        ] {
            assert!(rooms.cases().is_err(), "{rooms:?}");
        }
    }

    #[test]
    fn the_bound_is_a_copy_over_the_slowest_link_after_the_last_click() {
        let bytes = 4 * MIB;
        let copy = |rate: f64| 4.0 * 1_048_576.0 * 8.0 / (0.956 * rate * 1e6);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(only(ROOMS).bound_s(bytes), copy(25.0));
        close(only(Rooms { groups: 2, uplink_mbit: Some(100.0), ..ROOMS }).bound_s(bytes), copy(25.0));
        close(only(Rooms { groups: 2, uplink_mbit: Some(5.0), ..ROOMS }).bound_s(bytes), copy(5.0));
        let staggered = only(Rooms { situations: &[Situation::Staggered], ..ROOMS });
        close(staggered.bound_s(bytes), 25.0 + copy(25.0));
    }

    #[test]
    fn the_hurt_one_is_the_last_receiver() {
        let of = |situation| only(Rooms { situations: &[situation], ..ROOMS });
        let slow = of(Situation::Slow);
        assert_eq!((slow.unhurt(), slow.links()[6].mbit_per_s), (5, Some(5.0)));
        assert_eq!(of(Situation::Killed).plan(MIB).victim, Some(5));
        assert_eq!((of(Situation::Liar).links().len(), of(Situation::Mass).links().len()), (8, 7));
    }
}
