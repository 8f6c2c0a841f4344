//! A catalogue of what lies in a games folder: the first draft that an organiser goes on from.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_core::io::DiskError;
use lanspread_store::{Cancel, Store};
use lanspread_types::{ContentId, GameId, GameVersion};

use crate::catalog_file::{CatalogText, GameText};

/// A game as it lies on the disk.
#[derive(Debug, Clone)]
pub struct FoundGame {
    pub game: GameId,
    pub version: GameVersion,
    pub content: ContentId,
}

/// Hashes every game of a folder, as far as the index does not know it. No peer may run on it meanwhile. `tell` hears
/// the game that is being read.
pub fn find_games(games_dir: &Path, mut tell: impl FnMut(&GameId)) -> Result<Vec<FoundGame>, DiskError> {
    let store = Store::open(games_dir).map_err(DiskError::from)?;
    let scan = store.scan().map_err(DiskError::from)?;
    let mut found = Vec::new();
    for scanned in scan.games {
        let Some(version) = scanned.version else { continue };
        tell(&scanned.game);
        let (_, content) =
            store.index(&scanned.game, &Cancel::new(), &mut |_, _| {}).map_err(DiskError::from)?;
        found.push(FoundGame { game: scanned.game, version, content: content.content_id() });
    }
    Ok(found)
}

/// The next edition: the found games with their contents pinned. What people wrote into the former one stays, and so do
/// its games that are not here.
pub fn next_edition(former: Option<CatalogText>, title: Option<String>, found: &[FoundGame]) -> CatalogText {
    let former = former.unwrap_or_default();
    let serial = Some(former.serial.unwrap_or(0) + 1);
    let mut games: BTreeMap<GameId, GameText> =
        former.game.into_iter().map(|game| (game.id.clone(), game)).collect();
    for FoundGame { game: id, version, content } in found {
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
        let game = GameText { version: *version, content: Some(content.to_string()), ..known };
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
    use crate::catalog_file::parse;

    #[test]
    fn an_edition_keeps_what_people_wrote() {
        let former = parse(
            b"title='Friday'\nserial=4\n[[game]]\nid='ggoo'\nversion='20240101'\ntitle='Great'\nplayers='2-8'\n[[game]]\nid='else'\nversion='20200101'\n[[group]]\nname='Row A'\ncidrs=['10.1.0.0/24']",
        )
        .unwrap();
        let found = FoundGame {
            game: GameId::new("ggoo").unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([7; 32]),
        };
        let next = next_edition(Some(former), None, &[found]);
        assert_eq!((next.serial, next.title.as_deref(), next.game.len()), (Some(5), Some("Friday"), 2));
        let ggoo = next.game.iter().find(|g| g.id.as_str() == "ggoo").unwrap();
        assert_eq!((ggoo.version.stamp(), ggoo.title.as_deref()), (20_250_101, Some("Great")));
        assert_eq!(ggoo.content.as_deref(), Some("07".repeat(32).as_str()));
        assert_eq!(next.group.len(), 1, "the groups stay");
        assert_eq!(next_edition(None, None, &[]).serial, Some(1));
    }
}
