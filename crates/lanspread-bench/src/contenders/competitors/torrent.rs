//! Writes a torrent of one file (BEP 3) for the competitors that need one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lanspread_types::chunk::ChunkSize;
use sha1::{Digest, Sha1};

use crate::game::{ARCHIVE, Game};

/// Writes the torrent of a game. Its pieces are as large as our chunks, so that all contenders exchange the same
/// units.
pub fn write(game: &Game, tracker: &str, folder: &Path) -> Result<PathBuf> {
    let piece_bytes = ChunkSize::for_game(game.total_bytes()).bytes();
    let mut file = File::open(&game.archive)?;
    let mut pieces = Vec::new();
    let mut left = game.archive_bytes;
    let mut piece = vec![0; piece_bytes as usize];
    while left > 0 {
        let part = &mut piece[..left.min(piece_bytes) as usize];
        file.read_exact(part)?;
        pieces.extend_from_slice(&Sha1::digest(&*part));
        left -= part.len() as u64;
    }
    let path = folder.join("bench.torrent");
    std::fs::write(&path, encode(tracker, game.archive_bytes, piece_bytes, &pieces))?;
    Ok(path)
}

/// Encodes a torrent, with its keys in the order that bencoding demands.
fn encode(tracker: &str, length: u64, piece_bytes: u64, pieces: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "d8:announce{}:{tracker}4:infod6:lengthi{length}e4:name{}:{ARCHIVE}12:piece lengthi{piece_bytes}e6:pieces{}:",
        tracker.len(),
        ARCHIVE.len(),
        pieces.len(),
    )
    .into_bytes();
    text.extend_from_slice(pieces);
    text.extend_from_slice(b"ee");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torrent_is_bencoded_in_order() {
        let text = encode("http://x/a", 3, 65536, b"01234567890123456789");
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "d8:announce10:http://x/a4:infod6:lengthi3e4:name9:bench.eti12:piece lengthi65536e6:pieces20:01234567890123456789ee"
        );
    }
}
