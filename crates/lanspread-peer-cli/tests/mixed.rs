//! A mixed party: a peer built for Windows (under Wine) and a native one download each other's games, install them,
//! and end up with the same bytes.
//!
//! `tools/windows.sh mixed` builds the Windows program and runs this test with its path. Without that program the
//! test is listed as ignored, with the reason.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

/// Environment variable with the path of the Windows program.
const VARIABLE: &str = "LANSPREAD_WINDOWS_PEER";
/// Longest time that a step may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let windows = std::env::var_os(VARIABLE).map(PathBuf::from);
    let name = "a Windows peer and one of this system exchange games, byte for byte";
    let trial = match windows {
        Some(program) => Trial::test(name, move || {
            exchange(&program);
            Ok(())
        }),
        None => Trial::test(
            format!("{name} (left out: {VARIABLE} is not set, see tools/windows.sh mixed)"),
            || Ok(()),
        )
        .with_ignored_flag(true),
    };
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn exchange(program: &Path) {
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("here"), root.path().join("there"));
    copy(&fixture("fixture-alpha/bf1942"), &here.join("games/bf1942"));
    write_game(&here.join("games/linux-made"), "\n");
    copy(&fixture("fixture-bravo/cnctw"), &there.join("games/cnctw"));
    write_game(&there.join("games/windows-made"), "\r\n");

    let mut ours = Peer::start(Command::new(env!("CARGO_BIN_EXE_lanspread-peer-cli")), &here, &text(&here));
    // Under Wine drive Z is the root of this system.
    let mut wine = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/windows.sh"));
    wine.arg("wine").arg(program);
    let mut theirs = Peer::start(wine, &there, &format!("Z:{}", text(&there).replace('/', r"\")));

    ours.ask(&json!({"cmd": "connect", "addr": theirs.addr}));
    for (peer, games) in [(&mut ours, ["cnctw", "windows-made"]), (&mut theirs, ["bf1942", "linux-made"])] {
        for game in games {
            peer.offered(game);
            let install = game != "windows-made" && game != "linux-made";
            peer.ask(&json!({"cmd": "download", "game_id": game, "install": install}));
            peer.event(if install { "install-finished" } else { "download-finished" }, game);
        }
    }
    for game in ["bf1942", "cnctw", "linux-made", "windows-made"] {
        assert_eq!(shared(&here, game), shared(&there, game), "{game}");
    }

    // Each peer installs the game that the other one has installed, and both uninstall again.
    for (peer, game) in [(&mut ours, "bf1942"), (&mut theirs, "cnctw")] {
        peer.ask(&json!({"cmd": "install", "game_id": game}));
        peer.event("install-finished", game);
    }
    for game in ["bf1942", "cnctw"] {
        let local = tree(&here.join("games").join(game).join("local"));
        assert!(!local.is_empty(), "{game} installs something");
        assert_eq!(local, tree(&there.join("games").join(game).join("local")), "{game}");
    }
    for peer in [&mut ours, &mut theirs] {
        for game in ["bf1942", "cnctw"] {
            peer.ask(&json!({"cmd": "uninstall", "game_id": game}));
            peer.event("uninstall-finished", game);
            assert!(!peer.folder.join("games").join(game).join("local").exists(), "{game}");
        }
    }
    ours.stop();
    theirs.stop();
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Writes a game with files of odd sizes, names and line endings.
fn write_game(folder: &Path, line_end: &str) {
    const CHUNK: usize = lanspread_types::limits::CHUNK_BYTES_MIN as usize;
    let noise = |bytes: usize| (0..bytes).map(|i| (i * i / 251) as u8).collect::<Vec<u8>>();
    let files: [(&str, Vec<u8>); 7] = [
        ("archive.eti", noise(200_001)),
        ("empty", Vec::new()),
        ("one", vec![7]),
        ("a chunk", noise(CHUNK)),
        ("Daten/größe Ünïcode.txt", format!("eins{line_end}zwei{line_end}").into_bytes()),
        ("deep/er/and/deeper/игра.bin", noise(CHUNK + 1)),
        ("version.ini", b"20250101".to_vec()),
    ];
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns every file below a folder, with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            let below = tree(&path).into_iter();
            files.extend(below.map(|(name, content)| (Path::new(&entry.file_name()).join(name), content)));
        } else {
            files.insert(entry.file_name().into(), fs::read(path).unwrap());
        }
    }
    files
}

/// Returns a peer's files of a game without those that are installed.
fn shared(peer: &Path, game: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(&peer.join("games").join(game));
    files.retain(|path, _| !path.starts_with("local"));
    assert!(files.contains_key(Path::new("version.ini")), "{game} is there");
    files
}

struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    addr: String,
    folder: PathBuf,
}

impl Peer {
    /// Starts a peer and waits until it is ready. `spelled` is its folder as the program spells it.
    fn start(mut command: Command, folder: &Path, spelled: &str) -> Self {
        let name = folder.file_name().unwrap();
        command.args(["--listen", "127.0.0.1:0", "--name"]).arg(name);
        command.arg("--games-dir").arg(format!("{spelled}/games"));
        command.arg("--state-dir").arg(format!("{spelled}/state"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // The thread ends with the program or with the test.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { return };
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut peer = Self { child, stdin, lines, addr: String::new(), folder: folder.to_owned() };
        let ready = peer.wait("it is ready", |line| line["event"] == "local-peer-ready");
        peer.addr = ready["addr"].as_str().unwrap().to_owned();
        peer
    }

    fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return line,
                Ok(line) => {
                    let failed = line["type"] == "error"
                        || line["event"].as_str().is_some_and(|e| e.ends_with("-failed"));
                    assert!(!failed, "{} waits until {what}, and says {line}", self.folder.display());
                    seen.push(line.to_string());
                }
                Err(e) => panic!("{} waits until {what}: {e}; it said {seen:#?}", self.folder.display()),
            }
        }
    }

    /// Sends a command and waits for its answer.
    fn ask(&mut self, command: &Value) -> Value {
        let line = format!("{command}\n");
        self.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        self.wait(&format!("{command} is answered"), |line| {
            line["type"] == "result" && line["cmd"] == command["cmd"]
        })
    }

    fn event(&mut self, event: &str, game: &str) {
        self.wait(&format!("{event} {game}"), |line| line["event"] == event && line["game_id"] == game);
    }

    /// Waits until another peer offers the game.
    fn offered(&mut self, game: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let games = self.ask(&json!({"cmd": "list-games"}));
            let games = games["data"]["games"].as_array().unwrap();
            if games.iter().any(|g| g["game_id"] == game && g["peer_count"].as_u64() > Some(0)) {
                return;
            }
            assert!(Instant::now() < deadline, "nobody offers {game}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        self.ask(&json!({"cmd": "shutdown"}));
        self.stdin = None;
        assert!(self.child.wait().unwrap().success(), "{}", self.folder.display());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // After a successful test the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
