//! The first start of an installed game: stamps the player's name and language into it, once per install, and finds the
//! program that starts it.
//!
//! | file | stamped with |
//! | --- | --- |
//! | `account_name.txt` | the name, in place of the first line's text |
//! | `language.txt` | the language, likewise |
//! | `SmartSteamEmu.ini` | the name, as the value of the first line `PersonaName =` |
//!
//! Of each file name, only the first file below `local/` is stamped: search goes level by level, and within a level in
//! the order of the paths; names are compared without regard to case. Byte order mark, encoding (UTF-8 or UTF-16 with a
//! mark), line endings and all other content stay as they are. A file is replaced as a whole, never written in place.
//! Links are not followed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lanspread_core::io::{DiskError, Play, Stamped, StartCommand, StartInfo};
use lanspread_types::{GameId, RelPath, failpoint};

use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::install::streamed_files;
use crate::library::game_file::{GAME_FILE, GameFile};
use crate::library::scan::{local_folder, read_sentinel};
use crate::store::{ChangeError, Store};

/// Largest file that is stamped, in bytes.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Maximum depth of the search for files to stamp.
const DEPTH_MAX: usize = 16;
/// Number of files and folders after which the search goes no deeper.
const ENTRIES_MAX: usize = 200_000;

/// Why a game cannot be started or stamped.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The game is not installed.
    #[error("{0} is not installed")]
    NotInstalled(GameId),
    /// Neither the catalogue nor the game's folder names a program.
    #[error("{0} has no start program; name it in {GAME_FILE} in the game's folder")]
    NoStart(GameId),
    /// The named program cannot be started, or the game file is not valid.
    #[error("{game} cannot be started: {reason}")]
    BadStart {
        /// Game to start.
        game: GameId,
        /// Why it cannot be started, for people.
        reason: String,
    },
    /// The game's folder cannot be changed now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

impl From<PlayError> for DiskError {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Io(fault) => fault.into(),
            PlayError::NoStart(_) | PlayError::BadStart { .. } => Self::CannotStart(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

/// A program of an installed game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// File of the program.
    pub path: PathBuf,
    /// Arguments to start it with.
    pub args: Vec<String>,
}

impl Store {
    /// Stamps name and language into an installed game, unless that was done since its install.
    pub fn stamp(&self, game: &GameId, play: &Play) -> Result<Stamped, PlayError> {
        let _change = self.begin_change(game)?;
        let local = self.local(game)?;
        if self.note(game)?.is_some_and(|note| note.played) {
            return Ok(Stamped { already_applied: true, ..Stamped::default() });
        }
        let mut stamped = Stamped::default();
        for (path, what) in first_files(&local)? {
            let value = if what == StampTarget::Language { &play.language } else { &play.user_name };
            if self.stamp_file(&path.to_path(&local), what, value)? {
                stamped.wrote.push(path);
            }
        }
        if !failpoint!("forget-played") {
            self.note_played(game)?;
        }
        Ok(stamped)
    }

    /// Writes a value into a file. Returns whether the file was rewritten.
    fn stamp_file(&self, path: &Path, what: StampTarget, value: &str) -> Result<bool, Fault> {
        let content = fs::read(path).or_fault("read", path)?;
        let Some(mut new) = with_value(&content, what, value).filter(|new| *new != content) else {
            return Ok(false);
        };
        if new.contains(&b'\r') && failpoint!("stamp-lf") {
            new.retain(|byte| *byte != b'\r');
        }
        let permissions = fs::metadata(path).or_fault("look at", path)?.permissions();
        files::replace(&self.layout().scratch(), path, &new)?;
        fs::set_permissions(path, permissions).or_fault("set the permissions of", path)?;
        Ok(true)
    }

    /// Returns the program that starts the game: from the catalogue or, if it names none, from the game's folder.
    pub fn program(&self, game: &GameId, catalogued: Option<&StartCommand>) -> Result<Program, PlayError> {
        self.find_program(game, catalogued).map(|(program, _)| program)
    }

    /// Returns the program, and whether the game's folder names it.
    fn find_program(
        &self,
        game: &GameId,
        catalogued: Option<&StartCommand>,
    ) -> Result<(Program, bool), PlayError> {
        let bad = |reason: String| PlayError::BadStart { game: game.clone(), reason };
        let local = self.local(game)?;
        let catalogued = catalogued.and_then(|c| Some((c.program.clone()?, c.args.clone())));
        let from_game_file = catalogued.is_none();
        let (program, args) = match catalogued {
            Some(start) => start,
            None => {
                let folders = streamed_files::folders(self.layout(), game);
                let file = folders.iter().find_map(|folder| GameFile::read(folder).transpose()).transpose();
                let file = file.map_err(|e| bad(e.to_string()))?.unwrap_or_default();
                let start = file.start.ok_or_else(|| match file.unknown.as_slice() {
                    [] => PlayError::NoStart(game.clone()),
                    keys => bad(format!("{GAME_FILE} has no start, but unknown keys: {}", keys.join(", "))),
                })?;
                (start, file.args)
            }
        };
        let path =
            without_links(&local, &program).ok_or_else(|| bad(format!("there is no file {program}")))?;
        Ok((Program { path, args }, from_game_file))
    }

