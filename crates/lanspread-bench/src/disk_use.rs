//! Measures the most that a library takes on the disk during a run, by reading its size again and again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

/// Pause between two readings: a thirtieth of the time of a chunk at 100 Mbit/s.
const PAUSE: Duration = Duration::from_millis(3);

/// Highest readings, in bytes of allocated blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peaks {
    /// The whole library.
    pub all: u64,
    /// Files below `.lanspread/tmp`, which holds the window of a streamed install.
    pub window: u64,
}

/// A watch on one library, in a thread of its own. Dropping it ends the watch.
#[derive(Debug)]
pub struct DiskUse {
    stop: Arc<AtomicBool>,
    watching: Option<JoinHandle<Peaks>>,
}

impl DiskUse {
    /// Starts to watch a library.
    pub fn watch(library: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let watching = std::thread::spawn(move || {
            let mut peaks = Peaks::default();
            while !ended.load(Ordering::SeqCst) {
                peaks.all = peaks.all.max(taken(&library));
                peaks.window = peaks.window.max(taken(&library.join(".lanspread/tmp")));
                std::thread::sleep(PAUSE);
            }
            peaks
        });
        Self { stop, watching: Some(watching) }
    }

    /// Ends the watch and returns the highest readings.
    pub fn end(mut self) -> Result<Peaks> {
        self.stop.store(true, Ordering::SeqCst);
        let watching = self.watching.take().ok_or_else(|| anyhow!("watched twice"))?;
        watching.join().map_err(|_| anyhow!("the watcher panicked"))
    }
}

impl Drop for DiskUse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Bytes of all files below a folder. Files that disappear meanwhile do not count.
fn taken(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(one).sum()
}
