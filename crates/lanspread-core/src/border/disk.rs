//! Words of the disk that the node reads and writes: jobs, their reports, and how they fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameContent, GameId, GameVersion, RelPath, Size};

use crate::trust::{Origin, Provenance};

/// A failure of the disk, worded for people. Causes that a person can do something about have variants of their own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The disk is full. `missing` is the number of bytes that do not fit, or 0 if unknown.
    #[error("the disk is full{}", if *missing > 0 { format!("; free another {}", Size(*missing)) } else { String::new() })]
    Full {
        /// Bytes that do not fit; 0 if unknown.
        missing: u64,
    },
    /// The archives unpack to far more bytes than they have, and the owner has not allowed it.
    #[error("its archives ({}) would unpack to at least {}", Size(*packed), Size(*unpacked))]
    UnpacksLarge {
        /// Size of all archives, in bytes.
        packed: u64,
        /// Size to which they unpack at least, in bytes.
        unpacked: u64,
    },
    /// An archive is missing, broken or not supported.
    #[error("{0}")]
    Archive(String),
    /// Files have been known to be broken since the last verification. A download of the same content repairs them.
    #[error("{0}")]
    Damaged(String),
    /// The archive may be whole, but its kind cannot be unpacked while it arrives.
    #[error("{0}")]
    NotStreamable(String),
    /// The game's program could not be started.
    #[error("{0}")]
    CannotStart(String),
    /// Another program holds a file or folder that must be changed.
    #[error("{0}")]
    InUse(String),
    /// The games folder cannot be written: what is there can be read and shared, and nothing else.
    #[error("{0}")]
    ReadOnly(String),
    /// This process may open no more files. Says nothing about the data on the disk.
    #[error("{0}")]
    OutOfFiles(String),
    /// The job was cancelled.
    #[error("the operation was cancelled")]
    Cancelled,
    /// Any other failure.
    #[error("{0}")]
    Other(String),
}

/// Progress or result of a disk job.
#[derive(Debug, Clone)]
pub enum DiskReport {
    /// The whole library as it is on disk. Sent after [`DiskJob::Scan`] and whenever the folder changes.
    Scanned(Scan),
    /// The library could not be read. Says nothing about its games.
    ScanFailed {
        /// Why it could not be read.
        error: DiskError,
    },
    /// A game's files were hashed, or were found in the hash index, or could not be read.
    Indexed {
        /// Game that was hashed.
        game: GameId,
        /// State of the files to which the hashes belong.
        stamp: FileStamp,
        /// File list and hashes.
        result: Result<Arc<GameContent>, DiskError>,
    },
    /// Progress of hashing.
    IndexProgress {
        /// Game being hashed.
        game: GameId,
        /// Bytes hashed.
        done: u64,
        /// Bytes to hash.
        total: u64,
    },
    /// The place for a download is ready.
    IncomingOpened {
        /// Game of the download.
        game: GameId,
        /// Chunks that are verified and already there.
        result: Result<ChunkSet, DiskError>,
    },
    /// A commit ended. On success the files are in place, the sentinel last.
    Committed {
        /// Game of the download.
        game: GameId,
        /// The committed files, or why the old state still holds.
        result: Result<CommittedGame, DiskError>,
    },
    /// A download was given up on disk.
    IncomingDropped {
        /// Game of the download.
        game: GameId,
    },
    /// Progress of taking over data from the old version.
    ReuseProgress {
        /// Game of the download.
        game: GameId,
        /// Bytes taken over.
        done: u64,
        /// Bytes that can be taken over.
        total: u64,
    },
    /// Data was taken over from the old version. Comes before `IncomingOpened`.
    Reused {
        /// Game of the download.
        game: GameId,
        /// Bytes that the old version supplied.
        bytes: u64,
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
    /// A verification ended.
    Verified {
        /// Game that was verified.
        game: GameId,
        /// The findings, or why the files could not be verified.
        result: Result<VerifiedGame, DiskError>,
    },
    /// The user's files in an installed game were kept. Comes before `Installed`.
    FilesKept {
        /// Game that is being reinstalled.
        game: GameId,
        /// Files that stay.
        kept: KeptFiles,
    },
    /// Result of [`DiskJob::LookAtStart`].
    StartLookedAt {
        /// The game to start.
        game: GameId,
        /// What a start would run, and where that came from.
        result: Result<StartInfo, DiskError>,
    },
    /// Result of [`DiskJob::Stamp`].
    Stamped {
        /// Game that was stamped.
        game: GameId,
        /// What was written and started.
        result: Result<Stamped, DiskError>,
    },
    /// The program that started a game has ended.
    PlayEnded {
        /// Game that was started.
        game: GameId,
        /// Time for which the program ran.
        played: Duration,
    },
    /// Progress of an install.
    UnpackProgress {
        /// Game being installed.
        game: GameId,
        /// Bytes of the archives that are unpacked.
        done: u64,
        /// Bytes of the archives.
        total: u64,
    },
    /// Progress of unpacking archives that still arrive.
    Unpacked {
        /// Game of the download.
        game: GameId,
        /// The unpacker needs no chunk below this one any more.
        below: ChunkIndex,
    },
    /// Unpacking ahead of the commit has ended. Whether it succeeded shows at the install.
    UnpackedAhead {
        /// Game of the download.
        game: GameId,
    },
    /// The window of a streamed install is ready.
    StreamOpened {
        /// Game being installed.
        game: GameId,
        /// Chunks from which nothing is unpacked, so they need not be downloaded.
        unneeded: ChunkSet,
    },
    /// A streamed install has ended. Its window is gone in any case.
    Streamed {
        /// Game of the install.
        game: GameId,
        /// `Ok` if the game is installed.
        result: Result<(), DiskError>,
    },
    /// An install or reinstall ended.
    Installed {
        /// Game of the install.
        game: GameId,
        /// `Ok` if the downloaded version is now installed.
        result: Result<(), DiskError>,
    },
    /// An uninstall ended.
    Uninstalled {
        /// Game of the uninstall.
        game: GameId,
        /// `Ok` if `local/` is gone.
        result: Result<(), DiskError>,
    },
    /// What unfinished downloads left is deleted.
    Discarded {
        /// Game of the downloads.
        game: GameId,
        /// Whether it succeeded.
        result: Result<(), DiskError>,
    },
    /// A removal ended.
    Removed {
        /// Game of the removal.
        game: GameId,
        /// `Ok` if the downloaded files are gone.
        result: Result<(), DiskError>,
    },
    /// Result of [`DiskJob::ChangeGamesDir`].
    GamesDirChanged {
        /// On an error the old folder stays in use.
        result: Result<(), DiskError>,
    },
}

/// The library as a scan found it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Games that could be read.
    pub games: Vec<ScannedGame>,
    /// Folders that are not games, with reasons for people to read.
    pub ignored: Vec<IgnoredFolder>,
    /// Games whose folders could not be read; `ignored` lists them, too. What was known about them still holds.
    pub unread: BTreeSet<GameId>,
    /// Whether the games folder cannot be written.
    pub read_only: bool,
    /// Why the first of them could not be read.
    pub fault: Option<DiskError>,
}

