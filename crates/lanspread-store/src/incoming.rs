//! Downloads under way: files at full size, filled chunk by chunk in any order by several threads at once.
//!
//! A chunk is verified before it is written, recorded after. Big files are synced every 256 MiB so that a power
//! failure costs little; small files would cost one sync each, so theirs are verified again after a power failure
//! instead. After a mere crash of the program nothing is hashed and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lanspread_core::io::DiskError;
use lanspread_types::manifest::{ChunkPart, ChunkPlace, SENTINEL};
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameContent, GameId, Manifest, failpoint};

use crate::cancel::Cancel;
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::handles::Handles;
use crate::have::{self, BootId, HaveJournal, Journalled};
use crate::index::GameIndex;
use crate::reuse::{self, Kept};
use crate::store::Store;
use crate::walk::Look;

/// Most files of one download that are kept open.
const OPEN_FILES_MAX: usize = 32;
/// Bytes written between two syncs.
const BARRIER_BYTES: u64 = 256 << 20;
/// Smallest file that is synced while the download runs.
const SYNCED_FILE_BYTES_MIN: u64 = 8 << 20;
/// Bytes written between two looks at how much room is left.
const WATCH_BYTES: u64 = 32 << 20;
/// Most files that are synced one by one at the end.
const SYNCED_SINGLY_MAX: usize = 32;
/// Space that a download leaves free, in bytes: for journals, the index, and everybody else on the disk.
pub(crate) const RESERVE_BYTES: u64 = 64 << 20;
/// How far back in time a finished file's change is put; see [`Incoming::finish`].
const AGE_WHEN_FINISHED: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    #[error("the disk is full: {missing} bytes are missing")]
    Full { missing: u64 },
    #[error("the download was given up")]
    Cancelled,
    #[error(transparent)]
    Io(#[from] Fault),
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the bytes do not match the chunk's hash")]
    Corrupt,
    #[error("the disk is full: {missing} bytes are missing")]
    Full { missing: u64 },
    #[error(transparent)]
    Io(Fault),
}

impl From<IncomingError> for DiskError {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Full { missing } => Self::Full { missing },
            IncomingError::Cancelled => Self::Cancelled,
            IncomingError::Io(fault) => fault.into(),
        }
    }
}

impl From<WriteError> for DiskError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Corrupt => Self::Other(error.to_string()),
            WriteError::Full { missing } => Self::Full { missing },
            WriteError::Io(fault) => fault.into(),
        }
    }
}

impl From<Fault> for WriteError {
    /// The system does not say how much is missing on a full disk.
    fn from(fault: Fault) -> Self {
        if fault.is_disk_full() { Self::Full { missing: 0 } } else { Self::Io(fault) }
    }
}

/// A download that is ready to be filled.
#[derive(Debug)]
pub struct Opened {
    pub incoming: Arc<Incoming>,
    /// Bytes that the old version gave.
    pub reused_bytes: u64,
}

/// One download. Shared by the threads that write its chunks and those that serve them on.
#[derive(Debug)]
pub struct Incoming {
    content: Arc<GameContent>,
    folder: PathBuf,
    files: PathBuf,
    handles: Handles,
    /// Files that stay where the old version has them, by position in the manifest.
    kept: BTreeMap<usize, Kept>,
    /// Bytes written since the room was last looked at.
    unwatched_bytes: AtomicU64,
    progress: Mutex<Progress>,
    /// Told whenever a chunk was recorded.
    arrived: Condvar,
    /// Held by whoever syncs, so that only one thread does.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct Progress {
    had: ChunkSet,
    journal: HaveJournal,
    /// Big files with bytes that are not synced, and how many bytes those are.
    unsynced: BTreeSet<usize>,
    unsynced_bytes: u64,
}

impl Store {
    /// Prepares the place for a download, or finds what an earlier one left.
    pub fn open_incoming(&self, content: &Arc<GameContent>) -> Result<Arc<Incoming>, IncomingError> {
        self.open_download(content, &Cancel::new(), &mut |_, _| {}).map(|opened| opened.incoming)
    }

