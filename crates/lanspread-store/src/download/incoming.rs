//! Downloads in progress: files at full size, filled chunk by chunk in any order by several threads at once.
//!
//! A chunk is verified before it is written, and recorded only afterwards. Big files are synced every 256 MiB so that a
//! power failure costs little. Small files would cost one sync each, so their chunks are verified again after a power
//! failure instead. After a mere crash of the program nothing is hashed and no recorded chunk is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lanspread_core::io::DiskError;
use lanspread_types::manifest::{ChunkPart, ChunkPlace, SENTINEL};
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameContent, GameId, Manifest, Size, failpoint};

use crate::download::have::{self, BootId, HaveJournal, Journalled};
use crate::download::reuse::{self, Kept};
use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::fs::handles::Handles;
use crate::library::index::GameIndex;
use crate::library::walk::Look;
use crate::store::Store;

/// Maximum number of files kept open for one download.
const OPEN_FILES_MAX: usize = 32;
/// Bytes written to big files between two syncs.
const BARRIER_BYTES: u64 = 256 << 20;
/// Smallest file that is synced while the download runs, in bytes.
const SYNCED_FILE_BYTES_MIN: u64 = 8 << 20;
/// Bytes written between two checks of the free space.
const WATCH_BYTES: u64 = 32 << 20;
/// Maximum number of files that are synced one by one at the end.
const SYNCED_SINGLY_MAX: usize = 32;
/// Space that a download leaves free, in bytes, for journals, the index and other programs.
pub(crate) const RESERVE_BYTES: u64 = 64 << 20;
/// How far the modification time of a finished file is set back; see [`Incoming::finish`].
const AGE_WHEN_FINISHED: Duration = Duration::from_secs(10);

/// Why a download was not opened.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The rest of the download does not fit on the disk.
    #[error("the disk is full; free another {}", Size(*missing))]
    Full {
        /// Bytes that do not fit; 0 if unknown.
        missing: u64,
    },
    /// The operation was cancelled.
    #[error("the download was cancelled")]
    Cancelled,
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bytes do not match the chunk's hash, or the content has no such chunk.
    #[error("the bytes do not match the chunk's hash")]
    Corrupt,
    /// The disk is full.
    #[error("the disk is full; free another {}", Size(*missing))]
    Full {
        /// Bytes that do not fit; 0 if unknown.
        missing: u64,
    },
    /// A disk operation failed.
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
    /// Reports 0 missing bytes on a full disk, because the system does not say how many are missing.
    fn from(fault: Fault) -> Self {
        if fault.is_disk_full() { Self::Full { missing: 0 } } else { Self::Io(fault) }
    }
}

/// A download that is ready to be filled.
#[derive(Debug)]
pub struct Opened {
    /// The download.
    pub incoming: Arc<Incoming>,
    /// Bytes that the old version provided, including files that stay in place. 0 if the download was already open.
    pub reused_bytes: u64,
}

/// One open download, shared by the threads that write its chunks and those that serve them.
#[derive(Debug)]
pub struct Incoming {
    content: Arc<GameContent>,
    folder: PathBuf,
    files: PathBuf,
    handles: Handles,
    /// Files that stay where the old version has them, by index in the manifest.
    kept: BTreeMap<usize, Kept>,
    /// Bytes written since the free space was last checked.
    unwatched_bytes: AtomicU64,
    progress: Mutex<Progress>,
    /// Notified whenever a chunk is recorded.
    arrived: Condvar,
    /// Held while big files are synced, so that only one thread syncs at a time.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct Progress {
    had: ChunkSet,
    journal: HaveJournal,
    /// Big files with bytes that are not synced.
    unsynced: BTreeSet<usize>,
    /// Number of such bytes since the last sync.
    unsynced_bytes: u64,
}

impl Store {
    /// Opens a download, resuming an earlier attempt at the same content.
    pub fn open_incoming(&self, content: &Arc<GameContent>) -> Result<Arc<Incoming>, IncomingError> {
        self.open_download(content, &Cancel::new(), &mut |_, _| {}).map(|opened| opened.incoming)
    }

    /// Opens a download, resuming an earlier attempt, and takes over what the old version shares with the new one.
    ///
    /// Taking over can take long; `progress` is given the bytes examined so far and in total. Closes an open download
    /// of another content of the game.
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
        // Release the lock: taking over is slow, and other downloads must not wait for it.
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