impl Scan {
    /// Adds a folder that the disk could not read.
    pub fn cannot_read(&mut self, name: String, error: DiskError) {
        self.unread.extend(GameId::new(name.clone()));
        self.ignored.push(IgnoredFolder { name, reason: error.to_string() });
        self.fault.get_or_insert(error);
    }
}

/// One game as a scan found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedGame {
    /// Id of the game, which is the name of its folder.
    pub game: GameId,
    /// Version stated by the sentinel. `None` if the game is only installed, not downloaded.
    pub version: Option<GameVersion>,
    /// Whether the folder `local/` exists.
    pub installed: bool,
    /// Installed version, if known.
    pub installed_version: Option<GameVersion>,
    /// Content that was recorded when this version was downloaded.
    pub recorded: Option<ContentId>,
    /// Size of all servable files, in bytes.
    pub bytes: u64,
    /// Number of servable files.
    pub files: u32,
    /// State of the servable files.
    pub stamp: FileStamp,
}

/// Fingerprint of a game's servable files. Changes whenever the name, size, time or identity of one of them changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileStamp(pub u64);

/// A folder in the games folder that is not a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredFolder {
    /// Name of the folder.
    pub name: String,
    /// Why it is not a game, for people to read.
    pub reason: String,
}

/// The files of a committed download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedGame {
    /// State of the files after the commit.
    pub stamp: FileStamp,
}

/// A game's files, compared with what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGame {
    /// What the files should be.
    pub content: Arc<GameContent>,
    /// Parts that differ from it; empty if the game is whole.
    pub broken: Vec<BrokenPart>,
}

/// A broken part of a file: a chunk or, with no length, a file that is missing or too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPart {
    /// File in the game's folder.
    pub path: RelPath,
    /// Start of the part in the file, in bytes.
    pub offset: u64,
    /// Length in bytes; 0 for a file that is missing or too long.
    pub length: u64,
}

/// The user's files that stayed when an installed game was replaced by another version. Paths are relative to its
/// folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFiles {
    /// Number of files that the user or the game had added or changed, and that stay unchanged.
    pub kept: u64,
    /// Files of the new version that were installed under these names, beside the user's changed files.
    pub beside: Vec<RelPath>,
}

/// Result of stamping, and perhaps starting, an installed game.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamped {
    /// Files that were written, relative to the installed game.
    pub wrote: Vec<RelPath>,
    /// Whether the game had been stamped before, so nothing was written.
    pub already_applied: bool,
    /// Program that starts the game, if known.
    pub program: Option<String>,
    /// Whether the program was started.
    pub launched: bool,
}

