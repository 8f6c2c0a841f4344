//! Takeover of data that an old version shares with the new one.
//!
//! A file that is the same under the same name stays in place (see [`reuse`](super::reuse)). Of the others, this module
//! takes the chunks that they share with old files:
//! - Where the disk can, the old file is *cloned* (both share blocks until one is written), and the chunks that differ
//!   are fetched into the clone.
//! - Elsewhere the shared chunks are *copied*.
//!
//! A chunk's hash includes its offset in the file, so a match means the same bytes at the same offset of any file,
//! under any name. Where the index has no hashes of the right chunk size, the file with the same root or the same name
//! is tried chunk by chunk.
//!
//! The index only says where to look. Cloned or copied data is read and verified before it counts, so an outdated index
//! costs a read and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use lanspread_types::manifest::ChunkPart;
use lanspread_types::{ChunkHash, ChunkIndex, GameContent, RelPath, failpoint};

use crate::download::incoming::{Incoming, IncomingError, WriteError};
use crate::download::reuse::ordinary_file;
use crate::fs::cancel::Cancel;
use crate::fs::files;
use crate::library::index::GameIndex;
use crate::store::Store;

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
