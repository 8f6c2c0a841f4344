//! The pass phrase of a closed party, from a file: arguments can be read by every program of the machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lanspread_types::PassPhrase;
use lanspread_types::limits::PASS_PHRASE_BYTES_MAX;
use lanspread_types::party::PassPhraseError;

#[derive(Debug, thiserror::Error)]
pub enum PassPhraseFileError {
    #[error("cannot read the pass phrase from {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} does not hold one line of UTF-8 text")]
    NotText { path: PathBuf },
    #[error("the pass phrase in {path} is not valid: {source}")]
    Invalid { path: PathBuf, source: PassPhraseError },
}

/// Reads the file, which holds the pass phrase and nothing else.
pub fn load(path: &Path) -> Result<PassPhrase, PassPhraseFileError> {
    let at = || path.to_owned();
    let mut bytes = Vec::new();
    // One byte more, and a line's end, so that a longer file is found to be too long.
    let limit = PASS_PHRASE_BYTES_MAX as u64 + 3;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| PassPhraseFileError::Read { path: at(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| PassPhraseFileError::NotText { path: at() })?;
    // Editors on Windows like to begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    PassPhrase::new(text).map_err(|source| PassPhraseFileError::Invalid { path: at(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_phrase_whoever_wrote_it() {
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
}
