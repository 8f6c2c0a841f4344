//! libtorrent (the engine of qBittorrent and Deluge) as a contender, through its Python module and a script of ours.
//!
//! Its sessions run before the clock starts. The click adds the torrent with the addresses of all peers, so it needs
//! no tracker. `peers/libtorrent_peer.py` has its settings.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::torrent;
use crate::contenders::contender::{Contender, Party, Room};
use crate::game::{ARCHIVE, flip_in_place};
use crate::lab::Host;
use crate::process::Process;

const PORT: u16 = 6881;
const READY_LIMIT: Duration = Duration::from_secs(60);

/// The contender, with or without super-seeding at the seed.
#[derive(Debug)]
pub struct Libtorrent {
    /// A Python that has the module libtorrent.
    pub python: PathBuf,
    /// Whether the seed uses super-seeding.
    pub super_seeding: bool,
}

impl Libtorrent {
    fn start(&self, host: &Host, folder: &Path, torrent: &Path, mode: &str) -> Result<Session> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/libtorrent_peer.py");
        let mut command = host.command(&self.python);
        command.arg(script).arg(mode).arg(SocketAddr::new(host.ip(), PORT).to_string());
        command.arg(torrent).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(format!("libtorrent {mode}"), &mut command)?;
        let (stdin, stdout) = (process.take_stdin()?, process.take_stdout()?);
        let (told, words) = channel();
        thread::spawn(move || read(stdout, &told));
        let folder = folder.to_owned();
        let session = Session { process, stdin, words, folder, finished: None };
        let (_, word) = session.words.recv_timeout(READY_LIMIT).context("libtorrent did not start")?;
        if word != "ready" {
            bail!("libtorrent said {word:?}");
        }
        Ok(session)
    }
}

fn read(stdout: ChildStdout, told: &std::sync::mpsc::Sender<(Instant, String)>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if told.send((Instant::now(), line)).is_err() {
            return;
        }
    }
}

impl Contender for Libtorrent {
    fn name(&self) -> &'static str {
        if self.super_seeding { "libtorrent-super" } else { "libtorrent" }
    }

    fn unavailable(&self) -> Option<String> {
        let import =
            Command::new(&self.python).args(["-c", "import libtorrent"]).stderr(Stdio::null()).status();
        let there = import.is_ok_and(|status| status.success());
        let how = "python3 -m venv target/bench/venv && target/bench/venv/bin/pip install libtorrent";
        (!there).then(|| format!("{} has no module libtorrent ({how})", self.python.display()))
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let folder = room.scratch.fresh("libtorrent")?;
        let torrent = torrent::write(room.game, "http://127.0.0.1:1/none", &folder)?;
        let seed = room.scratch.fresh("seed")?;
        std::fs::hard_link(&room.game.archive, seed.join(ARCHIVE))?;
        let mode = if self.super_seeding { "super-seed" } else { "seed" };
        let mut sessions = vec![self.start(&room.lab.hosts[Room::SEED], &seed, &torrent, mode)?];
        for receiver in 0..room.receivers {
            let folder = room.scratch.fresh(&format!("receiver{receiver}"))?;
            let host = &room.lab.hosts[room.host_of(receiver)];
            sessions.push(self.start(host, &folder, &torrent, "receive")?);
        }
        if let Some(host) = room.liar_host() {
            let liar = room.scratch.fresh("liar")?;
            std::fs::copy(&room.game.archive, liar.join(ARCHIVE))?;
            flip_in_place(&liar.join(ARCHIVE))?;
            sessions.push(self.start(&room.lab.hosts[host], &liar, &torrent, "seed")?);
        }
        let addrs = room.lab.hosts.iter().map(|host| SocketAddr::new(host.ip(), PORT)).collect();
        Ok(Box::new(LibtorrentParty { sessions, addrs }))
    }
}

struct Session {
    process: Process,
    stdin: ChildStdin,
    words: Receiver<(Instant, String)>,
    folder: PathBuf,
    finished: Option<Instant>,
}

/// Sessions of the seed, the receivers and then the liar, if the room has one: the same order as their hosts.
struct LibtorrentParty {
    sessions: Vec<Session>,
    addrs: Vec<SocketAddr>,
}

impl Party for LibtorrentParty {
    fn start(&mut self, receiver: usize) -> Result<()> {
        let own = receiver + 1;
        let others = self.addrs.iter().enumerate().filter(|(i, _)| *i != own);
        let line: Vec<String> = others.map(|(_, addr)| addr.to_string()).collect();
        writeln!(self.sessions[own].stdin, "go {}", line.join(" ")).context("libtorrent reads no commands")
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        let session = &mut self.sessions[receiver + 1];
        while let Ok((at, word)) = session.words.try_recv() {
            match word.as_str() {
                "done" => session.finished = Some(at),
                other => bail!("libtorrent said {other:?}"),
            }
        }
        Ok(session.finished)
    }

    fn kill(&mut self, receiver: usize) {
        self.sessions[receiver + 1].process.kill();
    }

    fn output(&self, receiver: usize) -> PathBuf {
        self.sessions[receiver + 1].folder.join(ARCHIVE)
    }

    fn processes(&self) -> Vec<&Process> {
        self.sessions.iter().map(|session| &session.process).collect()
    }
}
