//! Answers to commands.
//!
//! [`ReplyData`] has one variant for each kind of answer; the other types are parts of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{DiskFault, Supplier};
pub use crate::kinds::OperationKind;
use crate::kinds::{Priority, RefusalCode};
use crate::text::GameIdText;

/// The answer to a command: its name as `cmd`, the rest as `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cmd", content = "data", rename_all = "kebab-case")]
pub enum ReplyData {
    /// How the peer stands.
    Status(Box<Status>),
    /// As many peers as were waited for are connected.
    WaitPeers(PeerCount),
    /// The peer that was dialled is connected.
    Connect(PeerInfo),
    /// Who is here.
    ListPeers(PeerList),
    /// What can be played, here or in the room.
    ListGames(GameList),
    /// Started, or nothing to do.
    Download(DownloadReply),
    /// Started, or nothing to do.
    StreamInstall(DownloadReply),
    /// The end comes as `download-cancelled`.
    CancelDownload(GameReply),
    /// The end comes as `install-finished` or `install-failed`.
    Install(GameReply),
    /// The end comes as `uninstall-finished` or `uninstall-failed`.
    Uninstall(GameReply),
    /// The end comes as `remove-finished` or `remove-failed`.
    RemoveDownload(GameReply),
    /// The end comes as `remove-finished` or `remove-failed`.
    DiscardDownload(GameReply),
    /// The end comes as `verify-finished` or `verify-failed`.
    Verify(GameReply),
    /// What was stamped, and whether the game was started.
    Play(PlayReply),
    /// The limits that hold from now on.
    SetLimits(Limits),
    /// The priority holds from now on.
    SetPriority(GameReply),
    /// Whether the game is shared from now on.
    SetSharing(SharingReply),
    /// What everybody answered.
    Room(Room),
    /// Everybody was asked.
    WantGame(WantReply),
    /// The organiser whose catalogue counts from now on.
    TrustCatalog(OrganiserReply),
    /// The organiser who is not suggested any more.
    DeclineCatalog(OrganiserReply),
    /// The folder that holds the library from now on.
    SetGameDir(GamesDir),
    /// What was found, and what to do about it.
    Doctor(Diagnosis),
    /// Everything has ended; nothing follows.
    Shutdown(Empty),
}

/// Nothing more to say: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// How this peer stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The own identity: 64 hexadecimal digits.
    pub peer_id: String,
    /// What others call this peer.
    pub name: String,
    /// Where the peer listens.
    pub addr: SocketAddr,
    /// Version of the peer protocol.
    pub protocol: u16,
    /// The folder of the library.
    pub games_dir: String,
    /// The folder of identity, settings and memory.
    pub state_dir: String,
    /// There is a catalogue; without one every well-formed game counts.
    pub catalogued: bool,
    /// Which list counts.
    #[serde(default)]
    pub catalog: CatalogInfo,
    /// Organisers that could be trusted: the invitation's first, then those that most peers go by; 8 at most. None once one
    /// is trusted, and none that was declined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalog_offered: Vec<OfferedCatalog>,
    /// This peer fetches what others ask everybody to fetch.
    #[serde(default)]
    pub accepts_wants: bool,
    /// Name of the closed party that this peer belongs to; `null` if it is open.
    #[serde(default)]
    pub party: Option<String>,
    /// Connected peers.
    pub peer_count: usize,
    /// What runs here.
    pub active_operations: Vec<ActiveOperation>,
    /// The downloads among the operations, with the swarm that they draw from.
    pub swarms: Vec<Swarm>,
    /// The rates that hold now.
    pub limits: Limits,
    /// What is being sent to others: chunks queued or on their way, by game. Games without any are left out.
    pub active_outbound_transfers: BTreeMap<String, usize>,
    /// What went over the network since the start of this peer.
    pub traffic: Traffic,
    /// Who was not let in, or was dropped, of late; the latest first, 64 at most.
    #[serde(default)]
    pub refused: Vec<RefusedPeer>,
    /// Why the library, or a part of it, could not be read when it was last looked through; absent if it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_fault: Option<DiskFault>,
    /// The games folder cannot be written: its games are shared, and nothing in it can be changed.
    #[serde(default)]
    pub library_read_only: bool,
}

/// What went over the network since the start of this peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Chunks that arrived, matched their hash and were new.
    pub received_chunks: u64,
    /// Bytes of these chunks.
    pub received_bytes: u64,
    /// Those of the received bytes that came from peers of other groups.
    #[serde(default)]
    pub from_other_groups_bytes: u64,
    /// Chunks that were sent to the end.
    pub sent_chunks: u64,
    /// Bytes of these chunks.
    pub sent_bytes: u64,
    /// Messages to other peers on control connections: announcements, states, pings and their answers.
    #[serde(default)]
    pub sent_messages: u64,
    /// Requests to sources, and cancellations of requests.
    #[serde(default)]
    pub sent_requests: u64,
    /// Sources that sent what does not verify, each counted once for each game.
    pub rejected_sources: u64,
}

