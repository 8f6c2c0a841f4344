//! The hash index: what is known about the content of files, so that no file is hashed twice.
//!
//! Each game has its own file, so that a change rewrites little and damage costs little. An entry is valid as long as
//! the file looks as it did (size, time, identity). If a file changed so shortly before it was hashed that a further
//! change could leave the same time, its hashes are used but not remembered (git calls such entries "racy"). Times are
//! compared with the disk's own clock, because a network drive uses the clock of another machine.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use lanspread_core::io::{DiskError, FileStamp};
use lanspread_types::manifest::ManifestError;
use lanspread_types::{
    ChunkHash, ChunkSize, FileEntry, GameContent, GameId, GameVersion, Manifest, RelPath, failpoint,
};
use serde::{Deserialize, Serialize};

use crate::change::sealed::{seal, unseal};
use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault, is_gone};
use crate::fs::files;
use crate::fs::layout::Layout;
use crate::library::hash::{FileHashes, HashError, hash_file};
use crate::library::scan::{SentinelError, read_sentinel};
use crate::library::walk::{FoundFile, Look, WalkError, servable_files, stamp};
use crate::store::Store;

/// Magic number. Its last byte is the version.
pub const MAGIC: [u8; 8] = *b"LSINDEX\x02";

/// Why a game was not indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The folder is not a game that can be shared.
    #[error("{game} cannot be shared: {reason}")]
    NotAGame {
        /// Game that was to be indexed.
        game: GameId,
        /// Why it cannot be shared, for people.
        reason: String,
    },
    /// A file changed while it was read.
    #[error("{path} of {game} changed while it was read")]
    Changed {
        /// Game of the file.
        game: GameId,
        /// Path of the file in the game.
        path: RelPath,
    },
    /// The files do not form a valid manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
    /// A verification found this file damaged, and it has not changed since.
    #[error("{path} of {game} is damaged; `verify` repairs it")]
    Damaged {
        /// Game of the file.
        game: GameId,
        /// Path of the file in the game.
        path: RelPath,
    },
    /// The operation was cancelled.
    #[error("indexing was cancelled")]
    Cancelled,
}

impl From<IndexError> for DiskError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Io(fault) => fault.into(),
            IndexError::Cancelled => Self::Cancelled,
            IndexError::Damaged { .. } => Self::Damaged(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

/// What is known about the content of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedFile {
    /// Path within the game's folder.
    pub path: RelPath,
    /// How the file looked when it was hashed.
    pub look: Look,
    /// Chunk size of the hashes, in bytes.
    pub chunk_bytes: u64,
    /// BLAKE3 root over the whole file.
    pub root: ChunkHash,
    /// Hashes of the chunks, in file order.
    pub chunks: Vec<ChunkHash>,
}

impl IndexedFile {
    /// Returns the hashes for a chunk size; `None` if they were made with another one and the file has several chunks
    /// in either.
    pub(crate) fn hashes_for(&self, chunk: ChunkSize) -> Option<FileHashes> {
        let one_chunk_in_both = self.look.size <= self.chunk_bytes.min(chunk.bytes());
        (self.chunk_bytes == chunk.bytes() || one_chunk_in_both)
            .then(|| FileHashes { root: self.root, chunks: self.chunks.clone() })
    }
}

/// What is known about the files of one game.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameIndex {
    /// The known files. A path may occur twice while one version replaces another.
    pub files: Vec<IndexedFile>,
    /// Files of each downloaded version. As long as all files of a version are unchanged, the game consists of these;
    /// other files in the folder are the user's own and are not shared.
    pub versions: Vec<Vec<RelPath>>,
    /// Files that a verification found damaged. As long as they look as they did then, the game is not shared; their
    /// entries in `files` say what they should contain.
    pub damaged: Vec<Damage>,
}

/// A file whose content is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Path within the game's folder.
    pub path: RelPath,
    /// How the file looked when the damage was found; `None` if it was missing.
    pub look: Option<Look>,
}

