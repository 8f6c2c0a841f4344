//! Why an install, an uninstall or a removal failed.

use lanspread_core::io::DiskError;
use lanspread_types::{GameId, RelPath, Size};

use crate::archive::unpack::UnpackError;
use crate::fs::fault::Fault;
use crate::store::ChangeError;

/// Why a game was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The game is not downloaded.
    #[error("{0} is not downloaded")]
    NotDownloaded(GameId),
    /// A `local/` folder exists already.
    #[error("{0} is already installed")]
    AlreadyInstalled(GameId),
    /// The game is not installed, so there is nothing to replace.
    #[error("{0} is not installed")]
    NotInstalled(GameId),
    /// Something that is not an ordinary folder already has the name `local`.
    #[error("something called {name} is in the way of installing {game}")]
    Blocked {
        /// Game to install.
        game: GameId,
        /// Name on the disk, which may differ from `local` in letter case.
        name: String,
    },
    /// The game has no archives.
    #[error("{0} has no archives to install from")]
    NoArchives(GameId),
    /// An archive cannot be unpacked.
    #[error("{archive}: {error}")]
    Archive {
        /// Path of the archive in the game.
        archive: RelPath,
        /// Why it cannot be unpacked.
        error: UnpackError,
    },
    /// The disk is full.
    #[error("the disk is full; free another {}", Size(*missing))]
    Full {
        /// Bytes that do not fit; 0 if unknown.
        missing: u64,
    },
    /// The archives unpack to far more than archives of their size usually do, and the owner has not allowed it.
    #[error("the archives ({}) would unpack to {}", Size(*packed), Size(*unpacked))]
    Large {
        /// Size of all archives, in bytes.
        packed: u64,
        /// Lower bound of their unpacked size, in bytes.
        unpacked: u64,
    },
    /// The install was cancelled.
    #[error("the install was cancelled")]
    Cancelled,
    /// The game's folder cannot be changed now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

/// Why a game was not uninstalled.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// The game is not installed.
    #[error("{0} is not installed")]
    NotInstalled(GameId),
    /// The game's folder cannot be changed now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

/// Why the downloaded files of a game were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The game is not downloaded.
    #[error("{0} is not downloaded")]
    NotDownloaded(GameId),
    /// The files to delete cannot be listed.
    #[error("the files of {game} cannot be listed: {reason}")]
    Unreadable {
        /// Game to remove.
        game: GameId,
        /// Why its files cannot be listed, for people.
        reason: String,
    },
    /// The game's folder cannot be changed now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

impl From<InstallError> for DiskError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Io(fault) | InstallError::Change(ChangeError::ReadOnly(fault)) => fault.into(),
            InstallError::Full { missing } => Self::Full { missing },
            InstallError::Large { packed, unpacked } => Self::UnpacksLarge { packed, unpacked },
            InstallError::Cancelled => Self::Cancelled,
            InstallError::Archive { error: UnpackError::NotForward(_), .. } => {
                Self::NotStreamable(error.to_string())
            }
            InstallError::Archive { .. } | InstallError::NoArchives(_) => Self::Archive(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<UninstallError> for DiskError {
    fn from(error: UninstallError) -> Self {
        match error {
            UninstallError::Io(fault) | UninstallError::Change(ChangeError::ReadOnly(fault)) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<RemoveError> for DiskError {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Io(fault) | RemoveError::Change(ChangeError::ReadOnly(fault)) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Converts an unpacking error into an install error that names the archive.
pub(crate) fn explain(archive: &RelPath, error: UnpackError) -> InstallError {
    match error {
        UnpackError::Cancelled => InstallError::Cancelled,
        UnpackError::Source(error) => InstallError::Io(Fault::new("read", archive.as_str(), error)),
        UnpackError::Sink(fault) if fault.is_disk_full() => InstallError::Full { missing: 0 },
        UnpackError::Sink(fault) => InstallError::Io(fault),
        error => InstallError::Archive { archive: archive.clone(), error },
    }
}
