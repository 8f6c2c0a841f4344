//! The border of the brain: what comes in and what goes out.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::message::{ChunkRequest, Hello, Message, Refusal, Request, RequestId};
use lanspread_types::{
    CatalogKey, ChunkIndex, ChunkSet, ContentId, GameContent, GameId, GameVersion, KnownPeer, PeerId,
    RelPath, Sighting, Subnet,
};

use crate::catalog::SignedCatalog;
use crate::command::{Command, CommandError, CommandId, Reply};
use crate::event::Event;
use crate::refusals::RefusalCause;
use crate::trust::{CalendarDate, Origin, Provenance};

/// A control connection, numbered by the runtime; a number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A data connection on which another peer asks us for chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Something happened.
#[derive(Debug, Clone)]
pub enum Input {
    Net(NetInput),
    Disk(DiskReport),
    Command {
        id: CommandId,
        command: Command,
    },
    /// A catalogue that a peer sent is checked; `Err` says why it is none.
    CatalogChecked {
        peer: PeerId,
        result: Result<Arc<SignedCatalog>, String>,
    },
    /// The calendar's date: at the start, and whenever it changes. Without one no version is dated ahead.
    Today(CalendarDate),
    /// The time that `next_wakeup` asked for has come.
    Wake,
}

/// Something happened on the network.
#[derive(Debug, Clone)]
pub enum NetInput {
    /// A control connection stands, identities are proven and hellos exchanged.
    Connected(Connected),
    /// The other side speaks another protocol version.
    Incompatible {
        addr: SocketAddr,
        /// Who it is, where it has proven that.
        peer: Option<PeerId>,
        theirs: u16,
    },
    /// Somebody was refused, or refused us, before a control connection stood, or was dropped for what it did. If we
    /// dialled that address, it is the end of that.
    Refused {
        addr: SocketAddr,
        peer: Option<PeerId>,
        cause: RefusalCause,
        dialled: bool,
    },
    /// None of a peer's addresses led to it.
    PeerDialFailed {
        peer: PeerId,
        reason: String,
    },
    /// A peer's listener answered there, with its key.
    Reached {
        peer: PeerId,
        addr: SocketAddr,
    },
    /// Somebody was heard of.
    Sighted(Sighting),
    /// The networks that this machine is in, whenever they change.
    Subnets(Vec<Subnet>),
    DialFailed {
        addr: SocketAddr,
        failure: DialFailure,
    },
    Closed {
        conn: ConnId,
        reason: CloseReason,
    },
    Message {
        conn: ConnId,
        message: Message,
    },

    /// Somebody asks us, on a data connection.
    Requested {
        link: LinkId,
        peer: PeerId,
        request: Request,
    },
    /// The answer to a request is in the socket's hands, or its connection failed.
    Served {
        link: LinkId,
        id: RequestId,
        bytes: u64,
        ok: bool,
    },
    LinkClosed {
        link: LinkId,
    },

    /// The head of an answer to our request: the source has chosen this chunk.
    ChunkStarted {
        peer: PeerId,
        id: RequestId,
        chunk: ChunkIndex,
    },
    /// The chunk is here: verified and written, or not.
    ChunkEnded {
        peer: PeerId,
        id: RequestId,
        chunk: ChunkIndex,
        result: Result<(), ChunkFault>,
    },
    /// The head of an answer to our request: a manifest of so many bytes follows.
    ManifestStarted {
        peer: PeerId,
        id: RequestId,
        bytes: u64,
    },
    ManifestArrived {
        peer: PeerId,
        id: RequestId,
        result: Result<Arc<GameContent>, ManifestFault>,
    },
    /// No answer will come to our request.
    RequestFailed {
        peer: PeerId,
        id: RequestId,
        failure: RequestFailure,
    },
}