impl GameIndex {
    /// Reads the index of a game; empty if there is none. A damaged index is set aside, and the game is hashed again.
    pub fn load(layout: &Layout, game: &GameId) -> Result<Self, Fault> {
        let path = layout.index_of(game);
        let bytes = match fs::read(&path) {
            Err(error) if is_gone(&error) => return Ok(Self::default()),
            bytes => bytes.or_fault("read", &path)?,
        };
        Ok(unseal(MAGIC, &bytes).unwrap_or_else(|| {
            tracing::warn!(%game, "the hash index of the game cannot be read and is made anew");
            let _ = files::rename(&path, &layout.broken().join(format!("index-{game}")));
            Self::default()
        }))
    }

    /// Writes the index of a game.
    pub fn save(&self, layout: &Layout, game: &GameId) -> Result<(), Fault> {
        let path = layout.index_of(game);
        let sealed = seal(MAGIC, self).map_err(std::io::Error::other).or_fault("encode", &path)?;
        files::replace(&layout.scratch(), &path, &sealed)
    }

    /// Deletes the index of a game.
    pub fn forget(layout: &Layout, game: &GameId) -> Result<(), Fault> {
        files::delete_file(&layout.index_of(game))
    }

    /// Returns the index of a complete download. `looks` has one entry for each file of the manifest.
    pub fn of_download(content: &GameContent, looks: &[Look]) -> Self {
        let manifest = content.manifest();
        let files = manifest.files().iter().zip(looks).enumerate().map(|(at, (file, look))| IndexedFile {
            path: file.path.clone(),
            look: *look,
            chunk_bytes: manifest.chunk_size().bytes(),
            root: file.root,
            chunks: content.hashes_of(at).to_vec(),
        });
        let version = manifest.files().iter().map(|f| f.path.clone()).collect();
        Self { files: files.collect(), versions: vec![version], damaged: Vec::new() }
    }

    /// Adds the entries of another index.
    pub fn merge(&mut self, other: Self) {
        self.files.extend(other.files);
        self.versions.extend(other.versions);
        self.damaged.extend(other.damaged);
    }

    /// Returns the known files, without those that were found damaged.
    pub(crate) fn intact_files(&self) -> impl Iterator<Item = &IndexedFile> {
        self.files.iter().filter(|f| !self.damaged.iter().any(|d| d.path == f.path))
    }

    /// Returns the content that the files should have, as far as the index knows: that of a downloaded version whose
    /// files look unchanged or, if there is none, that of the first version.
    pub(crate) fn content(
        &self,
        game: &GameId,
        version: GameVersion,
        look: &dyn Fn(&RelPath) -> Option<Look>,
    ) -> Option<GameContent> {
        let all = || vec![self.known_paths()];
        let sets = if self.versions.is_empty() { all() } else { self.versions.clone() };
        let as_it_looks = |paths: &Vec<RelPath>| {
            self.content_of(game, version, paths, &|file| look(&file.path) == Some(file.look))
        };
        let found = sets.iter().find_map(as_it_looks);
        found.or_else(|| self.content_of(game, version, sets.first()?, &|_| true))
    }

    fn content_of(
        &self,
        game: &GameId,
        version: GameVersion,
        paths: &[RelPath],
        counts: &dyn Fn(&IndexedFile) -> bool,
    ) -> Option<GameContent> {
        let known = self.files.iter().filter(|f| counts(f));
        let known: HashMap<&RelPath, &IndexedFile> = known.map(|f| (&f.path, f)).collect();
        let paths: BTreeSet<&RelPath> = paths.iter().collect();
        let files = paths.into_iter().map(|path| known.get(path).copied());
        let files = files.collect::<Option<Vec<&IndexedFile>>>()?;
        let chunk = ChunkSize::for_game(files.iter().map(|f| f.look.size).sum());
        let (mut entries, mut hashes) = (Vec::new(), Vec::new());
        for file in files {
            hashes.extend(file.hashes_for(chunk)?.chunks);
            entries.push(FileEntry { path: file.path.clone(), size: file.look.size, root: file.root });
        }
        let manifest = Manifest::new(game.clone(), version, entries).ok()?;
        GameContent::new(manifest, hashes).ok()
    }

    /// Returns the paths of the downloaded versions or, if there are none, of all known files. Sorted, without
    /// duplicates.
    pub fn known_paths(&self) -> Vec<RelPath> {
        let mut paths = match self.downloaded_paths() {
            Some(paths) => paths,
            None => self.files.iter().map(|f| f.path.clone()).collect(),
        };
        paths.sort();
        paths.dedup();
        paths
    }

