//! The decoders of our files, for the fuzz targets. What is sealed is also read without its checksum, which would keep
//! nearly every changed byte out.

use lanspread_types::{ContentId, GameId};

use crate::sealed::{seal_payload, unseal};
use crate::{have, index, journal};

/// Reads a record of the journal, or the hash index of a game; says whether it is one.
pub fn sealed_file(kind: Sealed, bytes: &[u8]) -> bool {
    match kind {
        Sealed::Journal => unseal::<journal::Payload>(journal::MAGIC, bytes).is_some(),
        Sealed::Index => unseal::<index::GameIndex>(index::MAGIC, bytes).is_some(),
    }
}

/// The same for a payload without magic number and checksum.
pub fn payload(kind: Sealed, payload: &[u8]) -> bool {
    let magic = match kind {
        Sealed::Journal => journal::MAGIC,
        Sealed::Index => index::MAGIC,
    };
    sealed_file(kind, &seal_payload(magic, payload))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    Journal,
    Index,
}

/// Reads the chunks of a have journal; how many it holds, if it is one.
pub fn have_journal(bytes: &[u8], content: ContentId) -> Option<usize> {
    have::parse(bytes, content).map(|journalled| journalled.chunks.len())
}

/// A have journal with these chunks.
pub fn have_image(content: ContentId, chunks: u32) -> Vec<u8> {
    let chunks: Vec<_> = (0..chunks).map(lanspread_types::ChunkIndex).collect();
    have::HaveJournal::image(content, Some([7; 16]), &chunks)
}

/// A record of the journal.
pub fn journal_payload(game: &GameId) -> Vec<u8> {
    postcard::to_stdvec(&journal::sample(game)).unwrap_or_default()
}
