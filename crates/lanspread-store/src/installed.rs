//! What an install put into `local/`: which version, and how each of its files looked. So that a later version can
//! tell what is the user's.
//!
//! A *note* says which version a folder holds and whether it was played; the *listing* of that version says what the
//! archives put there. A note belongs to a folder by the folder's identity, so one that describes a staging that never
//! came to be seen, or an install that somebody replaced by hand, is not taken for what is there.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use lanspread_types::{GameId, GameVersion, failpoint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, OrFault, is_gone};
use crate::files;
use crate::layout::Layout;
use crate::scan::local_folder;
use crate::sealed::{seal, unseal};
use crate::store::Store;
use crate::walk::Look;

const NOTES_MAGIC: [u8; 8] = *b"LSNOTES\x01";
const LISTING_MAGIC: [u8; 8] = *b"LSLIST\0\x01";
/// Largest file whose content is remembered, not only its look: settings are smaller.
const HASHED_BYTES_MAX: u64 = 1 << 20;
/// Notes that are kept for one game: the folder that is there, and the one that takes its place.
const NOTES_MAX: usize = 2;

/// What is known about one installed folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Identity of the folder, see [`Look`].
    folder: Option<u64>,
    pub version: Option<GameVersion>,
    /// Name and language were stamped into it.
    pub played: bool,
}

/// One file as an install left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    pub size: u64,
    pub changed_ns: i64,
    /// BLAKE3 of a small file.
    pub hash: Option<[u8; 32]>,
}

/// Everything that an install put into its folder, by path with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallListing {
    pub files: Vec<(String, InstalledFile)>,
}

impl InstallListing {
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

    /// Whether a file is still what the install left there.
    pub fn is_unchanged(&self, path: &Path, look: &Look) -> Result<bool, Fault> {
        if look.size != self.size {
            return Ok(false);
        }
        match self.hash {
            _ if look.changed_ns == self.changed_ns => Ok(true),
            // Touched, perhaps, and no more.
            Some(hash) => Ok(hash_of(path)? == hash),
            None => Ok(false),
        }
    }
}

pub fn hash_of(path: &Path) -> Result<[u8; 32], Fault> {
    let mut hasher = blake3::Hasher::new();
    let copied = fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    copied.or_fault("read", path)?;
    Ok(*hasher.finalize().as_bytes())
}

impl Store {
    /// Remembers what stands in a folder that is about to become `local/`.
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

    /// What is known about the folder that is installed now.
    pub(crate) fn note(&self, game: &GameId) -> Result<Option<Note>, Fault> {
        let game_folder = self.layout().game(game);
        let Some(local) = local_folder(&game_folder)? else { return Ok(None) };
        let here = identity(&game_folder.join(local));
        Ok(self.notes(game)?.into_iter().find(|note| note.folder.is_some() && note.folder == here))
    }

    /// What the install of the present folder put there, if that is known.
    pub(crate) fn install_listing(&self, game: &GameId) -> Result<Option<InstallListing>, Fault> {
        let Some(version) = self.note(game)?.and_then(|note| note.version) else { return Ok(None) };
        read(self.layout(), &listing_of(&self.layout().installed_of(game), version), LISTING_MAGIC)
    }

    /// Size of what is installed, in bytes, if that is known.
    pub(crate) fn installed_bytes(&self, game: &GameId) -> Option<u64> {
        Some(self.install_listing(game).ok()??.files.iter().map(|(_, file)| file.size).sum())
    }

    /// Remembers that the present folder was played.
    pub(crate) fn note_played(&self, game: &GameId) -> Result<(), Fault> {
        let game_folder = self.layout().game(game);
        let Some(name) = local_folder(&game_folder)? else { return Ok(()) };
        let known = self.note(game)?.unwrap_or_default();
        let note = Note { folder: identity(&game_folder.join(name)), played: true, ..known };
        let place = self.layout().installed_of(game);
        fs::create_dir_all(&place).or_fault("make the folder", &place)?;
        self.put_note(game, note)
    }

    /// Forgets all but what belongs to the folder that is there. Whatever stays behind only takes a little room.
    pub(crate) fn tidy_notes(&self, game: &GameId) {
        let place = self.layout().installed_of(game);
        // What cannot be read now is not deleted for it.
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

/// Reads what is known. What is damaged is set aside: the installed files are then taken for the user's.
fn read<T: DeserializeOwned>(layout: &Layout, path: &Path, magic: [u8; 8]) -> Result<Option<T>, Fault> {
    let bytes = match fs::read(path) {
        Err(error) if is_gone(&error) => return Ok(None),
        bytes => bytes.or_fault("read", path)?,
    };
    let value = unseal(magic, &bytes);
    if value.is_none() {
        tracing::warn!(path = %path.display(), "what is known of an install cannot be read and is set aside");
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let game = path.parent().map(name).unwrap_or_default();
        let _ = files::rename(path, &layout.broken().join(format!("installed-{game}-{}", name(path))));
    }
    Ok(value)
}
