//! Packs a folder as a game: one stored archive, the cover beside it, and the sentinel last.
//!
//! The game is written in a staging folder and moved to its place by one rename, so no scan sees half a game. A
//! failed packing removes what it wrote; after a crash, the next packing of the same game does. The source is only
//! read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use lanspread_api::page::Packed;
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::calendar;
use lanspread_peer::pack::{PackError as ArchiveError, Packer};
use lanspread_peer::trust::is_dated_ahead;
use lanspread_peer::{GAME_FILE, GameFile, GameFileError};
use lanspread_types::limits::{FILES_PER_GAME_MAX, GAME_BYTES_MAX};
use lanspread_types::manifest::{ARCHIVE_EXTENSION, SENTINEL};
use lanspread_types::path::{PathCollision, RelPathError, check_collisions};
use lanspread_types::{GameId, GameVersion, RelPath};

use crate::show::human;

/// Size of the archive's write buffer, in bytes.
const WRITE_BYTES: usize = 1 << 20;
/// Prefix of staging folders; library scans skip folders with it.
const STAGING: &str = ".lanspread-packing-";
/// Most bytes that an archive entry takes beside its content: the longest path, and the header.
const ENTRY_BYTES: u64 = 1200;
/// Extensions of covers, in lower case (`http/covers.rs` serves them).
const COVER_EXTENSIONS: [&str; 4] = ["webp", "png", "jpg", "jpeg"];

/// What to pack, and how to present it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Folder to pack.
    pub folder: PathBuf,
    /// Id of the game, and name of its folder in the library.
    pub game: GameId,
    /// Version that the sentinel states.
    pub version: GameVersion,
    /// Picture to copy beside the archive.
    pub cover: Option<PathBuf>,
    /// Title for people.
    pub title: Option<String>,
    /// Program that starts the game, relative to the folder; it must be among the packed files.
    pub start: Option<String>,
    /// Arguments of that program.
    pub args: Vec<String>,
}