    /// The same, and takes over what the old version shares with the new one. That may take a while: `progress` is told
    /// the bytes looked at, and the bytes in all.
    pub fn open_download(
        &self,
        content: &Arc<GameContent>,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Opened, IncomingError> {
        let game = content.manifest().game();
        let mut all = self.all_incoming();
        if let Some(open) = all.get(game).filter(|open| open.content.content_id() == content.content_id()) {
            return Ok(Opened { incoming: Arc::clone(open), reused_bytes: 0 });
        }
        if let Some(other) = all.remove(game) {
            other.close();
        }
        let folder = self.layout().incoming(game, content.content_id());
        let files = self.layout().incoming_files(game, content.content_id());
        fs::create_dir_all(&files).or_fault("make the folder", &files)?;
        let old = self.layout().game(game).join(SENTINEL);
        if files::is_there(&old) && failpoint!("update-in-place") {
            files::delete_file(&old)?;
        }
        let known = GameIndex::load(self.layout(), game)?;
        let kept = reuse::kept_in_place(&self.layout().game(game), content, &known);
        let incoming = Incoming::open(folder, files, Arc::clone(content), kept, &self.layout().scratch())?;
        let incoming = Arc::new(incoming);
        all.insert(game.clone(), Arc::clone(&incoming));
        // Taking over is slow; others may go on meanwhile.
        drop(all);
        match self.take_over(&incoming, &known, cancel, progress) {
            Ok(reused_bytes) => Ok(Opened { incoming, reused_bytes }),
            Err(error) => {
                self.all_incoming().remove(game);
                incoming.close();
                Err(error)
            }
        }
    }

    /// The download of a game that is open.
    pub fn incoming(&self, game: &GameId) -> Option<Arc<Incoming>> {
        self.all_incoming().get(game).cloned()
    }

    /// Closes a download. What it has is kept for later unless `discard` says otherwise.
    pub fn drop_incoming(&self, game: &GameId, content: ContentId, discard: bool) -> Result<(), Fault> {
        // Whoever unpacks it meanwhile has to be gone first.
        self.drop_ahead(game);
        let old = self.layout().game(game).join(SENTINEL);
        if !discard && files::is_there(&old) && failpoint!("cancel-drops-old-copy") {
            files::delete_file(&old)?;
        }
        let mut all = self.all_incoming();
        if all.get(game).is_some_and(|open| open.content.content_id() == content)
            && let Some(open) = all.remove(game)
        {
            open.close();
        }
        drop(all);
        if discard {
            files::delete_tree(&self.layout().incoming(game, content))?;
            files::prune(&self.layout().incoming_of(game))?;
        }
        Ok(())
    }

    /// Checks that the rest of a download fits; of that, `spare` bytes take no room. What is left of the game's other
    /// contents gives way first.
    pub(crate) fn make_room(&self, incoming: &Incoming, spare: u64) -> Result<(), IncomingError> {
        let game = incoming.content.manifest().game();
        // An installed game is going to be unpacked beside the old one.
        let install = self.installed_bytes(game).unwrap_or(0);
        let shortage = || -> Result<u64, Fault> {
            let missing = incoming.missing_bytes();
            let needed =
                if missing == 0 { 0 } else { missing.saturating_sub(spare) + install + RESERVE_BYTES };
            Ok(needed.saturating_sub(incoming.free_bytes()?))
        };
        if shortage()? == 0 || failpoint!("skip-space-check") {
            return Ok(());
        }
        if failpoint!("make-room-of-others") {
            for other in fs::read_dir(self.layout().games()).into_iter().flatten().flatten() {
                let _ = files::delete_file(&other.path().join(SENTINEL));
            }
        }
        let all = self.layout().incoming_of(game);
        for entry in fs::read_dir(&all).or_fault("read the folder", &all)?.flatten() {
            if entry.path() != incoming.folder {
                files::delete_tree(&entry.path())?;
            }
        }
        match shortage()? {
            0 => Ok(()),
            missing => Err(IncomingError::Full { missing }),
        }
    }
}

impl Incoming {
    fn open(
        folder: PathBuf,
        files: PathBuf,
        content: Arc<GameContent>,
        kept: BTreeMap<usize, Kept>,
        scratch: &Path,
    ) -> Result<Self, Fault> {
        let path = folder.join("had");
        let id = content.content_id();
        let found = have::read(&path, id).or_fault("read", &path)?;
        let found = found.filter(|_| !failpoint!("forget-incoming"));
        let boot = have::boot_id();
        let restored = Restored { content: &content, files: &files, kept: &kept };
        let journalled = match found {
            Some(found) if restored.holds_as_it_is(&found, boot) => found,
            found => {
                let chunks = found.map_or_else(Vec::new, |found| restored.check(&found, boot));
                files::replace(scratch, &path, &HaveJournal::image(id, boot, &chunks))?;
                let fresh = have::read(&path, id).or_fault("read", &path)?;
                fresh.ok_or_else(|| Fault::new("read", &path, io::ErrorKind::InvalidData.into()))?
            }
        };
        let mut had = ChunkSet::empty(content.manifest().chunk_count());
        for &chunk in &journalled.chunks {
            had.insert(chunk);
        }
        for (chunk, _) in kept_chunks(content.manifest(), &kept) {
            had.insert(chunk);
        }
        let journal = HaveJournal::append_to(&path, id, &journalled).or_fault("open", &path)?;
        let progress = Progress { had, journal, unsynced: BTreeSet::new(), unsynced_bytes: 0 };
        let (progress, arrived, syncing) = (Mutex::new(progress), Condvar::new(), Mutex::new(()));
        let (handles, unwatched_bytes) = (Handles::new(OPEN_FILES_MAX), AtomicU64::new(0));
        Ok(Self { content, folder, files, handles, kept, unwatched_bytes, progress, arrived, syncing })
    }

    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    /// The chunks that are verified and written.
    pub fn had(&self) -> ChunkSet {
        self.progress().had.clone()
    }

