//! Who has what: the copies of each chunk among the sources of one content.

use lanspread_types::{ChunkIndex, ChunkSet};

/// Copies of each chunk among fellow downloaders, kept up to date as they announce them.
///
/// A fellow that completes stays counted: its copies are copies that the swarm made. Sources that had everything when
/// they were first seen (the seeds) are not counted, so a chunk without a copy here is one that only seeds have.
#[derive(Debug)]
pub(super) struct Availability {
    copies: Vec<u16>,
}

impl Availability {
    pub fn new(chunks: u32) -> Self {
        Self { copies: vec![0; chunks as usize] }
    }

    pub fn copies(&self, chunk: ChunkIndex) -> u16 {
        self.copies.get(chunk.as_usize()).copied().unwrap_or(0)
    }

    pub fn add(&mut self, chunk: ChunkIndex) {
        if let Some(copies) = self.copies.get_mut(chunk.as_usize()) {
            *copies = copies.saturating_add(1);
        }
    }

    pub fn remove(&mut self, chunk: ChunkIndex) {
        if let Some(copies) = self.copies.get_mut(chunk.as_usize()) {
            *copies = copies.saturating_sub(1);
        }
    }

    pub fn add_all(&mut self, has: &ChunkSet) {
        has.iter().for_each(|chunk| self.add(chunk));
    }

    pub fn remove_all(&mut self, has: &ChunkSet) {
        has.iter().for_each(|chunk| self.remove(chunk));
    }
}
