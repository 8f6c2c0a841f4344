//! A lab: the environment of a scenario's peers, with their folders, their common clock and the report of a failure.
//!
//! [`Ground`] covers what differs between labs: a peer's address, and how its process is started and killed.
//! Everything else, above all the scenarios, is the same in each lab.

mod container;
mod local;
mod netns;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::conduct;
use crate::peer::{PeerSpec, Process};
use crate::scenario::{Failure, LabKind, Outcome, Sabotage};

/// Environment that provides hosts for peers.
pub trait Ground: Send + Sync {
    /// Returns the host of the lab's `number`-th peer, counted from 1.
    fn host(&self, number: usize) -> Outcome<Box<dyn Host>>;
}

/// Environment of one peer.
pub trait Host: Send + Sync {
    /// Returns the address that the peer listens on and under which other peers reach it.
    fn ip(&self) -> IpAddr;

    /// Returns a command that runs the program on this host. Paths are the same inside and outside.
    fn command(&self, program: &Path) -> Command;

    /// Kills the process with SIGKILL.
    fn kill(&self, child: &mut Child) -> std::io::Result<()> {
        child.kill()
    }

    /// Limits the rate of the peer's link in each direction.
    fn shape(&self, _mbit_per_s: u32) -> Outcome {
        Err(Failure(
            "this lab has no links that could be shaped: the scenario may not be declared for it".into(),
        ))
    }

    /// Pulls the peer's cable, or plugs it in again.
    fn plug(&self, _plugged: bool) -> Outcome {
        Err(Failure("this lab has no cables: the scenario may not be declared for it".into()))
    }
}

/// Tries what every scenario of a kind of lab needs, so that its lack is one failure and not one for each scenario.
pub fn try_out(kind: LabKind) -> Outcome {
    match kind {
        LabKind::Local | LabKind::Netns => Ok(()),
        LabKind::Container => container::first_start(),
    }
}

/// The lab of one scenario. Dropping it kills every process; [`Lab::close`] also deletes the folders.
pub struct Lab {
    kind: LabKind,
    ground: Box<dyn Ground>,
    root: PathBuf,
    epoch: Instant,
    sabotage: Option<Sabotage>,
    processes: Mutex<Vec<Arc<Process>>>,
    /// Standard error of programs that are not peers of the lab.
    overheard: Mutex<String>,
}

impl Lab {
    pub fn new(kind: LabKind, id: &str, sabotage: Option<Sabotage>) -> Outcome<Self> {
        let suffix = sabotage.map_or(String::new(), |s| format!("-{}", s.fault));
        let folder = format!("{id}-{}{suffix}", std::process::id());
        // A test built for Windows on another system has that system's path, without a drive.
        let root = std::path::absolute(env!("CARGO_TARGET_TMPDIR"))?.join("scenarios").join(folder);
        // Process ids are reused, so an earlier run may have left this folder behind.
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root)?;
        let ground: Box<dyn Ground> = match kind {
            LabKind::Local => Box::new(local::Loopback::new()),
            LabKind::Netns => Box::new(netns::Room::new()?),
            LabKind::Container => Box::new(container::Network::new(&root)?),
        };
        Ok(Self {
            kind,
            ground,
            root,
            epoch: Instant::now(),
            sabotage,
            processes: Mutex::default(),
            overheard: Mutex::default(),
        })
    }

    pub fn kind(&self) -> LabKind {
        self.kind
    }

    /// Prepares a peer with its own folders. It does not run until it is started.
    pub fn peer(&self, name: &str) -> Outcome<PeerSpec<'_>> {
        PeerSpec::new(self, name)
    }

    /// Creates a folder of the lab and returns its path.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.root.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    pub fn sabotage(&self) -> Option<Sabotage> {
        self.sabotage
    }

    /// Returns the host for the next peer.
    pub(crate) fn next_host(&self) -> Outcome<Box<dyn Host>> {
        self.ground.host(self.all().len() + 1)
    }

    pub(crate) fn enlist(&self, process: Arc<Process>) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    fn all(&self) -> Vec<Arc<Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails if a peer printed a line outside the contract, ended without being told to, or broke a rule that holds
    /// in every scenario.
    pub fn check_conduct(&self) -> Outcome {
        for process in self.all() {
            if let Some(fault) = process.log().faults().first() {
                return Err(Failure(format!(
                    "{} printed a line outside the contract: {fault}",
                    process.name()
                )));
            }
            process.require_orderly()?;
        }
        conduct::check(&self.all())
    }

    /// Returns the last lines of each peer's log, and where to find the rest.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for process in self.all() {
            let _ =
                writeln!(text, "  {} ({}), > told, < printed, # done to it:", process.name(), process.ip());
            text.push_str(&process.log().tail());
            let stderr = process.stderr_tail();
            if !stderr.is_empty() {
                let _ = writeln!(text, "    its standard error ends with:\n{stderr}");
            }
        }
        let _ = writeln!(text, "  full logs and folders: {}", self.root.display());
        text
    }

    /// Records the standard error of a program that is not a peer of the lab.
    pub fn overhear(&self, stderr: &str) {
        self.overheard.lock().unwrap_or_else(PoisonError::into_inner).push_str(stderr);
    }

    /// Returns the standard error of all programs.
    pub fn stderr(&self) -> String {
        let overheard = self.overheard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.all().iter().map(|p| p.stderr()).chain([overheard]).collect::<Vec<_>>().join("\n")
    }

    /// Kills all processes, and deletes the folders unless `keep`.
    pub fn close(self, keep: bool) {
        for process in self.all() {
            process.end();
        }
        // This closes the log files, which could not be deleted on Windows while they are open.
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if !keep {
            // If this fails, only some space below the target folder stays in use.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in self.all() {
            process.end();
        }
    }
}
