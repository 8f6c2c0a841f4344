//! `hash`: how fast BLAKE3 hashes chunks, with one thread and with one per core.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use lanspread_types::tree::{ChunkHash, ChunkPosition};
use serde::Serialize;

use crate::figures::{Report, Table, cell, say};
use crate::machine::Machine;

const GIB: f64 = (1u64 << 30) as f64;
const CHUNK_KIB: [usize; 5] = [64, 256, 1024, 4096, 8192];
/// Bytes that each thread hashes over and over: more than its caches hold.
const BUFFER_BYTES: usize = 64 << 20;

/// Options of `hash`.
#[derive(Debug, Args)]
pub struct Options {
    /// Runs of each chunk size
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Length of each run, in milliseconds
    #[arg(long, default_value_t = 500)]
    run_ms: u64,
    /// Add a JSON line for each run to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Record {
    bench: &'static str,
    run: u32,
    threads: usize,
    chunk_kib: usize,
    load_before: f64,
    gib_per_s: f64,
}

/// Runs the benchmark and prints its table.
pub fn run(options: &Options) -> Result<()> {
    let mut report = Report::begin(options.json.as_deref())?;
    let cores = thread::available_parallelism()?.get();
    let buffers: Vec<Vec<u8>> = (0..cores).map(buffer).collect();
    let mut table = Table::new(&["chunk, KiB", "1 thread, GiB/s", &format!("{cores} threads, GiB/s")]);
    for chunk_kib in CHUNK_KIB {
        let mut rates = [Vec::new(), Vec::new()];
        for run in 1..=options.runs {
            for (threads, rates) in [1, cores].into_iter().zip(&mut rates) {
                let load_before = Machine::load();
                let gib_per_s =
                    measure(&buffers[..threads], chunk_kib << 10, Duration::from_millis(options.run_ms));
                rates.push(gib_per_s);
                report.record(&Record { bench: "hash", run, threads, chunk_kib, load_before, gib_per_s })?;
            }
        }
        let [one, all] = rates;
        table.row(vec![chunk_kib.to_string(), cell(one, 2), cell(all, 2)]);
    }
    say(&table.to_string());
    Ok(())
}

fn buffer(number: usize) -> Vec<u8> {
    let mut bytes = vec![0; BUFFER_BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Returns the GiB per second of all threads together; each has its own buffer.
fn measure(buffers: &[Vec<u8>], chunk_bytes: usize, time: Duration) -> f64 {
    let start = Instant::now();
    let hashed: usize = thread::scope(|scope| {
        let threads: Vec<_> = buffers
            .iter()
            .map(|buffer| scope.spawn(|| hash_for(buffer, chunk_bytes, start + time)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    hashed as f64 / GIB / start.elapsed().as_secs_f64()
}

fn hash_for(buffer: &[u8], chunk_bytes: usize, end: Instant) -> usize {
    let mut hashed = 0;
    for (i, chunk) in buffer.chunks_exact(chunk_bytes).enumerate().cycle() {
        let position = ChunkPosition { offset: (i * chunk_bytes) as u64, atomic_file: false };
        std::hint::black_box(ChunkHash::of(position, std::hint::black_box(chunk)));
        hashed += chunk_bytes;
        if Instant::now() >= end {
            break;
        }
    }
    hashed
}
