//! `link` and `cpu`: one source, one receiver. Measures how much of the link is used, and what a gigabyte costs at
//! both ends.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::contenders::competitors::iperf3;
use crate::contenders::contender::{Click, Contender, Room};
use crate::contenders::{Choice, Others};
use crate::figures::{Report, Spread, Table, cell, say};
use crate::game::{Game, Scratch};
use crate::lab::{Kernel, Lab, Link};
use crate::machine::Machine;
use crate::process::Usage;
use crate::race::{self, Outcome, Plan};

const GB: f64 = 1e9;
const LIMIT: Duration = Duration::from_secs(600);
const IPERF3: &str = "iperf3";

/// Options of `link` and `cpu`.
#[derive(Debug, Args)]
pub struct Options {
    /// Size of the file, in MiB
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// Rates of the link in Mbit/s, comma-separated; 0 is unshaped. Default: 0 and 1000 for `link`, 0 for `cpu`
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// Longest queue in front of a link, in milliseconds at its rate
    #[arg(long, default_value_t = 50)]
    queue_ms: u32,
    #[command(flatten)]
    kernel: Kernel,
    /// Runs of each contender at each rate
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Contenders, comma-separated. Default: lanspread, copy, http and scp for `link`, lanspread and quic for `cpu`
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Vec<Choice>,
    #[command(flatten)]
    others: Others,
    /// Keep files on the disk of the temporary folder instead of in memory, so that the disk is measured too
    #[arg(long)]
    on_disk: bool,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Record {
    bench: &'static str,
    contender: &'static str,
    run: u32,
    bytes: u64,
    /// 0 means unshaped.
    rate_mbit_per_s: f64,
    on_disk: bool,
    load_before: f64,
    seconds: f64,
    mbyte_per_s: f64,
    sender_cpu_s_per_gb: f64,
    receiver_cpu_s_per_gb: f64,
    sender_peak_rss_mib: f64,
    receiver_peak_rss_mib: f64,
    verified: bool,
    remarks: Vec<serde_json::Value>,
}

/// Runs plain TCP, lanspread, a bare copy, HTTP and scp on the same path in turn.
pub fn run_link(options: &Options) -> Result<()> {
    run(options, "link", &[0.0, 1000.0], &[Choice::Lanspread, Choice::Copy, Choice::Http, Choice::Scp])
}

/// Runs lanspread and QUIC in turn.
pub fn run_cpu(options: &Options) -> Result<()> {
    run(options, "cpu", &[0.0], &[Choice::Lanspread, Choice::Quic])
}

fn or<'a, T>(given: &'a [T], default: &'a [T]) -> &'a [T] {
    if given.is_empty() { default } else { given }
}

fn run(options: &Options, bench: &'static str, rates: &[f64], choices: &[Choice]) -> Result<()> {
    let contenders = options.others.contenders(or(&options.with, choices), Click::Download)?;
    let scratch = if options.on_disk { Scratch::on_disk()? } else { Scratch::new()? };
    let game = Game::write(&scratch.fresh("source")?, options.mib << 20, options.others.seed)?;
    let mut report = Report::begin(options.json.as_deref())?;
    if let Some(reason) = iperf3::unavailable() {
        say(&format!("skipped  {IPERF3}: {reason}"));
    }
    let mut records = Vec::new();
    for &rate in or(&options.rates, rates) {
        for run in 1..=options.runs {
            let heat = Heat { options, bench, rate, run, scratch: &scratch, game: &game };
            let plain = iperf3::unavailable().is_none().then(|| heat.plain_tcp());
            let others = contenders.iter().map(|contender| heat.carry(contender.as_ref()));
            for record in plain.into_iter().chain(others) {
                match record {
                    Ok(record) => {
                        say(&line(&record));
                        report.record(&record)?;
                        records.push(record);
                    }
                    Err(error) => say(&format!("{rate} {run}: FAILED: {error:#}")),
                }
            }
        }
    }
    say(&format!("\n{}", table(&records, or(&options.rates, rates))));
    Ok(())
}

/// One round of the benchmark, in which each contender runs once.
struct Heat<'a> {
    options: &'a Options,
    bench: &'static str,
    rate: f64,
    run: u32,
    scratch: &'a Scratch,
    game: &'a Game,
}

