//! aria2 as a contender: BitTorrent over TCP, with peers from our tracker.
//!
//! It has no limit on peers or rates, does not encrypt, and uses neither DHT nor local discovery, because the tracker
//! already knows every peer. The click starts a receiver's program, which takes some tens of milliseconds.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::clicked::{Clicked, await_announced, write_hook};
use super::torrent;
use super::tracker::Tracker;
use crate::contenders::contender::{Contender, Party, Room};
use crate::game::{ARCHIVE, flip_in_place};
use crate::lab::{Host, has_tool};
use crate::process::Process;

/// The contender.
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
        write_hook(&hook, "$(dirname \"$3\")")?;
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
            // The content is taken for good without a check: the seed's was just made, and a liar must not find out.
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
        Ok(Box::new(Clicked::new("aria2c", sources, starts, tracker)))
    }
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
