//! Command line of the simulator: plays mass starts and prints the results, or draws the charts of the docs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use lanspread_core::swarm::Tuning;
use lanspread_sim::network::LinkRate;
use lanspread_sim::party::GOODPUT;
use lanspread_sim::plot::{Chart, Line};
use lanspread_sim::{Fault, Noise, Party, PeerSpec, Report, Spread, World};

/// Plays a party of many peers in virtual time.
#[derive(Debug, Parser)]
struct Options {
    /// Receivers that click at the same moment; there is one seed more.
    #[arg(long, default_value_t = 6)]
    peers: usize,
    /// Seed of the first run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of runs; each takes the next seed.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Mbit/s of every link.
    #[arg(long, default_value_t = 100.0)]
    mbit: f64,
    /// Size of the game in MiB.
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Milliseconds for which a receiver collects new chunks before it announces them.
    #[arg(long)]
    have_ms: Option<u64>,
    /// One-way latency from a peer to its switch, in microseconds.
    #[arg(long, default_value_t = 200)]
    latency_us: u64,
    /// Switches behind one core switch. Receivers are spread over them; the seed is at the first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    groups: u64,
    /// Mbit/s of each switch's uplink, in each direction; the rate of one host if not given.
    #[arg(long)]
    uplink_mbit: Option<f64>,
    /// Assign receivers to the switches in turn instead of in blocks.
    #[arg(long)]
    interleaved: bool,
    /// Deviation from a plain mass start.
    #[arg(long, value_enum, default_value = "mass-start")]
    situation: Situation,
    /// Draw the charts of the docs into this folder instead of printing results.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Model TCP: flows share links unevenly, and senders buffer 128 KiB for each connection.
    #[arg(long)]
    tcp: bool,
    /// Turn the relay line off: every peer exchanges chunks with every other peer.
    #[arg(long)]
    no_line: bool,
    /// KiB that a sender's operating system buffers for each connection.
    #[arg(long)]
    ahead_kib: Option<u64>,
    /// Longest time in milliseconds for which a message or a request waits behind bulk on a full uplink.
    #[arg(long, default_value_t = 0.0)]
    queue_ms: f64,
    /// Add noise: transfer times deviate by 30 %, and each PC stalls for 100 ms every 10 s.
    #[arg(long)]
    jitter: bool,
    /// Unevenness of the shares of flows on a link: standard deviation of the logarithm of their weights.
    #[arg(long)]
    unfairness: Option<f64>,
    /// Chunks from the first missing one on that a receiver may request.
    #[arg(long)]
    window: Option<u32>,
    /// Requests by name that a receiver keeps in flight to other receivers, at the least.
    #[arg(long)]
    swarm_requests: Option<usize>,
    /// Pause after a busy source refused, in chunk times of a typical source.
    #[arg(long)]
    pause: Option<f64>,
    /// Requests that a receiver keeps in flight to one source, at the least.
    #[arg(long)]
    depth: Option<usize>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Situation {
    /// All receivers click at once.
    MassStart,
    /// Each receiver clicks five seconds after the one before.
    Staggered,
    /// The last receiver has a fifth of the rate.
    Slow,
    /// The last receiver has ten times the rate.
    Fast,
    /// The last receiver crashes at half of the bound.
    Killed,
    /// No chunk that the last receiver sends verifies.
    Liar,
    /// One more seed joins, and no chunk that it sends verifies.
    FalseSeed,
    /// The last receiver clicks at half of the bound.
    Late,
}

impl Situation {
    fn arrange(self, party: &mut Party) {
        let last = party.peers.len() - 1;
        let half = party.bound() / 2;
        let scaled = |rate: LinkRate, by: f64| LinkRate { up: rate.up * by, down: rate.down * by };
        match self {
            Self::MassStart => {}
            Self::Staggered => {
                for (at, peer) in party.peers.iter_mut().enumerate().skip(1) {
                    peer.joins = Some(Duration::from_secs(5) * (at as u32 - 1));
                }
            }
            Self::Slow => party.peers[last].rate = scaled(party.peers[last].rate, 0.2),
            Self::Fast => party.peers[last].rate = scaled(party.peers[last].rate, 10.0),
            Self::Killed => party.faults.push(Fault::Crash { peer: last, at: half, back_after: None }),
            Self::Liar => party.peers[last].lies = 1.0,
            Self::FalseSeed => {
                let honest = party.peers[0].clone();
                party.peers.push(PeerSpec { lies: 1.0, ..honest });
            }
            Self::Late => party.peers[last].joins = Some(half),
        }
    }
}

impl Options {
    fn party(&self, seed: u64) -> Party {
        let mut party = Party::mass_start(self.peers, self.mbit, self.mib << 20, seed);
        for peer in &mut party.peers {
            peer.latency = Duration::from_micros(self.latency_us);
        }
        if self.groups > 1 {
            let rate = self.uplink_mbit.unwrap_or(self.mbit) * 1e6 / 8.0 * GOODPUT;
            let spread = if self.interleaved { Spread::Interleaved } else { Spread::Blocks };
            party = party.in_groups(self.groups as usize, LinkRate { up: rate, down: rate }, spread);
        }
        party.queue = Duration::from_secs_f64(self.queue_ms / 1e3);
        party.noise = self.jitter.then_some(Noise::USUAL);
        self.situation.arrange(&mut party);
        if self.tcp {
            party = party.over_tcp();
        }
        if let Some(kib) = self.ahead_kib {
            party.sent_ahead = kib << 10;
        }
        if let Some(unfairness) = self.unfairness {
            party.unfairness = unfairness;
        }
        let tuning = &mut party.tuning;
        tuning.relay_line = !self.no_line;
        if let Some(ms) = self.have_ms {
            tuning.have_interval = Duration::from_millis(ms);
        }
        if let Some(window) = self.window {
            tuning.window_base = window;
        }
        if let Some(requests) = self.swarm_requests {
            tuning.swarm_requests = requests;
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
    if let Some(folder) = &options.plots {
        return draw(&options, folder);
    }
    for seed in options.seed..options.seed + options.runs {
        print(&World::new(options.party(seed)).run()?);
    }
    Ok(())
}

fn draw(options: &Options, folder: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let play = |peers: usize, tuning: Tuning| -> anyhow::Result<Report> {
        let party = Party::mass_start(peers, options.mbit, options.mib << 20, options.seed);
        Ok(World::new(Party { tuning, ..party }).run()?)
    };
    let no_line = Tuning { relay_line: false, ..Tuning::default() };
    let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.into(), points };
    let mut lines = Vec::new();
    // Without the line, a simulation of more receivers takes minutes.
    for (name, tuning, most) in [("line", Tuning::default(), 64), ("without a line", no_line, 16)] {
        let (mut last, mut playable) = (Vec::new(), Vec::new());
        for peers in [2, 4, 6, 8, 12, 16, 24, 32, 48, 64].into_iter().filter(|peers| *peers <= most) {
            let report = play(peers, tuning.clone())?;
            last.push((peers as f64, report.makespan_ratio()));
            playable.push((peers as f64, report.playable_ratio()));
        }
        lines.push(line(&format!("{name}, complete"), last));
        lines.push(line(&format!("{name}, playable"), playable));
    }
    let chart = |title: &str, x: &str, y: &str, log_x: bool, lines: Vec<Line>| {
        Chart { title: title.into(), x: x.into(), y: y.into(), lines, log_x }.svg()
    };
    let svg = chart("Mass start from one seed", "receivers", "time / bound", true, lines);
    std::fs::write(folder.join("makespan-over-peers.svg"), svg)?;
    let progress = play(16, Tuning::default())?.progress;
    let row = |at: usize| progress.iter().map(|(t, row)| (t.as_secs_f64(), f64::from(row[at]))).collect();
    let lines = vec![line("fastest", row(2)), line("median", row(1)), line("slowest", row(0))];
    let svg = chart("Chunks had, sixteen receivers", "seconds", "chunks", false, lines);
    std::fs::write(folder.join("chunks-over-time.svg"), svg)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the program's result")]
fn print(report: &Report) {
    println!(
        "seed {:3}  N {:3}  bound {:.2} s  last/bound {:.4}  playable/bound {:.4}  seed copies {:.4}  duplicates {} of {}  corrupt {}  control {} KiB in {} messages per peer  in flight {} KiB  events {}  units of one connection {} in a second, {} in a burst",
        report.seed,
        report.receivers,
        report.bound.as_secs_f64(),
        report.makespan_ratio(),
        report.playable_ratio(),
        report.seed_copies,
        report.duplicates,
        report.delivered,
        report.corrupt,
        report.control_bytes >> 10,
        report.messages,
        report.bytes_in_flight_max >> 10,
        report.events,
        report.spent.second,
        report.spent.burst,
    );
    let one = |peer: &lanspread_sim::report::PeerReport| {
        format!("{:.3}", peer.complete.as_secs_f64() / peer.bound.as_secs_f64())
    };
    let peers: Vec<_> = report.peers.iter().flatten().map(one).collect();
    println!("  each, from the own click / own bound: {}", peers.join(" "));
    if report.groups.len() > 1 {
        let one = |group: &lanspread_sim::report::GroupReport| {
            format!("{:.3} in, {:.3} out ({})", group.copies_in, group.copies_out, group.members)
        };
        let groups: Vec<_> = report.groups.iter().map(one).collect();
        println!("  copies over each group's uplink (members): {}", groups.join("; "));
    }
}
