//! The state of a node, as the user sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_types::message::GameOffer;
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Means, PartyName, PeerId};

use crate::catalog::{CatalogMode, GameAbout};
use crate::catalog_sync::About;
use crate::command::{OperationKind, Priority, RateLimits};
use crate::finding::Stranger;
use crate::io::DiskError;
use crate::refusals::RefusalCause;
use crate::trust::{Supplier, Support};

#[derive(Debug, Clone, PartialEq)]
pub struct StatusSnapshot {
    pub peer: PeerId,
    pub name: String,
    pub addr: SocketAddr,
    pub games_dir: PathBuf,
    pub catalogued: bool,
    pub catalog: CatalogMode,
    /// Organisers that could be trusted; none once one is.
    pub catalog_offered: Vec<OfferedCatalog>,
    pub accepts_wants: bool,
    /// The closed party that this peer belongs to.
    pub party: Option<PartyName>,
    pub peers: usize,
    /// Who was refused of late, and why; the latest first.
    pub refused: Vec<RefusedSnapshot>,
    /// Why the library, or a part of it, could not be read when it was last looked through.
    pub library_fault: Option<DiskError>,
    /// What runs here.
    pub operations: Vec<Operation>,
    /// The downloads among the operations, with the swarm that they draw from.
    pub swarms: Vec<SwarmSnapshot>,
    pub limits: RateLimits,
    /// What is being sent to others: chunks queued or on their way, by game.
    pub outbound: Vec<(GameId, usize)>,
    /// What went over the network since the start.
    pub traffic: Traffic,
}

/// What went over the network since the start of this peer, resumes and duplicates included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Chunks that arrived, matched their hash and were new.
    pub received_chunks: u64,
    pub received_bytes: u64,
    /// Those of the received bytes that came from peers of other groups.
    pub other_groups_bytes: u64,
    /// Chunks that were sent to the end.
    pub sent_chunks: u64,
    pub sent_bytes: u64,
    /// Messages handed to control connections.
    pub sent_messages: u64,
    /// Requests and cancellations handed to data connections.
    pub sent_requests: u64,
    /// Sources that sent what does not verify, each counted once for each game.
    pub rejected_sources: u64,
}

/// An organiser whose catalogue the room has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedCatalog {
    pub key: CatalogKey,
    /// The invitation that this peer came with names it.
    pub invited: bool,
    /// Connected peers that go by it, with their names.
    pub peers: Vec<(PeerId, String)>,
    /// What the catalogue says, once it was looked at.
    pub about: Option<About>,
}

/// Somebody who was not let in, or was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSnapshot {
    pub addr: SocketAddr,
    pub peer: Option<PeerId>,
    pub cause: RefusalCause,
    pub count: u64,
    pub seconds_ago: u64,
}

/// A download, as its swarm stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmSnapshot {
    pub game: GameId,
    pub priority: Priority,
    pub chunks_had: u32,
    pub chunks_total: u32,
    /// Complete copies in the room, this peer's own share counted: whole ones, and the part of the next one that is
    /// there. Below 1, the room does not have the whole game any more.
    pub copies: f64,
    pub bytes_per_second: u64,
    /// Until everything is here, at the present rate; `None` while nothing comes.
    pub seconds_left: Option<u64>,
    pub sources: Vec<SwarmSource>,
}

/// One source of a download.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmSource {
    pub peer: PeerId,
    pub name: String,
    /// Chunks that it has.
    pub chunks_has: u32,
    /// Verified bytes that came from it.
    pub bytes: u64,
    /// Its rate while it was busy for us.
    pub bytes_per_second: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub game: GameId,
    pub kind: OperationKind,
    /// Bytes done and bytes in all; both 0 where there is nothing to count.
    pub done: u64,
    pub total: u64,
}

/// Who is connected, and who else was heard of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeersSnapshot {
    pub peers: Vec<PeerSnapshot>,
    pub others: Vec<Stranger>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSnapshot {
    pub peer: PeerId,
    pub name: String,
    pub addr: SocketAddr,
    pub protocol: u16,
    /// How it was found, the first way first.
    pub found_by: Vec<Means>,
    /// What it announces, unfiltered.
    pub games: Vec<GameOffer>,
    /// Games that it announces beyond those: there was no room to keep or to list them.
    pub games_left_out: usize,
}

/// The games of `list-games`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameListSnapshot {
    pub games: Vec<GameSnapshot>,
    /// Games that are offered and do not stand in the list: others are offered by more peers.
    pub left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameSnapshot {
    pub game: GameId,
    pub title: Option<String>,
    pub about: GameAbout,
    pub downloaded: bool,
    pub installed: bool,
    pub availability: Availability,
    /// Version on this disk.
    pub local_version: Option<GameVersion>,
    /// Version that is installed, if that is known.
    pub installed_version: Option<GameVersion>,
    /// Version that the catalogue names; without one, the newest that several voices offer or, if there is none, the
    /// newest. What is dated after tomorrow does not count.
    pub version: Option<GameVersion>,
    /// Content on this disk, once it is indexed.
    pub content: Option<ContentId>,
    /// Connected peers that serve the version.
    pub peer_count: usize,
    /// Size of the version in bytes, as far as known.
    pub bytes: u64,
    /// Who stands behind the version; `None` while peers disagree about it, or nobody has it.
    pub support: Option<Support>,
    /// Independent voices that offer the version's content.
    pub voices: usize,
    /// Who alone offers it, where that is so.
    pub supplier: Option<Supplier>,
    /// The content that a download would fetch.
    pub offered_content: Option<ContentId>,
    /// A download would replace what is here, and asks first.
    pub update_needs_confirmation: bool,
    /// What is here is dated after tomorrow: others do not take it.
    pub dated_ahead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Downloaded, indexed and served to others.
    Ready,
    /// Here, but not served.
    LocalOnly,
    /// Not here, but some peer serves it.
    Remote,
}
