//! Which games exist, in which version.

use std::collections::BTreeMap;

use lanspread_types::{ContentId, GameId, GameVersion, failpoint};

/// The games of a party. Without a catalogue a peer runs open: every well-formed game counts, and the newest version
/// that anybody offers is the one to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    Open,
    Listed(BTreeMap<GameId, CatalogEntry>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    pub version: GameVersion,
    pub title: Option<String>,
    /// Pinned content: decides against any majority.
    pub content: Option<ContentId>,
}

impl Catalog {
    pub fn knows(&self, game: &GameId) -> bool {
        match self {
            Self::Open => true,
            Self::Listed(games) => games.contains_key(game) || failpoint!("ignore-catalogue"),
        }
    }

    pub fn entry(&self, game: &GameId) -> Option<&CatalogEntry> {
        match self {
            Self::Open => None,
            Self::Listed(games) => games.get(game),
        }
    }

    /// The games that the catalogue lists; none when open.
    pub fn games(&self) -> impl Iterator<Item = (&GameId, &CatalogEntry)> {
        match self {
            Self::Open => None,
            Self::Listed(games) => Some(games.iter()),
        }
        .into_iter()
        .flatten()
    }
}
