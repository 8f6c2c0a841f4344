//! One timed run: the clicks at their times, the ends as they come, what it cost.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::contender::{Party, Room};
use crate::process::{POLL, Process};

/// When who starts, and who dies.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From the start of the clock to each receiver's click.
    pub clicks: Vec<Duration>,
    /// This receiver is killed when it has half of everything.
    pub victim: Option<usize>,
    /// After that long the run counts as failed.
    pub limit: Duration,
}

/// What a process used between the start and the end of the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    /// Over its whole life; 0 where it is unknown.
    pub peak_rss_bytes: u64,
}

/// How a run ended. Every output that counts was compared with what was sent.
#[derive(Debug)]
pub struct Outcome {
    /// Just before the first click.
    pub start: Instant,
    /// Seconds from the start of the clock to the end of each receiver; none for a victim.
    pub finished_s: Vec<Option<f64>>,
    pub victim_died_s: Option<f64>,
    /// Of the seed, then of everybody else.
    pub usage: Vec<Usage>,
    /// What the seed's shaper has sent.
    pub seed_sent_bytes: Option<u64>,
}

/// Runs a prepared party.
pub fn run(party: &mut dyn Party, room: &Room<'_>, plan: &Plan) -> Result<Outcome> {
    let seed = &room.lab.hosts[Room::SEED];
    let sent_before = seed.sent_bytes()?;
    let cpu_before: BTreeMap<u32, f64> =
        party.processes().iter().map(|p| (p.pid(), p.cpu_seconds())).collect();
    let start = Instant::now();
    let (finished_s, victim_died_s) = clock(party, room, plan, start)?;
    let usage = party.processes().iter().map(|process| usage(process, &cpu_before)).collect();
    let seed_sent_bytes = seed.sent_bytes()?.zip(sent_before).map(|(after, before)| after - before);
    check(party, room, &finished_s)?;
    Ok(Outcome { start, finished_s, victim_died_s, usage, seed_sent_bytes })
}

type Ends = (Vec<Option<f64>>, Option<f64>);

fn clock(party: &mut dyn Party, room: &Room<'_>, plan: &Plan, start: Instant) -> Result<Ends> {
    let mut finished = vec![None; room.receivers];
    let mut died = None;
    let mut started = 0;
    loop {
        let now = start.elapsed();
        while plan.clicks.get(started).is_some_and(|at| *at <= now) {
            party.start(started)?;
            started += 1;
        }
        for (receiver, end) in finished.iter_mut().enumerate() {
            if end.is_none() && receiver < started && !(died.is_some() && plan.victim == Some(receiver)) {
                let at = party.finished_at(receiver)?;
                *end = at.map(|at| at.saturating_duration_since(start).as_secs_f64());
            }
        }
        if let Some(victim) = plan.victim.filter(|_| died.is_none()) {
            if finished[victim].is_some() {
                bail!("the receiver that was to be killed at half of everything was done before");
            }
            if victim < started && party.received_bytes(victim) * 2 >= room.game.archive_bytes {
                party.kill(victim);
                died = Some(start.elapsed().as_secs_f64());
            }
        }
        let left = |(i, end): (usize, &Option<f64>)| end.is_none() && plan.victim != Some(i);
        if !finished.iter().enumerate().any(left) {
            return Ok((finished, died));
        }
        if start.elapsed() > plan.limit {
            bail!("not done after {:.0} s: {finished:?}", plan.limit.as_secs_f64());
        }
        thread::sleep(POLL);
    }
}

fn usage(process: &Process, before: &BTreeMap<u32, f64>) -> Usage {
    let cpu_s = process.cpu_seconds() - before.get(&process.pid()).copied().unwrap_or(0.0);
    Usage { cpu_s, peak_rss_bytes: process.peak_rss_bytes().unwrap_or(0) }
}

fn check(party: &dyn Party, room: &Room<'_>, finished: &[Option<f64>]) -> Result<()> {
    for receiver in (0..room.receivers).filter(|i| finished[*i].is_some()) {
        room.game.check(&party.output(receiver)).with_context(|| format!("receiver {receiver}"))?;
    }
    Ok(())
}
