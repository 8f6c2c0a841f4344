//! The way out: whatever carries a tag is ended and deleted.
//!
//! It runs at the end, on Ctrl-C, and for the tags of processes that are gone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::neighbours;
use super::tools::output;

const TAG: &str = "lsb";

/// What all names of this process start with.
pub fn tag() -> String {
    format!("{TAG}{}", std::process::id())
}

/// Where the scratch folder of a tag is.
pub fn scratch_folder(tag: &str) -> PathBuf {
    std::env::temp_dir().join(tag)
}

/// Ends all processes in namespaces of a tag, deletes these, unmounts its scratch folder, and puts back the kernel settings
/// that its process changed.
pub fn sweep(tag: &str) {
    for namespace in namespaces().iter().filter(|n| n.starts_with(&format!("{tag}-"))) {
        delete(namespace);
    }
    let folder = scratch_folder(tag);
    if folder.exists() {
        // Fails where nothing is mounted, which is fine: then the files are in the folder itself.
        let _ =
            Command::new("umount").args(["-l".as_ref(), folder.as_os_str()]).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&folder);
    }
    neighbours::put_back(tag);
}

/// Sweeps after earlier runs that were killed.
pub fn sweep_strays() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let tags: BTreeSet<String> =
        namespaces().into_iter().chain(files).filter_map(|name| stray(&name)).collect();
    for tag in tags {
        sweep(&tag);
    }
}

/// The tag in a name, if its process is gone.
fn stray(name: &str) -> Option<String> {
    let pid: u32 = name.strip_prefix(TAG)?.split('-').next()?.parse().ok()?;
    (!PathBuf::from(format!("/proc/{pid}")).exists()).then(|| format!("{TAG}{pid}"))
}

fn namespaces() -> Vec<String> {
    let text = output("ip", &["netns", "list"]).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Ends what runs in a namespace, and deletes it.
pub fn delete(namespace: &str) {
    for pid in output("ip", &["netns", "pids", namespace]).unwrap_or_default().lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
}
