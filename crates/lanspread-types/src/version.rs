//! Version of a game: an eight-digit date stamp, read from the sentinel `version.ini`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version of a game as `version.ini` states it: a date stamp `YYYYMMDD` such as `20250101`. Later dates compare
/// greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GameVersion(u32);

/// Why a text or a file states no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is not a date stamp; holds its first 40 characters.
    #[error("{0:?} is not an eight-digit date stamp such as 20250101")]
    NotADate(String),
    /// The file states no version.
    #[error("no version found: the file is empty or has no eight-digit date stamp such as 20250101")]
    Missing,
    /// The file has more than [`SENTINEL_BYTES_MAX`] bytes.
    #[error("version.ini is larger than {SENTINEL_BYTES_MAX} bytes")]
    TooLarge,
    /// The file states two different versions.
    #[error("version.ini names two versions, {0} and {1}")]
    Two(GameVersion, GameVersion),
}

/// Largest `version.ini` that is read, in bytes.
pub const SENTINEL_BYTES_MAX: usize = 4096;

impl GameVersion {
    /// Makes a version from a stamp such as `20_250_101`: year 1970–9999, month 1–12, day 1–31. It does not check the
    /// length of the month.
    pub fn new(stamp: u32) -> Result<Self, VersionError> {
        let (year, month, day) = (stamp / 10_000, stamp / 100 % 100, stamp % 100);
        if (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day) {
            Ok(Self(stamp))
        } else {
            Err(VersionError::NotADate(stamp.to_string()))
        }
    }

    /// Returns the date stamp as a number.
    pub const fn stamp(self) -> u32 {
        self.0
    }

    /// Reads the content of `version.ini`: the bare stamp, or the value of a `version` key in any section.
    ///
    /// # Errors
    ///
    /// Fails if the file is too large, states no version, or states different ones.
    pub fn parse_sentinel(content: &[u8]) -> Result<Self, VersionError> {
        if content.len() > SENTINEL_BYTES_MAX {
            return Err(VersionError::TooLarge);
        }
        let text = String::from_utf8_lossy(content);
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let mut found = None;
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with([';', '#', '['])) {
            let value = match line.split_once('=') {
                Some((key, value)) if key.trim().eq_ignore_ascii_case("version") => {
                    value.trim().trim_matches('"')
                }
                Some(_) => continue,
                None => line,
            };
            let version: Self = value.parse()?;
            match found {
                Some(first) if first != version => return Err(VersionError::Two(first, version)),
                _ => found = Some(version),
            }
        }
        found.ok_or(VersionError::Missing)
    }
}

impl FromStr for GameVersion {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let not_a_date = || VersionError::NotADate(text.chars().take(40).collect());
        if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_a_date());
        }
        Self::new(text.parse().map_err(|_| not_a_date())?)
    }
}

impl TryFrom<String> for GameVersion {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<GameVersion> for String {
    fn from(version: GameVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for GameVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

impl fmt::Debug for GameVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_read_in_both_forms() {
        for good in [
            "20250101",
            "20250101\r\n",
            "\u{feff}20250101",
            "[game]\nversion=20250101\n",
            "; c\n[x]\nVersion = \"20250101\"\n",
            "name=foo\nversion=20250101",
        ] {
            assert_eq!(
                GameVersion::parse_sentinel(good.as_bytes()),
                GameVersion::new(20_250_101),
                "{good:?}"
            );
        }
    }

    #[test]
    fn garbage_is_no_version() {
        for bad in [
            "",
            "\n\n",
            "[game]\n",
            "abc",
            "2025010",
            "202501011",
            "20251301",
            "20250132",
            "name=x",
            "version=",
            "20250101\n20250102",
        ] {
            assert!(GameVersion::parse_sentinel(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(GameVersion::parse_sentinel(&[0xff; 8]).is_err());
        assert_eq!(GameVersion::parse_sentinel(&[b'1'; 5000]), Err(VersionError::TooLarge));
    }
}
