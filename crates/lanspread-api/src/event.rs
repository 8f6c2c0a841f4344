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
use crate::reply::{ActiveOperation, is_false};

/// An event. The names are those of the contract, in kebab-case; the fields stand beside them in the same object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first line of a run.
    Contract(Contract),
    /// The peer listens and has read its library.
    LocalPeerReady {
        /// The own identity: 64 hexadecimal digits.
        peer_id: String,
        /// What others call this peer.
        name: String,
        /// Where other peers most likely reach it.
        addr: SocketAddr,
        /// Games that are here in full.
        game_count: usize,
    },
    /// The own library changed: all games in it, and the folders that are none.
    LocalLibraryChanged {
        /// Ids of all games, not only of new ones.
        games: Vec<String>,
        /// Folders in the games folder that are not shared, with the reason.
        ignored: Vec<IgnoredFolder>,
    },
    /// The library, or a part of it, cannot be read. What is known of it stays as it was. Told once, until it can be read
    /// again; `library_fault` in the status says whether it can.
    LibraryUnreadable(DiskFault),
    /// A game is being hashed before it can be offered.
    IndexProgress {
        /// The game that is read.
        game_id: String,
        /// Bytes of it that are hashed.
        done_bytes: u64,
        /// Bytes of the whole game.
        total_bytes: u64,
    },
    /// A game cannot be read, so it is not offered.
    IndexFailed(GameFailure),
    /// A connected peer announced that it has other games than before.
    RemoteLibraryChanged {
        /// The peer whose library it is.
        peer_id: String,
        /// Games that it offers now.
        game_count: usize,
    },
    /// A peer is connected: both sides have proved who they are.
    PeerConnected {
        /// Its identity: 64 hexadecimal digits.
        peer_id: String,
        /// What it calls itself, or a name that tells it from peers with names that look alike.
        name: String,
        /// Where it accepts connections.
        addr: SocketAddr,
    },
    /// A peer is not connected any more; what it offered does not count from now on.
    PeerLost {
        /// Its identity: 64 hexadecimal digits.
        peer_id: String,
        /// The name that `peer-connected` told.
        name: String,
        /// Why it is gone, for programs.
        code: LossCode,
        /// Why it is gone, for people to read.
        reason: String,
    },
    /// Somebody speaks another protocol version, so nothing can be exchanged.
    PeerIncompatible {
        /// Where it was dialled, or where it came from.
        addr: SocketAddr,
        /// Version of the protocol that it speaks.
        their_protocol: u16,
        /// Version of the protocol that this peer speaks.
        our_protocol: u16,
    },
    /// Somebody was not let in, or was dropped. Told once a minute at most for each address and code.
    PeerRefused {
        /// `null` if it never proved who it is.
        peer_id: Option<String>,
        /// Where it was dialled, or where it came from.
        addr: SocketAddr,
        /// What kind of refusal it is.
        code: RefusalCode,
        /// The refusal, for people to read.
        reason: String,
    },
    /// A newer edition of the organiser's catalogue came in and counts from now on.
    CatalogChanged {
        /// The organiser's public key: 64 hexadecimal digits.
        key: String,
        /// Number of the edition; the higher one is the newer one.
        serial: u64,
        /// Games that the edition lists.
        game_count: usize,
    },
    /// A connected peer goes by an organiser's catalogue, and this peer by none. Told once for each key; `trust-catalog` or
    /// `decline-catalog` answers it.
    CatalogOffered {
        /// The whole key.
        key: String,
        /// What people compare.
        fingerprint: String,
        /// The peer that goes by the catalogue.
        peer_id: String,
        /// What that peer calls itself.
        name: String,
    },
    /// Somebody asks everybody to fetch a game. `accepted`: this peer has started to.
    #[serde(rename = "fetch-wanted")]
    DownloadWanted {
        /// The peer that asks.
        peer_id: String,
        /// What that peer calls itself.
        name: String,
        /// The game to be fetched.
        game_id: String,
        /// False if the owner did not allow it (`--accept-wants`), or the catalogue does not pin the content.
        accepted: bool,
    },
    /// The operations that run now.
    ActiveOperationsChanged {
        /// All of them; none if the list is empty.
        active_operations: Vec<ActiveOperation>,
    },
    /// The list of the files to fetch is here and verified.
    GotGameFiles {
        /// The game that is downloaded.
        game_id: String,
        /// Version of the content: eight digits, a date.
        eti_version: String,
        /// The content that is downloaded: 64 hexadecimal digits.
        content_id: String,
        /// Files of the content, its `version.ini` included.
        file_count: usize,
        /// Bytes of all files.
        total_bytes: u64,
        /// Chunks of all files: the units of transfer.
        chunk_count: u32,
    },
    /// The old version is looked through for what the new one shares with it.
    ReuseProgress {
        /// The game that is updated.
        game_id: String,
        /// Bytes of the old version that were looked through.
        done_bytes: u64,
        /// Bytes of the old version.
        total_bytes: u64,
    },
    /// Fetching starts. `had_bytes` of `total_bytes` were here already, `reused_bytes` of them in the old version.
    DownloadBegin {
        /// The game that is downloaded.
        game_id: String,
        /// Bytes of the whole content.
        total_bytes: u64,
        /// Bytes that need not be fetched.
        had_bytes: u64,
        /// Those of them that were copied from the old version.
        reused_bytes: u64,
    },
    /// How a download stands.
    DownloadProgress(DownloadProgress),
    /// A chunk is verified and on disk.
    DownloadChunkFinished {
        /// The game that is downloaded.
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
        /// The game that is here now.
        game_id: String,
        /// What the download came to.
        #[serde(flatten)]
        totals: Totals,
    },
    /// A download ended without the game. What is verified stays on disk for the next one.
    DownloadFailed {
        /// The game that was downloaded.
        game_id: String,
        /// Why it ended, for programs.
        code: ErrorCode,
        /// Why it ended, for people to read.
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
        /// What came in until then.
        #[serde(flatten)]
        totals: Totals,
    },
    /// The user cancelled, which is no failure.
    DownloadCancelled {
        /// The game that was downloaded.
        game_id: String,
        /// What came in until then.
        #[serde(flatten)]
        totals: Totals,
    },
    /// The last source is gone; the download waits for another one.
    DownloadPeersGone {
        /// The game that waits.
        game_id: String,
    },
    /// A source sent what does not verify. It is not asked again for this game.
    SourceRejected {
        /// The game that is downloaded.
        game_id: String,
        /// The source.
        peer_id: String,
        /// What the source calls itself.
        name: String,
        /// What was wrong, for programs.
        code: RejectCode,
        /// What was wrong, for people to read.
        reason: String,
    },
    /// An install starts: archives are unpacked beside the game until all are complete.
    InstallBegin {
        /// The game that is installed.
        game_id: String,
    },
    /// How an install stands.
    InstallProgress {
        /// The game that is installed.
        game_id: String,
        /// Bytes that are unpacked.
        done_bytes: u64,
        /// Bytes that the archives say they unpack to.
        total_bytes: u64,
    },
    /// Another version took the place of an installed game; this of it stays.
    UserFilesKept {
        /// The game that was installed anew.
        game_id: String,
        /// Files that were added or changed since the install.
        kept: u64,
        /// New files that stand beside changed ones of the same name, relative to `local/`.
        beside: Vec<String>,
    },
    /// The game is in its `local/` and can be played.
    InstallFinished {
        /// The game that is installed now.
        game_id: String,
    },
    /// Nothing was installed, and nothing of the attempt is left.
    InstallFailed(GameFailure),
    /// The folder `local/` is gone; the downloaded files stay.
    UninstallFinished {
        /// The game that is not installed any more.
        game_id: String,
    },
    /// The game was not uninstalled.
    UninstallFailed(GameFailure),
    /// The downloaded files, or what an unfinished download had left, are gone.
    RemoveFinished {
        /// The game whose files they were.
        game_id: String,
    },
    /// The files were not deleted.
    RemoveFailed(GameFailure),
    /// All files of a game are being read again.
    VerifyBegin {
        /// The game that is verified.
        game_id: String,
    },
    /// How a verification stands.
    VerifyProgress {
        /// The game that is verified.
        game_id: String,
        /// Bytes that were compared.
        done_bytes: u64,
        /// Bytes of the whole game.
        total_bytes: u64,
    },
    /// A verification came to its end, whether or not something is broken.
    VerifyFinished(VerifyFinished),
    /// A verification could not be carried out, so nothing is known of the files.
    VerifyFailed(GameFailure),
    /// The program that started a game has ended; where that only starts another one, the game may go on.
    PlayEnded {
        /// The game that was played.
        game_id: String,
        /// From the start of the program to its end.
        duration_ms: u64,
    },
    /// The reader was too slow: this many events are lost to it. What they spoke of shows in `status`, `list-games` and
    /// `list-peers`.
    EventsLost {
        /// Events that were dropped, each of them counted.
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
    /// Raised when a name is removed or changes its meaning.
    pub version: u32,
    /// Name of the program that prints the lines.
    pub program: String,
    /// Version of that program, for people to read.
    pub program_version: String,
}

