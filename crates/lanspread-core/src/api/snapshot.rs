//! The state of a node as the owner sees it, as answers to commands.
//!
//! Plain data; a snapshot does not follow later changes.

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_types::message::GameOffer;
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Means, PartyName, PeerId};

use super::kinds::{OperationKind, Priority, RateLimits};
use crate::border::disk::DiskError;
use crate::catalog::{CatalogMode, GameAbout};
use crate::catalog_sync::About;
use crate::discovery::Stranger;
use crate::refusals::RefusalCause;
use crate::trust::{Supplier, Support};

/// State of this peer.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusSnapshot {
    /// Id of this peer.
    pub peer: PeerId,
    /// Name of this peer.
    pub name: String,
    /// Address on which it listens.
    pub addr: SocketAddr,
    /// Folder that contains one folder for each game.
    pub games_dir: PathBuf,
    /// Whether only the games of a catalogue count; false if every well-formed game counts.
    pub catalogued: bool,
    /// Which kind of catalogue counts, if any.
    pub catalog: CatalogMode,
    /// Organisers that the owner could trust; empty once one is trusted.
    pub catalog_offered: Vec<OfferedCatalog>,
    /// Whether this peer downloads what other peers ask everybody to fetch.
    pub accepts_wants: bool,
    /// Closed party that this peer belongs to.
    pub party: Option<PartyName>,
    /// Number of connected peers.
    pub peers: usize,
    /// Peers that were refused recently, the latest first.
    pub refused: Vec<RefusedSnapshot>,
    /// Why the library, or a part of it, could not be read at the last scan.
    pub library_fault: Option<DiskError>,
    /// The games folder cannot be written: its games are shared, and nothing is downloaded or installed there.
    pub library_read_only: bool,
    /// Operations that run on this peer.
    pub operations: Vec<Operation>,
    /// Downloads among the operations, with their sources.
    pub swarms: Vec<SwarmSnapshot>,
    /// Rate limits in force.
    pub limits: RateLimits,
    /// Chunks that are queued for other peers or being sent, by game.
    pub outbound: Vec<(GameId, usize)>,
    /// Totals since the start of this peer.
    pub traffic: Traffic,
}

/// What went over the network since the start of this peer. A chunk that is sent again counts again; a received chunk
/// counts only if it is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Chunks that arrived, matched their hash and were new.
    pub received_chunks: u64,
    /// Bytes of these chunks.
    pub received_bytes: u64,
    /// Bytes among them that came from peers of other groups.
    pub other_groups_bytes: u64,
    /// Chunks that were sent completely.
    pub sent_chunks: u64,
    /// Bytes of these chunks.
    pub sent_bytes: u64,
    /// Messages handed to control connections.
    pub sent_messages: u64,
    /// Requests and cancellations handed to data connections.
    pub sent_requests: u64,
    /// Sources that sent data which does not verify; each counts once for each game.
    pub rejected_sources: u64,
}

/// An organiser whose catalogue connected peers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedCatalog {
    /// The organiser's key.
    pub key: CatalogKey,
    /// Whether the invitation that came with this program names the organiser.
    pub invited: bool,
    /// Connected peers that have the catalogue, with their names.
    pub peers: Vec<(PeerId, String)>,
    /// What the catalogue says about itself, once it was fetched and checked.
    pub about: Option<About>,
}

/// A peer that was refused or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSnapshot {
    /// Where it can be reached, or where it came from.
    pub addr: SocketAddr,
    /// Its identity, if it proved one.
    pub peer: Option<PeerId>,
    /// Why it was refused, the last time.
    pub cause: RefusalCause,
    /// How often it was refused for this kind of cause.
    pub count: u64,
    /// Seconds since the last time.
    pub seconds_ago: u64,
}