    /// Returns the paths of the downloaded versions, of both while one replaces the other; `None` if the game was not
    /// downloaded.
    pub fn downloaded_paths(&self) -> Option<Vec<RelPath>> {
        (!self.versions.is_empty()).then(|| self.versions.concat())
    }

    fn by_look(&self) -> HashMap<(&RelPath, Look), &IndexedFile> {
        self.files.iter().map(|f| ((&f.path, f.look), f)).collect()
    }

    /// Returns the files that make up the game: those of a downloaded version that is unchanged or, if there is none,
    /// all files that were found.
    fn select(&self, found: &[FoundFile]) -> Vec<FoundFile> {
        let known = self.by_look();
        let found_by_path: HashMap<&RelPath, &FoundFile> = found.iter().map(|f| (&f.path, f)).collect();
        let whole = |version: &Vec<RelPath>| {
            let unchanged = |path: &RelPath| {
                let file = found_by_path.get(path).filter(|f| known.contains_key(&(&f.path, f.look)));
                file.map(|f| (*f).clone())
            };
            version.iter().map(unchanged).collect::<Option<Vec<FoundFile>>>()
        };
        let mut selected = self.versions.iter().find_map(whole).unwrap_or_else(|| found.to_vec());
        selected.sort_by(|a, b| a.path.cmp(&b.path));
        if selected.len() > 2 && failpoint!("drop-one-file") {
            selected.remove(0);
        }
        selected.retain(|file| file.look.size > 0 || !failpoint!("skip-empty-files"));
        selected
    }
}

impl Store {
    /// Hashes the files of a game that are not known yet. Returns the stamp of the files that were listed for it, and
    /// its content. `progress` is given the bytes done and the bytes in total.
    pub fn index(
        &self,
        game: &GameId,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(FileStamp, Arc<GameContent>), IndexError> {
        let folder = self.layout().game(game);
        let version = read_sentinel(&folder).map_err(|e| refuse_sentinel(game, e))?;
        let found = servable_files(&folder).map_err(|e| refuse_walk(game, e))?;
        let known = GameIndex::load(self.layout(), game)?;
        let selected = known.select(&found);
        let now = |path: &RelPath| found.iter().find(|f| f.path == *path).map(|f| f.look);
        if let Some(damage) = known.damaged.iter().find(|d| now(&d.path) == d.look)
            && !failpoint!("offer-what-is-broken")
        {
            return Err(IndexError::Damaged { game: game.clone(), path: damage.path.clone() });
        }
        let work = Indexing { store: self, game, known: &known, selected: &selected };
        let files = work.run(cancel, progress)?;
        if read_sentinel(&folder).ok() != Some(version) {
            return Err(IndexError::NotAGame {
                game: game.clone(),
                reason: "its version changed".to_owned(),
            });
        }
        let mut hashes = Vec::new();
        let entry = |file: IndexedFile| {
            hashes.extend(file.chunks);
            FileEntry { path: file.path, size: file.look.size, root: file.root }
        };
        let entries = files.into_iter().map(entry).collect();
        let manifest = Manifest::new(game.clone(), version, entries)?;
        Ok((stamp(&found), Arc::new(GameContent::new(manifest, hashes)?)))
    }

    /// Returns the time of the games' disk, in nanoseconds since 1970.
    fn disk_clock_ns(&self) -> Result<i64, Fault> {
        let path = self.layout().scratch().join("clock");
        fs::write(&path, b"now").or_fault("write", &path)?;
        Look::at(&path).map(|look| look.changed_ns)
    }
}

/// One pass over the files of a game.
struct Indexing<'a> {
    store: &'a Store,
    game: &'a GameId,
    known: &'a GameIndex,
    selected: &'a [FoundFile],
}

/// A file's hashes, and whether they may be remembered.
struct Hashed {
    file: IndexedFile,
    settled: bool,
}

