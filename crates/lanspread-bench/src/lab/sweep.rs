//! Clean-up of the lab: ends and deletes everything that carries a tag.
//!
//! It runs at the end, on Ctrl-C, and at the next start for processes that were killed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::neighbours;
use super::tools::output;

const TAG: &str = "lsb";

/// Prefix of all names that this process makes.
pub fn tag() -> String {
    format!("{TAG}{}", std::process::id())
}

/// Path of a tag's scratch folder.
pub fn scratch_folder(tag: &str) -> PathBuf {
    std::env::temp_dir().join(tag)
}

/// Ends all processes in the namespaces of a tag, deletes the namespaces, unmounts and deletes the scratch folder,
/// and restores the kernel settings that its process changed.
pub fn sweep(tag: &str) {
    for namespace in namespaces().iter().filter(|n| n.starts_with(&format!("{tag}-"))) {
        delete(namespace);
    }
    let folder = scratch_folder(tag);
    if folder.exists() {
        // Fails if nothing is mounted; then the files are in the folder itself.
        let _ =
            Command::new("umount").args(["-l".as_ref(), folder.as_os_str()]).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&folder);
    }
    neighbours::put_back(tag);
}

/// Sweeps for earlier runs that were killed.
pub fn sweep_strays() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let tags: BTreeSet<String> =
        namespaces().into_iter().chain(files).filter_map(|name| stray(&name)).collect();
    for tag in tags {
        sweep(&tag);
    }
}

/// Returns the tag in a name, if its process is gone.
fn stray(name: &str) -> Option<String> {
    let pid: u32 = name.strip_prefix(TAG)?.split('-').next()?.parse().ok()?;
    (!PathBuf::from(format!("/proc/{pid}")).exists()).then(|| format!("{TAG}{pid}"))
}

fn namespaces() -> Vec<String> {
    let text = output("ip", &["netns", "list"]).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Ends all processes in a namespace and deletes it.
pub fn delete(namespace: &str) {
    for pid in output("ip", &["netns", "pids", namespace]).unwrap_or_default().lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // The process may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
}
