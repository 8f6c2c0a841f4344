//! Torrent programs that the click starts: a command for each receiver, and a hook by which the program reports its
//! end.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::tracker::Tracker;
use crate::contenders::contender::Party;
use crate::game::ARCHIVE;
use crate::process::{Process, wait_until};

const SEED_LIMIT: Duration = Duration::from_secs(120);
/// File in a receiver's folder that marks a finished download.
const DONE: &str = "done";

/// Writes an executable that marks a download as finished in `folder`, a shell expression.
pub fn write_hook(path: &Path, folder: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n: > \"{folder}/{DONE}\"\n"))?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

/// Waits until the peer at this address has announced itself to the tracker.
pub fn await_announced(tracker: &Tracker, ip: IpAddr) -> Result<()> {
    wait_until("the seed announces itself", SEED_LIMIT, || Ok(tracker.knows(ip)))
}

/// A party whose receivers' commands wait for the click; a receiver has a process from then on.
pub struct Clicked {
    name: &'static str,
    /// The seed, then the liar if there is one.
    sources: Vec<Process>,
    receivers: Vec<Option<Process>>,
    /// Commands of the receivers, each with its folder.
    starts: Vec<(Command, PathBuf)>,
    _tracker: Tracker,
}

impl Clicked {
    /// Takes running sources and prepared commands.
    pub fn new(
        name: &'static str,
        sources: Vec<Process>,
        starts: Vec<(Command, PathBuf)>,
        tracker: Tracker,
    ) -> Self {
        let receivers = starts.iter().map(|_| None).collect();
        Self { name, sources, receivers, starts, _tracker: tracker }
    }
}

impl Party for Clicked {
    fn start(&mut self, receiver: usize) -> Result<()> {
        let process = Process::spawn(self.name, &mut self.starts[receiver].0)?;
        self.receivers[receiver] = Some(process);
        Ok(())
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        Ok(self.starts[receiver].1.join(DONE).exists().then(Instant::now))
    }

    fn kill(&mut self, receiver: usize) {
        if let Some(process) = &mut self.receivers[receiver] {
            process.kill();
        }
    }

    fn output(&self, receiver: usize) -> PathBuf {
        self.starts[receiver].1.join(ARCHIVE)
    }

    fn processes(&self) -> Vec<&Process> {
        let (seed, liar) = self.sources.split_at(1);
        seed.iter().chain(self.receivers.iter().flatten()).chain(liar).collect()
    }
}
