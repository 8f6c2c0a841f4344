//! `files`: a game of many small files, compared with `tar` through a pipe.
//!
//! One source and one receiver share an unshaped link, and all files are in memory, so the time is that of the work
//! per file. The received files are compared with the originals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::contenders::Others;
use crate::contenders::peer::Peer;
use crate::figures::{Report, Spread, Table, cell, say};
use crate::game::{GAME_ID, SENTINEL, SENTINEL_TEXT, Scratch, hashes};
use crate::lab::{Kernel, Lab, Link};
use crate::machine::Machine;
use crate::process::wait_until;

const FILES_PER_FOLDER: u64 = 500;
const LIMIT: Duration = Duration::from_secs(600);
const TAR: &str = "tar through a pipe";

/// Options of `files`.
#[derive(Debug, Args)]
pub struct Options {
    /// Files in the game
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// Bytes in each file
    #[arg(long, default_value_t = 4096)]
    bytes: u64,
    /// Runs of each contender
    #[arg(long, default_value_t = 3)]
    runs: u32,
    #[command(flatten)]
    others: Others,
    #[command(flatten)]
    kernel: Kernel,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Record {
    bench: &'static str,
    contender: String,
    run: u32,
    files: u64,
    bytes: u64,
    load_before: f64,
    seconds: f64,
    /// CPU seconds; 0 for `tar`, whose processes are not measured.
    sender_cpu_s: f64,
    receiver_cpu_s: f64,
}

/// Runs the benchmark and prints its table.
pub fn run(options: &Options) -> Result<()> {
    let scratch = Scratch::new()?;
    let game = scratch.fresh("source")?.join(GAME_ID);
    write_game(&game, options)?;
    let mut report = Report::begin(options.json.as_deref())?;
    let programs = options.others.our_programs()?;
    let mut records = Vec::new();
    for run in 1..=options.runs {
        let begin = |contender: &str| Record {
            bench: "files",
            contender: contender.to_owned(),
            run,
            files: options.files,
            bytes: options.bytes,
            load_before: Machine::load(),
            seconds: 0.0,
            sender_cpu_s: 0.0,
            receiver_cpu_s: 0.0,
        };
        let mut done = vec![Record { seconds: tar(&game, &scratch.fresh("tar")?)?, ..begin(TAR) }];
        for (name, program) in &programs {
            done.push(fetch(program, &game, &scratch, &options.kernel, begin(name))?);
        }
        for record in done {
            say(&format!(
                "{run} {}: {:.2} s, CPU {:.2} + {:.2} s, load {:.1}",
                record.contender,
                record.seconds,
                record.sender_cpu_s,
                record.receiver_cpu_s,
                record.load_before
            ));
            report.record(&record)?;
            records.push(record);
        }
    }
    say(&format!("\n{}", table(&records)));
    Ok(())
}

/// Writes files of random bytes, 500 in each folder.
fn write_game(folder: &Path, options: &Options) -> Result<()> {
    let mut noise = blake3::Hasher::new().update(b"files").finalize_xof();
    let mut bytes = vec![0; usize::try_from(options.bytes)?];
    for at in 0..options.files {
        let below = folder.join(format!("folder{:04}", at / FILES_PER_FOLDER));
        if at % FILES_PER_FOLDER == 0 {
            fs::create_dir_all(&below)?;
        }
        noise.fill(&mut bytes);
        fs::write(below.join(format!("file{at:06}.dat")), &bytes)?;
    }
    Ok(fs::write(folder.join(SENTINEL), SENTINEL_TEXT)?)
}

/// Copies with `tar c | tar x` and returns the seconds that it took.
fn tar(from: &Path, to: &Path) -> Result<f64> {
    let start = Instant::now();
    let script = "tar c -C \"$1\" . | tar x -C \"$2\"";
    let ended = Command::new("sh").args(["-c", script, "sh"]).arg(from).arg(to).status().context("sh")?;
    ensure!(ended.success(), "tar failed");
    Ok(start.elapsed().as_secs_f64())
}

/// Measures from the click to `download-finished`.
fn fetch(
    program: &Path,
    game: &Path,
    scratch: &Scratch,
    kernel: &Kernel,
    mut record: Record,
) -> Result<Record> {
    let lab = Lab::new(&[Link { mbit_per_s: None, queue_ms: 50 }; 2], kernel)?;
    let (from, to) = (scratch.fresh("seed")?, scratch.fresh("receiver")?);
    fs::create_dir_all(from.join("games"))?;
    fs::create_dir_all(to.join("games"))?;
    // Hard links take no memory, and a library ignores a game folder that is a symbolic link.
    copy_linked(game, &from.join("games").join(GAME_ID))?;
    let mut seed = Peer::start(program, &lab.hosts[0], "seed", &from)?;
    seed.wait_game("Ready", 0)?;
    let mut receiver = Peer::start(program, &lab.hosts[1], "receiver", &to)?;
    receiver.connect(seed.addr())?;
    receiver.wait_game("Remote", 1)?;
    let before = [seed.process.cpu_seconds(), receiver.process.cpu_seconds()];
    let start = Instant::now();
    receiver.download()?;
    wait_until("the download ends", LIMIT, || {
        receiver.listen()?;
        Ok(receiver.finished.is_some())
    })?;
    let finished = receiver.finished.context("no download-finished event arrived")?;
    record.seconds = (finished - start).as_secs_f64();
    record.sender_cpu_s = seed.process.cpu_seconds() - before[0];
    record.receiver_cpu_s = receiver.process.cpu_seconds() - before[1];
    ensure!(hashes(&receiver.game_folder())? == hashes(game)?, "what arrived is not what was sent");
    receiver.shut_down()?;
    seed.shut_down()?;
    Ok(record)
}

fn copy_linked(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry without a name")?);
        if path.is_dir() { copy_linked(&path, &target)? } else { fs::hard_link(&path, &target)? }
    }
    Ok(())
}

fn table(records: &[Record]) -> Table {
    let mut table = Table::new(&["contender", "runs", "seconds", "of tar", "CPU s, sender", "receiver"]);
    let mut names: Vec<&str> = Vec::new();
    for record in records {
        if !names.contains(&record.contender.as_str()) {
            names.push(&record.contender);
        }
    }
    let of = |name| -> Vec<&Record> { records.iter().filter(|r| r.contender == name).collect() };
    let median = |name| Spread::of(of(name).iter().map(|r| r.seconds)).map(|spread| spread.median);
    for name in names {
        let part = median(name).zip(median(TAR));
        table.row(vec![
            name.to_owned(),
            of(name).len().to_string(),
            cell(of(name).iter().map(|r| r.seconds), 2),
            part.map_or("-".to_owned(), |(own, tar)| format!("{:.1} x", own / tar)),
            cell(of(name).iter().map(|r| r.sender_cpu_s), 2),
            cell(of(name).iter().map(|r| r.receiver_cpu_s), 2),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_compared_with_tar() {
        let record = |contender: &str, seconds| Record {
            bench: "files",
            contender: contender.to_owned(),
            run: 1,
            files: 1,
            bytes: 1,
            load_before: 0.0,
            seconds,
            sender_cpu_s: 0.5,
            receiver_cpu_s: 1.5,
        };
        let records =
            [record(TAR, 1.0), record("lanspread", 9.0), record("lanspread", 4.0), record("lanspread", 3.0)];
        let table = table(&records).to_string();
        let ours = table.lines().find(|line| line.contains("lanspread")).unwrap();
        assert!(ours.contains("4.0 x") && ours.contains("| 3 "), "{ours}");
    }
}
