//! Listing of the files of a game's folder that are shared, and how they look from outside.
//!
//! No content is read and no link is followed. A folder that cannot be shared completely is not shared at all.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use lanspread_core::io::FileStamp;
use lanspread_types::limits::FILES_PER_GAME_MAX;
use lanspread_types::manifest::is_private;
use lanspread_types::path::{PathCollision, RelPathError, check_collisions};
use lanspread_types::{RelPath, failpoint};
use serde::{Deserialize, Serialize};

use crate::fs::fault::{Fault, OrFault};
use crate::fs::files::is_link;

/// What identifies a file's content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Look {
    /// Size in bytes.
    pub size: u64,
    /// Modification time, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// Differs from that of another file that takes its place: the inode on Unix, the creation time on Windows.
    pub identity: Option<u64>,
}

impl Look {
    /// Returns the look that this metadata describes.
    pub fn of(metadata: &Metadata) -> Self {
        let changed_ns = metadata.modified().map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        });
        Self { size: metadata.len(), changed_ns, identity: identity(metadata) }
    }

    /// Returns how the entry at `path` looks, without following a link.
    pub fn at(path: &Path) -> Result<Self, Fault> {
        fs::symlink_metadata(path).map(|m| Self::of(&m)).or_fault("look at", path)
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(metadata.ino())
}

#[cfg(windows)]
fn identity(metadata: &Metadata) -> Option<u64> {
    use std::os::windows::fs::MetadataExt;
    Some(metadata.creation_time())
}

/// A file that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Path within the game's folder.
    pub path: RelPath,
    /// How the file looked when it was listed.
    pub look: Look,
}

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
    /// This entry is a link.
    #[error("{} is a link; links are not shared", .0.display())]
    Link(PathBuf),
    /// This entry is neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// A name is not allowed on every system.
    #[error("a file's name cannot be used on every system: {0}")]
    Name(#[from] RelPathError),
    /// The name of this file is not in Unicode normalisation form C.
    #[error("the name of {} is not in Unicode normalisation form C", .0.display())]
    Spelling(PathBuf),
    /// Two names are the same where case does not count.
    #[error(transparent)]
    Collision(#[from] PathCollision),
    /// There are more than [`FILES_PER_GAME_MAX`] files.
    #[error("there are more than {FILES_PER_GAME_MAX} files")]
    TooMany,
}

/// Lists all shared files, sorted by path. A single link or odd name refuses the whole folder: without that file, this
/// peer would offer a game that differs from every other peer's.
pub fn servable_files(root: &Path) -> Result<Vec<FoundFile>, WalkError> {
    let mut found = Vec::new();
    walk(root, root, &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    check_collisions(found.iter().map(|f| &f.path))?;
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<FoundFile>) -> Result<(), WalkError> {
    for entry in fs::read_dir(folder).or_fault("read the folder", folder)? {
        let entry = entry.or_fault("read the folder", folder)?;
        let path = entry.path();
        let rel = RelPath::below(root, &path)?;
        if is_private(&rel) && !failpoint!("serve-private-paths") {
            continue;
        }
        let metadata = entry.metadata().or_fault("look at", &path)?;
        let below_root = || path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        if is_link(&metadata) {
            return Err(WalkError::Link(below_root()));
        }
        if metadata.is_dir() {
            walk(root, &path, found)?;
            continue;
        }
        if !metadata.is_file() {
            return Err(WalkError::Special(below_root()));
        }
        // macOS finds a file under any normalisation of its name, other systems only under its own.
        if cfg!(not(target_os = "macos")) && rel.to_path(root) != path {
            return Err(WalkError::Spelling(below_root()));
        }
        found.push(FoundFile { path: rel, look: Look::of(&metadata) });
        if found.len() > FILES_PER_GAME_MAX {
            return Err(WalkError::TooMany);
        }
    }
    Ok(())
}

/// Returns the stamp of a set of files: the first eight bytes of a BLAKE3 hash over how each file looks.
pub fn stamp(files: &[FoundFile]) -> FileStamp {
    let mut hasher = blake3::Hasher::new();
    for FoundFile { path, look } in files {
        hasher.update(&(path.as_str().len() as u64).to_le_bytes());
        hasher.update(path.as_str().as_bytes());
        hasher.update(&look.size.to_le_bytes());
        hasher.update(&look.changed_ns.to_le_bytes());
        hasher.update(&look.identity.unwrap_or_default().to_le_bytes());
    }
    let hash = hasher.finalize();
    FileStamp(u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i])))
}
