//! `swarm`: one seed, several receivers, links of one speed; ours and the best others, run after run in turn.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::contender::{Contender, Party, Room};
use crate::contenders::{Choice, Others};
use crate::figures::{Report, Table, cell, say};
use crate::game::{Game, Scratch};
use crate::lab::{Kernel, Lab, Link};
use crate::machine::Machine;
use crate::race::{self, Outcome, Plan};

/// Part of a link's bits that are payload: 1448 of each 1514 bytes that the shaper counts (MTU 1500, TCP with time stamps).
pub const PAYLOAD_PART: f64 = 0.956;
/// A staggered start: seconds between two clicks.
const STAGGER: Duration = Duration::from_secs(5);
/// The slow peer's part of the rate.
const SLOW_PART: f64 = 0.2;

/// What is done to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// All click at once.
    Mass,
    /// One clicks every five seconds.
    Staggered,
    /// The last receiver's link has a fifth of the rate.
    Slow,
    /// The last receiver is killed when it has half of everything.
    Killed,
    /// One more source has every chunk wrong.
    Liar,
}

#[derive(Debug, Args)]
pub struct Options {
    /// Peers that fetch, beside the seed
    #[arg(long, default_value_t = 6)]
    receivers: usize,
    /// Size of the game
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Rate of every link in each direction, in Mbit/s
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How much may wait in front of a link, in milliseconds at its rate
    #[arg(long, default_value_t = 50)]
    queue_ms: u32,
    #[command(flatten)]
    kernel: Kernel,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Situations, comma-separated; all without it
    #[arg(long, value_enum, value_delimiter = ',')]
    situations: Vec<Situation>,
    /// Contenders, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["lanspread", "aria2", "libtorrent", "http"])]
    with: Vec<Choice>,
    #[command(flatten)]
    others: Others,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Record {
    bench: &'static str,
    contender: &'static str,
    situation: Situation,
    run: u32,
    receivers: usize,
    bytes: u64,
    rate_mbit_per_s: f64,
    load_before: f64,
    /// How long the last of the unhurt receivers must take at least.
    bound_s: f64,
    /// How long it took; seconds from the first click.
    last_s: f64,
    over_bound: f64,
    /// Each receiver, from the first click.
    finished_s: Vec<Option<f64>>,
    /// The slow receiver's time against its own bound.
    slow_over_bound: Option<f64>,
    victim_died_s: Option<f64>,
    /// Copies that the seed sent, by what receivers state of verified payload.
    seed_copies_stated: Option<f64>,
    /// By what its link carried, everything included.
    seed_copies_wire: f64,
    cpu_s: f64,
    seed_cpu_s: f64,
    verified: bool,
    remarks: Vec<Value>,
}

/// Runs everything that was asked for.
pub fn run(options: &Options) -> Result<()> {
    let contenders = options.others.contenders(&options.with)?;
    let scratch = Scratch::new()?;
    let game = Game::write(&scratch.fresh("source")?, options.mib << 20, options.others.seed)?;
    let mut report = Report::begin(options.json.as_deref())?;
    let situations = match options.situations.as_slice() {
        [] => Situation::value_variants(),
        some => some,
    };
    let mut records = Vec::new();
    for &situation in situations {
        for run in 1..=options.runs {
            for contender in &contenders {
                let heat = Heat { options, situation, scratch: &scratch, game: &game };
                match heat.run(contender.as_ref(), run) {
                    Ok(Some(record)) => {
                        say(&line(&record));
                        report.record(&record)?;
                        records.push(record);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        say(&format!("{situation:?} {run} {}: FAILED: {error:#}", contender.name()));
                    }
                }
            }
        }
    }
    say(&format!("\n{}", table(&records, situations, &contenders)));
    Ok(())
}

/// One contender's turn.
struct Heat<'a> {
    options: &'a Options,
    situation: Situation,
    scratch: &'a Scratch,
    game: &'a Game,
}

