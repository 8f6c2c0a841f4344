//! Events: what happens in a peer, as a script sees it.
//!
//! A terminal event comes after the state that it reports is visible, so the next command may follow at once.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::CONTRACT_VERSION;
pub use crate::error::DiskFault;
use crate::error::{ErrorCode, Variant};
pub use crate::kinds::RefusalCode;
use crate::reply::ActiveOperation;

/// An event. The names are those of the contract, in kebab-case; the fields stand beside them in the same object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first line of a run.
    Contract(Contract),
    /// The peer listens and has read its library.
    LocalPeerReady {
        peer_id: String,
        name: String,
        addr: SocketAddr,
        game_count: usize,
    },
    /// The own library changed: all games in it, and the folders that are none.
    LocalLibraryChanged {
        games: Vec<String>,
        ignored: Vec<IgnoredFolder>,
    },
    /// The library, or a part of it, cannot be read. What is known of it stays as it was. Told once, until it can be read
    /// again; `library_fault` in the status says whether it can.
    LibraryUnreadable(DiskFault),
    /// A game is being hashed before it can be offered.
    IndexProgress {
        game_id: String,
        done_bytes: u64,
        total_bytes: u64,
    },
    IndexFailed(GameFailure),
    RemoteLibraryChanged {
        peer_id: String,
        game_count: usize,
    },
    PeerConnected {
        peer_id: String,
        name: String,
        addr: SocketAddr,
    },
    PeerLost {
        peer_id: String,
        name: String,
        code: LossCode,
        reason: String,
    },
    /// Somebody speaks another protocol version, so nothing can be exchanged.
    PeerIncompatible {
        addr: SocketAddr,
        their_protocol: u16,
        our_protocol: u16,
    },
    /// Somebody was not let in, or was dropped. Told once a minute at most for each address and code.
    PeerRefused {
        /// `null` if it never proved who it is.
        peer_id: Option<String>,
        addr: SocketAddr,
        code: RefusalCode,
        reason: String,
    },
    /// A newer edition of the organiser's catalogue came in and counts from now on.
    CatalogChanged {
        key: String,
        serial: u64,
        game_count: usize,
    },
    /// A connected peer goes by an organiser's catalogue, and this peer by none. Told once for each key; `trust-catalog` or
    /// `decline-catalog` answers it.
    CatalogOffered {
        /// The whole key.
        key: String,
        /// What people compare.
        fingerprint: String,
        peer_id: String,
        name: String,
    },
    /// Somebody asks everybody to fetch a game. `accepted`: this peer has started to.
    #[serde(rename = "fetch-wanted")]
    DownloadWanted {
        peer_id: String,
        name: String,
        game_id: String,
        accepted: bool,
    },
    /// The operations that run now.
    ActiveOperationsChanged {
        active_operations: Vec<ActiveOperation>,
    },
    /// The list of the files to fetch is here and verified.
    GotGameFiles {
        game_id: String,
        eti_version: String,
        content_id: String,
        file_count: usize,
        total_bytes: u64,
        chunk_count: u32,
    },
    /// The old version is looked through for what the new one shares with it.
    ReuseProgress {
        game_id: String,
        done_bytes: u64,
        total_bytes: u64,
    },
    /// Fetching starts. `had_bytes` of `total_bytes` were here already, `reused_bytes` of them in the old version.
    DownloadBegin {
        game_id: String,
        total_bytes: u64,
        had_bytes: u64,
        reused_bytes: u64,
    },
    DownloadProgress(DownloadProgress),
    /// A chunk is verified and on disk.
    DownloadChunkFinished {
        game_id: String,
        /// The file, relative to the game's folder, with `/`.
        path: String,
        /// Where the chunk starts in the file, in bytes.
        offset: u64,
        /// In bytes.
        length: u64,
        /// The peer that it came from.
        peer_id: String,
    },
    /// The game is in its place, its `version.ini` included.
    DownloadFinished {
        game_id: String,
        #[serde(flatten)]
        totals: Totals,
    },
    DownloadFailed {
        game_id: String,
        code: ErrorCode,
        reason: String,
        /// How much room is missing, for `disk-full`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing_bytes: Option<u64>,
        /// What the archives unpack to at least, for `unpacks-large`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unpacked_bytes: Option<u64>,
        /// What the peers disagree about, for `ambiguous-content`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variants: Vec<Variant>,
        #[serde(flatten)]
        totals: Totals,
    },
    /// The user cancelled, which is no failure.
    DownloadCancelled {
        game_id: String,
        #[serde(flatten)]
        totals: Totals,
    },
    /// The last source is gone; the download waits for another one.
    DownloadPeersGone {
        game_id: String,
    },
    /// A source sent what does not verify. It is not asked again for this game.
    SourceRejected {
        game_id: String,
        peer_id: String,
        name: String,
        code: RejectCode,
        reason: String,
    },
    InstallBegin {
        game_id: String,
    },
    InstallProgress {
        game_id: String,
        done_bytes: u64,
        total_bytes: u64,
    },
    /// Another version took the place of an installed game; this of it stays.
    UserFilesKept {
        game_id: String,
        /// Files that were added or changed since the install.
        kept: u64,
        /// New files that stand beside changed ones of the same name, relative to `local/`.
        beside: Vec<String>,
    },
    InstallFinished {
        game_id: String,
    },
    InstallFailed(GameFailure),
    UninstallFinished {
        game_id: String,
    },
    UninstallFailed(GameFailure),
    RemoveFinished {
        game_id: String,
    },
    RemoveFailed(GameFailure),
    VerifyBegin {
        game_id: String,
    },
    VerifyProgress {
        game_id: String,
        done_bytes: u64,
        total_bytes: u64,
    },
    VerifyFinished(VerifyFinished),
    VerifyFailed(GameFailure),
    /// The program that started a game has ended; where that only starts another one, the game may go on.
    PlayEnded {
        game_id: String,
        duration_ms: u64,
    },
    /// The reader was too slow: this many events are lost to it. What they spoke of shows in `status`, `list-games` and
    /// `list-peers`.
    EventsLost {
        count: u64,
    },
}

