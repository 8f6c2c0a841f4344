//! aria2 as a contender: BitTorrent over TCP, peers from a tracker of ours.
//!
//! No limit of peers or rates, no DHT and no local discovery (they have nothing to find that the tracker does not tell),
//! unencrypted. A receiver's program is started by the click; that is some tens of milliseconds.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::torrent;
use super::tracker::Tracker;
use crate::contender::{Contender, Party, Room};
use crate::game::{ARCHIVE, flip_in_place};
use crate::lab::{Host, has_tool};
use crate::process::{Process, wait_until};

const SEED_LIMIT: Duration = Duration::from_secs(120);
/// The file that tells of a finished download.
const DONE: &str = "done";

#[derive(Debug)]
pub struct Aria2;

impl Contender for Aria2 {
    fn name(&self) -> &'static str {
        "aria2"
    }

    fn unavailable(&self) -> Option<String> {
        (!has_tool("aria2c")).then(|| "aria2c is not installed (Debian: aria2)".to_owned())
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let tracker = Tracker::start(room.lab)?;
        let folder = room.scratch.fresh("aria2")?;
        let torrent = torrent::write(room.game, &Tracker::url(room.lab), &folder)?;
        let hook = folder.join("finished.sh");
        std::fs::write(&hook, format!("#!/bin/sh\n: > \"$(dirname \"$3\")/{DONE}\"\n"))?;
        make_executable(&hook)?;
        let (mut sources, mut starts) = (Vec::new(), Vec::new());

        let seed = room.scratch.fresh("seed")?;
        std::fs::hard_link(&room.game.archive, seed.join(ARCHIVE))?;
        let mut held = vec![(Room::SEED, seed)];
        if let Some(host) = room.liar_host() {
            let liar = room.scratch.fresh("liar")?;
            std::fs::copy(&room.game.archive, liar.join(ARCHIVE))?;
            flip_in_place(&liar.join(ARCHIVE))?;
            held.push((host, liar));
        }
        for (host, folder) in held {
            let host = &room.lab.hosts[host];
            let mut command = command(host, &folder, &torrent);
            // What is there is taken for good: it was made a moment ago, and a liar does not check.
            command.args(["--bt-seed-unverified=true", "--check-integrity=false"]);
            sources.push(Process::spawn("aria2c (source)", &mut command)?);
            await_announced(&tracker, host.ip())?;
        }
        for receiver in 0..room.receivers {
            let folder = room.scratch.fresh(&format!("receiver{receiver}"))?;
            let mut command = command(&room.lab.hosts[room.host_of(receiver)], &folder, &torrent);
            command.arg(format!("--on-bt-download-complete={}", hook.display()));
            starts.push((command, folder));
        }
        let receivers = starts.iter().map(|_| None).collect();
        Ok(Box::new(Aria2Party { sources, receivers, starts, _tracker: tracker }))
    }
}

fn await_announced(tracker: &Tracker, ip: IpAddr) -> Result<()> {
    wait_until("aria2's seed announces itself", SEED_LIMIT, || Ok(tracker.knows(ip)))
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

fn command(host: &Host, folder: &Path, torrent: &Path) -> Command {
    let mut command = host.command("aria2c");
    command.args([
        "--no-conf=true",
        "--quiet=true",
        "--file-allocation=none",
        "--seed-ratio=0",
        "--bt-max-peers=0",
        "--max-overall-upload-limit=0",
        "--max-overall-download-limit=0",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=true",
        "--bt-tracker-interval=5",
        "--bt-require-crypto=false",
        "--bt-min-crypto-level=plain",
        "--listen-port=6881",
        "--disable-ipv6=true",
    ]);
    command.arg(format!("--dir={}", folder.display())).arg(torrent);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Commands wait to be started; the process of a receiver is there once it was.
struct Aria2Party {
    /// The seed, then the liar if there is one.
    sources: Vec<Process>,
    receivers: Vec<Option<Process>>,
    starts: Vec<(Command, PathBuf)>,
    _tracker: Tracker,
}

impl Party for Aria2Party {
    fn start(&mut self, receiver: usize) -> Result<()> {
        let process = Process::spawn("aria2c", &mut self.starts[receiver].0)?;
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
