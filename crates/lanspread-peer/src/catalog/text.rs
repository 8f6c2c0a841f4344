//! The catalogue as a TOML file: reading, checking and writing. Signatures are checked in `signed`.
//!
//! An unknown field is an error, so that a typing mistake cannot remove a pin. `docs/catalogue.md` explains the format:
//!
//! ```toml
//! title = "Friday"                  # optional
//! serial = 3                        # the edition; required for a signature
//!
//! [[game]]
//! id = "ggoo"
//! version = "20250101"
//! title = "Great Game of Old"       # optional, like every field below
//! content = "cb4d…"                 # pins the content id, 64 hexadecimal digits
//! players = "2-16"
//! genre = "shooter"
//! cover = "blake3:09c2…"            # or a small picture: "data:image/png;base64,…"
//! start = "bin/ggoo.exe -lan"
//!
//! [[group]]                         # peers behind one switch; optional
//! name = "Row A"
//! cidrs = ["10.1.0.0/24"]
//! ```

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use lanspread_core::catalog::{Catalog, CatalogEntry, GameAbout};
use lanspread_types::limits::{CATALOG_BYTES_MAX, GAMES_PER_PEER_MAX};
use lanspread_types::{ContentId, GameId, GameVersion};
use serde::{Deserialize, Serialize};

use crate::catalog::group::{GroupText, one_line, to_groups};

/// Longest title or genre, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// Longest start command, in characters.
const START_CHARS_MAX: usize = 512;
/// Longest cover, in characters of its text: a picture of some 48 KiB.
const COVER_CHARS_MAX: usize = 64 << 10;

/// Why a catalogue, or a key for one, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file cannot be read.
    #[error("cannot read the catalogue {path}: {source}")]
    Read {
        /// The catalogue, or the organiser's key file.
        path: PathBuf,
        /// Failure of the system.
        source: std::io::Error,
    },
    /// A file is too large for a catalogue.
    #[error("the catalogue {path} is larger than {CATALOG_BYTES_MAX} bytes")]
    TooLarge {
        /// The catalogue.
        path: PathBuf,
    },
    /// A file is not a catalogue, breaks a bound, or has a wrong signature.
    #[error("the catalogue {path} is not valid: {reason}")]
    Invalid {
        /// The catalogue.
        path: PathBuf,
        /// What is wrong with it, for people.
        reason: String,
    },
    /// The file has no signature, or one by another key than the owner trusts.
    #[error("the catalogue {path} is not signed by the key {key}: {reason}")]
    NotSigned {
        /// The catalogue.
        path: PathBuf,
        /// The key that the owner trusts.
        key: String,
        /// What was found instead of its signature, for people.
        reason: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Failure of the system.
        source: std::io::Error,
    },
    /// An organiser's key file holds no key, or no key can be made.
    #[error("{path} is not a catalogue key: {reason}")]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it, for people; never a part of the key.
        reason: String,
    },
}

/// A catalogue as it stands in its file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogText {
    /// Name of the catalogue, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Edition, at least 1; the higher one is the newer one. A signature requires it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Games of the party.
    #[serde(default)]
    pub game: Vec<GameText>,
    /// Named networks of a room with several switches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupText>,
}

/// A game as it stands in a catalogue file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GameText {
    /// Id of the game, which is the name of its folder.
    pub id: GameId,
    /// Version that counts.
    pub version: GameVersion,
    /// Name for people; one line of at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Content id, 64 hexadecimal digits, which pins the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Number of players, such as `4` or `2-16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players: Option<String>,
    /// Kind of game; one line of at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// Picture as a `data:` URL, or `blake3:` and the hash of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// Command that starts the game, below its `local/`; one line of at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// Reads a whole file. Fails if it is larger than a catalogue may be.
pub fn read(path: &Path) -> Result<Vec<u8>, CatalogError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CATALOG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| CatalogError::Read { path: path.to_owned(), source })?;
    if bytes.len() > CATALOG_BYTES_MAX {
        return Err(CatalogError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Reads a catalogue file. Does not check its signature.
pub fn load(path: &Path) -> Result<Catalog, CatalogError> {
    let bytes = read(path)?;
    let parsed = parse(&bytes).and_then(|text| text.to_catalog());
    parsed.map_err(|reason| CatalogError::Invalid { path: path.to_owned(), reason })
}

/// Parses the text of a catalogue. Checks only its form; [`CatalogText::to_catalog`] checks the bounds. The error
/// says why.
pub fn parse(bytes: &[u8]) -> Result<CatalogText, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    toml::from_str(text).map_err(|e| e.to_string())
}

impl CatalogText {
    /// Checks the bounds and returns the list that a peer uses. The error says which entry is wrong.
    pub fn to_catalog(&self) -> Result<Catalog, String> {
        bounded("title", &self.title, TEXT_CHARS_MAX)?;
        if self.game.len() > GAMES_PER_PEER_MAX {
            return Err(format!("more than {GAMES_PER_PEER_MAX} games"));
        }
        let mut games = BTreeMap::new();
        for game in &self.game {
            let entry = game.to_entry().map_err(|e| format!("{}: {e}", game.id))?;
            if games.insert(game.id.clone(), entry).is_some() {
                return Err(format!("{} is listed twice", game.id));
            }
        }
        Ok(Catalog::Listed { games, groups: to_groups(&self.group)? })
    }

    /// Writes the catalogue as TOML: the same bytes for the same content.
    pub fn to_toml(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|e| e.to_string())
    }
}

