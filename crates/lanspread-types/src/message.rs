//! What peers say to each other. How it is written in bytes is the protocol crate's concern.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::chunk::{ChunkIndex, ChunkSize};
use crate::id::{CatalogKey, ContentId, GameId, PeerId, PeerName};
use crate::limits::{CHUNKS_PER_GAME_MAX, MANIFEST_BYTES_MAX, REL_PATH_BYTES_MAX};
use crate::manifest::{ENCODED_HEAD_BYTES_MAX, FILE_ENTRY_BYTES_MAX, HASH_BYTES};
use crate::version::GameVersion;

/// The first message of each side on a control connection. The sender's identity is the connection's TLS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol version of the sender; see [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    pub name: PeerName,
    /// The port on which the sender accepts connections, at the address that the connection comes from.
    pub listen_port: u16,
    /// Version of the program, for people to read.
    pub program: String,
}

/// A message on a control connection, after the hellos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    Library(LibraryUpdate),
    /// The sender downloads this content and wants to hear who has which of its chunks.
    Interested {
        game: GameId,
        content: ContentId,
    },
    /// The sender no longer wants have-announcements for this content.
    NotInterested {
        content: ContentId,
    },
    /// What the sender has of a content: the answer to `Interested`.
    HaveMap(HaveMap),
    /// Chunks that the sender has got since.
    Have {
        content: ContentId,
        chunks: Vec<ChunkIndex>,
    },
    /// The sender has every chunk below this one. A peer that receives in order sends it instead of `Have`.
    Progress {
        content: ContentId,
        below: ChunkIndex,
    },
    /// Asks for `Progress`. A peer that neither has nor downloads the content does not answer.
    ProgressWanted {
        content: ContentId,
    },
    /// Asks for a place in the relay line of this content. Answered by `Place`.
    PlaceWanted(PlaceWanted),
    /// Gives the receiver of this message its place.
    Place(Place),
    /// Peers that the sender is connected to, at addresses where it reached them.
    Introduce {
        peers: Vec<Introduction>,
    },
    /// The sender has this signed catalogue.
    CatalogOffer {
        key: CatalogKey,
        serial: u64,
        bytes: u32,
    },
    /// Asks for a part of an offered catalogue; each is answered by one `CatalogPart`.
    CatalogWanted {
        key: CatalogKey,
        serial: u64,
        offset: u32,
    },
    CatalogPart {
        serial: u64,
        offset: u32,
        part: Vec<u8>,
    },
    /// Asks how the receiver stands.
    StateWanted,
    State(PeerState),
    /// The sender asks everybody to fetch a game. Whether that is done is the receiver's owner's choice.
    FetchWanted {
        game: GameId,
    },
    Ping {
        nonce: u64,
    },
    Pong {
        nonce: u64,
    },
    /// The sender leaves.
    Goodbye,
}

/// Asks for a place in the relay line of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceWanted {
    pub content: ContentId,
    /// The sender has every chunk below this one.
    pub below: ChunkIndex,
    /// Upload limit of the sender, in bytes per second. It feeds no peer with a higher limit.
    pub upload_limit: Option<u64>,
    /// The sender's upstream, if it does not deliver.
    pub instead_of: Option<PeerId>,
}

/// A place in the relay line of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub content: ContentId,
    /// The peer to follow, then the peers to turn to if it is lost, nearest first. Empty if the sender places nobody.
    pub upstreams: Vec<PeerId>,
    /// The peer to ask instead.
    pub ask: Option<PeerId>,
}

/// How a peer stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerState {
    /// The signed catalogue that it goes by.
    pub catalog: Option<(CatalogKey, u64)>,
    /// It fetches what it is asked to fetch.
    pub accepts_wants: bool,
    pub downloads: Vec<DownloadState>,
    /// Bytes of verified chunks that it received from peers of its own group since its start.
    pub own_group_bytes: u64,
    /// The same from peers of other groups.
    pub other_groups_bytes: u64,
}

/// A download of another peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadState {
    pub game: GameId,
    pub version: GameVersion,
    pub content: ContentId,
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_second: u64,
}

