//! Conditions of the figures: machine, commit, command, and how busy the machine was.

use std::fs;

use crate::lab::output;

/// The machine, and the program that ran on it.
#[derive(Debug)]
pub struct Machine {
    /// Processor, cores, memory and kernel.
    pub name: String,
    /// Short hash, with a mark if the tree differed from the commit.
    pub commit: String,
    /// Command line of the benchmark.
    pub command: String,
}

impl Machine {
    /// Reads the description of this machine and of this process.
    pub fn read() -> Self {
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib >> 20);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let name = format!("{cpu}, {cores} cores, {memory} GiB, Linux {}", kernel.trim());
        let here = env!("CARGO_MANIFEST_DIR");
        let commit = output("git", &["-C", here, "describe", "--always", "--dirty", "--abbrev=9"])
            .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        let args: Vec<String> = std::env::args().skip(1).collect();
        Self { name, commit, command: format!("lanspread-bench {}", args.join(" ")) }
    }

    /// Returns the average number of running and waiting tasks over the last minute.
    pub fn load() -> f64 {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
    }
}

fn field(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
