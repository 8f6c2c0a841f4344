//! Closed parties: their names, their passphrases, and why two peers do not belong to the same party.
//!
//! The module checks what people type. It does not prove a passphrase to another peer: that is done in
//! `lanspread-net`, because a passphrase is never sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::limits::{
    PARTY_NAME_BYTES_MAX, PASS_PHRASE_BYTES_MAX, PASS_PHRASE_CHARS_MIN, PASS_PHRASE_COUNTED_MIN,
    PASS_PHRASE_DISTINCT_MIN,
};
use crate::name::first_invisible;

/// Name of a closed party: 1–64 bytes of UTF-8 in normal form NFC.
///
/// Everybody on the network sees it, so that a guest with a wrong passphrase learns which party's passphrase is
/// wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartyName(String);

/// Why a text is not the name of a party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartyNameError {
    /// The text is empty or too long; holds its length in bytes.
    #[error("a party's name has 1 to {PARTY_NAME_BYTES_MAX} bytes, this one has {0}")]
    Length(usize),
    /// The text has an invisible character, or white space at an end.
    #[error("a party's name has no invisible characters, and no spaces at its ends")]
    Character,
}

impl PartyName {
    /// Checks a name and brings it to normal form NFC. Two names mean the same party only if their characters are
    /// then equal.
    pub fn new(name: impl AsRef<str>) -> Result<Self, PartyNameError> {
        let name: String = name.as_ref().nfc().collect();
        if name.is_empty() || name.len() > PARTY_NAME_BYTES_MAX {
            return Err(PartyNameError::Length(name.len()));
        }
        if first_invisible(&name).is_some() || name.trim() != name {
            return Err(PartyNameError::Character);
        }
        Ok(Self(name))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PartyName {
    type Error = PartyNameError;
    fn try_from(name: String) -> Result<Self, PartyNameError> {
        Self::new(name)
    }
}

impl From<PartyName> for String {
    fn from(name: PartyName) -> Self {
        name.0
    }
}

impl fmt::Display for PartyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Passphrase of a closed party. It is never printed and never sent.
#[derive(Clone, PartialEq, Eq)]
pub struct PassPhrase(String);

/// Why a text is not a passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassPhraseError {
    /// The text has fewer than [`PASS_PHRASE_CHARS_MIN`] characters.
    #[error(
        "a passphrase has at least {PASS_PHRASE_CHARS_MIN} characters; three random words are easy to pass on"
    )]
    TooShort,
    /// The text has more than [`PASS_PHRASE_BYTES_MAX`] bytes.
    #[error("a passphrase has at most {PASS_PHRASE_BYTES_MAX} bytes")]
    TooLong,
    /// The text has a control character, such as a line break.
    #[error("a passphrase is one line without control characters")]
    Character,
}

impl PassPhrase {
    /// Checks a passphrase, without the white space at its ends (a file ends with a line feed) and in normal form
    /// NFC, so that it does not matter how an accent is encoded.
    pub fn new(phrase: impl AsRef<str>) -> Result<Self, PassPhraseError> {
        let phrase: String = phrase.as_ref().trim().nfc().collect();
        if phrase.len() > PASS_PHRASE_BYTES_MAX {
            return Err(PassPhraseError::TooLong);
        }
        if phrase.chars().any(char::is_control) {
            return Err(PassPhraseError::Character);
        }
        if phrase.chars().count() < PASS_PHRASE_CHARS_MIN {
            return Err(PassPhraseError::TooShort);
        }
        Ok(Self(phrase))
    }

    /// Returns the passphrase in UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Words that people choose first as passphrases, in lower case, letters and digits only.
///
/// [`PassPhrase::check_strength`] removes them in this order, so an entry stands before every shorter one that it
/// contains.
const COMMON: &[&str] = &[
    "counterstrike",
    "iloveyou",
    "ichliebedich",
    "qwertzuiop",
    "qwertyuiop",
    "asdfghjkl",
    "willkommen",
    "lanspread",
    "minecraft",
    "warcraft",
    "starcraft",
    "fortnite",
    "lanparty",
    "password",
    "passwort",
    "passw0rd",
    "p4ssw0rd",
    "football",
    "fussball",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "whatever",
    "trustno1",
    "changeme",
    "freedom",
    "letmein",
    "welcome",
    "zocken",
    "gaming",
    "qwertz",
    "qwerty",
    "asdfgh",
    "yxcvbn",
    "zxcvbn",
    "1q2w3e",
    "1qaz2wsx",
    "dragon",
    "monkey",
    "master",
    "shadow",
    "secret",
    "geheim",
    "login",
    "admin",
    "hallo",
    "hello",
    "party",
    "gamer",
    "guest",
    "gast",
    "test",
    "game",
    "pass",
];

/// A passphrase that others would soon guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the passphrase is easy to guess: without common words, the party's name and sequences such as 1234, it should have at \
     least {PASS_PHRASE_COUNTED_MIN} letters and digits, {PASS_PHRASE_DISTINCT_MIN} of them different; this one has \
     {counted}, {distinct} of them different"
)]
pub struct WeakPassPhrase {
    /// Letters and digits left without common words, the party's name and runs.
    pub counted: usize,
    /// Number of different letters and digits among the counted ones.
    pub distinct: usize,
}

