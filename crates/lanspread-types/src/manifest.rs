//! Content of a game version: its file list ([`Manifest`]) and the hashes of its chunks ([`GameContent`]).
//!
//! The module checks a file list, divides the files into chunks, and verifies the bytes of a chunk. It reads no
//! files. A `Manifest` is always valid, and a `GameContent` always has chunk hashes that merge to the roots of its
//! files, so it does not matter which peer sent it.

use serde::{Deserialize, Serialize};

use crate::chunk::{ChunkIndex, ChunkSize};
use crate::failpoint;
use crate::id::{ContentId, GameId};
use crate::limits::{
    CHUNKS_PER_GAME_MAX, FILES_PER_GAME_MAX, GAME_BYTES_MAX, RUN_BYTES_MAX, RUN_BYTES_MIN, RUN_FILES_MAX,
};
use crate::path::{PathCollision, RelPath, check_collisions};
use crate::tree::{ChunkHash, ChunkPosition, root_of};
use crate::version::GameVersion;

/// Name of the sentinel. A game is downloaded if and only if this file is in its folder.
pub const SENTINEL: &str = "version.ini";
/// Name of the folder with the installed game; case does not matter.
pub const LOCAL_FOLDER: &str = "local";
/// Extension of archives, without the dot.
pub const ARCHIVE_EXTENSION: &str = "eti";

/// Size of a hash, in bytes.
pub(crate) const HASH_BYTES: u64 = 32;
/// Largest size of a file's entry in an encoded manifest without the path itself: root, file size and path length,
/// the last two as varints.
pub(crate) const FILE_ENTRY_BYTES_MAX: u64 = HASH_BYTES + 10 + 2;
/// Largest size of an encoded manifest without its file entries and hashes: game, version and two counts.
pub(crate) const ENCODED_HEAD_BYTES_MAX: u64 = 128;

/// One file of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the game's folder.
    pub path: RelPath,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 hash of the whole file.
    pub root: ChunkHash,
}

/// File list of one version of one game, sorted by path, with its division into chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    game: GameId,
    version: GameVersion,
    files: Vec<FileEntry>,
    chunk_size: ChunkSize,
    /// First chunk of each file; for an empty file, the number of chunks before it.
    first_chunks: Vec<u32>,
    /// Position of each chunk's first file.
    chunk_files: Vec<u32>,
    /// Number of bytes before each file, and the total at the end.
    byte_starts: Vec<u64>,
    /// Total length of the paths, in bytes.
    path_bytes: u64,
}

/// Why a file list or its chunk hashes are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The list is not sorted, or names a file twice; holds the second path of the pair.
    #[error("the files are not in strictly ascending order of their paths at {0}")]
    Unsorted(RelPath),
    /// Two paths cannot exist beside each other on every system.
    #[error(transparent)]
    Collision(#[from] PathCollision),
    /// The list is empty or too long; holds its length.
    #[error("a game has 1 to {FILES_PER_GAME_MAX} files, this one has {0}")]
    Files(usize),
    /// The files have too many bytes or too many chunks.
    #[error("a game has at most {GAME_BYTES_MAX} bytes and {CHUNKS_PER_GAME_MAX} chunks")]
    TooLarge,
    /// The list does not name the sentinel.
    #[error("there is no {SENTINEL} among the files")]
    NoSentinel,
    /// The list names a file that is never shared; see [`is_private`].
    #[error("{0} is in a folder that is never shared")]
    Private(RelPath),
    /// The chunk hashes of a file do not merge to its root, or there are hashes after the last file.
    #[error("the chunk hashes do not merge to the root of {0}")]
    HashList(RelPath),
    /// The manifest is valid, but its content id is not the one that was asked for.
    #[error("the manifest has content id {found}, expected {expected}")]
    WrongContent {
        /// Content id that was asked for.
        expected: ContentId,
        /// Content id of the manifest.
        found: ContentId,
    },
}

/// Place of a chunk: a part of one file, or a run of whole small files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Position of the first file in the manifest.
    pub file: usize,
    /// Position after the last file.
    pub end: usize,
    /// Offset in the first file, in bytes; 0 in a run.
    pub offset: u64,
    /// Length in bytes, over all files.
    pub len: u64,
}

/// The bytes of a chunk that belong to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPart {
    /// Position of the file in the manifest.
    pub file: usize,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Offset in the chunk, in bytes.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Divisor that defines small files: a file of at most a run's size divided by this number, and of at most one chunk,
/// shares a chunk with its neighbours.
const SMALL_FILE_PART: u64 = 2;

