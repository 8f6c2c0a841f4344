//! One timed run of a prepared party: clicks at their times, the ends of the receivers, and the cost.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::contenders::contender::{Party, Room, Sent};
use crate::lab::Crossed;
use crate::process::{POLL, Process, Usage};

/// Times of the clicks, and which receiver is killed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Time from the start of the clock to each receiver's click.
    pub clicks: Vec<Duration>,
    /// Receiver that is killed once it has half of everything.
    pub victim: Option<usize>,
    /// Time after which the run counts as failed.
    pub limit: Duration,
}

/// Result of a run. Every complete output was compared with the original.
#[derive(Debug)]
pub struct Outcome {
    /// Moment just before the first click.
    pub start: Instant,
    /// Seconds from the start of the clock to the end of each receiver; `None` for a victim.
    pub finished_s: Vec<Option<f64>>,
    /// Seconds from the start of the clock until each receiver had the game installed; `None` without an install.
    pub playable_s: Vec<Option<f64>>,
    /// Seconds from the start of the clock until the victim was killed.
    pub victim_died_s: Option<f64>,
    /// Usage of the seed, then of the other processes.
    pub usage: Vec<Usage>,
    /// Bytes that the seed's shaper has sent; `None` if its link is not shaped.
    pub seed_sent_bytes: Option<u64>,
    /// Bytes that crossed the uplink of each group.
    pub crossed: Vec<Crossed>,
    /// Messages that each process has sent during the run, without chunks.
    pub sent: Vec<Option<Sent>>,
}

/// Runs a prepared party and checks what arrived. Fails if a receiver fails or the limit passes.
pub fn run(party: &mut dyn Party, room: &Room<'_>, plan: &Plan) -> Result<Outcome> {
    let seed = &room.lab.hosts[Room::SEED];
    let said_before = party.sent()?;
    let sent_before = seed.sent_bytes()?;
    let crossed_before = room.lab.uplinks()?;
    let cpu_before: BTreeMap<u32, f64> =
        party.processes().iter().map(|p| (p.pid(), p.cpu_seconds())).collect();
    let start = Instant::now();
    let Ends { finished_s, playable_s, victim_died_s } = clock(party, room, plan, start)?;
    let usage = party.processes().iter().map(|process| usage(process, &cpu_before)).collect();
    let seed_sent_bytes = seed.sent_bytes()?.zip(sent_before).map(|(after, before)| after - before);
    let crossed = since(&crossed_before, room.lab.uplinks()?, |after, before| Crossed {
        out_bytes: after.out_bytes - before.out_bytes,
        in_bytes: after.in_bytes - before.in_bytes,
    });
    let sent = since(&said_before, party.sent()?, |after, before| {
        let (after, before) = after.zip(before)?;
        Some(Sent { messages: after.messages - before.messages, requests: after.requests - before.requests })
    });
    check(party, room, &finished_s)?;
    Ok(Outcome { start, finished_s, playable_s, victim_died_s, usage, seed_sent_bytes, crossed, sent })
}

/// Returns the difference between two readings of the same counters.
fn since<T: Copy>(before: &[T], after: Vec<T>, difference: impl Fn(T, T) -> T) -> Vec<T> {
    after.into_iter().zip(before).map(|(after, before)| difference(after, *before)).collect()
}

/// Ends that were seen while the clock ran.
struct Ends {
    finished_s: Vec<Option<f64>>,
    playable_s: Vec<Option<f64>>,
    victim_died_s: Option<f64>,
}

impl Ends {
    /// Records a receiver's progress. Returns whether there is more to wait for.
    fn look_at(&mut self, party: &mut dyn Party, receiver: usize, start: Instant) -> Result<bool> {
        let seconds = |at: Instant| at.saturating_duration_since(start).as_secs_f64();
        if self.finished_s[receiver].is_none() {
            self.finished_s[receiver] = party.finished_at(receiver)?.map(seconds);
        }
        if party.installs() && self.playable_s[receiver].is_none() {
            self.playable_s[receiver] = party.playable_at(receiver)?.map(seconds);
        }
        Ok(self.finished_s[receiver].is_none() || (party.installs() && self.playable_s[receiver].is_none()))
    }
}

fn clock(party: &mut dyn Party, room: &Room<'_>, plan: &Plan, start: Instant) -> Result<Ends> {
    let nobody = vec![None; room.receivers];
    let mut ends = Ends { finished_s: nobody.clone(), playable_s: nobody, victim_died_s: None };
    let mut started = 0;
    loop {
        let now = start.elapsed();
        while plan.clicks.get(started).is_some_and(|at| *at <= now) {
            party.start(started)?;
            started += 1;
        }
        let mut waiting = started < room.receivers;
        for receiver in 0..started {
            let dead = ends.victim_died_s.is_some() && plan.victim == Some(receiver);
            if !dead {
                waiting |= ends.look_at(party, receiver, start)? && plan.victim != Some(receiver);
            }
        }
        if let Some(victim) = plan.victim.filter(|_| ends.victim_died_s.is_none()) {
            if ends.finished_s[victim].is_some() {
                bail!("the receiver that was to be killed at half of everything was done before");
            }
            if victim < started && party.received_bytes(victim) * 2 >= room.game.archive_bytes {
                party.kill(victim);
                ends.victim_died_s = Some(start.elapsed().as_secs_f64());
            }
        }
        if !waiting {
            return Ok(ends);
        }
        if start.elapsed() > plan.limit {
            let missing = ends.finished_s.iter().filter(|end| end.is_none()).count();
            bail!(
                "{missing} of {} receivers not done after {:.0} s: {:?}",
                room.receivers,
                plan.limit.as_secs_f64(),
                ends.finished_s
            );
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
        if let Some(folder) = party.installed(receiver) {
            room.game.check_installed(&folder).with_context(|| format!("receiver {receiver}"))?;
        }
    }
    Ok(())
}
