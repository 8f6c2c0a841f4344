//! Results of a party.

use std::time::Duration;

use lanspread_core::time::Time;

use crate::spending::Spent;

/// Results of one party. Times count from the first click unless stated otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Seed of the party.
    pub seed: u64,
    /// Number of peers that click.
    pub receivers: usize,
    /// Time of one copy over the narrowest link: see `Party::bound`.
    pub bound: Duration,
    /// Time until the last receiver is complete.
    pub makespan: Duration,
    /// Time until the last receiver has unpacked its copy as well.
    pub playable: Duration,
    /// Copies of the game that all seeds together sent.
    pub seed_copies: f64,
    /// Chunks that arrived at a receiver that already had them.
    pub duplicates: u64,
    /// Chunks that arrived and verified, including duplicates.
    pub delivered: u64,
    /// Chunks that arrived and did not verify.
    pub corrupt: u64,
    /// Encoded bytes of control messages, requests and heads of answers, for each receiver.
    pub control_bytes: u64,
    /// Number of these messages, for each receiver.
    pub messages: u64,
    /// Times of each peer; `None` for seeds and for peers that did not finish.
    pub peers: Vec<Option<PeerReport>>,
    /// Traffic over the uplink of each group.
    pub groups: Vec<GroupReport>,
    /// Chunks of the slowest, the median and the fastest receiver over time.
    pub progress: Vec<(Duration, [u32; 3])>,
    /// Number of times that a receiver rejected a source for bad data.
    pub rejected: usize,
    /// Most bytes that were in flight to one receiver.
    pub bytes_in_flight_max: u64,
    /// Events that the simulation handled.
    pub events: u64,
    /// Largest cost that the control messages of one connection had for the peer that received them.
    pub spent: Spent,
}

/// Times of one receiver, from its own click.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerReport {
    /// Time until it is complete.
    pub complete: Duration,
    /// Time until it has unpacked its copy.
    pub playable: Duration,
    /// Shortest possible time: see `Party::bound_of`.
    pub bound: Duration,
}

/// Copies of the game that crossed the uplink of a group. Only bytes of chunks count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GroupReport {
    /// Peers in the group.
    pub members: usize,
    /// Copies that entered the group.
    pub copies_in: f64,
    /// Copies that left the group.
    pub copies_out: f64,
}

impl Report {
    /// Returns the makespan divided by the bound.
    pub fn makespan_ratio(&self) -> f64 {
        self.makespan.as_secs_f64() / self.bound.as_secs_f64()
    }

    /// Returns `playable` divided by the bound.
    pub fn playable_ratio(&self) -> f64 {
        self.playable.as_secs_f64() / self.bound.as_secs_f64()
    }
}

/// Returns when an unpacker finishes if it reads the chunks in order at `rate` bytes per second, each as soon as it is
/// stored. `stored` holds the time and the size of each chunk.
pub fn unpacked_at(start: Time, stored: &[(Time, u64)], rate: f64) -> Time {
    stored
        .iter()
        .fold(start, |free, &(there, bytes)| free.max(there) + Duration::from_secs_f64(bytes as f64 / rate))
}
