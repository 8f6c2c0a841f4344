//! One of our peers: a `lanspread-peer-cli` process, driven by JSON lines as any script would.
//!
//! The lines are read as plain JSON, without the contract's types, so that the benchmark stays outside of what it
//! measures.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::contenders::contender::Sent;
use crate::game::{ARCHIVE, GAME_ID};
use crate::lab::Host;
use crate::process::Process;

const PORT: u16 = 7777;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A received chunk, as its event reported it.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// When the event was read.
    pub at: Instant,
    /// Size of the chunk.
    pub bytes: u64,
    /// Id of the source.
    pub from: String,
}

/// Bytes from one source, as the totals of a download state them.
#[derive(Debug, Clone)]
pub struct SourceTotals {
    /// Id of the source.
    pub peer_id: String,
    /// Payload from this source.
    pub bytes: u64,
}

/// A running peer and its events so far.
#[derive(Debug)]
pub struct Peer {
    /// The process.
    pub process: Process,
    /// Peer id; known once the peer is ready.
    pub id: String,
    /// Received chunks in order.
    pub chunks: Vec<Chunk>,
    /// When the line `download-finished` was read.
    pub finished: Option<Instant>,
    /// When the line `install-finished` was read.
    pub installed: Option<Instant>,
    /// Sources of the finished download.
    pub sources: Vec<SourceTotals>,
    /// Number of `source-rejected` events.
    pub rejections: usize,
    failure: Option<String>,
    addr: SocketAddr,
    library: PathBuf,
    stdin: ChildStdin,
    lines: Receiver<(Instant, Value)>,
    next_id: u64,
}

impl Peer {
    /// Starts a peer on a host and waits until it is ready. `folder` is for its library and its state.
    pub fn start(program: &Path, host: &Host, name: &str, folder: &Path) -> Result<Self> {
        let addr = SocketAddr::new(host.ip(), PORT);
        Self::start_with(program, host, name, folder, &["--listen", &addr.to_string()])
    }

