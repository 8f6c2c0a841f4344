//! Tests of the program as people use it: processes, exit codes, and what stays behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use lanspread_api::{ErrorCode, Event, ExitCode, Line, ReplyData};
use tempfile::TempDir;

fn lanspread(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanspread"));
    command.arg("--state-dir").arg(state).args(args).stdin(Stdio::null()).env_remove("LANSPREAD_LOG");
    command
}

fn output(state: &Path, args: &[&str]) -> Output {
    lanspread(state, args).output().unwrap()
}

fn exit(output: &Output) -> Option<i32> {
    output.status.code()
}

fn line(output: &Output) -> Line {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.trim()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A running peer; dropping it kills the process.
struct Running {
    child: Child,
    folders: TempDir,
}

impl Running {
    /// Starts a peer and waits until it reports that it is ready.
    fn start() -> Self {
        let folders = tempfile::tempdir().unwrap();
        let games = folders.path().join("games");
        std::fs::create_dir(&games).unwrap();
        let games = games.to_str().unwrap();
        let args = ["--json", "run", "--listen", "127.0.0.1:0", "--name", "ada", "--games-dir", games];
        let mut child = lanspread(folders.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = |text: String| {
            let line = serde_json::from_str::<Line>(&text).unwrap();
            matches!(line, Line::Event(Event::LocalPeerReady { .. }))
        };
        assert!(lines.map(Result::unwrap).any(is_ready), "the peer ended before it was ready");
        Self { child, folders }
    }

    fn state(&self) -> &Path {
        self.folders.path()
    }

    fn ask(&self, args: &[&str]) -> Output {
        output(self.state(), args)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn peer_answers_stops_and_removes_its_api_file() {
    let mut peer = Running::start();
    let status = peer.ask(&["--json", "status"]);
    let Line::Result(result) = line(&status) else { panic!("{status:?}") };
    assert!(matches!(result.reply, ReplyData::Status(ref s) if s.name == "ada" && s.peer_count == 0));

    let unknown = peer.ask(&["--json", "get", "ggoo"]);
    let Line::Error(error) = line(&unknown) else { panic!("{unknown:?}") };
    assert_eq!(error.error.code, ErrorCode::NoSource);
    assert_eq!(exit(&unknown), Some(i32::from(ExitCode::NotFound.code())));

    let own = peer.ask(&["connect", "127.0.0.1:1"]);
    assert_eq!(exit(&own), Some(i32::from(ExitCode::Network.code())), "{own:?}");

    let games = peer.state().join("games");
    let second = peer.ask(&["--json", "run", "--games-dir", games.to_str().unwrap()]);
    assert_eq!(exit(&second), Some(i32::from(ExitCode::Start.code())), "{second:?}");
    let Line::Error(second) = line(&second) else { panic!("{second:?}") };
    assert_eq!(second.error.code, ErrorCode::StateDirInUse);
    assert_eq!(second.error.held_by.unwrap().pid, peer.child.id());
    let other = tempfile::tempdir().unwrap();
    let third = output(
        other.path(),
        &["--json", "run", "--listen", "127.0.0.1:0", "--games-dir", games.to_str().unwrap()],
    );
    assert_eq!(exit(&third), Some(i32::from(ExitCode::Start.code())), "{third:?}");
    let told = String::from_utf8(third.stdout).unwrap();
    assert!(
        told.contains("\"code\":\"games-dir-in-use\"") && told.contains("\"held_by\":{\"pid\":"),
        "{told}"
    );

    assert_eq!(exit(&peer.ask(&["stop"])), Some(0));
    assert_eq!(peer.child.wait().unwrap().code(), Some(0));
    assert!(!peer.state().join("api.json").exists());
}

#[test]
fn stale_api_file_is_recognised() {
    let mut peer = Running::start();
    peer.child.kill().unwrap();
    peer.child.wait().unwrap();
    assert!(peer.state().join("api.json").exists(), "a crash leaves the file, or this test tests nothing");
    let list = peer.ask(&["list"]);
    assert_eq!(exit(&list), Some(i32::from(ExitCode::NotRunning.code())));
    let told = String::from_utf8(list.stderr).unwrap();
    assert!(told.contains("no peer is running") && told.contains("lanspread run --games-dir"), "{told}");
}

#[cfg(unix)]
#[test]
fn sigterm_is_an_orderly_end() {
    let mut peer = Running::start();
    let pid = peer.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(peer.child.wait().unwrap().code(), Some(0));
    assert!(!peer.state().join("api.json").exists());
}

#[test]
fn command_line_mistakes_are_usage_errors() {
    let state = tempfile::tempdir().unwrap();
    for args in [&["run"][..], &["get", "../x"], &["get"], &["nonsense"], &["--nonsense"]] {
        assert_eq!(exit(&output(state.path(), args)), Some(i32::from(ExitCode::Usage.code())), "{args:?}");
    }
    assert_eq!(exit(&output(state.path(), &["--help"])), Some(0));
}

/// Puts a game with a title of its own into the library of a peer.
fn put_game(games: &Path, id: &str, title: &str) {
    let folder = games.join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("version.ini"), "20250101").unwrap();
    std::fs::write(folder.join("data.eti"), id.as_bytes()).unwrap();
    std::fs::write(folder.join("lanspread.toml"), format!("title = {title:?}\n")).unwrap();
}

#[test]
fn each_catalogue_is_the_next_edition_with_titles() {
    let folders = tempfile::tempdir().unwrap();
    let (games, out) = (folders.path().join("games"), folders.path().join("party.toml"));
    put_game(&games, "ggoo", "Great Game");
    let make = || {
        let args = ["catalog", "make", "--games-dir", games.to_str().unwrap(), "-o", out.to_str().unwrap()];
        let done = output(folders.path(), &args);
        (exit(&done), std::fs::read_to_string(&out).unwrap())
    };
    let (code, first) = make();
    assert_eq!(code, Some(0), "{first}");
    assert!(first.contains("serial = 1\n") && first.contains("title = \"Great Game\""), "{first}");
    std::fs::write(&out, first.replace("Great Game", "As people say")).unwrap();
    let (code, second) = make();
    assert_eq!(code, Some(0), "{second}");
    assert!(second.contains("serial = 2\n") && second.contains("title = \"As people say\""), "{second}");

    std::fs::write(&out, "something else").unwrap();
    let (code, text) = make();
    assert_eq!((code, text.as_str()), (Some(i32::from(ExitCode::Start.code())), "something else"));
}

#[test]
fn catalogue_of_a_folder_in_use_comes_from_its_peer() {
    let peer = Running::start();
    let (games, out) = (peer.state().join("games"), peer.state().join("party.toml"));
    let args = ["catalog", "make", "--games-dir", games.to_str().unwrap(), "-o", out.to_str().unwrap()];
    let done = peer.ask(&args);
    assert_eq!(exit(&done), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::read_to_string(&out).unwrap().contains("serial = 1\n"));
}

#[test]
fn misspelt_games_folder_is_not_created() {
    let state = tempfile::tempdir().unwrap();
    let games = state.path().join("gmaes");
    let run = output(state.path(), &["run", "--games-dir", games.to_str().unwrap()]);
    assert_eq!(exit(&run), Some(i32::from(ExitCode::Start.code())));
    assert!(!games.exists());
}

#[test]
fn demo_runs_to_its_end() {
    let state = tempfile::tempdir().unwrap();
    let demo = output(state.path(), &["demo", "--size", "16"]);
    let text = String::from_utf8_lossy(&demo.stdout);
    assert_eq!(exit(&demo), Some(0), "{text}\n{}", String::from_utf8_lossy(&demo.stderr));
    for part in ["served by  ada", "served by  bela", "sky-harbour.eti", "Every file is the same"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}
