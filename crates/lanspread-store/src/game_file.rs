//! `lanspread.toml` beside a game's archives: what people call the game, and how it is started.
//!
//! The file belongs to the game and travels with it, so it is other people's text: bounded, and read as data only. A
//! catalogue counts more.

use std::path::Path;

use lanspread_types::RelPath;
use serde::{Deserialize, Serialize};

/// The file's name, in the game's own folder.
pub const GAME_FILE: &str = "lanspread.toml";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest title.
const TITLE_CHARS_MAX: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GameFile {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The program that starts it, relative to `local/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<RelPath>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum GameFileError {
    #[error("{GAME_FILE} is not valid: {0}")]
    Invalid(#[from] toml::de::Error),
    #[error("a title has 1 to {TITLE_CHARS_MAX} characters, on one line")]
    Title,
    #[error("{GAME_FILE} cannot be written: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

impl GameFile {
    /// Reads that of a game's folder; `None` if there is none that can be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, GameFileError> {
        let path = folder.join(GAME_FILE);
        // A link may lead to what is no business of the game's.
        let small = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= FILE_BYTES_MAX);
        let text = if small { std::fs::read_to_string(&path).ok() } else { None };
        text.map(|text| Self::parse(&text)).transpose()
    }

    fn parse(text: &str) -> Result<Self, GameFileError> {
        let file: Self = toml::from_str(text)?;
        file.check()?;
        Ok(file)
    }

    /// The file's text.
    pub fn to_text(&self) -> Result<String, GameFileError> {
        self.check()?;
        Ok(toml::to_string(self)?)
    }

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
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(GameFile::read(dir.path()).unwrap(), None);
        let file = GameFile {
            title: Some("Größe \"1\"".to_owned()),
            start: Some(RelPath::new("bin/go.exe").unwrap()),
            args: vec!["-x".to_owned()],
        };
        for file in [file, GameFile::default()] {
            std::fs::write(dir.path().join(GAME_FILE), file.to_text().unwrap()).unwrap();
            assert_eq!(GameFile::read(dir.path()).unwrap(), Some(file));
        }
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