    /// Whether one chunk is verified and written.
    pub fn has(&self, chunk: ChunkIndex) -> bool {
        self.progress().had.contains(chunk)
    }

    /// Verifies the bytes of a chunk, writes them at their place and records that they are there. A chunk that is
    /// there already is not written again.
    pub fn write_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        if !self.content.verifies(chunk, bytes) && !failpoint!("skip-verification") {
            return Err(WriteError::Corrupt);
        }
        self.put_chunk(chunk, bytes)
    }

    /// The same for bytes of the old version. They may stand in their place already: with a clone of the old file.
    pub(crate) fn reuse_chunk(
        &self,
        chunk: ChunkIndex,
        bytes: &[u8],
        in_place: bool,
    ) -> Result<(), WriteError> {
        if !self.content.verifies(chunk, bytes) && !failpoint!("skip-reuse-verification") {
            return Err(WriteError::Corrupt);
        }
        if !in_place {
            return self.put_chunk(chunk, bytes);
        }
        self.missing_place(chunk)?.map_or(Ok(()), |place| self.note_chunk(chunk, place))
    }

    fn put_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        let Some(place) = self.missing_place(chunk)? else { return Ok(()) };
        self.watch_room(place.len)?;
        let mut parts = self.content.manifest().parts(place).filter(|part| !self.is_kept(part.file));
        let written = parts.try_for_each(|part| {
            self.put_part(part, &bytes[part.start as usize..(part.start + part.len) as usize])
        });
        written.map_err(|fault| self.explain(fault))?;
        self.note_chunk(chunk, place)
    }

    fn put_part(&self, part: ChunkPart, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path(part.file);
        let size = self.content.manifest().files()[part.file].size;
        let at = part.offset + u64::from(failpoint!("off-by-one-range"));
        let cut = usize::from(part.offset + part.len == size && failpoint!("truncate-last-chunk"));
        let bytes = &bytes[..bytes.len() - cut];
        if part.len < size {
            return files::write_all_at(&*self.file(part.file)?, bytes, at).or_fault("write", &path);
        }
        // A whole file is written at once, so its handle is not kept.
        let file = self.make_file(part.file, &path).or_fault("open", &path)?;
        files::write_all_at(&file, bytes, at).or_fault("write", &path)
    }

    /// Opens a file for writing and makes it, with the folders above it, if it is not there.
    fn make_file(&self, at: usize, path: &Path) -> io::Result<File> {
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let entry = &self.content.manifest().files()[at];
        let file = open().or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                files::make_folders_above(&self.files, &entry.path).map_err(io::Error::other)?;
                open()
            }
            _ => Err(error),
        })?;
        if file.metadata()?.len() != entry.size {
            file.set_len(entry.size)?;
        }
        Ok(file)
    }

    /// Where a chunk belongs, if it is not there yet.
    fn missing_place(&self, chunk: ChunkIndex) -> Result<Option<ChunkPlace>, WriteError> {
        let place = self.content.manifest().place(chunk).ok_or(WriteError::Corrupt)?;
        Ok((!self.has(chunk)).then_some(place))
    }

    fn note_chunk(&self, chunk: ChunkIndex, place: ChunkPlace) -> Result<(), WriteError> {
        if self.record(chunk, place).map_err(|fault| self.explain(fault))? {
            self.sync_big_files();
        }
        Ok(())
    }

    /// Looks now and then whether there is room left, so that the download ends before the disk is full to the last
    /// byte: the journals need some, and so does everybody else.
    fn watch_room(&self, bytes: u64) -> Result<(), WriteError> {
        if self.unwatched_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < WATCH_BYTES {
            return Ok(());
        }
        self.unwatched_bytes.store(0, Ordering::Relaxed);
        let free = self.free_bytes().map_err(WriteError::Io)?;
        if free >= RESERVE_BYTES / 2 + bytes {
            return Ok(());
        }
        Err(WriteError::Full { missing: self.shortage(free) })
    }

    /// What a failed write means. A full disk is told with what is missing.
    fn explain(&self, fault: Fault) -> WriteError {
        if !fault.is_disk_full() {
            return WriteError::Io(fault);
        }
        let free = self.free_bytes().unwrap_or(0);
        WriteError::Full { missing: self.shortage(free) }
    }

    /// Bytes by which the disk is too small for what is missing.
    fn shortage(&self, free: u64) -> u64 {
        let lie = if failpoint!("lie-about-missing-bytes") { RESERVE_BYTES } else { 0 };
        (self.missing_bytes() + RESERVE_BYTES - lie).saturating_sub(free)
    }

    pub(crate) fn missing_bytes(&self) -> u64 {
        let manifest = self.content.manifest();
        let progress = self.progress();
        let missing = progress.had.missing_from(0).filter_map(|chunk| manifest.place(chunk));
        let parts = missing.flat_map(|place| manifest.parts(place));
        parts.filter(|part| !self.is_kept(part.file)).map(|part| part.len).sum()
    }

    fn free_bytes(&self) -> Result<u64, Fault> {
        fs4::available_space(&self.folder).or_fault("ask for the free space of", &self.folder)
    }

    /// Records a chunk; says whether it is time to sync.
    fn record(&self, chunk: ChunkIndex, place: ChunkPlace) -> Result<bool, Fault> {
        let mut progress = self.progress();
        if !progress.had.contains(chunk) {
            progress.journal.add(chunk).or_fault("write", &self.folder.join("had"))?;
            progress.had.insert(chunk);
            self.arrived.notify_all();
        }
        if self.content.manifest().files()[place.file].size >= SYNCED_FILE_BYTES_MIN {
            progress.unsynced.insert(place.file);
            progress.unsynced_bytes += place.len;
        }
        Ok(progress.unsynced_bytes >= BARRIER_BYTES)
    }

    /// Syncs the big files and puts a barrier behind what was recorded before. Other threads go on writing meanwhile.
    /// A failure only means that more is verified after a power failure.
    fn sync_big_files(&self) {
        let Ok(_only_one) = self.syncing.try_lock() else { return };
        let (unsynced, records) = {
            let mut progress = self.progress();
            progress.unsynced_bytes = 0;
            (std::mem::take(&mut progress.unsynced), progress.journal.records())
        };
        let sync = |&at: &usize| self.file(at).and_then(|f| files::sync(&f).or_fault("sync", &self.path(at)));
        let synced = unsynced.iter().try_for_each(sync).and_then(|()| {
            self.progress().journal.barrier(records).or_fault("write", &self.folder.join("had"))
        });
        if let Err(error) = synced {
            tracing::warn!(%error, "a download cannot be synced");
            self.progress().unsynced.extend(unsynced);
        }
    }

    /// Lets go of its files, whoever still shares it. Windows deletes a folder only when nothing in it is open: always on
    /// FAT and exFAT, and on NTFS before Windows 10.
    fn close(&self) {
        self.handles.clear();
        self.progress().journal.close();
    }

    /// Makes the files ready to be moved: those without content too, everything synced. Returns how each looks.
    ///
    /// Their time of change is put a little into the past, so that any later change is sure to have another one and
    /// the hashes that are known from the download can be remembered at once.
    pub(crate) fn finish(&self) -> Result<Vec<Look>, Fault> {
        let changed = SystemTime::now() - AGE_WHEN_FINISHED;
        let all = 0..self.content.manifest().files().len();
        for at in all.clone().filter(|at| !self.is_kept(*at)) {
            let path = self.path(at);
            self.file(at)?.set_modified(changed).or_fault("set the time of", &path)?;
        }
        self.sync_all()?;
        self.close();
        all.map(|at| self.look_at(at)).collect()
    }

    /// Few files are synced one by one, which leaves the rest of the disk in peace; many take too long that way.
    fn sync_all(&self) -> Result<(), Fault> {
        let count = self.content.manifest().files().len() - self.kept.len();
        if count > SYNCED_SINGLY_MAX {
            return files::sync_tree(&self.files);
        }
        let mut fetched = (0..self.content.manifest().files().len()).filter(|at| !self.is_kept(*at));
        fetched.try_for_each(|at| files::sync(&*self.file(at)?).or_fault("sync", &self.path(at)))
    }

    /// How a file looks; one that stays must look as it did when it was counted.
    fn look_at(&self, at: usize) -> Result<Look, Fault> {
        let path = self.path(at);
        let look = Look::at(&path)?;
        match self.kept.get(&at) {
            Some(kept) if kept.look != look => {
                let reason = "it was changed while the new version was fetched; try again";
                Err(Fault::new("keep", path, io::Error::other(reason)))
            }
            _ => Ok(look),
        }
    }

    /// Whether a file stays where the old version has it, and has no part in the commit's renames.
    pub(crate) fn is_kept(&self, at: usize) -> bool {
        self.kept.contains_key(&at)
    }

    /// Bytes of the chunks whose files all stay where they are.
    pub(crate) fn kept_bytes(&self) -> u64 {
        kept_chunks(self.content.manifest(), &self.kept).map(|(_, place)| place.len).sum()
    }

    /// Where the files are filled.
    pub(crate) fn files_folder(&self) -> &Path {
        &self.files
    }

    /// Waits until a chunk is verified and written, or the time is over. Returns whether it is there.
    pub(crate) fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool {
        let missing = |progress: &mut Progress| !progress.had.contains(chunk);
        let waited = self.arrived.wait_timeout_while(self.progress(), patience, missing);
        waited.unwrap_or_else(PoisonError::into_inner).0.had.contains(chunk)
    }

    pub(crate) fn path(&self, file: usize) -> PathBuf {
        path_of(&self.content, &self.files, &self.kept, file)
    }

    /// The open file, made at full size if it is not there. Its blocks are only taken as they are written, where the
    /// file system knows sparse files.
    pub(crate) fn file(&self, at: usize) -> Result<Arc<File>, Fault> {
        let path = self.path(at);
        if self.is_kept(at) {
            return self.handles.get(&path, || File::open(&path)).or_fault("open", &path);
        }
        self.handles.get(&path, || self.make_file(at, &path)).or_fault("open", &path)
    }

    /// Opens a file that has arrived, to read it. `cached`: it stays open for the next chunk.
    pub(crate) fn file_to_read(&self, at: usize, cached: bool) -> Result<Arc<File>, Fault> {
        if cached {
            return self.file(at);
        }
        let path = self.path(at);
        File::open(&path).map(Arc::new).or_fault("open", &path)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // No operation leaves the set half changed, so a panic elsewhere does not spoil it.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the chunks whose files all stay where the old version has them.
fn kept_chunks<'a>(
    manifest: &'a Manifest,
    kept: &'a BTreeMap<usize, Kept>,
) -> impl Iterator<Item = (ChunkIndex, ChunkPlace)> + 'a {
    // The files of a run follow each other and name the same chunk; it is looked at once.
    let mut next = 0;
    let chunks = kept.keys().flat_map(|&at| manifest.chunks_of(at)).filter(move |&chunk| {
        let first = chunk >= next;
        next = chunk + 1;
        first
    });
    let placed = chunks.map(ChunkIndex).filter_map(|chunk| Some((chunk, manifest.place(chunk)?)));
    placed.filter(|(_, place)| manifest.parts(*place).all(|part| kept.contains_key(&part.file)))
}

