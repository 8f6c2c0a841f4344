//! One PC of a party: a node, the model of its disk, and whether the process runs.
//!
//! The node is the product's. [`Disk`] answers its jobs without storing bytes; it survives a crash, the node does
//! not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_core::catalog::Catalog;
use lanspread_core::command::RateLimits;
use lanspread_core::io::{CommittedGame, DiskError, DiskJob, DiskReport, FileStamp, Scan, ScannedGame};
use lanspread_core::swarm::Tuning;
use lanspread_core::time::Time;
use lanspread_core::{Node, NodeConfig};
use lanspread_types::{ChunkSet, GameContent, PeerId};

/// Duration of a disk job that moves no chunk: some file operations.
const JOB_TAKES: Duration = Duration::from_millis(1);

/// One PC of a party.
#[derive(Debug)]
pub struct Guest {
    /// Identity; stays the same after a restart.
    pub id: PeerId,
    /// Address; its subnet is the guest's group.
    pub addr: SocketAddr,
    /// The node of the current life.
    pub node: Node,
    /// The disk, which all lives share.
    pub disk: Disk,
    /// True while the process runs.
    pub alive: bool,
    /// Number of crashes so far. Events that were planned for an earlier life are not delivered.
    pub life: u32,
    /// When the node is woken next; `None` if no wake-up is planned.
    pub wake_planned: Option<Time>,
}

/// Model of a disk. It survives a crash of the process.
#[derive(Debug)]
pub struct Disk {
    /// Verified chunks of the download or, once `committed`, of the game.
    pub had: ChunkSet,
    /// True once the download was committed.
    pub committed: bool,
    /// True while a download may write chunks.
    open: bool,
    /// Bytes per second that are verified and written.
    rate: f64,
    /// When everything accepted so far is written.
    free_at: Time,
}

impl Guest {
    /// Returns a running guest with number `at` in the party.
    pub fn new(at: usize, group: usize, id: PeerId, disk: Disk, seed: u64, tuning: &Tuning) -> Self {
        let addr = addr_of(at, group);
        Self {
            id,
            addr,
            node: node(at, addr, id, seed, tuning),
            disk,
            alive: true,
            life: 0,
            wake_planned: None,
        }
    }

    /// Ends the process. What is on disk stays.
    pub fn crash(&mut self) {
        (self.alive, self.life, self.wake_planned) = (false, self.life + 1, None);
        (self.disk.open, self.disk.free_at) = (false, Time::START);
    }

    /// Starts the process again, with a new node.
    pub fn restart(&mut self, at: usize, seed: u64, tuning: &Tuning) {
        self.node = node(at, self.addr, self.id, seed, tuning);
        self.alive = true;
    }
}

fn node(at: usize, addr: SocketAddr, me: PeerId, seed: u64, tuning: &Tuning) -> Node {
    let mut node = Node::new(NodeConfig {
        me,
        name: name_of(at),
        addr,
        games_dir: "games".into(),
        catalog: Catalog::Open,
        limits: RateLimits::default(),
        rules: lanspread_core::rules::OwnerPolicy::default(),
        seed,
    });
    node.set_tuning(tuning.clone());
    node
}

/// Returns the name of a guest.
pub fn name_of(at: usize) -> String {
    format!("guest {at}")
}

/// Returns the address of a guest: its group is the subnet, its number the rest.
fn addr_of(at: usize, group: usize) -> SocketAddr {
    SocketAddr::from(([10, group as u8, (at >> 8) as u8, at as u8], 4000))
}

/// Returns the number of the guest with an address, or `usize::MAX` for an IPv6 address.
pub fn guest_at(addr: SocketAddr) -> usize {
    match addr {
        SocketAddr::V4(v4) => {
            let [_, _, high, low] = v4.ip().octets();
            usize::from(high) << 8 | usize::from(low)
        }
        SocketAddr::V6(_) => usize::MAX,
    }
}

impl Disk {
    /// Returns a disk with these chunks that verifies and writes `rate` bytes per second. With all chunks, the game
    /// is committed.
    pub fn new(had: ChunkSet, rate: f64) -> Self {
        Self { committed: had.is_full(), had, open: false, rate, free_at: Time::START }
    }

    /// Accepts a chunk that arrives now and returns when it is verified and written. Chunks are written one after the
    /// other.
    pub fn write(&mut self, bytes: u64, now: Time) -> Time {
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bytes as f64 / self.rate);
        self.free_at
    }

    /// Returns whether a download may write chunks.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Returns when a job that is submitted now is done. Jobs do not overtake writes.
    pub fn job_done_at(&self, now: Time) -> Time {
        self.free_at.max(now) + JOB_TAKES
    }

    /// Performs a job and returns its report, or `None` for jobs that no party needs.
    pub fn perform(&mut self, job: DiskJob, content: &Arc<GameContent>) -> Option<DiskReport> {
        Some(match job {
            DiskJob::Scan => DiskReport::Scanned(self.scan(content)),
            DiskJob::Index { game, stamp } => {
                DiskReport::Indexed { game, stamp, result: Ok(Arc::clone(content)) }
            }
            DiskJob::OpenIncoming { content } => {
                self.open = true;
                let game = content.manifest().game().clone();
                DiskReport::IncomingOpened { game, result: Ok(self.had.clone()) }
            }
            DiskJob::Commit { content, .. } => {
                let game = content.manifest().game().clone();
                self.open = false;
                self.committed = self.had.is_full();
                let missing = DiskError::Other("chunks are missing".to_owned());
                let stamp = FileStamp(1);
                let result = if self.committed { Ok(CommittedGame { stamp }) } else { Err(missing) };
                DiskReport::Committed { game, result }
            }
            DiskJob::DropIncoming { game, .. } => {
                self.open = false;
                DiskReport::IncomingDropped { game }
            }
            _ => return None,
        })
    }

    fn scan(&self, content: &GameContent) -> Scan {
        let manifest = content.manifest();
        let game = ScannedGame {
            game: manifest.game().clone(),
            version: Some(manifest.version()),
            installed: false,
            installed_version: None,
            recorded: None,
            bytes: manifest.total_bytes(),
            files: manifest.files().len() as u32,
            stamp: FileStamp(1),
        };
        Scan { games: if self.committed { vec![game] } else { Vec::new() }, ..Scan::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_a_subnet() {
        assert_eq!(addr_of(300, 3), SocketAddr::from(([10, 3, 1, 44], 4000)));
        assert_eq!(guest_at(addr_of(300, 3)), 300);
    }
}