impl Heat<'_> {
    fn run(&self, contender: &dyn Contender, run: u32) -> Result<Option<Record>> {
        let liar = self.situation == Situation::Liar;
        if let Some(reason) = contender.unsuited(liar) {
            if run == 1 {
                say(&format!("{:?}: {} is left out: {reason}", self.situation, contender.name()));
            }
            return Ok(None);
        }
        let lab = Lab::new(&self.links(), &self.options.kernel)?;
        let room = Room {
            lab: &lab,
            scratch: self.scratch,
            game: self.game,
            receivers: self.options.receivers,
            liar,
        };
        let mut party = contender.prepare(&room)?;
        room.scratch.warm(room.game.archive_bytes * room.receivers as u64)?;
        let load_before = Machine::load();
        let outcome = race::run(party.as_mut(), &room, &self.plan())?;
        Ok(Some(self.record(contender.name(), run, load_before, party.as_ref(), &outcome)))
    }

    /// Seed, receivers, then the liar if there is one.
    fn links(&self) -> Vec<Link> {
        let link = Link { mbit_per_s: Some(self.options.rate), queue_ms: self.options.queue_ms };
        let mut links = vec![link; 1 + self.options.receivers];
        match self.situation {
            Situation::Slow => links[self.options.receivers] = link.slowed(SLOW_PART),
            Situation::Liar => links.push(link),
            Situation::Mass | Situation::Staggered | Situation::Killed => {}
        }
        links
    }

    fn plan(&self) -> Plan {
        let receivers = self.options.receivers;
        let step = if self.situation == Situation::Staggered { STAGGER } else { Duration::ZERO };
        let copies = receivers as f64 / if self.situation == Situation::Slow { SLOW_PART } else { 1.0 };
        Plan {
            clicks: (0..receivers as u32).map(|i| step * i).collect(),
            victim: (self.situation == Situation::Killed).then(|| receivers - 1),
            limit: Duration::from_secs_f64(2.0 * copies * self.one_copy_s() + 60.0),
        }
    }

    /// One copy over one link.
    fn one_copy_s(&self) -> f64 {
        self.game.archive_bytes as f64 * 8.0 / (PAYLOAD_PART * self.options.rate * 1e6)
    }

    /// The receivers that nothing is done to.
    fn unhurt(&self) -> usize {
        let hurt = matches!(self.situation, Situation::Slow | Situation::Killed);
        self.options.receivers - usize::from(hurt)
    }

    fn bound_s(&self) -> f64 {
        let last_click = self.plan().clicks.last().copied().unwrap_or_default();
        last_click.as_secs_f64() + self.one_copy_s()
    }

    fn record(
        &self,
        contender: &'static str,
        run: u32,
        load: f64,
        party: &dyn Party,
        outcome: &Outcome,
    ) -> Record {
        let bytes = self.game.archive_bytes as f64;
        let last_s = outcome.finished_s[..self.unhurt()].iter().flatten().copied().fold(0.0, f64::max);
        let slow = (self.situation == Situation::Slow)
            .then(|| outcome.finished_s.last().copied().flatten())
            .flatten();
        let sent = outcome.seed_sent_bytes.unwrap_or(0) as f64;
        Record {
            bench: "swarm",
            contender,
            situation: self.situation,
            run,
            receivers: self.options.receivers,
            bytes: self.game.archive_bytes,
            rate_mbit_per_s: self.options.rate,
            load_before: load,
            bound_s: self.bound_s(),
            last_s,
            over_bound: last_s / self.bound_s(),
            finished_s: outcome.finished_s.clone(),
            slow_over_bound: slow.map(|s| s * SLOW_PART / self.one_copy_s()),
            victim_died_s: outcome.victim_died_s,
            seed_copies_stated: party.stated_seed_bytes().map(|stated| stated as f64 / bytes),
            seed_copies_wire: sent * PAYLOAD_PART / bytes,
            cpu_s: outcome.usage.iter().map(|usage| usage.cpu_s).sum(),
            seed_cpu_s: outcome.usage.first().map_or(0.0, |usage| usage.cpu_s),
            verified: true,
            remarks: party.remarks(outcome.start),
        }
    }
}

fn line(record: &Record) -> String {
    let times: Vec<String> =
        record.finished_s.iter().map(|s| s.map_or("-".to_owned(), |s| format!("{s:.2}"))).collect();
    format!(
        "{:?} {} {}: {:.2} s = {:.3} x bound, seed {:.3} copies, CPU {:.1} s, load {:.1}; each: {}",
        record.situation,
        record.run,
        record.contender,
        record.last_s,
        record.over_bound,
        record.seed_copies_wire,
        record.cpu_s,
        record.load_before,
        times.join(" ")
    )
}

fn table(records: &[Record], situations: &[Situation], contenders: &[Box<dyn Contender>]) -> Table {
    let mut table = Table::new(&[
        "situation",
        "contender",
        "runs",
        "last / bound",
        "last, s",
        "seed's copies (wire)",
        "(stated)",
        "CPU, s",
        "slow / its bound",
    ]);
    for &situation in situations {
        for contender in contenders {
            let of: Vec<&Record> = records
                .iter()
                .filter(|r| r.situation == situation && r.contender == contender.name())
                .collect();
            if of.is_empty() {
                continue;
            }
            table.row(vec![
                format!("{situation:?}").to_lowercase(),
                contender.name().to_owned(),
                of.len().to_string(),
                cell(of.iter().map(|r| r.over_bound), 3),
                cell(of.iter().map(|r| r.last_s), 2),
                cell(of.iter().map(|r| r.seed_copies_wire), 3),
                cell(of.iter().filter_map(|r| r.seed_copies_stated), 3),
                cell(of.iter().map(|r| r.cpu_s), 1),
                cell(of.iter().filter_map(|r| r.slow_over_bound), 2),
            ]);
        }
    }
    table
}
