//! How far ahead of the first missing chunk a download asks.
//!
//! Two forces: an unpacker reads strictly forward, so the bytes should come in order; a swarm lives from peers having
//! *different* chunks, so they should not. The window is the compromise: any order inside it, none outside.

use std::ops::Range;

use lanspread_types::ChunkSet;

use super::tuning::Tuning;

/// The chunks that may be asked for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window(Range<u32>);

impl Window {
    /// `downloaders` counts everybody who downloads this content, us included.
    pub fn of(had: &ChunkSet, downloaders: usize, tuning: &Tuning) -> Self {
        let start = had.first_missing().map_or(had.len(), |chunk| chunk.0);
        Self(start..start.saturating_add(width(downloaders, tuning)).min(had.len()))
    }

    /// The same, without what lies from `limit` on.
    pub fn cut(self, limit: u32) -> Self {
        Self(self.0.start..self.0.end.min(limit.max(self.0.start)))
    }

    pub fn start(&self) -> u32 {
        self.0.start
    }

    pub fn end(&self) -> u32 {
        self.0.end
    }
}

/// Steady state: every peer gets one chunk per chunk time, so by Little's law the chunks on their way through the room
/// are as many as the chunk times that one takes to reach everybody. That time grows with the logarithm of the room.
fn width(downloaders: usize, tuning: &Tuning) -> u32 {
    let beyond = (downloaders as f64 / 16.0).log2().max(0.0);
    tuning.window_base + (beyond * f64::from(tuning.window_per_doubling)).ceil() as u32
}

#[cfg(test)]
mod tests {
    use lanspread_types::ChunkIndex;

    use super::*;

    #[test]
    fn starts_at_the_first_missing_chunk_and_ends_with_the_game() {
        let tuning = Tuning { window_base: 10, ..Tuning::default() };
        let mut had = ChunkSet::empty(15);
        assert_eq!(Window::of(&had, 1, &tuning).0, 0..10);
        (0..7).for_each(|c| assert!(had.insert(ChunkIndex(c))));
        assert_eq!(Window::of(&had, 1, &tuning).0, 7..15);
        assert_eq!(Window::of(&ChunkSet::full(15), 1, &tuning).0, 15..15);
    }

    #[test]
    fn grows_with_the_logarithm_of_the_room() {
        let tuning = Tuning { window_base: 32, window_per_doubling: 16, ..Tuning::default() };
        let widths = [1, 6, 16, 32, 64, 256].map(|n| width(n, &tuning));
        assert_eq!(widths, [32, 32, 32, 48, 64, 96]);
    }
}
