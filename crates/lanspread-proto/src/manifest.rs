//! Encoding of a game's manifest with its chunk hashes: the payload of a manifest answer.
//!
//! In postcard: game, version, list of files (path, size, root), list of chunk hashes. The hashes are those of the
//! files with more than one chunk, in manifest order; a smaller file has its root as its only chunk hash. Each
//! content has exactly one encoding.

use lanspread_types::limits::{FILES_PER_GAME_MAX, MANIFEST_BYTES_MAX};
use lanspread_types::manifest::ManifestError;
use lanspread_types::{ChunkHash, FileEntry, GameContent, GameId, GameVersion, Manifest};
use serde::de::DeserializeOwned;

use crate::frame::{EncodeError, append};

/// Size of a hash, in bytes.
const HASH_BYTES: usize = 32;

/// Why bytes are not the encoding of a valid manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestDecodeError {
    /// There are too many bytes; holds their number.
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// The bytes are not valid postcard.
    #[error("it is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    /// The encoding states too many files.
    #[error("it states {stated} files, at most {FILES_PER_GAME_MAX} are allowed")]
    Files {
        /// Number of files that the encoding states.
        stated: u32,
    },
    /// The stated number of hashes does not match the files, or the bytes after it.
    #[error("it states {stated} chunk hashes, its files call for {called_for} and {bytes} bytes are there")]
    Hashes {
        /// Number of hashes that the encoding states.
        stated: u32,
        /// Number of hashes that the files need.
        called_for: u32,
        /// Bytes that are there for the hashes.
        bytes: usize,
    },
    /// A number is written in a longer form than necessary.
    #[error(
        "a number in it is written longer than need be, so that one content would have several encodings"
    )]
    NotCanonical,
    /// The bytes can be decoded, but the manifest or its hashes are not valid.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
}

/// Encodes a manifest and its chunk hashes.
pub fn encode(content: &GameContent) -> Result<Vec<u8>, EncodeError> {
    encode_within(MANIFEST_BYTES_MAX, content)
}

fn encode_within(max: usize, content: &GameContent) -> Result<Vec<u8>, EncodeError> {
    let manifest = content.manifest();
    let mut bytes = append(&(manifest.game(), manifest.version(), manifest.files()), Vec::new())?;
    bytes = append(&stated_hashes(manifest), bytes)?;
    for hash in
        (0..manifest.files().len()).map(|at| content.hashes_of(at)).filter(|list| list.len() > 1).flatten()
    {
        bytes.extend_from_slice(hash.as_bytes());
    }
    match bytes.len() {
        bytes if bytes > max => Err(EncodeError::TooLarge { bytes, max }),
        _ => Ok(bytes),
    }
}

/// Decodes and checks a manifest. Allocates in proportion to `bytes`, whatever counts they state.
///
/// It does not know which content was asked for: the caller checks that with [`GameContent::expect`].
pub fn decode(bytes: &[u8]) -> Result<GameContent, ManifestDecodeError> {
    decode_within(MANIFEST_BYTES_MAX, bytes)
}