/// State of one download and its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmSnapshot {
    /// Game of the download.
    pub game: GameId,
    /// Priority among the downloads.
    pub priority: Priority,
    /// Chunks that are verified and written.
    pub chunks_had: u32,
    /// Chunks of the whole content.
    pub chunks_total: u32,
    /// Number of complete copies of the game in the room, counting the chunks of this peer too. The whole part is the
    /// number of copies of the rarest chunk; the fraction is the share of chunks that have more copies than that. Below
    /// 1, the room no longer has the whole game.
    pub copies: f64,
    /// Rate over the last two seconds.
    pub bytes_per_second: u64,
    /// Time to completion at the rate of the last ten seconds; `None` while nothing arrives, and in the first two seconds.
    pub seconds_left: Option<u64>,
    /// Sources of the download.
    pub sources: Vec<SwarmSource>,
}

/// One source of a download.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmSource {
    /// Peer that has chunks.
    pub peer: PeerId,
    /// Name to show for it.
    pub name: String,
    /// Chunks that it has.
    pub chunks_has: u32,
    /// Verified bytes that came from it.
    pub bytes: u64,
    /// Its rate over the last two seconds.
    pub bytes_per_second: u64,
}

/// An operation that runs on a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Game on which it runs.
    pub game: GameId,
    /// What it does.
    pub kind: OperationKind,
    /// Bytes done; 0 if there is nothing to count.
    pub done: u64,
    /// Bytes in all; 0 if there is nothing to count.
    pub total: u64,
}

/// Connected peers, and other peers that we have heard of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeersSnapshot {
    /// Connected peers, by id.
    pub peers: Vec<PeerSnapshot>,
    /// Peers and addresses that are not connected, with the reason.
    pub others: Vec<Stranger>,
}

/// A connected peer, as `list-peers` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// Proven identity.
    pub peer: PeerId,
    /// Name to show.
    pub name: String,
    /// Address on which it accepts connections.
    pub addr: SocketAddr,
    /// Protocol version that it speaks.
    pub protocol: u16,
    /// How it was found, in the order in which that happened.
    pub found_by: Vec<Means>,
    /// Games that it announces, whether or not they count here.
    pub games: Vec<GameOffer>,
    /// Number of further games for which there was no room in memory or in the list.
    pub games_left_out: usize,
}

/// Answer to `list-games`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameListSnapshot {
    /// Games that are here or offered.
    pub games: Vec<GameSnapshot>,
    /// Number of offered games that are not listed, because more peers offer the listed ones.
    pub left_out: usize,
}

/// One game, here or in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameSnapshot {
    /// Id of the game.
    pub game: GameId,
    /// Title in the catalogue.
    pub title: Option<String>,
    /// Further details in the catalogue.
    pub about: GameAbout,
    /// Whether it is downloaded.
    pub downloaded: bool,
    /// Whether it is installed.
    pub installed: bool,
    /// Where it can be had.
    pub availability: Availability,
    /// Downloaded version.
    pub local_version: Option<GameVersion>,
    /// Installed version, if known.
    pub installed_version: Option<GameVersion>,
    /// Version that counts: the catalogue's; otherwise the newest that several voices offer or, if there is none, the
    /// newest. A version dated after tomorrow does not count.
    pub version: Option<GameVersion>,
    /// Downloaded content, once it is hashed.
    pub content: Option<ContentId>,
    /// Connected peers that offer the version that counts.
    pub peer_count: usize,
    /// Size in bytes, or 0 if unknown.
    pub bytes: u64,
    /// Support of the version that counts; `None` while peers disagree about its content, or no peer has it.
    pub support: Option<Support>,
    /// Independent voices that offer its content.
    pub voices: usize,
    /// The only voice that offers it, if there is only one and nothing else supports it.
    pub supplier: Option<Supplier>,
    /// Content that a download would fetch.
    pub offered_content: Option<ContentId>,
    /// Whether a download would replace what is here, and needs the owner's confirmation.
    pub update_needs_confirmation: bool,
    /// Whether the downloaded version is dated after tomorrow, so other peers do not take it.
    pub dated_ahead: bool,
    /// Whether the owner keeps it out of sharing.
    pub private: bool,
}

/// Where a game can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Downloaded, hashed and served to other peers.
    Ready,
    /// Here, but not served.
    LocalOnly,
    /// Not here, but a peer offers it or it is being downloaded.
    Remote,
}
