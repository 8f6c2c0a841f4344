//! The gate in front of every manifest and every chunk: what may be served.
//!
//! Requests name chunks of a content, never paths. Which files a content contains is decided where it is made: by the
//! store's walk over the folder, and by `Manifest::new`.

use lanspread_types::message::Refusal;
use lanspread_types::{ContentId, GameId, failpoint};

use crate::api::command::OperationKind;
use crate::catalog::Catalog;

/// State of a game at the moment of a request.
#[derive(Debug, Clone, Copy)]
pub struct GameState {
    /// Whether its sentinel exists.
    pub downloaded: bool,
    /// Content of the downloaded game, once it is hashed.
    pub committed: Option<ContentId>,
    /// Content of the download under way, once it has its manifest.
    pub incoming: Option<ContentId>,
    /// Operation that runs on the game.
    pub operation: Option<OperationKind>,
}

/// From where a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// From the downloaded game.
    Committed,
    /// From the download under way, so only its verified chunks.
    Incoming,
}

/// Decides whether a request for a game's content is answered, and from where.
pub fn admit(
    catalog: &Catalog,
    game: &GameId,
    content: ContentId,
    state: GameState,
) -> Result<Holding, Refusal> {
    if failpoint!("serve-anything") {
        return Ok(Holding::Committed);
    }
    if !catalog.knows(game) {
        return Err(Refusal::UnknownGame);
    }
    if state.operation == Some(OperationKind::Removing) {
        return Err(Refusal::UnderOperation);
    }
    let updating = state.operation == Some(OperationKind::Downloading);
    if state.downloaded && updating && failpoint!("serve-nothing-while-updating") {
        return Err(Refusal::UnderOperation);
    }
    if state.downloaded && failpoint!("serve-nothing") {
        return Err(Refusal::UnderOperation);
    }
    if state.downloaded && state.committed == Some(content) {
        return Ok(Holding::Committed);
    }
    match state.incoming {
        Some(incoming) if incoming == content => Ok(Holding::Incoming),
        Some(_) => Err(Refusal::OtherContent),
        None if !state.downloaded || state.committed.is_none() => Err(Refusal::NotDownloaded),
        None => Err(Refusal::OtherContent),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lanspread_types::GameVersion;

    use super::*;
    use crate::catalog::{CatalogEntry, GameAbout};

    const ASKED: ContentId = ContentId([1; 32]);
    const OTHER: ContentId = ContentId([2; 32]);
    const READY: GameState =
        GameState { downloaded: true, committed: Some(ASKED), incoming: None, operation: None };

    fn ggoo() -> GameId {
        GameId::new("ggoo").unwrap()
    }

    fn admit_ggoo(state: GameState) -> Result<Holding, Refusal> {
        admit(&Catalog::Open, &ggoo(), ASKED, state)
    }

    #[test]
    fn what_is_ready_is_served() {
        assert_eq!(admit_ggoo(READY), Ok(Holding::Committed));
        let installing = GameState { operation: Some(OperationKind::Installing), ..READY };
        assert_eq!(
            admit_ggoo(installing),
            Ok(Holding::Committed),
            "installing leaves the archives as they are"
        );
    }

    #[test]
    fn an_uncatalogued_game_is_refused() {
        let version = GameVersion::new(20_250_101).unwrap();
        let entry = CatalogEntry { version, title: None, content: None, about: GameAbout::default() };
        let catalog = Catalog::of_games(BTreeMap::from([(GameId::new("other").unwrap(), entry)]));
        assert_eq!(admit(&catalog, &ggoo(), ASKED, READY), Err(Refusal::UnknownGame));
    }

    #[test]
    fn a_game_without_its_sentinel_is_refused() {
        let state = GameState { downloaded: false, committed: None, ..READY };
        assert_eq!(admit_ggoo(state), Err(Refusal::NotDownloaded));
        let not_hashed = GameState { committed: None, ..READY };
        assert_eq!(admit_ggoo(not_hashed), Err(Refusal::NotDownloaded));
    }

    #[test]
    fn a_game_under_an_operation_is_refused() {
        let state = GameState { operation: Some(OperationKind::Removing), ..READY };
        assert_eq!(admit_ggoo(state), Err(Refusal::UnderOperation));
    }

    #[test]
    fn another_content_is_refused() {
        assert_eq!(admit_ggoo(GameState { committed: Some(OTHER), ..READY }), Err(Refusal::OtherContent));
        let fetching_other = GameState { downloaded: false, committed: None, incoming: Some(OTHER), ..READY };
        assert_eq!(admit_ggoo(fetching_other), Err(Refusal::OtherContent));
    }

    #[test]
    fn update_serves_both_its_chunks_and_the_old_version() {
        let updating = GameState {
            committed: Some(OTHER),
            incoming: Some(ASKED),
            operation: Some(OperationKind::Downloading),
            ..READY
        };
        assert_eq!(admit_ggoo(updating), Ok(Holding::Incoming));
        assert_eq!(admit(&Catalog::Open, &ggoo(), OTHER, updating), Ok(Holding::Committed));
    }
}
