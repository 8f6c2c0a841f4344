//! Closed parties: their names, their pass phrases, and why two peers do not belong to the same one.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::limits::{
    PARTY_NAME_BYTES_MAX, PASS_PHRASE_BYTES_MAX, PASS_PHRASE_CHARS_MIN, PASS_PHRASE_COUNTED_MIN,
    PASS_PHRASE_DISTINCT_MIN,
};
use crate::name::first_invisible;

/// What a closed party is called. It is shown to everybody on the network, so that somebody who has the wrong pass
/// phrase is told which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartyName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartyNameError {
    #[error("a party's name has 1 to {PARTY_NAME_BYTES_MAX} bytes, this one has {0}")]
    Length(usize),
    #[error("a party's name has no invisible characters, and no spaces at its ends")]
    Character,
}

impl PartyName {
    /// Two names are the same party only if they are the same characters (in normal form NFC).
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

/// What the guests of a closed party know. Never printed, never sent.
#[derive(Clone, PartialEq, Eq)]
pub struct PassPhrase(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassPhraseError {
    #[error(
        "a pass phrase has at least {PASS_PHRASE_CHARS_MIN} characters; three random words are easy to tell"
    )]
    TooShort,
    #[error("a pass phrase has at most {PASS_PHRASE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a pass phrase is one line without control characters")]
    Character,
}

impl PassPhrase {
    /// Spaces at the ends do not count (a file ends with a line feed), and neither does how an accent is encoded.
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

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What people take for pass phrases first, in lower case and without anything but letters and digits. Longer ones first:
/// each is taken out of a phrase before it is counted.
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

/// A pass phrase that others would soon guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pass phrase is easy to guess: without common words, the party's name and runs such as 1234 it should have at \
     least {PASS_PHRASE_COUNTED_MIN} letters and digits, {PASS_PHRASE_DISTINCT_MIN} of them different; this one has \
     {counted}, {distinct} of them different"
)]
pub struct WeakPassPhrase {
    pub counted: usize,
    pub distinct: usize,
}

impl PassPhrase {
    /// Says whether the pass phrase is good enough for a new member of this party. One that is kept from before stays
    /// valid.
    pub fn check_strength(&self, party: &PartyName) -> Result<(), WeakPassPhrase> {
        let folded = |text: &str| -> String {
            text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
        };
        let mut text = folded(&self.0);
        let name = folded(party.as_str());
        // A very short name stands in many words.
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

/// A closed party, as one of its guests knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub name: PartyName,
    pub phrase: PassPhrase,
}

/// Why a peer was refused, or refused us, before anything was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartyMismatch {
    /// Theirs is closed and ours is not, or has another name.
    #[error("it belongs to the closed party {}", .0.as_str())]
    Closed(PartyName),
    /// Ours is closed and theirs is not.
    #[error("it belongs to no closed party")]
    Open,
    #[error("its pass phrase is not that of this party")]
    WrongPassPhrase,
    /// Somebody there, or at this peer's own address, has tried too often of late.
    #[error("too many wrong pass phrases came of late; it can be tried again in a minute")]
    TooManyTries,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_phrase_is_typed_makes_no_difference() {
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
