//! Decoders of our own files, exposed to the fuzz targets.
//!
//! Sealed files can also be decoded without their checksum, which would reject nearly every changed byte.

use lanspread_types::{ContentId, GameId};

use crate::change::journal;
use crate::change::sealed::{seal_payload, unseal};
use crate::download::have;
use crate::library::index;

/// Returns whether `bytes` are a valid sealed file of this kind.
pub fn sealed_file(kind: Sealed, bytes: &[u8]) -> bool {
    match kind {
        Sealed::Journal => unseal::<journal::Payload>(journal::MAGIC, bytes).is_some(),
        Sealed::Index => unseal::<index::GameIndex>(index::MAGIC, bytes).is_some(),
    }
}

/// Returns whether a payload is valid once it has the right magic number and checksum.
pub fn payload(kind: Sealed, payload: &[u8]) -> bool {
    let magic = match kind {
        Sealed::Journal => journal::MAGIC,
        Sealed::Index => index::MAGIC,
    };
    sealed_file(kind, &seal_payload(magic, payload))
}

/// Kind of sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// A journal record.
    Journal,
    /// The hash index of a game.
    Index,
}

/// Returns the number of chunks in a have-journal; `None` if `bytes` are not a journal of this content.
pub fn have_journal(bytes: &[u8], content: ContentId) -> Option<usize> {
    have::parse(bytes, content).map(|journalled| journalled.chunks.len())
}

/// Returns a have-journal that holds the chunks from 0 to below `chunks`.
pub fn have_image(content: ContentId, chunks: u32) -> Vec<u8> {
    let chunks: Vec<_> = (0..chunks).map(lanspread_types::ChunkIndex).collect();
    have::HaveJournal::image(content, Some([7; 16]), &chunks)
}

/// Returns the payload of a valid journal record, as a seed for the fuzzer.
pub fn journal_payload(game: &GameId) -> Vec<u8> {
    postcard::to_stdvec(&journal::sample(game)).unwrap_or_default()
}
