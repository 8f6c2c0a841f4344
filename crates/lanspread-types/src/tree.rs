//! Chunk hashes: inner nodes of the ordinary BLAKE3 tree of a file.
//!
//! A file's root is the hash that `b3sum` prints. The hash of a chunk is the chaining value of the subtree over its
//! bytes, so the chunk hashes of a file can be merged to its root, and the list needs no signature or hash of its
//! own. A file of one chunk is one subtree, and its chunk hash is the root itself.
//!
//! Source: *BLAKE3: one function, fast everywhere*, section 2; the crate's `hazmat` module.

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::chunk::ChunkSize;
use crate::id::{HexIdError, id32, parse_hex};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

id32! {
    /// Hash of a chunk, or of a whole file (its root).
    ChunkHash
}

/// Position of a chunk in its file, which decides how it is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPosition {
    /// Offset of the chunk in its file, in bytes; a multiple of the chunk size.
    pub offset: u64,
    /// True if the chunk is the whole file; its hash is then the root.
    pub atomic_file: bool,
}

impl ChunkHash {
    /// Hashes the bytes of one chunk.
    pub fn of(position: ChunkPosition, bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        if position.atomic_file {
            return Self(*hasher.update(bytes).finalize().as_bytes());
        }
        hasher.set_input_offset(position.offset);
        hasher.update(bytes);
        Self(hasher.finalize_non_root())
    }
}

/// Merges the chunk hashes of a file of `size` bytes to its root. Returns `None` if the number of hashes does not
/// match the size.
pub fn root_of(hashes: &[ChunkHash], chunk: ChunkSize, size: u64) -> Option<ChunkHash> {
    if hashes.len() as u64 != chunk.chunks_in(size) {
        return None;
    }
    match hashes {
        [] => Some(ChunkHash(*blake3::hash(b"").as_bytes())),
        [only] => Some(*only),
        _ => {
            let (left, right) = split(hashes, chunk, size);
            let root = merge_subtrees_root(&subtree(left, chunk), &subtree(right, chunk), Mode::Hash);
            Some(ChunkHash(*root.as_bytes()))
        }
    }
}

/// Chunk hashes of a subtree that is not the root, and the number of its bytes.
type Part<'a> = (&'a [ChunkHash], u64);

/// Divides a subtree of more than one chunk into its two children.
fn split(hashes: &[ChunkHash], chunk: ChunkSize, size: u64) -> (Part<'_>, Part<'_>) {
    let left_bytes = left_subtree_len(size);
    let (left, right) = hashes.split_at((left_bytes / chunk.bytes()) as usize);
    ((left, left_bytes), (right, size - left_bytes))
}

/// Returns the chaining value of a subtree that is not the root.
fn subtree((hashes, size): Part<'_>, chunk: ChunkSize) -> ChainingValue {
    match hashes {
        [only] => only.0,
        _ => {
            let (left, right) = split(hashes, chunk, size);
            merge_subtrees_non_root(&subtree(left, chunk), &subtree(right, chunk), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: u64) -> Vec<u8> {
        (0..len).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect()
    }

    fn hashes(data: &[u8], chunk: ChunkSize) -> Vec<ChunkHash> {
        let atomic_file = data.len() as u64 <= chunk.bytes();
        let at = |i: usize| ChunkPosition { offset: i as u64 * chunk.bytes(), atomic_file };
        data.chunks(chunk.bytes() as usize).enumerate().map(|(i, c)| ChunkHash::of(at(i), c)).collect()
    }

    #[test]
    fn chunk_hashes_merge_to_what_b3sum_prints() {
        let chunk = ChunkSize::for_game(0);
        let c = chunk.bytes();
        for len in [
            0,
            1,
            1023,
            1024,
            1025,
            c - 1,
            c,
            c + 1,
            2 * c - 1,
            2 * c,
            2 * c + 1,
            3 * c,
            4 * c + 1,
            7 * c + 5,
        ] {
            let data = bytes(len);
            let root = ChunkHash(*blake3::hash(&data).as_bytes());
            assert_eq!(root_of(&hashes(&data, chunk), chunk, len), Some(root), "{len} bytes");
        }
    }

    #[test]
    fn list_of_the_wrong_length_has_no_root() {
        let chunk = ChunkSize::for_game(0);
        let list = hashes(&bytes(3 * chunk.bytes()), chunk);
        assert_eq!(root_of(&list[..2], chunk, 3 * chunk.bytes()), None);
        assert_eq!(root_of(&list, chunk, 4 * chunk.bytes()), None);
        assert_eq!(root_of(&list, chunk, 0), None);
    }

    #[test]
    fn equal_chunks_at_two_places_differ() {
        let chunk = ChunkSize::for_game(0);
        let list = hashes(&vec![0; 3 * chunk.bytes() as usize], chunk);
        assert_ne!(list[0], list[1], "a chunk can only stand where its hash says");
    }
}
