//! Figures that scenarios measured, for the end of the run and for the run log in `PEER_CLI_SCENARIOS.md`.
//!
//! With `LANSPREAD_RUN_LOG=1` a run adds a line to the log: date, commit, lab, duration, result and figures. The log
//! is kept when the matrix above it is generated again.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::scenario::LabKind;

static FIGURES: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());

pub fn note(scenario: &'static str, figure: String) {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner).push((scenario, figure));
}

fn sorted() -> Vec<(&'static str, String)> {
    let mut figures = FIGURES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    figures.sort_by_key(|(scenario, _)| crate::matrix::number(scenario));
    figures
}

/// Returns one line for each figure.
pub fn all() -> String {
    sorted().iter().map(|(scenario, figure)| format!("{scenario}: {figure}\n")).collect()
}

/// Description of a run.
#[derive(Debug)]
pub struct RunLabel {
    pub lab: LabKind,
    pub took: Duration,
    pub commit: String,
}

impl RunLabel {
    pub fn new(lab: LabKind, took: Duration) -> Self {
        Self { lab, took, commit: commit() }
    }
}

impl fmt::Display for RunLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lab, seconds) = (self.lab.as_str(), self.took.as_secs());
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        write!(f, "{}, commit {}, lab `{lab}`, {cores} cores, {seconds} s.", today(), self.commit)
    }
}

/// Returns the date in UTC (algorithm: Hinnant, `civil_from_days`).
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = (seconds / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Returns the commit of the source, marked if the source has uncommitted changes.
fn commit() -> String {
    let git = |args: &[&str]| {
        let done = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

/// Adds this run to the run log if `LANSPREAD_RUN_LOG` is set.
pub fn log_run(label: &RunLabel, passed: u64, failed: u64, ignored: u64) -> std::io::Result<()> {
    if std::env::var_os("LANSPREAD_RUN_LOG").is_none() {
        return Ok(());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("PEER_CLI_SCENARIOS.md");
    let mut text = std::fs::read_to_string(&path)?;
    let figures: Vec<String> = sorted().iter().map(|(id, figure)| format!("{id}: {figure}")).collect();
    let failed = if failed == 0 { String::new() } else { format!(", {failed} FAILED") };
    text.push_str(&format!(
        "\n- {label} {passed} passed{failed}, {ignored} not run here. {}.\n",
        figures.join("; ")
    ));
    std::fs::write(path, text)
}