impl Manifest {
    /// Checks a file list and divides it into chunks.
    ///
    /// # Errors
    ///
    /// Fails if the list is not sorted by path, has colliding or private paths, exceeds a limit, or lacks the
    /// sentinel.
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
        let (first_chunks, chunk_files) = lay_out(&files, chunk_size).ok_or(ManifestError::TooLarge)?;
        let byte_starts = files.iter().scan(0, |sum, file| {
            *sum += file.size;
            Some(*sum)
        });
        let byte_starts = std::iter::once(0).chain(byte_starts).collect();
        let path_bytes = files.iter().map(|file| file.path.as_str().len() as u64).sum();
        Ok(Self { game, version, files, chunk_size, first_chunks, chunk_files, byte_starts, path_bytes })
    }

    /// Returns the id of the game.
    pub fn game(&self) -> &GameId {
        &self.game
    }

    /// Returns the version of the game.
    pub fn version(&self) -> GameVersion {
        self.version
    }

    /// Returns the files, sorted by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Returns the size of chunks in files that have several.
    pub fn chunk_size(&self) -> ChunkSize {
        self.chunk_size
    }

    /// Returns the size of all files, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.byte_starts[self.files.len()]
    }

    /// Returns the number of chunks.
    pub fn chunk_count(&self) -> u32 {
        self.chunk_files.len() as u32
    }

    /// Iterates over the archives, sorted by path. Where two archives contain the same file, the later one wins.
    pub fn archives(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|f| is_archive(&f.path))
    }

    /// Returns the numbers of a file's chunks. A small file may share its only chunk with its neighbours; an empty
    /// file has none.
    pub fn chunks_of(&self, file: usize) -> std::ops::Range<u32> {
        let first = self.first_chunks[file];
        first..first + self.chunk_size.chunks_in(self.files[file].size) as u32
    }

    /// Returns the place of a chunk, or `None` beyond the last chunk.
    pub fn place(&self, chunk: ChunkIndex) -> Option<ChunkPlace> {
        let file = *self.chunk_files.get(chunk.as_usize())? as usize;
        let size = self.files[file].size;
        if size > self.chunk_size.bytes() {
            let index = u64::from(chunk.0 - self.first_chunks[file]);
            let len = self.chunk_size.chunk_len(size, index);
            return Some(ChunkPlace { file, end: file + 1, offset: index * self.chunk_size.bytes(), len });
        }
        // A run ends at the next chunk's first file. Empty files between belong to no chunk and have no bytes.
        let end = self.chunk_files.get(chunk.as_usize() + 1).map_or(self.files.len(), |&next| next as usize);
        Some(ChunkPlace { file, end, offset: 0, len: self.byte_starts[end] - self.byte_starts[file] })
    }

    /// Iterates over the files that have bytes in a chunk, in order.
    pub fn parts(&self, place: ChunkPlace) -> impl Iterator<Item = ChunkPart> + '_ {
        let whole = self.is_whole_files(place);
        let parts = (place.file..place.end).map(move |file| ChunkPart {
            file,
            offset: place.offset,
            start: self.byte_starts[file] - self.byte_starts[place.file],
            len: if whole { self.files[file].size } else { place.len },
        });
        parts.filter(|part| part.len > 0)
    }

    /// Returns true if a chunk consists of whole files, so that their roots verify it.
    fn is_whole_files(&self, place: ChunkPlace) -> bool {
        place.len == self.byte_starts[place.end] - self.byte_starts[place.file]
    }

    /// Computes the content id.
    ///
    /// It is BLAKE3 in derive-key mode over game, version and number of files, and the path, size and root of each
    /// file. Numbers are little-endian; a string is preceded by its length in bytes as `u32`.
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
    /// Chunk hashes of each file by itself, one file after the other.
    hashes: Vec<ChunkHash>,
    /// Position of each file's first hash.
    first_hashes: Vec<u32>,
}

impl GameContent {
    /// Checks that chunk hashes merge to the roots of the files.
    ///
    /// `hashes` has the chunk hashes of each file by itself, one file after the other. A file of one chunk has one
    /// hash, its root, even if it shares the chunk with other files.
    pub fn new(manifest: Manifest, hashes: Vec<ChunkHash>) -> Result<Self, ManifestError> {
        let mut first_hashes = Vec::with_capacity(manifest.files.len());
        let mut next = 0;
        for (at, file) in manifest.files.iter().enumerate() {
            let end = next + manifest.chunks_of(at).len();
            let list = hashes.get(next..end);
            if list.and_then(|list| root_of(list, manifest.chunk_size, file.size)) != Some(file.root) {
                return Err(ManifestError::HashList(file.path.clone()));
            }
            first_hashes.push(next as u32);
            next = end;
        }
        if hashes.len() != next {
            return Err(ManifestError::HashList(manifest.files[manifest.files.len() - 1].path.clone()));
        }
        let content_id = manifest.content_id();
        Ok(Self { manifest, content_id, hashes, first_hashes })
    }

