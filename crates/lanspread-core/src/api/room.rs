//! The view of the room that a command gets.

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, PeerId};

use crate::groups::Group;

/// View of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSnapshot {
    /// All peers, including this one.
    pub guests: Vec<RoomGuest>,
    /// Groups with at least one guest, the named ones first.
    pub groups: Vec<RoomGroup>,
    /// Games, by id.
    pub games: Vec<RoomGame>,
    /// Number of offered games that are not listed, because the listed ones matter more.
    pub games_left_out: usize,
}

/// One peer in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGuest {
    /// Proven identity.
    pub peer: PeerId,
    /// Name to show.
    pub name: String,
    /// Group of its address, as this peer sees it.
    pub group: Group,
    /// Whether it has not answered: it is busy, or runs an older program.
    pub silent: bool,
    /// Key and serial number of the signed catalogue that counts there.
    pub catalog: Option<(CatalogKey, u64)>,
    /// Whether that is an older edition of this peer's catalogue.
    pub behind: bool,
    /// Whether it downloads what other peers ask everybody to download.
    pub accepts_wants: bool,
}

/// Peers behind one switch, and what they say they have received since their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGroup {
    /// A named group, or a subnet.
    pub group: Group,
    /// Number of guests in it.
    pub peers: usize,
    /// Bytes of verified chunks.
    pub received_bytes: u64,
    /// Bytes among them that came from peers of other groups.
    pub other_groups_bytes: u64,
}

/// One game over the whole room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGame {
    /// Id of the game.
    pub game: GameId,
    /// Title in the catalogue.
    pub title: Option<String>,
    /// Version that counts.
    pub version: Option<GameVersion>,
    /// Pinned content, if any.
    pub content: Option<ContentId>,
    /// Peers that have that version and content completely.
    pub ready: Vec<PeerId>,
    /// Peers that have another version or content.
    pub other: Vec<OtherCopy>,
    /// Peers that download it.
    pub fetching: Vec<Fetching>,
    /// Peers that neither have it nor download it.
    pub without: Vec<PeerId>,
    /// Seconds until the last download is complete; `None` while a download receives nothing, or no peer downloads
    /// the game.
    pub last_ready_seconds: Option<u64>,
}

/// A copy of another version or content than the one that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCopy {
    /// Peer that has it.
    pub peer: PeerId,
    /// Version of the copy.
    pub version: GameVersion,
    /// Content of the copy.
    pub content: ContentId,
    /// Whether the version counts, but not the content.
    pub same_version: bool,
}

/// A download of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetching {
    /// Peer that downloads.
    pub peer: PeerId,
    /// Version of the download.
    pub version: GameVersion,
    /// Bytes that are verified and written there.
    pub done_bytes: u64,
    /// Bytes of the whole download.
    pub total_bytes: u64,
    /// Present rate.
    pub bytes_per_second: u64,
    /// Time to completion at that rate; `None` while it receives nothing.
    pub seconds_left: Option<u64>,
}
