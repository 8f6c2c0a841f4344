//! What others may know of a download.

use std::sync::Arc;

use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId};

use super::Download;
use super::follow::FED_FOR;
use crate::swarm::source::{Source, SourceFigures};

impl Download {
    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    pub fn had(&self) -> &ChunkSet {
        &self.had
    }

    pub fn is_complete(&self) -> bool {
        self.had.is_full()
    }

    pub fn first_missing(&self) -> Option<ChunkIndex> {
        self.had.first_missing()
    }

    /// The first chunk that is missing, or the end: every chunk below is here.
    pub fn have_below(&self) -> ChunkIndex {
        self.had.first_missing().unwrap_or(ChunkIndex(self.had.len()))
    }

    /// The chunks that may be asked for now.
    pub fn window_range(&self) -> std::ops::Range<u32> {
        let window = self.window();
        window.start()..window.end()
    }

    pub fn sources(&self) -> impl Iterator<Item = (PeerId, SourceFigures)> + '_ {
        self.sources.iter().map(|(peer, source)| (*peer, source.figures()))
    }

    /// Whether this source had everything when it was first seen.
    pub fn is_seed(&self, peer: PeerId) -> bool {
        self.sources.get(&peer).is_some_and(|source| source.seed)
    }

    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// Copies of a chunk in the room that this download knows of, its own not counted.
    pub fn copies(&self, chunk: ChunkIndex) -> usize {
        self.sources.values().filter(|source| source.has.contains(chunk)).count()
    }

    /// Copies of the content in the room, ours included: as many as the rarest chunk has, and the share of chunks that
    /// have more.
    pub fn copies_in_room(&self) -> f64 {
        let copies = |at| {
            let chunk = ChunkIndex(at);
            self.copies(chunk) + usize::from(self.had.contains(chunk))
        };
        let rarest = (0..self.had.len()).map(copies).min().unwrap_or(0);
        let more = (0..self.had.len()).filter(|&at| copies(at) > rarest).count();
        rarest as f64 + more as f64 / f64::from(self.had.len().max(1))
    }

    /// Whether somebody who answers has, or is sending, anything that is missing.
    pub fn is_fed(&self) -> bool {
        let answers =
            |source: &Source| !source.contact.is_mute(self.now) && !source.doubt.is_hopeless(self.now);
        let mut answering = self.sources.iter().filter(|(_, source)| answers(source));
        // An awaited chunk may never come, so it counts once its bytes do. The upstream's progress is known late, though.
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

    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    pub fn requests_in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Verified chunks that came a second time.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}
