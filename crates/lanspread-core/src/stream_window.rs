//! The window of a streamed install: which chunks of a game are fetched and kept while it is unpacked.
//!
//! Keeps two promises. The disk holds a bounded number of chunks beside the unpacked files, because no chunk is
//! requested too far ahead of the unpacker. And the room still benefits, because chunks are served a little longer
//! after they are unpacked: peers that began at the same time need just these.

use lanspread_types::{ChunkIndex, ChunkSet};

/// How far ahead of the unpacker chunks are requested. Larger than the swarm's own window, so that an unpacker that
/// falls back a little does not narrow it.
pub const AHEAD_CHUNKS: u32 = 96;
/// Chunks that are kept behind the unpacker.
pub const BEHIND_CHUNKS: u32 = 32;
/// Most streamed installs at once. Each has a thread that mostly waits, and a window on the disk.
pub const STREAMS_MAX: usize = 8;
/// Most chunks that one window holds.
pub const WINDOW_CHUNKS: u32 = AHEAD_CHUNKS + BEHIND_CHUNKS;

/// Window of one streamed install.
#[derive(Debug)]
pub struct StreamWindow {
    /// Chunks that are not fetched, because nothing is unpacked from them.
    unneeded: ChunkSet,
    /// Position of the unpacker: it needs no chunk below this one.
    unpacked_below: u32,
}

impl StreamWindow {
    /// Returns a window at the first needed chunk.
    pub fn new(unneeded: ChunkSet) -> Self {
        let first = unneeded.first_missing().map_or(unneeded.len(), |chunk| chunk.0);
        Self { unneeded, unpacked_below: first }
    }

    /// Moves the window to the unpacker's new position. It never moves back.
    pub fn passed(&mut self, below: ChunkIndex) {
        self.unpacked_below = self.unpacked_below.max(below.0);
    }

    /// Returns the end of the window: no chunk from here on is requested yet. Unneeded chunks in the window do not
    /// count.
    pub fn asks_below(&self) -> u32 {
        let next = self.unneeded.missing_from(self.unpacked_below).nth(AHEAD_CHUNKS as usize);
        next.map_or(self.unneeded.len(), |chunk| chunk.0)
    }

    /// Returns the start of the window: chunks below are dropped.
    pub fn keeps_from(&self) -> ChunkIndex {
        ChunkIndex(self.unpacked_below.saturating_sub(BEHIND_CHUNKS))
    }

    /// Returns true if a chunk has arrived and is still here.
    pub fn holds(&self, had: &ChunkSet, chunk: ChunkIndex) -> bool {
        chunk >= self.keeps_from() && had.contains(chunk) && !self.unneeded.contains(chunk)
    }

    /// Returns all chunks that are still here.
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
    fn window_follows_the_unpacker_and_is_bounded() {
        // Ten chunks of a manual, then the archive, then the sentinel.
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
    fn unneeded_chunks_do_not_narrow_the_window() {
        let window = StreamWindow::new(set(500, 10..400));
        assert_eq!(window.asks_below(), 486, "ten chunks of the first archive, 86 of the second");
    }

    #[test]
    fn unpacker_never_goes_back() {
        let mut window = StreamWindow::new(ChunkSet::empty(300));
        window.passed(ChunkIndex(100));
        window.passed(ChunkIndex(50));
        assert_eq!((window.keeps_from(), window.asks_below()), (ChunkIndex(68), 196));
    }
}
