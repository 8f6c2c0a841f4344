//! Which games exist, in which version, and which groups of peers have a name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, failpoint};

use crate::groups::{Group, Groups};

/// The games of a party. Without a catalogue a peer runs open: every well-formed game counts, and the newest version
/// that anybody offers is the one to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    Open,
    Listed { games: BTreeMap<GameId, CatalogEntry>, groups: Groups },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    pub version: GameVersion,
    pub title: Option<String>,
    /// Pinned content: decides against any majority.
    pub content: Option<ContentId>,
    pub about: GameAbout,
}

/// What people want to know of a game.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GameAbout {
    /// How many may play together, at least and at most.
    pub players: Option<(u16, u16)>,
    pub genre: Option<String>,
    /// A picture as `data:image/…;base64,…`, or `blake3:` and the hash of a picture.
    pub cover: Option<String>,
    /// The command that starts it, relative to the installed game.
    pub start: Option<String>,
}

/// A catalogue with its organiser's signature, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedCatalog {
    pub key: CatalogKey,
    /// The higher one is the newer one.
    pub serial: u64,
    pub title: Option<String>,
    pub catalog: Catalog,
    /// The file, as it was signed.
    pub bytes: Vec<u8>,
}

/// By which list a peer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogMode {
    /// Every well-formed game counts.
    Open,
    /// A file without a signature.
    Unsigned { games: usize },
    /// The organiser's.
    Signed { key: CatalogKey, serial: u64, title: Option<String>, games: usize },
    /// The organiser is known and the catalogue is not here yet: nothing counts.
    Awaited { key: CatalogKey },
}

impl Catalog {
    /// A list without a game.
    pub fn empty() -> Self {
        Self::of_games(BTreeMap::new())
    }

    /// A list of games that names no groups.
    pub fn of_games(games: BTreeMap<GameId, CatalogEntry>) -> Self {
        Self::Listed { games, groups: Groups::default() }
    }

    pub fn knows(&self, game: &GameId) -> bool {
        match self {
            Self::Open => true,
            Self::Listed { games, .. } => games.contains_key(game) || failpoint!("ignore-catalogue"),
        }
    }

    pub fn entry(&self, game: &GameId) -> Option<&CatalogEntry> {
        match self {
            Self::Open => None,
            Self::Listed { games, .. } => games.get(game),
        }
    }

    /// The games that the catalogue lists; none when open.
    pub fn games(&self) -> impl Iterator<Item = (&GameId, &CatalogEntry)> {
        match self {
            Self::Open => None,
            Self::Listed { games, .. } => Some(games.iter()),
        }
        .into_iter()
        .flatten()
    }

    /// Returns the group of an address: a named one, or its subnet.
    pub fn group_of(&self, ip: IpAddr) -> Group {
        match self {
            Self::Open => Group::subnet(ip),
            Self::Listed { groups, .. } => groups.of(ip),
        }
    }
}
