//! Availability: how many fellows have each chunk of one content.

use lanspread_types::{ChunkIndex, ChunkSet};

/// Number of copies of each chunk among the fellows, updated as they announce chunks.
///
/// A fellow that completes stays counted, because the swarm made its copies. Seeds are not counted, so a chunk with no
/// copy here is one that only seeds have.
#[derive(Debug)]
pub(super) struct Availability {
    copies: Vec<u16>,
}

impl Availability {
    /// Creates a table without copies for a content of `chunks` chunks.
    pub fn new(chunks: u32) -> Self {
        Self { copies: vec![0; chunks as usize] }
    }

    /// Returns the number of fellows that have the chunk.
    pub fn copies(&self, chunk: ChunkIndex) -> u16 {
        self.copies.get(chunk.as_usize()).copied().unwrap_or(0)
    }

    /// Counts one copy more of a chunk.
    pub fn add(&mut self, chunk: ChunkIndex) {
        if let Some(copies) = self.copies.get_mut(chunk.as_usize()) {
            *copies = copies.saturating_add(1);
        }
    }

    /// Counts one copy less of a chunk.
    pub fn remove(&mut self, chunk: ChunkIndex) {
        if let Some(copies) = self.copies.get_mut(chunk.as_usize()) {
            *copies = copies.saturating_sub(1);
        }
    }

    /// Counts all chunks of a fellow.
    pub fn add_all(&mut self, has: &ChunkSet) {
        has.iter().for_each(|chunk| self.add(chunk));
    }

    /// Removes all chunks of a fellow from the count.
    pub fn remove_all(&mut self, has: &ChunkSet) {
        has.iter().for_each(|chunk| self.remove(chunk));
    }
}
