//! Chunk arithmetic. A chunk is the unit of requests, verification, have-announcements and resuming.
//!
//! The chunk size follows from the size of the game alone, so all peers agree on it without stating it. Which bytes
//! of which files a chunk has is decided in [`crate::manifest`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// Number of a chunk within a game, counted from 0 through all files in manifest order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkIndex(pub u32);

impl ChunkIndex {
    /// Returns the number as an index for slices.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Size of a game's chunks: a power of two from 32 KiB to 8 MiB, and so always a whole BLAKE3 subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(u64);

impl ChunkSize {
    /// Chunk count that the usual chunk size is chosen for: 8192 × √2.
    ///
    /// In a relay line each receiver is one chunk behind its upstream, so with 8192 chunks the last of two hundred
    /// receivers finishes 2.4 % of one copy's time after the first (`docs/decisions/0002`). The factor √2 leaves room
    /// for a few small files beside a game of a round size, as games usually are: these few bytes must not double the
    /// chunk size.
    const CHUNKS_USUAL_MAX: u64 = 11_585;
    /// Largest usual chunk size. Larger chunks would save little: at 1 Gbit/s 240 chunks of this size arrive in a
    /// second, and the hashes of a game of 10 GiB take 640 KiB.
    const BYTES_USUAL_MAX: u64 = 512 << 10;
    /// Chunk count above which chunks grow beyond the usual size, which happens in games of more than 64 GiB. More
    /// chunks would make the manifest too large.
    const CHUNKS_MAX: u64 = 1 << 17;

    /// Returns the chunk size of a game with `total` bytes in all its files.
    ///
    /// Every peer derives it from the manifest, so it is never stated on the wire.
    pub fn for_game(total: u64) -> Self {
        let usual = total.div_ceil(Self::CHUNKS_USUAL_MAX).next_power_of_two();
        let least = total.div_ceil(Self::CHUNKS_MAX).next_power_of_two();
        Self(usual.clamp(CHUNK_BYTES_MIN, Self::BYTES_USUAL_MAX).max(least).min(CHUNK_BYTES_MAX))
    }

    /// Returns the size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Returns the number of chunks in a file of `size` bytes; an empty file has none.
    pub const fn chunks_in(self, size: u64) -> u64 {
        size.div_ceil(self.0)
    }

    /// Returns the length of the `index`-th chunk of a file of `size` bytes; 0 beyond its end.
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
        assert_eq!([of(5 << 30), of(10 << 30), of(64 << 30)], [512 << 10; 3]);
        assert_eq!([of((64 << 30) + 1), of(128 << 30)], [1 << 20; 2]);
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