/// Which list of games counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CatalogInfo {
    /// Which kind of catalogue it is.
    pub mode: CatalogMode,
    /// Games that it lists.
    #[serde(default)]
    pub game_count: usize,
    /// The organiser's public key, for `Signed` and `Awaited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What people compare of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its edition, for `Signed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// What the catalogue calls itself, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What kind of catalogue counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum CatalogMode {
    /// There is none: every well-formed game counts.
    #[default]
    Open,
    /// A file without a signature.
    Unsigned,
    /// The organiser's, with a valid signature.
    Signed,
    /// The organiser is known and the catalogue is not here yet: nothing counts.
    Awaited,
}

/// What the catalogue says about a game, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// How many can play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players: Option<Players>,
    /// Kind of game, in the organiser's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// `data:image/…;base64,…` (png, jpeg or webp), or `blake3:` and the hash of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// What starts the game, relative to `local/`, with its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

impl About {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How many people can play a game together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Players {
    /// At least.
    pub min: u16,
    /// At most.
    pub max: u16,
}

/// The whole room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// Everybody, this peer first.
    pub guests: Vec<Guest>,
    /// Groups with at least one peer: those that the catalogue names, and subnets.
    #[serde(default)]
    pub groups: Vec<RoomGroup>,
    /// Of a room with very many games, those that matter: the catalogue's, those that are here, and those that most peers
    /// have or fetch.
    pub games: Vec<RoomGame>,
    /// Games that are offered and do not stand in the list.
    #[serde(default)]
    pub games_left_out: usize,
}

/// A peer in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guest {
    /// The peer: 64 hexadecimal digits.
    pub peer_id: String,
    /// What it calls itself.
    pub name: String,
    /// Name of its group, as in `groups`.
    #[serde(default)]
    pub group: String,
    /// It did not say in time how it stands, so what it fetches is unknown.
    pub silent: bool,
    /// Edition of the signed catalogue that it goes by.
    pub catalog_serial: Option<u64>,
    /// It goes by an older edition than this peer.
    pub behind: bool,
    /// It fetches what it is asked to fetch.
    pub accepts_wants: bool,
}

/// A group of peers, and what they say that they received since their start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomGroup {
    /// The catalogue's name for it, or its subnet, such as `10.1.0.0/24`.
    pub name: String,
    /// Peers in it, this one included.
    pub peers: usize,
    /// Bytes of verified chunks that its peers received.
    pub received_bytes: u64,
    /// Those of them that came from peers of other groups.
    pub from_other_groups_bytes: u64,
}

/// A game over the whole room; guests are named by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomGame {
    /// The game that it is about.
    pub game_id: String,
    /// What the catalogue calls the game.
    pub title: Option<String>,
    /// The version that counts, and the content where the catalogue pins it.
    pub eti_version: Option<String>,
    /// The content that counts; `null` unless the catalogue pins it.
    pub content_id: Option<String>,
    /// Who has it in full.
    pub ready: Vec<String>,
    /// Who has another version, or another content under the same version.
    pub other: Vec<OtherCopy>,
    /// Who downloads it.
    pub fetching: Vec<Fetching>,
    /// Who neither has it nor fetches it.
    pub without: Vec<String>,
    /// Until the last of those who fetch it has it; `null` while that cannot be told.
    pub last_ready_seconds: Option<u64>,
}

/// What a peer has instead of the content that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherCopy {
    /// The peer: 64 hexadecimal digits.
    pub peer_id: String,
    /// The version that it has.
    pub eti_version: String,
    /// The content that it has.
    pub content_id: String,
    /// The version is right, the content is not.
    pub same_version: bool,
}

/// A download of one peer, as that peer tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetching {
    /// The peer that downloads: 64 hexadecimal digits.
    pub peer_id: String,
    /// The version that it downloads.
    pub eti_version: String,
    /// Verified bytes that are on its disk.
    pub done_bytes: u64,
    /// Bytes of the whole content.
    pub total_bytes: u64,
    /// Its present rate.
    pub bytes_per_second: u64,
    /// Until it has everything, at that rate; `null` while nothing comes.
    pub seconds_left: Option<u64>,
}

/// Whose catalogue is trusted or declined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrganiserReply {
    /// The whole key: 64 hexadecimal digits.
    pub key: String,
    /// What people compare: four groups of four hexadecimal digits.
    pub fingerprint: String,
}

