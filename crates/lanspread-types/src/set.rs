//! Set of the chunks of a game, stored as a bitmap.

use std::fmt;

use crate::chunk::ChunkIndex;

/// Set of chunks of one game, for example those that a peer has.
///
/// The number of chunks in the game is fixed when the set is made. The set also counts its members, so
/// [`count`](Self::count) and [`is_full`](Self::is_full) cost nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSet {
    words: Vec<u64>,
    len: u32,
    count: u32,
}

impl ChunkSet {
    /// Makes an empty set for a game with `len` chunks.
    pub fn empty(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len, count: 0 }
    }

    /// Makes a set of all `len` chunks of a game.
    pub fn full(len: u32) -> Self {
        let mut set = Self::empty(len);
        (0..len).for_each(|i| {
            set.insert(ChunkIndex(i));
        });
        set
    }

    /// Reads a bitmap of whole bytes, least significant bit first. Returns `None` if the number of bytes is wrong or
    /// a bit beyond the last chunk is set.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != (len as usize).div_ceil(8) {
            return None;
        }
        let mut set = Self::empty(len);
        for (word, eight) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..eight.len()].copy_from_slice(eight);
            *word = u64::from_le_bytes(padded);
        }
        set.count = set.words.iter().map(|w| w.count_ones()).sum();
        let beyond = set.words.last().is_some_and(|w| !len.is_multiple_of(64) && w >> (len % 64) != 0);
        (!beyond).then_some(set)
    }

    /// Writes the bitmap that [`from_bytes`](Self::from_bytes) reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.truncate((self.len as usize).div_ceil(8));
        bytes
    }

    /// Returns the number of chunks of the game, in the set or not.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Returns the number of chunks in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns true if no chunk is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns true if all chunks of the game are in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Returns true if the chunk is in the set.
    pub fn contains(&self, chunk: ChunkIndex) -> bool {
        chunk.0 < self.len && self.words[chunk.as_usize() / 64] >> (chunk.0 % 64) & 1 == 1
    }

    /// Adds a chunk and returns true if it was not in the set. Ignores a chunk beyond the last one.
    pub fn insert(&mut self, chunk: ChunkIndex) -> bool {
        if chunk.0 >= self.len || self.contains(chunk) {
            return false;
        }
        self.words[chunk.as_usize() / 64] |= 1 << (chunk.0 % 64);
        self.count += 1;
        true
    }

    /// Removes a chunk and returns true if it was in the set.
    pub fn remove(&mut self, chunk: ChunkIndex) -> bool {
        if !self.contains(chunk) {
            return false;
        }
        self.words[chunk.as_usize() / 64] &= !(1 << (chunk.0 % 64));
        self.count -= 1;
        true
    }

    /// Iterates over the chunks in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(at, &word)| bits(word).map(move |b| ChunkIndex(at as u32 * 64 + b)))
    }

    /// Iterates over the chunks that are not in the set, in ascending order, from `start` on.
    pub fn missing_from(&self, start: u32) -> impl Iterator<Item = ChunkIndex> + '_ {
        let first = start as usize / 64;
        let words = self.words.iter().enumerate().skip(first);
        words
            .flat_map(move |(at, &word)| {
                let hidden = if at == first { (1u64 << (start % 64)) - 1 } else { 0 };
                bits(!word & !hidden).map(move |b| ChunkIndex(at as u32 * 64 + b))
            })
            .take_while(|c| c.0 < self.len)
    }

    /// Returns the first chunk that is not in the set.
    pub fn first_missing(&self) -> Option<ChunkIndex> {
        self.missing_from(0).next()
    }
}

/// Iterates over the positions of the set bits, in ascending order.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

impl fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSet({} of {})", self.count, self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers(len in 0u32..200, ops in prop::collection::vec((any::<bool>(), 0u32..220), 0..60)) {
            let (mut set, mut model) = (ChunkSet::empty(len), BTreeSet::new());
            for (insert, n) in ops {
                let chunk = ChunkIndex(n);
                if insert {
                    prop_assert_eq!(set.insert(chunk), n < len && model.insert(n));
                } else {
                    prop_assert_eq!(set.remove(chunk), model.remove(&n));
                }
            }
            prop_assert_eq!(set.count() as usize, model.len());
            prop_assert_eq!(set.iter().map(|c| c.0).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for start in 0..=len {
                let missing: Vec<u32> = (start..len).filter(|n| !model.contains(n)).collect();
                prop_assert_eq!(set.missing_from(start).map(|c| c.0).collect::<Vec<_>>(), missing);
            }
            prop_assert_eq!(ChunkSet::from_bytes(len, &set.to_bytes()), Some(set));
        }
    }

    #[test]
    fn malformed_bitmaps_are_refused() {
        assert_eq!(ChunkSet::from_bytes(9, &[0]), None);
        assert_eq!(ChunkSet::from_bytes(9, &[0, 0, 0]), None);
        assert_eq!(ChunkSet::from_bytes(9, &[0, 2]), None);
        assert_eq!(ChunkSet::from_bytes(9, &[255, 1]), Some(ChunkSet::full(9)));
        assert_eq!(ChunkSet::from_bytes(0, &[]), Some(ChunkSet::empty(0)));
    }
}
