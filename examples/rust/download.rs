//! Downloads a game from one `lanspread-peer-cli` to another, over JSON lines and with the types of `lanspread-api`.
//!
//! Usage: `cargo run -p lanspread-peer-cli --example download [PROGRAM]`

#![expect(clippy::print_stdout, reason = "the result of an example")]

use std::error::Error;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lanspread_api::{Event, Line, ReplyData};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A running peer. Commands go to its standard input, answers and events come from its standard output.
struct Peer {
    process: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl Peer {
    fn start(program: &Path, name: &str, folder: &Path, flags: &[&str]) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["--name", name, "--listen", "127.0.0.1:0"])
            .arg("--games-dir")
            .arg(folder.join("games"))
            .arg("--state-dir")
            .arg(folder.join("state"))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = process.stdin.take().ok_or("no standard input")?;
        let lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        let mut peer = Self { process, commands, lines, addr: String::new() };
        peer.addr = peer.wait_for(|event| match event {
            Event::LocalPeerReady { addr, .. } => Some(addr.to_string()),
            _ => None,
        })?;
        Ok(peer)
    }

    fn line(&mut self) -> Result<Line> {
        let text = self.lines.next().ok_or("the peer has ended")??;
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns what `pick` takes from the next event that it takes something from. Fails if a download or an install does.
    fn wait_for<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> Result<T> {
        loop {
            let Line::Event(event) = self.line()? else { continue };
            if let Event::DownloadFailed { .. } | Event::InstallFailed { .. } = event {
                return Err(format!("{event:?}").into());
            }
            if let Some(found) = pick(&event) {
                return Ok(found);
            }
        }
    }

    /// Sends a command and returns its answer. Events that come before the answer are dropped.
    fn ask(&mut self, command: &Value) -> Result<ReplyData> {
        writeln!(self.commands, "{command}")?;
        loop {
            match self.line()? {
                Line::Result(answer) => return Ok(answer.reply),
                Line::Error(error) => return Err(error.error.message.into()),
                Line::Event(_) => {}
            }
        }
    }

    fn shutdown(mut self) -> Result<()> {
        self.ask(&json!({"cmd": "shutdown"}))?;
        let code = self.process.wait()?;
        if code.success() { Ok(()) } else { Err(code.to_string().into()) }
    }
}

fn main() -> Result<()> {
    // Examples are built into a folder beside the programs.
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("lanspread-peer-cli"));
    let program = std::env::args_os().nth(1).map(PathBuf::from).or_else(beside).ok_or("no program")?;
    let folder = tempfile::tempdir()?;
    let seed = Peer::start(&program, "seed", &folder.path().join("seed"), &["--fixture", "ggoo"])?;
    let mut guest = Peer::start(&program, "guest", &folder.path().join("guest"), &[])?;

    guest.ask(&json!({"cmd": "connect", "addr": seed.addr}))?;
    loop {
        let ReplyData::ListGames(list) = guest.ask(&json!({"cmd": "list-games"}))? else {
            return Err("an answer to another command".into());
        };
        if list.games.iter().any(|game| game.peer_count > 0) {
            break;
        }
        guest.wait_for(|event| matches!(event, Event::RemoteLibraryChanged { .. }).then_some(()))?;
    }
    guest.ask(&json!({"cmd": "download", "game_id": "ggoo"}))?;
    let game = guest.wait_for(|event| match event {
        Event::InstallFinished { game_id } => Some(game_id.to_string()),
        _ => None,
    })?;
    println!("installed {game} in {}", folder.path().join("guest/games").display());
    guest.shutdown()?;
    seed.shutdown()
}
