//! The examples of the HTTP interface (`examples/`) do what their README says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use libtest_mimic::Arguments;
use tempfile::TempDir;

#[path = "../../../examples/trials.rs"]
mod trials;
use trials::{missing_python, rust_example, trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lanspread");

fn main() -> ExitCode {
    let python = trial("games.py lists the games", missing_python(), || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/games.py");
        lists(Command::new("python3").arg(script));
    });
    let example = rust_example(PROGRAM, "games");
    let rust = trial("games.rs lists the games", example.clone().err(), move || {
        lists(&mut Command::new(example.unwrap()));
    });
    libtest_mimic::run(&Arguments::from_args(), vec![python, rust]).exit_code()
}

fn lists(example: &mut Command) {
    let peer = Running::start();
    let output = example.arg(peer.folder.path()).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.lines().any(|line| line.starts_with("ggoo  ")), "{text}");
}

/// A running peer with the game `ggoo`; its state is the temporary folder. Killed when it is dropped.
struct Running {
    process: Child,
    folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let game = folder.path().join("games/ggoo");
        std::fs::create_dir_all(&game).unwrap();
        std::fs::write(game.join("version.ini"), "20250101").unwrap();
        std::fs::write(game.join("ggoo.eti"), "bytes").unwrap();
        let mut process = Command::new(PROGRAM)
            .arg("--state-dir")
            .arg(folder.path())
            .args(["--json", "run", "--listen", "127.0.0.1:0", "--games-dir"])
            .arg(folder.path().join("games"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The game is listed once it has been hashed.
        assert!(
            lines.any(|line| line.contains("local-library-changed") && line.contains("ggoo")),
            "the peer has ended"
        );
        Self { process, folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
