//! What a game version consists of.

use serde::{Deserialize, Serialize};

use crate::chunk::{ChunkIndex, ChunkSize};
use crate::failpoint;
use crate::id::{ContentId, GameId};
use crate::limits::{CHUNKS_PER_GAME_MAX, FILES_PER_GAME_MAX, GAME_BYTES_MAX};
use crate::path::{PathCollision, RelPath, check_collisions};
use crate::tree::{ChunkHash, ChunkPosition, root_of};
use crate::version::GameVersion;

/// Name of the sentinel: the file whose presence says that a game is downloaded.
pub const SENTINEL: &str = "version.ini";
/// Name of the folder of the installed game, compared without regard to case.
pub const LOCAL_FOLDER: &str = "local";
/// Extension of archives, without the dot.
pub const ARCHIVE_EXTENSION: &str = "eti";

/// Bytes of a hash.
pub(crate) const HASH_BYTES: u64 = 32;
/// What a file's entry takes in an encoded manifest beside its path: root, size and length of the path, as varints.
pub(crate) const FILE_ENTRY_BYTES_MAX: u64 = HASH_BYTES + 10 + 2;
/// What stands before and between the lists of an encoded manifest: game, version and two counts.
pub(crate) const ENCODED_HEAD_BYTES_MAX: u64 = 128;

/// One file of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: RelPath,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 hash of the file.
    pub root: ChunkHash,
}

/// The sorted file list of one version of one game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    game: GameId,
    version: GameVersion,
    files: Vec<FileEntry>,
    chunk_size: ChunkSize,
    /// Number of the first chunk of each file, and the number of all chunks at the end.
    first_chunks: Vec<u32>,
    total_bytes: u64,
    /// Length of all paths, in bytes.
    path_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the files are not in strictly ascending order of their paths at {0}")]
    Unsorted(RelPath),
    #[error(transparent)]
    Collision(#[from] PathCollision),
    #[error("a game has 1 to {FILES_PER_GAME_MAX} files, this one has {0}")]
    Files(usize),
    #[error("a game has at most {GAME_BYTES_MAX} bytes and {CHUNKS_PER_GAME_MAX} chunks")]
    TooLarge,
    #[error("there is no {SENTINEL} among the files")]
    NoSentinel,
    #[error("{0} stands in a folder that is never shared")]
    Private(RelPath),
    #[error("the chunk hashes do not merge to the root of {0}")]
    HashList(RelPath),
    #[error("the manifest is {found}, {expected} was asked for")]
    WrongContent { expected: ContentId, found: ContentId },
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Position of its file in the manifest.
    pub file: usize,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Manifest {
    /// Checks the list: sorted, no collisions, within the limits, with a sentinel, nothing private.
    pub fn new(game: GameId, version: GameVersion, files: Vec<FileEntry>) -> Result<Self, ManifestError> {
        if files.is_empty() || files.len() > FILES_PER_GAME_MAX {
            return Err(ManifestError::Files(files.len()));
        }
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(ManifestError::Unsorted(pair[1].path.clone()));
        }
        check_collisions(files.iter().map(|f| &f.path))?;
        if let Some(file) = files.iter().find(|f| is_private(&f.path) && !failpoint!("serve-private-paths")) {
            return Err(ManifestError::Private(file.path.clone()));
        }
        if !files.iter().any(|f| f.path.as_str() == SENTINEL) {
            return Err(ManifestError::NoSentinel);
        }
        let total_bytes = files.iter().try_fold(0u64, |sum, f| sum.checked_add(f.size));
        let total_bytes = total_bytes.filter(|&t| t <= GAME_BYTES_MAX).ok_or(ManifestError::TooLarge)?;
        let chunk_size = ChunkSize::for_game(total_bytes);
        let mut first_chunks = Vec::with_capacity(files.len() + 1);
        let mut chunks = 0;
        for file in &files {
            first_chunks.push(chunks as u32);
            chunks += chunk_size.chunks_in(file.size);
            if chunks > u64::from(CHUNKS_PER_GAME_MAX) {
                return Err(ManifestError::TooLarge);
            }
        }
        first_chunks.push(chunks as u32);
        let path_bytes = files.iter().map(|file| file.path.as_str().len() as u64).sum();
        Ok(Self { game, version, files, chunk_size, first_chunks, total_bytes, path_bytes })
    }

    pub fn game(&self) -> &GameId {
        &self.game
    }

    pub fn version(&self) -> GameVersion {
        self.version
    }

    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    pub fn chunk_size(&self) -> ChunkSize {
        self.chunk_size
    }

    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub fn chunk_count(&self) -> u32 {
        self.first_chunks[self.files.len()]
    }

    /// The archives, sorted: direct children with the archive extension. The later ones win where they overlap.
    pub fn archives(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|f| is_archive(&f.path))
    }

    /// The numbers of a file's chunks.
    pub fn chunks_of(&self, file: usize) -> std::ops::Range<u32> {
        self.first_chunks[file]..self.first_chunks[file + 1]
    }

    /// Where a chunk stands, or `None` beyond the last one.
    pub fn place(&self, chunk: ChunkIndex) -> Option<ChunkPlace> {
        if chunk.0 >= self.chunk_count() {
            return None;
        }
        let file = self.first_chunks.partition_point(|&first| first <= chunk.0) - 1;
        let index = u64::from(chunk.0 - self.first_chunks[file]);
        let len = self.chunk_size.chunk_len(self.files[file].size, index);
        Some(ChunkPlace { file, offset: index * self.chunk_size.bytes(), len })
    }

    /// The content id: BLAKE3 in derive-key mode over game, version and, for each file, path, size and root. Lengths
    /// are little-endian; strings are preceded by their length in bytes as `u32`.
    pub fn content_id(&self) -> ContentId {
        let mut hasher = blake3::Hasher::new_derive_key("lanspread 2026-11 manifest v1");
        let text = |hasher: &mut blake3::Hasher, s: &str| {
            hasher.update(&(s.len() as u32).to_le_bytes());
            hasher.update(s.as_bytes());
        };
        text(&mut hasher, self.game.as_str());
        hasher.update(&self.version.stamp().to_le_bytes());
        hasher.update(&(self.files.len() as u32).to_le_bytes());
        for file in &self.files {
            text(&mut hasher, file.path.as_str());
            hasher.update(&file.size.to_le_bytes());
            hasher.update(file.root.as_bytes());
        }
        ContentId(*hasher.finalize().as_bytes())
    }
}