/// Part of a library: the games that a peer serves, or what changed among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryUpdate {
    /// Revision of the library after this message, counted by the sender from 1.
    pub revision: u64,
    /// Revision that this message builds upon; 0 for a snapshot. A receiver that has another one asks anew by closing
    /// the connection.
    pub base: u64,
    /// More messages with the same revision follow.
    pub more: bool,
    pub games: Vec<GameOffer>,
    pub removed: Vec<GameId>,
}

/// One game that a peer serves in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameOffer {
    pub game: GameId,
    pub version: GameVersion,
    pub content: ContentId,
    /// Size of all files, in bytes.
    pub bytes: u64,
    pub files: u32,
}

impl GameOffer {
    /// Bytes that the encoded manifest of such a game usually has.
    pub fn manifest_bytes_usual(&self) -> u64 {
        self.manifest_bytes(USUAL_PATH_BYTES)
    }

    /// Bytes that the encoded manifest of such a game has at the most.
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

/// Length of a usual path in a game, in bytes.
const USUAL_PATH_BYTES: u64 = 48;

/// Which chunks the sender has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HaveMap {
    /// Every chunk.
    All { content: ContentId },
    /// Not one chunk: the sender neither has nor downloads this content.
    None { content: ContentId },
    /// A part of the bitmap, from the chunk `first` on, least significant bit first. Chunks outside all parts sent are
    /// not had.
    Part { content: ContentId, first: ChunkIndex, bits: Vec<u8> },
}

/// A peer, as somebody who reached it introduces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    pub peer: PeerId,
    pub addr: SocketAddr,
}

/// The number of a request, chosen by the receiver and unique on its data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What a receiver sends on a data connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The manifest and the chunk hashes of a content.
    Manifest {
        id: RequestId,
        game: GameId,
        content: ContentId,
    },
    Chunk(ChunkRequest),
    Follow(FollowRequest),
    /// The receiver no longer needs the answer. The source may have sent it already.
    Cancel {
        id: RequestId,
    },
}

impl Request {
    /// Ids of the answers that it calls for. A cancellation has no answer of its own.
    pub fn ids(&self) -> Vec<RequestId> {
        match self {
            Self::Manifest { id, .. } => vec![*id],
            Self::Chunk(request) => vec![request.id],
            Self::Follow(request) => request.each().map(|(id, _)| id).collect(),
            Self::Cancel { .. } => Vec::new(),
        }
    }
}

/// Asks for one chunk, which the source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    pub id: RequestId,
    pub game: GameId,
    pub content: ContentId,
    pub chunk: ChunkIndex,
}

/// Asks for *each* of these chunks, in order, as soon as the source has it. A follower sends it to its upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowRequest {
    /// Id of the first chunk's answer. Each further chunk has the next id.
    pub first: RequestId,
    pub game: GameId,
    pub content: ContentId,
    /// The peer that gave the follower its place.
    pub placer: PeerId,
    /// At least one.
    pub chunks: Vec<ChunkIndex>,
}

impl FollowRequest {
    /// Each chunk with the id of its answer.
    pub fn each(&self) -> impl Iterator<Item = (RequestId, ChunkIndex)> + '_ {
        (self.first.0..=u64::MAX).map(RequestId).zip(self.chunks.iter().copied())
    }
}

/// The head of a source's answer. The payload of `Chunk` and `Manifest` follows as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    Chunk { id: RequestId, chunk: ChunkIndex, len: u32 },
    Manifest { id: RequestId, len: u32 },
    Refused { id: RequestId, reason: Refusal },
}

/// Why a source does not send what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("the catalogue does not know this game")]
    UnknownGame,
    #[error("the game is not downloaded here")]
    NotDownloaded,
    #[error("an operation is running on this game")]
    UnderOperation,
    #[error("the game has another content here")]
    OtherContent,
    #[error("the chunk is not here")]
    NotHad,
    #[error("there is no such chunk")]
    NoSuchChunk,
    #[error("too many requests are waiting")]
    TooMany,
    #[error("the file could not be read")]
    ReadFailed,
    #[error("the request was cancelled")]
    Cancelled,
    #[error("this source feeds another line")]
    OtherLine,
}
