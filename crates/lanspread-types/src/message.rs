//! Messages that peers exchange: on control connections ([`Message`]) and on data connections ([`Request`],
//! [`Response`]).
//!
//! This module says what messages mean. Their bytes and the limits on their lists belong to `lanspread-proto`.
//! Nothing that a peer says about itself is an identity: that is the TLS key of the connection.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::chunk::{ChunkIndex, ChunkSize};
use crate::id::{CatalogKey, ContentId, GameId, PeerId, PeerName};
use crate::limits::{CHUNKS_PER_GAME_MAX, MANIFEST_BYTES_MAX, REL_PATH_BYTES_MAX};
use crate::manifest::{ENCODED_HEAD_BYTES_MAX, FILE_ENTRY_BYTES_MAX, HASH_BYTES};
use crate::version::GameVersion;

/// First message of each side on a control connection.
///
/// The sender's identity is not part of it: it is the TLS key of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version of the sender; see [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// Name of the sender, for people.
    pub name: PeerName,
    /// Port on which the sender accepts connections, at the IP address that this connection comes from.
    pub listen_port: u16,
    /// Name and version of the sender's program, for people.
    pub program: String,
}

/// Message on a control connection, after the hellos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The sender's library, or what changed in it.
    Library(LibraryUpdate),
    /// The sender downloads this content and wants to know which of its chunks the receiver has, now and later.
    Interested {
        /// Game that the content belongs to.
        game: GameId,
        /// Content that the sender downloads.
        content: ContentId,
    },
    /// The sender wants no more have-announcements for this content.
    NotInterested {
        /// Content of an earlier `Interested`.
        content: ContentId,
    },
    /// The chunks that the sender has of a content: the answer to `Interested`.
    HaveMap(HaveMap),
    /// The sender has received more chunks of a content.
    Have {
        /// Content of the chunks.
        content: ContentId,
        /// The new chunks.
        chunks: Vec<ChunkIndex>,
    },
    /// The sender has every chunk of a content below a number. A peer that receives its chunks in order sends this
    /// instead of `Have`.
    Progress {
        /// Content of the chunks.
        content: ContentId,
        /// First chunk that the sender may lack.
        below: ChunkIndex,
    },
    /// Asks for `Progress`. A peer that neither has nor downloads the content does not answer.
    ProgressWanted {
        /// Content to report on.
        content: ContentId,
    },
    /// Asks for a place in the relay line of a content. The answer is `Place`.
    PlaceWanted(PlaceWanted),
    /// Gives the receiver of this message its place in a relay line.
    Place(Place),
    /// Introduces peers that the sender is connected to, at addresses where it has reached them.
    Introduce {
        /// The introduced peers.
        peers: Vec<Introduction>,
    },
    /// The sender has this signed catalogue.
    CatalogOffer {
        /// Key of the organiser who signed it.
        key: CatalogKey,
        /// Edition of the catalogue; a higher serial is newer.
        serial: u64,
        /// Size of the signed catalogue, in bytes.
        bytes: u32,
    },
    /// Asks for a part of an offered catalogue. Each request is answered by one `CatalogPart`.
    CatalogWanted {
        /// Key of the offer.
        key: CatalogKey,
        /// Edition of the offer.
        serial: u64,
        /// Where the part begins, in bytes.
        offset: u32,
    },
    /// A part of a catalogue: the answer to `CatalogWanted`.
    CatalogPart {
        /// Edition that was asked for.
        serial: u64,
        /// Where the part begins, in bytes.
        offset: u32,
        /// Bytes of the part.
        part: Vec<u8>,
    },
    /// Asks for `State`.
    StateWanted,
    /// The sender's catalogue and downloads: the answer to `StateWanted`.
    State(PeerState),
    /// Asks the receiver to download a game. Its owner decides whether it obeys such wishes.
    DownloadWanted {
        /// Game to download.
        game: GameId,
    },
    /// Asks for a `Pong`, to see whether the receiver still answers.
    Ping {
        /// Number that comes back in the answer.
        nonce: u64,
    },
    /// The answer to `Ping`.
    Pong {
        /// Number of the ping.
        nonce: u64,
    },
    /// The sender leaves.
    Goodbye,
}