/// A folder in the games folder that is no game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IgnoredFolder {
    /// Name of the folder, as far as it is Unicode.
    pub name: String,
    /// Why it is no game, for people to read.
    pub reason: String,
}

/// Something failed for one game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameFailure {
    /// The game that it is about.
    pub game_id: String,
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people to read.
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
    /// The game that was verified.
    pub game_id: String,
    /// What the files should be.
    pub content_id: String,
    /// Bytes that the files should have.
    pub total_bytes: u64,
    /// Chunks that the files should have.
    pub chunk_count: u32,
    /// How many parts are broken, and the first hundred of them.
    pub broken_count: usize,
    /// Bytes of all broken parts.
    pub broken_bytes: u64,
    /// The first hundred broken parts.
    pub broken: Vec<BrokenPart>,
    /// The content that the room agrees on, where it is another one under the same version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_content_id: Option<String>,
    /// What is done about them.
    pub repair: Repair,
}

/// A chunk that is not what it should be or, with a length of 0, a file that is missing or too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokenPart {
    /// The file, relative to the game's folder, with `/`.
    pub path: String,
    /// Where the part starts in the file, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// What is done about what is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Nothing is broken.
    NotNeeded,
    /// Something is broken, and the command said not to repair it.
    NotAsked,
    /// A download of just what is broken has begun.
    Started,
    /// No connected peer has it.
    NoSource,
}

