//! The window of a streamed install: chunks that have arrived and wait to be unpacked, or were unpacked just now and
//! are still served.
//!
//! One file of slots, each as large as a chunk. A slot is used again once its chunk was dropped and nobody reads it any
//! more; so the file is never larger than the window, and no file system has to know sparse files. How large the
//! window is, is the core's decision (`lanspread_core::stream`); nothing here survives the process.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_core::io::DiskError;
use lanspread_types::manifest::is_archive;
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, GameId, failpoint};

use crate::arriving::{Arrivals, Found};
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::incoming::WriteError;
use crate::store::Store;

/// The window of one streamed install. Shared by the threads that write its chunks, the one that unpacks them and those
/// that serve them.
#[derive(Debug)]
pub struct Spool {
    content: Arc<GameContent>,
    file: Arc<File>,
    /// After the file, so that it is closed when it is deleted: Windows keeps the name of one that is open.
    path: Ephemeral,
    slots: Mutex<Slots>,
    arrived: Condvar,
}

/// A file that goes with its owner.
#[derive(Debug)]
struct Ephemeral(PathBuf);

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if failpoint!("leave-spool") {
            return;
        }
        // The next start deletes what is left here.
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Debug, Default)]
struct Slots {
    held: BTreeMap<ChunkIndex, Pin>,
    /// Every chunk below has been dropped, or never was.
    dropped_below: u32,
    /// Slots that were given up. A slot that is still pinned is used again when it no longer is.
    given_up: Vec<Pin>,
    made: u32,
}

/// A slot in use: as long as somebody has this, nothing else is written there.
#[derive(Debug, Clone)]
pub struct Pin(Arc<u32>);

impl Slots {
    /// A slot that nobody uses.
    fn take(&mut self) -> Pin {
        let free = self.given_up.iter().position(|pin| Arc::strong_count(&pin.0) == 1);
        free.map(|at| self.given_up.swap_remove(at)).unwrap_or_else(|| {
            self.made += 1;
            Pin(Arc::new(self.made - 1))
        })
    }
}

impl Spool {
    fn create(path: PathBuf, content: Arc<GameContent>) -> Result<Self, Fault> {
        files::delete_file(&path)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = Arc::new(file.or_fault("make", &path)?);
        Ok(Self { content, file, path: Ephemeral(path), slots: Mutex::default(), arrived: Condvar::new() })
    }

    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    /// The chunks that a streamed install has no use for: all that are not of an archive.
    pub fn unneeded(content: &GameContent) -> ChunkSet {
        let manifest = content.manifest();
        let mut unneeded = ChunkSet::empty(manifest.chunk_count());
        let others = manifest.files().iter().enumerate().filter(|(_, file)| !is_archive(&file.path));
        for chunk in others.flat_map(|(at, _)| manifest.chunks_of(at)) {
            unneeded.insert(ChunkIndex(chunk));
        }
        unneeded
    }

    /// Verifies the bytes of a chunk and puts them into the window. What has been there before is not taken again.
    pub fn write_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        if !self.content.verifies(chunk, bytes) && !failpoint!("skip-verification") {
            return Err(WriteError::Corrupt);
        }
        let pin = {
            let mut slots = self.slots();
            if chunk.0 < slots.dropped_below || slots.held.contains_key(&chunk) {
                return Ok(());
            }
            slots.take()
        };
        let written =
            files::write_all_at(&self.file, bytes, self.offset(&pin)).or_fault("write", &self.path.0);
        let mut slots = self.slots();
        // Twice at the same time, or no longer of use.
        if written.is_err() || chunk.0 < slots.dropped_below || slots.held.contains_key(&chunk) {
            slots.given_up.push(pin);
        } else {
            slots.held.insert(chunk, pin);
            self.arrived.notify_all();
        }
        Ok(written?)
    }

    /// Gives up the chunks below this one.
    pub fn drop_below(&self, chunk: ChunkIndex) {
        if failpoint!("stream-drops-nothing") {
            return;
        }
        let mut slots = self.slots();
        let kept = slots.held.split_off(&chunk);
        let dropped = std::mem::replace(&mut slots.held, kept);
        slots.given_up.extend(dropped.into_values());
        slots.dropped_below = slots.dropped_below.max(chunk.0);
    }

    /// Slots that were made: what the window takes on the disk at most, in chunks.
    pub fn slots_made(&self) -> u32 {
        self.slots().made
    }

    fn offset(&self, pin: &Pin) -> u64 {
        u64::from(*pin.0) * self.content.manifest().chunk_size().bytes()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // No operation leaves the slots half changed, so a panic elsewhere does not spoil them.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals for Spool {
    fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool {
        let missing = |slots: &mut Slots| !slots.held.contains_key(&chunk);
        let waited = self.arrived.wait_timeout_while(self.slots(), patience, missing);
        waited.unwrap_or_else(PoisonError::into_inner).0.held.contains_key(&chunk)
    }

    fn find(&self, chunk: ChunkIndex) -> io::Result<Found> {
        let pin = self.slots().held.get(&chunk).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Found { file: Arc::clone(&self.file), offset: self.offset(&pin), pin: Some(pin) })
    }
}

impl Store {
    /// Makes the window of a streamed install. The same folder is emptied at each start.
    pub fn open_spool(&self, content: &Arc<GameContent>) -> Result<Arc<Spool>, DiskError> {
        // A late answer may hold on to the window of an earlier attempt.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let game = content.manifest().game();
        let name = format!("{game}-{}.spool", NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = self.layout().scratch().join(name);
        let spool = Arc::new(Spool::create(path, Arc::clone(content))?);
        self.all_spools().insert(game.clone(), Arc::clone(&spool));
        Ok(spool)
    }

    /// The window of the streamed install that is under way.
    pub fn spool(&self, game: &GameId) -> Option<Arc<Spool>> {
        self.all_spools().get(game).cloned()
    }

    pub(crate) fn close_spool(&self, game: &GameId) {
        self.all_spools().remove(game);
    }
}
