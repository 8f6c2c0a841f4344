//! Holding sending back while somebody plays: when it begins, when it ends, and what the limit was before.
//!
//! It begins when a game is started from here, and ends when the program that was started has ended. Many of those only
//! start another one: what ends at once tells nothing about the game, so that sending stays held back until the user lets
//! it go. Decides only; [`Host`] sets the limit.

use std::collections::BTreeSet;
use std::time::Duration;

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::command::{Command, RateLimits, Reply};

use crate::host::Host;

/// A program that ran for less is taken for one that only starts another.
const LAUNCHER_MAX: Duration = Duration::from_secs(10);

/// Sending, held back or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Quiet(Option<Held>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    /// The limit before, to go back to.
    loud: Option<u64>,
    /// Games whose programs run.
    games: BTreeSet<String>,
    /// Until the user lets it go.
    by_hand: bool,
}

impl Quiet {
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A game has been started, or with `None` the user is about to play something else. The limit to set, if it is another
    /// one: never more than before.
    fn begin(&mut self, game: Option<String>, quiet: u64, now: Option<u64>) -> Option<u64> {
        let begins = self.0.is_none();
        let held = self.0.get_or_insert_with(|| Held { loud: now, ..Held::default() });
        match game {
            Some(game) => drop(held.games.insert(game)),
            None => held.by_hand = true,
        }
        begins.then(|| held.loud.map_or(quiet, |loud| loud.min(quiet)))
    }

    /// A game's program has ended. The limit to go back to, if nobody plays any more.
    fn ended(&mut self, game: &str, played: Duration) -> Option<Option<u64>> {
        let held = self.0.as_mut()?;
        if !held.games.remove(game) {
            return None;
        }
        held.by_hand |= played < LAUNCHER_MAX;
        if held.by_hand || !held.games.is_empty() {
            return None;
        }
        self.release()
    }

    /// The user lets it go, or has set a limit, which counts more.
    pub fn release(&mut self) -> Option<Option<u64>> {
        self.0.take().map(|held| held.loud)
    }
}

impl Host {
    /// A game was started from here.
    pub async fn play_began(&self, game: String) -> Result<(), ErrorBody> {
        self.hold_back(Some(game)).await
    }

    /// Its program has ended.
    pub async fn play_ended(&self, game: &str, played: Duration) -> Result<(), ErrorBody> {
        let loud = self.quiet().ended(game, played);
        self.go_back(loud).await
    }

    /// The user's word.
    pub async fn be_quiet(&self, on: bool) -> Result<(), ErrorBody> {
        if on {
            return self.hold_back(None).await;
        }
        let loud = self.quiet().release();
        self.go_back(loud).await
    }

    async fn hold_back(&self, game: Option<String>) -> Result<(), ErrorBody> {
        let Some(quiet) = self.settings().quiet_upload else { return Ok(()) };
        let now = self.limits().await?;
        let limit = self.quiet().begin(game, quiet, now.upload);
        match limit {
            Some(limit) => self.limit(RateLimits { upload: Some(limit), ..now }).await,
            None => Ok(()),
        }
    }

    async fn go_back(&self, loud: Option<Option<u64>>) -> Result<(), ErrorBody> {
        let Some(upload) = loud else { return Ok(()) };
        let now = self.limits().await?;
        self.limit(RateLimits { upload, ..now }).await
    }

    async fn limits(&self) -> Result<RateLimits, ErrorBody> {
        match self.peer()?.command(Command::Status).await {
            Ok(Reply::Status(status)) => Ok(status.limits),
            Ok(_) => Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else")),
            Err(error) => Err(ErrorBody::from(&error)),
        }
    }

    /// Such a limit is not kept for the next start.
    async fn limit(&self, limits: RateLimits) -> Result<(), ErrorBody> {
        let set = self.peer()?.command(Command::SetLimits(limits)).await;
        set.map(drop).map_err(|e| ErrorBody::from(&e))
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
    fn sending_is_held_back_from_the_first_game_to_the_last() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.begin(game("a"), 5, None), Some(5));
        assert_eq!(quiet.begin(game("b"), 5, Some(5)), None, "the limit before is still known");
        assert_eq!(quiet.ended("a", LONG), None);
        assert_eq!(quiet.ended("other", LONG), None);
        assert_eq!(quiet.ended("b", LONG), Some(None));
        assert!(!quiet.is_on());
        assert_eq!(quiet.ended("b", LONG), None);
    }

    #[test]
    fn it_never_sends_more_than_before_and_goes_back_to_that() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.begin(game("a"), 5, Some(3)), Some(3));
        assert_eq!(quiet.ended("a", LONG), Some(Some(3)));
    }

    #[test]
    fn what_ends_at_once_has_only_started_another_program() {
        let mut quiet = Quiet::default();
        quiet.begin(game("a"), 5, None);
        assert_eq!(quiet.ended("a", Duration::from_secs(2)), None);
        assert!(quiet.is_on());
        assert_eq!(quiet.release(), Some(None));
    }

    #[test]
    fn by_hand_it_lasts_until_it_is_let_go() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.begin(None, 5, Some(9)), Some(5));
        quiet.begin(game("a"), 5, Some(5));
        assert_eq!(quiet.ended("a", LONG), None);
        assert_eq!(quiet.release(), Some(Some(9)));
        assert_eq!(quiet.release(), None);
    }
}
