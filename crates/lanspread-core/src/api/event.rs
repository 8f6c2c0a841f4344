//! Events for people and scripts.
//!
//! An event is emitted after the state that it reports is visible, so a following command already sees that state.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, PeerId, RelPath};

use crate::api::command::ContentVariant;
use crate::api::snapshot::Operation;
use crate::border::disk::{BrokenPart, DiskError, IgnoredFolder, KeptFiles};
use crate::border::net::CloseReason;
use crate::refusals::RefusalCause;

/// Something that happened on this peer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// This peer listens and has read its library.
    LocalPeerReady {
        /// Id of this peer.
        peer: PeerId,
        /// Name of this peer.
        name: String,
        /// Address on which it listens.
        addr: SocketAddr,
        /// Number of downloaded games.
        games: usize,
    },
    /// The announced games or the ignored folders changed.
    LocalLibraryChanged {
        /// Games that are announced to other peers.
        games: Vec<GameId>,
        /// Folders that are not games.
        ignored: Vec<IgnoredFolder>,
    },
    /// The library, or a part of it, could not be read. What was known about it still holds. Emitted once, and again
    /// only after a successful read.
    LibraryUnreadable {
        /// Why it could not be read.
        error: DiskError,
    },
    /// A game is being hashed before it can be offered.
    IndexProgress {
        /// Game being hashed.
        game: GameId,
        /// Bytes hashed.
        done: u64,
        /// Bytes to hash.
        total: u64,
    },
    /// A game could not be hashed, so it is not offered.
    IndexFailed {
        /// Game whose files could not be read.
        game: GameId,
        /// Why it could not be hashed.
        error: DiskError,
    },
    /// A peer's library changed. Frequent changes are reported as one.
    RemoteLibraryChanged {
        /// Peer that announced the change.
        peer: PeerId,
        /// Number of games that it offers now.
        games: usize,
    },
    /// A peer that was not connected has connected.
    PeerConnected {
        /// Proven identity of the peer.
        peer: PeerId,
        /// Name to show for it.
        name: String,
        /// Address on which it accepts connections.
        addr: SocketAddr,
    },
    /// A peer's connection ended.
    PeerLost {
        /// Peer that is no longer connected.
        peer: PeerId,
        /// Name to show for it.
        name: String,
        /// Why the connection ended.
        reason: CloseReason,
    },
    /// A peer speaks another protocol version.
    PeerIncompatible {
        /// Where the peer was met.
        addr: SocketAddr,
        /// Protocol version of that peer.
        theirs: u16,
        /// Protocol version of this peer.
        ours: u16,
    },
    /// A peer was refused or dropped, and is not dialled again automatically. Emitted at most once a minute for each
    /// address and kind of refusal.
    PeerRefused {
        /// Its identity, if it proved one.
        peer: Option<PeerId>,
        /// Where it can be reached, or where it came from.
        addr: SocketAddr,
        /// Why it was refused or dropped.
        cause: RefusalCause,
    },
    /// A newer edition of the organiser's catalogue arrived and counts from now on.
    CatalogChanged {
        /// The organiser's key.
        key: CatalogKey,
        /// Serial number of the edition.
        serial: u64,
        /// Number of games that it lists.
        games: usize,
    },
    /// A connected peer has an organiser's catalogue, and this peer trusts no organiser. Emitted once for each key.
    CatalogOffered {
        /// The organiser's key.
        key: CatalogKey,
        /// Peer that has the catalogue.
        peer: PeerId,
        /// Name to show for that peer.
        name: String,
    },
    /// A peer asks all others to download a game.
    DownloadWanted {
        /// Peer that asks.
        peer: PeerId,
        /// Name to show for it.
        name: String,
        /// Game that it wants everybody to have.
        game: GameId,
        /// Whether this peer downloads it.
        accepted: bool,
    },
    /// An operation started or ended.
    ActiveOperationsChanged {
        /// Operations that run now.
        operations: Vec<Operation>,
    },
    /// A download's manifest arrived and is verified.
    GotGameFiles {
        /// Game of the download.
        game: GameId,
        /// Version of the download.
        version: GameVersion,
        /// Content of the download.
        content: ContentId,
        /// Number of files.
        files: usize,
        /// Size of all files, in bytes.
        bytes: u64,
        /// Number of chunks.
        chunks: u32,
    },
    /// The old version is searched for data that the new version shares with it.
    ReuseProgress {
        /// Game of the download.
        game: GameId,
        /// Bytes taken over.
        done: u64,
        /// Bytes that can be taken over.
        total: u64,
    },
    /// A download begins to fetch chunks.
    DownloadBegin {
        /// Game of the download.
        game: GameId,
        /// Bytes of the whole download.
        bytes: u64,
        /// Bytes that are here already.
        had_bytes: u64,
        /// Bytes among them that the old version supplied.
        reused_bytes: u64,
    },
    /// Progress of a download, every half second.
    DownloadProgress(DownloadProgress),
    /// A part of a file arrived, and is verified and written. A chunk that holds several small files is reported once
    /// for each of them.
    DownloadChunkFinished {
        /// Game of the download.
        game: GameId,
        /// File to which the part belongs.
        path: RelPath,
        /// Start of the part in the file, in bytes.
        offset: u64,
        /// Length of the part, in bytes.
        length: u64,
        /// Source of the chunk.
        peer: PeerId,
    },
    /// A download is committed.
    DownloadFinished {
        /// Game of the download.
        game: GameId,
        /// What the download received.
        totals: DownloadTotals,
    },
    /// A download failed, or could not start. Its verified chunks are kept.
    DownloadFailed {
        /// Game of the download.
        game: GameId,
        /// Why it failed.
        failure: DownloadFailure,
        /// What it received until then.
        totals: DownloadTotals,
    },
    /// The owner cancelled a download, which is not a failure. Its verified chunks are kept.
    DownloadCancelled {
        /// Game of the download.
        game: GameId,
        /// What it received until then.
        totals: DownloadTotals,
    },
    /// No source that answers has a missing chunk. The download waits for one.
    DownloadPeersGone {
        /// Game of the download.
        game: GameId,
    },
    /// A source sent data that does not verify. This download does not use it again.
    SourceRejected {
        /// Game of the download.
        game: GameId,
        /// Source that is no longer used.
        peer: PeerId,
        /// Name to show for it.
        name: String,
        /// What was wrong.
        reason: RejectReason,
    },
    /// An install, a streamed install or a reinstall begins.
    InstallBegin {
        /// Game being installed.
        game: GameId,
    },
    /// Progress of an install.
    InstallProgress {
        /// Game being installed.
        game: GameId,
        /// Archive bytes unpacked so far.
        done: u64,
        /// Size of all archives, in bytes.
        total: u64,
    },
    /// The user's files stayed when another version replaced the installed game.
    UserFilesKept {
        /// Game that was reinstalled.
        game: GameId,
        /// Files that were kept.
        kept: KeptFiles,
    },
    /// A game is installed.
    InstallFinished {
        /// Game that can be played now.
        game: GameId,
    },
    /// An install failed or was cancelled. What was installed before is still installed.
    InstallFailed {
        /// Game that could not be installed.
        game: GameId,
        /// Why it failed.
        error: DiskError,
    },
    /// A game is uninstalled.
    UninstallFinished {
        /// Game that is no longer installed.
        game: GameId,
    },
    /// An uninstall failed before it took effect.
    UninstallFailed {
        /// Game that could not be uninstalled.
        game: GameId,
        /// Why it failed.
        error: DiskError,
    },
    /// A downloaded game is removed.
    RemoveFinished {
        /// Game that is no longer downloaded.
        game: GameId,
    },
    /// A removal failed, possibly after some files were deleted. The next start finishes or undoes it.
    RemoveFailed {
        /// Game that could not be removed.
        game: GameId,
        /// Why it failed.
        error: DiskError,
    },
    /// A verification begins: the files of a game are compared with its manifest.
    VerifyBegin {
        /// Game being verified.
        game: GameId,
    },
    /// Progress of a verification.
    VerifyProgress {
        /// Game being verified.
        game: GameId,
        /// Bytes read.
        done: u64,
        /// Bytes to read.
        total: u64,
    },
    /// A verification ended. Its verdict may be that the game is broken.
    VerifyFinished {
        /// Game that was verified.
        game: GameId,
        /// What was found, and what follows.
        verdict: Verdict,
    },
    /// The files could not be verified.
    VerifyFailed {
        /// Game that could not be verified.
        game: GameId,
        /// Why not.
        error: DiskError,
    },
    /// The program that started a game has ended. If that program only starts another one, the game may still run.
    PlayEnded {
        /// Game that was started.
        game: GameId,
        /// Time for which the program ran.
        played: Duration,
    },
}