/// Request for a place in the relay line of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceWanted {
    /// Content that the sender downloads.
    pub content: ContentId,
    /// The sender has every chunk below this one.
    pub below: ChunkIndex,
    /// Upload limit of the sender, in bytes per second; absent if it has none. The sender feeds no peer with a higher
    /// limit.
    pub upload_limit: Option<u64>,
    /// Upstream of the sender that does not deliver, if it asks for that reason.
    pub instead_of: Option<PeerId>,
}

/// Place in the relay line of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Content of the line.
    pub content: ContentId,
    /// The upstream to follow, then those to turn to if it is lost, nearest first. Empty if the sender does not place
    /// peers.
    pub upstreams: Vec<PeerId>,
    /// Placer to ask instead of the sender.
    pub ask: Option<PeerId>,
}

/// State of a peer: its catalogue, its downloads and its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerState {
    /// Organiser's key and edition of the signed catalogue that the peer follows.
    pub catalog: Option<(CatalogKey, u64)>,
    /// True if the peer downloads games that `DownloadWanted` asks for.
    pub accepts_wants: bool,
    /// Its downloads under way.
    pub downloads: Vec<DownloadState>,
    /// Bytes of verified chunks that the peer received from its own group since its start.
    pub own_group_bytes: u64,
    /// Bytes of verified chunks that the peer received from other groups since its start.
    pub other_groups_bytes: u64,
}

/// State of a download of another peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadState {
    /// Game that the peer downloads.
    pub game: GameId,
    /// Version of the game.
    pub version: GameVersion,
    /// Content of the version.
    pub content: ContentId,
    /// Verified bytes that the peer has.
    pub done_bytes: u64,
    /// Bytes of the whole download.
    pub total_bytes: u64,
    /// Present rate of the download.
    pub bytes_per_second: u64,
}

/// Part of a library: the games that a peer serves, or the changes among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryUpdate {
    /// Revision of the library after this message; the sender counts from 1.
    pub revision: u64,
    /// Revision that this message builds upon; 0 for a snapshot. A receiver with another revision closes the
    /// connection, because a new connection begins with a snapshot.
    pub base: u64,
    /// True if more messages with the same revision follow.
    pub more: bool,
    /// Games that are new or changed.
    pub games: Vec<GameOffer>,
    /// Games that the sender no longer serves.
    pub removed: Vec<GameId>,
}

/// A game that a peer serves in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameOffer {
    /// The game.
    pub game: GameId,
    /// Version that the peer has.
    pub version: GameVersion,
    /// Content that the peer has.
    pub content: ContentId,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Number of files.
    pub files: u32,
}

impl GameOffer {
    /// Returns the usual size of such a game's encoded manifest, in bytes.
    pub fn manifest_bytes_usual(&self) -> u64 {
        self.manifest_bytes(USUAL_PATH_BYTES)
    }

    /// Returns the largest possible size of such a game's encoded manifest, in bytes.
    pub fn manifest_bytes_max(&self) -> u64 {
        self.manifest_bytes(REL_PATH_BYTES_MAX as u64)
    }

    fn manifest_bytes(&self, path: u64) -> u64 {
        let files = u64::from(self.files);
        let chunks = (self.bytes / ChunkSize::for_game(self.bytes).bytes()).saturating_add(files);
        let hashes = chunks.min(CHUNKS_PER_GAME_MAX.into()) * HASH_BYTES;
        let entries = files * (FILE_ENTRY_BYTES_MAX + path);
        (ENCODED_HEAD_BYTES_MAX + entries + hashes).min(MANIFEST_BYTES_MAX as u64)
    }
}

/// Usual length of a path in a game, in bytes.
const USUAL_PATH_BYTES: u64 = 48;

/// The chunks of a content that the sender has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HaveMap {
    /// The sender has every chunk of `content`.
    All {
        /// Content of the chunks.
        content: ContentId,
    },
    /// The sender has no chunk of `content` and does not download it.
    None {
        /// Content of the chunks.
        content: ContentId,
    },
    /// Part of the bitmap of `content`, from chunk `first` on. The sender lacks the chunks that no part covers.
    Part {
        /// Content of the chunks.
        content: ContentId,
        /// Chunk that the first bit stands for.
        first: ChunkIndex,
        /// One bit for each chunk, set if the sender has it; least significant bit first.
        bits: Vec<u8>,
    },
}

