//! Scan of the library: which games it holds, as far as names, sizes and times tell. Of file contents only the
//! sentinels are read.
//!
//! A folder that cannot be read is reported as unread, never as empty or missing.

use std::fs::{self, DirEntry};
use std::io::Read;
use std::path::{Path, PathBuf};

use lanspread_core::io::{DiskError, FileStamp, IgnoredFolder, Scan, ScannedGame};
use lanspread_types::manifest::{LOCAL_FOLDER, SENTINEL};
use lanspread_types::version::{SENTINEL_BYTES_MAX, VersionError};
use lanspread_types::{GameId, GameVersion, failpoint};

use crate::fs::fault::{Fault, OrFault, is_gone};
use crate::fs::files::{is_link, is_real_dir};
use crate::fs::layout::OWN_FOLDER;
use crate::library::walk::{WalkError, servable_files, stamp};
use crate::store::Store;

/// Why the library was not scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The games folder does not exist.
    #[error("the games folder does not exist: {0}")]
    Missing(PathBuf),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

impl From<ScanError> for DiskError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io(fault) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Why a folder has no version.
#[derive(Debug, thiserror::Error)]
pub enum SentinelError {
    /// There is no sentinel.
    #[error("{SENTINEL} is missing")]
    Missing,
    /// The sentinel is in this subfolder.
    #[error("{SENTINEL} is in {0}; move it to the game's own folder")]
    Nested(String),
    /// The sentinel's name is spelled like this.
    #[error("{0} must be spelled {SENTINEL}")]
    Spelling(String),
    /// The sentinel is a folder, a link or a special file.
    #[error("{SENTINEL} is not an ordinary file")]
    NotAFile,
    /// The sentinel does not state a version.
    #[error("{SENTINEL}: {0}")]
    Version(#[from] VersionError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

impl ScanError {
    /// Returns whether the library is gone, not only unreadable.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Missing(_) => true,
            Self::Io(fault) => fault.is_gone(),
        }
    }
}

impl Store {
    /// Scans every folder of the library.
    pub fn scan(&self) -> Result<Scan, ScanError> {
        let games = self.layout().games();
        match fs::metadata(games) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if !is_gone(&error) => return Err(Fault::new("look at", games, error).into()),
            _ => return Err(ScanError::Missing(games.to_path_buf())),
        }
        // The user may have replaced files that are open for serving, so they are opened anew.
        self.handles().clear();
        let mut scan = Scan { read_only: self.is_read_only(), ..Scan::default() };
        for entry in fs::read_dir(games).or_fault("read the folder", games)? {
            let entry = entry.or_fault("read the folder", games)?;
            self.scan_entry(&entry, &mut scan);
        }
        scan.games.sort_by(|a, b| a.game.cmp(&b.game));
        scan.ignored.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scan)
    }

    /// Adds what is recorded: the installed version, and the content of the downloaded one.
    fn with_records(&self, game: ScannedGame) -> Result<ScannedGame, Fault> {
        let note = if game.installed { self.note(&game.game)? } else { None };
        let known = self.provenance(&game.game)?;
        let recorded = game.version.and_then(|version| known.content_of_version(version));
        Ok(ScannedGame { installed_version: note.and_then(|note| note.version), recorded, ..game })
    }

    fn scan_entry(&self, entry: &DirEntry, scan: &mut Scan) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.to_ascii_lowercase().starts_with(OWN_FOLDER) {
            return;
        }
        let path = entry.path();
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // An entry that was deleted meanwhile is no longer part of the library.
                if !is_gone(&error) {
                    scan.cannot_read(name, Fault::new("look at", &path, error).into());
                }
                return;
            }
        };
        let leads_to_folder = is_link(&metadata) && path.is_dir();
        if !metadata.is_dir() && !leads_to_folder {
            return;
        }
        let mut ignore = |reason: String| scan.ignored.push(IgnoredFolder { name: name.clone(), reason });
        if leads_to_folder {
            return ignore("it is a link; only real folders are scanned".to_owned());
        }
        let game = match GameId::new(name.clone()) {
            Ok(game) => game,
            Err(error) => return ignore(error.to_string()),
        };
        if let Some(reason) = self.unrecovered(&game) {
            return ignore(format!("an interrupted change could not be ended: {reason}"));
        }
        let seen = look_into(&game, &path).and_then(|seen| match seen {
            Looked::Game(found) => Ok((Some(self.with_records(found)?), None)),
            Looked::Other { reason, installed: true } => {
                Ok((Some(self.with_records(installed_only(game.clone()))?), Some(reason)))
            }
            Looked::Other { reason, installed: false } => Ok((None, Some(reason))),
        });
        match seen {
            Ok((found, reason)) => {
                scan.games.extend(found);
                if let Some(reason) = reason {
                    scan.ignored.push(IgnoredFolder { name, reason });
                }
            }
            // The folder, or part of it, was deleted during the scan; the next scan sees what is left.
            Err(fault) if fault.is_gone() => {
                scan.ignored.push(IgnoredFolder { name, reason: fault.to_string() });
            }
            Err(fault) => scan.cannot_read(name, fault.into()),
        }
    }
}

