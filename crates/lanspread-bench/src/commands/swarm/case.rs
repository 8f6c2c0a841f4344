//! The rooms to measure, one for each combination of the listed values, and the shortest possible time in each.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{PAYLOAD_PART, Situation};
use crate::lab::{self, Groups, Link};
use crate::race::Plan;

/// Time between two clicks of a staggered start.
const STAGGER: Duration = Duration::from_secs(5);
/// Fraction of the rate that the slow receiver has.
const SLOW_PART: f64 = 0.2;

/// Values from the command line; each combination is a room.
#[derive(Debug, Clone, Copy)]
pub struct Rooms<'a> {
    /// Situations to measure.
    pub situations: &'a [Situation],
    /// Numbers of receivers.
    pub receivers: &'a [usize],
    /// Rates of a host's link in Mbit/s, each direction.
    pub rates: &'a [f64],
    /// Longest queues in front of a link, in milliseconds at its rate.
    pub queues_ms: &'a [u32],
    /// Number of groups, the same in all rooms.
    pub groups: usize,
    /// Rate of each group's uplink in Mbit/s; `None` means that of a host.
    pub uplink_mbit: Option<f64>,
}

/// One room and its situation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Case {
    /// What makes the room harder.
    pub situation: Situation,
    /// Number of receivers.
    pub receivers: usize,
    /// Rate of a host's link in Mbit/s, each direction.
    pub rate_mbit_per_s: f64,
    /// Longest queue in front of a link, in milliseconds at its rate.
    pub queue_ms: u32,
    /// Number of groups; 1 means a single switch.
    pub groups: usize,
    /// Rate of each group's uplink; `None` with a single switch.
    pub uplink_mbit_per_s: Option<f64>,
}

impl Rooms<'_> {
    /// Returns every combination. Fails on a value that makes no sense.
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
    /// Links of the seed, the receivers, then the liar if the room has one.
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

    /// Groups and their uplinks.
    pub fn switches(&self) -> Groups {
        Groups {
            count: self.groups,
            uplink: self.link(self.uplink_mbit_per_s.unwrap_or(self.rate_mbit_per_s)),
        }
    }

    fn link(&self, rate: f64) -> Link {
        Link { mbit_per_s: Some(rate), queue_ms: self.queue_ms }
    }

    /// Whether a host offers a false copy.
    pub fn liar(&self) -> bool {
        self.situation == Situation::Liar
    }

    /// Times from the start of the clock to each receiver's click.
    pub fn clicks(&self) -> Vec<Duration> {
        let step = if self.situation == Situation::Staggered { STAGGER } else { Duration::ZERO };
        (0..self.receivers as u32).map(|receiver| step * receiver).collect()
    }

    /// Returns when each receiver clicks and which one is killed. The time limit is twice the time that the seed
    /// would need to serve the receivers one after the other.
    pub fn plan(&self, archive_bytes: u64) -> Plan {
        let rates = self.links().into_iter().filter_map(|link| link.mbit_per_s).chain(self.uplink_mbit_per_s);
        let slowest = rates.fold(self.rate_mbit_per_s, f64::min);
        let one_by_one = self.receivers as f64 * copy_s(archive_bytes, slowest);
        Plan {
            clicks: self.clicks(),
            victim: (self.situation == Situation::Killed).then(|| self.receivers - 1),
            limit: Duration::from_secs_f64(2.0 * one_by_one + 60.0),
        }
    }

    /// Earliest time at which each receiver can have everything, from the start of the clock: one copy over its own
    /// link after its click and, outside the seed's group, one copy over the uplink after the group's first click.
    pub fn earliest_s(&self, archive_bytes: u64) -> Vec<f64> {
        let (links, clicks) = (self.links(), self.clicks());
        let group = |receiver: usize| lab::group_of(receiver + 1, links.len(), self.groups);
        let at = |receiver: usize| clicks[receiver].as_secs_f64();
        let earliest = |receiver: usize| {
            let rate = links[receiver + 1].mbit_per_s.unwrap_or(f64::INFINITY);
            let own = at(receiver) + copy_s(archive_bytes, rate);
            let first = (0..receiver).find(|other| group(*other) == group(receiver)).unwrap_or(receiver);
            match self.uplink_mbit_per_s {
                Some(uplink) if group(receiver) > 0 => own.max(at(first) + copy_s(archive_bytes, uplink)),
                _ => own,
            }
        };
        (0..self.receivers).map(earliest).collect()
    }

    /// Shortest time in which the last unhurt receiver can be done, in seconds.
    pub fn bound_s(&self, archive_bytes: u64) -> f64 {
        self.earliest_s(archive_bytes).into_iter().take(self.unhurt()).fold(0.0, f64::max)
    }

    /// Number of receivers that are neither slowed nor killed. They come first.
    pub fn unhurt(&self) -> usize {
        self.receivers - usize::from(matches!(self.situation, Situation::Slow | Situation::Killed))
    }
}

/// Seconds for one copy over a link of this rate.
fn copy_s(archive_bytes: u64, mbit_per_s: f64) -> f64 {
    archive_bytes as f64 * 8.0 / (PAYLOAD_PART * mbit_per_s * 1e6)
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
    fn uplink_has_the_rate_of_a_host_by_default() {
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
    fn bound_is_one_copy_over_the_slowest_crossed_link() {
        let close = |rooms, expected: f64| {
            let found = only(rooms).bound_s(4 * MIB);
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        };
        let copy = |rate| copy_s(4 * MIB, rate);
        close(ROOMS, 4.0 * 1_048_576.0 * 8.0 / (0.956 * 25.0 * 1e6));
        close(Rooms { groups: 2, uplink_mbit: Some(100.0), ..ROOMS }, copy(25.0));
        close(Rooms { groups: 2, uplink_mbit: Some(5.0), ..ROOMS }, copy(5.0));
        let staggered = Rooms { situations: &[Situation::Staggered], ..ROOMS };
        close(staggered, 25.0 + copy(25.0));
        // The second group's first click comes after 15 seconds; later clicks find a copy in the group.
        close(Rooms { groups: 2, uplink_mbit: Some(5.0), ..staggered }, 25.0 + copy(25.0));
        close(Rooms { groups: 2, uplink_mbit: Some(1.0), ..staggered }, 15.0 + copy(1.0));
    }

    #[test]
    fn only_other_groups_wait_for_the_uplink() {
        let slow = Rooms { situations: &[Situation::Slow], groups: 2, uplink_mbit: Some(10.0), ..ROOMS };
        let copy = |rate| copy_s(MIB, rate);
        let [near, far, last] = [copy(25.0), copy(10.0), copy(5.0)];
        assert_eq!(only(slow).earliest_s(MIB), [near, near, near, far, far, last]);
    }

    #[test]
    fn last_receiver_is_slowed_or_killed() {
        let of = |situation| only(Rooms { situations: &[situation], ..ROOMS });
        let slow = of(Situation::Slow);
        assert_eq!((slow.unhurt(), slow.links()[6].mbit_per_s), (5, Some(5.0)));
        assert_eq!(of(Situation::Killed).plan(MIB).victim, Some(5));
        assert_eq!((of(Situation::Liar).links().len(), of(Situation::Mass).links().len()), (8, 7));
    }
}
