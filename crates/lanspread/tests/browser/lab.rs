//! Peers for the browser: real processes with real folders.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);
pub const VERSION: &str = "20260101";

/// One running program with its folders. It ends with the test.
pub struct Peer {
    child: Child,
    folders: TempDir,
    extra: Vec<String>,
    name: String,
}

impl Peer {
    /// Starts the program like a newcomer: without settings.
    pub fn newcomer() -> Self {
        let mut peer = Self::prepared("newcomer", &[]);
        let mut command = peer.command(&["--no-browser", "--no-discovery"]);
        peer.child = command.spawn().unwrap();
        peer.wait_for_interface();
        peer
    }

    pub fn run(name: &str, extra: &[&str], games: impl FnOnce(&Path)) -> Self {
        let mut peer = Self::prepared(name, extra);
        games(&peer.games());
        peer.start();
        peer
    }

    fn prepared(name: &str, extra: &[&str]) -> Self {
        // A path that may appear in pictures.
        let folders = tempfile::Builder::new().prefix("lanspread-").tempdir().unwrap();
        fs::create_dir(folders.path().join("games")).unwrap();
        let placeholder = Command::new(env!("CARGO_BIN_EXE_lanspread"))
            .arg("--version")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let extra = extra.iter().map(|text| (*text).to_owned()).collect();
        Self { child: placeholder, folders, extra, name: name.to_owned() }
    }

