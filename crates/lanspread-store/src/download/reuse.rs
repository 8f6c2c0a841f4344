//! Takeover of data that an old version shares with the new one.
//!
//! There are three ways, the cheapest first:
//! - A file that is the same under the same name *stays in place*: the commit leaves it alone.
//! - If a file shares chunks with an old file, the old file is *cloned* where the disk can (both share blocks until one
//!   is written), and the chunks that differ are fetched into the clone.
//! - Elsewhere the shared chunks are *copied*.
//!
//! A chunk's hash includes its offset in the file, so a match means the same bytes at the same offset of any file,
//! under any name. Where the index has no hashes of the right chunk size, the file with the same root or the same name
//! is tried chunk by chunk.
//!
//! The index only says where to look. Cloned or copied data is read and verified before it counts, so an outdated index
//! costs a read and nothing else. Only a file that stays in place is believed without reading, as long as it looks as
//! it did when it was hashed; the index itself relies on the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lanspread_types::manifest::{ChunkPart, SENTINEL};
use lanspread_types::{ChunkHash, ChunkIndex, GameContent, RelPath, failpoint};

use crate::download::incoming::{Incoming, IncomingError, WriteError};
use crate::fs::cancel::Cancel;
use crate::fs::files;
use crate::library::index::GameIndex;
use crate::library::walk::Look;
use crate::store::Store;

/// A file that is the same in the old and the new version and stays in place.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Path in the game's folder.
    pub path: PathBuf,
    /// How the file looked when the download was opened.
    pub look: Look,
}

/// Returns the files that stay in place, by index in the manifest. Never includes the sentinel: its rename is the
/// commit.
pub fn kept_in_place(folder: &Path, content: &GameContent, known: &GameIndex) -> BTreeMap<usize, Kept> {
    let known: HashMap<&RelPath, Vec<_>> = known.intact_files().fold(HashMap::new(), |mut all, file| {
        all.entry(&file.path).or_insert_with(Vec::new).push(file);
        all
    });
    let mut kept = BTreeMap::new();
    for (at, entry) in content.manifest().files().iter().enumerate() {
        let Some(candidates) = known.get(&entry.path).filter(|_| entry.path.as_str() != SENTINEL) else {
            continue;
        };
        let path = entry.path.to_path(folder);
        let Ok(look) = ordinary_file(&path) else { continue };
        if candidates.iter().any(|f| f.root == entry.root && f.look == look) {
            kept.insert(at, Kept { path, look });
        }
    }
    kept
}

/// Returns how an ordinary file looks; fails for a link or anything else.
fn ordinary_file(path: &Path) -> Result<Look, Option<std::io::Error>> {
    let metadata = fs::symlink_metadata(path).map_err(Some)?;
    if metadata.is_file() && !files::is_link(&metadata) { Ok(Look::of(&metadata)) } else { Err(None) }
}

/// Files of the old version that may have data of the new one.
struct Donors {
    /// Files by the hashes of their chunks.
    by_chunk: HashMap<ChunkHash, PathBuf>,
    /// Files that are hashed with another chunk size, by root.
    by_root: HashMap<ChunkHash, PathBuf>,
    /// Files whose chunks are not known, with their sizes in bytes, by name in the new version.
    by_name: HashMap<RelPath, (PathBuf, u64)>,
}

impl Donors {
    fn of(folder: &Path, content: &GameContent, known: &GameIndex) -> Self {
        let chunk = content.manifest().chunk_size();
        let (mut by_chunk, mut by_root, mut hashed) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        for file in &known.files {
            let path = file.path.to_path(folder);
            if !ordinary_file(&path).is_ok_and(|look| look.size == file.look.size) {
                continue;
            }
            match file.hashes_for(chunk) {
                Some(hashes) => {
                    hashed.insert(&file.path);
                    by_chunk.extend(hashes.chunks.into_iter().map(|hash| (hash, path.clone())));
                }
                None => {
                    by_root.insert(file.root, path);
                }
            }
        }
        let mut by_name = HashMap::new();
        for entry in content.manifest().files().iter().filter(|e| !hashed.contains(&e.path)) {
            let path = entry.path.to_path(folder);
            if let Ok(look) = ordinary_file(&path) {
                by_name.insert(entry.path.clone(), (path, look.size));
            }
        }
        Self { by_chunk, by_root, by_name }
    }

