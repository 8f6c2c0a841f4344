//! Test environment: a games folder for each test, and games to put into it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lanspread_types::limits::CHUNK_BYTES_MIN;
use lanspread_types::manifest::ChunkPart;
use lanspread_types::tree::{ChunkPosition, root_of};
use lanspread_types::{
    ChunkHash, ChunkIndex, ChunkSize, FileEntry, GameContent, GameId, GameVersion, Manifest, RelPath,
};

use crate::{Cancel, Incoming, Store};

/// Chunk size of a small game, in bytes.
pub const CHUNK: u64 = CHUNK_BYTES_MIN;

pub struct Lab {
    pub dir: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn open(&self) -> Store {
        Store::open(self.dir.path()).unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file with a modification time of an hour ago.
    pub fn put(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_age(&path, 3600);
    }

    /// Returns all files below a folder, with their content.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(folder), "", &mut files);
        files
    }

    /// Returns our own files that should be gone after a change.
    pub fn leftovers(&self) -> Vec<String> {
        let folders = ["journal", "trash", "staging", "tmp", "broken"];
        folders
            .iter()
            .flat_map(|n| self.tree(&format!(".lanspread/{n}")).into_keys())
            .filter(|f| f != "clock")
            .collect()
    }
}

pub fn set_age(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

pub fn game(id: &str) -> GameId {
    GameId::new(id).unwrap()
}

pub fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// Returns bytes that differ from chunk to chunk and from seed to seed.
pub fn noise(seed: u64, len: u64) -> Vec<u8> {
    (0..len)
        .map(|i| ((i + 1).wrapping_mul(2 * seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8)
        .collect()
}

/// Returns the size of a game that has larger chunks, in bytes.
pub fn bytes_for_larger_chunks() -> u64 {
    let larger = |bytes: &u64| ChunkSize::for_game(*bytes).bytes() > CHUNK;
    (1..).map(|mib| mib << 20).find(larger).unwrap()
}

/// A version of a game, made from the content of its files.
pub struct Version {
    pub content: Arc<GameContent>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Version {
    pub fn new(id: &str, stamp: u32, files: &[(&str, Vec<u8>)]) -> Self {
        let mut all: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(p, c)| ((*p).to_owned(), c.clone())).collect();
        all.insert("version.ini".to_owned(), stamp.to_string().into_bytes());
        let chunk = ChunkSize::for_game(all.values().map(|c| c.len() as u64).sum());
        let (mut entries, mut hashes) = (Vec::new(), Vec::new());
        for (path, content) in &all {
            let size = content.len() as u64;
            let position = |at: usize| ChunkPosition {
                offset: at as u64 * chunk.bytes(),
                atomic_file: size <= chunk.bytes(),
            };
            let parts = content.chunks(chunk.bytes() as usize).enumerate();
            let chunks: Vec<ChunkHash> = parts.map(|(at, part)| ChunkHash::of(position(at), part)).collect();
            entries.push(FileEntry { path: rel(path), size, root: root_of(&chunks, chunk, size).unwrap() });
            hashes.extend(chunks);
        }
        let manifest = Manifest::new(game(id), GameVersion::new(stamp).unwrap(), entries).unwrap();
        Self { content: Arc::new(GameContent::new(manifest, hashes).unwrap()), files: all }
    }

    /// Returns a version with files of zero bytes, of one byte, and of one byte less and more than a chunk. The first
    /// seven files have chunks 0 to 9 to themselves; the last three share chunk 10, which is larger than the others.
    pub fn of_odd_sizes(stamp: u32) -> Self {
        let alone = [0, 1, 3 * CHUNK, CHUNK - 1, CHUNK + 1, CHUNK, CHUNK + 1];
        let sizes = alone.into_iter().chain([CHUNK, CHUNK - 1, 1]).enumerate();
        let files: Vec<(String, Vec<u8>)> = sizes
            .map(|(at, size)| (format!("sub{at}/f{size}"), noise(u64::from(stamp) + at as u64, size)))
            .collect();
        let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(p, c)| (p.as_str(), c.clone())).collect();
        let version = Self::new("g", stamp, &files);
        let manifest = version.content.manifest();
        let places: Vec<_> =
            (0..manifest.chunk_count()).filter_map(|c| manifest.place(ChunkIndex(c))).collect();
        let lens = [1, CHUNK, CHUNK, CHUNK, CHUNK - 1, CHUNK, 1, CHUNK, CHUNK, 1, 2 * CHUNK, 8];
        assert_eq!(places.iter().map(|place| place.len).collect::<Vec<_>>(), lens);
        version
    }

    pub fn game(&self) -> &GameId {
        self.content.manifest().game()
    }

    pub fn chunk(&self, chunk: u32) -> Vec<u8> {
        let manifest = self.content.manifest();
        let parts = manifest.parts(manifest.place(ChunkIndex(chunk)).unwrap());
        let bytes = |part: ChunkPart| {
            let file = &self.files[manifest.files()[part.file].path.as_str()];
            file[part.offset as usize..(part.offset + part.len) as usize].to_vec()
        };
        parts.flat_map(bytes).collect()
    }

    pub fn write(&self, incoming: &Incoming, chunks: impl IntoIterator<Item = u32>) {
        chunks.into_iter().for_each(|c| incoming.write_chunk(ChunkIndex(c), &self.chunk(c)).unwrap());
    }

    /// Downloads all chunks and commits the version.
    pub fn download(&self, store: &Store) {
        let incoming = store.open_incoming(&self.content).unwrap();
        self.write(&incoming, 0..self.content.manifest().chunk_count());
        store.commit(&self.content).unwrap();
    }
}

/// Indexes a game. Returns its content and the number of chunks that were hashed for it.
pub fn index(store: &Store, id: &str) -> (Arc<GameContent>, u32) {
    let mut hashed = 0;
    let (_, content) = store.index(&game(id), &Cancel::new(), &mut |_, _| hashed += 1).unwrap();
    (content, hashed)
}