/// Reason why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The source, or a file in it, cannot be read.
    #[error("cannot read the folder {0}: {1}")]
    Source(PathBuf, io::Error),
    /// The source has no files.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// The source holds a link or another special file.
    #[error("{0} is a link, and links are not packed")]
    Link(PathBuf),
    /// A path in the source is not portable.
    #[error("{0}")]
    Path(#[from] RelPathError),
    /// Two paths in the source would be one on another system.
    #[error("{0}")]
    Collision(#[from] PathCollision),
    /// The source exceeds the limits of one game.
    #[error("the folder has more than {FILES_PER_GAME_MAX} files or {}", human::bytes(GAME_BYTES_MAX))]
    TooLarge,
    /// The source is the library or contains it, so the game would contain itself.
    #[error("{source_folder} and the games folder {games} must not contain each other")]
    Overlap { games: PathBuf, source_folder: PathBuf },
    /// The version is dated after tomorrow, so peers would refuse it.
    #[error("{0} is in the future, so other peers would refuse it; check the date of this PC")]
    DatedAhead(GameVersion),
    /// The library has a folder with this game's id.
    #[error("{0} already exists: choose another id, or remove that folder")]
    Exists(PathBuf),
    /// The start program is not among the packed files.
    #[error("the folder has no file {0}")]
    Start(String),
    /// Title, program or arguments do not fit the game's file.
    #[error("{0}")]
    GameFile(#[from] GameFileError),
    /// The picture does not exist or has another extension.
    #[error("{0} is not a usable cover: it needs a .webp, .png or .jpg file")]
    Cover(PathBuf),
    /// The disk of the library lacks room, in bytes.
    #[error("the archive needs {}, but the disk has only {} left", human::bytes(*needed), human::bytes(*free))]
    Full { needed: u64, free: u64 },
    /// A file or folder in the library cannot be written.
    #[error("{0} cannot be written: {1}")]
    Write(PathBuf, io::Error),
    /// The archive cannot be made.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

impl PackError {
    /// Converts the error to the contract's form.
    pub fn to_body(&self) -> ErrorBody {
        let code = match self {
            Self::Source(..) | Self::Empty(_) | Self::Overlap { .. } => ErrorCode::FolderUnusable,
            Self::Full { .. } => ErrorCode::DiskFull,
            Self::Cover(_) | Self::Start(_) | Self::GameFile(_) | Self::DatedAhead(_) => {
                ErrorCode::InvalidField
            }
            _ => ErrorCode::PackFailed,
        };
        ErrorBody::new(code, self.to_string())
    }
}

/// Content of the source folder.
#[derive(Debug)]
struct Found {
    /// Path in the archive, path on disk, bytes and modification time; sorted, so that the same folder gives the same
    /// archive.
    files: Vec<(RelPath, PathBuf, u64, u32)>,
    /// Folders without content, and their modification times.
    empty: Vec<(RelPath, u32)>,
    bytes: u64,
}

/// Packs a folder into the library `games_dir`. `progress` receives the bytes done and the bytes in all.
pub fn pack(order: &Order, games_dir: &Path, progress: impl FnMut((u64, u64))) -> Result<Packed, PackError> {
    if is_dated_ahead(order.version, calendar::today()) {
        return Err(PackError::DatedAhead(order.version));
    }
    let found = look(order, games_dir)?;
    let cover = order.cover.as_deref().map(cover_name).transpose()?;
    let game_file = game_file(order, &found)?;
    let needed = found.bytes + ENTRY_BYTES * (found.files.len() + found.empty.len()) as u64;
    match fs4::available_space(games_dir) {
        Ok(free) if free < needed => return Err(PackError::Full { needed, free }),
        _ => {}
    }
    let game = games_dir.join(order.game.as_str());
    if game.symlink_metadata().is_ok() {
        return Err(PackError::Exists(game));
    }
    let staging = games_dir.join(format!("{STAGING}{}", order.game));
    // Only a crash can leave a folder of this name.
    let _ = fs::remove_dir_all(&staging);
    let made = fs::create_dir(&staging).map_err(|e| PackError::Write(staging.clone(), e));
    let written = made
        .and_then(|()| write(order, &found, cover.as_deref(), game_file.as_deref(), &staging, progress))
        .and_then(|()| fs::rename(&staging, &game).map_err(|e| PackError::Write(game, e)));
    if written.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    written.map(|()| Packed { game_id: order.game.to_string(), files: found.files.len(), bytes: found.bytes })
}

/// Lists the source folder, and refuses what cannot be packed.
fn look(order: &Order, games_dir: &Path) -> Result<Found, PackError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |e| PackError::Source(path, e)
    };
    let root = fs::canonicalize(&order.folder).map_err(unreadable(&order.folder))?;
    let games = fs::canonicalize(games_dir).map_err(|e| PackError::Write(games_dir.to_owned(), e))?;
    // An installed game inside the library may be packed; a folder that contains the library may not.
    if games.starts_with(&root) {
        return Err(PackError::Overlap { games, source_folder: root });
    }
    let mut found = Found { files: Vec::new(), empty: Vec::new(), bytes: 0 };
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let mut count = 0;
        for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
            let entry = entry.map_err(unreadable(&folder))?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(unreadable(&path))?;
            count += 1;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                found.bytes = found.bytes.saturating_add(metadata.len());
                found.files.push((RelPath::below(&root, &path)?, path, metadata.len(), seconds(&metadata)));
            } else {
                return Err(PackError::Link(path));
            }
            if found.files.len() + folders.len() > FILES_PER_GAME_MAX || found.bytes > GAME_BYTES_MAX {
                return Err(PackError::TooLarge);
            }
        }
        if count == 0 && folder != root {
            let modified = fs::metadata(&folder).map_or(0, |metadata| seconds(&metadata));
            found.empty.push((RelPath::below(&root, &folder)?, modified));
        }
    }
    if found.files.is_empty() {
        return Err(PackError::Empty(root));
    }
    check_collisions(found.files.iter().map(|(path, ..)| path))?;
    found.files.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    found.empty.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    Ok(found)
}

