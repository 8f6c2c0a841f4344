//! What a library takes on the disk while something happens: looked at again and again, the most is kept.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

/// Time between two looks: a thirtieth of what a chunk takes at 100 Mbit/s.
const PAUSE: Duration = Duration::from_millis(3);

/// The most that was seen, in bytes of blocks that are taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peaks {
    pub all: u64,
    /// Below `.lanspread/tmp`, where the window of a streamed install is.
    pub window: u64,
}

/// A look at one library that goes on until it is ended.
#[derive(Debug)]
pub struct DiskUse {
    stop: Arc<AtomicBool>,
    watching: Option<JoinHandle<Peaks>>,
}

impl DiskUse {
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

/// Bytes of all files below a folder. What goes away meanwhile does not count.
fn taken(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(one).sum()
}
