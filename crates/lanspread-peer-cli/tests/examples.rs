//! The examples of the JSON lines interface (`examples/`) do what their README says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::Arguments;

#[path = "../../../examples/trials.rs"]
mod trials;
use trials::{missing_python, rust_example, trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lanspread-peer-cli");

fn main() -> ExitCode {
    let python = trial("download.py downloads and installs", missing_python(), || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/download.py");
        installs(Command::new("python3").arg(script).arg(PROGRAM));
    });
    let example = rust_example(PROGRAM, "download");
    let rust = trial("download.rs downloads and installs", example.clone().err(), move || {
        installs(Command::new(example.unwrap()).arg(PROGRAM));
    });
    libtest_mimic::run(&Arguments::from_args(), vec![python, rust]).exit_code()
}

fn installs(example: &mut Command) {
    let output = example.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("installed ggoo"), "{text}");
}
