//! Lock on a folder that only one process may use: the state folder or the games folder.
//!
//! The system holds the lock on an open file, so it ends with the process, however the process ends. A second file
//! beside it names the holder, because Windows lets no other process read a locked file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanspread_types::failpoint;
use serde::{Deserialize, Serialize};

use crate::fs::fault::{Fault, OrFault};
use crate::fs::in_use::retry_while_in_use;

/// Name of the lock file in the folder that it protects.
const LOCK_FILE: &str = "lock";
/// Name of the file that names the holder of the lock.
const HOLDER_FILE: &str = "lock.toml";
/// Largest holder file that is read, in bytes. A hundred are usual.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The process that holds a folder's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Time at which the process took the lock, in seconds since 1970.
    pub since_unix_s: u64,
}

impl Holder {
    fn this_process() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), since_unix_s: since.as_secs() }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.pid)?;
        // Only a damaged file has times beyond the year 9999, which cannot be printed.
        match UNIX_EPOCH.checked_add(Duration::from_secs(self.since_unix_s)) {
            Some(since) if self.since_unix_s < 253_402_300_800 => {
                write!(f, ", since {}", httpdate::fmt_http_date(since))
            }
            _ => Ok(()),
        }
    }
}

/// Why a folder was not locked.
#[derive(Debug, thiserror::Error)]
pub enum FolderLockError {
    /// Another process holds the lock.
    #[error("another lanspread process uses it{}", holder.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Held {
        /// Process that holds the lock; `None` if the holder file cannot be read.
        holder: Option<Holder>,
    },
    /// The lock file cannot be opened or locked.
    #[error(transparent)]
    Io(#[from] Fault),
}

/// A held lock, released on drop.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    holder: PathBuf,
}

impl FolderLock {
    /// Locks an existing folder for this process.
    pub fn take(folder: &Path) -> Result<Self, FolderLockError> {
        let (path, holder) = (folder.join(LOCK_FILE), folder.join(HOLDER_FILE));
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.or_fault("open", &path)?;
        // Windows takes its time to release the locks of a killed process (Microsoft, *LockFileEx*).
        let locked = retry_while_in_use(|| {
            file.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock if cfg!(windows) => io::ErrorKind::ResourceBusy.into(),
                error => io::Error::from(error),
            })
        });
        match locked {
            Ok(()) => {}
            Err(_) if failpoint!("share-folders") => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy) => {
                return Err(FolderLockError::Held { holder: read_holder(&holder) });
            }
            Err(e) => return Err(Fault::new("lock", path, e).into()),
        }
        let this = toml::to_string(&Holder::this_process()).unwrap_or_default();
        if let Err(error) = fs::write(&holder, this) {
            tracing::warn!(%error, "cannot record who uses the folder");
        }
        Ok(Self { _file: file, holder })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // A crash may leave the file behind. That is harmless: it is only read while the lock is held, and the next
        // holder overwrites it.
        let _ = fs::remove_file(&self.holder);
    }
}

fn read_holder(path: &Path) -> Option<Holder> {
    if fs::metadata(path).ok()?.len() > HOLDER_BYTES_MAX {
        return None;
    }
    toml::from_str(&fs::read_to_string(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        let error = FolderLock::take(dir.path()).unwrap_err();
        let FolderLockError::Held { holder: Some(holder) } = &error else { panic!("{error}") };
        assert_eq!(holder.pid, std::process::id());
        let text = error.to_string();
        assert!(
            text.contains(&format!("(process {}, since ", holder.pid)) && text.ends_with(" GMT)"),
            "{text}"
        );
        drop(lock);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn damaged_holder_file_is_tolerated() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = FolderLock::take(dir.path()).unwrap();
        for damaged in ["", "pid = -1", "null"] {
            fs::write(dir.path().join(HOLDER_FILE), damaged).unwrap();
            let error = FolderLock::take(dir.path()).unwrap_err();
            assert!(matches!(error, FolderLockError::Held { holder: None }), "{error}");
        }
        let far = format!("pid = 7\nsince_unix_s = {}", i64::MAX);
        fs::write(dir.path().join(HOLDER_FILE), far).unwrap();
        assert_eq!(
            FolderLock::take(dir.path()).unwrap_err().to_string(),
            "another lanspread process uses it (process 7)"
        );
    }

    #[test]
    fn missing_folder_is_an_io_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = FolderLock::take(&dir.path().join("none")).unwrap_err();
        assert!(matches!(error, FolderLockError::Io(_)), "{error}");
    }
}