    /// Returns the open download of a game.
    pub fn incoming(&self, game: &GameId) -> Option<Arc<Incoming>> {
        self.all_incoming().get(game).cloned()
    }

    /// Closes a download. Its chunks are kept for a later attempt unless `discard` is set.
    pub fn drop_incoming(&self, game: &GameId, content: ContentId, discard: bool) -> Result<(), Fault> {
        // The unpacker uses the files, so stop it first.
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

    /// Checks that the rest of a download fits on the disk; `spare` bytes of that rest take no new space. If the rest
    /// does not fit, deletes the chunks of the game's other contents and checks again.
    pub(crate) fn make_room(&self, incoming: &Incoming, spare: u64) -> Result<(), IncomingError> {
        let game = incoming.content.manifest().game();
        // An installed game will have its new version unpacked beside the old one.
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
        failpoint!("make-room-of-others", crate::sabotage::delete_every_sentinel(self.layout().games()));
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

    /// Returns the content being downloaded.
    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    /// Returns the chunks that are verified and written.
    pub fn had(&self) -> ChunkSet {
        self.progress().had.clone()
    }

    /// Returns whether a chunk is verified and written.
    pub fn has(&self, chunk: ChunkIndex) -> bool {
        self.progress().had.contains(chunk)
    }

    /// Verifies the bytes of a chunk, writes them and records the chunk. A recorded chunk is not written again.
    pub fn write_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        if !self.content.verifies(chunk, bytes) && !failpoint!("skip-verification") {
            return Err(WriteError::Corrupt);
        }
        self.put_chunk(chunk, bytes)
    }

    /// Verifies and records a chunk of the old version. If `in_place`, a clone of the old file already has the bytes in
    /// the right place; otherwise they are written.
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
        if part.len < size && part.offset + part.len == size && failpoint!("skip-last-write") {
            return Ok(());
        }
        if part.len < size {
            return files::write_all_at(&*self.file(part.file)?, bytes, at).or_fault("write", &path);
        }
        // A file within one chunk is written at once, so its handle is not cached.
        let file = self.make_file(part.file, &path).or_fault("open", &path)?;
        files::write_all_at(&file, bytes, at).or_fault("write", &path)
    }

    /// Opens a file for writing at its full size; creates it and the folders above it if needed.
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

    /// Returns where a chunk belongs; `None` if it is recorded already.
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

    /// Checks the free space from time to time, so that the download ends before the disk is completely full: journals
    /// and other programs need some.
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

    /// Converts a failed write into an error. For a full disk, states how much is missing.
    fn explain(&self, fault: Fault) -> WriteError {
        if !fault.is_disk_full() {
            return WriteError::Io(fault);
        }
        let free = self.free_bytes().unwrap_or(0);
        WriteError::Full { missing: self.shortage(free) }
    }

    /// Returns by how many bytes the free space is too small for the rest of the download and the reserve.
    fn shortage(&self, free: u64) -> u64 {
        let lie = if failpoint!("lie-about-missing-bytes") { RESERVE_BYTES } else { 0 };
        (self.missing_bytes() + RESERVE_BYTES - lie).saturating_sub(free)
    }

    /// Returns the number of bytes that still have to be written, without files that stay in place.
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

    /// Records a chunk. Returns whether the big files should be synced now.
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

    /// Syncs the big files, then adds a *barrier* to the journal: a record of how many chunks were recorded before the
    /// sync. Other threads keep writing meanwhile. A failure only means that more chunks are verified after a power
    /// failure.
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

    /// Closes the files even if other threads still share the download. On FAT and exFAT, and on NTFS before Windows
    /// 10, Windows cannot delete a folder while a file in it is open.
    fn close(&self) {
        self.handles.clear();
        self.progress().journal.close();
    }

    /// Prepares the files for the commit: creates the empty ones and syncs everything. Returns how each file looks.
    ///
    /// Sets the modification times a little into the past. Any later change then certainly gets another time, so the
    /// hashes of the download can be remembered at once.
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

    /// Syncs the downloaded files. A few are synced one by one, which does not disturb the rest of the disk; for many
    /// this takes too long.
    fn sync_all(&self) -> Result<(), Fault> {
        let count = self.content.manifest().files().len() - self.kept.len();
        if count > SYNCED_SINGLY_MAX {
            return files::sync_tree(&self.files);
        }
        let mut fetched = (0..self.content.manifest().files().len()).filter(|at| !self.is_kept(*at));
        fetched.try_for_each(|at| files::sync(&*self.file(at)?).or_fault("sync", &self.path(at)))
    }

