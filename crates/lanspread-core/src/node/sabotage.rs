//! What this crate's failpoints do where it takes more than another decision. Only in builds with the feature
//! `sabotage`.

use std::sync::Arc;

use lanspread_types::message::Refusal;
use lanspread_types::{GameContent, GameId};

use super::Node;
use crate::api::command::OperationKind;
use crate::serve::Holding;

impl Node {
    /// Returns the content of a game that is here although it must not be served.
    pub(super) fn held_all_the_same(
        &self,
        game: &GameId,
        why: Refusal,
    ) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let here = self.library.get(game).and_then(|local| local.content());
        here.map(|content| (Arc::clone(content), Holding::Committed)).ok_or(why)
    }

    /// Leaves an operation that nobody will end.
    pub(super) fn leave_operation(&mut self, game: &GameId) {
        self.operations.start(game, OperationKind::Downloading);
        self.operations_changed();
    }
}
