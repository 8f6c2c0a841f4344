//! Tiny games for scripts that need one and have none: `--fixture GAME_ID`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lanspread_peer::catalog::Catalog;
use lanspread_peer::pack::{PackError, Packer};
use lanspread_types::manifest::SENTINEL;
use lanspread_types::{GameId, GameVersion, RelPath};

/// Version of a tiny game that the catalogue does not list.
const VERSION: &str = "20250101";
/// Time stamp of the archive's members, in seconds since 1970: the same always, so that two peers seed the same bytes.
const MTIME: u32 = 1_735_689_600;

#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("the tiny game {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the archive {path} cannot be written: {source}")]
    Pack { path: PathBuf, source: PackError },
    #[error("{0}")]
    Path(#[from] lanspread_types::path::RelPathError),
}

/// Puts a tiny game into the library, unless it is downloaded there already. The same id and version always give the same
/// bytes.
pub fn seed(games_dir: &Path, game: &GameId, catalog: &Catalog) -> Result<(), FixtureError> {
    let root = games_dir.join(game.as_str());
    let sentinel = root.join(SENTINEL);
    if sentinel.exists() {
        return Ok(());
    }
    let version =
        catalog.entry(game).map_or_else(|| VERSION.to_owned(), |e| GameVersion::to_string(&e.version));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FixtureError::Write { path, source }
    };
    fs::create_dir_all(&root).map_err(failed(&root))?;
    let archive = root.join(format!("{game}.eti"));
    pack(&archive, game, &version)?;
    fs::write(&sentinel, format!("{version}\n")).map_err(failed(&sentinel))
}

fn pack(archive: &Path, game: &GameId, version: &str) -> Result<(), FixtureError> {
    let failed = |source| FixtureError::Pack { path: archive.to_owned(), source };
    let file =
        File::create(archive).map_err(|source| FixtureError::Write { path: archive.to_owned(), source })?;
    let mut packer = Packer::new(file).map_err(failed)?;
    let readme = format!("{game} {version}: a tiny game for tests.\n");
    let payload: String = (0..400).map(|line| format!("{game} {version} line {line}\r\n")).collect();
    for (path, content) in [("readme.txt", readme), ("data/payload.txt", payload)] {
        let path = RelPath::new(path)?;
        packer.add_file(&path, content.len() as u64, MTIME, content.as_bytes()).map_err(failed)?;
    }
    packer.finish().map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lanspread_peer::catalog::{CatalogEntry, GameAbout};

    use super::*;

    fn game(id: &str) -> GameId {
        GameId::new(id).unwrap()
    }

    #[test]
    fn the_same_game_has_the_same_bytes_everywhere_and_the_version_of_the_catalogue() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let entry = CatalogEntry {
            version: GameVersion::new(20_240_229).unwrap(),
            title: None,
            content: None,
            about: GameAbout::default(),
        };
        let catalog = Catalog::Listed(BTreeMap::from([(game("ggoo"), entry)]));
        for dir in [&one, &two] {
            seed(dir.path(), &game("ggoo"), &catalog).unwrap();
            seed(dir.path(), &game("other"), &catalog).unwrap();
        }
        let read = |dir: &tempfile::TempDir, path: &str| fs::read(dir.path().join(path)).unwrap();
        assert_eq!(read(&one, "ggoo/ggoo.eti"), read(&two, "ggoo/ggoo.eti"));
        assert_ne!(read(&one, "ggoo/ggoo.eti"), read(&one, "other/other.eti"));
        assert_eq!(read(&one, "ggoo/version.ini"), b"20240229\n");
        assert_eq!(read(&one, "other/version.ini"), b"20250101\n");
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ggoo")).unwrap();
        fs::write(dir.path().join("ggoo/version.ini"), "20200202").unwrap();
        seed(dir.path(), &game("ggoo"), &Catalog::Open).unwrap();
        assert!(!dir.path().join("ggoo/ggoo.eti").exists());
    }
}