impl Event {
    /// Makes the first line of a run.
    pub fn contract(program: &str, program_version: &str) -> Self {
        Self::Contract(Contract {
            version: CONTRACT_VERSION,
            program: program.to_owned(),
            program_version: program_version.to_owned(),
        })
    }

    /// Returns whether the event only reports progress: its name ends with `-progress`.
    pub fn is_progress(&self) -> bool {
        matches!(
            self,
            Self::IndexProgress { .. }
                | Self::ReuseProgress { .. }
                | Self::DownloadProgress(_)
                | Self::InstallProgress { .. }
                | Self::VerifyProgress { .. }
        )
    }

    /// Returns why something failed, if the event reports that: its name ends with `-failed`.
    pub fn failure(&self) -> Option<ErrorCode> {
        match self {
            Self::DownloadFailed { code, .. } => Some(*code),
            Self::IndexFailed(failure)
            | Self::InstallFailed(failure)
            | Self::UninstallFailed(failure)
            | Self::RemoveFailed(failure)
            | Self::VerifyFailed(failure) => Some(failure.code),
            _ => None,
        }
    }
}

/// Which contract, by which program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contract {
    pub version: u32,
    pub program: String,
    pub program_version: String,
}

/// A folder in the games folder that is no game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IgnoredFolder {
    pub name: String,
    pub reason: String,
}

/// Something failed for one game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameFailure {
    pub game_id: String,
    pub code: ErrorCode,
    pub reason: String,
    /// How much room is missing, for `disk-full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_bytes: Option<u64>,
    /// What the archives unpack to at least, for `unpacks-large`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked_bytes: Option<u64>,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyFinished {
    pub game_id: String,
    /// What the files should be.
    pub content_id: String,
    pub total_bytes: u64,
    pub chunk_count: u32,
    /// How many parts are broken, and the first hundred of them.
    pub broken_count: usize,
    pub broken_bytes: u64,
    pub broken: Vec<BrokenPart>,
    /// The content that the room agrees on, where it is another one under the same version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_content_id: Option<String>,
    pub repair: Repair,
}

/// A chunk that is not what it should be or, with a length of 0, a file that is missing or too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokenPart {
    pub path: String,
    pub offset: u64,
    pub length: u64,
}

/// What is done about what is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    NotNeeded,
    NotAsked,
    /// A download of just what is broken has begun.
    Started,
    /// No connected peer has it.
    NoSource,
}

/// How a download stands; at most twice a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DownloadProgress {
    pub game_id: String,
    pub downloaded_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_second: u64,
    /// Sources that sent something of late.
    pub active_peer_count: usize,
    /// Bytes of the archives that are unpacked already; absent if nothing is unpacked while it arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked_bytes: Option<u64>,
}

/// What a download came to. The rates follow from `bytes` and `duration_ms` as they stand here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Verified bytes that came over the network.
    pub bytes: u64,
    /// Verified bytes that came from the old version instead.
    pub reused_bytes: u64,
    pub chunks: u64,
    /// Rounded up; at least 1 if there were any bytes.
    pub duration_ms: u64,
    /// `bytes` / 2^20 / seconds.
    pub mib_per_s: f64,
    /// `bytes` × 8 / 10^6 / seconds = 8.388608 × `mib_per_s`.
    pub mbit_per_s: f64,
    pub sources: Vec<SourceTotals>,
}

/// What one peer gave to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceTotals {
    pub peer_id: String,
    pub name: String,
    pub bytes: u64,
    pub chunks: u64,
}

/// Why a peer is no longer connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossCode {
    Goodbye,
    Lost,
    Silent,
    Replaced,
    ProtocolError,
    TooManyPeers,
    Leaving,
}

/// Why a source is not asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectCode {
    CorruptChunk,
    BadManifest,
}
