//! Fingerprints: short forms of long keys and hashes that people compare by eye or by ear.
//!
//! A fingerprint is for people. Code compares whole keys wherever it has them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::CatalogKey;

/// Bytes of a fingerprint. A forger has to try 2^64 keys to find another key with the same fingerprint. Keys that are
/// alike only in their first and last digits differ in the groups between.
const FINGERPRINT_BYTES: usize = 8;
/// Hexadecimal digits in each group.
const GROUP_DIGITS: usize = 4;

/// Fingerprint of an organiser's key, which people compare.
///
/// The first eight bytes of the key's BLAKE3 hash, written as four groups of four hexadecimal digits, such as
/// `4f3a-91c2-77de-0b12`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

impl CatalogKey {
    /// Returns the fingerprint of the key.
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = blake3::hash(self.as_bytes());
        Fingerprint(std::array::from_fn(|at| hash.as_bytes()[at]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&groups(&hex(&self.0), "-"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is not a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is sixteen hexadecimal digits, such as 4f3a-91c2-77de-0b12")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads a fingerprint as people type it: with or without hyphens or spaces, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits = text.chars().filter(|c| !matches!(c, '-' | ' '));
        let digits: Option<Vec<u8>> = digits.map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == 2 * FINGERPRINT_BYTES).ok_or(FingerprintError)?;
        Ok(Self(std::array::from_fn(|at| (digits[2 * at] << 4) | digits[2 * at + 1])))
    }
}

/// An organiser as people name one: by the whole key or by its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Organiser {
    /// The whole key.
    Key(CatalogKey),
    /// The fingerprint. It can only stand for a key that this peer has already met.
    Fingerprint(Fingerprint),
}

impl Organiser {
    /// Returns true if this names the organiser with that key.
    pub fn is(&self, key: &CatalogKey) -> bool {
        match self {
            Self::Key(named) => named == key,
            Self::Fingerprint(named) => *named == key.fingerprint(),
        }
    }
}

impl fmt::Display for Organiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Fingerprint(fingerprint) => fingerprint.fmt(f),
        }
    }
}

/// A text that names no organiser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an organiser is named by a key of 64 hexadecimal digits or by its fingerprint, such as 4f3a-91c2-77de-0b12"
)]
pub struct OrganiserError;

impl FromStr for Organiser {
    type Err = OrganiserError;
    fn from_str(text: &str) -> Result<Self, OrganiserError> {
        let text = text.trim();
        let key = text.parse().map(Self::Key).ok();
        key.or_else(|| text.parse().map(Self::Fingerprint).ok()).ok_or(OrganiserError)
    }
}

impl TryFrom<String> for Organiser {
    type Error = OrganiserError;
    fn try_from(text: String) -> Result<Self, OrganiserError> {
        text.parse()
    }
}

impl From<Organiser> for String {
    fn from(organiser: Organiser) -> Self {
        organiser.to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes ASCII digits in groups of four, with `between` between the groups.
pub fn groups(digits: &str, between: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    let groups: Vec<String> = digits.chunks(GROUP_DIGITS).map(|group| group.iter().collect()).collect();
    groups.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_of_a_key_is_fixed() {
        let fingerprint = CatalogKey([7; 32]).fingerprint();
        let hash = blake3::hash(&[7; 32]).to_hex();
        assert_eq!(fingerprint.to_string(), groups(&hash[..16], "-"));
        assert_ne!(fingerprint, CatalogKey([8; 32]).fingerprint());
    }

    #[test]
    fn fingerprint_is_read_as_people_write_it() {
        let fingerprint = CatalogKey([7; 32]).fingerprint();
        let text = fingerprint.to_string();
        for written in [text.clone(), text.to_uppercase(), text.replace('-', ""), text.replace('-', " ")] {
            assert_eq!(written.parse(), Ok(fingerprint));
        }
        for bad in ["", "4f3a", "4f3a-91c2-77de-0b1g", "4f3a-91c2-77de-0b12-0000", "ä"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad:?}");
        }
    }

    #[test]
    fn organiser_is_named_by_key_or_fingerprint() {
        let key = CatalogKey([7; 32]);
        for text in [key.to_string(), key.fingerprint().to_string(), format!(" {key}\n")] {
            let organiser: Organiser = text.parse().unwrap();
            assert!(organiser.is(&key) && !organiser.is(&CatalogKey([8; 32])), "{text}");
            assert_eq!(organiser.to_string().parse(), Ok(organiser));
        }
        assert_eq!("ada".parse::<Organiser>(), Err(OrganiserError));
    }

    #[test]
    fn digits_are_grouped_by_four() {
        assert_eq!(groups("0123456789", " "), "0123 4567 89");
        assert_eq!(groups("", " "), "");
    }
}