    /// Starts the program, for the first time or again.
    pub fn start(&mut self) {
        let _ = fs::remove_file(self.api_file());
        let games = self.games().to_str().unwrap().to_owned();
        let mut command = self.command(&["run", "--games-dir", &games, "--name", &self.name.clone()]);
        // The same port again, so that other peers find it.
        let port = fs::read_to_string(self.state().join("test-port")).unwrap_or_else(|_| "0".to_owned());
        // Peers of other tests run on this machine, too.
        command.arg("--no-discovery").arg("--listen").arg(format!("127.0.0.1:{port}")).args(&self.extra);
        self.child = command.spawn().unwrap();
        self.wait_for_interface();
        let status = self.get("status");
        let addr: SocketAddr = status["data"]["addr"].as_str().unwrap().parse().unwrap();
        fs::write(self.state().join("test-port"), addr.port().to_string()).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the program has ended by itself.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanspread"));
        command.arg("--state-dir").arg(self.state()).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn state(&self) -> PathBuf {
        self.folders.path().join("state")
    }

    pub fn games(&self) -> PathBuf {
        self.folders.path().join("games")
    }

    pub fn folder(&self) -> &Path {
        self.folders.path()
    }

    fn api_file(&self) -> PathBuf {
        self.state().join("api.json")
    }

    fn api(&self) -> Option<(String, String)> {
        let file: Value = serde_json::from_slice(&fs::read(self.api_file()).ok()?).ok()?;
        Some((file["address"].as_str()?.to_owned(), file["token"].as_str()?.to_owned()))
    }

    fn wait_for_interface(&self) {
        let end = Instant::now() + DEADLINE;
        while self.api().is_none_or(|(address, _)| std::net::TcpStream::connect(&address).is_err()) {
            assert!(Instant::now() < end, "{} has no interface", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn address(&self) -> String {
        format!("http://{}/", self.api().unwrap().0)
    }

    /// Address of the page with the token.
    pub fn page(&self) -> String {
        let (address, token) = self.api().unwrap();
        format!("http://{address}/?token={token}")
    }

    pub fn get(&self, what: &str) -> Value {
        let (address, token) = self.api().unwrap();
        let answer = ureq::get(format!("http://{address}/api/v1/{what}"))
            .header("authorization", format!("Bearer {token}"))
            .call();
        answer.unwrap().body_mut().read_json().unwrap()
    }

    pub fn post(&self, what: &str, body: &Value) {
        let (address, token) = self.api().unwrap();
        let request = ureq::post(format!("http://{address}/api/v1/{what}"));
        request.header("authorization", format!("Bearer {token}")).send_json(body).unwrap();
    }

    /// Sends a command that is refused, and returns why.
    pub fn refusal(&self, what: &str, body: &Value) -> Value {
        let (address, token) = self.api().unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("http://{address}/api/v1/{what}"));
        let answer = request.header("authorization", format!("Bearer {token}")).send_json(body);
        let mut answer = answer.unwrap();
        assert!(!answer.status().is_success(), "{what} was not refused");
        answer.body_mut().read_json().unwrap()
    }

    /// Connects to another peer.
    pub fn meet(&self, other: &Self) {
        let addr = other.get("status")["data"]["addr"].clone();
        self.post("connect", &serde_json::json!({ "addr": addr }));
    }

    /// Runs a command of the program on this peer's state folder.
    pub fn command_line(&self, args: &[&str]) -> String {
        let output = self.command(args).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A game as this peer sees it; null if it sees none.
    pub fn game(&self, id: &str) -> Value {
        let games = self.get("games")["data"]["games"].clone();
        let found = games.as_array().unwrap().iter().find(|game| game["game_id"] == id).cloned();
        found.unwrap_or(Value::Null)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a game of about this many bytes. The same id, version and size give the same bytes.
pub fn game(games: &Path, id: &str, version: &str, bytes: usize) {
    game_with(games, id, version, bytes, &[]);
}

/// Makes a game with more arguments for `lanspread pack`, such as a title.
pub fn game_with(games: &Path, id: &str, version: &str, bytes: usize, args: &[&str]) {
    let mut content = vec![0; bytes];
    let mut output = blake3::Hasher::new_derive_key("lanspread browser test game");
    output.update(id.as_bytes()).update(version.as_bytes());
    output.finalize_xof().fill(&mut content);
    pack(games, ("data.pak", &content), (id, version), args);
}

/// Shell command that waits until a file exists. It ends after a minute, so that a failed test leaves no process behind.
pub fn wait_for_file(path: &str) -> String {
    format!("n=0; while [ ! -e {path} ] && [ $n -lt 600 ]; do n=$((n+1)); sleep 0.1; done\n")
}

/// Makes a game that consists of its start script.
pub fn program(games: &Path, id: &str, script: &str) {
    pack(games, ("go.sh", script.as_bytes()), (id, VERSION), &["--start", "go.sh"]);
}

/// Packs a folder of one file as a game with the program under test.
pub fn pack(games: &Path, file: (&str, &[u8]), (id, version): (&str, &str), args: &[&str]) {
    let source = tempfile::tempdir().unwrap();
    let (path, content) = (source.path().join(file.0), file.1);
    fs::write(&path, content).unwrap();
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let packed = Command::new(env!("CARGO_BIN_EXE_lanspread"))
        .args(["pack", source.path().to_str().unwrap(), "--id", id, "--version", version, "--games-dir"])
        .arg(games)
        .args(args)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
}

/// Number of archives in a [`bomb`]. Together they unpack to over a gibibyte more than their own size, which is the
/// limit without the owner's consent.
const BOMB_ARCHIVES: u64 = 17;
pub const BOMB_ARCHIVE_BYTES: usize = 64 << 20;

/// Makes a game of a few kilobytes that unpacks to more than a gigabyte: many copies of one archive.
pub fn bomb(games: &Path, id: &str) {
    let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar50);
    builder.add_bytes(b"zeros.bin".to_vec(), vec![0; BOMB_ARCHIVE_BYTES], None, None).unwrap();
    let archive = builder.to_bytes().unwrap();
    let folder = games.join(id);
    fs::create_dir(&folder).unwrap();
    for at in 0..BOMB_ARCHIVES {
        fs::write(folder.join(format!("{at:02}.eti")), &archive).unwrap();
    }
    fs::write(folder.join("version.ini"), VERSION).unwrap();
}

/// Makes a game whose archive nobody unpacks.
pub fn tiny_game(games: &Path, id: &str) {
    let folder = games.join(id);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(format!("{id}.eti")), id).unwrap();
    fs::write(folder.join("version.ini"), VERSION).unwrap();
}