fn write(
    order: &Order,
    found: &Found,
    cover: Option<&str>,
    game_file: Option<&str>,
    game: &Path,
    mut progress: impl FnMut((u64, u64)),
) -> Result<(), PackError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |e| PackError::Write(path, e)
    };
    if let Some((from, name)) = order.cover.as_deref().zip(cover) {
        fs::copy(from, game.join(name)).map_err(unwritable(&game.join(name)))?;
    }
    if let Some(text) = game_file {
        fs::write(game.join(GAME_FILE), text).map_err(unwritable(&game.join(GAME_FILE)))?;
    }
    let archive = game.join(format!("{}.{ARCHIVE_EXTENSION}", order.game));
    let out = File::create_new(&archive).map_err(unwritable(&archive))?;
    let mut packer = Packer::new(BufWriter::with_capacity(WRITE_BYTES, out))?;
    for (path, modified) in &found.empty {
        packer.add_folder(path, *modified)?;
    }
    let mut done = 0;
    for (path, from, bytes, modified) in &found.files {
        let file = File::open(from).map_err(|e| PackError::Source(from.clone(), e))?;
        let counted = Counted { inner: file, done: &mut done, total: found.bytes, progress: &mut progress };
        packer.add_file(path, *bytes, *modified, counted)?;
    }
    let out = packer.finish()?.into_inner().map_err(|e| PackError::Write(archive.clone(), e.into_error()))?;
    out.sync_all().map_err(unwritable(&archive))?;
    let sentinel = game.join(SENTINEL);
    let mut file = File::create_new(&sentinel).map_err(unwritable(&sentinel))?;
    file.write_all(format!("{}\n", order.version).as_bytes()).map_err(unwritable(&sentinel))?;
    file.sync_all().map_err(unwritable(&sentinel))
}

/// Text of `lanspread.toml` with title and start program, if either is given.
fn game_file(order: &Order, found: &Found) -> Result<Option<String>, PackError> {
    let start = order.start.as_deref().map(|start| {
        let missing = || PackError::Start(start.to_owned());
        // People on Windows type backslashes.
        let path = RelPath::new(start.replace('\\', "/")).map_err(|_| missing())?;
        let known = found.files.iter().any(|(file, ..)| *file == path);
        if known { Ok(path) } else { Err(missing()) }
    });
    let file = GameFile {
        title: order.title.clone(),
        start: start.transpose()?,
        args: order.args.clone(),
        ..GameFile::default()
    };
    Ok(if file.is_empty() { None } else { Some(file.to_text()?) })
}

fn cover_name(path: &Path) -> Result<String, PackError> {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    let known = extension.filter(|e| COVER_EXTENSIONS.contains(&e.as_str()) && path.is_file());
    known.map(|extension| format!("cover.{extension}")).ok_or_else(|| PackError::Cover(path.to_owned()))
}

/// Modification time in seconds since 1970 (UTC), clamped to the archive's field.
fn seconds(metadata: &fs::Metadata) -> u32 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// Reader that reports progress.
struct Counted<'a, F> {
    inner: File,
    done: &'a mut u64,
    total: u64,
    progress: &'a mut F,
}

