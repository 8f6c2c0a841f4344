//! `play`: time from the click until the game can be played, for one receiver or a whole room. Compares unpacking
//! during the download, unpacking after it, and a streamed install.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::commands::swarm::PAYLOAD_PART;
use crate::contenders::Others;
use crate::contenders::peer::Peer;
use crate::disk_use::{DiskUse, Peaks};
use crate::figures::{Report, Table, cell, say};
use crate::game::Scratch;
use crate::lab::{Kernel, Lab, Link};
use crate::machine::Machine;
use crate::packed::Packed;
use crate::process::POLL;

/// How the game gets from the room to where it is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Downloaded and unpacked at the same time; this is what a click does.
    Overlapped,
    /// Downloaded, then installed.
    After,
    /// Unpacked as it arrives, without keeping the archive.
    Streamed,
}

/// Options of `play`.
#[derive(Debug, Args)]
pub struct Options {
    /// Peers that download, beside the seed
    #[arg(long, default_value_t = 1)]
    receivers: usize,
    /// Size of the payload in MiB; the archive is about three quarters of it
    #[arg(long, default_value_t = 1536)]
    mib: u64,
    /// Pack without compression, with our own packer; needs no `rar`, and costs the unpackers less
    #[arg(long)]
    stored: bool,
    /// Rate of every link in Mbit/s; 0 measures first how fast one peer unpacks on this machine, and takes that
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Longest queue in front of a link, in milliseconds at its rate
    #[arg(long, default_value_t = 50)]
    queue_ms: u32,
    #[command(flatten)]
    kernel: Kernel,
    /// Runs of each mode
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Modes, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["overlapped", "after", "streamed"])]
    modes: Vec<Mode>,
    #[command(flatten)]
    others: Others,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Record {
    bench: &'static str,
    mode: Mode,
    run: u32,
    receivers: usize,
    archive_bytes: u64,
    payload_bytes: u64,
    rate_mbit_per_s: f64,
    load_before: f64,
    /// Time of one copy of the archive at line rate.
    bound_s: f64,
    /// When the last receiver's archive was complete; `None` if no archive is kept.
    downloaded_s: Option<f64>,
    /// When the last receiver could play.
    playable_s: f64,
    over_bound: f64,
    /// Longest time from a receiver's complete download to its complete install.
    after_download_s: Option<f64>,
    cpu_s: f64,
    /// Most bytes on the first receiver's disk.
    peak_bytes: u64,
    /// Most bytes in its window.
    peak_window_bytes: u64,
    verified: bool,
}

/// Runs the benchmark and prints its table.
pub fn run(options: &Options) -> Result<()> {
    let program = options.others.our_program()?;
    let scratch = Scratch::new()?;
    let game = Packed::make(&scratch, options.mib << 20, options.others.seed, options.stored)?;
    say(&format!(
        "archive {} bytes, unpacked {} bytes in {} files",
        game.archive_bytes,
        game.payload_bytes(),
        game.payload.len()
    ));
    let rate = match options.rate {
        0.0 => as_fast_as_unpacking(options, &program, &scratch, &game)?,
        rate => rate,
    };
    let mut report = Report::begin(options.json.as_deref())?;
    let mut records = Vec::new();
    for run in 1..=options.runs {
        for &mode in &options.modes {
            let link = Link { mbit_per_s: Some(rate), queue_ms: options.queue_ms };
            match (Heat { options, program: &program, scratch: &scratch, game: &game, link, mode, run }).run()
            {
                Ok(record) => {
                    say(&line(&record));
                    report.record(&record)?;
                    records.push(record);
                }
                Err(error) => say(&format!("{mode:?} {run}: FAILED: {error:#}")),
            }
        }
    }
    say(&format!("\n{}", table(&records, &options.modes)));
    Ok(())
}

/// Measures the rate at which one peer alone unpacks the archive, as the Mbit/s of a link.
fn as_fast_as_unpacking(options: &Options, program: &Path, scratch: &Scratch, game: &Packed) -> Result<f64> {
    let link = Link { mbit_per_s: None, queue_ms: options.queue_ms };
    let heat = Heat { options, program, scratch, game, link, mode: Mode::After, run: 0 };
    let record = heat.run().context("measuring how fast an archive is unpacked")?;
    let unpacking = record.after_download_s.context("nothing was unpacked")?;
    let rate = game.archive_bytes as f64 * 8.0 / unpacking / 1e6 / PAYLOAD_PART;
    say(&format!("unpacking alone: {unpacking:.2} s; the links get {rate:.0} Mbit/s"));
    Ok(rate.round())
}

/// One run of one mode.
struct Heat<'a> {
    options: &'a Options,
    program: &'a Path,
    scratch: &'a Scratch,
    game: &'a Packed,
    link: Link,
    mode: Mode,
    run: u32,
}