    /// Starts a peer with flags that say where it listens and how it finds others.
    pub fn start_with(
        program: &Path,
        host: &Host,
        name: &str,
        folder: &Path,
        flags: &[&str],
    ) -> Result<Self> {
        let (library, addr) = (folder.join("games"), SocketAddr::new(host.ip(), PORT));
        let mut command = host.command(program);
        command.arg("--games-dir").arg(&library).arg("--state-dir").arg(folder.join("state"));
        command.args(["--name", name]).args(flags);
        let log = std::fs::File::create(folder.join("stderr.txt"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = Process::spawn(format!("peer {name}"), &mut command)?;
        let (stdin, stdout) = (process.take_stdin()?, process.take_stdout()?);
        let (told, lines) = channel();
        thread::spawn(move || read(stdout, &told));
        let mut peer = Self {
            process,
            id: String::new(),
            chunks: Vec::new(),
            finished: None,
            installed: None,
            sources: Vec::new(),
            rejections: 0,
            failure: None,
            addr,
            library,
            stdin,
            lines,
            next_id: 1,
        };
        peer.pump(|peer, _| (!peer.id.is_empty()).then_some(()))?;
        Ok(peer)
    }

    /// Connects to another peer.
    pub fn connect(&mut self, other: SocketAddr) -> Result<()> {
        self.ask(json!({"cmd": "connect", "addr": other})).map(drop)
    }

    /// Address that other peers connect to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until this many peers are connected.
    pub fn wait_peers(&mut self, count: usize) -> Result<()> {
        self.ask(json!({"cmd": "wait-peers", "count": count})).map(drop)
    }

    /// Waits until the game has this availability and at least `sources` peers serve it.
    pub fn wait_game(&mut self, availability: &str, sources: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            let list = self.ask(json!({"cmd": "list-games"}))?;
            let games = list["data"]["games"].as_array();
            let game = games.into_iter().flatten().find(|game| game["game_id"] == GAME_ID);
            if let Some(game) = game
                && game["availability"] == availability
                && game["peer_count"].as_u64().unwrap_or(0) >= sources
            {
                return Ok(());
            }
            if start.elapsed() > ANSWER_LIMIT {
                bail!("{}: the game did not become {availability}", self.process.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks to download. Returns when the line is written; [`Self::listen`] reads the answer and the events.
    pub fn download(&mut self) -> Result<()> {
        self.tell(json!({"cmd": "download", "game_id": GAME_ID, "install": false})).map(drop)
    }

    /// Clicks to download and install.
    pub fn download_and_install(&mut self) -> Result<()> {
        self.tell(json!({"cmd": "download", "game_id": GAME_ID, "install": true})).map(drop)
    }

    /// Installs the downloaded game.
    pub fn install(&mut self) -> Result<()> {
        self.tell(json!({"cmd": "install", "game_id": GAME_ID})).map(drop)
    }

    /// Installs from the room, without keeping the archive.
    pub fn stream_install(&mut self) -> Result<()> {
        self.tell(json!({"cmd": "stream-install", "game_id": GAME_ID})).map(drop)
    }

    /// Processes the lines that have arrived. Fails if one of them reports a failure.
    pub fn listen(&mut self) -> Result<()> {
        while let Ok((at, line)) = self.lines.try_recv() {
            self.absorb(at, &line);
        }
        match self.failure.take() {
            Some(reason) => bail!("{}: {reason}", self.process.name),
            None => Ok(()),
        }
    }

    /// Asks the peer to end and waits until it has.
    pub fn shut_down(mut self) -> Result<()> {
        self.tell(json!({"cmd": "shutdown"}))?;
        self.process.finish(ANSWER_LIMIT).map(drop)
    }

    /// Returns what this peer has sent so far, as its status counts it; `None` for a build that does not count.
    pub fn sent(&mut self) -> Result<Option<Sent>> {
        let status = self.ask(json!({"cmd": "status"}))?;
        let count = |key: &str| status["data"]["traffic"][key].as_u64();
        let counts = count("sent_messages").zip(count("sent_requests"));
        Ok(counts.map(|(messages, requests)| Sent { messages, requests }))
    }

    /// The peer's library.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The game's folder in the library.
    pub fn game_folder(&self) -> PathBuf {
        self.library.join(GAME_ID)
    }

    /// Path of the game's archive, even before it exists.
    pub fn archive(&self) -> PathBuf {
        self.library.join(GAME_ID).join(ARCHIVE)
    }

    /// Bytes of all chunks that were reported.
    pub fn received_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    fn tell(&mut self, mut command: Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        command["id"] = id.into();
        self.stdin
            .write_all(format!("{command}\n").as_bytes())
            .with_context(|| format!("{} reads no commands", self.process.name))?;
        Ok(id)
    }

    fn ask(&mut self, command: Value) -> Result<Value> {
        let text = command.to_string();
        let id = self.tell(command)?;
        let answer = self.pump(|_, line| (line["id"] == id).then(|| line.clone())).context(text.clone())?;
        if answer["type"] != "result" {
            bail!("{} refused {text}: {}", self.process.name, answer["message"]);
        }
        Ok(answer)
    }

    /// Reads lines until `found` returns a value.
    fn pump<T>(&mut self, found: impl Fn(&Self, &Value) -> Option<T>) -> Result<T> {
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok((at, line)) => {
                    self.absorb(at, &line);
                    if let Some(found) = found(self, &line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("{} does not answer", self.process.name),
                Err(RecvTimeoutError::Disconnected) => bail!("{} has ended", self.process.name),
            }
        }
    }

    fn absorb(&mut self, at: Instant, line: &Value) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        match line["event"].as_str() {
            Some("local-peer-ready") => self.id = text("peer_id"),
            Some("download-chunk-finished") => {
                let bytes = line["length"].as_u64().unwrap_or(0);
                self.chunks.push(Chunk { at, bytes, from: text("peer_id") });
            }
            Some("download-finished") => {
                self.finished = Some(at);
                let totals = |source: &Value| SourceTotals {
                    peer_id: source["peer_id"].as_str().unwrap_or_default().to_owned(),
                    bytes: source["bytes"].as_u64().unwrap_or(0),
                };
                self.sources = line["sources"].as_array().into_iter().flatten().map(totals).collect();
            }
            Some("install-finished") => self.installed = Some(at),
            Some("install-failed") => self.failure = Some(format!("install failed: {}", text("reason"))),
            Some("download-failed") => self.failure = Some(format!("download failed: {}", text("reason"))),
            Some("source-rejected") => self.rejections += 1,
            _ if line["type"] == "error" => self.failure = Some(text("message")),
            _ => {}
        }
    }
}

fn read(stdout: ChildStdout, told: &Sender<(Instant, Value)>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let at = Instant::now();
        let Ok(value) = serde_json::from_str(&line) else { continue };
        if told.send((at, value)).is_err() {
            return;
        }
    }
}