    /// Returns how a file looks. Fails if a file that stays in place has changed since the download was opened.
    fn look_at(&self, at: usize) -> Result<Look, Fault> {
        let path = self.path(at);
        let look = Look::at(&path)?;
        match self.kept.get(&at) {
            Some(kept) if kept.look != look => {
                let reason = "it changed during the download; try again";
                Err(Fault::new("keep", path, io::Error::other(reason)))
            }
            _ => Ok(look),
        }
    }

    /// Returns whether a file stays where the old version has it, so that the commit does not move it.
    pub(crate) fn is_kept(&self, at: usize) -> bool {
        self.kept.contains_key(&at)
    }

    /// Returns the bytes of the chunks whose files all stay in place.
    pub(crate) fn kept_bytes(&self) -> u64 {
        kept_chunks(self.content.manifest(), &self.kept).map(|(_, place)| place.len).sum()
    }

    /// Returns the folder in which the files are filled.
    pub(crate) fn files_folder(&self) -> &Path {
        &self.files
    }

    /// Waits up to `patience` until a chunk is verified and written. Returns whether it is.
    pub(crate) fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool {
        let missing = |progress: &mut Progress| !progress.had.contains(chunk);
        let waited = self.arrived.wait_timeout_while(self.progress(), patience, missing);
        waited.unwrap_or_else(PoisonError::into_inner).0.had.contains(chunk)
    }

    /// Returns the path of a file, given its index in the manifest.
    pub(crate) fn path(&self, file: usize) -> PathBuf {
        path_of(&self.content, &self.files, &self.kept, file)
    }

    /// Returns an open file, created at full size if needed. On file systems with sparse files it takes space only as
    /// it is written.
    pub(crate) fn file(&self, at: usize) -> Result<Arc<File>, Fault> {
        let path = self.path(at);
        if self.is_kept(at) {
            return self.handles.get(&path, || File::open(&path)).or_fault("open", &path);
        }
        self.handles.get(&path, || self.make_file(at, &path)).or_fault("open", &path)
    }

    /// Opens a file for reading. If `cached`, it stays open for the next chunk.
    pub(crate) fn file_to_read(&self, at: usize, cached: bool) -> Result<Arc<File>, Fault> {
        if cached {
            return self.file(at);
        }
        let path = self.path(at);
        File::open(&path).map(Arc::new).or_fault("open", &path)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // No operation leaves the state half changed, so a panic elsewhere does not spoil it.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the chunks whose files all stay in place.
fn kept_chunks<'a>(
    manifest: &'a Manifest,
    kept: &'a BTreeMap<usize, Kept>,
) -> impl Iterator<Item = (ChunkIndex, ChunkPlace)> + 'a {
    // Neighbouring small files share a chunk; it must be returned only once.
    let mut next = 0;
    let chunks = kept.keys().flat_map(|&at| manifest.chunks_of(at)).filter(move |&chunk| {
        let first = chunk >= next;
        next = chunk + 1;
        first
    });
    let placed = chunks.map(ChunkIndex).filter_map(|chunk| Some((chunk, manifest.place(chunk)?)));
    placed.filter(|(_, place)| manifest.parts(*place).all(|part| kept.contains_key(&part.file)))
}

/// Returns where a file of a download is: in the download's folder or, if it stays in place, in the old version's.
fn path_of(content: &GameContent, files: &Path, kept: &BTreeMap<usize, Kept>, file: usize) -> PathBuf {
    let stays = kept.get(&file).map(|kept| kept.path.clone());
    stays.unwrap_or_else(|| content.manifest().files()[file].path.to_path(files))
}

/// Check of which journalled chunks of an earlier attempt are really there.
struct Restored<'a> {
    content: &'a GameContent,
    files: &'a Path,
    kept: &'a BTreeMap<usize, Kept>,
}

impl Restored<'_> {
    /// Returns whether the journal is from this run of the system and all its files are there. Then nothing has to be
    /// checked or rewritten.
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

    /// Returns the chunks that are there. In the same run of the system all are believed, otherwise those of big files
    /// that were synced; the rest must match their hashes.
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