impl Heat<'_> {
    fn run(&self) -> Result<Record> {
        let receivers = if self.run == 0 { 1 } else { self.options.receivers };
        let lab = Lab::new(&vec![self.link; 1 + receivers], &self.options.kernel)?;
        let mut peers = self.prepare(&lab, receivers)?;
        self.scratch.warm((self.game.archive_bytes + self.game.payload_bytes()) * receivers as u64)?;
        let load_before = Machine::load();
        let disk = DiskUse::watch(peers[1].library().to_path_buf());
        let cpu_before: f64 = peers.iter().map(|peer| peer.process.cpu_seconds()).sum();
        let start = Instant::now();
        self.play(&mut peers[1..], start)?;
        let cpu_s = peers.iter().map(|peer| peer.process.cpu_seconds()).sum::<f64>() - cpu_before;
        let peaks = disk.end()?;
        for peer in &peers[1..] {
            self.game.check(&peer.game_folder().join("local")).context(peer.process.name.clone())?;
        }
        Ok(self.record(&peers[1..], start, load_before, cpu_s, peaks))
    }

    /// Starts seed and receivers, connects them, and waits until the game is offered.
    fn prepare(&self, lab: &Lab, receivers: usize) -> Result<Vec<Peer>> {
        let seed_folder = self.scratch.fresh("seed")?;
        self.game.place(&seed_folder.join("games"))?;
        let mut seed = Peer::start(self.program, &lab.hosts[0], "seed", &seed_folder)?;
        seed.wait_game("Ready", 0)?;
        let mut peers = vec![seed];
        for receiver in 0..receivers {
            let name = format!("receiver{receiver}");
            let folder = self.scratch.fresh(&name)?;
            std::fs::create_dir_all(folder.join("games"))?;
            peers.push(Peer::start(self.program, &lab.hosts[receiver + 1], &name, &folder)?);
        }
        crate::contenders::ours::connect_all(&mut peers)?;
        peers[1..].iter_mut().try_for_each(|peer| peer.wait_game("Remote", 1))?;
        Ok(peers)
    }

    /// Clicks at all receivers and waits until all can play.
    fn play(&self, receivers: &mut [Peer], start: Instant) -> Result<()> {
        for peer in receivers.iter_mut() {
            match self.mode {
                Mode::Overlapped => peer.download_and_install()?,
                Mode::After => peer.download()?,
                Mode::Streamed => peer.stream_install()?,
            }
        }
        let slowest = self.link.mbit_per_s.unwrap_or(1000.0);
        let copies = receivers.len() as f64 + 1.0;
        let limit = 4.0 * copies * self.game.archive_bytes as f64 * 8.0 / slowest / 1e6 + 120.0;
        let mut asked = vec![self.mode != Mode::After; receivers.len()];
        while receivers.iter().any(|peer| peer.installed.is_none()) {
            for (peer, asked) in receivers.iter_mut().zip(&mut asked) {
                peer.listen()?;
                if !*asked && peer.finished.is_some() {
                    *asked = true;
                    peer.install()?;
                }
            }
            if start.elapsed() > Duration::from_secs_f64(limit) {
                bail!("not done after {limit:.0} s");
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn record(&self, peers: &[Peer], start: Instant, load_before: f64, cpu_s: f64, peaks: Peaks) -> Record {
        let seconds = |at: Instant| at.saturating_duration_since(start).as_secs_f64();
        let latest = |at: fn(&Peer) -> Option<Instant>| {
            peers
                .iter()
                .filter_map(at)
                .map(seconds)
                .fold(None, |most: Option<f64>, s| Some(most.map_or(s, |m| m.max(s))))
        };
        let rate = self.link.mbit_per_s.unwrap_or(0.0);
        let bound_s = self.game.archive_bytes as f64 * 8.0 / (PAYLOAD_PART * rate * 1e6);
        let playable_s = latest(|peer| peer.installed).unwrap_or(f64::NAN);
        let tail =
            |peer: &Peer| Some(peer.installed?.saturating_duration_since(peer.finished?).as_secs_f64());
        Record {
            bench: "play",
            mode: self.mode,
            run: self.run,
            receivers: peers.len(),
            archive_bytes: self.game.archive_bytes,
            payload_bytes: self.game.payload_bytes(),
            rate_mbit_per_s: rate,
            load_before,
            bound_s,
            downloaded_s: latest(|peer| peer.finished),
            playable_s,
            over_bound: playable_s / bound_s,
            after_download_s: peers
                .iter()
                .filter_map(tail)
                .fold(None, |most: Option<f64>, s| Some(most.map_or(s, |m| m.max(s)))),
            cpu_s,
            peak_bytes: peaks.all,
            peak_window_bytes: peaks.window,
            verified: true,
        }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn line(r: &Record) -> String {
    format!(
        "{:?} {}: playable after {:.2} s = {:.3} x bound, downloaded {}, {} after the download, CPU {:.1} s, disk at most {:.0} MiB (window {:.1}), load {:.1}",
        r.mode,
        r.run,
        r.playable_s,
        r.over_bound,
        r.downloaded_s.map_or("-".to_owned(), |s| format!("{s:.2} s")),
        r.after_download_s.map_or("-".to_owned(), |s| format!("{s:.2} s")),
        r.cpu_s,
        mib(r.peak_bytes),
        mib(r.peak_window_bytes),
        r.load_before
    )
}

fn table(records: &[Record], modes: &[Mode]) -> Table {
    let mut table = Table::new(&[
        "way",
        "runs",
        "playable, s",
        "playable / bound",
        "downloaded, s",
        "install after it, s",
        "CPU, s",
        "disk at most, MiB",
        "window at most, MiB",
    ]);
    for &mode in modes {
        let of: Vec<&Record> = records.iter().filter(|r| r.mode == mode).collect();
        if of.is_empty() {
            continue;
        }
        table.row(vec![
            format!("{mode:?}").to_lowercase(),
            of.len().to_string(),
            cell(of.iter().map(|r| r.playable_s), 2),
            cell(of.iter().map(|r| r.over_bound), 3),
            cell(of.iter().filter_map(|r| r.downloaded_s), 2),
            cell(of.iter().filter_map(|r| r.after_download_s), 2),
            cell(of.iter().map(|r| r.cpu_s), 1),
            cell(of.iter().map(|r| mib(r.peak_bytes)), 0),
            cell(of.iter().map(|r| mib(r.peak_window_bytes)), 1),
        ]);
    }
    table
}
