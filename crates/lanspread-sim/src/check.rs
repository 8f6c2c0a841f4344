//! What must hold after every step.

use std::collections::BTreeMap;

use lanspread_core::swarm::Tuning;
use lanspread_core::time::Time;
use lanspread_types::message::{ChunkRequest, FollowRequest, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet};

/// A party that broke a rule. Its seed replays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub seed: u64,
    pub at: Time,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "party {} at {:.6} s: {}", self.seed, self.at.since_start().as_secs_f64(), self.what)
    }
}

impl std::error::Error for Violation {}

/// Follows one receiver from outside.
#[derive(Debug)]
pub struct Watcher {
    /// When each chunk was last asked for by name.
    asked: BTreeMap<ChunkIndex, Time>,
    by_id: BTreeMap<RequestId, ChunkIndex>,
    pub stored_at: Vec<Option<Time>>,
    pub second_requests: u64,
}

impl Watcher {
    pub fn new(chunks: u32) -> Self {
        Self {
            asked: BTreeMap::new(),
            by_id: BTreeMap::new(),
            stored_at: vec![None; chunks as usize],
            second_requests: 0,
        }
    }

    /// A request leaves. `source_had` is what the source really has, `had` what the receiver has.
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
            self.second_requests += 1;
            let endgame = had.len() - had.count() <= tuning.endgame_chunks;
            if !endgame && now.since(before) < tuning.late_min {
                return Err(format!("chunk {chunk} was asked for twice, neither late nor in the endgame"));
            }
        }
        Ok(())
    }

    /// Chunks are awaited: of an upstream that need not have them yet.
    pub fn awaited(&mut self, request: &FollowRequest, had: &ChunkSet) -> Result<(), String> {
        if let Some((_, chunk)) = request.each().find(|(_, chunk)| had.contains(*chunk)) {
            return Err(format!("chunk {chunk} is awaited although it is here"));
        }
        Ok(())
    }

    /// The request failed: its chunk may be asked for again at once.
    pub fn refused(&mut self, id: RequestId) {
        if let Some(chunk) = self.by_id.remove(&id) {
            self.asked.remove(&chunk);
        }
    }

    /// The request was answered: it will not fail any more.
    pub fn answered(&mut self, id: RequestId) {
        self.by_id.remove(&id);
    }

    /// Everything asked may be asked again: a source is gone.
    pub fn source_gone(&mut self) {
        self.asked.clear();
    }

    pub fn stored(&mut self, chunk: ChunkIndex, now: Time) {
        self.asked.remove(&chunk);
        self.stored_at[chunk.as_usize()].get_or_insert(now);
    }
}
