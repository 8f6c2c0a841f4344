//! What the system refused to do, and on which path.

use std::io;
use std::path::{Path, PathBuf};

use lanspread_core::io::DiskError;

/// An operation of the system that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
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

    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl From<Fault> for DiskError {
    fn from(fault: Fault) -> Self {
        if fault.is_disk_full() {
            // The system does not say how much is missing.
            return Self::Full { missing: 0 };
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