/// What a start would run, and the recorded origin of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartInfo {
    /// The program's file.
    pub program: String,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Whether the game's own `lanspread.toml`, which came with the downloaded files, names the program.
    pub from_game_file: bool,
    /// Whether lanspread itself installed the folder.
    pub noted: bool,
    /// Content of the installed folder, if recorded.
    pub installed: Option<ContentId>,
    /// Content of the downloaded version, if recorded.
    pub downloaded: Option<ContentId>,
    /// Origins and confirmed starts recorded for the game.
    pub provenance: Provenance,
}

/// Command that starts a game.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartCommand {
    /// The program, relative to the installed game.
    pub program: Option<RelPath>,
    /// Arguments of the program.
    pub args: Vec<String>,
}

/// What the player wants written into a game and started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Play {
    /// Name to write into the game.
    pub user_name: String,
    /// Language to write into the game.
    pub language: String,
    /// Whether to start the game, too.
    pub launch: bool,
    /// Start command that takes precedence over the game's own `lanspread.toml`. The node passes none so far.
    pub start: Option<StartCommand>,
    /// Content whose start the owner has just confirmed. It is recorded before the start.
    pub confirmed: Option<ContentId>,
}

/// Work for the disk. Each job ends with exactly one report, except `AllowUnpacked`, `DropChunks` and `Cancel`, which
/// send none.
#[derive(Debug, Clone)]
pub enum DiskJob {
    /// Scans the library.
    Scan,
    /// Hashes a game's files, or takes the hashes from the index.
    Index {
        /// Game to hash.
        game: GameId,
        /// State of the files at the last scan.
        stamp: FileStamp,
    },
    /// Prepares the place for a download, or finds what an earlier one left, and takes over data from the old
    /// version.
    OpenIncoming {
        /// Content to download.
        content: Arc<GameContent>,
    },
    /// Puts a complete download in the place of the old version.
    Commit {
        /// Content whose chunks are all written.
        content: Arc<GameContent>,
        /// Origin to record; `None` if it is recorded already.
        origin: Option<Origin>,
    },
    /// Gives up a download. Its verified chunks are kept for the next attempt.
    DropIncoming {
        /// Game of the download.
        game: GameId,
        /// Content of the download.
        content: ContentId,
    },
    /// Deletes what unfinished downloads of a game have left.
    Discard {
        /// Game of the downloads.
        game: GameId,
    },
    /// Begins to unpack a download that is under way. Ends when the archives are unpacked or the download is given
    /// up, and never delays the commit.
    UnpackAhead {
        /// Content of the download.
        content: Arc<GameContent>,
    },
    /// Records that the owner allows the game's archives to unpack to this size. Sends no report.
    AllowUnpacked {
        /// Game with the large archives.
        game: GameId,
        /// Allowed size, in bytes.
        bytes: u64,
    },
    /// Installs a game, from what was unpacked ahead if that succeeded.
    Install {
        /// Game to install.
        game: GameId,
    },
    /// Opens a window for chunks, reports `StreamOpened`, and installs the game from the chunks written there.
    StreamInstall {
        /// Content to install.
        content: Arc<GameContent>,
        /// Origin to record.
        origin: Option<Origin>,
    },
    /// Drops the chunks of a streamed install below `below`. Done at once, without a report.
    DropChunks {
        /// Game of the install.
        game: GameId,
        /// First chunk to keep.
        below: ChunkIndex,
    },
    /// Replaces the installed game by the downloaded version. The user's files stay.
    Reinstall {
        /// Game to reinstall.
        game: GameId,
    },
    /// Compares a game's files with what they should be.
    Verify {
        /// Game to verify.
        game: GameId,
    },
    /// Finds out what a start would run, without starting it.
    LookAtStart {
        /// Game to look at.
        game: GameId,
        /// Start command that takes precedence over the game's own `lanspread.toml`. The node passes none so far.
        start: Option<StartCommand>,
    },
    /// Writes name and language into a freshly installed game and, if `play.launch` is set, starts it.
    Stamp {
        /// Game to stamp.
        game: GameId,
        /// What to write and start.
        play: Play,
    },
    /// Deletes the installed game. The downloaded files stay.
    Uninstall {
        /// Game to uninstall.
        game: GameId,
    },
    /// Deletes the downloaded files. The installed game stays.
    Remove {
        /// Game to remove.
        game: GameId,
    },
    /// Stops the install (streamed or not), the verification or the reuse of the old version as soon as possible.
    /// Sends no report of its own; the stopped job sends its usual one.
    Cancel {
        /// Game whose job is stopped.
        game: GameId,
    },
    /// Opens another games folder.
    ChangeGamesDir {
        /// Folder to open instead.
        path: std::path::PathBuf,
    },
}