impl PassPhrase {
    /// Checks that the passphrase is hard enough to guess for a new member of this party.
    ///
    /// Only new passphrases are checked: one that is stored from before stays valid.
    pub fn check_strength(&self, party: &PartyName) -> Result<(), WeakPassPhrase> {
        let folded = |text: &str| -> String {
            text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
        };
        let mut text = folded(&self.0);
        let name = folded(party.as_str());
        // A party's name of one or two letters is part of many words.
        for common in
            [name.as_str()].into_iter().filter(|name| name.chars().count() > 2).chain(COMMON.iter().copied())
        {
            text = text.replace(common, " ");
        }
        let mut counted = Vec::new();
        let (mut last, mut last_step) = (None, None);
        for c in text.chars() {
            let step = last.map(|last| i64::from(u32::from(c)) - i64::from(u32::from(last)));
            let runs_on = step == last_step && step.is_some_and(|step| step.abs() <= 1);
            (last, last_step) = (Some(c), step);
            if c != ' ' && !runs_on {
                counted.push(c);
            }
        }
        let total = counted.len();
        counted.sort_unstable();
        counted.dedup();
        if total < PASS_PHRASE_COUNTED_MIN || counted.len() < PASS_PHRASE_DISTINCT_MIN {
            return Err(WeakPassPhrase { counted: total, distinct: counted.len() });
        }
        Ok(())
    }
}

impl fmt::Debug for PassPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassPhrase(hidden)")
    }
}

/// A closed party with its passphrase, as its guests know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Name of the party.
    pub name: PartyName,
    /// Passphrase of the party.
    pub phrase: PassPhrase,
}

/// Why two peers ended their connection before they exchanged anything: they do not belong to the same party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartyMismatch {
    /// The other peer belongs to the closed party of this name; this peer is open or belongs to another party.
    #[error("it is in the closed party {}", .0.as_str())]
    Closed(PartyName),
    /// The other peer is open, and this peer belongs to a closed party.
    #[error("it is not in a closed party")]
    Open,
    /// Both belong to parties of the same name, but their passphrases differ.
    #[error("passphrases differ; check yours")]
    WrongPassPhrase,
    /// Too many wrong passphrases came lately, from one address or from all strangers together, so none is looked at
    /// for now.
    #[error("too many wrong passphrases; try again in a minute")]
    TooManyTries,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_phrase_are_equal() {
        let composed = PassPhrase::new("f\u{fc}nf tasse kaffee").unwrap();
        assert_eq!(composed, PassPhrase::new(" fu\u{308}nf tasse kaffee\r\n").unwrap());
        assert_ne!(composed, PassPhrase::new("funf tasse kaffee").unwrap());
        assert!(!format!("{composed:?}").contains("kaffee"));
    }

    #[test]
    fn phrases_and_names_have_bounds() {
        assert_eq!(PassPhrase::new(" seven77 "), Err(PassPhraseError::TooShort));
        assert_eq!(PassPhrase::new("x".repeat(PASS_PHRASE_BYTES_MAX + 1)), Err(PassPhraseError::TooLong));
        assert_eq!(PassPhrase::new("two lines\nof text"), Err(PassPhraseError::Character));
        assert_eq!(PartyName::new(""), Err(PartyNameError::Length(0)));
        assert_eq!(PartyName::new("x".repeat(65)), Err(PartyNameError::Length(65)));
        assert_eq!(PartyName::new("a\u{7}b"), Err(PartyNameError::Character));
        assert_eq!(PartyName::new(" a"), Err(PartyNameError::Character));
        assert_eq!(PartyName::new("fu\u{308}nf"), PartyName::new("f\u{fc}nf"));
    }

    #[test]
    fn weak_phrases_are_refused() {
        let friday = PartyName::new("Friday Night").unwrap();
        for weak in [
            "password123",
            "Passwort 2026!",
            "aaaaaaaaaaaa",
            "12345678",
            "9876543210abc",
            "abababababab",
            "lanparty2026",
            "friday night!",
            "FRIDAY-NIGHT-26",
            "qwertz qwertz",
            "hallo hallo hallo",
            "letmein letmein",
            "a b c d e f g h",
        ] {
            let phrase = PassPhrase::new(weak).unwrap();
            assert!(phrase.check_strength(&friday).is_err(), "{weak}");
        }
        let short = PartyName::new("a").unwrap();
        for good in [
            "correct horse battery",
            "wrong donkey cell",
            "tasse kaffee",
            "f\u{fc}nf tasse kaffee",
            "k7mq-x2fd-9rtw",
            "83619274",
            "lanparty im keller von jonas",
        ] {
            let phrase = PassPhrase::new(good).unwrap();
            assert_eq!(phrase.check_strength(&friday), Ok(()), "{good}");
            assert_eq!(phrase.check_strength(&short), Ok(()), "{good}");
        }
    }
}