    /// Returns the file that probably has this chunk, at the chunk's own offset.
    fn of_chunk(&self, content: &GameContent, chunk: ChunkIndex) -> Option<&PathBuf> {
        let place = content.manifest().place(chunk)?;
        let entry = &content.manifest().files()[place.file];
        let index = chunk.0 - content.manifest().chunks_of(place.file).start;
        let hash = content.hashes_of(place.file).get(index as usize)?;
        let by_name = || {
            let (path, size) = self.by_name.get(&entry.path)?;
            (place.offset + place.len <= *size).then_some(path)
        };
        self.by_chunk.get(hash).or_else(|| self.by_root.get(&entry.root)).or_else(by_name)
    }
}

impl Donors {
    /// Returns the file that probably has the content of a whole file of the new version.
    fn of_file(&self, incoming: &Incoming, file: usize) -> Option<PathBuf> {
        if incoming.is_kept(file) {
            return Some(incoming.path(file));
        }
        let entry = &incoming.content().manifest().files()[file];
        let by_name =
            || self.by_name.get(&entry.path).filter(|(_, size)| *size == entry.size).map(|(path, _)| path);
        self.by_chunk.get(&entry.root).or_else(|| self.by_root.get(&entry.root)).or_else(by_name).cloned()
    }
}

/// A chunk of several small files that the old version probably has.
struct SharedRun {
    chunk: ChunkIndex,
    len: u64,
    files: Vec<(ChunkPart, PathBuf)>,
}

/// The chunks of one file that the old version probably has, each with its donor.
struct Share {
    file: usize,
    chunks: Vec<(ChunkIndex, PathBuf)>,
    /// The donor that was cloned to the file's place.
    cloned: Option<PathBuf>,
}

impl Store {
    /// Takes over everything that the old version has, and checks that the rest fits on the disk. Returns the bytes
    /// that need not be fetched, including those of files that stay in place.
    pub(crate) fn take_over(
        &self,
        incoming: &Incoming,
        known: &GameIndex,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, IncomingError> {
        let content = incoming.content();
        let folder = self.layout().game(content.manifest().game());
        let (mut shares, runs) = if files::is_real_dir(&folder) && !failpoint!("reuse-nothing") {
            shares_of(incoming, &Donors::of(&folder, content, known))
        } else {
            (Vec::new(), Vec::new())
        };
        let bytes_of = |share: &Share| {
            let places = share.chunks.iter().filter_map(|(c, _)| content.manifest().place(*c));
            places.map(|p| p.len).sum::<u64>()
        };
        let mut shared_on_disk = 0;
        for share in &mut shares {
            share.cloned = clone_old(incoming, share);
            shared_on_disk += if share.cloned.is_some() { bytes_of(share) } else { 0 };
        }
        self.make_room(incoming, shared_on_disk)?;
        let total = shares.iter().map(bytes_of).chain(runs.iter().map(|run| run.len)).sum();
        let mut taking =
            Takeover { incoming, cancel, progress, done: 0, total, taken: 0, buffer: Vec::new() };
        for share in &shares {
            taking.take(share)?;
        }
        for run in &runs {
            taking.take_run(run)?;
        }
        Ok(taking.taken + incoming.kept_bytes())
    }
}

fn shares_of(incoming: &Incoming, donors: &Donors) -> (Vec<Share>, Vec<SharedRun>) {
    let content = incoming.content();
    let had = incoming.had();
    let (mut shares, mut runs): (Vec<Share>, Vec<SharedRun>) = (Vec::new(), Vec::new());
    for chunk in had.missing_from(0) {
        let Some(place) = content.manifest().place(chunk) else { continue };
        let parts: Vec<ChunkPart> = content.manifest().parts(place).collect();
        if parts.len() > 1 {
            let stands = |part: ChunkPart| Some((part, donors.of_file(incoming, part.file)?));
            let files = parts.into_iter().map(stands).collect::<Option<Vec<_>>>();
            runs.extend(files.map(|files| SharedRun { chunk, len: place.len, files }));
            continue;
        }
        let Some(donor) = donors.of_chunk(content, chunk) else { continue };
        match shares.last_mut().filter(|share| share.file == place.file) {
            Some(share) => share.chunks.push((chunk, donor.clone())),
            None => {
                let chunks = vec![(chunk, donor.clone())];
                shares.push(Share { file: place.file, chunks, cloned: None });
            }
        }
    }
    (shares, runs)
}

/// Clones the donor that has most of the chunks, if the new file does not exist yet and the disk can clone. A clone
/// takes no space until it is written.
fn clone_old(incoming: &Incoming, share: &Share) -> Option<PathBuf> {
    let mut votes: BTreeMap<&PathBuf, usize> = BTreeMap::new();
    for (_, donor) in &share.chunks {
        *votes.entry(donor).or_default() += 1;
    }
    let (donor, _) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
    let target = incoming.path(share.file);
    if files::is_there(&target) {
        return None;
    }
    let entry = &incoming.content().manifest().files()[share.file];
    files::make_folders_above(incoming.files_folder(), &entry.path).ok()?;
    reflink_copy::reflink(donor, &target).ok()?;
    // Opening the file sets it to its right size.
    incoming.file(share.file).ok().map(|_| donor.clone())
}

/// One pass over the data that can be taken over.
struct Takeover<'a> {
    incoming: &'a Incoming,
    cancel: &'a Cancel,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    taken: u64,
    buffer: Vec<u8>,
}

