//! Identifiers of games, peers, organisers and contents, and the name of a peer.
//!
//! Each type checks its text when it is made, so a `GameId` is always a valid folder name and a `PeerName` has no
//! invisible characters. The 32-byte ids are keys or hashes: any bytes are valid, and this module does not verify
//! whose they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{GAME_ID_BYTES_MAX, PEER_NAME_BYTES_MAX};
use crate::name::first_invisible;
use crate::path::is_reserved_name;

/// Id of a game, which is also the name of its folder.
///
/// 1–64 ASCII letters, digits, `-`, `_` or `.`; it neither starts nor ends with a dot and is not a name that Windows
/// reserves. Clones share their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GameId(Arc<str>);

/// Why a text is not a game id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GameIdError {
    /// The text is empty or too long; holds its length in bytes.
    #[error("a game id has 1 to {GAME_ID_BYTES_MAX} characters, this one has {0}")]
    Length(usize),
    /// Holds the first character that is not allowed.
    #[error("a game id consists of ASCII letters, digits, '-', '_' and '.', not {0:?}")]
    Character(char),
    /// The text starts or ends with a dot.
    #[error("a game id neither starts nor ends with a dot: {0:?}")]
    Dot(String),
    /// Windows reserves the name for a device.
    #[error("{0:?} is a name that Windows reserves")]
    Reserved(String),
}

impl GameId {
    /// Checks a text and returns it as an id.
    pub fn new(id: impl Into<String>) -> Result<Self, GameIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > GAME_ID_BYTES_MAX {
            return Err(GameIdError::Length(id.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(c) = id.chars().find(|&c| !allowed(c)) {
            return Err(GameIdError::Character(c));
        }
        if id.starts_with('.') || id.ends_with('.') {
            return Err(GameIdError::Dot(id));
        }
        if is_reserved_name(&id) {
            return Err(GameIdError::Reserved(id));
        }
        Ok(Self(id.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for GameId {
    type Error = GameIdError;
    fn try_from(id: String) -> Result<Self, GameIdError> {
        Self::new(id)
    }
}

impl From<GameId> for String {
    fn from(id: GameId) -> Self {
        id.as_str().to_owned()
    }
}

impl FromStr for GameId {
    type Err = GameIdError;
    fn from_str(id: &str) -> Result<Self, GameIdError> {
        Self::new(id)
    }
}

impl fmt::Display for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name that a person gives to their PC.
///
/// 1–64 bytes of UTF-8, not blank, without invisible characters. It is shown to people; it is not trusted and is not
/// an identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerName(String);

/// Why a text is not a peer name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerNameError {
    /// The text is blank or too long; holds its length in bytes.
    #[error("a name has 1 to {PEER_NAME_BYTES_MAX} bytes, this one has {0}")]
    Length(usize),
    /// Holds the first character that people cannot see.
    #[error("a name has no invisible characters, such as U+{:04X}", *.0 as u32)]
    Invisible(char),
}

impl PeerName {
    /// Checks a text and returns it as a name.
    pub fn new(name: impl Into<String>) -> Result<Self, PeerNameError> {
        let name = name.into();
        if name.trim().is_empty() || name.len() > PEER_NAME_BYTES_MAX {
            return Err(PeerNameError::Length(name.len()));
        }
        if let Some(c) = first_invisible(&name) {
            return Err(PeerNameError::Invisible(c));
        }
        Ok(Self(name))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PeerName {
    type Error = PeerNameError;
    fn try_from(name: String) -> Result<Self, PeerNameError> {
        Self::new(name)
    }
}

impl From<PeerName> for String {
    fn from(name: PeerName) -> Self {
        name.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Declares an id of 32 bytes that is written as 64 lower-case hexadecimal digits.
macro_rules! id32 {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Makes an id from its bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Returns the first eight hexadecimal digits: enough for people to tell the ids of one list apart.
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = HexIdError;
            fn from_str(text: &str) -> Result<Self, HexIdError> {
                parse_hex(text).map(Self)
            }
        }
    };
}
pub(crate) use id32;

id32! {
    /// Id of a peer: its Ed25519 public key (RFC 8032), proven in the TLS handshake.
    PeerId
}

impl PeerId {
    /// Returns a name for a peer that has none: `guest-` and the short id.
    pub fn guest_name(&self) -> PeerName {
        PeerName(format!("guest-{}", self.short()))
    }
}

id32! {
    /// Key of an organiser: the Ed25519 public key (RFC 8032) that signs the catalogue.
    CatalogKey
}

id32! {
    /// Id of the content of one game version: the BLAKE3 hash of its manifest's canonical encoding.
    ContentId
}

/// A text that is not an id of 64 hexadecimal digits; holds its first 80 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is written as 64 hexadecimal digits: {0:?}")]
pub struct HexIdError(String);

pub(crate) fn parse_hex(text: &str) -> Result<[u8; 32], HexIdError> {
    let fail = || HexIdError(text.chars().take(80).collect());
    if text.len() != 64 || !text.is_ascii() {
        return Err(fail());
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let nibble = |d: u8| (d as char).to_digit(16).map(|n| n as u8);
        *byte = (nibble(digits[0]).ok_or_else(fail)? << 4) | nibble(digits[1]).ok_or_else(fail)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn game_ids_are_plain_folder_names() {
        for good in ["ggoo", "bf1942", "half-life_2.ep1", "A", &"x".repeat(64)] {
            assert_eq!(GameId::new(good).map(|id| id.to_string()).as_deref(), Ok(good));
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "dot.",
            "a/b",
            "a\\b",
            "C:",
            "con",
            "NUL.txt",
            "ä",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(GameId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn peer_names_are_one_visible_line() {
        assert!(PeerName::new("Jörg's PC 🎮").is_ok());
        for bad in ["", "  ", "a\nb", "\u{1b}[31m", "a\u{202e}b", "a\u{200b}", &"x".repeat(65)] {
            assert!(PeerName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_round_trip_through_hex() {
        let id = PeerId::from_bytes(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00", &"g".repeat(64), &"ä".repeat(32)] {
            assert!(bad.parse::<PeerId>().is_err());
        }
    }
}