/// Progress of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadProgress {
    /// Game of the download.
    pub game: GameId,
    /// Bytes that are verified and written, including those that were here before.
    pub downloaded_bytes: u64,
    /// Bytes of the whole download.
    pub total_bytes: u64,
    /// Rate over the last two seconds.
    pub bytes_per_second: u64,
    /// Sources that sent something in the last two seconds.
    pub active_peer_count: usize,
    /// Archive bytes unpacked so far; `None` if the archives are not unpacked while they arrive.
    pub unpacked_bytes: Option<u64>,
}

/// Findings of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the files should be.
    pub content: ContentId,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// Parts that differ; empty if the game is whole.
    pub broken: Vec<BrokenPart>,
    /// Content that the room agrees on for this version, if it differs from [`Self::content`].
    pub room_has: Option<ContentId>,
    /// What is done about the broken parts.
    pub repair: Repair,
}

/// What is done about broken parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// The game is whole.
    NotNeeded,
    /// The owner did not ask for a repair, or the games folder is read-only.
    NotAsked,
    /// A download has started that fetches only the broken parts.
    Started,
    /// No connected peer has the content.
    NoSource,
}

/// What a download received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DownloadTotals {
    /// Verified bytes from the network.
    pub bytes: u64,
    /// Verified chunks from the network; a chunk that holds several small files counts once for each of them.
    pub chunks: u64,
    /// Time since the download was asked for.
    pub duration: Duration,
    /// Bytes that the old version supplied.
    pub reused_bytes: u64,
    /// Contribution of each source.
    pub sources: Vec<SourceTotals>,
    /// True for a streamed install, which keeps nothing unless it is complete.
    pub streamed: bool,
}

