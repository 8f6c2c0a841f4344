//! Claims that only a unit test can show: the suite demands that test's own `ok` line.
//!
//! The test binary of the crate is built by cargo, in the same target folder and profile as this suite, and is then
//! run for exactly one test. Cargo, because nothing else knows whether a binary in that folder is older than its
//! source; the lock on the target folder is free while tests run, because cargo holds it for building only. A test
//! that is missing, renamed, filtered out or ignored has no `ok` line, and so the scenario is red.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value;

use crate::lab::Lab;
use crate::scenario::{Failure, Outcome, require};

/// Test binaries of this run by package: each is built once, and a second scenario waits for the first one's build.
static BINARIES: LazyLock<Mutex<HashMap<String, Result<PathBuf, String>>>> = LazyLock::new(Mutex::default);

/// Runs one unit test of a package's library and requires its `ok` line.
pub fn require_ok(lab: &Lab, package: &str, test: &str) -> Outcome {
    let binary = {
        let mut binaries = BINARIES.lock().unwrap_or_else(PoisonError::into_inner);
        let built = binaries.entry(package.to_owned()).or_insert_with(|| build(package));
        built.clone().map_err(Failure)?
    };
    let mut command = Command::new(binary);
    command.args(["--exact", test, "--test-threads=1", "--no-capture"]).env_remove("LANSPREAD_SABOTAGE");
    if let Some(sabotage) = lab.sabotage() {
        command.env("LANSPREAD_SABOTAGE", sabotage.0);
    }
    let output = command.output()?;
    lab.overhear(&String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    require!(text.contains("running 1 test\n"), "{package} has no test named {test}:\n{text}");
    let ok = text.lines().any(|line| line == format!("test {test} ... ok"));
    let text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    require!(ok && output.status.success(), "{package} {test} is not ok:\n{text}");
    Ok(())
}

fn build(package: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["test", "--package", package, "--lib", "--no-run", "--message-format=json"]);
    command.arg("--target-dir").arg(target).arg("--profile").arg(profile());
    if cfg!(feature = "sabotage") {
        command.args(["--features", "lanspread-types/sabotage"]);
    }
    let output = command.output().map_err(|e| format!("cargo cannot be run: {e}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the tests of {package} do not build:\n{text}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut executables = text.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let tested = message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| tested).map(PathBuf::from)
    });
    executables.next_back().ok_or_else(|| format!("cargo built no test binary of {package}"))
}

/// The profile that this suite was built with, from where it lies: `target/PROFILE/deps/scenarios-…`.
fn profile() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.parent().and_then(Path::parent).and_then(Path::file_name);
    match folder.and_then(|name| name.to_str()) {
        None | Some("debug") => "test".to_owned(),
        Some("release") => "bench".to_owned(),
        Some(other) => other.to_owned(),
    }
}