    /// Returns what a start would run, and what is recorded about its origin.
    pub fn look_at_start(
        &self,
        game: &GameId,
        catalogued: Option<&StartCommand>,
    ) -> Result<StartInfo, PlayError> {
        let (program, from_game_file) = self.find_program(game, catalogued)?;
        let provenance = self.provenance(game)?;
        let version = read_sentinel(&self.layout().game(game)).ok();
        Ok(StartInfo {
            program: program.path.display().to_string(),
            args: program.args,
            from_game_file,
            noted: self.note(game)?.is_some_and(|note| note.version.is_some()),
            installed: self.installed_content(game, &provenance)?,
            downloaded: version.and_then(|version| provenance.content_of_version(version)),
            provenance,
        })
    }

    fn local(&self, game: &GameId) -> Result<PathBuf, PlayError> {
        let folder = self.layout().game(game);
        let local = local_folder(&folder)?.ok_or_else(|| PlayError::NotInstalled(game.clone()))?;
        Ok(folder.join(local))
    }
}

/// Returns the path of an ordinary file that is reached without following a link.
fn without_links(root: &Path, path: &RelPath) -> Option<PathBuf> {
    let mut at = root.to_path_buf();
    for component in path.components() {
        at.push(component);
        let metadata = fs::symlink_metadata(&at).ok()?;
        if files::is_link(&metadata) {
            return None;
        }
    }
    at.is_file().then_some(at)
}

/// Kind of file to stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StampTarget {
    AccountName,
    Language,
    PersonaName,
}

impl StampTarget {
    const ALL: [Self; 3] = [Self::AccountName, Self::Language, Self::PersonaName];

    const fn file_name(self) -> &'static str {
        match self {
            Self::AccountName => "account_name.txt",
            Self::Language => "language.txt",
            Self::PersonaName => "SmartSteamEmu.ini",
        }
    }
}

/// Returns the first file of each kind.
fn first_files(local: &Path) -> Result<Vec<(RelPath, StampTarget)>, Fault> {
    let mut found: BTreeMap<StampTarget, RelPath> = BTreeMap::new();
    let mut level: Vec<Option<RelPath>> = vec![None];
    let mut seen = 0;
    for _ in 0..DEPTH_MAX {
        let mut next = Vec::new();
        for folder in &level {
            let path = folder.as_ref().map_or_else(|| local.to_path_buf(), |f| f.to_path(local));
            for entry in fs::read_dir(&path).or_fault("read the folder", &path)?.flatten() {
                seen += 1;
                let Some(rel) = entry.file_name().to_str().and_then(|name| match folder {
                    Some(above) => above.join(name).ok(),
                    None => RelPath::new(name).ok(),
                }) else {
                    continue;
                };
                let Ok(metadata) = entry.metadata() else { continue };
                if files::is_link(&metadata) {
                    continue;
                }
                if metadata.is_dir() {
                    next.push(Some(rel));
                } else if metadata.is_file() && metadata.len() <= SMALL_BYTES_MAX {
                    note_if_first(&mut found, rel);
                }
            }
        }
        next.sort();
        if next.is_empty() || found.len() == StampTarget::ALL.len() || seen > ENTRIES_MAX {
            break;
        }
        level = next;
    }
    Ok(found.into_iter().map(|(what, path)| (path, what)).collect())
}

/// Keeps a file if it is the first of its name so far. On one level the smaller path wins; a file on a deeper level
/// never replaces one above it.
fn note_if_first(found: &mut BTreeMap<StampTarget, RelPath>, path: RelPath) {
    let name = path.components().last().unwrap_or_default();
    let Some(what) = StampTarget::ALL.into_iter().find(|w| w.file_name().eq_ignore_ascii_case(name)) else {
        return;
    };
    let depth = |p: &RelPath| p.components().count();
    let later = found.get(&what).is_some_and(|first| (depth(first), first) < (depth(&path), &path));
    if !later || failpoint!("stamp-last-file") {
        found.insert(what, path);
    }
}

/// Returns the file's content with the value in it; `None` if it has no place for the value.
fn with_value(content: &[u8], what: StampTarget, value: &str) -> Option<Vec<u8>> {
    match content {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, what, value, u16::from_le_bytes, u16::to_le_bytes)
            .map(|new| [&[0xFF, 0xFE], &new[..]].concat()),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, what, value, u16::from_be_bytes, u16::to_be_bytes)
            .map(|new| [&[0xFE, 0xFF], &new[..]].concat()),
        [0xEF, 0xBB, 0xBF, rest @ ..] => replaced(rest, what, value.as_bytes(), u32::from)
            .map(|new| [&[0xEF, 0xBB, 0xBF], &new[..]].concat()),
        _ => replaced(content, what, value.as_bytes(), u32::from),
    }
}