#[derive(Debug, Clone)]
pub struct Connected {
    pub conn: ConnId,
    pub peer: PeerId,
    pub hello: Hello,
    /// Where the peer accepts connections: the address that it was reached at, or that it came from together with the
    /// port that its hello states. Never the source port of an inbound connection.
    pub addr: SocketAddr,
    /// This peer's own address on the connection, if it is known.
    pub local_ip: Option<IpAddr>,
    /// We dialled, they accepted.
    pub dialled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    #[error("nothing answers there: {0}")]
    Unreachable(String),
    #[error("no answer within the time limit")]
    TimedOut,
    #[error("that is this very peer")]
    OwnAddress,
    #[error("whatever answers there is not a lanspread peer: {0}")]
    NotAPeer(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("it said goodbye")]
    Goodbye,
    #[error("the connection was lost")]
    Lost,
    #[error("it did not answer in time")]
    Silent,
    #[error("a newer connection to the same peer took its place")]
    Replaced,
    #[error("it broke the protocol")]
    ProtocolError,
    #[error("there are too many peers")]
    TooManyPeers,
    #[error("this peer leaves")]
    Leaving,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    #[error("the bytes do not match the chunk's hash")]
    Corrupt,
    #[error("the chunk could not be written: {0}")]
    Write(DiskError),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is not valid: {0}")]
pub struct ManifestFault(pub String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    #[error("{0}")]
    Refused(Refusal),
    #[error("the data connection failed: {0}")]
    Lost(String),
}

/// What the disk failed at, in a form that people can read, with the causes kept apart that something can be done about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("the disk is full{}", if *missing > 0 { format!(": {missing} bytes are missing") } else { String::new() })]
    Full { missing: u64 },
    /// Archives unpack to far more than they are, and the owner has not allowed that.
    #[error("its archives have {packed} bytes and unpack to at least {unpacked}")]
    UnpacksLarge { packed: u64, unpacked: u64 },
    #[error("{0}")]
    Archive(String),
    /// Files are known to be broken since the last verification; a download of the same content repairs them.
    #[error("{0}")]
    Damaged(String),
    /// The archive may be whole, but is of a kind that cannot be unpacked while it arrives.
    #[error("{0}")]
    NotStreamable(String),
    #[error("{0}")]
    CannotStart(String),
    /// Another program holds a file or folder that is to be changed.
    #[error("{0}")]
    InUse(String),
    /// This process may open no more files. Says nothing about what is on the disk.
    #[error("{0}")]
    OutOfFiles(String),
    #[error("the operation was cancelled")]
    Cancelled,
    #[error("{0}")]
    Other(String),
}

