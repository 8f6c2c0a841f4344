//! Holds sending back while a person plays: remembers when it began, what ends it, and the upload limit to restore.
//!
//! It begins when this program starts a game, and ends when the game's process ends. A process that ends at once was
//! probably a launcher and says nothing about the game, so sending then stays held back until the user releases it.
//! [`UploadHold`] only decides; `host` sets the limit.

use std::collections::BTreeSet;
use std::time::Duration;

/// A process that ran for less than this counts as a launcher.
const LAUNCHER_MAX: Duration = Duration::from_secs(10);

/// Whether sending is held back, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UploadHold(Option<Hold>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Hold {
    /// Upload limit to restore.
    limit_before: Option<u64>,
    /// Games whose processes run.
    games: BTreeSet<String>,
    /// Holds until the user releases it.
    manual: bool,
}

impl UploadHold {
    /// Returns whether sending is held back.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Starts to hold sending back: for a started game or, with `None`, at the user's request. Returns the upload
    /// limit to set if the hold begins now; it is never higher than the current one.
    pub fn begin(&mut self, game: Option<String>, quiet: u64, now: Option<u64>) -> Option<u64> {
        let begins = self.0.is_none();
        let held = self.0.get_or_insert_with(|| Hold { limit_before: now, ..Hold::default() });
        match game {
            Some(game) => drop(held.games.insert(game)),
            None => held.manual = true,
        }
        begins.then(|| held.limit_before.map_or(quiet, |limit_before| limit_before.min(quiet)))
    }

    /// Records that a game's process has ended. Returns the limit to restore once no game runs any more.
    pub fn ended(&mut self, game: &str, played: Duration) -> Option<Option<u64>> {
        let held = self.0.as_mut()?;
        if !held.games.remove(game) {
            return None;
        }
        held.manual |= played < LAUNCHER_MAX;
        if held.manual || !held.games.is_empty() {
            return None;
        }
        self.release()
    }

    /// Releases sending, at the user's request or because the user set a limit. Returns the limit to restore.
    pub fn release(&mut self) -> Option<Option<u64>> {
        self.0.take().map(|held| held.limit_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn game(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn held_from_the_first_game_to_the_last() {
        let mut quiet = UploadHold::default();
        assert_eq!(quiet.begin(game("a"), 5, None), Some(5));
        assert_eq!(quiet.begin(game("b"), 5, Some(5)), None, "the limit before is still known");
        assert_eq!(quiet.ended("a", LONG), None);
        assert_eq!(quiet.ended("other", LONG), None);
        assert_eq!(quiet.ended("b", LONG), Some(None));
        assert!(!quiet.is_on());
        assert_eq!(quiet.ended("b", LONG), None);
    }

    #[test]
    fn never_raises_a_limit_and_restores_it() {
        let mut quiet = UploadHold::default();
        assert_eq!(quiet.begin(game("a"), 5, Some(3)), Some(3));
        assert_eq!(quiet.ended("a", LONG), Some(Some(3)));
    }

    #[test]
    fn launcher_that_ends_at_once_keeps_the_hold() {
        let mut quiet = UploadHold::default();
        quiet.begin(game("a"), 5, None);
        assert_eq!(quiet.ended("a", Duration::from_secs(2)), None);
        assert!(quiet.is_on());
        assert_eq!(quiet.release(), Some(None));
    }

    #[test]
    fn manual_hold_lasts_until_released() {
        let mut quiet = UploadHold::default();
        assert_eq!(quiet.begin(None, 5, Some(9)), Some(5));
        quiet.begin(game("a"), 5, Some(5));
        assert_eq!(quiet.ended("a", LONG), None);
        assert_eq!(quiet.release(), Some(Some(9)));
        assert_eq!(quiet.release(), None);
    }
}
