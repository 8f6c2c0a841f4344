//! The command line, and the lab's clean-up at the end of every run, however the run ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::{files, find, hash, kill, link, play, swarm};
use crate::contenders::competitors::{copy, http, quic, tracker};
use crate::lab;

/// Benchmarks: our peers and the best others doing the same work, in network namespaces with shaped links.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One seed and several receivers on shaped links
    Swarm(swarm::Options),
    /// One source, one receiver, beside plain TCP, a bare copy, HTTP and scp
    Link(link::Options),
    /// CPU per gigabyte at both ends, beside QUIC (build with `--features quic`)
    Cpu(link::Options),
    /// Time from the click until the game is playable: unpacked while it arrives, afterwards, or streamed
    Play(play::Options),
    /// Time from the start of a peer until all peers see each other
    Find(find::Options),
    /// A game of many small files, beside tar through a pipe
    Files(files::Options),
    /// BLAKE3 over chunks
    Hash(hash::Options),
    /// Kill a receiver again and again, during download and during install
    Kill(kill::Options),
    #[command(hide = true)]
    Serve { addr: SocketAddr, file: PathBuf },
    #[command(hide = true)]
    Receive { addr: SocketAddr, file: PathBuf },
    #[command(hide = true)]
    Tracker { addr: SocketAddr },
    #[command(hide = true)]
    QuicServe { addr: SocketAddr, file: PathBuf },
    #[command(hide = true)]
    QuicFetch { addr: SocketAddr, file: PathBuf },
}

/// Runs the command of the command line and returns its exit code.
pub fn run() -> ExitCode {
    match perform(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("lanspread-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(command: &Command) -> Result<()> {
    match command {
        Command::Swarm(options) => in_lab(|| swarm::run(options)),
        Command::Link(options) => in_lab(|| link::run_link(options)),
        Command::Cpu(options) => in_lab(|| link::run_cpu(options)),
        Command::Play(options) => in_lab(|| play::run(options)),
        Command::Find(options) => in_lab(|| find::run_find(options)),
        Command::Files(options) => in_lab(|| files::run(options)),
        Command::Hash(options) => hash::run(options),
        Command::Kill(options) => kill::run(options),
        Command::Serve { addr, file } => http::serve(*addr, file),
        Command::Receive { addr, file } => copy::receive(*addr, file),
        Command::Tracker { addr } => tracker::serve(*addr),
        Command::QuicServe { addr, file } => quic::serve(*addr, file),
        Command::QuicFetch { addr, file } => quic::fetch(*addr, file),
    }
}

/// Deletes everything of the lab when dropped: at the end, and when a panic unwinds.
struct Sweep;

impl Drop for Sweep {
    fn drop(&mut self) {
        lab::sweep(&lab::tag());
    }
}

fn in_lab(work: impl FnOnce() -> Result<()>) -> Result<()> {
    lab::require_means()?;
    lab::sweep_strays();
    std::thread::spawn(sweep_on_signal);
    let _sweep = Sweep;
    work()
}

/// Sweeps the lab and ends the process on Ctrl-C and on SIGTERM.
fn sweep_on_signal() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        lab::stop();
        tell("interrupted; cleaning up");
        // Twice, because a namespace that was just being made may appear after the first sweep.
        lab::sweep(&lab::tag());
        std::thread::sleep(std::time::Duration::from_millis(200));
        lab::sweep(&lab::tag());
        std::process::exit(130);
    });
}

#[expect(clippy::print_stderr, reason = "the last word of a program")]
fn tell(text: &str) {
    eprintln!("{text}");
}
