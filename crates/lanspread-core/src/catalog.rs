//! The catalogue: which games exist, in which version, and which groups of peers have a name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, failpoint};

use crate::groups::{Group, Groups};

/// The games that count at a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Catalog {
    /// No catalogue: every well-formed game counts, in the newest version that is offered.
    Open,
    /// Only the listed games count, in the listed versions.
    Listed {
        /// Games that count.
        games: BTreeMap<GameId, CatalogEntry>,
        /// Groups of peers that the catalogue names.
        groups: Groups,
    },
}

/// One game of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The only version that counts.
    pub version: GameVersion,
    /// Title for people.
    pub title: Option<String>,
    /// Pinned content, which decides against any majority.
    pub content: Option<ContentId>,
    /// Further details for people.
    pub about: GameAbout,
}

/// Details of a game that players want to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GameAbout {
    /// Fewest and most players.
    pub players: Option<(u16, u16)>,
    /// Genre, as the organiser words it.
    pub genre: Option<String>,
    /// Picture, as `data:image/…;base64,…`, or as `blake3:` with the hash of the picture.
    pub cover: Option<String>,
    /// Start command, relative to the installed game. Shown to people, not executed.
    pub start: Option<String>,
}

/// A catalogue whose signature was checked.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedCatalog {
    /// Key of the organiser who signed it.
    pub key: CatalogKey,
    /// Serial number of the edition; a higher number is newer.
    pub serial: u64,
    /// Title of the catalogue.
    pub title: Option<String>,
    /// Games and groups in the signed file.
    pub catalog: Catalog,
    /// The signed file, unchanged.
    pub bytes: Vec<u8>,
}

/// The kind of catalogue that counts on a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogMode {
    /// None: every well-formed game counts.
    Open,
    /// A file without a signature.
    Unsigned {
        /// Number of games in the file.
        games: usize,
    },
    /// The trusted organiser's catalogue.
    Signed {
        /// Key of the organiser.
        key: CatalogKey,
        /// Serial number of the edition; a higher number is newer.
        serial: u64,
        /// Title of the catalogue.
        title: Option<String>,
        /// Number of games in the catalogue.
        games: usize,
    },
    /// The organiser is trusted and the catalogue has not arrived: no game counts.
    Awaited {
        /// Key of the organiser.
        key: CatalogKey,
    },
}

impl Catalog {
    /// Returns a catalogue without games.
    pub fn empty() -> Self {
        Self::of_games(BTreeMap::new())
    }

    /// Returns a catalogue of these games that names no groups.
    pub fn of_games(games: BTreeMap<GameId, CatalogEntry>) -> Self {
        Self::Listed { games, groups: Groups::default() }
    }

    /// Returns true if the game counts.
    pub fn knows(&self, game: &GameId) -> bool {
        match self {
            Self::Open => true,
            Self::Listed { games, .. } => games.contains_key(game) || failpoint!("ignore-catalogue"),
        }
    }

    /// Returns the game's entry; `None` without a catalogue.
    pub fn entry(&self, game: &GameId) -> Option<&CatalogEntry> {
        match self {
            Self::Open => None,
            Self::Listed { games, .. } => games.get(game),
        }
    }

    /// Returns the listed games; none without a catalogue.
    pub fn games(&self) -> impl Iterator<Item = (&GameId, &CatalogEntry)> {
        match self {
            Self::Open => None,
            Self::Listed { games, .. } => Some(games.iter()),
        }
        .into_iter()
        .flatten()
    }

    /// Returns the group of an address: a named group, or the address's subnet.
    pub fn group_of(&self, ip: IpAddr) -> Group {
        match self {
            Self::Open => Group::subnet(ip),
            Self::Listed { groups, .. } => groups.of(ip),
        }
    }
}
