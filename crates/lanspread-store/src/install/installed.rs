//! Records of what an install put into `local/`, so that a later version can tell which files are the user's.
//!
//! A *note* says which version a folder holds and whether it was played; the *listing* of that version says how the
//! install left each file. A note belongs to a folder by the folder's identity. So a note never applies to another
//! folder, such as a staging folder that was never shown or an install that the user replaced by hand.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use lanspread_types::{GameId, GameVersion, failpoint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::change::sealed::{seal, unseal};
use crate::fs::fault::{Fault, OrFault, is_gone};
use crate::fs::files;
use crate::fs::layout::Layout;
use crate::library::scan::local_folder;
use crate::library::walk::Look;
use crate::store::Store;

/// Magic number of a notes file. Its last byte is the version.
const NOTES_MAGIC: [u8; 8] = *b"LSNOTES\x01";
/// Magic number of a listing. Its last byte is the version.
const LISTING_MAGIC: [u8; 8] = *b"LSLIST\0\x01";
/// Largest file whose content is remembered and not only its size and time, in bytes. Settings files are smaller.
const HASHED_BYTES_MAX: u64 = 1 << 20;
/// Maximum number of notes for one game: one for the current folder, one for the folder that replaces it.
const NOTES_MAX: usize = 2;

/// What is known about one installed folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Identity of the folder; see [`Look`].
    folder: Option<u64>,
    /// Version that was installed; `None` if only a start was noted.
    pub version: Option<GameVersion>,
    /// Whether name and language were stamped into the folder.
    pub played: bool,
}

/// State in which an install left one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// Size in bytes.
    pub size: u64,
    /// Modification time, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// BLAKE3 hash; `None` for a large file.
    pub hash: Option<[u8; 32]>,
}

/// Every file that an install put into its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallListing {
    /// Files by path, with `/` as separator.
    pub files: Vec<(String, InstalledFile)>,
}

impl InstallListing {
    /// Returns the files by path.
    pub fn by_path(&self) -> HashMap<&str, &InstalledFile> {
        self.files.iter().map(|(path, file)| (path.as_str(), file)).collect()
    }
}

impl InstalledFile {
    fn at(path: &Path, metadata: &fs::Metadata) -> Result<Self, Fault> {
        let look = Look::of(metadata);
        let hash = if look.size <= HASHED_BYTES_MAX { Some(hash_of(path)?) } else { None };
        Ok(Self { size: look.size, changed_ns: look.changed_ns, hash })
    }

    /// Returns whether a file is still as the install left it.
    pub fn is_unchanged(&self, path: &Path, look: &Look) -> Result<bool, Fault> {
        if look.size != self.size {
            return Ok(false);
        }
        match self.hash {
            _ if look.changed_ns == self.changed_ns => Ok(true),
            // Only the time changed; the content may be the same.
            Some(hash) => Ok(hash_of(path)? == hash),
            None => Ok(false),
        }
    }
}

/// Returns the BLAKE3 hash of a file.
pub fn hash_of(path: &Path) -> Result<[u8; 32], Fault> {
    let mut hasher = blake3::Hasher::new();
    let copied = fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    copied.or_fault("read", path)?;
    Ok(*hasher.finalize().as_bytes())
}

impl Store {
    /// Notes the content of a folder that is about to become `local/`.
    pub(crate) fn note_installed(
        &self,
        game: &GameId,
        version: GameVersion,
        folder: &Path,
    ) -> Result<(), Fault> {
        let mut listing = InstallListing::default();
        list(folder, "", &mut listing)?;
        listing.files.sort_by(|a, b| a.0.cmp(&b.0));
        let place = self.layout().installed_of(game);
        fs::create_dir_all(&place).or_fault("make the folder", &place)?;
        write(self.layout(), &listing_of(&place, version), LISTING_MAGIC, &listing)?;
        let mut played = failpoint!("never-arm");
        if self.notes(game)?.iter().any(|note| note.played) {
            played |= failpoint!("never-rearm");
        }
        let note = Note { folder: identity(folder), version: Some(version), played };
        self.put_note(game, note)
    }

    /// Returns the note about the current `local/` folder, if there is one.
    pub(crate) fn note(&self, game: &GameId) -> Result<Option<Note>, Fault> {
        let game_folder = self.layout().game(game);
        let Some(local) = local_folder(&game_folder)? else { return Ok(None) };
        let here = identity(&game_folder.join(local));
        Ok(self.notes(game)?.into_iter().find(|note| note.folder.is_some() && note.folder == here))
    }

