//! Command line of the structure model: compares ways to spread a game through a room (docs/decisions/0002).

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use lanspread_sim::plot::{Chart, Line};
use lanspread_sim::structure::cube::Choice;
use lanspread_sim::structure::figures::{Figures, Spread};
use lanspread_sim::structure::room::{Room, Situation, Stalls};
use lanspread_sim::structure::rows::{RowRules, width};
use lanspread_sim::structure::{Candidate, play};

/// Compares ways to spread a game through a room.
#[derive(Debug, Parser)]
struct Options {
    /// Structures to compare.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "line")]
    candidates: Vec<Kind>,
    /// Receivers; there is one seed more.
    #[arg(long, value_delimiter = ',', default_value = "16")]
    peers: Vec<usize>,
    /// Mbit/s of every link.
    #[arg(long, default_value_t = 1000.0)]
    mbit: f64,
    /// Size of the game in MiB.
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// KiB of one block, the unit that is sent, verified and forwarded.
    #[arg(long, value_delimiter = ',', default_value = "1024")]
    block_kib: Vec<u64>,
    /// Add noise: block times deviate by 30 %, and each PC stalls for 100 ms every 10 s.
    #[arg(long)]
    noise: bool,
    /// Deviation of block times as a fraction; overrides --noise.
    #[arg(long)]
    jitter: Option<f64>,
    /// No stalls; overrides --noise.
    #[arg(long)]
    no_stalls: bool,
    /// Seed of the first run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs for each line of output; each takes the next seed.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Deviation from a plain mass start.
    #[arg(long, value_enum, default_value = "mass-start")]
    situation: Situation,
    /// Members of a row, or of a cube in a line of cubes [default: about the square root of the receivers; 8 for
    /// cubes].
    #[arg(long)]
    width: Option<usize>,
    /// Members of the row above that feed one member of a row.
    #[arg(long)]
    links: Option<usize>,
    /// Most blocks that a member of a row may have been given on one link without having reported them as done.
    #[arg(long)]
    credit: Option<u32>,
    /// Instead of printing, write plots to this folder: time until complete and time until playable, over the number
    /// of receivers. Each point is the median of five runs.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Blocks that a sender hands to its operating system ahead of the link.
    #[arg(long)]
    ahead: Option<u32>,
    /// Blocks on the way from one sender to one receiver.
    #[arg(long)]
    window: Option<u32>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Line,
    SkippingLine,
    Cube,
    CubeLowest,
    CubeLine,
    Rows,
}

impl Options {
    fn candidate(&self, kind: Kind, peers: usize) -> Candidate {
        match kind {
            Kind::Line => Candidate::Line,
            Kind::SkippingLine => Candidate::SkippingLine,
            Kind::Cube => Candidate::Cube(Choice::Rarest),
            Kind::CubeLowest => Candidate::Cube(Choice::Lowest),
            Kind::CubeLine => Candidate::CubeLine(self.width.unwrap_or(8), Choice::Rarest),
            Kind::Rows => {
                let width = self.width.unwrap_or_else(|| width(peers)).min(peers);
                let mut rules = RowRules::default();
                rules.links = self.links.unwrap_or(rules.links);
                rules.credit = self.credit.unwrap_or(rules.credit);
                Candidate::Rows(width, rules)
            }
        }
    }

    fn room(&self, peers: usize, block_kib: u64, seed: u64) -> Room {
        let mut room = Room::mass_start(peers, self.mbit, self.mib << 20, block_kib << 10, seed);
        if self.noise {
            room = room.noisy();
        }
        room.jitter = self.jitter.unwrap_or(room.jitter);
        if self.no_stalls {
            room.stalls = Stalls::None;
        }
        room.ahead = self.ahead.unwrap_or(room.ahead);
        room.window = self.window.unwrap_or(room.window);
        room.with(self.situation)
    }
}

#[expect(clippy::print_stdout, reason = "the program's result")]
fn main() -> std::io::Result<()> {
    let options = Options::parse();
    if let Some(folder) = &options.plots {
        return draw(&options, folder);
    }
    for &peers in &options.peers {
        for &block_kib in &options.block_kib {
            for &kind in &options.candidates {
                let start = Instant::now();
                let runs = options.seed..options.seed + options.runs;
                let runs: Vec<Figures> = runs
                    .map(|seed| play(options.room(peers, block_kib, seed), &options.candidate(kind, peers)))
                    .collect();
                let spread = |of: fn(&Figures) -> f64| Spread::of(runs.iter().map(of));
                let (complete, playable) = (spread(Figures::complete), spread(Figures::playable));
                println!(
                    "{:12} N {peers:3}  {block_kib:5} KiB  complete {:.3} ({:.3}-{:.3})  playable {:.3} ({:.3}-{:.3})  slow {:.3}  floor {:.3}  switches {:.3} {:.3}  seed {:.3}  twice {:.4}  messages {:.3}  partners {}  {:.1} s, {} events",
                    format!("{kind:?}"),
                    complete.median,
                    complete.low,
                    complete.high,
                    playable.median,
                    playable.low,
                    playable.high,
                    spread(Figures::slow).median,
                    spread(|run| run.floor).median,
                    spread(|run| run.switch_copies[0]).high,
                    spread(|run| run.switch_copies[1]).high,
                    spread(|run| run.seed_copies).median,
                    spread(|run| run.duplicates).high,
                    spread(|run| run.messages).median,
                    runs.iter().map(|run| run.connections).max().unwrap_or(0),
                    start.elapsed().as_secs_f64(),
                    runs.iter().map(|run| run.events).sum::<u64>(),
                );
            }
        }
    }
    Ok(())
}

fn draw(options: &Options, folder: &Path) -> std::io::Result<()> {
    let candidates = [("line", Kind::Line), ("cube", Kind::Cube), ("rows", Kind::Rows)];
    let mut charts = [Vec::new(), Vec::new()];
    for (name, kind) in candidates {
        let mut lines = [Vec::new(), Vec::new()];
        for peers in [6, 12, 16, 31, 64, 128, 200] {
            let runs = options.seed..options.seed + 5;
            let run =
                |seed| play(options.room(peers, options.block_kib[0], seed), &options.candidate(kind, peers));
            let runs: Vec<Figures> = runs.map(run).collect();
            for (line, of) in lines.iter_mut().zip([Figures::complete, Figures::playable]) {
                line.push((peers as f64, Spread::of(runs.iter().map(of)).median));
            }
        }
        for (chart, points) in charts.iter_mut().zip(lines) {
            chart.push(Line { name: name.into(), points });
        }
    }
    for (lines, what) in charts.into_iter().zip(["complete", "playable"]) {
        let title = format!("Last receiver {what}, {} MiB, noise as in decision 0002", options.mib);
        let chart = Chart { title, x: "receivers".into(), y: "time / bound".into(), lines, log_x: true };
        std::fs::write(folder.join(format!("structures-{what}.svg")), chart.svg())?;
    }
    Ok(())
}