fn decode_within(max: usize, bytes: &[u8]) -> Result<GameContent, ManifestDecodeError> {
    if bytes.len() > max {
        return Err(ManifestDecodeError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let (game, version): (GameId, GameVersion) = take(&mut rest)?;
    let stated: u32 = take(&mut rest)?;
    if stated as usize > FILES_PER_GAME_MAX {
        return Err(ManifestDecodeError::Files { stated });
    }
    let mut files: Vec<FileEntry> = Vec::new();
    for _ in 0..stated {
        files.push(take(&mut rest)?);
    }
    let manifest = Manifest::new(game, version, files)?;
    let hashes = take_hashes(&manifest, rest)?;
    let content = GameContent::new(manifest, hashes)?;
    // A varint of postcard may have trailing zero groups. Everything else has only one form.
    match encode(&content) {
        Ok(canonical) if canonical == bytes => Ok(content),
        _ => Err(ManifestDecodeError::NotCanonical),
    }
}

fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, postcard::Error> {
    let (value, left) = postcard::take_from_bytes(rest)?;
    *rest = left;
    Ok(value)
}

/// Returns the hashes of all chunks: those in the list, and the roots of files with one chunk.
fn take_hashes(manifest: &Manifest, mut rest: &[u8]) -> Result<Vec<ChunkHash>, ManifestDecodeError> {
    let stated: u32 = take(&mut rest)?;
    let called_for = stated_hashes(manifest);
    if stated != called_for || rest.len() != called_for as usize * HASH_BYTES {
        return Err(ManifestDecodeError::Hashes { stated, called_for, bytes: rest.len() });
    }
    let (list, _) = rest.as_chunks::<HASH_BYTES>();
    let mut list = list.iter().map(|&bytes| ChunkHash(bytes));
    let mut hashes = Vec::with_capacity(manifest.files().len() + called_for as usize);
    for (at, file) in manifest.files().iter().enumerate() {
        match manifest.chunks_of(at).len() {
            0 => {}
            1 => hashes.push(file.root),
            several => hashes.extend(list.by_ref().take(several)),
        }
    }
    Ok(hashes)
}

/// Returns the number of hashes in the encoding: those of files with more than one chunk.
fn stated_hashes(manifest: &Manifest) -> u32 {
    let lists = (0..manifest.files().len()).map(|at| manifest.chunks_of(at).len() as u32);
    lists.filter(|&chunks| chunks > 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanspread_types::manifest::SENTINEL;
    use lanspread_types::tree::ChunkPosition;
    use lanspread_types::{ChunkHash, RelPath};

    /// A manifest of `count` empty files, the sentinel among them.
    fn files(count: usize) -> GameContent {
        let root = ChunkHash::of(ChunkPosition { offset: 0, atomic_file: true }, b"");
        let entry = |path: &str| FileEntry { path: RelPath::new(path).unwrap(), size: 0, root };
        let mut files: Vec<_> = (1..count).map(|n| entry(&format!("{n:06}"))).collect();
        files.push(entry(SENTINEL));
        let version = GameVersion::new(20_250_101).unwrap();
        GameContent::new(Manifest::new(GameId::new("ggoo").unwrap(), version, files).unwrap(), vec![])
            .unwrap()
    }

    #[test]
    fn manifests_above_the_byte_limit_are_refused() {
        let content = files(3);
        let bytes = encode(&content).unwrap();
        assert!(bytes.len() as u64 <= content.encoded_bytes_max());
        let len = bytes.len();
        assert_eq!(encode_within(len, &content), Ok(bytes.clone()));
        assert_eq!(encode_within(len - 1, &content), Err(EncodeError::TooLarge { bytes: len, max: len - 1 }));
        assert_eq!(encode_within(len - 2, &content), Err(EncodeError::TooLarge { bytes: len, max: len - 2 }));
        assert_eq!(decode_within(len, &bytes), Ok(content));
        assert_eq!(decode_within(len - 1, &bytes), Err(ManifestDecodeError::TooLarge(len)));
        assert_eq!(decode_within(len - 2, &bytes), Err(ManifestDecodeError::TooLarge(len)));
    }

    #[test]
    fn manifests_above_the_file_limit_are_refused() {
        let most = files(FILES_PER_GAME_MAX);
        assert_eq!(decode(&encode(&most).unwrap()), Ok(most));
        for stated in [FILES_PER_GAME_MAX as u32 + 1, u32::MAX] {
            let game = (GameId::new("ggoo").unwrap(), GameVersion::new(20_250_101).unwrap(), stated);
            let bytes = append(&game, Vec::new()).unwrap();
            assert_eq!(decode(&bytes), Err(ManifestDecodeError::Files { stated }));
        }
    }
}
