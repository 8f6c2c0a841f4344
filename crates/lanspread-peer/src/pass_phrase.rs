//! The passphrase of a closed party: reading it from a file, and refusing one that is easy to guess.
//!
//! It comes from a file because every program on the machine can read the arguments of others. A refusal suggests a
//! better passphrase.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lanspread_types::limits::PASS_PHRASE_BYTES_MAX;
use lanspread_types::party::{PassPhraseError, WeakPassPhrase};
use lanspread_types::{Party, PartyName, PassPhrase};
use ring::rand::{SecureRandom, SystemRandom};

/// Why a file gives no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassPhraseFileError {
    /// The file cannot be read.
    #[error("cannot read the passphrase from {path}: {source}")]
    Read {
        /// The file, as the owner named it.
        path: PathBuf,
        /// Failure of the system.
        source: io::Error,
    },
    /// The file is not UTF-8 text.
    #[error("{path} does not hold one line of UTF-8 text")]
    NotText {
        /// The file, as the owner named it.
        path: PathBuf,
    },
    /// The text is too short, too long, or more than one line.
    #[error("the passphrase in {path} is not valid: {source}")]
    Invalid {
        /// The file, as the owner named it.
        path: PathBuf,
        /// The rule that the text breaks. Does not repeat the text.
        source: PassPhraseError,
    },
}

/// Refusal of a passphrase that is easy to guess.
#[derive(Debug, thiserror::Error)]
#[error("{weak}. Suggestion: {suggestion}")]
pub struct WeakPhraseError {
    /// Why the passphrase is easy to guess.
    pub weak: WeakPassPhrase,
    /// A random passphrase that is not.
    pub suggestion: String,
}

/// Returns the party with this passphrase, or an error if the passphrase is easy to guess.
pub fn join(name: PartyName, phrase: PassPhrase) -> Result<Party, WeakPhraseError> {
    match phrase.check_strength(&name) {
        Ok(()) => Ok(Party { name, phrase }),
        Err(weak) => Err(WeakPhraseError { weak, suggestion: suggest() }),
    }
}

/// Letters and digits of suggested passphrases, without `0`, `1`, `l` and `o`, which look alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Returns a new passphrase of 60 random bits that can be read aloud, such as `k7mq-x2fd-9rtw`.
pub fn suggest() -> String {
    let mut random = [0; 12];
    // Without random numbers no peer would run, because its key needs them.
    let _ = SystemRandom::new().fill(&mut random);
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte % 32)]);
    let groups: Vec<String> = random.chunks(4).map(|group| group.iter().map(letter).collect()).collect();
    groups.join("-")
}

/// Reads a file that holds the passphrase and nothing else. Does not check its strength.
pub fn load(path: &Path) -> Result<PassPhrase, PassPhraseFileError> {
    let at = || path.to_owned();
    let mut bytes = Vec::new();
    // One byte more than allowed, and the end of a line, so that a longer file is recognised as too long.
    let limit = PASS_PHRASE_BYTES_MAX as u64 + 3;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| PassPhraseFileError::Read { path: at(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| PassPhraseFileError::NotText { path: at() })?;
    // Editors on Windows often begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    PassPhrase::new(text).map_err(|source| PassPhraseFileError::Invalid { path: at(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrase_is_read_whichever_editor_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phrase");
        for good in ["correct horse battery", "correct horse battery\r\n", "\u{feff}correct horse battery\n"]
        {
            std::fs::write(&path, good).unwrap();
            assert_eq!(load(&path).unwrap(), PassPhrase::new("correct horse battery").unwrap());
        }
        assert!(matches!(load(&dir.path().join("none")), Err(PassPhraseFileError::Read { .. })));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(load(&path), Err(PassPhraseFileError::NotText { .. })));
        for bad in ["short".to_owned(), "two lines\nof text".to_owned(), "x".repeat(300)] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(load(&path), Err(PassPhraseFileError::Invalid { .. })));
        }
    }

    #[test]
    fn suggestions_are_strong_and_differ() {
        let party = PartyName::new("friday").unwrap();
        let weak = join(party.clone(), PassPhrase::new("friday2026").unwrap()).unwrap_err();
        assert!(weak.to_string().ends_with(&weak.suggestion), "{weak}");
        assert_ne!(weak.suggestion, suggest());
        let strong = (0..1000).filter(|_| PassPhrase::new(suggest()).unwrap().check_strength(&party).is_ok());
        assert!(strong.count() >= 990, "but for a rare run or repetition");
    }
}