/// How a download stands; at most twice a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DownloadProgress {
    /// The game that is downloaded.
    pub game_id: String,
    /// Verified bytes that are on disk.
    pub downloaded_bytes: u64,
    /// Bytes of the whole content.
    pub total_bytes: u64,
    /// What came in over the last two seconds.
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
    /// Verified chunks that came over the network.
    pub chunks: u64,
    /// Rounded up; at least 1 if there were any bytes.
    pub duration_ms: u64,
    /// `bytes` / 2^20 / seconds.
    pub mib_per_s: f64,
    /// `bytes` × 8 / 10^6 / seconds = 8.388608 × `mib_per_s`.
    pub mbit_per_s: f64,
    /// Peers that gave something, those that left among them.
    pub sources: Vec<SourceTotals>,
    /// It was a streamed install: unless it is complete, nothing of it is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub streamed: bool,
}

/// What one peer gave to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceTotals {
    /// The peer: 64 hexadecimal digits.
    pub peer_id: String,
    /// What the peer called itself.
    pub name: String,
    /// Verified bytes that came from it.
    pub bytes: u64,
    /// Verified chunks that came from it.
    pub chunks: u64,
}

/// Why a peer is no longer connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossCode {
    /// It said goodbye.
    Goodbye,
    /// The connection broke without a goodbye.
    Lost,
    /// It did not answer a ping in time, or stopped reading.
    Silent,
    /// Another connection to the same peer was kept instead.
    Replaced,
    /// It broke the protocol, or sent bad data in more than one download.
    ProtocolError,
    /// There is no room for another peer.
    TooManyPeers,
    /// This peer shuts down.
    Leaving,
}

/// Why a source is not asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectCode {
    /// A chunk does not match its hash.
    CorruptChunk,
    /// A list of files does not match its content id.
    BadManifest,
}
