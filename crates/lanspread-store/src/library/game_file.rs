//! `lanspread.toml` beside a game's archives: the game's title, and how to start it.
//!
//! The file belongs to the game and travels with it, so a stranger may have written it: its size is bounded and it is
//! only read as data. The catalogue overrides it. Keys that this version does not know are ignored, because a newer
//! version may have written them.

use std::path::Path;

use lanspread_types::RelPath;
use serde::{Deserialize, Serialize};

/// Name of the file, directly in the game's folder.
pub const GAME_FILE: &str = "lanspread.toml";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 200;
/// Most unknown keys that are remembered.
const UNKNOWN_KEYS_MAX: usize = 3;
/// Longest unknown key that is remembered, in characters.
const UNKNOWN_KEY_CHARS_MAX: usize = 40;

/// Content of a game's `lanspread.toml`. Every field is optional in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameFile {
    /// Title shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Program that starts the game, relative to `local/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<RelPath>,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The first keys of the file that mean nothing here: a typing mistake, or of a newer version.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// Why a game file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GameFileError {
    /// The text is not valid TOML of this form.
    #[error("{GAME_FILE} is not valid: {0}")]
    Invalid(#[from] toml::de::Error),
    /// The title is empty, too long, or has control characters such as line breaks.
    #[error("a title has 1 to {TITLE_CHARS_MAX} characters, on one line")]
    Title,
    /// The content cannot be written as TOML.
    #[error("{GAME_FILE} cannot be written: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

impl GameFile {
    /// Reads the file in a game's folder; `None` if there is none, or it is too large or unreadable.
    pub fn read(folder: &Path) -> Result<Option<Self>, GameFileError> {
        let path = folder.join(GAME_FILE);
        // A link could lead to a file that does not belong to the game.
        let small = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= FILE_BYTES_MAX);
        let text = if small { std::fs::read_to_string(&path).ok() } else { None };
        text.map(|text| Self::parse(&text)).transpose()
    }

    fn parse(text: &str) -> Result<Self, GameFileError> {
        let table: toml::Table = toml::from_str(text)?;
        let is_known = |key: &&String| matches!(key.as_str(), "title" | "start" | "args");
        let unknown = table.keys().filter(|key| !is_known(key)).take(UNKNOWN_KEYS_MAX);
        let unknown =
            unknown.map(|key| key.chars().filter(|c| !c.is_control()).take(UNKNOWN_KEY_CHARS_MAX).collect());
        let unknown = unknown.collect();
        let file = Self { unknown, ..table.try_into()? };
        file.check()?;
        Ok(file)
    }

    /// Returns the text to store in the file.
    pub fn to_text(&self) -> Result<String, GameFileError> {
        self.check()?;
        Ok(toml::to_string(self)?)
    }

    /// Returns whether the file states nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), GameFileError> {
        let good = |title: &str| {
            !title.trim().is_empty()
                && title.chars().count() <= TITLE_CHARS_MAX
                && !title.chars().any(char::is_control)
        };
        if self.title.as_deref().is_none_or(good) { Ok(()) } else { Err(GameFileError::Title) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn game_file_round_trips() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(GameFile::read(dir.path()).unwrap(), None);
        let file = GameFile {
            title: Some("Größe \"1\"".to_owned()),
            start: Some(RelPath::new("bin/go.exe").unwrap()),
            args: vec!["-x".to_owned()],
            unknown: Vec::new(),
        };
        for file in [file, GameFile::default()] {
            std::fs::write(dir.path().join(GAME_FILE), file.to_text().unwrap()).unwrap();
            assert_eq!(GameFile::read(dir.path()).unwrap(), Some(file));
        }
    }

    #[test]
    fn keys_of_a_newer_version_are_passed_over() {
        let newer = "start = \"go.exe\"\nbegin = 1\n\"\\u001b[31m\" = 2\n[[setup]]\nprogram = \"x\"\n";
        let file = GameFile::parse(newer).unwrap();
        assert_eq!(file.start, Some(RelPath::new("go.exe").unwrap()));
        assert_eq!(file.unknown, ["[31m", "begin", "setup"]);
        let many: String = (0..100).map(|n| format!("{}{n} = 1\n", "k".repeat(100))).collect();
        let unknown = GameFile::parse(&many).unwrap().unknown;
        assert_eq!((unknown.len(), unknown[0].len()), (UNKNOWN_KEYS_MAX, UNKNOWN_KEY_CHARS_MAX));
        assert!(GameFile::parse("start = 1").is_err(), "a known key still has its form");
    }

    #[test]
    fn a_title_is_one_bounded_line() {
        for bad in ["", " ", "a\nb", &"x".repeat(201)] {
            let file = GameFile { title: Some(bad.to_owned()), ..GameFile::default() };
            assert!(matches!(file.to_text(), Err(GameFileError::Title)), "{bad:?}");
            assert!(GameFile::parse(&format!("title = {bad:?}")).is_err(), "{bad:?}");
        }
    }
}