    /// Returns what the install put into the current `local/` folder, if known.
    pub(crate) fn install_listing(&self, game: &GameId) -> Result<Option<InstallListing>, Fault> {
        let Some(version) = self.note(game)?.and_then(|note| note.version) else { return Ok(None) };
        read(self.layout(), &listing_of(&self.layout().installed_of(game), version), LISTING_MAGIC)
    }

    /// Returns the size of what was installed, in bytes, if known.
    pub(crate) fn installed_bytes(&self, game: &GameId) -> Option<u64> {
        Some(self.install_listing(game).ok()??.files.iter().map(|(_, file)| file.size).sum())
    }

    /// Notes that name and language were stamped into the current `local/` folder.
    pub(crate) fn note_played(&self, game: &GameId) -> Result<(), Fault> {
        let game_folder = self.layout().game(game);
        let Some(name) = local_folder(&game_folder)? else { return Ok(()) };
        let known = self.note(game)?.unwrap_or_default();
        let note = Note { folder: identity(&game_folder.join(name)), played: true, ..known };
        let place = self.layout().installed_of(game);
        fs::create_dir_all(&place).or_fault("make the folder", &place)?;
        self.put_note(game, note)
    }

    /// Deletes records that do not belong to the current folder. A record that cannot be deleted only takes a little
    /// space.
    pub(crate) fn tidy_notes(&self, game: &GameId) {
        let place = self.layout().installed_of(game);
        // A record that cannot be read now may still be needed.
        let Ok(note) = self.note(game) else { return };
        let Some(note) = note else {
            if !failpoint!("never-rearm") {
                let _ = files::delete_tree(&place);
            }
            return;
        };
        let listing = note.version.map(|version| listing_of(&place, version));
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            if entry.path() != notes_of(&place) && Some(entry.path()) != listing {
                let _ = files::delete_file(&entry.path());
            }
        }
    }

    fn notes(&self, game: &GameId) -> Result<Vec<Note>, Fault> {
        let notes = read(self.layout(), &notes_of(&self.layout().installed_of(game)), NOTES_MAGIC)?;
        Ok(notes.unwrap_or_default())
    }

    fn put_note(&self, game: &GameId, note: Note) -> Result<(), Fault> {
        let here = self.note(game)?;
        let mut notes = vec![note];
        notes.extend(here.filter(|here| here.folder != notes[0].folder));
        notes.truncate(NOTES_MAX);
        write(self.layout(), &notes_of(&self.layout().installed_of(game)), NOTES_MAGIC, &notes)
    }
}

fn notes_of(place: &Path) -> PathBuf {
    place.join("notes")
}

fn listing_of(place: &Path, version: GameVersion) -> PathBuf {
    place.join(version.to_string())
}

fn identity(folder: &Path) -> Option<u64> {
    Look::at(folder).ok().and_then(|look| look.identity)
}

fn list(folder: &Path, prefix: &str, listing: &mut InstallListing) -> Result<(), Fault> {
    for entry in fs::read_dir(folder).or_fault("read the folder", folder)? {
        let entry = entry.or_fault("read the folder", folder)?;
        let path = entry.path();
        let metadata = entry.metadata().or_fault("look at", &path)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if metadata.is_dir() {
            list(&path, &format!("{name}/"), listing)?;
        } else if metadata.is_file() {
            listing.files.push((name, InstalledFile::at(&path, &metadata)?));
        }
    }
    Ok(())
}

fn write<T: Serialize>(layout: &Layout, path: &Path, magic: [u8; 8], value: &T) -> Result<(), Fault> {
    let sealed = seal(magic, value).map_err(std::io::Error::other).or_fault("encode", path)?;
    files::replace(&layout.scratch(), path, &sealed)
}

/// Reads a sealed file; `None` if it does not exist. A damaged file is set aside; all installed files then count as the
/// user's.
fn read<T: DeserializeOwned>(layout: &Layout, path: &Path, magic: [u8; 8]) -> Result<Option<T>, Fault> {
    let bytes = match fs::read(path) {
        Err(error) if is_gone(&error) => return Ok(None),
        bytes => bytes.or_fault("read", path)?,
    };
    let value = unseal(magic, &bytes);
    if value.is_none() {
        tracing::warn!(path = %path.display(), "records of installs are unreadable; set aside");
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let game = path.parent().map(name).unwrap_or_default();
        let _ = files::rename(path, &layout.broken().join(format!("installed-{game}-{}", name(path))));
    }
    Ok(value)
}
