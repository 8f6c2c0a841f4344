//! Files that somebody else has open.
//!
//! Windows refuses to rename or delete a file, and to rename a folder, while a program has it (or something in it) open
//! without sharing it: a virus scanner or an indexer for a moment, the game itself for as long as it runs. So what is
//! refused for that reason is tried again for a second and a half, and then reported as what it is.

use std::io;
use std::time::Duration;

use crate::faulty;

/// Pauses between attempts, in milliseconds: short ones first, because a scanner is mostly gone at once.
const PAUSES_MS: [u64; 7] = [10, 20, 50, 100, 200, 400, 800];

/// Whether somebody else's open file is what stands in the way, or may be.
///
/// Source: Microsoft, *System Error Codes (0-499)*: `ERROR_ACCESS_DENIED` 5, `ERROR_SHARING_VIOLATION` 32,
/// `ERROR_LOCK_VIOLATION` 33, and `ERROR_DIR_NOT_EMPTY` 145 for a folder whose last file is deleted but still open
/// elsewhere. The first one is also what missing permissions look like; it cannot be told apart, as
/// a folder with an open file in it, and a file whose deletion is pending, give it as well.
pub fn may_be_held(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
        || cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33 | 145))
}

/// Does something that a foreign program may hinder for a moment; any other error is returned at once.
pub fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for pause_ms in PAUSES_MS {
        match attempt() {
            Err(error) if may_be_held(&error) => faulty::pause(Duration::from_millis(pause_ms)),
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_tried_again_and_nothing_else_is() {
        let tries = |error: fn() -> io::Error, held: usize| {
            let mut tries = 0;
            let done = patiently(|| {
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
