//! Lowers the upload limit while the user plays (the *hold*): remembers which games run and which limit to restore.
//!
//! A hold begins when this program starts a game, and ends when the game's process ends. A process that ends within
//! seconds was probably a launcher, and its game may still run, so the hold then lasts until the user ends it.
//! [`UploadHold`] only decides; `host` sets the limit.

use std::collections::BTreeSet;
use std::time::Duration;

/// A process that ran for less than this counts as a launcher.
const LAUNCHER_MAX: Duration = Duration::from_secs(10);

/// The current hold, if there is one, and its reasons.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UploadHold(Option<Hold>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Hold {
    /// Upload limit to restore.
    limit_before: Option<u64>,
    /// Games whose processes run.
    games: BTreeSet<String>,
    /// True if only the user can end the hold.
    manual: bool,
}

impl UploadHold {
    /// Returns whether a hold is active.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a hold for a started game or, if `game` is `None`, at the user's request. `quiet` is the limit during a
    /// hold, and `now` the current one. Returns the limit to set unless a hold is already active; it is never higher
    /// than the current one.
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

    /// Ends the hold, at the user's request or because the user set a limit. Returns the limit to restore.
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
