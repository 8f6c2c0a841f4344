//! What the user can ask for, and what comes back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Organiser, PartyMismatch};

use crate::io::Stamped;
use crate::room::RoomSnapshot;
use crate::snapshot::{GameListSnapshot, PeerSnapshot, PeersSnapshot, StatusSnapshot};
use crate::trust::Supplier;

/// Numbers the commands of one run; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Status,
    ListPeers,
    ListGames,
    /// Answers when at least `count` peers are connected, or fails after `timeout_ms`.
    WaitPeers {
        count: usize,
        timeout_ms: u64,
    },
    /// Answers when the peer is connected, or fails with the reason.
    Connect {
        addr: SocketAddr,
    },
    /// Answers as soon as the download is started; events tell the rest.
    Download {
        game: GameId,
        install: bool,
        /// The content that the owner wants although only one source offers it.
        confirm: Option<ContentId>,
    },
    /// Installs a game from the room without keeping its archives. Answers as soon as it is started; events tell the
    /// rest.
    StreamInstall {
        game: GameId,
    },
    /// Allows a game's archives to unpack to so many bytes, and then does what is asked for beside.
    AllowUnpacked {
        game: GameId,
        bytes: u64,
        command: Box<Command>,
    },
    /// Cancels a download or a streamed install.
    CancelDownload {
        game: GameId,
    },
    Install {
        game: GameId,
    },
    Uninstall {
        game: GameId,
    },
    RemoveDownload {
        game: GameId,
    },
    /// Answers as soon as the verification is started; events tell the rest. With `repair`, what is broken is fetched.
    Verify {
        game: GameId,
        repair: bool,
    },
    /// Answers when name and language stand in the installed game and, with `launch`, the game is started.
    Play {
        game: GameId,
        user_name: Option<String>,
        language: Option<String>,
        launch: bool,
        /// The content that the owner lets start although no catalogue names it.
        confirm: Option<ContentId>,
    },
    /// Limits what is sent and received, from now on.
    SetLimits(RateLimits),
    /// Changes which downloads go first. Higher ones get everything; equal ones share.
    SetPriority {
        game: GameId,
        priority: Priority,
    },
    /// Asks everybody how they stand, and answers within a second.
    Room,
    /// Asks everybody to fetch a game; who does is up to them.
    WantGame {
        game: GameId,
    },
    /// Goes by an organiser's catalogue from now on.
    TrustCatalog {
        organiser: Organiser,
    },
    /// Is not asked about an organiser again.
    DeclineCatalog {
        organiser: Organiser,
    },
    /// Changes the folder of the library.
    SetGamesDir {
        path: PathBuf,
    },
    /// Says goodbye to everybody, ends what runs, and answers last.
    Shutdown,
}

/// Bytes per second of chunk data over all peers; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    pub upload: Option<u64>,
    pub download: Option<u64>,
}

/// Which download goes first: one waits while a higher one can get anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The command is done, or is started and events tell the rest.
    Done,
    Status(Box<StatusSnapshot>),
    Peers(PeersSnapshot),
    Games(GameListSnapshot),
    /// The peer that was connected to.
    Connected(PeerSnapshot),
    /// Number of connected peers.
    PeerCount(usize),
    Room(Arc<RoomSnapshot>),
    /// So many peers were asked; so many of them do as they are asked, as far as they have said so.
    Wanted {
        asked: usize,
    },
    /// What is being downloaded.
    DownloadStarted {
        game: GameId,
        version: GameVersion,
        content: ContentId,
        bytes: u64,
    },
    /// Whose catalogue is trusted or declined.
    Organiser(CatalogKey),
    /// What `Play` came to.
    Played(Stamped),
    /// There is nothing to do: that version is downloaded (and installed, if that was asked for).
    AlreadyThere {
        game: GameId,
    },
}

