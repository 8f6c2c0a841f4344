//! Runs programs of the operating system, such as `ufw` or `reg`, for the doctor's checks.

use std::process::{Command, Stdio};

/// Returns what a tool prints, or `None` if it is missing, not permitted or fails.
pub(super) fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
