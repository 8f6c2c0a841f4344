//! Hashing a file chunk by chunk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lanspread_types::tree::{ChunkPosition, root_of};
use lanspread_types::{ChunkHash, ChunkSize};

use crate::cancel::Cancel;
use crate::fault::{Fault, OrFault};
use crate::walk::Look;

#[derive(Debug, PartialEq, Eq)]
pub struct FileHashes {
    pub root: ChunkHash,
    pub chunks: Vec<ChunkHash>,
}

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error(transparent)]
    Io(#[from] Fault),
    #[error("the file changed while it was read")]
    Changed,
    #[error("cancelled")]
    Cancelled,
}

/// Hashes a file that looked like `look`, and makes sure that it still does so afterwards. `buffer` is kept by the
/// caller from file to file; reads are as large as a chunk.
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
        let position = ChunkPosition { offset: index * chunk.bytes(), whole_file: len == look.size };
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
