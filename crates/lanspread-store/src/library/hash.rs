//! Hashing of a file, chunk by chunk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lanspread_types::tree::{ChunkPosition, root_of};
use lanspread_types::{ChunkHash, ChunkSize};

use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault};
use crate::library::walk::Look;

/// Hashes of one file.
#[derive(Debug, PartialEq, Eq)]
pub struct FileHashes {
    /// BLAKE3 root over the whole file.
    pub root: ChunkHash,
    /// Hashes of the chunks, in file order.
    pub chunks: Vec<ChunkHash>,
}

/// Why a file was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
    /// The file does not look as it did, or was changed while it was read.
    #[error("the file changed while it was read")]
    Changed,
    /// The operation was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Hashes a file, and checks before and afterwards that it still looks like `look`.
///
/// Reads one chunk at a time into `buffer`, which the caller reuses from file to file. `progress` is given the size of
/// each chunk that was hashed, in bytes.
pub fn hash_file(
    path: &Path,
    look: Look,
    chunk: ChunkSize,
    buffer: &mut Vec<u8>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64),
) -> Result<FileHashes, HashError> {
    let mut file = File::open(path).or_fault("open", path)?;
    if Look::of(&file.metadata().or_fault("look at", path)?) != look {
        return Err(HashError::Changed);
    }
    let mut chunks = Vec::with_capacity(chunk.chunks_in(look.size) as usize);
    for index in 0..chunk.chunks_in(look.size) {
        if cancel.is_cancelled() {
            return Err(HashError::Cancelled);
        }
        let len = chunk.chunk_len(look.size, index);
        buffer.resize(len as usize, 0);
        match file.read_exact(buffer) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(HashError::Changed),
            read => read.or_fault("read", path)?,
        }
        let position = ChunkPosition { offset: index * chunk.bytes(), atomic_file: len == look.size };
        chunks.push(ChunkHash::of(position, buffer));
        progress(len);
    }
    let root = root_of(&chunks, chunk, look.size).ok_or(HashError::Changed)?;
    let after = fs::symlink_metadata(path).or_fault("look at", path)?;
    if Look::of(&after) != look {
        return Err(HashError::Changed);
    }
    Ok(FileHashes { root, chunks })
}
