//! Measurements during a party, and its report at the end.

use std::time::Duration;

use lanspread_core::time::Time;
use lanspread_types::ChunkIndex;

use super::{MEETING, World};
use crate::report::{GroupReport, PeerReport, Report, unpacked_at};

/// Bytes of chunks that crossed the uplink of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crossing {
    into: u64,
    out: u64,
}

impl World {
    pub(super) fn note_progress(&mut self) {
        let mut counts: Vec<u32> = (0..self.guests.len())
            .filter(|&at| self.party.peers[at].joins.is_some())
            .map(|at| self.guests[at].disk.had.count())
            .collect();
        let middle = counts.len() / 2;
        let (before, &mut median, after) = counts.select_nth_unstable(middle);
        let slowest = before.iter().copied().min().unwrap_or(median);
        let fastest = after.iter().copied().max().unwrap_or(median);
        let row = [slowest, median, fastest];
        if self.tally.progress.last().is_none_or(|(_, last)| last[1] != row[1]) {
            self.tally.progress.push((since_meeting(self.now), row));
        }
    }

    /// Counts bytes of chunks that went from one guest to another, if these are in different groups.
    pub(super) fn count_crossing(&mut self, from: usize, to: usize, bytes: u64) {
        let (from, to) = (self.party.peers[from].group, self.party.peers[to].group);
        if from != to {
            self.tally.crossings[from].out += bytes;
            self.tally.crossings[to].into += bytes;
        }
    }

    fn group_reports(&self) -> Vec<GroupReport> {
        let copies = |bytes: u64| bytes as f64 / self.content.manifest().total_bytes() as f64;
        let one = |(group, crossing): (usize, &Crossing)| GroupReport {
            members: self.party.peers.iter().filter(|peer| peer.group == group).count(),
            copies_in: copies(crossing.into),
            copies_out: copies(crossing.out),
        };
        self.tally.crossings.iter().enumerate().map(one).collect()
    }

    pub(super) fn report(self) -> Report {
        let manifest = self.content.manifest();
        let mut peers = Vec::new();
        let (mut makespan, mut playable) = (Time::START, Time::START);
        for (at, spec) in self.party.peers.iter().enumerate() {
            let (Some(click), Some(complete)) = (spec.joins, self.finished_at[at]) else {
                peers.push(None);
                continue;
            };
            let stored: Vec<(Time, u64)> = (0..manifest.chunk_count())
                .map(|c| {
                    let there = self.watchers[at].stored_at[c as usize].unwrap_or_default();
                    (there, manifest.place(ChunkIndex(c)).map_or(0, |place| place.len))
                })
                .collect();
            // Unpacking starts at the click at the earliest, and does not end before the commit.
            let start = Time::from_start(MEETING + click);
            let unpacked = unpacked_at(start, &stored, spec.rate.down).max(complete);
            (makespan, playable) = (makespan.max(complete), playable.max(unpacked));
            let bound = self.party.bound_of(at);
            peers.push(Some(PeerReport {
                complete: complete.since(start),
                playable: unpacked.since(start),
                bound,
            }));
        }
        let receivers = self.party.peers.iter().filter(|p| p.joins.is_some()).count();
        Report {
            seed: self.party.seed,
            receivers,
            bound: self.party.bound(),
            makespan: since_meeting(makespan),
            playable: since_meeting(playable),
            seed_copies: self.tally.seed_bytes as f64 / manifest.total_bytes() as f64,
            duplicates: self.tally.duplicates,
            delivered: self.tally.delivered,
            corrupt: self.tally.corrupt,
            control_bytes: self.tally.control_bytes / receivers.max(1) as u64,
            messages: self.tally.messages / receivers.max(1) as u64,
            peers,
            groups: self.group_reports(),
            progress: self.tally.progress,
            rejected: self.tally.rejected,
            bytes_in_flight_max: self.tally.bytes_in_flight_max,
            events: self.tally.events,
            spent: self.tally.spending.most(),
        }
    }
}

fn since_meeting(at: Time) -> Duration {
    at.since(Time::from_start(MEETING))
}
