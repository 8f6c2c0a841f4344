//! The doctor: checks for what keeps peers from finding each other or from downloading, and advises what to do.
//!
//! It works with and without a running peer, changes nothing, and takes a few seconds. Checks are independent: one that
//! cannot be made says so and hides no other.

mod disk;
mod firewall;
mod network;
mod tool;
#[cfg(any(target_os = "windows", test))]
mod windows_firewall;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lanspread_core::io::DiskError;
use lanspread_net::discovery::{BEACON_PORT, Hearing, Interface, interfaces, listen};

use crate::calendar::CLOCK_MIN;

/// Verdict of a check, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// No problem was found.
    Good,
    /// The check could not be made.
    Unknown,
    /// It works, but not as well as it could.
    Poor,
    /// It does not work.
    Bad,
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Name of the check; stable, for scripts.
    pub name: &'static str,
    /// The verdict.
    pub health: Health,
    /// What was found, as a sentence for people.
    pub found: String,
    /// What the owner can do; `None` if there is nothing to do.
    pub advice: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, health: Health::Good, found: found.into(), advice: None }
    }

    fn new(name: &'static str, health: Health, found: impl Into<String>, advice: &str) -> Self {
        Self { name, health, found: found.into(), advice: Some(advice.to_owned()) }
    }
}

/// What is known about the peer that is examined.
#[derive(Debug, Clone, Default)]
pub struct Patient {
    /// State folder of the peer.
    pub state_dir: PathBuf,
    /// Games folder; `None` if it is not known.
    pub games_dir: Option<PathBuf>,
    /// Address that the running peer listens on; `None` if no peer runs.
    pub listening: Option<SocketAddr>,
    /// Number of peers connected to the running peer; 0 if none runs.
    pub connected: usize,
    /// Names and protocol versions of peers that the running peer could not talk to for their version.
    pub other_versions: Vec<(String, u16)>,
    /// Port that a peer would listen on.
    pub default_port: u16,
    /// Why the running peer could not read its library at its last scan; `None` if it could.
    pub library_fault: Option<DiskError>,
    /// The games folder cannot be written.
    pub library_read_only: bool,
}

/// Time to listen for other peers.
const LISTEN: Duration = Duration::from_secs(4);

/// Makes all checks and returns them in a fixed order.
pub async fn examine(patient: Patient) -> Vec<Check> {
    let all = tokio::task::spawn_blocking(interfaces::all).await.unwrap_or_default();
    let usable: Vec<Interface> = all.iter().filter(|i| i.is_usable()).cloned().collect();
    let hearing = listen(&usable, BEACON_PORT, LISTEN).await;
    let mut checks = vec![network::interfaces(&all)];
    checks.push(network::listener(&patient, &usable).await);
    checks.push(network::multicast(&hearing, &usable));
    checks.push(network::broadcast(&hearing, &usable));
    checks.push(network::room(&patient, &hearing));
    checks.push(versions(&patient, &hearing));
    checks.push(tokio::task::spawn_blocking(firewall::check).await.unwrap_or_else(|_| firewall::unknown()));
    checks.push(clock(SystemTime::now()));
    checks.extend(patient.library_fault.as_ref().map(library));
    checks.extend(patient.library_read_only.then(read_only_library));
    let (state_dir, games_dir) = (patient.state_dir, patient.games_dir);
    let disks = tokio::task::spawn_blocking(move || disk::check(&state_dir, games_dir.as_deref()));
    checks.extend(disks.await.unwrap_or_default());
    checks
}

fn versions(patient: &Patient, hearing: &Hearing) -> Check {
    let ours = lanspread_types::limits::PROTOCOL_VERSION;
    let heard = hearing.versions.iter().filter(|(_, (_, theirs))| *theirs != ours);
    let heard = heard.map(|(peer, (name, theirs))| {
        (name.as_ref().map_or_else(|| peer.short(), ToString::to_string), *theirs)
    });
    let mut others: Vec<(String, u16)> = heard.chain(patient.other_versions.iter().cloned()).collect();
    others.sort();
    others.dedup();
    if others.is_empty() {
        return Check::good("versions", "no incompatible versions found");
    }
    let each: Vec<String> = others.iter().map(|(name, theirs)| format!("{name} speaks {theirs}")).collect();
    let found = format!("this program speaks protocol version {ours}, but {}", each.join(", "));
    Check::new(
        "versions",
        Health::Bad,
        found,
        "use the same version of lanspread on all PCs, preferably the newest one in the room",
    )
}

fn library(fault: &DiskError) -> Check {
    let advice = match fault {
        DiskError::OutOfFiles(_) => {
            "find out who keeps so many connections to this PC open, or raise the limit of open files (ulimit -n)"
        }
        _ => "check the disk and the folder's permissions; until then, the last known state is kept",
    };
    Check::new("library", Health::Bad, format!("the library cannot be read: {fault}"), advice)
}

fn read_only_library() -> Check {
    let found = "the games folder is read-only: its games are shared, but nothing can be downloaded or installed there";
    Check::new("library", Health::Poor, found, "choose a games folder that you may write to")
}

fn clock(now: SystemTime) -> Check {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since >= CLOCK_MIN => Check::good("clock", "the clock looks right"),
        _ => Check::new(
            "clock",
            Health::Poor,
            "the clock is set before 2025",
            "set the clock: connections work without it, but if file times jump, every game must be hashed again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::limits::PROTOCOL_VERSION;

    use super::*;

    #[test]
    fn clock_without_a_battery_is_noticed() {
        assert_eq!(clock(SystemTime::UNIX_EPOCH).health, Health::Poor);
        assert_eq!(clock(SystemTime::now()).health, Health::Good);
    }

    #[test]
    fn another_version_is_named_with_both_numbers() {
        let patient = Patient { other_versions: vec![("ada".to_owned(), 7)], ..Patient::default() };
        let check = versions(&patient, &Hearing::default());
        assert!(
            check.health == Health::Bad
                && check.found.contains(&format!("version {PROTOCOL_VERSION}"))
                && check.found.contains("ada speaks 7")
        );
        assert_eq!(versions(&Patient::default(), &Hearing::default()).health, Health::Good);
    }

    #[tokio::test]
    async fn every_check_is_made_and_bad_news_comes_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let patient =
            Patient { state_dir: dir.path().into(), games_dir: Some(missing), ..Patient::default() };
        let checks = examine(patient).await;
        let names: Vec<&str> = checks.iter().map(|c| c.name).collect();
        assert_eq!(
            names,
            [
                "interfaces",
                "listener",
                "multicast",
                "broadcast",
                "room",
                "versions",
                "firewall",
                "clock",
                "state-folder",
                "games-folder"
            ]
        );
        assert!(checks.iter().all(|c| c.health < Health::Poor || c.advice.is_some()), "{checks:?}");
        assert_eq!(checks[9].health, Health::Bad, "there is no such folder");
        assert_eq!(checks[8].health, Health::Good);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
