//! Where tests break the disk: every operation that changes something asks here first. In the programs that ship this
//! is nothing at all.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// An operation of the disk that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Write,
    Sync,
    Rename,
    Delete,
    MakeFolder,
}

#[cfg(not(test))]
mod seam {
    use super::{Duration, File, Op, Path, io};

    #[inline]
    pub fn before(_: Op) -> io::Result<()> {
        Ok(())
    }

    /// How much of so many bytes reaches the disk before it fails; `None` if it does not.
    #[inline]
    pub fn cut_short(_: usize) -> Option<(usize, io::Error)> {
        None
    }

    /// Waits before something is tried again.
    pub fn pause(time: Duration) {
        std::thread::sleep(time);
    }

    #[inline]
    pub fn wrote(_: &File) {}

    #[inline]
    pub fn synced(_: &File) {}

    #[inline]
    pub fn synced_all() {}

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

    /// What goes wrong.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Break {
        /// One operation fails.
        Once(io::ErrorKind),
        /// One operation fails, and so does every other after it.
        FromThenOn(io::ErrorKind),
        /// One write reaches the disk by half, then fails.
        ShortWrite,
        /// So many renames and deletions in a row are refused because somebody has the file open. Only they are counted.
        Held(usize),
    }

    #[derive(Debug, Default)]
    struct Disk {
        /// Which operation fails, counted from 0, and how.
        plan: Option<(usize, Break)>,
        count: usize,
        failed: bool,
        /// Files with bytes that were not synced.
        dirty: BTreeSet<PathBuf>,
    }

    thread_local! {
        static DISK: RefCell<Disk> = RefCell::default();
    }

    /// Breaks the `at`-th operation of this thread from now on.
    pub fn break_at(at: usize, how: Break) {
        DISK.with_borrow_mut(|disk| {
            (disk.plan, disk.count, disk.failed) = (Some((at, how)), 0, false);
        });
    }

    /// Makes the disk whole again. Returns whether anything failed.
    pub fn mend() -> bool {
        DISK.with_borrow_mut(|disk| {
            disk.plan = None;
            disk.failed
        })
    }

    /// The power goes: what was not synced is lost, which leaves zeros, as file systems do that allocate late.
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

    /// Nobody waits in tests: what holds a file is counted, not timed.
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