/// The disk has done a job.
#[derive(Debug, Clone)]
pub enum DiskReport {
    /// The whole library as it stands on disk.
    Scanned(Scan),
    /// The library cannot be read, which says nothing about what is in it.
    ScanFailed {
        error: DiskError,
    },
    /// A game's files are hashed (or the index knew them), or could not be.
    Indexed {
        game: GameId,
        stamp: FileStamp,
        result: Result<Arc<GameContent>, DiskError>,
    },
    IndexProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    /// The place for a download is ready; these chunks are there already.
    IncomingOpened {
        game: GameId,
        result: Result<ChunkSet, DiskError>,
    },
    /// The download's files are in place, the sentinel last.
    Committed {
        game: GameId,
        result: Result<CommittedGame, DiskError>,
    },
    IncomingDropped {
        game: GameId,
    },
    /// Bytes of a download that were taken over from the old version, of those that can be.
    ReuseProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    /// How much of a download the old version gave; comes before `IncomingOpened`.
    Reused {
        game: GameId,
        bytes: u64,
    },
    VerifyProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    Verified {
        game: GameId,
        result: Result<VerifiedGame, DiskError>,
    },
    /// What of an installed game was the user's and stays; comes before `Installed`.
    FilesKept {
        game: GameId,
        kept: KeptFiles,
    },
    /// What a start of the game would run, and where that came from.
    StartLookedAt {
        game: GameId,
        result: Result<StartInfo, DiskError>,
    },
    Stamped {
        game: GameId,
        result: Result<Stamped, DiskError>,
    },
    /// The program that started a game has ended.
    PlayEnded {
        game: GameId,
        played: Duration,
    },
    UnpackProgress {
        game: GameId,
        done: u64,
        total: u64,
    },
    /// Archives are unpacked while they arrive: the unpacker has no more use for the chunks below.
    Unpacked {
        game: GameId,
        below: ChunkIndex,
    },
    /// Unpacking a download while it arrives has ended. What it came to shows when the game is installed.
    UnpackedAhead {
        game: GameId,
    },
    /// The window of a streamed install is ready. These chunks are not needed: nothing is unpacked from them.
    StreamOpened {
        game: GameId,
        unneeded: ChunkSet,
    },
    /// A streamed install has ended; its window is gone in any case.
    Streamed {
        game: GameId,
        result: Result<(), DiskError>,
    },
    Installed {
        game: GameId,
        result: Result<(), DiskError>,
    },
    Uninstalled {
        game: GameId,
        result: Result<(), DiskError>,
    },
    Removed {
        game: GameId,
        result: Result<(), DiskError>,
    },
    GamesDirChanged {
        result: Result<(), DiskError>,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    pub games: Vec<ScannedGame>,
    /// Folders that are no games, with the reason for people to read.
    pub ignored: Vec<IgnoredFolder>,
    /// Games whose folders could not be read; they are among `ignored`, too. What was known of them still holds.
    pub unread: BTreeSet<GameId>,
    /// Why the first of them could not be read.
    pub fault: Option<DiskError>,
}

impl Scan {
    /// Adds a folder that the disk does not tell anything about.
    pub fn cannot_read(&mut self, name: String, error: DiskError) {
        self.unread.extend(GameId::new(name.clone()));
        self.ignored.push(IgnoredFolder { name, reason: error.to_string() });
        self.fault.get_or_insert(error);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedGame {
    pub game: GameId,
    /// Version by the sentinel; `None` if the game is only installed, not downloaded.
    pub version: Option<GameVersion>,
    pub installed: bool,
    /// Version that is installed, if that is known.
    pub installed_version: Option<GameVersion>,
    /// Content that was recorded when this version was downloaded.
    pub recorded: Option<ContentId>,
    /// Size of all servable files, in bytes.
    pub bytes: u64,
    pub files: u32,
    pub stamp: FileStamp,
}

/// Changes whenever the name, size, time or identity of a servable file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileStamp(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredFolder {
    pub name: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedGame {
    pub stamp: FileStamp,
}

/// A game's files held against what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGame {
    /// What the files should be.
    pub content: Arc<GameContent>,
    pub broken: Vec<BrokenPart>,
}

/// A part of a file that is not what it should be: a chunk or, with no length, a file that is missing or too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPart {
    pub path: RelPath,
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// What was kept when an installed game was replaced by another version. Paths are relative to its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFiles {
    /// Files that the user or the game had added or changed, and that stay as they are.
    pub kept: u64,
    /// Files that stay although the new version brings its own, which stands beside them under these names.
    pub beside: Vec<RelPath>,
}

/// What the first start of an installed game came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamped {
    /// The files that were written, relative to the installed game.
    pub wrote: Vec<RelPath>,
    /// It was done before; nothing was written.
    pub already_applied: bool,
    /// What starts the game, if that is known.
    pub program: Option<String>,
    /// The program was started.
    pub launched: bool,
}

/// What a start would run, and what is recorded of where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartInfo {
    /// The program's file.
    pub program: String,
    pub args: Vec<String>,
    /// The game's own `lanspread.toml` names the program, which came with the downloaded files.
    pub from_game_file: bool,
    /// The installed folder was made by an install of ours.
    pub noted: bool,
    /// Content of the installed folder, if that is recorded.
    pub installed: Option<ContentId>,
    /// Content of the downloaded version, if that is recorded.
    pub downloaded: Option<ContentId>,
    pub provenance: Provenance,
}

/// How a game is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartCommand {
    /// The program, relative to the installed game.
    pub program: Option<RelPath>,
    pub args: Vec<String>,
}

