//! Archives that are still arriving, as readers that wait.
//!
//! Owns the waiting and the order: the archives of a game one after the other, each from its first byte to its last.
//! Where the chunks are kept is behind [`Arrivals`]: in a download that is under way, or in a spool.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::manifest::is_archive;
use lanspread_types::{ChunkIndex, GameContent, RelPath};

use crate::cancel::Cancel;
use crate::files;
use crate::spool::Pin;

/// How long is waited before a wish to stop is looked for again.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Where the chunks of one content arrive.
pub(crate) trait Arrivals: fmt::Debug + Send + Sync {
    /// Waits until a chunk is verified and written, or the time is over.
    fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool;

    /// Where a chunk that has arrived stands.
    fn find(&self, chunk: ChunkIndex) -> io::Result<Found>;
}

/// Where a chunk stands.
#[derive(Debug)]
pub(crate) struct Found {
    pub file: Arc<File>,
    pub offset: u64,
    /// Keeps the place from being used for another chunk.
    pub pin: Option<Pin>,
}

/// Told how far the reader has come: it has no more use for the chunks below this one.
pub type Passed = Box<dyn FnMut(ChunkIndex) + Send>;

/// The archives of a game, in the order in which they are unpacked.
pub(crate) struct ArrivingArchives {
    content: Arc<GameContent>,
    arrivals: Arc<dyn Arrivals>,
    cancel: Cancel,
    passed: Passed,
}

impl fmt::Debug for ArrivingArchives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrivingArchives").field("arrivals", &self.arrivals).finish_non_exhaustive()
    }
}

impl ArrivingArchives {
    pub fn new(
        content: Arc<GameContent>,
        arrivals: Arc<dyn Arrivals>,
        cancel: Cancel,
        passed: Passed,
    ) -> Self {
        Self { content, arrivals, cancel, passed }
    }

    /// Their paths, sorted; each with its place in the manifest.
    pub fn list(content: &GameContent) -> Vec<(usize, RelPath)> {
        let files = content.manifest().files().iter().enumerate();
        files.filter(|(_, file)| is_archive(&file.path)).map(|(at, file)| (at, file.path.clone())).collect()
    }

    /// Reads one of them, which is a file of the manifest.
    pub fn open(&mut self, file: usize) -> Arriving<'_> {
        let chunks = self.content.manifest().chunks_of(file);
        let arriving = Arriving { archives: self, next: chunks.start, end: chunks.end, current: None };
        (arriving.archives.passed)(ChunkIndex(chunks.start));
        arriving
    }
}

/// An archive that is still arriving, read forward.
#[derive(Debug)]
pub(crate) struct Arriving<'a> {
    archives: &'a mut ArrivingArchives,
    /// The chunks that follow the current one.
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
