//! Runs the system's own programs, and checks which are installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Makes [`run`] refuse everything from now on, so that the clean-up is not overtaken.
pub fn stop() {
    STOPPING.store(true, Ordering::SeqCst);
}

/// Fails, with a hint for people, if this machine cannot build a lab.
pub fn require_means() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "network namespaces need root: run this as root (sudo), or inside `unshare -Urnm`"
    );
    for tool in ["ip", "tc", "mount", "umount"] {
        ensure!(
            has_tool(tool),
            "`{tool}` is not installed: the lab is made of network namespaces and shaped links (Debian: iproute2, mount)"
        );
    }
    Ok(())
}

/// Returns whether a program is on the `PATH`.
pub fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| folder.join(name).is_file())
}

/// Runs a tool that must succeed.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    ensure!(!STOPPING.load(Ordering::SeqCst), "interrupted");
    output(program, args).map(drop)
}

/// Returns the output of a tool that must succeed.
pub fn output(program: &str, args: &[&str]) -> Result<String> {
    let done = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !done.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
