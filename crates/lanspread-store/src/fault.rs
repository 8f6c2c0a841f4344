//! What the system refused to do, and on which path.

use std::io;
use std::path::{Path, PathBuf};

use lanspread_core::io::DiskError;

use crate::held::may_be_held;

/// What stands before the system's own words, which name an error and no reason.
const HELD: &str = "another program has it open, or its permissions forbid it: ";

/// An operation of the system that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {}{source}", path.display(), if self.is_held() { HELD } else { "" })]
pub struct Fault {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Fault {
    pub fn new(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { doing, path: path.into(), source }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether somebody else has the file open, as far as it can be told.
    pub fn is_held(&self) -> bool {
        may_be_held(&self.source)
    }

    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether this process, or the whole system, has no file descriptor left.
    pub fn is_out_of_files(&self) -> bool {
        is_out_of_files(&self.source)
    }

    /// Whether there is nothing at the path. Every other error says nothing about what is there.
    pub fn is_gone(&self) -> bool {
        is_gone(&self.source)
    }
}

/// Whether there is nothing at the path that an operation was tried on.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Unix: `EMFILE` 24 and `ENFILE` 23 (the same on Linux, macOS and the BSDs); Windows: `ERROR_TOO_MANY_OPEN_FILES` 4.
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
        if fault.is_held() {
            return Self::InUse(fault.to_string());
        }
        Self::Other(fault.to_string())
    }
}

/// Says what was tried, and where, when something fails.
pub(crate) trait OrFault<T> {
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
    fn no_descriptor_left_is_told_apart() {
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
