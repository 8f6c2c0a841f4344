//! Commands: what a script can ask a peer for.
//!
//! The table `commands!` declares each command once: its name, fields, reply and HTTP route. [`Request`], its reader and
//! [`CommandName`] are made from it. [`crate::parse`] makes a request from a line; the answers are in [`crate::reply`].

use std::net::SocketAddr;

use lanspread_types::{GameId, Organiser};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorBody;
use crate::fields::Fields;
pub use crate::kinds::Priority;
use crate::reply::GameList;
use crate::reply::{
    DownloadReply, Empty, GameReply, GamesDir, Limits, OrganiserReply, PeerCount, PeerInfo, PeerList,
    PlayReply, ReplyData, Room, SharingReply, Status, WantReply,
};
use crate::text::{ContentIdText, GameIdText, OrganiserText, StampText};

/// Default time limit of `wait-peers`, in milliseconds.
pub const WAIT_PEERS_TIMEOUT_MS: u64 = 30_000;
/// Longest time limit of `wait-peers`, in milliseconds: a day.
pub const WAIT_PEERS_TIMEOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Where the HTTP interface takes a command: method, and last part of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Answered without changing anything; such a command has no fields.
    Get(&'a str),
    /// Changes something; the fields of the command are the body, as one JSON object.
    Post(&'a str),
}

/// Declares the commands. A row is
/// `Variant "name" -> type in ReplyData, soon or late, Get or Post("path") { field: type = reader in Fields };`.
/// `late` is a command whose answer waits for something to happen. Without a route, the HTTP interface lacks it.
macro_rules! commands {
    ($(
        $(#[$about:meta])*
        $variant:ident $name:literal -> $reply:ty, $pace:ident $(, $method:ident($path:literal))?
        $({ $($(#[$fact:meta])* $field:ident: $type:ty = $read:ident($($argument:expr),*),)* })?;
    )*) => {
        /// A command, as it is written: `{"cmd":"download","game_id":"ggoo","install":false}`. `command` means the same as
        /// `cmd`, and an `id` may stand beside the fields.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "cmd")]
        pub enum Request {
            $($(#[$about])* #[serde(rename = $name)] $variant $({ $($(#[$fact])* $field: $type,)* })?,)*
        }

        impl Request {
            /// Returns the command's name.
            pub fn name(&self) -> CommandName {
                match self { $(Self::$variant { .. } => CommandName::$variant,)* }
            }

            /// Reads the fields of a command.
            pub(crate) fn read(name: CommandName, fields: &Fields) -> Result<Self, ErrorBody> {
                Ok(match name {
                    $(CommandName::$variant => Self::$variant
                        $({ $($field: fields.$read(stringify!($field) $(, $argument)*)?,)* })?,)*
                })
            }
        }

        /// The names of the commands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CommandName {
            $($(#[$about])* $variant,)*
        }

        impl CommandName {
            /// Every command.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the command's name in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns where the HTTP interface takes the command, if it does.
            pub const fn route(self) -> Option<Route<'static>> {
                match self { $(Self::$variant => commands!(@route $($method($path))?),)* }
            }

            /// Returns whether the peer may answer late, because it waits for something to happen.
            pub const fn is_late(self) -> bool {
                match self { $(Self::$variant => commands!(@late $pace),)* }
            }
        }

        // Each command has its reply.
        $(const _: fn($reply) -> ReplyData = ReplyData::$variant;)*
    };
    (@route $method:ident($path:literal)) => { Some(Route::$method($path)) };
    (@route) => { None };
    (@late late) => { true };
    (@late soon) => { false };
}

commands! {
    /// How this peer stands.
    Status "status" -> Box<Status>, soon, Get("status");
    /// Answers when `count` peers are connected, or fails after `timeout_ms`.
    WaitPeers "wait-peers" -> PeerCount, late {
        /// How many peers to wait for, this one not included.
        count: u32 = count(),
        /// When to give up.
        #[serde(default = "wait_peers_timeout_ms")]
        timeout_ms: u64 = number(WAIT_PEERS_TIMEOUT_MS, WAIT_PEERS_TIMEOUT_MS_MAX),
    };
    /// Answers when the peer at this address is connected, or fails with the reason.
    Connect "connect" -> PeerInfo, late, Post("connect") {
        /// Where the other peer accepts connections.
        addr: SocketAddr = addr(),
    };
    /// Shows connected peers with what they offer, and others with the reason why they are not connected.
    ListPeers "list-peers" -> PeerList, soon, Get("peers");
    /// Shows the games that are here or offered.
    ListGames "list-games" -> GameList, soon, Get("games");
    /// Answers as soon as the download is started; events tell the rest.
    Download "download" -> DownloadReply, soon, Post("download") {
        /// The game to download.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// Install the game as soon as it is here.
        #[serde(default = "yes")]
        install: bool = flag(true),
        /// The content that is wanted, in full. It confirms that a game that is here is replaced by what only one source
        /// offers (`unconfirmed-source`), and chooses where peers disagree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<ContentIdText>")]
        confirm_content: Option<String> = content(),
    };
    /// Cancels a download or a streamed install.
    CancelDownload "cancel-download" -> GameReply, soon, Post("cancel") {
        /// The game whose download or streamed install ends.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
    };
    /// Unpacks a downloaded game into its `local/`. Answers when the install is started; events tell the rest.
    Install "install" -> GameReply, soon, Post("install") {
        /// The downloaded game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// Allows the archives to unpack to so many bytes, however small they are; asked for by `unpacks-large`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_unpacked_bytes: Option<u64> = bytes(),
    };
    /// Deletes what is installed, with everything that was saved in it; the downloaded files stay.
    Uninstall "uninstall" -> GameReply, soon, Post("uninstall") {
        /// The installed game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
    };
    /// Deletes the downloaded files; what is installed stays.
    RemoveDownload "remove-download" -> GameReply, soon, Post("remove") {
        /// The downloaded game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
    };
    /// Deletes what an unfinished download has left. It ends with `remove-finished` or `remove-failed`.
    DiscardDownload "discard-download" -> GameReply, soon, Post("discard") {
        /// The game whose download is not complete.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
    };
    /// Installs a game from the room without keeping its archives: what is unpacked is dropped. Answers as soon as it is
    /// started; it ends with `install-finished`, `install-failed`, `download-failed` or `download-cancelled`.
    StreamInstall "stream-install" -> DownloadReply, soon, Post("stream-install") {
        /// The game to install.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// As for `install`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_unpacked_bytes: Option<u64> = bytes(),
    };
    /// Answers when the verification is started; events tell the rest. With `repair`, what is broken is fetched.
    Verify "verify" -> GameReply, soon, Post("verify") {
        /// The downloaded game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// Fetch what is broken, if a connected peer has it.
        #[serde(default = "yes")]
        repair: bool = flag(true),
    };
    /// Writes the player's name and language into a freshly installed game, once per install; with `launch`, starts it.
    Play "play" -> PlayReply, late, Post("play") {
        /// The installed game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// The peer's name if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<StampText>")]
        user_name: Option<String> = stamp(),
        /// What the game's language file gets, such as `german`; `english` if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<StampText>")]
        language: Option<String> = stamp(),
        /// Start the game afterwards.
        #[serde(default)]
        launch: bool = flag(false),
        /// With `launch`: the content that may start, in full; asked for once (`unconfirmed-program`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<ContentIdText>")]
        confirm_content: Option<String> = content(),
    };
    /// Limits what is sent and received from now on, in bytes per second of chunk data over all peers; `null` or absent
    /// is no limit.
    SetLimits "set-limits" -> Limits, soon, Post("limits") {
        /// For what is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        upload: Option<u64> = rate(),
        /// For what is received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        download: Option<u64> = rate(),
    };
    /// Says which downloads go first: one waits while a higher one can get anything at all; equal ones share.
    SetPriority "set-priority" -> GameReply, soon, Post("priority") {
        /// The game that is being downloaded.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// Its priority from now on.
        priority: Priority = priority(),
    };
    /// Shares a game that is here, or keeps it out of sharing: the others then hear nothing of it, and get no chunk of
    /// it. A download of it is seen while it runs.
    SetSharing "set-sharing" -> SharingReply, soon, Post("sharing") {
        /// The game.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
        /// True shares the game, false keeps it out of sharing.
        shared: bool = choice(),
    };
    /// Asks everybody how they stand: who has which game, who fetches what. Answers within a second.
    Room "room" -> Room, late, Get("room");
    /// Asks everybody to fetch a game; who does is up to their owners (`--accept-wants`).
    WantGame "want-game" -> WantReply, soon, Post("want") {
        /// The game that everybody should have.
        #[schemars(with = "GameIdText")]
        game_id: GameId = game_id(),
    };
    /// Goes by an organiser's catalogue from now on, and keeps that for the next start. `key` is the whole key, or the
    /// fingerprint of one that `catalog_offered` in the status shows.
    TrustCatalog "trust-catalog" -> OrganiserReply, soon, Post("trust-catalog") {
        /// The organiser.
        #[schemars(with = "OrganiserText")]
        key: Organiser = organiser(),
    };
    /// Is not asked about this organiser again, neither now nor after the next start.
    DeclineCatalog "decline-catalog" -> OrganiserReply, soon, Post("decline-catalog") {
        /// The organiser, as for `trust-catalog`.
        #[schemars(with = "OrganiserText")]
        key: Organiser = organiser(),
    };
    /// Changes the folder of the library.
    SetGameDir "set-game-dir" -> GamesDir, late {
        /// A folder on the machine where the peer runs.
        path: String = path(),
    };
    /// Says goodbye to everybody, ends what runs, and answers last.
    Shutdown "shutdown" -> Empty, soon, Post("shutdown");
}

impl CommandName {
    /// Returns the command with this name in JSON.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.as_str() == name)
    }
}

fn wait_peers_timeout_ms() -> u64 {
    WAIT_PEERS_TIMEOUT_MS
}

fn yes() -> bool {
    true
}