/// Contribution of one source to a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTotals {
    /// Peer that sent the chunks.
    pub peer: PeerId,
    /// Name to show for it.
    pub name: String,
    /// Verified bytes from this source.
    pub bytes: u64,
    /// Verified chunks from this source, counted as in [`DownloadTotals::chunks`].
    pub chunks: u64,
}

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadFailure {
    /// No connected peer offered the version that counts, so the download did not start.
    #[error("no connected peer has it in the version used here")]
    NoSource,
    /// Every offer is dated after tomorrow, so the download did not start.
    #[error("all offered versions are dated in the future")]
    VersionAhead,
    /// No source came back in time.
    #[error("all sources are gone")]
    SourcesGone,
    /// Peers offer different contents and none has a majority, so the download did not start.
    #[error("the peers disagree about the content, and none has a majority")]
    AmbiguousContent(Vec<ContentVariant>),
    /// No source sent a manifest that matches the content id.
    #[error("no source has a valid manifest of this content")]
    NoManifest,
    /// Every source sent data that does not verify.
    #[error("every source sent corrupt data")]
    AllSourcesRejected,
    /// A disk operation failed.
    #[error("{0}")]
    Disk(DiskError),
    /// This peer shut down.
    #[error("the peer is shutting down")]
    ShuttingDown,
}

/// Why a download stopped using a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// It sent a chunk that does not match its hash.
    #[error("it sent a chunk that does not match its hash")]
    CorruptChunk,
    /// It sent a manifest that does not match its content id.
    #[error("it sent a manifest that does not match its hash")]
    BadManifest,
}
