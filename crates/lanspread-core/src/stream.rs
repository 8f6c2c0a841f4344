//! The window of a streamed install: the chunks of a game that is unpacked as they arrive, and kept no longer than that.
//!
//! Two promises are kept here. What the disk holds beside the unpacked files is bounded: no chunk is asked for that is
//! too far ahead of the unpacker. And the room still gets something from it: chunks that were unpacked a moment ago
//! are served a little longer, because those who began at the same time want just them.

use lanspread_types::{ChunkIndex, ChunkSet};

/// How far ahead of the unpacker chunks are asked for. More than the swarm's own window, so that an unpacker that falls
/// back a little does not narrow it.
pub const AHEAD_CHUNKS: u32 = 96;
/// How many chunks are still held behind the unpacker.
pub const BEHIND_CHUNKS: u32 = 32;
/// Most streamed installs at once: each has a thread that mostly waits, and a window on the disk.
pub const STREAMS_MAX: usize = 8;
/// Most chunks that are held.
pub const WINDOW_CHUNKS: u32 = AHEAD_CHUNKS + BEHIND_CHUNKS;

/// What a streamed install holds of its content.
#[derive(Debug)]
pub struct StreamWindow {
    /// Chunks that are not fetched, because nothing is unpacked from them.
    unneeded: ChunkSet,
    /// The unpacker has no more use for chunks below.
    unpacked_below: u32,
}

impl StreamWindow {
    pub fn new(unneeded: ChunkSet) -> Self {
        let first = unneeded.first_missing().map_or(unneeded.len(), |chunk| chunk.0);
        Self { unneeded, unpacked_below: first }
    }

    /// The unpacker has come so far.
    pub fn passed(&mut self, below: ChunkIndex) {
        self.unpacked_below = self.unpacked_below.max(below.0);
    }

    /// No chunk from here on is asked for yet. Chunks that nothing is unpacked from lie in between and do not count.
    pub fn asks_below(&self) -> u32 {
        let next = self.unneeded.missing_from(self.unpacked_below).nth(AHEAD_CHUNKS as usize);
        next.map_or(self.unneeded.len(), |chunk| chunk.0)
    }

    /// Chunks below are given up.
    pub fn keeps_from(&self) -> ChunkIndex {
        ChunkIndex(self.unpacked_below.saturating_sub(BEHIND_CHUNKS))
    }

    /// Whether a chunk of those that have arrived is still here.
    pub fn holds(&self, had: &ChunkSet, chunk: ChunkIndex) -> bool {
        chunk >= self.keeps_from() && had.contains(chunk) && !self.unneeded.contains(chunk)
    }

    /// All that is here.
    pub fn held(&self, had: &ChunkSet) -> ChunkSet {
        let mut held = ChunkSet::empty(had.len());
        for chunk in had.iter().filter(|&chunk| self.holds(had, chunk)) {
            held.insert(chunk);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(len: u32, chunks: impl IntoIterator<Item = u32>) -> ChunkSet {
        let mut set = ChunkSet::empty(len);
        chunks.into_iter().for_each(|c| assert!(set.insert(ChunkIndex(c))));
        set
    }

    #[test]
    fn the_window_moves_with_the_unpacker_and_never_holds_more_than_it_may() {
        // Ten chunks of a manual, the archive, the sentinel.
        let mut window = StreamWindow::new(set(1000, (0..10).chain([999])));
        let mut had = set(1000, (0..10).chain([999]));
        let mut asked_below = 0;
        for step in 10..999 {
            let limit = window.asks_below();
            assert!(limit >= asked_below && limit <= 1000);
            (asked_below.max(10)..limit.min(999)).for_each(|c| assert!(had.insert(ChunkIndex(c))));
            asked_below = limit;
            assert!(window.held(&had).count() <= WINDOW_CHUNKS);
            assert!(window.holds(&had, ChunkIndex(step)), "what comes next is there");
            window.passed(ChunkIndex(step + 1));
        }
        assert!(had.is_full());
        assert!(!window.holds(&had, ChunkIndex(5)) && !window.holds(&had, ChunkIndex(999)), "never fetched");
        assert_eq!(window.held(&had).iter().map(|c| c.0).collect::<Vec<_>>(), (967..999).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_fetched_does_not_narrow_the_window() {
        let window = StreamWindow::new(set(500, 10..400));
        assert_eq!(window.asks_below(), 486, "ten chunks of the first archive, 86 of the second");
    }

    #[test]
    fn the_unpacker_never_goes_back() {
        let mut window = StreamWindow::new(ChunkSet::empty(300));
        window.passed(ChunkIndex(100));
        window.passed(ChunkIndex(50));
        assert_eq!((window.keeps_from(), window.asks_below()), (ChunkIndex(68), 196));
    }
}
