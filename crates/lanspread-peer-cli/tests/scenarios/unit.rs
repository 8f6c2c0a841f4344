//! Claims that only a unit test can show: a scenario requires the `ok` line of that test.
//!
//! Cargo builds the crate's test binary in the same target folder and profile as this suite, because only cargo knows
//! whether a binary is older than its source. The cargo that runs this suite does not hold the lock on that folder
//! meanwhile. The binary then runs exactly one test. A test that is missing, renamed, filtered out or ignored prints
//! no `ok` line, so the scenario is red.

use std::collections::HashMap;
use std::env::consts::EXE_EXTENSION;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::Value;

use crate::lab::Lab;
use crate::scenario::{Failure, Outcome, require};

/// Test binaries of this run by package. Each is built once; a second scenario waits for the build of the first.
static BINARIES: LazyLock<Mutex<HashMap<String, Result<PathBuf, String>>>> = LazyLock::new(Mutex::default);

/// Scenarios that demand unit tests.
pub const NEEDED_BY: &[&str] = &["S12", "S14", "S27", "S28", "S56"];

/// Environment variable with a folder of prebuilt test programs, for a suite that was built for Windows on Linux and
/// runs under Wine, where cargo cannot run.
const PREBUILT: &str = "LANSPREAD_UNIT_TESTS";

/// Returns whether unit tests can run: prebuilt, or built by the cargo of this system.
pub fn can_be_had() -> bool {
    let own_cargo = !cfg!(windows) || env!("CARGO").to_ascii_lowercase().ends_with(".exe");
    own_cargo || std::env::var_os(PREBUILT).is_some()
}

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
        command.env("LANSPREAD_SABOTAGE", sabotage.fault);
    }
    let output = command.output()?;
    lab.overhear(&String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    require!(
        text.lines().any(|line| line == "running 1 test"),
        "{package} has no test named {test}:\n{text}"
    );
    let ok = text.lines().any(|line| line == format!("test {test} ... ok"));
    let text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    require!(ok && output.status.success(), "{package} {test} is not ok:\n{text}");
    Ok(())
}

fn build(package: &str) -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os(PREBUILT) {
        return newest(Path::new(&folder), package);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["test", "--package", package, "--lib", "--no-run", "--message-format=json"]);
    command.arg("--target-dir").arg(target).arg("--profile").arg(profile());
    if cfg!(feature = "sabotage") {
        command.arg("--features").arg(format!("{package}/sabotage"));
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

/// Returns the newest test program of a package.
fn newest(folder: &Path, package: &str) -> Result<PathBuf, String> {
    let start = format!("{}-", package.replace('-', "_"));
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let programs = entries.flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&start) && Path::new(&name).extension().unwrap_or_default() == EXE_EXTENSION
    });
    let newest = programs.max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
    let none = || format!("no tests of {package} in {}: build them first", folder.display());
    newest.map(|entry| entry.path()).ok_or_else(none)
}

/// Returns the profile to build the unit tests with, from this suite's own path `target/FOLDER/deps/scenarios-…`. Cargo
/// puts the profile `test` into the folder `debug`, `bench` into `release`, and any other into a folder of its own
/// name.
fn profile() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.parent().and_then(Path::parent).and_then(Path::file_name);
    match folder.and_then(|name| name.to_str()) {
        None | Some("debug") => "test".to_owned(),
        Some("release") => "bench".to_owned(),
        Some(other) => other.to_owned(),
    }
}
