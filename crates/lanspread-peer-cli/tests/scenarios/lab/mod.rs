//! A lab: the ground that a scenario's peers stand on, their folders, their common clock, and what is told of them when
//! a claim does not hold.
//!
//! What differs between labs is behind [`Ground`]: which address a peer has, how its process is started, and how it is
//! killed. Everything else, scenarios above all, is the same in each.

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
use crate::scenario::{Failure, LabKind, Outcome};
use crate::teeth::Sabotage;

/// Where peers live.
pub trait Ground: Send + Sync {
    /// The place of the lab's `number`-th peer, from 1.
    fn host(&self, number: usize) -> Outcome<Box<dyn Host>>;
}

/// The place of one peer.
pub trait Host: Send + Sync {
    /// The address that the peer listens on, and that other peers reach it at.
    fn ip(&self) -> IpAddr;

    /// A command that runs the program there. Paths are the same inside and outside.
    fn command(&self, program: &Path) -> Command;

    /// Ends the process at once, without a word: SIGKILL.
    fn kill(&self, child: &mut Child) -> std::io::Result<()> {
        child.kill()
    }

    /// Limits the speed of the peer's link, in each direction.
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

/// One scenario's lab. Dropping it ends every process; the folders go too, unless the scenario failed.
pub struct Lab {
    kind: LabKind,
    ground: Box<dyn Ground>,
    root: PathBuf,
    epoch: Instant,
    sabotage: Option<Sabotage>,
    processes: Mutex<Vec<Arc<Process>>>,
    /// What other programs than peers wrote to standard error.
    overheard: Mutex<String>,
}

impl Lab {
    pub fn new(kind: LabKind, id: &str, sabotage: Option<Sabotage>) -> Outcome<Self> {
        let suffix = sabotage.map_or(String::new(), |s| format!("-{}", s.0));
        let folder = format!("{id}-{}{suffix}", std::process::id());
        // A test that was built for Windows on another system has that system's paths, without a drive.
        let root = std::path::absolute(env!("CARGO_TARGET_TMPDIR"))?.join("scenarios").join(folder);
        // A process id comes round again; what an earlier run left under it is worth nothing.
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

    /// Prepares a peer with folders of its own; nothing runs until it is started.
    pub fn peer(&self, name: &str) -> Outcome<PeerSpec<'_>> {
        PeerSpec::new(self, name)
    }

    /// A folder for whatever a scenario keeps beside its peers.
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

    /// The host for one more peer.
    pub(crate) fn next_host(&self) -> Outcome<Box<dyn Host>> {
        self.ground.host(self.all().len() + 1)
    }

    pub(crate) fn enlist(&self, process: Arc<Process>) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    fn all(&self) -> Vec<Arc<Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails if any peer printed a line outside the contract, ended without being told to, or broke a rule that holds
    /// whatever a scenario is about.
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

    /// The last lines of each peer, and where to find the rest.
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

    /// Takes in what a program that is no peer wrote to standard error.
    pub fn overhear(&self, stderr: &str) {
        self.overheard.lock().unwrap_or_else(PoisonError::into_inner).push_str(stderr);
    }

    /// What was written to standard error, in one.
    pub fn stderr(&self) -> String {
        let overheard = self.overheard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.all().iter().map(|p| p.stderr()).chain([overheard]).collect::<Vec<_>>().join("\n")
    }

    /// Ends all processes; the folders go as well unless they are to be kept.
    pub fn close(self, keep: bool) {
        for process in self.all() {
            process.end();
        }
        // With them go their logs, which would be in the way where open files are not deleted.
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if !keep {
            // Left behind, it is only disk space below the target folder.
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
