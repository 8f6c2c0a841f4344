//! Chunk arithmetic: the chunk is the unit of request, verification, have-announcement and resume.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// The number of a chunk within a game: the chunks of all files, in manifest order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkIndex(pub u32);

impl ChunkIndex {
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The size of a game's chunks: a power of two from 32 KiB to 8 MiB, and so always a whole BLAKE3 subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(u64);

impl ChunkSize {
    /// In a line of receivers the last one is behind the first by one chunk's time for each, so 8192 chunks cost two
    /// hundred receivers 2.4 % of the time of one copy (`docs/decisions/0002`). Times √2, so that a game of some round
    /// size and a small file more, which is how games are, does not get chunks of twice the size.
    const CHUNKS_USUAL_MAX: u64 = 11_585;
    /// Larger chunks than this save little: the hashes of a game of 10 GiB take 320 KiB.
    const BYTES_USUAL_MAX: u64 = 1 << 20;
    /// A game of more than 128 GiB has larger ones, or its manifest would be too large.
    const CHUNKS_MAX: u64 = 1 << 17;

    /// The chunk size of a game with `total` bytes in all. Every peer derives the same from the manifest, so it is
    /// never stated on the wire.
    pub fn for_game(total: u64) -> Self {
        let usual = total.div_ceil(Self::CHUNKS_USUAL_MAX).next_power_of_two();
        let least = total.div_ceil(Self::CHUNKS_MAX).next_power_of_two();
        Self(usual.clamp(CHUNK_BYTES_MIN, Self::BYTES_USUAL_MAX).max(least).min(CHUNK_BYTES_MAX))
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Chunks in a file of `size` bytes; none in an empty file.
    pub const fn chunks_in(self, size: u64) -> u64 {
        size.div_ceil(self.0)
    }

    /// Length of the `index`-th chunk of a file of `size` bytes.
    pub fn chunk_len(self, size: u64, index: u64) -> u64 {
        size.saturating_sub(index * self.0).min(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_game() {
        let of = |total| ChunkSize::for_game(total).bytes();
        assert_eq!(of(0), 32 << 10);
        assert_eq!(of(11_585 * (32 << 10)), 32 << 10);
        assert_eq!(of(11_585 * (32 << 10) + 1), 64 << 10);
        assert_eq!(of((256 << 20) + 9), 32 << 10);
        assert_eq!(of(1 << 30), 128 << 10);
        assert_eq!([of(10 << 30), of(80 << 30), of(128 << 30)], [1 << 20; 3]);
        assert_eq!(of((128 << 30) + 1), 2 << 20);
        assert_eq!(of(u64::MAX >> 8), 8 << 20);
    }

    #[test]
    fn chunks_cover_a_file_exactly() {
        let size = ChunkSize::for_game(0);
        let chunk = size.bytes();
        for (file, chunks) in [(0, 0), (1, 1), (chunk - 1, 1), (chunk, 1), (chunk + 1, 2), (3 * chunk, 3)] {
            assert_eq!(size.chunks_in(file), chunks, "{file}");
            let covered: u64 = (0..chunks).map(|i| size.chunk_len(file, i)).sum();
            assert_eq!(covered, file);
            assert_eq!(size.chunk_len(file, chunks), 0);
        }
    }
}
