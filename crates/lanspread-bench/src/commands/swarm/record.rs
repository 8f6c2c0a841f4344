//! Figures of one run, as the JSON lines have them.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::case::Case;
use super::{PAYLOAD_PART, Situation};
use crate::contenders::contender::Sent;
use crate::figures::percentile;
use crate::race::Outcome;

/// One run of one contender in one room.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Always `swarm`.
    pub bench: &'static str,
    /// Name of the contender.
    pub contender: &'static str,
    #[serde(flatten)]
    /// The room.
    pub case: Case,
    /// Number of the run, from 1.
    pub run: u32,
    /// Size of the archive.
    pub bytes: u64,
    /// Load of the machine before the run.
    pub load_before: f64,
    /// Shortest time in which the last unhurt receiver can be done.
    pub bound_s: f64,
    /// Time until the last unhurt receiver was done, in seconds from the first click.
    pub last_s: f64,
    /// Time until the unhurt receivers had the complete game.
    pub complete: Share,
    /// Time until they could play; `None` without `--install`.
    pub playable: Option<Share>,
    /// Time of each receiver, in seconds from the first click.
    pub finished_s: Vec<Option<f64>>,
    /// The same until each receiver could play.
    pub playable_s: Vec<Option<f64>>,
    /// Time of the slow receiver over its own bound.
    pub slow_over_bound: Option<f64>,
    /// Seconds until the victim was killed.
    pub victim_died_s: Option<f64>,
    /// Copies that the seed sent, counted by the receivers as verified payload.
    pub seed_copies_stated: Option<f64>,
    /// Copies that the seed sent, counted as bytes on its link, overhead included.
    pub seed_copies_wire: f64,
    /// Copies that crossed the uplink of each group, overhead included.
    pub uplinks: Vec<Uplink>,
    /// CPU seconds of all peers together.
    pub cpu_s: f64,
    /// CPU seconds of the seed.
    pub seed_cpu_s: f64,
    /// Messages and requests that the peers sent, without chunks; `None` for programs that do not count them.
    pub control: Option<Control>,
    /// Always true: a run with wrong bytes fails.
    pub verified: bool,
    /// Observations of the contender.
    pub remarks: Vec<Value>,
}

/// A time of the receivers as a multiple of its bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Time of the last receiver from the first click, over the room's bound.
    pub last_over_bound: f64,
    /// Half of the receivers took no longer than this, from their own click and as a multiple of their own bound.
    pub p50_over_bound: f64,
    /// The same for 99 of 100 receivers; for all of them if there are fewer than 100.
    pub p99_over_bound: f64,
}

/// Copies of the game that crossed a group's uplink.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Uplink {
    /// From the group to the middle.
    pub out_copies: f64,
    /// From the middle into the group.
    pub in_copies: f64,
}

/// Control traffic of the peers that report it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Control {
    /// Mean of the control messages.
    pub messages_per_peer: f64,
    /// Most control messages of one peer.
    pub messages_most: u64,
    /// Mean of the requests and cancellations.
    pub requests_per_peer: f64,
    /// Most requests and cancellations of one peer.
    pub requests_most: u64,
}

/// Conditions of a run.
#[derive(Debug)]
pub struct Turn {
    /// Name of the contender.
    pub contender: &'static str,
    /// The room.
    pub case: Case,
    /// Number of the run, from 1.
    pub run: u32,
    /// Size of the archive.
    pub bytes: u64,
    /// Load of the machine before the run.
    pub load_before: f64,
    /// Payload that the receivers report to have from the seed, in bytes.
    pub stated_seed_bytes: Option<u64>,
    /// Observations of the contender.
    pub remarks: Vec<Value>,
}

impl Record {
    /// Computes the figures; `None` if no unhurt receiver finished.
    pub fn new(turn: Turn, outcome: &Outcome) -> Option<Self> {
        let Turn { contender, case, run, bytes, load_before, stated_seed_bytes, remarks } = turn;
        let copies = |on_wire: u64| on_wire as f64 * PAYLOAD_PART / bytes as f64;
        let complete = Share::of(&case, bytes, &outcome.finished_s)?;
        let slow = || own_shares(&case, bytes, &outcome.finished_s).last().copied().flatten();
        let uplinks = outcome.crossed.iter();
        Some(Self {
            bench: "swarm",
            contender,
            case,
            run,
            bytes,
            load_before,
            bound_s: case.bound_s(bytes),
            last_s: complete.last_over_bound * case.bound_s(bytes),
            complete,
            playable: Share::of(&case, bytes, &outcome.playable_s),
            finished_s: outcome.finished_s.clone(),
            playable_s: outcome.playable_s.clone(),
            slow_over_bound: if case.situation == Situation::Slow { slow() } else { None },
            victim_died_s: outcome.victim_died_s,
            seed_copies_stated: stated_seed_bytes.map(|stated| stated as f64 / bytes as f64),
            seed_copies_wire: copies(outcome.seed_sent_bytes.unwrap_or(0)),
            uplinks: uplinks
                .map(|u| Uplink { out_copies: copies(u.out_bytes), in_copies: copies(u.in_bytes) })
                .collect(),
            cpu_s: outcome.usage.iter().map(|usage| usage.cpu_s).sum(),
            seed_cpu_s: outcome.usage.first().map_or(0.0, |usage| usage.cpu_s),
            control: Control::of(&outcome.sent),
            verified: true,
            remarks,
        })
    }
}

