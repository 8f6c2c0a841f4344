//! Draft of a catalogue from the games in a folder, which an organiser then edits and signs.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_core::io::DiskError;
use lanspread_store::{Cancel, GameFile, Store};
use lanspread_types::{ContentId, GameId, GameVersion};

use crate::catalog::text::{CatalogText, GameText};

/// A game found in a folder.
#[derive(Debug, Clone)]
pub struct FoundGame {
    /// Id of the game.
    pub game: GameId,
    /// Version in its sentinel.
    pub version: GameVersion,
    /// Content id of its files.
    pub content: ContentId,
    /// Title in the game's own `lanspread.toml`, if it has one.
    pub title: Option<String>,
}

/// Finds the downloaded games of a folder and hashes those that the index does not know. Calls `tell` with each game
/// before reading it. Fails while a peer runs on the folder.
pub fn find_games(games_dir: &Path, mut tell: impl FnMut(&GameId)) -> Result<Vec<FoundGame>, DiskError> {
    // For the hashes of a folder that cannot be written.
    let aside = tempfile::tempdir().map_err(|error| DiskError::Other(error.to_string()))?;
    let store = Store::open_or_read(games_dir, aside.path()).map_err(DiskError::from)?;
    let scan = store.scan().map_err(DiskError::from)?;
    let mut found = Vec::new();
    for scanned in scan.games {
        let Some(version) = scanned.version else { continue };
        tell(&scanned.game);
        let (_, content) =
            store.index(&scanned.game, &Cancel::new(), &mut |_, _| {}).map_err(DiskError::from)?;
        // A faulty file names no title. Whoever starts the game is told what is wrong with it.
        let file = GameFile::read(&games_dir.join(scanned.game.as_str())).ok().flatten();
        let (content, title) = (content.content_id(), file.and_then(|file| file.title));
        found.push(FoundGame { game: scanned.game, version, content, title });
    }
    Ok(found)
}

/// Makes the next edition: the found games with their contents pinned and their own titles. Texts that people wrote into
/// the former edition stay, and so do its games that were not found.
pub fn next_edition(former: Option<CatalogText>, title: Option<String>, found: &[FoundGame]) -> CatalogText {
    let former = former.unwrap_or_default();
    let serial = Some(former.serial.unwrap_or(0) + 1);
    let mut games: BTreeMap<GameId, GameText> =
        former.game.into_iter().map(|game| (game.id.clone(), game)).collect();
    for FoundGame { game: id, version, content, title } in found {
        let known = games.get(id).cloned().unwrap_or_else(|| GameText {
            id: id.clone(),
            version: *version,
            title: None,
            content: None,
            players: None,
            genre: None,
            cover: None,
            start: None,
        });
        let title = known.title.clone().or_else(|| title.clone());
        let game = GameText { version: *version, content: Some(content.to_string()), title, ..known };
        games.insert(id.clone(), game);
    }
    CatalogText {
        title: title.or(former.title),
        serial,
        game: games.into_values().collect(),
        group: former.group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::text::parse;

    #[test]
    fn an_edition_keeps_what_people_wrote() {
        let former = parse(
            b"title='Friday'\nserial=4\n[[game]]\nid='ggoo'\nversion='20240101'\ntitle='Great'\nplayers='2-8'\n[[game]]\nid='else'\nversion='20200101'\n[[group]]\nname='Row A'\ncidrs=['10.1.0.0/24']",
        )
        .unwrap();
        let found = |id: &str, title: &str| FoundGame {
            game: GameId::new(id).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([7; 32]),
            title: Some(title.to_owned()),
        };
        let next = next_edition(Some(former), None, &[found("ggoo", "Its own"), found("new", "New")]);
        assert_eq!((next.serial, next.title.as_deref(), next.game.len()), (Some(5), Some("Friday"), 3));
        let new = next.game.iter().find(|g| g.id.as_str() == "new").unwrap();
        assert_eq!(new.title.as_deref(), Some("New"), "its own title, as nobody wrote another");
        let ggoo = next.game.iter().find(|g| g.id.as_str() == "ggoo").unwrap();
        assert_eq!((ggoo.version.stamp(), ggoo.title.as_deref()), (20_250_101, Some("Great")));
        assert_eq!(ggoo.content.as_deref(), Some("07".repeat(32).as_str()));
        assert_eq!(next.group.len(), 1, "the groups stay");
        assert_eq!(next_edition(None, None, &[]).serial, Some(1));
    }
}