/// An organiser whose catalogue the room has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedCatalog {
    /// The whole key: 64 hexadecimal digits.
    pub key: String,
    /// What people compare: four groups of four hexadecimal digits.
    pub fingerprint: String,
    /// What the catalogue calls itself, once it was looked at and has the key's signature.
    pub title: Option<String>,
    /// Its edition and number of games, once it was looked at.
    pub serial: Option<u64>,
    /// Games that it lists, once it was looked at.
    pub game_count: Option<usize>,
    /// The invitation that this peer came with names it.
    pub invited: bool,
    /// Connected peers that go by it.
    pub peer_count: usize,
    /// Names of those peers, 8 at most.
    pub peers: Vec<String>,
}

/// Everybody who is connected was asked to fetch a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WantReply {
    /// The game that they were asked to fetch.
    pub game_id: String,
    /// Peers that were asked.
    pub asked: usize,
}

/// Somebody who was not let in, or was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedPeer {
    /// Where it was dialled, or where it came from.
    pub addr: SocketAddr,
    /// `null` if it never proved who it is.
    pub peer_id: Option<String>,
    /// What kind of refusal it is.
    pub code: RefusalCode,
    /// The latest refusal, for people to read.
    pub reason: String,
    /// How often that happened.
    pub count: u64,
    /// Since it happened last.
    pub seconds_ago: u64,
}

/// Bytes per second of chunk data over all peers; `null` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// For what is sent.
    pub upload: Option<u64>,
    /// For what is received.
    pub download: Option<u64>,
}

/// A download, as its swarm stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Swarm {
    /// The game that is downloaded.
    pub game_id: String,
    /// Its priority among the downloads.
    pub priority: Priority,
    /// Chunks that are verified and on disk.
    pub chunks_had: u32,
    /// Chunks of the whole content.
    pub chunks_total: u32,
    /// Complete copies in the room: whole ones, and the share of chunks that have one more. Below 1, the room does not
    /// have the whole game any more.
    pub copies: f64,
    /// What came in over the last two seconds.
    pub bytes_per_second: u64,
    /// Until everything is here, at the present rate; `null` while nothing comes.
    pub seconds_left: Option<u64>,
    /// Peers that have chunks of it.
    pub sources: Vec<SwarmSource>,
}

/// One source of a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwarmSource {
    /// The source: 64 hexadecimal digits.
    pub peer_id: String,
    /// What the source calls itself.
    pub name: String,
    /// Chunks that it has.
    pub chunks_has: u32,
    /// Verified bytes that came from it.
    pub bytes: u64,
    /// Its rate while it was busy for this peer.
    pub bytes_per_second: u64,
}

/// An operation that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveOperation {
    /// The game that it runs on.
    pub game_id: String,
    /// What it does.
    pub kind: OperationKind,
    /// How far it is.
    pub progress: Progress,
}

/// Both are 0 where there is nothing to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// How many peers are connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerCount {
    /// Connected peers.
    pub peer_count: usize,
}

/// Who is here, and who is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerList {
    /// Connected peers, by id.
    pub peers: Vec<PeerInfo>,
    /// Others that were heard of, with the reason why they are not connected.
    #[serde(default)]
    pub others: Vec<OtherPeer>,
}

/// How a peer came to the knowledge of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// Somebody typed its address.
    Typed,
    /// Multicast DNS.
    Mdns,
    /// UDP broadcast.
    Broadcast,
    /// Another peer introduced it.
    Introduced,
    /// It was here the last time.
    Remembered,
    /// It connected to this peer.
    Inbound,
}

impl From<lanspread_types::Means> for FoundBy {
    fn from(means: lanspread_types::Means) -> Self {
        use lanspread_types::Means;
        match means {
            Means::Typed => Self::Typed,
            Means::Mdns => Self::Mdns,
            Means::Broadcast => Self::Broadcast,
            Means::Introduced => Self::Introduced,
            Means::Remembered => Self::Remembered,
            Means::Inbound => Self::Inbound,
        }
    }
}

/// Somebody who was heard of and is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherPeer {
    /// Absent where only an address is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// What it calls itself; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it may be.
    pub addrs: Vec<SocketAddr>,
    /// Every way in which it was heard of.
    pub found_by: Vec<FoundBy>,
    /// Why it is not connected, for programs.
    pub reason: AbsenceCode,
    /// The reason, for people to read.
    pub message: String,
    /// The protocol version that it speaks, where that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u16>,
}

/// Why somebody is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AbsenceCode {
    /// It is being dialled, or will be in a moment.
    Coming,
    /// It speaks another protocol version.
    OtherVersion,
    /// It is this very peer.
    OwnAddress,
    /// Nothing answers at its addresses.
    Unreachable,
    /// It was not let in, or is not wanted any more.
    TurnedAway,
    /// It said goodbye.
    Left,
}

