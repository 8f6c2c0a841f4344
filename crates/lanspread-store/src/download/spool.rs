//! The spool of a streamed install: chunks that wait to be unpacked, or were just unpacked and are still served.
//!
//! It is one file of slots, each as large as a chunk. A slot is reused once its chunk was dropped and its last reader
//! is done, so the file stays about as large as the window of chunks that are held, and needs no sparse files. The core
//! decides how large the window is (`lanspread_core::stream_window`). Nothing here survives the process.

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

use crate::download::arriving::{Arrivals, Found};
use crate::download::incoming::WriteError;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::store::Store;

/// Spool of one streamed install, shared by the threads that write its chunks, unpack them and serve them.
#[derive(Debug)]
pub struct Spool {
    content: Arc<GameContent>,
    file: Arc<File>,
    /// Declared after the file, so that the file is closed before it is deleted: Windows keeps the name of an open
    /// file.
    path: Ephemeral,
    slots: Mutex<Slots>,
    /// Notified whenever a chunk arrives.
    arrived: Condvar,
}

/// A file that is deleted on drop.
#[derive(Debug)]
struct Ephemeral(PathBuf);

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if failpoint!("leave-spool") {
            return;
        }
        // The next start deletes files that are left here.
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Debug, Default)]
struct Slots {
    /// Chunks that are here, with their slots.
    held: BTreeMap<ChunkIndex, Pin>,
    /// Chunks below this one are not accepted any more.
    dropped_below: u32,
    /// Slots whose chunk was dropped. A slot is reused once its last reader has released its pin.
    given_up: Vec<Pin>,
    /// Number of slots made so far.
    made: u32,
}

/// A slot in use: while a clone of this exists, the slot is not written again.
#[derive(Debug, Clone)]
pub struct Pin(Arc<u32>);

impl Slots {
    /// Returns an unused slot.
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

    /// Returns the content that is streamed.
    pub fn content(&self) -> &Arc<GameContent> {
        &self.content
    }

    /// Returns the chunks that a streamed install does not need: those that belong to no archive.
    pub fn unneeded(content: &GameContent) -> ChunkSet {
        let manifest = content.manifest();
        let mut unneeded = ChunkSet::empty(manifest.chunk_count());
        let others = manifest.files().iter().enumerate().filter(|(_, file)| !is_archive(&file.path));
        for chunk in others.flat_map(|(at, _)| manifest.chunks_of(at)) {
            unneeded.insert(ChunkIndex(chunk));
        }
        unneeded
    }

    /// Verifies the bytes of a chunk and stores them. A chunk that is here or was dropped is not stored again.
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
        // The write failed, or meanwhile another thread stored the same chunk or it was dropped.
        if written.is_err() || chunk.0 < slots.dropped_below || slots.held.contains_key(&chunk) {
            slots.given_up.push(pin);
        } else {
            slots.held.insert(chunk, pin);
            self.arrived.notify_all();
        }
        Ok(written?)
    }

    /// Drops the chunks below this one.
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

    /// Returns the number of slots made so far: the space that the spool takes on disk, in chunks.
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
    /// Creates the spool of a streamed install, in the folder that is emptied at each start.
    pub fn open_spool(&self, content: &Arc<GameContent>) -> Result<Arc<Spool>, DiskError> {
        // A slow answer to a peer may still use the spool of an earlier attempt.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let game = content.manifest().game();
        let name = format!("{game}-{}.spool", NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = self.layout().scratch().join(name);
        let spool = Arc::new(Spool::create(path, Arc::clone(content))?);
        self.all_spools().insert(game.clone(), Arc::clone(&spool));
        Ok(spool)
    }

    /// Returns the spool of the streamed install in progress.
    pub fn spool(&self, game: &GameId) -> Option<Arc<Spool>> {
        self.all_spools().get(game).cloned()
    }

    /// Closes the spool; its file is deleted when the last reader is done.
    pub(crate) fn close_spool(&self, game: &GameId) {
        self.all_spools().remove(game);
    }
}