fn utf16(
    bytes: &[u8],
    what: StampTarget,
    value: &str,
    read: fn([u8; 2]) -> u16,
    write: fn(u16) -> [u8; 2],
) -> Option<Vec<u8>> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
    let value: Vec<u16> = value.encode_utf16().collect();
    let new = replaced(&units, what, &value, u32::from)?;
    Some(new.into_iter().flat_map(write).collect())
}

/// Replaces the part of a text that holds the value. Works on the code units of any encoding that contains ASCII.
fn replaced<U: Copy + PartialEq>(
    text: &[U],
    what: StampTarget,
    value: &[U],
    code: fn(U) -> u32,
) -> Option<Vec<U>> {
    let range = match what {
        StampTarget::AccountName | StampTarget::Language => 0..end_of_line(text, code),
        StampTarget::PersonaName => persona_value(text, code)?,
    };
    Some([&text[..range.start], value, &text[range.end..]].concat())
}

fn end_of_line<U: Copy>(text: &[U], code: fn(U) -> u32) -> usize {
    text.iter().position(|&u| matches!(code(u), 10 | 13)).unwrap_or(text.len())
}

/// Returns where the value of the first line `PersonaName = value` is, without surrounding blanks. Comments are
/// skipped.
fn persona_value<U: Copy>(text: &[U], code: fn(U) -> u32) -> Option<std::ops::Range<usize>> {
    const KEY: &[u8] = b"personaname";
    let is_blank = |u: U| matches!(code(u), 9 | 32);
    let mut start = 0;
    while start < text.len() {
        let line = &text[start..start + end_of_line(&text[start..], code)];
        let indent = line.iter().take_while(|&&u| is_blank(u)).count();
        let lower = |u: U| u8::try_from(code(u)).map_or(0, |byte| byte.to_ascii_lowercase());
        let named = line.len() >= indent + KEY.len()
            && line[indent..indent + KEY.len()].iter().zip(KEY).all(|(&u, &k)| lower(u) == k);
        if named {
            let mut at = indent + KEY.len();
            at += line[at..].iter().take_while(|&&u| is_blank(u)).count();
            if line.get(at).is_some_and(|&u| code(u) == u32::from(b'=')) {
                at += 1;
                at += line[at..].iter().take_while(|&&u| is_blank(u)).count();
                let end = line.len() - line[at..].iter().rev().take_while(|&&u| is_blank(u)).count();
                return Some(start + at..start + end.max(at));
            }
        }
        start += line.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(content: &[u8], what: StampTarget) -> Option<Vec<u8>> {
        with_value(content, what, "Jö")
    }

    #[test]
    fn only_the_value_changes() {
        let table: [(&[u8], &[u8]); 7] = [
            (b"Player\r\nrest\r\n", "Jö\r\nrest\r\n".as_bytes()),
            (b"Player", "Jö".as_bytes()),
            (b"", "Jö".as_bytes()),
            (b"\r\nx", "Jö\r\nx".as_bytes()),
            (b"\xEF\xBB\xBFPlayer\n", "\u{FEFF}Jö\n".as_bytes()),
            (b"\xFF\xFEP\0\r\0\n\0", b"\xFF\xFEJ\0\xF6\0\r\0\n\0"),
            (b"\xFE\xFF\0P\0\n", b"\xFE\xFF\0J\0\xF6\0\n"),
        ];
        for (before, after) in table {
            assert_eq!(stamped(before, StampTarget::AccountName).as_deref(), Some(after), "{before:?}");
        }
        assert_eq!(stamped(b"\xFF\xFEodd", StampTarget::AccountName), None, "half a unit");
    }

    #[test]
    fn only_the_name_of_an_ini_file_changes() {
        let before = b"[SmartSteamEmu]\r\n; PersonaName = comment\r\nPersonaNameX = no\r\n\
            \tpersonaname =  Old Name \r\nPersonaName = second\r\n";
        let after = "[SmartSteamEmu]\r\n; PersonaName = comment\r\nPersonaNameX = no\r\n\
            \tpersonaname =  Jö \r\nPersonaName = second\r\n";
        assert_eq!(stamped(before, StampTarget::PersonaName).as_deref(), Some(after.as_bytes()));
        assert_eq!(
            stamped(b"PersonaName=", StampTarget::PersonaName).as_deref(),
            Some("PersonaName=Jö".as_bytes())
        );
        assert_eq!(
            stamped(b"PersonaName =  \nx", StampTarget::PersonaName).as_deref(),
            Some("PersonaName =  Jö\nx".as_bytes())
        );
        assert_eq!(stamped(b"[x]\nName = y\n", StampTarget::PersonaName), None);
    }

    #[test]
    fn first_file_is_the_least_deep_one() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/account_name.txt", "a/z/account_name.txt", "c/Account_Name.TXT", "x/language.txt"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let found = first_files(dir.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names, ["b/account_name.txt", "x/language.txt"]);
    }
}