impl GameText {
    fn to_entry(&self) -> Result<CatalogEntry, String> {
        let content = self.content.as_deref().map(str::parse::<ContentId>).transpose();
        bounded("title", &self.title, TEXT_CHARS_MAX)?;
        bounded("genre", &self.genre, TEXT_CHARS_MAX)?;
        bounded("start", &self.start, START_CHARS_MAX)?;
        let about = GameAbout {
            players: self.players.as_deref().map(players).transpose()?,
            genre: self.genre.clone(),
            cover: self.cover.as_deref().map(cover).transpose()?,
            start: self.start.clone(),
        };
        let content = content.map_err(|e| e.to_string())?;
        Ok(CatalogEntry { version: self.version, title: self.title.clone(), content, about })
    }
}

/// Checks an optional text with [`one_line`].
fn bounded(what: &str, text: &Option<String>, max: usize) -> Result<(), String> {
    text.as_deref().map_or(Ok(()), |text| one_line(what, text, max))
}

/// Parses a number of players, such as `4` or `2-16`.
fn players(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|&n| n > 0);
    let range = match text.split_once('-') {
        None => number(text).map(|n| (n, n)),
        Some((from, to)) => number(from).zip(number(to)),
    };
    range
        .filter(|(from, to)| from <= to)
        .ok_or_else(|| "players is a number or a range, such as 2-16".to_owned())
}

/// Checks a cover: an embedded picture, in a format that cannot contain a script, or the hash of a picture.
fn cover(text: &str) -> Result<String, String> {
    let is_base64 = |data: &str| {
        let digits = data.trim_end_matches('=');
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        !digits.is_empty()
            && data.len().is_multiple_of(4)
            && data.len() - digits.len() <= 2
            && digits.bytes().all(known)
    };
    let embedded = ["png", "jpeg", "webp"]
        .iter()
        .find_map(|kind| text.strip_prefix(&format!("data:image/{kind};base64,")))
        .is_some_and(|data| text.len() <= COVER_CHARS_MAX && is_base64(data));
    let hashed = text.strip_prefix("blake3:").is_some_and(|hash| hash.parse::<ContentId>().is_ok());
    if embedded || hashed {
        return Ok(text.to_owned());
    }
    Err(format!(
        "cover is blake3: and 64 hexadecimal digits, or data:image/png;base64, (or jpeg, webp) and at most {COVER_CHARS_MAX} characters in all"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(text: &str) -> Result<Catalog, String> {
        parse(text.as_bytes())?.to_catalog()
    }

    #[test]
    fn a_catalogue_lists_games() {
        let catalog = catalog("[[game]]\nid = 'ggoo'\nversion = '20250101'\ntitle = 'G'\nplayers='2-16'\ngenre='shooter'\ncover='data:image/png;base64,AAAA'\nstart='x.exe'").unwrap();
        let entry = catalog.entry(&GameId::new("ggoo").unwrap()).unwrap();
        assert_eq!((entry.version.stamp(), entry.title.as_deref()), (20_250_101, Some("G")));
        assert_eq!((entry.about.players, entry.about.genre.as_deref()), (Some((2, 16)), Some("shooter")));
        assert!(!catalog.knows(&GameId::new("other").unwrap()));
    }

    #[test]
    fn mistakes_are_reported() {
        let twice = "[[game]]\nid='a'\nversion='20250101'\n[[game]]\nid='a'\nversion='20250102'";
        let with = |line: &str| format!("[[game]]\nid='a'\nversion='20250101'\n{line}");
        let bad_cover = |cover: &str| (with(&format!("cover='{cover}'")), "cover is");
        for (text, part) in [
            (twice.to_owned(), "listed twice"),
            ("[[game]]\nid='a'".to_owned(), "version"),
            ("[[game]]\nid='../a'\nversion='20250101'".to_owned(), "game id"),
            ("[[game]]\nid='a'\nversion='2025'".to_owned(), "date stamp"),
            (with("content='12'"), "64 hexadecimal"),
            (with("colour='red'"), "colour"),
            (with("players='16-2'"), "players"),
            (with("players='0'"), "players"),
            (with("start=\"a\\nb\""), "one line"),
            (with(&format!("title='{}'", "x".repeat(201))), "title"),
            bad_cover("data:image/svg+xml;base64,AAAA"),
            bad_cover("data:image/png;base64,AA\"onload"),
            bad_cover("http://example.org/x.png"),
            bad_cover(&format!("data:image/png;base64,{}", "A".repeat(COVER_CHARS_MAX))),
        ] {
            let error = catalog(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn written_catalogue_reads_the_same() {
        let text = "title = 'Friday'\nserial = 3\n[[game]]\nid='b'\nversion='20250101'\ncontent='".to_owned()
            + &"ab".repeat(32)
            + "'\n[[game]]\nid='a'\nversion='20250102'\nplayers='4'\n[[group]]\nname='Row A'\ncidrs=['10.1.0.0/24', '2001:db8::/48']\n";
        let first = parse(text.as_bytes()).unwrap();
        let written = first.to_toml().unwrap();
        let second = parse(written.as_bytes()).unwrap();
        assert_eq!(first.to_catalog(), second.to_catalog());
        assert_eq!((second.serial, second.to_toml().unwrap()), (Some(3), written));
    }
}
