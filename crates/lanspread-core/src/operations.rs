//! The operations that run on games, at most one for each game.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_types::{GameId, failpoint};

use crate::api::command::{CommandError, OperationKind};
use crate::api::snapshot::Operation;

/// Table of running operations.
#[derive(Debug, Default)]
pub struct Operations {
    running: BTreeMap<GameId, Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    kind: OperationKind,
    done: u64,
    total: u64,
}

impl Operations {
    /// Checks that no operation runs on the game.
    ///
    /// # Errors
    ///
    /// [`CommandError::OperationInProgress`] if one does.
    pub fn check_idle(&self, game: &GameId) -> Result<(), CommandError> {
        match self.running.get(game) {
            Some(r) if !failpoint!("allow-parallel-operations") => {
                Err(CommandError::OperationInProgress { game: game.clone(), running: r.kind })
            }
            None if !self.running.is_empty() && failpoint!("global-operation-lock") => {
                Err(CommandError::Busy)
            }
            _ => Ok(()),
        }
    }

    /// Starts an operation on an idle game, or replaces the operation that has just ended.
    pub fn start(&mut self, game: &GameId, kind: OperationKind) {
        self.running.insert(game.clone(), Running { kind, done: 0, total: 0 });
    }

    /// Records the progress of the game's operation, in bytes. Does nothing if none runs.
    pub fn progress(&mut self, game: &GameId, done: u64, total: u64) {
        if let Some(running) = self.running.get_mut(game) {
            (running.done, running.total) = (done, total);
        }
    }

    /// Ends the game's operation.
    pub fn end(&mut self, game: &GameId) {
        self.running.remove(game);
    }

    /// Returns the kind of the game's operation.
    pub fn kind(&self, game: &GameId) -> Option<OperationKind> {
        self.running.get(game).map(|r| r.kind)
    }

    /// Returns true if no operation runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Returns the games on which an operation runs.
    pub fn games(&self) -> BTreeSet<GameId> {
        self.running.keys().cloned().collect()
    }

    /// Returns all operations, by game.
    pub fn snapshot(&self) -> Vec<Operation> {
        let one = |(game, r): (&GameId, &Running)| Operation {
            game: game.clone(),
            kind: r.kind,
            done: r.done,
            total: r.total,
        };
        self.running.iter().map(one).collect()
    }
}