impl Share {
    /// Computes the shares of the unhurt receivers; `None` if no time is known.
    fn of(case: &Case, bytes: u64, times_s: &[Option<f64>]) -> Option<Self> {
        let last_s = times_s.iter().take(case.unhurt()).copied().flatten().reduce(f64::max)?;
        let shares = own_shares(case, bytes, times_s);
        let own = shares.into_iter().take(case.unhurt()).flatten();
        Some(Self {
            last_over_bound: last_s / case.bound_s(bytes),
            p50_over_bound: percentile(own.clone(), 50.0)?,
            p99_over_bound: percentile(own, 99.0)?,
        })
    }
}

/// Returns each receiver's time from its own click over its own bound.
fn own_shares(case: &Case, bytes: u64, times_s: &[Option<f64>]) -> Vec<Option<f64>> {
    let own = |((end, click), earliest): ((&Option<f64>, Duration), f64)| {
        let click = click.as_secs_f64();
        end.map(|end| (end - click) / (earliest - click))
    };
    times_s.iter().zip(case.clicks()).zip(case.earliest_s(bytes)).map(own).collect()
}

impl Control {
    fn of(sent: &[Option<Sent>]) -> Option<Self> {
        let told: Vec<&Sent> = sent.iter().flatten().collect();
        let mean = |sum: u64| sum as f64 / told.len() as f64;
        Some(Self {
            messages_most: told.iter().map(|sent| sent.messages).max()?,
            messages_per_peer: mean(told.iter().map(|sent| sent.messages).sum()),
            requests_most: told.iter().map(|sent| sent.requests).max()?,
            requests_per_peer: mean(told.iter().map(|sent| sent.requests).sum()),
        })
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::Instant;

    use super::*;
    use crate::commands::swarm::case::Rooms;
    use crate::commands::swarm::case::tests::ROOMS;
    use crate::lab::Crossed;

    const BYTES: u64 = 1 << 20;

    fn case(situation: Situation) -> Case {
        Rooms { situations: &[situation], receivers: &[4], groups: 2, ..ROOMS }.cases().unwrap()[0]
    }

    /// Record of a run in which the receivers took these multiples of their own bound, from their own click.
    pub fn record(situation: Situation, contender: &'static str, shares: [f64; 4]) -> Record {
        let case = case(situation);
        let times = case.clicks().into_iter().zip(case.earliest_s(BYTES)).zip(shares);
        let end = |((click, earliest), share): ((Duration, f64), f64)| {
            let click = click.as_secs_f64();
            Some(click + share * (earliest - click))
        };
        let finished_s = times.map(end).collect();
        let on_wire = |copies: f64| (copies * BYTES as f64 / PAYLOAD_PART) as u64;
        let outcome = Outcome {
            start: Instant::now(),
            finished_s,
            playable_s: vec![None; 4],
            victim_died_s: None,
            usage: Vec::new(),
            seed_sent_bytes: Some(on_wire(1.5)),
            crossed: [(1.0, 0.5), (0.25, 2.0)]
                .map(|(out, within)| Crossed { out_bytes: on_wire(out), in_bytes: on_wire(within) })
                .into(),
            sent: vec![
                Some(Sent { messages: 10, requests: 4 }),
                None,
                Some(Sent { messages: 20, requests: 0 }),
            ],
        };
        let turn = Turn {
            contender,
            case,
            run: 1,
            bytes: BYTES,
            load_before: 0.0,
            stated_seed_bytes: Some(BYTES),
            remarks: Vec::new(),
        };
        Record::new(turn, &outcome).unwrap()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
    }

    #[test]
    fn shares_cover_all_receivers_of_a_mass_start() {
        let Record { complete, playable, .. } = record(Situation::Mass, "x", [1.3, 1.1, 1.2, 1.4]);
        close(complete.last_over_bound, 1.4);
        close(complete.p50_over_bound, 1.2);
        close(complete.p99_over_bound, 1.4);
        assert_eq!(playable, None);
    }

    #[test]
    fn staggered_receiver_counts_from_its_own_click() {
        let complete = record(Situation::Staggered, "x", [3.0, 1.1, 1.2, 1.0]).complete;
        close(complete.p50_over_bound, 1.1);
        close(complete.p99_over_bound, 3.0);
        close(complete.last_over_bound, 1.0);
    }

    #[test]
    fn slow_receiver_has_its_own_figure() {
        let record = record(Situation::Slow, "x", [1.0, 1.2, 1.1, 1.3]);
        close(record.complete.p99_over_bound, 1.2);
        close(record.slow_over_bound.unwrap(), 1.3);
    }

    #[test]
    fn uplink_traffic_is_stated_in_copies() {
        let record = record(Situation::Mass, "x", [1.0; 4]);
        close(record.uplinks[0].out_copies, 1.0);
        close(record.uplinks[1].in_copies, 2.0);
        close(record.seed_copies_wire, 1.5);
    }

    #[test]
    fn control_covers_only_reporting_peers() {
        let control = record(Situation::Mass, "x", [1.0; 4]).control.unwrap();
        close(control.messages_per_peer, 15.0);
        close(control.requests_per_peer, 2.0);
        assert_eq!((control.messages_most, control.requests_most), (20, 4));
        assert_eq!(Control::of(&[None, None]), None);
    }
}
