//! The journal: a record of each change in progress, one file per game.
//!
//! A record is durable before its change touches the game's folder, and deleted after the last step. A record that was
//! not completely written belongs to a change that never began.

use std::fs;

use lanspread_core::install::{Intent, Record};
use lanspread_types::{ContentId, GameId, RelPath};
use serde::{Deserialize, Serialize};

use crate::change::sealed::{seal, unseal};
use crate::fs::fault::{Fault, OrFault, is_gone};
use crate::fs::files;
use crate::fs::layout::Layout;

/// Magic number. Its last byte is the version.
pub const MAGIC: [u8; 8] = *b"LSPLAN\0\x01";

/// [`Intent`] as stored on disk. The order and content of the variants are the format: add new ones at the end.
#[derive(Debug, Serialize, Deserialize)]
pub enum StoredIntent {
    /// Commit of a download: its content, its files, and the files that give way.
    Commit { content: ContentId, new: Vec<RelPath>, old: Vec<RelPath> },
    /// Install of the downloaded version.
    Install,
    /// Uninstall; `folder` is the name of `local/` as spelled on disk.
    Uninstall { folder: RelPath },
    /// Removal of the downloaded files.
    Remove { files: Vec<RelPath> },
    /// Replacement of the installed version; `folder` is the name of `local/` as spelled on disk.
    Reinstall { folder: RelPath },
}

/// Payload of a sealed record.
#[cfg(feature = "fuzzing")]
pub type Payload = (GameId, StoredIntent);

/// Returns a valid record, as a seed for the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn sample(game: &GameId) -> Payload {
    let paths = ["a.eti", "version.ini"].into_iter().filter_map(|path| RelPath::new(path).ok());
    let content = ContentId([7; 32]);
    (game.clone(), StoredIntent::Commit { content, new: paths.clone().collect(), old: paths.collect() })
}

impl From<&Intent> for StoredIntent {
    fn from(intent: &Intent) -> Self {
        match intent.clone() {
            Intent::Commit { content, new, old } => Self::Commit { content, new, old },
            Intent::Install => Self::Install,
            Intent::Uninstall { folder } => Self::Uninstall { folder },
            Intent::Remove { files } => Self::Remove { files },
            Intent::Reinstall { folder } => Self::Reinstall { folder },
        }
    }
}

impl From<StoredIntent> for Intent {
    fn from(stored: StoredIntent) -> Self {
        match stored {
            StoredIntent::Commit { content, new, old } => Self::Commit { content, new, old },
            StoredIntent::Install => Self::Install,
            StoredIntent::Uninstall { folder } => Self::Uninstall { folder },
            StoredIntent::Remove { files } => Self::Remove { files },
            StoredIntent::Reinstall { folder } => Self::Reinstall { folder },
        }
    }
}

/// Writes a record durably.
pub fn write(layout: &Layout, record: &Record) -> Result<(), Fault> {
    let path = layout.record_of(&record.game);
    let sealed = seal(MAGIC, &(&record.game, StoredIntent::from(&record.intent)));
    let sealed = sealed.map_err(std::io::Error::other).or_fault("encode", &path)?;
    files::replace(&layout.scratch(), &path, &sealed)
}

/// Deletes the record of a game durably.
pub fn forget(layout: &Layout, game: &GameId) -> Result<(), Fault> {
    files::delete_file(&layout.record_of(game))?;
    files::sync_folder(&layout.journal())
}

/// Returns the record of one game; `None` if there is none or it was not completely written.
pub fn read(layout: &Layout, game: &GameId) -> Result<Option<Record>, Fault> {
    let path = layout.record_of(game);
    let bytes = match fs::read(&path) {
        Err(error) if is_gone(&error) => return Ok(None),
        bytes => bytes.or_fault("read", &path)?,
    };
    let stored = unseal::<(GameId, StoredIntent)>(MAGIC, &bytes);
    Ok(stored.map(|(game, stored)| Record { game, intent: stored.into() }))
}

/// Returns all readable records, sorted by game. Other files are set aside: they were not completely written, so their
/// plans never began.
pub fn read_all(layout: &Layout) -> Result<Vec<Record>, Fault> {
    let folder = layout.journal();
    let mut records = Vec::new();
    for entry in fs::read_dir(&folder).or_fault("read the folder", &folder)? {
        let name = entry.or_fault("read the folder", &folder)?.file_name();
        let game = name.to_str().and_then(|n| GameId::new(n).ok());
        match game.map(|game| read(layout, &game)).transpose()?.flatten() {
            Some(record) => records.push(record),
            None => {
                tracing::warn!(?name, "a record of the journal cannot be read and is set aside");
                let broken = layout.broken().join(format!("journal-{}", name.to_string_lossy()));
                files::rename(&folder.join(&name), &broken)?;
            }
        }
    }
    records.sort_by(|a, b| a.game.cmp(&b.game));
    Ok(records)
}
