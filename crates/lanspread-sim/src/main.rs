use std::time::Duration;

use clap::Parser;
use lanspread_sim::{Party, Report, World};

/// Plays a party of many peers in virtual time.
#[derive(Debug, Parser)]
struct Options {
    /// Receivers that click at the same moment; there is one seed more.
    #[arg(long, default_value_t = 6)]
    peers: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds of randomness to play, from --seed on.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Mbit/s of every link.
    #[arg(long, default_value_t = 100.0)]
    mbit: f64,
    /// Size of the game in MiB.
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Announcements are collected for so many milliseconds.
    #[arg(long, default_value_t = 20)]
    have_ms: u64,
    /// One way from a peer to the switch, in microseconds.
    #[arg(long, default_value_t = 200)]
    latency_us: u64,
    #[arg(long)]
    window: Option<u32>,
    #[arg(long)]
    swarm_requests: Option<usize>,
    #[arg(long)]
    wishes: Option<usize>,
    #[arg(long)]
    pause: Option<f64>,
    #[arg(long)]
    depth: Option<usize>,
}

impl Options {
    fn party(&self, seed: u64) -> Party {
        let mut party = Party::mass_start(self.peers, self.mbit, self.mib << 20, seed);
        party.have_batch = Duration::from_millis(self.have_ms);
        for peer in &mut party.peers {
            peer.latency = Duration::from_micros(self.latency_us);
        }
        let tuning = &mut party.tuning;
        if let Some(window) = self.window {
            tuning.window_base = window;
        }
        if let Some(requests) = self.swarm_requests {
            tuning.swarm_requests = requests;
        }
        if let Some(wishes) = self.wishes {
            tuning.wishes = wishes;
        }
        if let Some(pause) = self.pause {
            tuning.busy_pause_chunks = pause;
        }
        if let Some(depth) = self.depth {
            tuning.depth_min = depth;
        }
        party
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    for seed in options.seed..options.seed + options.runs {
        print(&World::new(options.party(seed)).run()?);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the program's result")]
fn print(report: &Report) {
    println!(
        "seed {:3}  N {:3}  bound {:.2} s  last/bound {:.4}  playable/bound {:.4}  seed copies {:.4}  duplicates {} of {}  control {} KiB per peer  in flight {} KiB  events {}",
        report.seed,
        report.receivers,
        report.bound.as_secs_f64(),
        report.makespan_ratio(),
        report.playable_ratio(),
        report.seed_copies,
        report.duplicates,
        report.delivered,
        report.control_bytes >> 10,
        report.bytes_in_flight_max >> 10,
        report.events,
    );
}
