//! Failed disk operations, with the attempted action and the path.

use std::io;
use std::path::{Path, PathBuf};

use lanspread_core::io::DiskError;

use crate::fs::in_use::may_be_in_use;

/// Precedes the system's message, which names the error but not the cause.
const HELD: &str = "another program has it open, or its permissions forbid it: ";

/// A disk operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {}{source}", path.display(), if self.is_in_use() { HELD } else { "" })]
pub struct Fault {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Fault {
    /// Creates a fault. `doing` is a verb such as "open", as in "cannot open PATH".
    pub fn new(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { doing, path: path.into(), source }
    }

    /// Returns the path that the operation was tried on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the disk is full or a quota is used up.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Returns whether another program may have the file open. On Windows a missing permission looks the same.
    pub fn is_in_use(&self) -> bool {
        may_be_in_use(&self.source)
    }

    /// Returns whether the system forbids to write there: the disk is read-only, or the permissions are missing.
    pub fn is_read_only(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
    }

    /// Returns the kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns whether this process, or the whole system, has no file descriptor left.
    pub fn is_out_of_files(&self) -> bool {
        is_out_of_files(&self.source)
    }

    /// Returns whether nothing exists at the path. Any other error says nothing about what is there.
    pub fn is_gone(&self) -> bool {
        is_gone(&self.source)
    }
}

/// Returns whether a failed operation found nothing at its path.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns whether no file descriptor is left. Unix: `EMFILE` 24 and `ENFILE` 23 (the same on Linux, macOS and the
/// BSDs); Windows: `ERROR_TOO_MANY_OPEN_FILES` 4.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[4] } else { &[23, 24] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

impl From<Fault> for DiskError {
    fn from(fault: Fault) -> Self {
        if fault.is_disk_full() {
            // The system does not say how much is missing.
            return Self::Full { missing: 0 };
        }
        if fault.is_out_of_files() {
            return Self::OutOfFiles(fault.to_string());
        }
        if fault.kind() == io::ErrorKind::ReadOnlyFilesystem {
            return Self::ReadOnly(fault.to_string());
        }
        if fault.is_in_use() {
            return Self::InUse(fault.to_string());
        }
        Self::Other(fault.to_string())
    }
}

/// Adds the attempted action and the path to an error.
pub(crate) trait OrFault<T> {
    /// Converts an error into a [`Fault`] that says what was tried on `path`.
    fn or_fault(self, doing: &'static str, path: &Path) -> Result<T, Fault>;
}

impl<T> OrFault<T> for io::Result<T> {
    fn or_fault(self, doing: &'static str, path: &Path) -> Result<T, Fault> {
        self.map_err(|source| Fault::new(doing, path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_descriptors_is_its_own_error() {
        let codes: &[i32] = if cfg!(windows) { &[4] } else { &[23, 24] };
        for &code in codes {
            let fault = Fault::new("open", "/x", io::Error::from_raw_os_error(code));
            assert!(!fault.is_gone());
            assert!(matches!(DiskError::from(fault), DiskError::OutOfFiles(text) if text.contains("/x")));
        }
        let gone = Fault::new("open", "/x", io::ErrorKind::NotFound.into());
        assert!(gone.is_gone() && !gone.is_out_of_files());
    }
}
