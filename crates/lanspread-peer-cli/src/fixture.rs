//! Tiny games for scripts that have none: the flag `--fixture GAME_ID`.

use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog::Catalog;
use lanspread_peer::pack::{PackError, Packer};
use lanspread_types::manifest::SENTINEL;
use lanspread_types::{GameId, GameVersion, RelPath, failpoint};

/// Version of a tiny game that is not in the catalogue.
const VERSION: &str = "20250101";
/// Time stamp of the archive's members, in seconds since 1970. It is constant, so that two peers make the same bytes.
const MTIME: u32 = 1_735_689_600;

/// Why a tiny game could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The catalogue does not list the game, so it could be neither offered nor installed.
    #[error("the tiny game {0} is not made: the catalogue does not list it")]
    Uncatalogued(GameId),
    /// A file with other content is in the way.
    #[error("the tiny game {game} is not made: {path} is there already, and no file is written over")]
    InTheWay { game: GameId, path: PathBuf },
    /// A file or folder cannot be written.
    #[error("the tiny game {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    /// The archive cannot be packed.
    #[error("the archive {path} cannot be written: {source}")]
    Pack { path: PathBuf, source: PackError },
    /// A path within the game is not valid.
    #[error("{0}")]
    Path(#[from] lanspread_types::path::RelPathError),
}

impl From<&FixtureError> for ErrorBody {
    fn from(error: &FixtureError) -> Self {
        let code = match error {
            FixtureError::Uncatalogued(_) => ErrorCode::FixtureUncatalogued,
            FixtureError::InTheWay { .. } => ErrorCode::FixtureInTheWay,
            FixtureError::Write { .. } | FixtureError::Pack { .. } | FixtureError::Path(_) => {
                ErrorCode::GamesDirUnusable
            }
        };
        Self::new(code, error.to_string())
    }
}

/// Creates a tiny game in the library unless it is already downloaded there.
///
/// The same id and version always give the same bytes. The caller must hold the games folder (`lock_games_dir`).
///
/// # Errors
///
/// Fails if the catalogue does not list the game.
///
/// An existing file is never overwritten. If its bytes are those of an interrupted earlier call it counts as written;
/// otherwise the call fails.
pub fn seed(games_dir: &Path, game: &GameId, catalog: &Catalog) -> Result<(), FixtureError> {
    if !catalog.knows(game) {
        return Err(FixtureError::Uncatalogued(game.clone()));
    }
    let root = games_dir.join(game.as_str());
    let sentinel = root.join(SENTINEL);
    if fs::symlink_metadata(&sentinel).is_ok() {
        return Ok(());
    }
    let version =
        catalog.entry(game).map_or_else(|| VERSION.to_owned(), |e| GameVersion::to_string(&e.version));
    fs::create_dir_all(&root).map_err(|source| FixtureError::Write { path: root.clone(), source })?;
    let archive = root.join(format!("{game}.eti"));
    write_new(&archive, &packed(&archive, game, &version)?, game)?;
    write_new(&sentinel, format!("{version}\n").as_bytes(), game)
}

/// Writes a new file.
fn write_new(path: &Path, bytes: &[u8], game: &GameId) -> Result<(), FixtureError> {
    let failed = |source| FixtureError::Write { path: path.to_owned(), source };
    let created =
        if failpoint!("overwrite-with-fixture") { File::create(path) } else { File::create_new(path) };
    match created {
        Ok(mut file) => file.write_all(bytes).map_err(failed),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let same = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() == bytes.len() as u64)
                && fs::read(path).is_ok_and(|found| found == bytes);
            let in_the_way = || FixtureError::InTheWay { game: game.clone(), path: path.to_owned() };
            if same { Ok(()) } else { Err(in_the_way()) }
        }
        Err(e) => Err(failed(e)),
    }
}

/// Returns the bytes of the archive.
fn packed(archive: &Path, game: &GameId, version: &str) -> Result<Vec<u8>, FixtureError> {
    let failed = |source| FixtureError::Pack { path: archive.to_owned(), source };
    let mut bytes = Cursor::new(Vec::new());
    let mut packer = Packer::new(&mut bytes).map_err(failed)?;
    let readme = format!("{game} {version}: a tiny game for tests.\n");
    let payload: String = (0..400).map(|line| format!("{game} {version} line {line}\r\n")).collect();
    for (path, content) in [("readme.txt", readme), ("data/payload.txt", payload)] {
        let path = RelPath::new(path)?;
        packer.add_file(&path, content.len() as u64, MTIME, content.as_bytes()).map_err(failed)?;
    }
    packer.finish().map_err(failed)?;
    Ok(bytes.into_inner())
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
    fn same_game_has_same_bytes_and_catalogue_version() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let entry = CatalogEntry {
            version: GameVersion::new(20_240_229).unwrap(),
            title: None,
            content: None,
            about: GameAbout::default(),
        };
        let catalog = Catalog::of_games(BTreeMap::from([(game("ggoo"), entry)]));
        for dir in [&one, &two] {
            seed(dir.path(), &game("ggoo"), &catalog).unwrap();
            seed(dir.path(), &game("other"), &Catalog::Open).unwrap();
        }
        let read = |dir: &tempfile::TempDir, path: &str| fs::read(dir.path().join(path)).unwrap();
        assert_eq!(read(&one, "ggoo/ggoo.eti"), read(&two, "ggoo/ggoo.eti"));
        assert_ne!(read(&one, "ggoo/ggoo.eti"), read(&one, "other/other.eti"));
        assert_eq!(read(&one, "ggoo/version.ini"), b"20240229\n");
        assert_eq!(read(&one, "other/version.ini"), b"20250101\n");
    }

    #[test]
    fn game_that_the_catalogue_lacks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = seed(dir.path(), &game("other"), &Catalog::of_games(BTreeMap::new())).unwrap_err();
        assert_eq!(ErrorBody::from(&error).code, ErrorCode::FixtureUncatalogued);
        assert!(!dir.path().join("other").exists());
    }

    #[test]
    fn downloaded_game_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ggoo")).unwrap();
        fs::write(dir.path().join("ggoo/version.ini"), "20200202").unwrap();
        seed(dir.path(), &game("ggoo"), &Catalog::Open).unwrap();
        assert!(!dir.path().join("ggoo/ggoo.eti").exists());
    }

    #[test]
    fn existing_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("ggoo/ggoo.eti");
        fs::create_dir(dir.path().join("ggoo")).unwrap();
        fs::write(&archive, "the user's own").unwrap();
        let error = seed(dir.path(), &game("ggoo"), &Catalog::Open).unwrap_err();
        assert!(matches!(&error, FixtureError::InTheWay { path, .. } if *path == archive), "{error}");
        assert_eq!(ErrorBody::from(&error).code, ErrorCode::FixtureInTheWay);
        assert_eq!(fs::read(&archive).unwrap(), b"the user's own");
        assert!(!dir.path().join("ggoo/version.ini").exists());
    }

    #[test]
    fn interrupted_creation_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        seed(dir.path(), &game("ggoo"), &Catalog::Open).unwrap();
        let sentinel = dir.path().join("ggoo/version.ini");
        fs::remove_file(&sentinel).unwrap();
        seed(dir.path(), &game("ggoo"), &Catalog::Open).unwrap();
        assert_eq!(fs::read(&sentinel).unwrap(), b"20250101\n");
    }
}
