//! Read-only view of a download, for the node and the owner.

use std::sync::Arc;

use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId};

use super::Picker;
use super::follow::FED_FOR;
use crate::swarm::source::{Source, SourceFigures};

impl Picker {
    /// Returns the content that is being downloaded.
    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    /// Returns the chunks that are verified and written.
    pub fn had(&self) -> &ChunkSet {
        &self.had
    }

    /// Returns true if every chunk is here.
    pub fn is_complete(&self) -> bool {
        self.had.is_full()
    }

    /// Returns the first missing chunk, or `None` if every chunk is here.
    pub fn first_missing(&self) -> Option<ChunkIndex> {
        self.had.first_missing()
    }

    /// Returns the first missing chunk, or the end of the content: every chunk below is here.
    pub fn have_below(&self) -> ChunkIndex {
        self.had.first_missing().unwrap_or(ChunkIndex(self.had.len()))
    }

    /// Returns the chunks that may be requested now.
    pub fn window_range(&self) -> std::ops::Range<u32> {
        let window = self.window();
        window.start()..window.end()
    }

    /// Returns all sources with their figures.
    pub fn sources(&self) -> impl Iterator<Item = (PeerId, SourceFigures)> + '_ {
        self.sources.iter().map(|(peer, source)| (*peer, source.figures()))
    }

    /// Returns true if this source had everything when it was first seen.
    pub fn is_seed(&self, peer: PeerId) -> bool {
        self.sources.get(&peer).is_some_and(|source| source.seed)
    }

    /// Returns the number of sources.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Returns how many sources have a chunk. Our own copy is not counted.
    pub fn copies(&self, chunk: ChunkIndex) -> usize {
        self.sources.values().filter(|source| source.has.contains(chunk)).count()
    }

    /// Returns the number of copies of the content in the room, ours included. The whole part is the number of copies
    /// of the rarest chunk, the fraction is the share of chunks with more copies.
    pub fn copies_in_room(&self) -> f64 {
        let copies = |at| {
            let chunk = ChunkIndex(at);
            self.copies(chunk) + usize::from(self.had.contains(chunk))
        };
        let rarest = (0..self.had.len()).map(copies).min().unwrap_or(0);
        let more = (0..self.had.len()).filter(|&at| copies(at) > rarest).count();
        rarest as f64 + more as f64 / f64::from(self.had.len().max(1))
    }

    /// Returns true if a source that answers has, or is sending, a missing chunk.
    pub fn is_fed(&self) -> bool {
        let answers =
            |source: &Source| !source.contact.is_mute(self.now) && !source.doubt.is_hopeless(self.now);
        let mut answering = self.sources.iter().filter(|(_, source)| answers(source));
        // An awaited chunk may never arrive, so it counts only once its bytes arrive. News of the upstream's progress
        // comes late, though, so a download that got a chunk recently counts as fed.
        let recently =
            self.upstream().is_some() && self.following.stored_at.is_some_and(|at| self.now < at + FED_FOR);
        let owes = |peer: PeerId| {
            self.requests
                .at(peer)
                .iter()
                .any(|key| self.requests.get(key).is_some_and(|a| !a.awaited || a.started))
        };
        recently
            || answering
                .any(|(peer, source)| self.had.missing_from(0).any(|c| source.has.contains(c)) || owes(*peer))
    }

    /// Returns the expected bytes of all requests that have not ended.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Returns the number of requests that have not ended.
    pub fn requests_in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Returns the number of verified chunks that arrived a second time.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}
