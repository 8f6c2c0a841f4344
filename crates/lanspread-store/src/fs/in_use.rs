//! Retries for files that another program has open.
//!
//! Windows refuses to rename or delete a file, and to rename a folder, while a program has it (or something in it) open
//! without sharing it: a virus scanner or an indexer for a moment, the game itself for as long as it runs. An operation
//! that is refused for this reason is tried again for a second and a half; then its error is returned.

use std::io;
use std::time::Duration;

use crate::fs::faulty;

/// Pauses between attempts, in milliseconds. The first ones are short because a scanner is usually gone at once.
const PAUSES_MS: [u64; 7] = [10, 20, 50, 100, 200, 400, 800];

/// Returns whether another program's open file is the cause of an error, or may be.
///
/// Source: Microsoft, *System Error Codes (0-499)*: `ERROR_ACCESS_DENIED` 5, `ERROR_SHARING_VIOLATION` 32,
/// `ERROR_LOCK_VIOLATION` 33, and `ERROR_DIR_NOT_EMPTY` 145 for a folder whose last file is deleted but still open
/// elsewhere. Missing permissions also give the first code. The two causes cannot be told apart, because a folder with
/// an open file in it and a file whose deletion is pending give that code as well.
pub fn may_be_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
        || cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33 | 145))
}

/// Repeats `attempt` while another program may hold the file, at most once after each pause. Any other result is
/// returned at once.
pub fn retry_while_in_use<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for pause_ms in PAUSES_MS {
        match attempt() {
            Err(error) if may_be_in_use(&error) => faulty::pause(Duration::from_millis(pause_ms)),
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_held_files_are_tried_again() {
        let tries = |error: fn() -> io::Error, held: usize| {
            let mut tries = 0;
            let done = retry_while_in_use(|| {
                tries += 1;
                if tries <= held { Err(error()) } else { Ok(()) }
            });
            (tries, done.is_ok())
        };
        let busy = || io::ErrorKind::ResourceBusy.into();
        assert_eq!(tries(busy, 0), (1, true));
        assert_eq!(tries(busy, 3), (4, true));
        assert_eq!(tries(busy, usize::MAX), (PAUSES_MS.len() + 1, false), "bounded");
        assert_eq!(tries(|| io::ErrorKind::NotFound.into(), 1), (1, false));
        assert_eq!(tries(|| io::ErrorKind::PermissionDenied.into(), 1), (1, false));
        assert_eq!(tries(|| io::Error::from_raw_os_error(32), 1).1, cfg!(windows));
    }
}
