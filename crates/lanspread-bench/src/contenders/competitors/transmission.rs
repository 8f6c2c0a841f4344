//! Transmission as a contender: BitTorrent over TCP, with peers from our tracker.
//!
//! It is `transmission-cli`, a program for one torrent: no limit on rates, an upload slot for every peer, plain
//! connections, no DHT, no local discovery, no uTP. The click starts a receiver's program. Transmission itself checks
//! for the end five times a second.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::json;

use super::clicked::{Clicked, await_announced, write_hook};
use super::torrent;
use super::tracker::Tracker;
use crate::contenders::contender::{Contender, Party, Room};
use crate::game::ARCHIVE;
use crate::lab::{Host, has_tool};
use crate::process::Process;

const PROGRAM: &str = "transmission-cli";

/// The contender.
#[derive(Debug)]
pub struct Transmission;

impl Contender for Transmission {
    fn name(&self) -> &'static str {
        "transmission"
    }

    fn unavailable(&self) -> Option<String> {
        (!has_tool(PROGRAM)).then(|| format!("{PROGRAM} is not installed (Debian: {PROGRAM})"))
    }

    fn unsuited(&self, liar: bool) -> Option<&'static str> {
        liar.then_some("it checks what it offers, so it cannot be made to lie")
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let tracker = Tracker::start(room.lab)?;
        let folder = room.scratch.fresh("transmission")?;
        let torrent = torrent::write(room.game, &Tracker::url(room.lab), &folder)?;
        let hook = folder.join("finished.sh");
        write_hook(&hook, "$TR_TORRENT_DIR")?;

        let seed = room.scratch.fresh("seed")?;
        std::fs::hard_link(&room.game.archive, seed.join(ARCHIVE))?;
        let host = &room.lab.hosts[Room::SEED];
        let mut seeding = command(host, &seed, &torrent)?;
        let sources = vec![Process::spawn("transmission-cli (source)", &mut seeding)?];
        await_announced(&tracker, host.ip())?;
        let mut starts = Vec::new();
        for receiver in 0..room.receivers {
            let folder = room.scratch.fresh(&format!("receiver{receiver}"))?;
            let mut command = command(&room.lab.hosts[room.host_of(receiver)], &folder, &torrent)?;
            command.arg("--finish").arg(&hook);
            starts.push((command, folder));
        }
        Ok(Box::new(Clicked::new(PROGRAM, sources, starts, tracker)))
    }
}

fn command(host: &Host, folder: &Path, torrent: &Path) -> Result<Command> {
    let settings = folder.join("settings");
    std::fs::create_dir_all(&settings)?;
    let unlimited = json!({
        "dht-enabled": false,
        "lpd-enabled": false,
        "utp-enabled": false,
        "pex-enabled": true,
        "peer-limit-global": 400,
        "peer-limit-per-torrent": 400,
        "upload-slots-per-torrent": 400,
        "preallocation": 0,
        "rename-partial-files": false,
    });
    std::fs::write(settings.join("settings.json"), unlimited.to_string())?;
    let mut command = host.command(PROGRAM);
    command.args([
        "--no-uplimit",
        "--no-downlimit",
        "--no-portmap",
        "--encryption-tolerated",
        "--port",
        "51413",
    ]);
    command.arg("--config-dir").arg(&settings).arg("--download-dir").arg(folder).arg(torrent);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}
