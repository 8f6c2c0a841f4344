//! Types of the HTTP interface beside the commands: what the page reads and the settings that it writes.
//!
//! A reader of `/api/v1/live` gets a [`Snapshot`] first and then an [`Update`] for each change, numbered without
//! gaps. A reader that loses the connection opens a new one and gets a new snapshot, so it never has to guess what it
//! missed. The tasks that send them are in the crate `lanspread`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorCode;
use crate::event::Event;
use crate::reply::{AdvertisedGame, GameInfo, OtherPeer, PeerInfo, Status};

/// Everything that a page shows at first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Version of the program, for people to read.
    pub program_version: String,
    /// The version of the contract.
    pub contract: u32,
    /// What can be posted to, below `/api/v1/`.
    pub actions: Vec<String>,
    /// What the user chose, as it is kept.
    pub settings: Settings,
    /// `null` until a games folder is chosen.
    pub room: Option<RoomState>,
    /// What to suggest while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Setup>,
    /// What happened, oldest first.
    pub log: Vec<LogEntry>,
    /// One point for each of the last seconds, oldest first.
    pub rates: Vec<Rate>,
}

/// The peer and all that it sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomState {
    /// The answer to `status`.
    pub status: Status,
    /// How full the disk is.
    pub disk: Disk,
    /// Sending is held back, because somebody plays.
    #[serde(default)]
    pub quiet: bool,
    /// Games whose program was started from here and has not ended, by id.
    #[serde(default)]
    pub running: Vec<String>,
    /// All games, by id.
    pub games: Vec<GameRow>,
    /// All connected peers, by id.
    pub peers: Vec<PeerRow>,
    /// Others that were heard of, with the reason why they are not connected.
    #[serde(default)]
    pub others: Vec<OtherPeer>,
    /// Downloads that are not complete, those in progress among them, by game id.
    #[serde(default)]
    pub unfinished: Vec<UnfinishedDownload>,
}

/// A download that is not complete. It outlives the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnfinishedDownload {
    /// The game that is not complete.
    pub game_id: String,
    /// Whether it goes on, and what it waits for.
    pub state: UnfinishedState,
    /// What is verified and on disk.
    pub done_bytes: u64,
    /// 0 until the list of files has arrived.
    pub total_bytes: u64,
    /// The game is installed afterwards.
    #[serde(default)]
    pub install: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<DownloadFault>,
}

/// How an unfinished download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnfinishedState {
    /// It is being downloaded.
    Running,
    /// It goes on by itself as soon as somebody has the game.
    Waiting,
    /// Its owner has stopped it.
    Paused,
    /// It does not go on by itself.
    Failed,
}

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DownloadFault {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people to read.
    pub reason: String,
}

/// The disk of the games folder; `null` where the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// What the user may still write.
    pub free_bytes: Option<u64>,
    /// The size of the disk.
    pub total_bytes: Option<u64>,
    /// What a download leaves free.
    #[serde(default)]
    pub reserve_bytes: u64,
    /// What unpacking leaves free.
    #[serde(default)]
    pub unpack_reserve_bytes: u64,
}

/// A game, and whether it has a cover here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameRow {
    /// The game, as `list-games` shows it.
    #[serde(flatten)]
    pub game: GameInfo,
    /// Changes with the cover; `null` if there is none.
    pub cover: Option<String>,
}

/// A connected peer, without the list of what it offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerRow {
    /// The peer, as `list-peers` shows it; its `games` are empty.
    #[serde(flatten)]
    pub peer: PeerInfo,
    /// Games that it offers.
    pub game_count: usize,
    /// All that it offers, in bytes.
    pub offered_bytes: u64,
}

impl From<PeerInfo> for PeerRow {
    fn from(mut peer: PeerInfo) -> Self {
        let games = std::mem::take(&mut peer.games);
        let offered_bytes = games.iter().fold(0u64, |sum, game| sum.saturating_add(game.size));
        Self { peer, game_count: games.len(), offered_bytes }
    }
}

/// Who offers a game, in which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offers {
    /// The game that was asked about.
    pub game_id: String,
    /// One for each peer that offers it.
    pub offers: Vec<Offer>,
}

/// What one peer offers of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// The peer: 64 hexadecimal digits.
    pub peer_id: String,
    /// The peer's name.
    pub name: String,
    /// What it announces.
    #[serde(flatten)]
    pub game: AdvertisedGame,
}

