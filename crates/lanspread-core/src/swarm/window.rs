//! The window: how far ahead of the first missing chunk a download asks.
//!
//! An unpacker reads strictly forward, so chunks should arrive in order. A swarm works best while its peers have
//! *different* chunks, so they should not. The window is the compromise: any order inside it, no requests beyond it.

use std::ops::Range;

use lanspread_types::ChunkSet;

use super::tuning::Tuning;

/// Range of chunks that may be requested now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window(Range<u32>);

impl Window {
    /// Returns the window that starts at the first missing chunk. `downloaders` counts all peers that download this
    /// content, this one included.
    pub fn of(had: &ChunkSet, downloaders: usize, tuning: &Tuning) -> Self {
        let start = had.first_missing().map_or(had.len(), |chunk| chunk.0);
        Self(start..start.saturating_add(width(downloaders, tuning)).min(had.len()))
    }

    /// Returns the window without the chunks from `limit` on.
    pub fn cut(self, limit: u32) -> Self {
        Self(self.0.start..self.0.end.min(limit.max(self.0.start)))
    }

    /// Returns the first chunk of the window.
    pub fn start(&self) -> u32 {
        self.0.start
    }

    /// Returns the end of the window (exclusive).
    pub fn end(&self) -> u32 {
        self.0.end
    }
}

/// Returns the width of the window in chunks.
///
/// In steady state each peer receives one chunk per chunk time. By Little's law, the number of chunks on their way
/// through the room equals the chunk times that one chunk needs to reach every peer, which grows with the logarithm of
/// the number of peers.
fn width(downloaders: usize, tuning: &Tuning) -> u32 {
    let beyond = (downloaders as f64 / 16.0).log2().max(0.0);
    tuning.window_base + (beyond * f64::from(tuning.window_per_doubling)).ceil() as u32
}

#[cfg(test)]
mod tests {
    use lanspread_types::ChunkIndex;

    use super::*;

    #[test]
    fn starts_at_first_missing_chunk_and_ends_with_game() {
        let tuning = Tuning { window_base: 10, ..Tuning::default() };
        let mut had = ChunkSet::empty(15);
        assert_eq!(Window::of(&had, 1, &tuning).0, 0..10);
        (0..7).for_each(|c| assert!(had.insert(ChunkIndex(c))));
        assert_eq!(Window::of(&had, 1, &tuning).0, 7..15);
        assert_eq!(Window::of(&ChunkSet::full(15), 1, &tuning).0, 15..15);
    }

    #[test]
    fn grows_with_logarithm_of_peers() {
        let tuning = Tuning { window_base: 32, window_per_doubling: 16, ..Tuning::default() };
        let widths = [1, 6, 16, 32, 64, 256].map(|n| width(n, &tuning));
        assert_eq!(widths, [32, 32, 32, 48, 64, 96]);
    }
}
