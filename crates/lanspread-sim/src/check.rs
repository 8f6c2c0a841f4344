//! Rules that every party must keep, checked from outside the nodes.
//!
//! The world reports each request and each stored chunk of a receiver to its [`Watcher`], which compares the request
//! with what the peers really have. A broken rule ends the party with a [`Violation`], whose seed replays it. Rules
//! that need more than one receiver's requests are checked in `world`.

use std::collections::BTreeMap;

use lanspread_core::swarm::Tuning;
use lanspread_core::time::Time;
use lanspread_types::message::{ChunkRequest, FollowRequest, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet};

/// A broken rule. Playing the party with the same seed breaks it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Seed of the party.
    pub seed: u64,
    /// Virtual time at which the rule was broken.
    pub at: Time,
    /// The broken rule and the peer or chunk, for people.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "party {} at {:.6} s: {}", self.seed, self.at.since_start().as_secs_f64(), self.what)
    }
}

impl std::error::Error for Violation {}

/// Checks of one receiver's requests.
#[derive(Debug)]
pub struct Watcher {
    /// When each chunk that has not arrived was last requested by name.
    asked: BTreeMap<ChunkIndex, Time>,
    by_id: BTreeMap<RequestId, ChunkIndex>,
    /// When each chunk was first stored; `None` while it is missing.
    pub stored_at: Vec<Option<Time>>,
}

impl Watcher {
    /// Returns a watcher of a receiver that has requested nothing yet.
    pub fn new(chunks: u32) -> Self {
        Self { asked: BTreeMap::new(), by_id: BTreeMap::new(), stored_at: vec![None; chunks as usize] }
    }

    /// Checks and records a request by name. `source_had` is what the source really has, `had` what the receiver has.
    ///
    /// # Errors
    ///
    /// The source lacks the chunk, the receiver already has it, or the receiver requests it again although the first
    /// request is not late and the download is not in its endgame.
    pub fn asked(
        &mut self,
        request: &ChunkRequest,
        source_had: &ChunkSet,
        had: &ChunkSet,
        tuning: &Tuning,
        now: Time,
    ) -> Result<(), String> {
        let chunk = request.chunk;
        if !source_had.contains(chunk) {
            return Err(format!("chunk {chunk} was asked of a peer that does not have it"));
        }
        if had.contains(chunk) {
            return Err(format!("chunk {chunk} was asked for although it is here"));
        }
        self.by_id.insert(request.id, chunk);
        if let Some(before) = self.asked.insert(chunk, now) {
            let endgame = had.len() - had.count() <= tuning.endgame_chunks;
            if !endgame && now.since(before) < tuning.late_min {
                return Err(format!("chunk {chunk} was asked for twice, neither late nor in the endgame"));
            }
        }
        Ok(())
    }

    /// Checks a request to follow an upstream. The upstream need not have the awaited chunks yet.
    ///
    /// # Errors
    ///
    /// The receiver already has one of the chunks.
    pub fn awaited(&mut self, request: &FollowRequest, had: &ChunkSet) -> Result<(), String> {
        if let Some((_, chunk)) = request.each().find(|(_, chunk)| had.contains(*chunk)) {
            return Err(format!("chunk {chunk} is awaited although it is here"));
        }
        Ok(())
    }

    /// Records that a request failed: the receiver may request its chunk again at once.
    pub fn refused(&mut self, id: RequestId) {
        if let Some(chunk) = self.by_id.remove(&id) {
            self.asked.remove(&chunk);
        }
    }

    /// Records that a request was answered and can no longer fail.
    pub fn answered(&mut self, id: RequestId) {
        self.by_id.remove(&id);
    }

    /// Records that a source is gone: the receiver may request every chunk again.
    pub fn source_gone(&mut self) {
        self.asked.clear();
    }

    /// Records that a chunk was verified and written.
    pub fn stored(&mut self, chunk: ChunkIndex, now: Time) {
        self.asked.remove(&chunk);
        self.stored_at[chunk.as_usize()].get_or_insert(now);
    }
}