/// Something is to be done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Open a control connection.
    Dial {
        addr: SocketAddr,
    },
    /// Open a control connection to a peer at one of its addresses, best first. A later one is tried when the one before
    /// has not answered for a moment. Ends with `Connected`, `Incompatible` or `PeerDialFailed`; whoever answers is
    /// connected, be it the one that was expected or not.
    DialPeer {
        peer: PeerId,
        addrs: Vec<SocketAddr>,
    },
    /// Find out whether this very peer's listener answers there. `Reached` follows, or nothing.
    Probe {
        peer: PeerId,
        addr: SocketAddr,
    },
    /// Keep these for the next start, in place of those kept before.
    Remember(Vec<KnownPeer>),
    Send {
        conn: ConnId,
        message: Message,
    },
    Close {
        conn: ConnId,
        reason: CloseReason,
    },

    /// Ask a source, on the data connection to it; the runtime opens one when there is none.
    Request {
        peer: PeerId,
        request: Request,
    },
    /// End our data connection to a source: every open request there fails.
    DropSource {
        peer: PeerId,
    },
    /// Answer a request.
    Serve {
        link: LinkId,
        id: RequestId,
        what: Serving,
    },
    Refuse {
        link: LinkId,
        id: RequestId,
        reason: Refusal,
    },
    /// End a data connection on which another peer asks us. `LinkClosed` follows.
    DropLink {
        link: LinkId,
    },

    Disk(DiskJob),
    /// Check these bytes, which a peer sent as a signed catalogue.
    CheckCatalog {
        peer: PeerId,
        bytes: Vec<u8>,
    },
    /// Keep this catalogue for the next start.
    KeepCatalog(Arc<SignedCatalog>),
    /// Keep whose catalogue is trusted.
    KeepOrganiser(CatalogKey),
    /// Keep whose catalogues the owner does not want to be asked about.
    KeepDeclined(BTreeSet<CatalogKey>),
    Event(Event),
    Reply {
        id: CommandId,
        result: Result<Reply, CommandError>,
    },
    /// Everything is done: the runtime may end. The answers to those who asked for it follow, and are to be given when
    /// it has ended.
    Stopped,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    Manifest {
        content: Arc<GameContent>,
    },
    /// A chunk, read from the committed game or from the download that is under way.
    Chunk {
        content: Arc<GameContent>,
        chunk: ChunkIndex,
        incoming: bool,
    },
}

/// What somebody wants who plays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Play {
    pub user_name: String,
    pub language: String,
    /// Start the game, too.
    pub launch: bool,
    /// How the catalogue says that the game is started.
    pub start: Option<StartCommand>,
    /// Content whose start the owner has just confirmed: recorded before the start.
    pub confirmed: Option<ContentId>,
}

/// Work for the disk. Each job ends with exactly one report.
#[derive(Debug, Clone)]
pub enum DiskJob {
    Scan,
    Index {
        game: GameId,
        stamp: FileStamp,
    },
    /// Prepares the place for a download, or finds what an earlier one left.
    OpenIncoming {
        content: Arc<GameContent>,
    },
    /// Puts a complete download in the place of the old version, and records where it came from, if that is news.
    Commit {
        content: Arc<GameContent>,
        origin: Option<Origin>,
    },
    /// Gives a download up; its verified chunks are kept for the next attempt.
    DropIncoming {
        game: GameId,
        content: ContentId,
    },
    /// Begins to unpack a download that is under way. Goes on until its archives are unpacked or it is given up; never
    /// keeps it from being committed.
    UnpackAhead {
        content: Arc<GameContent>,
    },
    /// Notes that the game's owner allows its archives to unpack to so many bytes.
    AllowUnpacked {
        game: GameId,
        bytes: u64,
    },
    /// Installs the game, from what was unpacked ahead if that went well.
    Install {
        game: GameId,
    },
    /// Opens a window for chunks, says so, and installs the game from what is written there.
    StreamInstall {
        content: Arc<GameContent>,
        origin: Option<Origin>,
    },
    /// Gives up the chunks of a streamed install below this one. Done at once, without a report.
    DropChunks {
        game: GameId,
        below: ChunkIndex,
    },
    /// Replaces the installed game by the downloaded version; the user's files stay.
    Reinstall {
        game: GameId,
    },
    /// Holds a game's files against what they should be.
    Verify {
        game: GameId,
    },
    /// Finds out what a start would run.
    LookAtStart {
        game: GameId,
        start: Option<StartCommand>,
    },
    /// Writes name and language into a freshly installed game and, if asked to, starts it.
    Stamp {
        game: GameId,
        play: Play,
    },
    Uninstall {
        game: GameId,
    },
    /// Removes the downloaded files; what is installed stays.
    Remove {
        game: GameId,
    },
    /// Stops the install (streamed or not), verification or taking over of a game as soon as possible.
    Cancel {
        game: GameId,
    },
    ChangeGamesDir {
        path: std::path::PathBuf,
    },
}

/// Shorthand for the most frequent output.
impl From<(PeerId, ChunkRequest)> for Output {
    fn from((peer, request): (PeerId, ChunkRequest)) -> Self {
        Self::Request { peer, request: Request::Chunk(request) }
    }
}