/// Returns where a file of a download is: in the folder that is filled or, if it stays, in the old version's.
fn path_of(content: &GameContent, files: &Path, kept: &BTreeMap<usize, Kept>, file: usize) -> PathBuf {
    let stays = kept.get(&file).map(|kept| kept.path.clone());
    stays.unwrap_or_else(|| content.manifest().files()[file].path.to_path(files))
}

/// Decides which journalled chunks of an earlier run are really there.
struct Restored<'a> {
    content: &'a GameContent,
    files: &'a Path,
    kept: &'a BTreeMap<usize, Kept>,
}

impl Restored<'_> {
    /// The same run of the system, and all files are there: nothing to check, nothing to write.
    fn holds_as_it_is(&self, found: &Journalled, boot: BootId) -> bool {
        let mut checked = BTreeSet::new();
        let mut whole = |chunk: &ChunkIndex| {
            let Some(place) = self.content.manifest().place(*chunk) else { return false };
            let mut parts = self.content.manifest().parts(place);
            parts.all(|p| checked.contains(&p.file) || (self.is_whole(p.file) && checked.insert(p.file)))
        };
        let holds = boot.is_some() && found.boot == boot && found.chunks.iter().all(&mut whole);
        holds && !failpoint!("hash-again")
    }

    /// The chunks that are there: those that were synced, and those that still match their hash.
    fn check(&self, found: &Journalled, boot: BootId) -> Vec<ChunkIndex> {
        let same_run = boot.is_some() && found.boot == boot;
        let manifest = self.content.manifest();
        let mut buffer = Vec::new();
        let mut holds = |(at, chunk): &(usize, ChunkIndex)| {
            let whole = |place: &ChunkPlace| manifest.parts(*place).all(|part| self.is_whole(part.file));
            let Some(place) = manifest.place(*chunk).filter(whole) else { return false };
            let synced = *at < found.synced && manifest.files()[place.file].size >= SYNCED_FILE_BYTES_MIN;
            let believed = (same_run || synced) && !failpoint!("hash-again");
            believed || self.verifies(*chunk, place, &mut buffer)
        };
        let chunks = found.chunks.iter().copied().enumerate();
        chunks.filter(&mut holds).map(|(_, chunk)| chunk).collect()
    }

    fn is_whole(&self, file: usize) -> bool {
        let size = self.content.manifest().files()[file].size;
        fs::symlink_metadata(self.path(file)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    fn path(&self, file: usize) -> PathBuf {
        path_of(self.content, self.files, self.kept, file)
    }

    fn verifies(&self, chunk: ChunkIndex, place: ChunkPlace, buffer: &mut Vec<u8>) -> bool {
        buffer.resize(place.len as usize, 0);
        let mut parts = self.content.manifest().parts(place);
        let read = parts.try_for_each(|part| {
            let bytes = &mut buffer[part.start as usize..(part.start + part.len) as usize];
            files::read_exact_at(&File::open(self.path(part.file))?, bytes, part.offset)
        });
        read.is_ok() && self.content.verifies(chunk, buffer)
    }
}