/// A change; `sequence` counts them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Update {
    /// One more than that of the update before; a gap cannot happen.
    pub sequence: u64,
    /// What is different.
    #[serde(flatten)]
    pub change: Change,
}

/// What an update brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "data", rename_all = "kebab-case")]
pub enum Change {
    /// Everything anew: the first of a connection, and after a start of the peer.
    Snapshot(Box<Snapshot>),
    /// What is different now.
    Patch(Box<Patch>),
    /// Something happened.
    Log(LogEntry),
    /// A second has passed.
    Rate(Rate),
}

/// What is different from before. What is absent or empty is as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Patch {
    /// The whole answer to `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How full the disk is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Whether sending is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<bool>,
    /// All of them, if they are different; they may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Vec<String>>,
    /// Games that are new or have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub games: Vec<GameRow>,
    /// Ids of games that are neither here nor offered any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub games_gone: Vec<String>,
    /// Peers that are new or have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerRow>,
    /// Ids of peers that are not connected any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers_gone: Vec<String>,
    /// All of them, if anything about them is different; they may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Vec<OtherPeer>>,
    /// All of them, if anything about them is different; they may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Vec<UnfinishedDownload>>,
    /// All settings, not only those that have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

impl Patch {
    /// Returns true if nothing is different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An event of the contract, and when it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// Chunk data in one second, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// Received in that second.
    pub down: u64,
    /// Sent in that second.
    pub up: u64,
}

/// What the user chose. A field that is absent when it is written stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The folder of the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub games_dir: Option<String>,
    /// What others call this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `en` or `de`; the browser's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Bytes per second while a game that was started from here runs; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_upload: Option<u64>,
    /// Fetch what others ask everybody to fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_wants: Option<bool>,
}

/// The closed party to join; without a name, the party is left.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartyOrder {
    /// What the party is called; the same on all its peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The secret that all its peers share. Never given out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
}

impl std::fmt::Debug for PartyOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartyOrder").field("name", &self.name).finish_non_exhaustive()
    }
}

/// By which catalogue to go from now on: the organiser's with this key, or that of a signed file. Without either, by none,
/// and the organiser is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogOrder {
    /// The organiser's public key: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A path on the machine where the peer runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Holds sending back as while a game is played, or lets it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuietOrder {
    /// True holds sending back, false lets it go.
    pub on: bool,
}

/// The first choice: where the games are, and what others see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// The folder of the library.
    pub games_dir: String,
    /// What others call this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What is in a folder, to choose from: folders, and files that are programs, pictures or catalogues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Folders {
    /// The folder itself.
    pub path: String,
    /// Absent at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Names, sorted; with the files at most a thousand.
    pub folders: Vec<String>,
    /// Names of the files, sorted; only with those kinds of files asked for.
    #[serde(default)]
    pub files: Vec<String>,
}

/// Opens or closes the door for guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationOrder {
    /// True opens it, false closes it.
    pub open: bool,
}

/// The door where guests get this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// What a guest opens in a browser; `null` while the door is closed.
    pub address: Option<String>,
    /// The address with the organiser's key in it, to be sent as a link; `null` while the invite page is closed.
    pub link: Option<String>,
    /// The link as a QR code.
    pub picture: Option<Picture>,
    /// The system that the program is for.
    pub system: String,
    /// The hashes of the program, for the guest to compare; `null` while the door is closed.
    pub program: Option<ProgramHashes>,
    /// The fingerprint of the organiser whose catalogue counts here; `null` if there is none.
    pub organiser: Option<String>,
}

/// What a file's bytes come to, in groups of four hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgramHashes {
    /// What `b3sum` prints.
    pub blake3: String,
    /// What `sha256sum` and `certutil -hashfile FILE SHA256` print.
    pub sha256: String,
}

/// A picture of unit squares: an SVG path in a field of `size` by `size`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// Width and height of the picture, in squares.
    pub size: u32,
    /// Value of the attribute `d` of an SVG path.
    pub path: String,
}

/// A folder to be made into a game of the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pack {
    /// The folder to be packed, on the machine where the peer runs. It stays as it is.
    pub folder: String,
    /// The id that the game gets, which is the name of its folder.
    pub game_id: String,
    /// Eight digits: the date of the version.
    pub version: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A picture (.webp, .png, .jpg) to lay beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// The program that starts it, relative to the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// A folder has become a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Packed {
    /// The game that is in the library now.
    pub game_id: String,
    /// Of the content that was packed.
    pub files: usize,
    /// Bytes that the content has.
    pub bytes: u64,
}