impl Indexing<'_> {
    fn run(
        &self,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<IndexedFile>, IndexError> {
        let total = self.selected.iter().map(|f| f.look.size).sum();
        let chunk = ChunkSize::for_game(total);
        let known = self.known.by_look();
        let (mut hashed, mut news) = (Vec::with_capacity(self.selected.len()), false);
        let (mut done, mut buffer, mut clock_ns) = (0, Vec::new(), None);
        let mut outcome = Ok(());
        for found in self.selected {
            let reused = known.get(&(&found.path, found.look)).and_then(|f| f.hashes_for(chunk));
            let reused = reused.filter(|_| !failpoint!("forget-index"));
            let one = match reused {
                Some(hashes) => Ok((hashes, true)),
                None => {
                    news = true;
                    let mut within = done;
                    let mut report = |bytes| {
                        within += bytes;
                        progress(within, total);
                    };
                    self.hash(found, chunk, &mut clock_ns, &mut buffer, cancel, &mut report)
                }
            };
            match one {
                Ok((hashes, settled)) => hashed.push(Hashed { file: indexed(found, chunk, hashes), settled }),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            done += found.look.size;
        }
        self.remember(&hashed, news);
        outcome.map(|()| hashed.into_iter().map(|h| h.file).collect())
    }

    fn hash(
        &self,
        found: &FoundFile,
        chunk: ChunkSize,
        clock_ns: &mut Option<i64>,
        buffer: &mut Vec<u8>,
        cancel: &Cancel,
        report: &mut dyn FnMut(u64),
    ) -> Result<(FileHashes, bool), IndexError> {
        let started_ns = match *clock_ns {
            Some(ns) => ns,
            None => *clock_ns.insert(self.store.disk_clock_ns()?),
        };
        let path = found.path.to_path(&self.store.layout().game(self.game));
        let hashes = hash_file(&path, found.look, chunk, buffer, cancel, report)
            .map_err(|e| self.explain(e, found))?;
        Ok((hashes, is_settled(found.look.changed_ns, started_ns)))
    }

    /// Saves the results, even if the pass ended early. The index only saves work: a game is shared even if this fails.
    fn remember(&self, hashed: &[Hashed], news: bool) {
        let was: HashSet<&RelPath> = self.known.files.iter().map(|f| &f.path).collect();
        let is: HashSet<&RelPath> = self.selected.iter().map(|f| &f.path).collect();
        if !news && was == is {
            return;
        }
        let reached: HashSet<&RelPath> = hashed.iter().map(|h| &h.file.path).collect();
        let kept = self.known.files.iter().filter(|f| is.contains(&f.path) && !reached.contains(&f.path));
        let settled = hashed.iter().filter(|h| h.settled).map(|h| &h.file);
        let files = settled.chain(kept).cloned().collect();
        let index = GameIndex { files, versions: self.known.versions.clone(), damaged: Vec::new() };
        if let Err(error) = index.save(self.store.layout(), self.game) {
            tracing::warn!(game = %self.game, %error, "the hash index cannot be written");
        }
    }

    fn explain(&self, error: HashError, file: &FoundFile) -> IndexError {
        match error {
            HashError::Io(fault) => IndexError::Io(fault),
            HashError::Changed => IndexError::Changed { game: self.game.clone(), path: file.path.clone() },
            HashError::Cancelled => IndexError::Cancelled,
        }
    }
}

fn indexed(found: &FoundFile, chunk: ChunkSize, hashes: FileHashes) -> IndexedFile {
    let FileHashes { root, chunks } = hashes;
    IndexedFile { path: found.path.clone(), look: found.look, chunk_bytes: chunk.bytes(), root, chunks }
}

/// Returns whether a change after the hashing is sure to change the file's time. Even disks with fine timestamps take
/// them from a clock that ticks every 1 to 16 ms; FAT counts in steps of two seconds.
fn is_settled(changed_ns: i64, clock_ns: i64) -> bool {
    let fine = clock_ns % 1_000_000_000 != 0 || changed_ns % 1_000_000_000 != 0;
    let resolution_ns = if fine { 50_000_000 } else { 2_000_000_000 };
    changed_ns.saturating_add(resolution_ns) < clock_ns
}

fn refuse_sentinel(game: &GameId, error: SentinelError) -> IndexError {
    match error {
        SentinelError::Io(fault) => IndexError::Io(fault),
        other => IndexError::NotAGame { game: game.clone(), reason: other.to_string() },
    }
}

fn refuse_walk(game: &GameId, error: WalkError) -> IndexError {
    match error {
        WalkError::Io(fault) => IndexError::Io(fault),
        other => IndexError::NotAGame { game: game.clone(), reason: other.to_string() },
    }
}