/// Kind of a folder in the library.
enum Looked {
    Game(ScannedGame),
    /// Not a downloaded game, for this reason; `installed` says whether a game is installed in the folder.
    Other {
        reason: String,
        installed: bool,
    },
}

/// Examines one folder. Fails if the disk does not tell what is there.
fn look_into(game: &GameId, folder: &Path) -> Result<Looked, Fault> {
    let installed = local_folder(folder)?.is_some();
    let refuse = |reason: String| Ok(Looked::Other { reason, installed });
    let version = match read_sentinel(folder) {
        Ok(version) => version,
        // A game that is installed but not downloaded is normal and needs no remark.
        Err(SentinelError::Missing) if installed => return Ok(Looked::Game(installed_only(game.clone()))),
        Err(SentinelError::Io(fault)) => return Err(fault),
        Err(error) => return refuse(error.to_string()),
    };
    let files = match servable_files(folder) {
        Ok(files) => files,
        Err(WalkError::Io(fault)) => return Err(fault),
        Err(error) => return refuse(error.to_string()),
    };
    Ok(Looked::Game(ScannedGame {
        game: game.clone(),
        version: Some(version),
        installed,
        installed_version: None,
        recorded: None,
        bytes: files.iter().map(|f| f.look.size).sum(),
        files: files.len() as u32,
        stamp: stamp(&files),
    }))
}

fn installed_only(game: GameId) -> ScannedGame {
    ScannedGame {
        game,
        version: None,
        installed: true,
        installed_version: None,
        recorded: None,
        bytes: 0,
        files: 0,
        stamp: FileStamp::default(),
    }
}

/// Returns the name of the installed game's folder as spelled on disk, if it is a real folder.
pub fn local_folder(game: &Path) -> Result<Option<String>, Fault> {
    Ok(local_entry(game)?.filter(|name| is_real_dir(&game.join(name))))
}

/// Returns the name of the entry in the place of the installed game's folder, whatever it is.
pub fn local_entry(game: &Path) -> Result<Option<String>, Fault> {
    let names = match names_in(game) {
        Err(fault) if fault.is_gone() => return Ok(None),
        names => names?,
    };
    let mut local: Vec<String> = names.into_iter().filter(|n| n.eq_ignore_ascii_case(LOCAL_FOLDER)).collect();
    local.sort_by_key(|name| name != LOCAL_FOLDER);
    Ok(local.into_iter().next())
}

/// Returns the names in a folder, without those that are not Unicode.
pub fn names_in(folder: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).or_fault("read the folder", folder)? {
        names.extend(entry.or_fault("read the folder", folder)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Reads the version of a game's folder. The sentinel's name must match exactly, even if the disk ignores case.
pub fn read_sentinel(folder: &Path) -> Result<GameVersion, SentinelError> {
    let names = names_in(folder)?;
    if !names.iter().any(|n| n == SENTINEL) {
        return match why_missing(folder, &names) {
            SentinelError::Nested(name) if failpoint!("sentinel-anywhere") => {
                read_sentinel(&folder.join(name))
            }
            error => Err(error),
        };
    }
    let path = folder.join(SENTINEL);
    let metadata = fs::symlink_metadata(&path).or_fault("look at", &path)?;
    if !metadata.is_file() || is_link(&metadata) {
        return Err(SentinelError::NotAFile);
    }
    let mut content = Vec::new();
    let file = fs::File::open(&path).or_fault("open", &path)?;
    file.take(SENTINEL_BYTES_MAX as u64 + 1).read_to_end(&mut content).or_fault("read", &path)?;
    let version = GameVersion::parse_sentinel(&content);
    Ok(version.or_else(|e| {
        if failpoint!("sentinel-any-content") { GameVersion::new(20_250_101) } else { Err(e) }
    })?)
}

fn why_missing(folder: &Path, names: &[String]) -> SentinelError {
    if let Some(name) = names.iter().find(|n| n.eq_ignore_ascii_case(SENTINEL)) {
        return SentinelError::Spelling(name.clone());
    }
    let nested = names.iter().find(|n| {
        !n.eq_ignore_ascii_case(LOCAL_FOLDER)
            && is_real_dir(&folder.join(n))
            && folder.join(n).join(SENTINEL).is_file()
    });
    nested.map_or(SentinelError::Missing, |name| SentinelError::Nested(name.clone()))
}
