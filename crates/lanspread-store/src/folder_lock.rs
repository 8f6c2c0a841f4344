//! A folder that one process has for itself: the state folder, and the games folder.
//!
//! The lock is the system's, on an open file, so it ends with the process however that ends. Who holds it stands in a
//! second file beside it, because Windows lets nobody read a file that is locked.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanspread_types::failpoint;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, OrFault};
use crate::held::patiently;

/// Name of the lock file in the folder that it protects.
const LOCK_FILE: &str = "lock";
/// Name of the file that says who holds the lock.
const HOLDER_FILE: &str = "lock.toml";
/// Largest such file that is read, in bytes: a hundred are usual.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The process that has a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The number of the process.
    pub pid: u32,
    /// When it took the folder, in seconds since 1970.
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
        // Times beyond the year 9999 are a damaged file's, and have no form to print.
        match UNIX_EPOCH.checked_add(Duration::from_secs(self.since_unix_s)) {
            Some(since) if self.since_unix_s < 253_402_300_800 => {
                write!(f, ", since {}", httpdate::fmt_http_date(since))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FolderLockError {
    /// Another process has the folder; which one, if that can be read.
    #[error("another lanspread has it{}", holder.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Held { holder: Option<Holder> },
    #[error(transparent)]
    Io(#[from] Fault),
}

/// The folder is this process's as long as this lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    holder: PathBuf,
}

impl FolderLock {
    /// Takes a folder, which must be there.
    pub fn take(folder: &Path) -> Result<Self, FolderLockError> {
        let (path, holder) = (folder.join(LOCK_FILE), folder.join(HOLDER_FILE));
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.or_fault("open", &path)?;
        // Windows releases what a killed process has locked when it finds the time (Microsoft, *LockFileEx*).
        let locked = patiently(|| {
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
            tracing::warn!(%error, "a second process will not be told who has the folder");
        }
        Ok(Self { _file: file, holder })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Left behind by a crash, the next holder overwrites it; nobody reads it while the lock is free.
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
    fn a_second_one_is_told_who_has_the_folder() {
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
    fn a_damaged_note_names_nobody() {
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
            "another lanspread has it (process 7)"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_folder_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let error = FolderLock::take(&dir.path().join("none")).unwrap_err();
        assert!(matches!(error, FolderLockError::Io(_)), "{error}");
    }
}
