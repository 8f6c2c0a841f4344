//! Fault injection for tests: operations that change the disk call these hooks.
//!
//! Outside tests the hooks are empty. In tests they fail a chosen operation of the current thread, and track which
//! bytes were not synced, so that a test can cut the power.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A disk operation that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Writing bytes to a file.
    Write,
    /// Making a file, folder or tree durable.
    Sync,
    /// Renaming a file or folder.
    Rename,
    /// Deleting a file or folder.
    Delete,
    /// Creating a folder.
    MakeFolder,
}

#[cfg(not(test))]
mod seam {
    use super::{Duration, File, Op, Path, io};

    /// Called before an operation; an error makes the operation fail.
    #[inline]
    pub fn before(_: Op) -> io::Result<()> {
        Ok(())
    }

    /// Returns how many of the given bytes reach the disk before the write fails, and the error; `None` if it succeeds.
    #[inline]
    pub fn cut_short(_: usize) -> Option<(usize, io::Error)> {
        None
    }

    /// Waits before an operation is tried again.
    pub fn pause(time: Duration) {
        std::thread::sleep(time);
    }

    /// Called when bytes are written that are not synced yet.
    #[inline]
    pub fn wrote(_: &File) {}

    /// Called after a file was synced.
    #[inline]
    pub fn synced(_: &File) {}

    /// Called after a whole tree was synced.
    #[inline]
    pub fn synced_all() {}

    /// Called after a rename.
    #[inline]
    pub fn moved(_: &Path, _: &Path) {}
}

#[cfg(not(test))]
pub use seam::*;
#[cfg(test)]
pub use tests::*;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::{Duration, File, Op, Path, io};

    /// Way in which the disk breaks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Break {
        /// One operation fails.
        Once(io::ErrorKind),
        /// One operation fails, and so does every later one.
        FromThenOn(io::ErrorKind),
        /// One write stores half of its bytes, then fails.
        ShortWrite,
        /// This many renames and deletions in a row fail because another program has the file open. Other operations
        /// are not counted.
        Held(usize),
    }

    #[derive(Debug, Default)]
    struct Disk {
        /// Number of the operation that fails, counted from 0, and how it fails.
        plan: Option<(usize, Break)>,
        count: usize,
        failed: bool,
        /// Files with bytes that are not synced.
        dirty: BTreeSet<PathBuf>,
    }

    thread_local! {
        static DISK: RefCell<Disk> = RefCell::default();
    }

    /// Breaks the `at`-th operation of this thread, counted from now.
    pub fn break_at(at: usize, how: Break) {
        DISK.with_borrow_mut(|disk| {
            (disk.plan, disk.count, disk.failed) = (Some((at, how)), 0, false);
        });
    }

    /// Repairs the disk. Returns whether any operation failed.
    pub fn mend() -> bool {
        DISK.with_borrow_mut(|disk| {
            disk.plan = None;
            disk.failed
        })
    }

    /// Cuts the power: bytes that were not synced read as zeros, as on file systems that allocate late.
    pub fn cut_power() {
        let dirty = DISK.with_borrow_mut(|disk| std::mem::take(&mut disk.dirty));
        for path in dirty {
            if let Ok(metadata) = std::fs::metadata(&path) {
                let zeros = vec![0; metadata.len() as usize];
                let time = metadata.modified().unwrap();
                std::fs::write(&path, zeros).unwrap();
                File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            }
        }
    }

    /// Returns at once: tests count attempts instead of waiting.
    pub fn pause(_: Duration) {}

    pub fn before(op: Op) -> io::Result<()> {
        DISK.with_borrow_mut(|disk| {
            if matches!(disk.plan, Some((_, Break::Held(_)))) && !matches!(op, Op::Rename | Op::Delete) {
                return Ok(());
            }
            let at = disk.count;
            disk.count += 1;
            let error = match disk.plan {
                Some((n, Break::Once(kind))) if n == at => kind,
                Some((n, Break::FromThenOn(kind))) if n <= at => kind,
                Some((n, Break::Held(times))) if n <= at && at - n < times => io::ErrorKind::ResourceBusy,
                _ => return Ok(()),
            };
            disk.failed = true;
            Err(error.into())
        })
    }

    pub fn cut_short(bytes: usize) -> Option<(usize, io::Error)> {
        DISK.with_borrow_mut(|disk| {
            let due = matches!(disk.plan, Some((n, Break::ShortWrite)) if n < disk.count);
            if !due || disk.failed {
                return None;
            }
            disk.failed = true;
            Some((bytes / 2, io::Error::other("injected: a short write")))
        })
    }

    pub fn wrote(file: &File) {
        let Some(path) = path_of(file) else { return };
        DISK.with_borrow_mut(|disk| disk.dirty.insert(path));
    }

    pub fn synced(file: &File) {
        let Some(path) = path_of(file) else { return };
        DISK.with_borrow_mut(|disk| disk.dirty.remove(&path));
    }

    pub fn synced_all() {
        DISK.with_borrow_mut(|disk| disk.dirty.clear());
    }

    pub fn moved(from: &Path, to: &Path) {
        DISK.with_borrow_mut(|disk| {
            let below: Vec<PathBuf> = disk.dirty.iter().filter(|p| p.starts_with(from)).cloned().collect();
            for path in below {
                disk.dirty.remove(&path);
                let rest = path.strip_prefix(from).unwrap();
                disk.dirty.insert(if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) });
            }
        });
    }

    #[cfg(target_os = "linux")]
    fn path_of(file: &File) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn path_of(_: &File) -> Option<PathBuf> {
        None
    }
}
