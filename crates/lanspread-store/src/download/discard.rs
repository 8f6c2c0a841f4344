//! Deleting what unfinished downloads have left.

use lanspread_types::GameId;

use crate::fs::files;
use crate::install::errors::RemoveError;
use crate::store::Store;

impl Store {
    /// Deletes what unfinished downloads of a game have left. What is downloaded or installed stays. Does nothing if
    /// there is nothing.
    pub fn discard_incoming(&self, game: &GameId) -> Result<(), RemoveError> {
        let _change = self.begin_change(game)?;
        if let Some(open) = self.incoming(game) {
            self.drop_incoming(game, open.content().content_id(), false)?;
        }
        Ok(files::delete_tree(&self.layout().incoming_of(game))?)
    }
}
