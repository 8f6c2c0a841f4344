//! What happened, for people and scripts. An event comes after the state it speaks of is visible.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::message::Refusal;
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, PeerId, RelPath};

use crate::command::ContentVariant;
use crate::io::{BrokenPart, CloseReason, DiskError, IgnoredFolder, KeptFiles};
use crate::refusals::RefusalCause;
use crate::snapshot::Operation;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The peer listens and has read its library.
    LocalPeerReady {
        peer: PeerId,
        name: String,
        addr: SocketAddr,
        games: usize,
    },
    LocalLibraryChanged {
        games: Vec<GameId>,
        ignored: Vec<IgnoredFolder>,
    },
    /// The library, or a part of it, cannot be read. What is known of it stays as it was. Told once, until it can be read
    /// again.
    LibraryUnreadable {
        error: DiskError,
    },
    /// A game is being hashed before it can be offered.
    IndexProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    IndexFailed {
        game: GameId,
        error: DiskError,
    },
    RemoteLibraryChanged {
        peer: PeerId,
        games: usize,
    },
    PeerConnected {
        peer: PeerId,
        name: String,
        addr: SocketAddr,
    },
    PeerLost {
        peer: PeerId,
        name: String,
        reason: CloseReason,
    },
    /// Somebody speaks another protocol version.
    PeerIncompatible {
        addr: SocketAddr,
        theirs: u16,
        ours: u16,
    },
    /// Somebody was not let in, or was dropped, and will not be dialled again by itself. Told once a minute at most for
    /// each address and kind.
    PeerRefused {
        peer: Option<PeerId>,
        addr: SocketAddr,
        cause: RefusalCause,
    },
    /// The organiser's catalogue is here, in a newer edition.
    CatalogChanged {
        key: CatalogKey,
        serial: u64,
        games: usize,
    },
    /// A connected peer goes by an organiser's catalogue, and this peer by none. Told once for each key.
    CatalogOffered {
        key: CatalogKey,
        peer: PeerId,
        name: String,
    },
    /// Somebody asks everybody to fetch a game; `accepted` tells whether this peer does.
    FetchWanted {
        peer: PeerId,
        name: String,
        game: GameId,
        accepted: bool,
    },
    ActiveOperationsChanged {
        operations: Vec<Operation>,
    },
    /// The manifest is here and verified.
    GotGameFiles {
        game: GameId,
        version: GameVersion,
        content: ContentId,
        files: usize,
        bytes: u64,
        chunks: u32,
    },
    /// The old version is looked through for what the new one shares with it.
    ReuseProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    DownloadBegin {
        game: GameId,
        bytes: u64,
        had_bytes: u64,
        /// Those of `had_bytes` that the old version gave.
        reused_bytes: u64,
    },
    DownloadProgress(DownloadProgress),
    DownloadChunkFinished {
        game: GameId,
        path: RelPath,
        offset: u64,
        length: u64,
        peer: PeerId,
    },
    DownloadFinished {
        game: GameId,
        totals: TransferTotals,
    },
    DownloadFailed {
        game: GameId,
        failure: DownloadFailure,
        totals: TransferTotals,
    },
    /// The user cancelled: not a failure.
    DownloadCancelled {
        game: GameId,
        totals: TransferTotals,
    },
    /// The last source is gone; the download waits for another one.
    DownloadPeersGone {
        game: GameId,
    },
    /// A source sent what does not verify. It is not asked again for that game.
    SourceRejected {
        game: GameId,
        peer: PeerId,
        name: String,
        reason: RejectReason,
    },
    InstallBegin {
        game: GameId,
    },
    InstallProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    /// What of the installed game stays although another version took its place.
    UserFilesKept {
        game: GameId,
        kept: KeptFiles,
    },
    InstallFinished {
        game: GameId,
    },
    InstallFailed {
        game: GameId,
        error: DiskError,
    },
    UninstallFinished {
        game: GameId,
    },
    UninstallFailed {
        game: GameId,
        error: DiskError,
    },
    RemoveFinished {
        game: GameId,
    },
    RemoveFailed {
        game: GameId,
        error: DiskError,
    },
    VerifyBegin {
        game: GameId,
    },
    VerifyProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    VerifyFinished {
        game: GameId,
        verdict: Verdict,
    },
    VerifyFailed {
        game: GameId,
        error: DiskError,
    },
    /// The program that started a game has ended; where that only starts another one, the game may go on.
    PlayEnded {
        game: GameId,
        played: Duration,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadProgress {
    pub game: GameId,
    pub downloaded_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_second: u64,
    /// Sources that sent something of late.
    pub active_peer_count: usize,
    /// Bytes of the archives that are unpacked already; `None` if nothing is unpacked while it arrives.
    pub unpacked_bytes: Option<u64>,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the files should be.
    pub content: ContentId,
    pub bytes: u64,
    pub chunks: u32,
    pub broken: Vec<BrokenPart>,
    /// The content that the room agrees on, if it is another one under the same version.
    pub room_has: Option<ContentId>,
    pub repair: Repair,
}

/// What is done about what is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is broken.
    NotNeeded,
    /// It was not asked for.
    NotAsked,
    /// A download has begun that fetches what is broken, and nothing else.
    Started,
    /// No connected peer has it.
    NoSource,
}

/// What a download came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransferTotals {
    /// Verified bytes received from the network.
    pub bytes: u64,
    pub chunks: u64,
    pub duration: Duration,
    /// Bytes that the old version gave.
    pub reused_bytes: u64,
    pub sources: Vec<SourceTotals>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTotals {
    pub peer: PeerId,
    pub name: String,
    pub bytes: u64,
    pub chunks: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadFailure {
    #[error("no connected peer has it in the version that counts")]
    NoSource,
    #[error("only versions that are dated after tomorrow are offered")]
    VersionAhead,
    #[error("all sources are gone")]
    SourcesGone,
    #[error("the peers disagree about the content, and none has a majority")]
    AmbiguousContent(Vec<ContentVariant>),
    #[error("no source has a valid manifest of this content")]
    NoManifest,
    #[error("every source sent data that does not verify")]
    AllSourcesRejected,
    #[error("{0}")]
    Disk(DiskError),
    #[error("the peer is shutting down")]
    ShuttingDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    #[error("it sent a chunk that does not match its hash")]
    CorruptChunk,
    #[error("it sent a manifest that does not match its hash")]
    BadManifest,
    #[error("it refused: {0}")]
    Refused(Refusal),
}
