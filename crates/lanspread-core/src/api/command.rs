//! Commands of the owner, their replies and their errors.
//!
//! A command is answered by exactly one reply or [`CommandError`]. Long work is answered when it has started; events
//! tell the rest. The edge gives each error its code, hint and exit code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Organiser, PartyMismatch};

use super::room::RoomSnapshot;
use super::snapshot::{GameListSnapshot, PeerSnapshot, PeersSnapshot, StatusSnapshot};
use crate::border::disk::{DiskError, Stamped};
use crate::border::net::DialFailure;
use crate::trust::Supplier;

pub use super::kinds::{OperationKind, Priority, RateLimits};

/// Number of a command, chosen by the caller and unique within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// A command of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Returns the state of this peer.
    Status,
    /// Returns the connected peers and the other peers that we have heard of.
    ListPeers,
    /// Returns the games that are here or offered.
    ListGames,
    /// Waits until enough peers are connected.
    WaitPeers {
        /// Number of peers to wait for.
        count: usize,
        /// Time limit in milliseconds, after which the command fails.
        timeout_ms: u64,
    },
    /// Connects to an address. Answers once the peer there is connected, or fails with the reason.
    Connect {
        /// Address at which a peer listens.
        addr: SocketAddr,
    },
    /// Downloads a game. Answers once the download has started; events tell the rest.
    Download {
        /// Game to download.
        game: GameId,
        /// Whether to install the game after the download.
        install: bool,
        /// Content that the owner accepts although only one source offers it.
        confirm: Option<ContentId>,
    },
    /// Installs a game from the room without keeping its archives. Answers once the install has started; events tell
    /// the rest.
    StreamInstall {
        /// Game to install.
        game: GameId,
    },
    /// Allows a game's archives to unpack to a larger size, then executes another command.
    AllowUnpacked {
        /// Game with the large archives.
        game: GameId,
        /// Allowed size, in bytes.
        bytes: u64,
        /// Command to execute next.
        command: Box<Command>,
    },
    /// Cancels a download, an install (streamed or not) or a verification.
    CancelDownload {
        /// Game of the operation.
        game: GameId,
    },
    /// Installs a downloaded game, or reinstalls it if another version is installed. Answers once the install has
    /// started.
    Install {
        /// Game to install.
        game: GameId,
    },
    /// Deletes an installed game. Answers once that has started.
    Uninstall {
        /// Game to uninstall.
        game: GameId,
    },
    /// Deletes a downloaded game. Answers once that has started.
    RemoveDownload {
        /// Game to remove.
        game: GameId,
    },
    /// Deletes what an unfinished download has left. Answers once that has started.
    DiscardDownload {
        /// Game of the download.
        game: GameId,
    },
    /// Verifies a downloaded game. Answers once the verification has started; events tell the rest.
    Verify {
        /// Game to verify.
        game: GameId,
        /// Whether to download the parts that turn out to be broken.
        repair: bool,
    },
    /// Prepares an installed game and starts it. Answers once name and language are written and, with `launch`, the
    /// game is started.
    Play {
        /// Game to play.
        game: GameId,
        /// Player's name; this peer's name if absent.
        user_name: Option<String>,
        /// Language; English if absent.
        language: Option<String>,
        /// Whether to start the game.
        launch: bool,
        /// Content that the owner lets start although no catalogue names it.
        confirm: Option<ContentId>,
    },
    /// Replaces the rate limits.
    SetLimits(RateLimits),
    /// Changes the priority of a download. Higher priorities get everything; equal ones share.
    SetPriority {
        /// Game of the download.
        game: GameId,
        /// Priority from now on.
        priority: Priority,
    },
    /// Shares a game, or keeps it out of sharing.
    SetSharing {
        /// The game; it need not be here yet.
        game: GameId,
        /// Whether it is shared from now on.
        shared: bool,
    },
    /// Asks all peers for their state, and answers with a view of the room within a second.
    Room,
    /// Asks all peers to download a game. Each peer's settings decide whether it does.
    WantGame {
        /// Game that everybody should download.
        game: GameId,
    },
    /// Trusts an organiser: from now on only this organiser's catalogue counts.
    TrustCatalog {
        /// Organiser to trust, by key or by fingerprint.
        organiser: Organiser,
    },
    /// Declines an organiser: the owner is not asked about this organiser again.
    DeclineCatalog {
        /// Organiser to decline, by key or by fingerprint.
        organiser: Organiser,
    },
    /// Changes the games folder. Fails while operations run.
    SetGamesDir {
        /// Folder that contains one folder for each game.
        path: PathBuf,
    },
    /// Says goodbye to all peers and ends all operations. Answers last.
    Shutdown,
}

/// Answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The command is done, or has started and events tell the rest.
    Done,
    /// Answer to `Status`.
    Status(Box<StatusSnapshot>),
    /// Answer to `ListPeers`.
    Peers(PeersSnapshot),
    /// Answer to `ListGames`.
    Games(GameListSnapshot),
    /// Answer to `Connect`: the peer at that address.
    Connected(PeerSnapshot),
    /// Answer to `WaitPeers`: number of connected peers.
    PeerCount(usize),
    /// Answer to `Room`.
    Room(Arc<RoomSnapshot>),
    /// Answer to `WantGame`.
    Wanted {
        /// Number of peers that were asked. Whether they follow shows in the view of the room.
        asked: usize,
    },
    /// A download or streamed install has started.
    DownloadStarted {
        /// Game of the download.
        game: GameId,
        /// Version that was chosen.
        version: GameVersion,
        /// Content that was chosen.
        content: ContentId,
        /// Size according to the offer, in bytes.
        bytes: u64,
    },
    /// Key of the organiser who is now trusted or declined.
    Organiser(CatalogKey),
    /// Answer to `Play`.
    Played(Stamped),
    /// That version is downloaded already. If an install was asked for and is missing, it has started.
    AlreadyThere {
        /// Game that is here.
        game: GameId,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Another operation runs on the game.
    #[error("{running} of {game} is already running")]
    OperationInProgress {
        /// Game of the command.
        game: GameId,
        /// Operation that already runs.
        running: OperationKind,
    },
    /// The catalogue does not list the game.
    #[error("{game} is not in the catalogue")]
    UnknownGame {
        /// Game of the command.
        game: GameId,
    },
    /// No connected peer offers the game in the version that counts.
    #[error("no connected peer has {game}{}", version.map_or(String::new(), |v| format!(" in version {v}")))]
    NoSource {
        /// Game that was asked for.
        game: GameId,
        /// Version that was wanted; `None` if none is known.
        version: Option<GameVersion>,
    },
    /// Peers offer different contents of one version, and none has a majority.
    #[error("the peers disagree about the content of {game}: {}", describe(variants))]
    AmbiguousContent {
        /// Game that was asked for.
        game: GameId,
        /// The contents, with the peers that offer them.
        variants: Vec<ContentVariant>,
    },
    /// Every offer is dated after tomorrow; `version` is the earliest one.
    #[error("{game} is offered only in versions dated in the future, such as {version}")]
    VersionAhead {
        /// Game that was asked for.
        game: GameId,
        /// Earliest version that is offered.
        version: GameVersion,
    },
    /// The download would replace a game, and the owner has not confirmed it.
    #[error("{0}")]
    UnconfirmedSource(Box<Replacement>),
    /// The game would start a program, and the owner has not confirmed it.
    #[error("{0}")]
    UnconfirmedProgram(Box<FirstStart>),
    /// The game is not downloaded.
    #[error("{game} is not downloaded")]
    NotDownloaded {
        /// Game of the command.
        game: GameId,
    },
    /// The game is not installed.
    #[error("{game} is not installed")]
    NotInstalled {
        /// Game of the command.
        game: GameId,
    },
    /// The game is installed in the downloaded version.
    #[error("{game} is already installed")]
    AlreadyInstalled {
        /// Game to install.
        game: GameId,
    },
    /// A streamed install of a downloaded game would save nothing.
    #[error("{game} is already downloaded; install it instead of streaming")]
    AlreadyDownloaded {
        /// Game to install.
        game: GameId,
    },
    /// A game or folder has the same name in other letter case. Windows and macOS would put both into one folder.
    #[error("{game} conflicts with {other}: the names differ only in upper and lower case")]
    NameTaken {
        /// Game that was asked for.
        game: GameId,
        /// Name of the game or folder that is here or being downloaded.
        other: String,
    },
    /// No operation that can be cancelled runs on the game.
    #[error("no download of {game} is running")]
    NothingToCancel {
        /// Game of the command.
        game: GameId,
    },
    /// No download of the game runs.
    #[error("{game} is not being downloaded")]
    NotDownloading {
        /// Game of the command.
        game: GameId,
    },
    /// The address could not be dialled.
    #[error("cannot connect to {addr}: {failure}")]
    ConnectFailed {
        /// Address that was dialled.
        addr: SocketAddr,
        /// Why it was not reached.
        failure: DialFailure,
    },
    /// The peer at the address speaks another protocol version.
    #[error("{addr} speaks protocol version {theirs}, this peer speaks {ours}")]
    Incompatible {
        /// Address that was dialled.
        addr: SocketAddr,
        /// Protocol version of the peer there.
        theirs: u16,
        /// Protocol version of this peer.
        ours: u16,
    },
    /// The peer at the address belongs to another party.
    #[error("cannot connect to {addr}: {mismatch}")]
    OtherParty {
        /// Address that was dialled.
        addr: SocketAddr,
        /// Why the parties do not match.
        mismatch: PartyMismatch,
    },
    /// Fewer peers than wanted were connected within the time limit.
    #[error("timed out with {have} of {wanted} peers connected")]
    WaitTimedOut {
        /// Number of connected peers at the end.
        have: usize,
        /// Number of peers to wait for.
        wanted: usize,
    },
    /// No connected peer has a catalogue of that organiser.
    #[error("no connected peer uses the catalogue of organiser {organiser}")]
    UnknownOrganiser {
        /// Organiser that the command names.
        organiser: Organiser,
    },
    /// Another organiser is trusted already.
    #[error("this peer already uses the catalogue of organiser {}", key.fingerprint())]
    OtherOrganiser {
        /// Key of the organiser that is trusted.
        key: CatalogKey,
    },
    /// Other operations run that exclude this command.
    #[error("other operations are running")]
    Busy,
    /// The disk could not do its part.
    #[error("{0}")]
    Disk(DiskError),
    /// This peer is shutting down.
    #[error("this peer is shutting down")]
    ShuttingDown,
}