/// Why a command was refused. The edge gives each its stable code, hint and exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("{running} is already running on {game}")]
    OperationInProgress { game: GameId, running: OperationKind },
    #[error("the catalogue does not know {game}")]
    UnknownGame { game: GameId },
    #[error("no connected peer has {game}{}", version.map_or(String::new(), |v| format!(" in version {v}")))]
    NoSource { game: GameId, version: Option<GameVersion> },
    #[error("the peers disagree about the content of {game}: {}", describe(variants))]
    AmbiguousContent { game: GameId, variants: Vec<ContentVariant> },
    #[error("only versions of {game} that are dated after tomorrow are offered, such as {version}")]
    VersionAhead { game: GameId, version: GameVersion },
    #[error("{0}")]
    UnconfirmedSource(Box<Replacement>),
    #[error("{0}")]
    UnconfirmedProgram(Box<FirstStart>),
    #[error("{game} is not downloaded")]
    NotDownloaded { game: GameId },
    #[error("{game} is not installed")]
    NotInstalled { game: GameId },
    #[error("{game} is already installed")]
    AlreadyInstalled { game: GameId },
    #[error("{game} is downloaded here")]
    AlreadyDownloaded { game: GameId },
    /// Windows and macOS would put both into one folder.
    #[error("{game} cannot stand beside {other}: they differ in the case of letters only")]
    NameTaken { game: GameId, other: String },
    #[error("no download of {game} is running")]
    NothingToCancel { game: GameId },
    #[error("{game} is not being downloaded")]
    NotDownloading { game: GameId },
    #[error("{addr} could not be connected: {failure}")]
    ConnectFailed { addr: SocketAddr, failure: crate::io::DialFailure },
    #[error("{addr} speaks protocol version {theirs}, this peer speaks {ours}")]
    Incompatible { addr: SocketAddr, theirs: u16, ours: u16 },
    #[error("{addr} does not belong to the same party: {mismatch}")]
    OtherParty { addr: SocketAddr, mismatch: PartyMismatch },
    #[error("{have} of {wanted} peers were connected within the time limit")]
    WaitTimedOut { have: usize, wanted: usize },
    #[error("no connected peer goes by the organiser {organiser}")]
    UnknownOrganiser { organiser: Organiser },
    #[error("this peer goes by another organiser, {}", key.fingerprint())]
    OtherOrganiser { key: CatalogKey },
    #[error("other operations are running")]
    Busy,
    #[error("{0}")]
    Disk(crate::io::DiskError),
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// A game that is here would be replaced by what one source offers and nobody confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub game: GameId,
    /// What is here.
    pub version: Option<GameVersion>,
    pub content: Option<ContentId>,
    /// What would take its place; the owner's word names this content.
    pub new_version: GameVersion,
    pub new_content: ContentId,
    pub supplier: Supplier,
}

impl std::fmt::Display for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { game, new_version, new_content, supplier, .. } = self;
        let here = match (self.version, self.content) {
            (Some(version), Some(content)) => format!("{version} ({})", content.short()),
            (Some(version), None) => version.to_string(),
            (None, _) => "an unknown version".to_owned(),
        };
        let (content, key, name) = (new_content.short(), supplier.peer.short(), &supplier.name);
        write!(
            f,
            "{game} is here in {here}; only {name} ({key}) offers {new_version} ({content}), and nobody confirms it"
        )
    }
}

/// A program would be started that no catalogue names and the owner has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstStart {
    pub game: GameId,
    /// The program's file.
    pub program: String,
    pub args: Vec<String>,
    /// What it belongs to; the owner's word names this content.
    pub content: ContentId,
    /// Who offered it when it was downloaded; nobody if it was here already.
    pub suppliers: Vec<Supplier>,
}

impl std::fmt::Display for FirstStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { game, program, content, .. } = self;
        let one = |s: &Supplier| format!("{} ({})", s.name, s.peer.short());
        let from = match &self.suppliers[..] {
            [] => "was here already".to_owned(),
            some => format!("came from {}", some.iter().map(one).collect::<Vec<_>>().join(", ")),
        };
        write!(
            f,
            "{game} would start {program}; its content {} {from}, and no catalogue names it",
            content.short()
        )
    }
}

/// One of several contents that peers offer under the same game and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentVariant {
    pub content: ContentId,
    /// Names of the peers that offer it.
    pub peers: Vec<String>,
}

fn describe(variants: &[ContentVariant]) -> String {
    let one = |v: &ContentVariant| format!("{} by {}", v.content.short(), v.peers.join(", "));
    variants.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    Downloading,
    Installing,
    Streaming,
    Uninstalling,
    Removing,
    Verifying,
    Starting,
}

impl std::fmt::Display for OperationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Downloading => "a download",
            Self::Installing => "an install",
            Self::Streaming => "a streamed install",
            Self::Uninstalling => "an uninstall",
            Self::Removing => "a removal",
            Self::Verifying => "a verification",
            Self::Starting => "a start",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_what_is_in_the_way() {
        let game = GameId::new("ggoo").unwrap();
        let kinds = [
            (OperationKind::Downloading, "a download"),
            (OperationKind::Installing, "an install"),
            (OperationKind::Streaming, "a streamed install"),
            (OperationKind::Uninstalling, "an uninstall"),
            (OperationKind::Removing, "a removal"),
            (OperationKind::Verifying, "a verification"),
            (OperationKind::Starting, "a start"),
        ];
        for (running, said) in kinds {
            let error = CommandError::OperationInProgress { game: game.clone(), running };
            assert_eq!(error.to_string(), format!("{said} is already running on ggoo"));
        }
        let variant = |byte, peers: &[&str]| ContentVariant {
            content: ContentId([byte; 32]),
            peers: peers.iter().map(ToString::to_string).collect(),
        };
        let variants = vec![variant(0xaa, &["ann", "bob"]), variant(0xbb, &["eve"])];
        let (a, b) = (variants[0].content.short(), variants[1].content.short());
        assert_eq!(
            CommandError::AmbiguousContent { game, variants }.to_string(),
            format!("the peers disagree about the content of ggoo: {a} by ann, bob; {b} by eve")
        );
    }
}
