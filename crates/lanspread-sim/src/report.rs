//! What came out of a party.

use std::time::Duration;

use lanspread_core::time::Time;

use crate::spending::Spent;

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub seed: u64,
    pub receivers: usize,
    pub bound: Duration,
    /// From the first click to the last complete copy.
    pub makespan: Duration,
    /// From the first click until the last guest has unpacked, too.
    pub playable: Duration,
    /// Copies of the game that the seeds sent, all together.
    pub seed_copies: f64,
    /// Chunks that arrived twice, over all receivers, and chunks that arrived in all.
    pub duplicates: u64,
    pub delivered: u64,
    /// Chunks that arrived and did not verify.
    pub corrupt: u64,
    /// Bytes of control messages and requests as they are encoded, and how many of them, for each receiver.
    pub control_bytes: u64,
    pub messages: u64,
    /// What each peer took, from its click, complete and playable; `None` for seeds and those who died.
    pub peers: Vec<Option<PeerReport>>,
    /// What crossed the uplink of each group.
    pub groups: Vec<GroupReport>,
    /// Chunks had by the slowest, the median and the fastest receiver over time.
    pub progress: Vec<(Duration, [u32; 3])>,
    /// Peers that were found lying, by how many.
    pub rejected: usize,
    pub bytes_in_flight_max: u64,
    pub events: u64,
    /// Most that the control messages of one connection cost their receiver.
    pub spent: Spent,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PeerReport {
    pub complete: Duration,
    pub playable: Duration,
    /// What it could have taken at best.
    pub bound: Duration,
}

/// Copies of the game that crossed the uplink of a group, counted in bytes of chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GroupReport {
    pub members: usize,
    pub copies_in: f64,
    pub copies_out: f64,
}

impl Report {
    pub fn makespan_ratio(&self) -> f64 {
        self.makespan.as_secs_f64() / self.bound.as_secs_f64()
    }

    pub fn playable_ratio(&self) -> f64 {
        self.playable.as_secs_f64() / self.bound.as_secs_f64()
    }
}

/// When an unpacker is through that reads the chunks in order, each as soon as it is there, at `rate` bytes per second.
pub fn unpacked_at(start: Time, stored: &[(Time, u64)], rate: f64) -> Time {
    stored
        .iter()
        .fold(start, |free, &(there, bytes)| free.max(there) + Duration::from_secs_f64(bytes as f64 / rate))
}