/// Question to the owner: a game that is here would be replaced by a content that a single source offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Game that would be replaced.
    pub game: GameId,
    /// Version that is here, if known.
    pub version: Option<GameVersion>,
    /// Content that is here, if known.
    pub content: Option<ContentId>,
    /// Version that would replace it.
    pub new_version: GameVersion,
    /// Content that would replace it; the owner's confirmation names this content.
    pub new_content: ContentId,
    /// The source that offers it.
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
            "you have {game} in {here}; only {name} ({key}) offers {new_version} ({content}), and nobody confirms it"
        )
    }
}

/// Question to the owner: a program would be started that no catalogue names and the owner has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstStart {
    /// Game that would start.
    pub game: GameId,
    /// The program's file.
    pub program: String,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Content of the program; the owner's confirmation names this content.
    pub content: ContentId,
    /// Peers that offered the content when it was downloaded; empty if it was here already.
    pub suppliers: Vec<Supplier>,
}

impl std::fmt::Display for FirstStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { game, program, content, .. } = self;
        let one = |s: &Supplier| format!("{} ({})", s.name, s.peer.short());
        let from = match &self.suppliers[..] {
            [] => "was already here".to_owned(),
            some => format!("came from {}", some.iter().map(one).collect::<Vec<_>>().join(", ")),
        };
        write!(
            f,
            "{game} would start {program}; its content {} {from}, and no catalogue confirms it",
            content.short()
        )
    }
}

/// One of several contents that peers offer for the same game and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentVariant {
    /// Content that these peers offer.
    pub content: ContentId,
    /// Names of the peers that offer it.
    pub peers: Vec<String>,
}

fn describe(variants: &[ContentVariant]) -> String {
    let one = |v: &ContentVariant| format!("{} by {}", v.content.short(), v.peers.join(", "));
    variants.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_obstacle() {
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
            assert_eq!(error.to_string(), format!("{said} of ggoo is already running"));
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