impl Heat<'_> {
    fn lab(&self) -> Result<Lab> {
        let mbit_per_s = (self.rate > 0.0).then_some(self.rate);
        Lab::new(&[Link { mbit_per_s, queue_ms: self.options.queue_ms }; 2], &self.options.kernel)
    }

    fn carry(&self, contender: &dyn Contender) -> Result<Record> {
        let lab = self.lab()?;
        let room = Room { lab: &lab, scratch: self.scratch, game: self.game, receivers: 1, liar: false };
        let mut party = contender.prepare(&room)?;
        room.scratch.warm(room.game.archive_bytes)?;
        let load = Machine::load();
        let plan = Plan { clicks: vec![Duration::ZERO], victim: None, limit: LIMIT };
        let outcome = race::run(party.as_mut(), &room, &plan)?;
        let Outcome { start, finished_s, usage, .. } = outcome;
        let seconds = finished_s.first().copied().flatten().unwrap_or(f64::NAN);
        let mut record = self.record(contender.name(), load, seconds, [usage[0], usage[1]]);
        record.remarks = party.remarks(start);
        Ok(record)
    }

    fn plain_tcp(&self) -> Result<Record> {
        let lab = self.lab()?;
        let load = Machine::load();
        let done = iperf3::run(&lab, self.game.archive_bytes)?;
        Ok(self.record(IPERF3, load, done.seconds, [done.sender, done.receiver]))
    }

    fn record(
        &self,
        contender: &'static str,
        load_before: f64,
        seconds: f64,
        [from, to]: [Usage; 2],
    ) -> Record {
        let bytes = self.game.archive_bytes as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Record {
            bench: self.bench,
            contender,
            run: self.run,
            bytes: self.game.archive_bytes,
            rate_mbit_per_s: self.rate,
            on_disk: self.options.on_disk,
            load_before,
            seconds,
            mbyte_per_s: bytes / 1e6 / seconds,
            sender_cpu_s_per_gb: from.cpu_s / (bytes / GB),
            receiver_cpu_s_per_gb: to.cpu_s / (bytes / GB),
            sender_peak_rss_mib: mib(from.peak_rss_bytes),
            receiver_peak_rss_mib: mib(to.peak_rss_bytes),
            verified: contender != IPERF3,
            remarks: Vec::new(),
        }
    }
}

fn line(record: &Record) -> String {
    format!(
        "{} Mbit/s {} {}: {:.2} s, {:.0} MB/s, CPU {:.2} + {:.2} s/GB, load {:.1}",
        record.rate_mbit_per_s,
        record.run,
        record.contender,
        record.seconds,
        record.mbyte_per_s,
        record.sender_cpu_s_per_gb,
        record.receiver_cpu_s_per_gb,
        record.load_before
    )
}

fn table(records: &[Record], rates: &[f64]) -> Table {
    let mut table = Table::new(&[
        "link, Mbit/s",
        "contender",
        "runs",
        "MB/s",
        "of plain TCP",
        "CPU s/GB, sender",
        "receiver",
        "peak RSS MiB, sender",
        "receiver",
    ]);
    let mut names: Vec<&str> = Vec::new();
    for record in records {
        if !names.contains(&record.contender) {
            names.push(record.contender);
        }
    }
    for &rate in rates {
        let at = |name: &str| -> Vec<&Record> {
            records.iter().filter(|r| r.rate_mbit_per_s == rate && r.contender == name).collect()
        };
        let plain = Spread::of(at(IPERF3).iter().map(|r| r.mbyte_per_s));
        for &name in names.iter().filter(|name| !at(name).is_empty()) {
            let of = at(name);
            let part = plain.zip(Spread::of(of.iter().map(|r| r.mbyte_per_s)));
            table.row(vec![
                if rate > 0.0 { rate.to_string() } else { "unshaped".to_owned() },
                name.to_owned(),
                of.len().to_string(),
                cell(of.iter().map(|r| r.mbyte_per_s), 0),
                part.map_or("-".to_owned(), |(plain, own)| {
                    format!("{:.0} %", 100.0 * own.median / plain.median)
                }),
                cell(of.iter().map(|r| r.sender_cpu_s_per_gb), 2),
                cell(of.iter().map(|r| r.receiver_cpu_s_per_gb), 2),
                known(of.iter().map(|r| r.sender_peak_rss_mib)),
                known(of.iter().map(|r| r.receiver_peak_rss_mib)),
            ]);
        }
    }
    table
}

/// Returns a table cell for peak memory use. Leaves out zeros, which stand for peaks that were not measured.
fn known(values: impl Iterator<Item = f64>) -> String {
    cell(values.filter(|mib| *mib > 0.0), 0)
}
