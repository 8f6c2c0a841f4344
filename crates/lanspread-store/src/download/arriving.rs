//! Readers over archives that are still arriving.
//!
//! This module owns the order and the waiting: it reads a game's archives one after the other, each from its first byte
//! to its last, and blocks where a chunk is missing. Where the chunks are kept is up to [`Arrivals`]: a download in
//! progress or a spool. A reader only returns bytes of verified chunks.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::manifest::is_archive;
use lanspread_types::{ChunkIndex, GameContent, RelPath};

use crate::download::spool::Pin;
use crate::fs::cancel::Cancel;
use crate::fs::files;

/// Interval at which a waiting reader checks for cancellation.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Storage in which the chunks of one content arrive.
pub(crate) trait Arrivals: fmt::Debug + Send + Sync {
    /// Waits up to `patience` until a chunk is verified and written. Returns whether it is.
    fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool;

    /// Returns the location of a chunk that has arrived.
    fn find(&self, chunk: ChunkIndex) -> io::Result<Found>;
}

/// Location of a chunk.
#[derive(Debug)]
pub(crate) struct Found {
    /// File that holds the chunk.
    pub file: Arc<File>,
    /// Offset of the chunk in the file, in bytes.
    pub offset: u64,
    /// Keeps a spool slot from being reused while the chunk is read; `None` for a download.
    pub pin: Option<Pin>,
}

/// Callback for the reader's progress: no chunk below the given one is needed any more.
pub type ReleasedChunks = Box<dyn FnMut(ChunkIndex) + Send>;

/// The archives of one game, read in unpacking order.
pub(crate) struct ArrivingArchives {
    content: Arc<GameContent>,
    arrivals: Arc<dyn Arrivals>,
    cancel: Cancel,
    passed: ReleasedChunks,
}

impl fmt::Debug for ArrivingArchives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrivingArchives").field("arrivals", &self.arrivals).finish_non_exhaustive()
    }
}

impl ArrivingArchives {
    /// Creates readers over the archives of `content`. A reader that waits for a chunk fails once `cancel` is set.
    pub fn new(
        content: Arc<GameContent>,
        arrivals: Arc<dyn Arrivals>,
        cancel: Cancel,
        passed: ReleasedChunks,
    ) -> Self {
        Self { content, arrivals, cancel, passed }
    }

    /// Lists the archives, sorted by path, each with its index in the manifest.
    pub fn list(content: &GameContent) -> Vec<(usize, RelPath)> {
        let files = content.manifest().files().iter().enumerate();
        files.filter(|(_, file)| is_archive(&file.path)).map(|(at, file)| (at, file.path.clone())).collect()
    }

    /// Reads a small file beside the archives; `file` is its index in the manifest. Waits until it is here.
    pub fn read_small(&mut self, file: usize) -> io::Result<Vec<u8>> {
        let content = Arc::clone(&self.content);
        let manifest = content.manifest();
        let mut bytes = Vec::new();
        for chunk in manifest.chunks_of(file).map(ChunkIndex) {
            let part = manifest.place(chunk).and_then(|place| manifest.parts(place).find(|p| p.file == file));
            let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
            while !self.arrivals.wait_for(chunk, LOOK_UP) {
                if self.cancel.is_cancelled() {
                    return Err(io::Error::other("cancelled"));
                }
            }
            let found = self.arrivals.find(chunk)?;
            let begin = bytes.len();
            bytes.resize(begin + usize::try_from(part.len).unwrap_or(usize::MAX), 0);
            files::read_exact_at(&found.file, &mut bytes[begin..], found.offset + part.start)?;
            // The chunk itself may have parts of further files.
            (self.passed)(chunk);
        }
        Ok(bytes)
    }

    /// Opens an archive for reading; `file` is its index in the manifest.
    pub fn open(&mut self, file: usize) -> Arriving<'_> {
        let chunks = self.content.manifest().chunks_of(file);
        let arriving = Arriving { archives: self, next: chunks.start, end: chunks.end, current: None };
        (arriving.archives.passed)(ChunkIndex(chunks.start));
        arriving
    }
}

/// Forward-only reader of one archive that is still arriving.
#[derive(Debug)]
pub(crate) struct Arriving<'a> {
    archives: &'a mut ArrivingArchives,
    /// Chunks after the current one are `next..end`.
    next: u32,
    end: u32,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    found: Found,
    chunk: ChunkIndex,
    read: u64,
    len: u64,
}

impl Arriving<'_> {
    fn await_next(&mut self) -> io::Result<Option<Current>> {
        if self.next == self.end {
            return Ok(None);
        }
        let chunk = ChunkIndex(self.next);
        let archives = &self.archives;
        let place = archives.content.manifest().place(chunk);
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        while !archives.arrivals.wait_for(chunk, LOOK_UP) {
            if archives.cancel.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
        }
        self.next += 1;
        Ok(Some(Current { found: archives.arrivals.find(chunk)?, chunk, read: 0, len: place.len }))
    }
}

impl Read for Arriving<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.current.as_ref().is_none_or(|current| current.read == current.len) {
            if let Some(done) = self.current.take() {
                (self.archives.passed)(ChunkIndex(done.chunk.0 + 1));
            }
            self.current = self.await_next()?;
        }
        let Some(current) = &mut self.current else { return Ok(0) };
        let left = usize::try_from(current.len - current.read).unwrap_or(usize::MAX);
        let n = bytes.len().min(left);
        files::read_exact_at(&current.found.file, &mut bytes[..n], current.found.offset + current.read)?;
        current.read += n as u64;
        Ok(n)
    }
}
