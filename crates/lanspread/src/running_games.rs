//! Games whose program was started here and has not ended, so that a second start can be refused.
//!
//! A launcher ends at once, and nothing is known about the game that it starts.

use std::collections::BTreeSet;

use lanspread_api::Event;

/// The games, by id.
#[derive(Debug, Default)]
pub struct RunningGames(BTreeSet<String>);

impl RunningGames {
    /// Notes that a game is being started. Returns false if its program runs already.
    ///
    /// To be called before the start, because a program may end before the answer to the command arrives.
    pub fn begin(&mut self, game: &str) -> bool {
        self.0.insert(game.to_owned())
    }

    /// Notes that a game was not started after all.
    pub fn not_started(&mut self, game: &str) {
        self.0.remove(game);
    }

    /// Takes in an event of the peer.
    pub fn saw(&mut self, event: &Event) {
        match event {
            Event::PlayEnded { game_id, .. } => drop(self.0.remove(game_id)),
            // The end of a game may be among them; better to start one twice than never again.
            Event::EventsLost { .. } => self.forget(),
            _ => {}
        }
    }

    /// Forgets all games: the peer that waits for their programs is gone.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Returns the games.
    pub fn list(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn game_runs_until_its_program_ends() {
        let mut running = RunningGames::default();
        assert!(running.begin("a"));
        assert!(!running.begin("a"), "it runs already");
        assert!(running.begin("b"));
        running.saw(&Event::PlayEnded { game_id: "a".to_owned(), duration_ms: 1 });
        assert_eq!(running.list(), ["b"]);
        assert!(running.begin("a"));
        running.not_started("a");
        assert_eq!(running.list(), ["b"]);
    }

    #[test]
    fn lost_events_forget_all() {
        let mut running = RunningGames::default();
        running.begin("a");
        running.saw(&Event::EventsLost { count: 1 });
        assert!(running.begin("a"));
    }
}