    /// Checks that the content is the expected one, for a manifest that a peer sent on request.
    pub fn expect(self, expected: ContentId) -> Result<Self, ManifestError> {
        match self.content_id {
            found if found == expected => Ok(self),
            found => Err(ManifestError::WrongContent { expected, found }),
        }
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the content id of the manifest.
    pub fn content_id(&self) -> ContentId {
        self.content_id
    }

    /// Returns the chunk hashes of all files, as [`Self::new`] takes them.
    pub fn hashes(&self) -> &[ChunkHash] {
        &self.hashes
    }

    /// Returns the chunk hashes of one file by itself.
    pub fn hashes_of(&self, file: usize) -> &[ChunkHash] {
        let first = self.first_hashes[file] as usize;
        &self.hashes[first..first + self.manifest.chunks_of(file).len()]
    }

    /// Returns an upper bound of the size of the encoded manifest and its hashes, in bytes.
    pub fn encoded_bytes_max(&self) -> u64 {
        let files = self.manifest.files.len() as u64 * FILE_ENTRY_BYTES_MAX;
        ENCODED_HEAD_BYTES_MAX + files + self.manifest.path_bytes + self.hashes.len() as u64 * HASH_BYTES
    }

    /// Returns true if these are the bytes of that chunk.
    pub fn verifies(&self, chunk: ChunkIndex, bytes: &[u8]) -> bool {
        let Some(place) = self.manifest.place(chunk).filter(|place| place.len == bytes.len() as u64) else {
            return false;
        };
        if self.manifest.is_whole_files(place) {
            return self.manifest.parts(place).all(|part| {
                let bytes = &bytes[part.start as usize..(part.start + part.len) as usize];
                self.verifies_file(part.file, bytes)
            });
        }
        let index = (place.offset / self.manifest.chunk_size.bytes()) as usize;
        let position = ChunkPosition { offset: place.offset, atomic_file: false };
        ChunkHash::of(position, bytes) == self.hashes_of(place.file)[index]
    }

    /// Returns true if these are the bytes of that whole file.
    pub fn verifies_file(&self, file: usize, bytes: &[u8]) -> bool {
        let whole = ChunkPosition { offset: 0, atomic_file: true };
        ChunkHash::of(whole, bytes) == self.manifest.files[file].root
    }
}

/// Divides files into chunks. Returns the first chunk of each file and the first file of each chunk, or `None` if
/// there are too many chunks.
///
/// A large file has chunks of its own. Consecutive small files share a chunk, as many whole files as fit, so that a
/// game of many small files has few chunks. Archives share no chunk, because an unpacker reads them while they
/// arrive. The sentinel shares none, because its arrival is the commit.
fn lay_out(files: &[FileEntry], chunk_size: ChunkSize) -> Option<(Vec<u32>, Vec<u32>)> {
    let run_bytes = chunk_size.bytes().clamp(RUN_BYTES_MIN, RUN_BYTES_MAX);
    // A run may be larger than a chunk, but a file of several chunks has them to itself.
    let small_bytes = chunk_size.bytes().min(run_bytes / SMALL_FILE_PART);
    let (mut first_chunks, mut chunk_files) = (Vec::with_capacity(files.len()), Vec::new());
    // First file of the open run, and the bytes in the run.
    let mut run: Option<(usize, u64)> = None;
    for (at, file) in files.iter().enumerate() {
        if file.size == 0 {
            first_chunks.push(chunk_files.len() as u32);
            continue;
        }
        let alone = is_archive(&file.path) || file.path.as_str() == SENTINEL;
        let small = !alone && file.size <= small_bytes;
        if let Some((first, bytes)) = run.filter(|_| small)
            && bytes + file.size <= run_bytes
            && at - first < RUN_FILES_MAX
        {
            first_chunks.push(chunk_files.len() as u32 - 1);
            run = Some((first, bytes + file.size));
            continue;
        }
        run = small.then_some((at, file.size));
        first_chunks.push(chunk_files.len() as u32);
        let chunks = chunk_size.chunks_in(file.size);
        if chunk_files.len() as u64 + chunks > u64::from(CHUNKS_PER_GAME_MAX) {
            return None;
        }
        chunk_files.resize(chunk_files.len() + chunks as usize, at as u32);
    }
    Some((first_chunks, chunk_files))
}

/// Returns true if a path of a game is never announced, hashed or served: it is in the installed game or in a folder
/// of lanspread itself.
pub fn is_private(path: &RelPath) -> bool {
    let first = path.components().next().unwrap_or_default();
    first.eq_ignore_ascii_case(LOCAL_FOLDER) || first.to_ascii_lowercase().starts_with(".lanspread")
}

/// Returns true if a path names an archive: a direct child of the game's folder with the archive extension.
pub fn is_archive(path: &RelPath) -> bool {
    let Some((stem, extension)) = path.as_str().rsplit_once('.') else { return false };
    !path.as_str().contains('/') && !stem.is_empty() && extension.eq_ignore_ascii_case(ARCHIVE_EXTENSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::CHUNK_BYTES_MIN;

    fn entry(path: &str, content: &[u8]) -> FileEntry {
        let root = ChunkHash(*blake3::hash(content).as_bytes());
        FileEntry { path: RelPath::new(path).unwrap(), size: content.len() as u64, root }
    }

    fn manifest(files: Vec<FileEntry>) -> Result<Manifest, ManifestError> {
        Manifest::new(GameId::new("ggoo").unwrap(), GameVersion::new(20_250_101).unwrap(), files)
    }

    #[test]
    fn chunks_are_numbered_through_all_files() {
        let big = vec![1; CHUNK_BYTES_MIN as usize + 1];
        let m = manifest(vec![entry("a.eti", &big), entry("empty", b""), entry("version.ini", b"20250101")])
            .unwrap();
        assert_eq!(m.chunk_count(), 3);
        assert_eq!((m.chunks_of(0), m.chunks_of(1), m.chunks_of(2)), (0..2, 2..2, 2..3));
        let at = |c| m.place(ChunkIndex(c)).map(|p| (p.file, p.offset, p.len));
        assert_eq!(at(0), Some((0, 0, CHUNK_BYTES_MIN)));
        assert_eq!(at(1), Some((0, CHUNK_BYTES_MIN, 1)));
        assert_eq!(at(2), Some((2, 0, 8)));
        assert_eq!(at(3), None);
    }

    /// A manifest of files with these names and sizes; the sentinel is added.
    fn sized(sizes: &[(&str, u64)]) -> Manifest {
        let root = ChunkHash([7; 32]);
        let files =
            sizes.iter().map(|&(path, size)| FileEntry { path: RelPath::new(path).unwrap(), size, root });
        let mut files: Vec<_> = files.chain([entry(SENTINEL, b"20250101")]).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        manifest(files).unwrap()
    }

    /// For each chunk, its files with the bytes that it has of each.
    fn layout(manifest: &Manifest) -> Vec<Vec<(&str, u64)>> {
        let places = (0..manifest.chunk_count()).map(|chunk| manifest.place(ChunkIndex(chunk)).unwrap());
        let parts =
            |place| manifest.parts(place).map(|p| (manifest.files()[p.file].path.as_str(), p.len)).collect();
        places.map(parts).collect()
    }

    #[test]
    fn small_files_share_a_chunk() {
        let kib = 1 << 10;
        let m = sized(&[
            ("a", 20 * kib),
            ("b", 0),
            ("c", 20 * kib),
            ("d", 24 * kib),
            ("e", 1),
            ("f", 33 * kib),
            ("g", 1),
            ("z", 500 << 20),
        ]);
        assert_eq!(m.chunk_size().bytes(), 64 * kib);
        let expected: [&[(&str, u64)]; 5] = [
            &[("a", 20 * kib), ("c", 20 * kib), ("d", 24 * kib)],
            &[("e", 1)],
            &[("f", 33 * kib)],
            &[("g", 1)],
            &[(SENTINEL, 8)],
        ];
        assert_eq!(layout(&m)[..5], expected);
        assert_eq!(
            [m.chunks_of(0), m.chunks_of(1), m.chunks_of(3), m.chunks_of(4)],
            [0..1, 1..1, 0..1, 1..2]
        );
        let run = m.place(ChunkIndex(0)).unwrap();
        assert_eq!(
            (run.len, m.parts(run).map(|p| p.start).collect::<Vec<_>>()),
            (64 * kib, vec![0, 20 * kib, 40 * kib])
        );
    }

    #[test]
    fn runs_may_be_larger_than_small_chunks() {
        let chunk = CHUNK_BYTES_MIN;
        assert_eq!(RUN_BYTES_MIN, 2 * chunk);
        let names = ["a", "b", "c", "d", "e"];
        let of = |size| sized(&names.map(|name| (name, size)));
        let full = of(chunk);
        assert_eq!(full.chunk_size().bytes(), chunk);
        assert_eq!(layout(&full).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 1]);
        // A file of two chunks is in no run.
        let large = names.iter().flat_map(|&name| [vec![(name, chunk)], vec![(name, 1)]]);
        let expected: Vec<_> = large.chain([vec![(SENTINEL, 8)]]).collect();
        assert_eq!(layout(&of(chunk + 1)), expected);
    }

    #[test]
    fn archives_and_sentinel_share_no_chunk() {
        let m = sized(&[("a.eti", 5), ("b.txt", 5), ("sub/c.eti", 5), ("z", 5)]);
        let expected: [&[(&str, u64)]; 4] =
            [&[("a.eti", 5)], &[("b.txt", 5), ("sub/c.eti", 5)], &[(SENTINEL, 8)], &[("z", 5)]];
        assert_eq!(layout(&m), expected);
    }

    #[test]
    fn runs_are_bounded_in_files_and_bytes() {
        let names: Vec<String> = (0..600).map(|n| format!("f{n:03}")).collect();
        let m = sized(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
        assert_eq!(layout(&m).iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88, 1]);
        // Even with chunks of 8 MiB a run has at most 1 MiB.
        let m =
            sized(&[("a", 1 << 40), ("b", 300 << 10), ("c", 300 << 10), ("d", 400 << 10), ("e", 500 << 10)]);
        let of_small = &layout(&m)[1 << 17..];
        assert_eq!(of_small.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1]);
    }