impl<F: FnMut((u64, u64))> Read for Counted<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        *self.done += n as u64;
        (self.progress)((*self.done, self.total));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    struct Place {
        _dir: tempfile::TempDir,
        source: PathBuf,
        games: PathBuf,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let (source, games) = (dir.path().join("installed"), dir.path().join("games"));
        fs::create_dir_all(source.join("data/größe")).unwrap();
        fs::create_dir(source.join("saves")).unwrap();
        fs::create_dir(&games).unwrap();
        let large: Vec<u8> = (0..3 << 20).map(|i: u32| (i.wrapping_mul(31) >> 3) as u8).collect();
        fs::write(source.join("data/größe/world.pak"), large).unwrap();
        fs::write(source.join("game.exe"), b"MZ").unwrap();
        fs::write(source.join("empty.cfg"), b"").unwrap();
        Place { _dir: dir, source, games }
    }

    fn order(place: &Place) -> Order {
        Order {
            folder: place.source.clone(),
            game: GameId::new("my-game").unwrap(),
            version: "20260101".parse().unwrap(),
            cover: None,
            title: None,
            start: None,
            args: Vec::new(),
        }
    }

    fn same_files(a: &Path, b: &Path) {
        for file in ["data/größe/world.pak", "game.exe", "empty.cfg"] {
            assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file}");
        }
        assert!(b.join("saves").is_dir(), "empty folders are kept");
    }

    #[test]
    fn folder_becomes_game_with_cover() {
        let place = place();
        let cover = place.games.join("any picture.PNG");
        fs::write(&cover, b"\x89PNG\r\n\x1a\n").unwrap();
        let mut last = (0, 0);
        let (title, start) = (Some("My Game".to_owned()), Some("data\\größe/world.pak".to_owned()));
        let order = Order { cover: Some(cover), title, start, ..order(&place) };
        let packed = pack(&order, &place.games, |now| last = now).unwrap();
        assert_eq!((packed.files, packed.bytes), (3, (3 << 20) + 2));
        assert_eq!(last, (packed.bytes, packed.bytes));
        let game = place.games.join("my-game");
        let mut names: Vec<_> =
            fs::read_dir(&game).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["cover.png", "lanspread.toml", "my-game.eti", "version.ini"]);
        let said = GameFile::read(&game).unwrap().unwrap();
        assert_eq!(said.title.as_deref(), Some("My Game"));
        assert_eq!(said.start.unwrap().as_str(), "data/größe/world.pak");
        let sentinel = fs::read(game.join(SENTINEL)).unwrap();
        assert_eq!(GameVersion::parse_sentinel(&sentinel), Ok(order.version));
    }

    #[test]
    fn other_programs_unpack_the_archive() {
        let place = place();
        pack(&order(&place), &place.games, |_| {}).unwrap();
        let archive = place.games.join("my-game/my-game.eti");
        // unrar is not free software, so some machines lack it.
        for (program, args, optional) in [("unrar", &["x", "-idq"][..], true), ("7z", &["x", "-bso0"], false)]
        {
            let out = tempfile::tempdir().unwrap();
            match Command::new(program).args(args).arg(&archive).current_dir(out.path()).output() {
                Err(e)
                    if e.kind() == io::ErrorKind::NotFound
                        && (optional || std::env::var_os("CI").is_none()) =>
                {
                    eprintln!("SKIPPED: {program} is not installed");
                }
                Err(e) => panic!("{program}: {e}"),
                Ok(done) => {
                    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
                    same_files(&place.source, out.path());
                }
            }
        }
    }

    #[test]
    fn unpackable_folders_are_refused() {
        let place = place();
        let library_inside = Order { folder: place.games.parent().unwrap().to_owned(), ..order(&place) };
        assert!(matches!(pack(&library_inside, &place.games, |_| {}), Err(PackError::Overlap { .. })));
        let missing = Order { folder: place.source.join("missing"), ..order(&place) };
        assert!(matches!(pack(&missing, &place.games, |_| {}), Err(PackError::Source(..))));
        let empty = Order { folder: place.source.join("saves"), ..order(&place) };
        assert!(matches!(pack(&empty, &place.games, |_| {}), Err(PackError::Empty(_))));
        let picture = Order { cover: Some(place.source.join("game.exe")), ..order(&place) };
        assert!(matches!(pack(&picture, &place.games, |_| {}), Err(PackError::Cover(_))));
        for bad in ["none.exe", "../game.exe", "data", ""] {
            let start = Order { start: Some(bad.to_owned()), ..order(&place) };
            assert!(matches!(pack(&start, &place.games, |_| {}), Err(PackError::Start(_))), "{bad}");
        }
        let ahead = Order { version: GameVersion::new(99_991_231).unwrap(), ..order(&place) };
        assert!(matches!(pack(&ahead, &place.games, |_| {}), Err(PackError::DatedAhead(_))));
        let title = Order { title: Some("a\nb".to_owned()), ..order(&place) };
        assert!(matches!(pack(&title, &place.games, |_| {}), Err(PackError::GameFile(_))));
        assert_eq!(fs::read_dir(&place.games).unwrap().count(), 0);

        let taken = place.games.join("my-game");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("mine"), "mine").unwrap();
        assert!(matches!(pack(&order(&place), &place.games, |_| {}), Err(PackError::Exists(_))));
        assert!(taken.join("mine").exists());
    }

    #[cfg(unix)]
    #[test]
    fn link_is_not_followed() {
        let place = place();
        std::os::unix::fs::symlink("/etc/passwd", place.source.join("link")).unwrap();
        assert!(matches!(pack(&order(&place), &place.games, |_| {}), Err(PackError::Link(_))));
        assert_eq!(fs::read_dir(&place.games).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn failed_packing_leaves_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let place = place();
        let last = place.source.join("zzz");
        fs::write(&last, "x").unwrap();
        fs::set_permissions(&last, fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(&last).is_ok() {
            // Root reads every file, so the test shrinks one instead while it is packed.
            let order = order(&place);
            let source = place.source.clone();
            let shrink = move |(done, _)| {
                if done > 0 {
                    let _ = fs::write(source.join("zzz"), "");
                }
            };
            assert!(matches!(pack(&order, &place.games, shrink), Err(PackError::Archive(_))));
        } else {
            assert!(matches!(pack(&order(&place), &place.games, |_| {}), Err(PackError::Source(..))));
        }
        assert_eq!(fs::read_dir(&place.games).unwrap().count(), 0);
    }
}