impl Takeover<'_> {
    fn take(&mut self, share: &Share) -> Result<(), IncomingError> {
        let mut open: Option<(&Path, File)> = None;
        for (chunk, donor) in &share.chunks {
            if self.cancel.is_cancelled() {
                return Err(IncomingError::Cancelled);
            }
            let Some(place) = self.incoming.content().manifest().place(*chunk) else { continue };
            self.buffer.resize(place.len as usize, 0);
            let cloned = share.cloned.as_ref() == Some(donor);
            let read = if cloned {
                let file = self.incoming.file(share.file)?;
                files::read_exact_at(&file, &mut self.buffer, place.offset)
            } else {
                if open.as_ref().is_none_or(|(path, _)| *path != donor.as_path()) {
                    open = File::open(donor).ok().map(|file| (donor.as_path(), file));
                }
                let Some((_, file)) = &open else { continue };
                files::read_exact_at(file, &mut self.buffer, place.offset)
            };
            self.took(*chunk, read.is_ok(), cloned, place.len)?;
        }
        Ok(())
    }

    fn take_run(&mut self, run: &SharedRun) -> Result<(), IncomingError> {
        if self.cancel.is_cancelled() {
            return Err(IncomingError::Cancelled);
        }
        self.buffer.resize(run.len as usize, 0);
        let read = run.files.iter().try_for_each(|(part, path)| {
            let bytes = &mut self.buffer[part.start as usize..(part.start + part.len) as usize];
            files::read_exact_at(&File::open(path)?, bytes, 0)
        });
        self.took(run.chunk, read.is_ok(), false, run.len)
    }

    /// Counts a chunk if it was read and verifies. Any other chunk is fetched.
    fn took(
        &mut self,
        chunk: ChunkIndex,
        read: bool,
        in_place: bool,
        bytes: u64,
    ) -> Result<(), IncomingError> {
        self.done += self.buffer.len() as u64;
        if read {
            match self.incoming.reuse_chunk(chunk, &self.buffer, in_place) {
                Ok(()) => self.taken += bytes,
                Err(WriteError::Corrupt) => {}
                Err(WriteError::Full { missing }) => return Err(IncomingError::Full { missing }),
                Err(WriteError::Io(fault)) => return Err(fault.into()),
            }
        }
        (self.progress)(self.done, self.total);
        Ok(())
    }
}
