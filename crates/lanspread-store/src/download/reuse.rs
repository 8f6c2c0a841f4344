//! Files that the old version shares with the new one and that stay in place: the commit leaves them alone.
//!
//! Only such a file is believed without reading, as long as it looks as it did when it was hashed; the index itself
//! relies on the same. All other data of the old version is taken over by [`takeover`](super::takeover).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use lanspread_types::manifest::SENTINEL;
use lanspread_types::{GameContent, RelPath};

use crate::fs::files;
use crate::library::index::GameIndex;
use crate::library::walk::Look;

/// A file that is the same in the old and the new version and stays in place.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Path in the game's folder.
    pub path: PathBuf,
    /// How the file looked when the download was opened.
    pub look: Look,
}

/// Returns the files that stay in place, by index in the manifest. Never includes the sentinel: its rename is the
/// commit.
pub fn kept_in_place(folder: &Path, content: &GameContent, known: &GameIndex) -> BTreeMap<usize, Kept> {
    let known: HashMap<&RelPath, Vec<_>> = known.intact_files().fold(HashMap::new(), |mut all, file| {
        all.entry(&file.path).or_insert_with(Vec::new).push(file);
        all
    });
    let mut kept = BTreeMap::new();
    for (at, entry) in content.manifest().files().iter().enumerate() {
        let Some(candidates) = known.get(&entry.path).filter(|_| entry.path.as_str() != SENTINEL) else {
            continue;
        };
        let path = entry.path.to_path(folder);
        let Ok(look) = ordinary_file(&path) else { continue };
        if candidates.iter().any(|f| f.root == entry.root && f.look == look) {
            kept.insert(at, Kept { path, look });
        }
    }
    kept
}

/// Returns how an ordinary file looks; fails for a link or anything else.
pub(super) fn ordinary_file(path: &Path) -> Result<Look, Option<std::io::Error>> {
    let metadata = fs::symlink_metadata(path).map_err(Some)?;
    if metadata.is_file() && !files::is_link(&metadata) { Ok(Look::of(&metadata)) } else { Err(None) }
}
