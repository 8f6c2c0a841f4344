//! One operation per game at a time.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_types::{GameId, failpoint};

use crate::command::{CommandError, OperationKind};
use crate::snapshot::Operation;

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
    /// Fails while another operation runs on the game.
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

    /// Starts an operation on a game that is idle, or lets it follow the one that just ended.
    pub fn start(&mut self, game: &GameId, kind: OperationKind) {
        self.running.insert(game.clone(), Running { kind, done: 0, total: 0 });
    }

    pub fn progress(&mut self, game: &GameId, done: u64, total: u64) {
        if let Some(running) = self.running.get_mut(game) {
            (running.done, running.total) = (done, total);
        }
    }

    pub fn end(&mut self, game: &GameId) {
        self.running.remove(game);
    }

    pub fn kind(&self, game: &GameId) -> Option<OperationKind> {
        self.running.get(game).map(|r| r.kind)
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub fn games(&self) -> BTreeSet<GameId> {
        self.running.keys().cloned().collect()
    }

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