/// A connected peer, and what it announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerInfo {
    /// Its proved identity: 64 hexadecimal digits.
    pub peer_id: String,
    /// What it calls itself, or a name that tells it from peers with names that look alike.
    pub name: String,
    /// Where it accepts connections.
    pub addr: SocketAddr,
    /// Version of the protocol that it speaks.
    pub protocol: u16,
    /// How it was found, the first way first.
    #[serde(default)]
    pub found_by: Vec<FoundBy>,
    /// Unfiltered: games that the own catalogue does not know are among them.
    pub games: Vec<AdvertisedGame>,
    /// Games that it announces beyond those: there is no room to keep or to list them.
    #[serde(default)]
    pub games_left_out: usize,
}

/// A game as a peer announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdvertisedGame {
    /// The game that it offers.
    pub game_id: String,
    /// The version that the peer states, unchanged.
    pub eti_version: String,
    /// The content that it offers: 64 hexadecimal digits.
    pub content_id: String,
    /// In bytes.
    pub size: u64,
    /// Files of that content.
    pub file_count: u32,
}

/// All games that are here or offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameList {
    /// By id.
    pub games: Vec<GameInfo>,
    /// Games that are offered and do not stand in the list: most of what few peers offer, if it is very much.
    #[serde(default)]
    pub games_left_out: usize,
}

/// A game, as this peer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameInfo {
    /// Name of the game's folder.
    pub game_id: String,
    /// What the catalogue calls the game; `null` if it lists no title.
    pub title: Option<String>,
    /// What the catalogue says about it.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// It is on this disk in full.
    pub downloaded: bool,
    /// It can be played.
    pub installed: bool,
    /// Where it can be had.
    pub availability: Availability,
    /// Connected peers that serve the version.
    pub peer_count: usize,
    /// Size of the version in bytes, as far as known; otherwise 0.
    pub size: u64,
    /// The version that the catalogue names; without one, the newest that several voices offer or, if there is none,
    /// the newest. What is dated after tomorrow does not count.
    pub eti_game_version: Option<String>,
    /// The version on this disk.
    pub local_version: Option<String>,
    /// The version that is installed, if that is known.
    pub installed_version: Option<String>,
    /// The content on this disk, once it is hashed.
    pub content_id: Option<String>,
    /// Who stands behind the version; `null` while peers disagree about its content, or nobody has it.
    #[serde(default)]
    pub support: Option<Support>,
    /// Independent voices that offer the version's content: peers at the same address are one.
    #[serde(default)]
    pub confirmed_by: usize,
    /// Who alone offers it, for `single`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<Supplier>,
    /// The content that a download would fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_content_id: Option<String>,
    /// A download would replace what is here by what nobody confirms, and asks first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub update_needs_confirmation: bool,
    /// The version on this disk is dated after tomorrow: others do not take it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dated_ahead: bool,
    /// The owner keeps the game out of sharing: the others hear nothing of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub private: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// Who stands behind a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// The catalogue names this very content.
    Pinned,
    /// Several independent voices offer it, or it is here already.
    Agreed,
    /// One voice offers it, and nobody confirms it.
    Single,
}

/// Where a game can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Availability {
    /// Downloaded, hashed and served to others.
    Ready,
    /// Here, but not served.
    LocalOnly,
    /// Not here, but some peer serves it.
    Remote,
}

/// The command is started for this game; events tell the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GameReply {
    /// The game that the command named.
    #[schemars(with = "GameIdText")]
    pub game_id: String,
}

/// Whether a game is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharingReply {
    /// The game that the command named.
    #[schemars(with = "GameIdText")]
    pub game_id: String,
    /// False while it is kept out of sharing.
    pub shared: bool,
}

/// What a `download` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DownloadReply {
    /// The game that the command named.
    pub game_id: String,
    /// Nothing was started, because that version is here (and installed, if that was asked for). The other fields are
    /// absent then.
    pub already_there: bool,
    /// The version that is downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eti_version: Option<String>,
    /// The content that is downloaded: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Bytes of that content, those that are here already included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
}

/// What a `play` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlayReply {
    /// The game that the command named.
    pub game_id: String,
    /// Name and language were stamped into this install before; nothing was written.
    pub already_applied: bool,
    /// The files that were written, relative to `local/`.
    pub wrote: Vec<String>,
    /// What starts the game, if that is known.
    pub program: Option<String>,
    /// The game was started.
    pub launched: bool,
}

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The worst of all checks.
    pub health: Health,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// One thing that the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// `interfaces`, `listener`, `multicast`, `broadcast`, `room`, `versions`, `firewall`, `clock`, `state-folder` or
    /// `games-folder`.
    pub name: String,
    /// How it stands.
    pub health: Health,
    /// What was found, for people to read.
    pub found: String,
    /// What to do about it; absent where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How well something works, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It works as it should.
    Good,
    /// It could not be told.
    Unknown,
    /// It works, but not as well as it could.
    Poor,
    /// It does not work.
    Bad,
}

/// The folder that holds the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GamesDir {
    /// As the command gave it.
    pub games_dir: String,
}
