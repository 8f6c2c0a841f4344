//! `swarm`: one seed, several receivers; lanspread and the best other programs, run after run in turn.
//!
//! | module | owns |
//! | --- | --- |
//! | `case` | the rooms to measure, and the shortest possible time in each |
//! | `heat` | one contender's turn in one room |
//! | `record` | the figures of a run |
//! | `table` | the output for people |

mod case;
mod heat;
mod record;
mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::contenders::contender::Click;
use crate::contenders::{Choice, Others};
use crate::figures::{Report, say};
use crate::game::{Game, Scratch};
use crate::lab::Kernel;
use case::Rooms;
use heat::Heat;
use table::Results;

/// Fraction of a link's bits that is payload: 1448 of the 1514 bytes that the shaper counts (MTU 1500, TCP with time
/// stamps).
pub const PAYLOAD_PART: f64 = 0.956;

/// An event or condition that makes the room harder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// All receivers click at once.
    Mass,
    /// A receiver clicks every five seconds.
    Staggered,
    /// The last receiver's link has a fifth of the rate.
    Slow,
    /// The last receiver is killed when it has half of everything.
    Killed,
    /// One more source has every chunk wrong.
    Liar,
}

/// Options of `swarm`.
#[derive(Debug, Args)]
pub struct Options {
    /// Peers that download, beside the seed; each of several comma-separated numbers is a room of its own
    #[arg(long, value_delimiter = ',', default_value = "6")]
    receivers: Vec<usize>,
    /// Size of the game, in MiB
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Rates of every link in each direction, in Mbit/s; each of several comma-separated rates is a room of its own
    #[arg(long, visible_alias = "rate", value_delimiter = ',', default_value = "100")]
    rates: Vec<f64>,
    /// Longest queues in front of a link, in milliseconds at its rate; each of several comma-separated times is a
    /// room of its own
    #[arg(long, value_delimiter = ',', default_value = "50")]
    queue_ms: Vec<u32>,
    /// Switches that the hosts are spread over, each with an uplink to the switch in the middle; 1 is a single switch
    #[arg(long, default_value_t = 1)]
    groups: usize,
    /// Rate of each uplink in each direction, in Mbit/s; by default that of a host
    #[arg(long)]
    uplink_mbit: Option<f64>,
    #[command(flatten)]
    kernel: Kernel,
    /// Runs of each contender in each room
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Situations, comma-separated; by default all
    #[arg(long, value_enum, value_delimiter = ',')]
    situations: Vec<Situation>,
    /// Contenders, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["lanspread", "aria2", "libtorrent", "http"])]
    with: Vec<Choice>,
    /// Let our receivers install the game while they download it, to measure when it can be played
    #[arg(long)]
    install: bool,
    #[command(flatten)]
    others: Others,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    fn rooms(&self) -> Rooms<'_> {
        Rooms {
            situations: if self.situations.is_empty() {
                Situation::value_variants()
            } else {
                &self.situations
            },
            receivers: &self.receivers,
            rates: &self.rates,
            queues_ms: &self.queue_ms,
            groups: self.groups,
            uplink_mbit: self.uplink_mbit,
        }
    }
}

/// Runs everything that was asked for. If runs failed, returns an error once all are done.
pub fn run(options: &Options) -> Result<()> {
    let cases = options.rooms().cases()?;
    let click = if options.install { Click::Install } else { Click::Download };
    let contenders = options.others.contenders(&options.with, click)?;
    let scratch = Scratch::new()?;
    let game = Game::write(&scratch.fresh("source")?, options.mib << 20, options.others.seed)?;
    let mut report = Report::begin(options.json.as_deref())?;
    let mut results = Results::default();
    for case in &cases {
        for run in 1..=options.runs {
            for contender in &contenders {
                let heat = Heat { kernel: &options.kernel, case, scratch: &scratch, game: &game, click };
                match heat.run(contender.as_ref(), run) {
                    Ok(Some(record)) => {
                        say(&table::line(&record));
                        report.record(&record)?;
                        results.add(record);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        say(&format!("{case} {run} {}: FAILED: {error:#}", contender.name()));
                        results.failed(case, contender.name());
                    }
                }
            }
        }
    }
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name()).collect();
    say(&format!("\n{}", results.table(&cases, &names)));
    let failures = results.failures();
    ensure!(failures == 0, "{failures} of {} runs failed", results.runs());
    Ok(())
}
