//! Games of the demo, generated from a seed at run time, so that the program needs no files beside it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use lanspread_peer::catalog::{Catalog, CatalogEntry, GameAbout};
use lanspread_peer::pack::{PackError, Packer};
use lanspread_types::manifest::{ARCHIVE_EXTENSION, SENTINEL};
use lanspread_types::{GameId, GameVersion, RelPath};

/// 2025-01-01, 00:00 UTC: modification time of every file in the demo's archives.
const MTIME: u32 = 1_735_689_600;
const VERSION: &str = "20250101";

/// One game of the demo.
#[derive(Debug, Clone)]
pub struct DemoGame {
    /// Id of the game, and name of its folder.
    pub id: GameId,
    /// Title for people, in the demo's catalogue.
    pub title: &'static str,
    /// Version; the same for all games of the demo.
    pub version: GameVersion,
    /// Content of the archive: paths and sizes in bytes.
    pub payload: Vec<(RelPath, u64)>,
}

/// Failure to make the demo's games.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A built-in path, id or version is not valid.
    #[error("the demo's own {0:?} is not valid")]
    Word(String),
    /// A file or folder cannot be written.
    #[error("the demo's games cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The archive cannot be packed.
    #[error("the demo's games cannot be packed: {0}")]
    Pack(#[from] PackError),
}

impl DemoGame {
    /// Describes a game whose archive holds `bytes` bytes in all, most of them in one file. Writes nothing yet.
    pub fn new(id: &str, title: &'static str, bytes: u64) -> Result<Self, LibraryError> {
        let word = |text: &str| LibraryError::Word(text.to_owned());
        let file = |path: &str, size| RelPath::new(path).map(|p| (p, size)).map_err(|_| word(path));
        let (maps, readme) = (bytes / 8, 333);
        let payload = vec![
            file("bin/start.sh", 77)?,
            file("data/maps.pak", maps)?,
            file("data/world.pak", bytes.saturating_sub(maps + readme + 77))?,
            file("readme.txt", readme)?,
        ];
        let id = GameId::new(id).map_err(|_| word(id))?;
        let version = VERSION.parse().map_err(|_| word(VERSION))?;
        Ok(Self { id, title, version, payload })
    }

    /// Returns the bytes of one of the game's files: BLAKE3 output, seeded by game and path.
    pub fn content(&self, path: &RelPath, size: u64) -> impl Read + use<> {
        let mut seed = blake3::Hasher::new_derive_key("lanspread demo game v1");
        seed.update(self.id.as_str().as_bytes()).update(b"/").update(path.as_str().as_bytes());
        seed.finalize_xof().take(size)
    }

    /// Writes the game's folder below `games_dir`: the archive, then the sentinel.
    pub fn write(&self, games_dir: &Path) -> Result<(), LibraryError> {
        let folder = games_dir.join(self.id.as_str());
        fs::create_dir_all(&folder)?;
        let archive = File::create_new(folder.join(format!("{}.{ARCHIVE_EXTENSION}", self.id)))?;
        let mut packer = Packer::new(BufWriter::with_capacity(1 << 20, archive))?;
        for (path, size) in &self.payload {
            packer.add_file(path, *size, MTIME, self.content(path, *size))?;
        }
        packer.finish()?;
        let mut sentinel = File::create_new(folder.join(SENTINEL))?;
        sentinel.write_all(format!("{}\n", self.version).as_bytes())?;
        Ok(())
    }
}

/// Returns the demo's catalogue: its games with their titles, without pinned contents.
pub fn catalog<'a>(games: impl IntoIterator<Item = &'a DemoGame>) -> Catalog {
    let entry = |g: &DemoGame| CatalogEntry {
        version: g.version,
        title: Some(g.title.to_owned()),
        content: None,
        about: GameAbout::default(),
    };
    Catalog::of_games(games.into_iter().map(|g| (g.id.clone(), entry(g))).collect())
}

/// Copies a game's folder, so that two peers have the same content.
pub fn copy(game: &DemoGame, from: &Path, to: &Path) -> Result<(), LibraryError> {
    let (from, to) = (from.join(game.id.as_str()), to.join(game.id.as_str()));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_is_the_same_every_time() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let game = DemoGame::new("moss-racer", "Moss Racer", 100_000).unwrap();
        for dir in [&a, &b] {
            game.write(dir.path()).unwrap();
        }
        let archive =
            |dir: &tempfile::TempDir| fs::read(dir.path().join("moss-racer/moss-racer.eti")).unwrap();
        assert_eq!(archive(&a), archive(&b));
        assert!(archive(&a).starts_with(b"Rar!"));
        let payload: u64 = game.payload.iter().map(|(_, size)| size).sum();
        assert_eq!(payload, 100_000);
        let sentinel = fs::read(a.path().join("moss-racer/version.ini")).unwrap();
        assert_eq!(GameVersion::parse_sentinel(&sentinel), Ok(game.version));
    }
}