/// A manifest with the hash of each chunk: all that is needed to verify a download chunk by chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameContent {
    manifest: Manifest,
    content_id: ContentId,
    hashes: Vec<ChunkHash>,
}

impl GameContent {
    /// Checks that the hashes of each file's chunks merge to the file's root.
    pub fn new(manifest: Manifest, hashes: Vec<ChunkHash>) -> Result<Self, ManifestError> {
        for (at, file) in manifest.files.iter().enumerate() {
            let chunks = manifest.chunks_of(at);
            let list = hashes.get(chunks.start as usize..chunks.end as usize);
            if list.and_then(|list| root_of(list, manifest.chunk_size, file.size)) != Some(file.root) {
                return Err(ManifestError::HashList(file.path.clone()));
            }
        }
        if hashes.len() != manifest.chunk_count() as usize {
            return Err(ManifestError::HashList(manifest.files[manifest.files.len() - 1].path.clone()));
        }
        let content_id = manifest.content_id();
        Ok(Self { manifest, content_id, hashes })
    }

    /// The same, for a manifest that a peer sent on request.
    pub fn expect(self, expected: ContentId) -> Result<Self, ManifestError> {
        match self.content_id {
            found if found == expected => Ok(self),
            found => Err(ManifestError::WrongContent { expected, found }),
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn content_id(&self) -> ContentId {
        self.content_id
    }

    /// The hashes of all chunks, in order.
    pub fn hashes(&self) -> &[ChunkHash] {
        &self.hashes
    }

    /// Bytes that the encoded manifest and its hashes take at the most.
    pub fn encoded_bytes_max(&self) -> u64 {
        let files = self.manifest.files.len() as u64 * FILE_ENTRY_BYTES_MAX;
        ENCODED_HEAD_BYTES_MAX + files + self.manifest.path_bytes + self.hashes.len() as u64 * HASH_BYTES
    }

    /// Whether these are the bytes of that chunk.
    pub fn verifies(&self, chunk: ChunkIndex, bytes: &[u8]) -> bool {
        let Some(place) = self.manifest.place(chunk) else { return false };
        let position = self.position(place);
        bytes.len() as u64 == place.len && ChunkHash::of(position, bytes) == self.hashes[chunk.as_usize()]
    }

    fn position(&self, place: ChunkPlace) -> ChunkPosition {
        let whole_file = place.len == self.manifest.files[place.file].size;
        ChunkPosition { offset: place.offset, whole_file }
    }
}

/// Whether a path of a game is never announced, hashed or served: the installed game and our own folders.
pub fn is_private(path: &RelPath) -> bool {
    let first = path.components().next().unwrap_or_default();
    first.eq_ignore_ascii_case(LOCAL_FOLDER) || first.to_ascii_lowercase().starts_with(".lanspread")
}

/// Whether a path names an archive: a direct child of the game's folder with the archive extension.
pub fn is_archive(path: &RelPath) -> bool {
    let Some((stem, extension)) = path.as_str().rsplit_once('.') else { return false };
    !path.as_str().contains('/') && !stem.is_empty() && extension.eq_ignore_ascii_case(ARCHIVE_EXTENSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: &[u8]) -> FileEntry {
        let root = ChunkHash(*blake3::hash(content).as_bytes());
        FileEntry { path: RelPath::new(path).unwrap(), size: content.len() as u64, root }
    }

    fn manifest(files: Vec<FileEntry>) -> Result<Manifest, ManifestError> {
        Manifest::new(GameId::new("ggoo").unwrap(), GameVersion::new(20_250_101).unwrap(), files)
    }

    #[test]
    fn chunks_are_numbered_through_all_files() {
        let big = vec![1; (64 << 10) + 1];
        let m = manifest(vec![entry("a.eti", &big), entry("empty", b""), entry("version.ini", b"20250101")])
            .unwrap();
        assert_eq!(m.chunk_count(), 3);
        assert_eq!((m.chunks_of(0), m.chunks_of(1), m.chunks_of(2)), (0..2, 2..2, 2..3));
        let at = |c| m.place(ChunkIndex(c)).map(|p| (p.file, p.offset, p.len));
        assert_eq!(at(0), Some((0, 0, 64 << 10)));
        assert_eq!(at(1), Some((0, 64 << 10, 1)));
        assert_eq!(at(2), Some((2, 0, 8)));
        assert_eq!(at(3), None);
    }

    #[test]
    fn bad_lists_are_refused() {
        let sentinel = || entry("version.ini", b"20250101");
        assert!(matches!(manifest(vec![]), Err(ManifestError::Files(0))));
        assert!(matches!(manifest(vec![entry("a", b"")]), Err(ManifestError::NoSentinel)));
        assert!(matches!(manifest(vec![sentinel(), entry("a", b"")]), Err(ManifestError::Unsorted(_))));
        assert!(matches!(manifest(vec![sentinel(), sentinel()]), Err(ManifestError::Unsorted(_))));
        assert!(matches!(
            manifest(vec![entry("A", b""), entry("a", b""), sentinel()]),
            Err(ManifestError::Collision(_))
        ));
        for private in ["local/x", "LOCAL", ".lanspread/x", ".lanspread-tmp"] {
            let mut files = vec![entry(private, b""), sentinel()];
            files.sort_by(|a, b| a.path.cmp(&b.path));
            assert!(matches!(manifest(files), Err(ManifestError::Private(_))), "{private}");
        }
        let huge = FileEntry { size: u64::MAX, ..sentinel() };
        assert!(matches!(manifest(vec![huge]), Err(ManifestError::TooLarge)));
    }

    #[test]
    fn the_content_id_covers_every_field() {
        let base = manifest(vec![entry("a", b"x"), entry("version.ini", b"20250101")]).unwrap();
        let others = [
            manifest(vec![entry("b", b"x"), entry("version.ini", b"20250101")]).unwrap(),
            manifest(vec![entry("a", b"y"), entry("version.ini", b"20250101")]).unwrap(),
            manifest(vec![FileEntry { size: 2, ..entry("a", b"x") }, entry("version.ini", b"20250101")])
                .unwrap(),
            Manifest { version: GameVersion::new(20_250_102).unwrap(), ..base.clone() },
            Manifest { game: GameId::new("other").unwrap(), ..base.clone() },
        ];
        assert!(others.iter().all(|o| o.content_id() != base.content_id()));
        let id = base.content_id().to_string();
        assert_eq!(
            id, "cb4d8150763574f88a4786e9e8dd0c2fe4c5785a65f044ee4e3ef36b86a10d8d",
            "the encoding is part of the protocol"
        );
    }

    #[test]
    fn archives_are_direct_children() {
        let is = |p: &str| is_archive(&RelPath::new(p).unwrap());
        assert!(is("ggoo.eti") && is("A.ETI"));
        assert!(!is("sub/ggoo.eti") && !is("eti") && !is(".eti") && !is("x.rar"));
    }
}