    proptest! {
        #[test]
        fn chunks_cover_each_file_once(
            sizes in prop::collection::vec((0..6u64, 0..3u64, any::<bool>()), 1..40),
            rest in prop_oneof![Just(0), Just(1u64 << 28), Just(1u64 << 30), Just(1u64 << 36)],
        ) {
            let chunk = ChunkSize::for_game(rest + (1 << 20)).bytes();
            let name = |at, archive| format!("f{at:02}{}", if archive { ".eti" } else { "" });
            let near = |(halves, more, _): (u64, u64, bool)| (halves * chunk / 2 + more).saturating_sub(1);
            let mut files: Vec<_> =
                sizes.iter().enumerate().map(|(at, &how)| (name(at, how.2), near(how))).collect();
            files.push(("rest".to_owned(), rest));
            let m = sized(&files.iter().map(|(name, size)| (name.as_str(), *size)).collect::<Vec<_>>());
            let mut covered = vec![0; m.files().len()];
            for chunk in 0..m.chunk_count() {
                let place = m.place(ChunkIndex(chunk)).unwrap();
                let mut start = 0;
                for part in m.parts(place) {
                    prop_assert!(m.chunks_of(part.file).contains(&chunk));
                    prop_assert_eq!((part.offset, part.start), (covered[part.file], start));
                    covered[part.file] += part.len;
                    start += part.len;
                }
                prop_assert_eq!(start, place.len);
                prop_assert!((1..=m.chunk_size().bytes().max(RUN_BYTES_MIN)).contains(&place.len));
            }
            prop_assert_eq!(covered, m.files().iter().map(|file| file.size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn run_verifies_by_the_roots_of_its_files() {
        let files: Vec<(String, Vec<u8>)> =
            (0..9u8).map(|n| (format!("f{n}"), vec![n; usize::from(n) * 700])).collect();
        let mut entries: Vec<_> = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
        entries.push(entry(SENTINEL, b"20250101"));
        let manifest = manifest(entries).unwrap();
        let hashes = manifest.files().iter().filter(|f| f.size > 0).map(|f| f.root).collect();
        let content = GameContent::new(manifest, hashes).unwrap();
        let bytes: Vec<u8> = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert!(content.verifies(ChunkIndex(0), &bytes) && !content.verifies(ChunkIndex(1), &bytes));
        for at in [0, 699, 700, bytes.len() - 1] {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(!content.verifies(ChunkIndex(0), &wrong), "{at}");
        }
        assert!(!content.verifies(ChunkIndex(0), &bytes[1..]) && !content.verifies(ChunkIndex(0), &[]));
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
    fn content_id_covers_every_field() {
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