/// A peer, as a connected peer introduces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Id of the introduced peer.
    pub peer: PeerId,
    /// Address where the introducer has reached it.
    pub addr: SocketAddr,
}

/// Number of a request, chosen by the receiver and unique on its data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// Frame that a receiver sends to a source on a data connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Asks for the manifest and the chunk hashes of a content.
    Manifest {
        /// Number of the request.
        id: RequestId,
        /// Game that the content belongs to.
        game: GameId,
        /// Content to describe.
        content: ContentId,
    },
    /// Asks for one chunk.
    Chunk(ChunkRequest),
    /// Asks for chunks as the source gets them.
    Follow(FollowRequest),
    /// The receiver no longer needs the answer. The source may have sent it already.
    Cancel {
        /// Number of the request to cancel.
        id: RequestId,
    },
}

impl Request {
    /// Returns the numbers of the answers that this frame asks for. A cancellation has no answer of its own.
    pub fn ids(&self) -> Vec<RequestId> {
        match self {
            Self::Manifest { id, .. } => vec![*id],
            Self::Chunk(request) => vec![request.id],
            Self::Follow(request) => request.each().map(|(id, _)| id).collect(),
            Self::Cancel { .. } => Vec::new(),
        }
    }
}

/// Request for one chunk that the source has announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// Number of the request.
    pub id: RequestId,
    /// Game that the content belongs to.
    pub game: GameId,
    /// Content of the chunk.
    pub content: ContentId,
    /// Chunk to send.
    pub chunk: ChunkIndex,
}

/// Request for each of several chunks, in order, as soon as the source has it. A receiver sends it to its upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowRequest {
    /// Number of the first chunk's answer. Each further chunk has the next number.
    pub first: RequestId,
    /// Game that the content belongs to.
    pub game: GameId,
    /// Content of the chunks.
    pub content: ContentId,
    /// Peer that gave the receiver its place.
    pub placer: PeerId,
    /// Chunks to send; at least one.
    pub chunks: Vec<ChunkIndex>,
}

impl FollowRequest {
    /// Iterates over the chunks with the numbers of their answers.
    pub fn each(&self) -> impl Iterator<Item = (RequestId, ChunkIndex)> + '_ {
        (self.first.0..=u64::MAX).map(RequestId).zip(self.chunks.iter().copied())
    }
}

/// Head of a source's answer. After `Chunk` and `Manifest` the payload follows, as `len` raw bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The chunk that request `id` asks for follows, with `len` bytes.
    Chunk {
        /// Number of the request.
        id: RequestId,
        /// Chunk that follows.
        chunk: ChunkIndex,
        /// Length of the payload, in bytes.
        len: u32,
    },
    /// The encoded manifest that request `id` asks for follows, with `len` bytes.
    Manifest {
        /// Number of the request.
        id: RequestId,
        /// Length of the payload, in bytes.
        len: u32,
    },
    /// The source does not send the payload of request `id`.
    Refused {
        /// Number of the request.
        id: RequestId,
        /// Why the source does not send the payload.
        reason: Refusal,
    },
}

/// Why a source does not send the payload of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The source's catalogue does not list the game.
    #[error("the catalogue does not know this game")]
    UnknownGame,
    /// The source has not downloaded the game, or has not hashed it yet.
    #[error("the game is not downloaded here")]
    NotDownloaded,
    /// An operation keeps the source from serving the game, for example its removal.
    #[error("an operation is running on this game")]
    UnderOperation,
    /// The source has another content of the game.
    #[error("the game has another content here")]
    OtherContent,
    /// The source does not have the chunk, or has dropped it.
    #[error("the chunk is not here")]
    NotHad,
    /// The content has fewer chunks.
    #[error("there is no such chunk")]
    NoSuchChunk,
    /// The receiver has too many requests open at this source.
    #[error("too many requests are waiting")]
    TooMany,
    /// The source could not read the file.
    #[error("the file could not be read")]
    ReadFailed,
    /// The receiver cancelled the request before its payload began.
    #[error("the request was cancelled")]
    Cancelled,
    /// The source already feeds a member of another relay line.
    #[error("this source already serves another relay line")]
    OtherLine,
}
