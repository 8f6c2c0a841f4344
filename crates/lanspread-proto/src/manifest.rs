//! A game's manifest and chunk hashes as one blob, the payload of a manifest answer.
//!
//! In postcard: game, version, list of files (path, size, root), list of chunk hashes. The hashes are those of files
//! with more than one chunk, in manifest order; the only chunk of a smaller file hashes to the file's root.

use lanspread_types::limits::{FILES_PER_GAME_MAX, MANIFEST_BYTES_MAX};
use lanspread_types::manifest::ManifestError;
use lanspread_types::{ChunkHash, FileEntry, GameContent, GameId, GameVersion, Manifest};
use serde::de::DeserializeOwned;

use crate::frame::{EncodeError, append};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestDecodeError {
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    #[error("it is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("it states {stated} files, at most {FILES_PER_GAME_MAX} are allowed")]
    Files { stated: u32 },
    #[error("it states {stated} chunk hashes, its files call for {called_for} and {bytes} bytes are there")]
    Hashes { stated: u32, called_for: u32, bytes: usize },
    #[error(
        "a number in it is written longer than need be, so that one content would have several encodings"
    )]
    NotCanonical,
    #[error(transparent)]
    Invalid(#[from] ManifestError),
}

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

/// Reads and checks a manifest. Allocates in proportion to `bytes`, whatever counts they state. Whether it is the one
/// that was asked for is for the caller to check with [`GameContent::expect`].
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
    // postcard's varints may have trailing zero groups; all else has one form.
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

/// The hash of each chunk of all files, from the list of those that do not follow from the roots.
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

    /// So many files, all of them empty, the sentinel among them.
    fn files(count: usize) -> GameContent {
        let root = ChunkHash::of(ChunkPosition { offset: 0, whole_file: true }, b"");
        let entry = |path: &str| FileEntry { path: RelPath::new(path).unwrap(), size: 0, root };
        let mut files: Vec<_> = (1..count).map(|n| entry(&format!("{n:06}"))).collect();
        files.push(entry(SENTINEL));
        let version = GameVersion::new(20_250_101).unwrap();
        GameContent::new(Manifest::new(GameId::new("ggoo").unwrap(), version, files).unwrap(), vec![])
            .unwrap()
    }

    #[test]
    fn a_manifest_may_be_as_large_as_the_limit_and_no_larger() {
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
    fn a_manifest_may_state_as_many_files_as_the_limit_and_no_more() {
        let most = files(FILES_PER_GAME_MAX);
        assert_eq!(decode(&encode(&most).unwrap()), Ok(most));
        for stated in [FILES_PER_GAME_MAX as u32 + 1, u32::MAX] {
            let game = (GameId::new("ggoo").unwrap(), GameVersion::new(20_250_101).unwrap(), stated);
            let bytes = append(&game, Vec::new()).unwrap();
            assert_eq!(decode(&bytes), Err(ManifestDecodeError::Files { stated }));
        }
    }
}
