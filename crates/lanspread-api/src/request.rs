//! What a script can ask for. How a line becomes a [`Request`] is [`crate::parse`]'s concern.

use std::net::SocketAddr;

use lanspread_peer::command::{Command, Priority as CorePriority, RateLimits};
use lanspread_types::{ContentId, GameId, Organiser};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorBody, ErrorCode};

/// How long `wait-peers` waits if it is not told, in milliseconds.
pub const WAIT_PEERS_TIMEOUT_MS: u64 = 30_000;
/// How long `wait-peers` waits at most, in milliseconds: a day.
pub const WAIT_PEERS_TIMEOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// A command, as it is written: `{"cmd":"download","game_id":"ggoo","install":false}`. `command` means the same as
/// `cmd`, and an `id` may stand beside the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cmd", rename_all = "kebab-case")]
pub enum Request {
    /// How this peer stands.
    Status,
    /// Answers when `count` peers are connected, or fails after `timeout_ms`.
    WaitPeers {
        count: u32,
        #[serde(default = "wait_peers_timeout_ms")]
        timeout_ms: u64,
    },
    /// Answers when the peer at this address is connected, or fails with the reason.
    Connect {
        addr: SocketAddr,
    },
    ListPeers,
    ListGames,
    /// Answers as soon as the download is started; events tell the rest.
    Download {
        #[schemars(with = "String")]
        game_id: GameId,
        #[serde(default = "yes")]
        install: bool,
        /// The content that is wanted, in full. It confirms that a game that is here is replaced by what only one source
        /// offers (`unconfirmed-source`), and chooses where peers disagree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_content: Option<String>,
    },
    /// Cancels a download or a streamed install.
    CancelDownload {
        #[schemars(with = "String")]
        game_id: GameId,
    },
    Install {
        #[schemars(with = "String")]
        game_id: GameId,
        /// Allows the archives to unpack to so many bytes, however small they are; asked for by `unpacks-large`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_unpacked_bytes: Option<u64>,
    },
    Uninstall {
        #[schemars(with = "String")]
        game_id: GameId,
    },
    /// Deletes the downloaded files; what is installed stays.
    RemoveDownload {
        #[schemars(with = "String")]
        game_id: GameId,
    },
    /// Installs a game from the room without keeping its archives: what is unpacked is dropped. Answers as soon as it is
    /// started; it ends with `install-finished`, `install-failed`, `download-failed` or `download-cancelled`.
    StreamInstall {
        #[schemars(with = "String")]
        game_id: GameId,
        /// As for `install`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_unpacked_bytes: Option<u64>,
    },
    /// Answers when the verification is started; events tell the rest. With `repair`, what is broken is fetched.
    Verify {
        #[schemars(with = "String")]
        game_id: GameId,
        #[serde(default = "yes")]
        repair: bool,
    },
    /// Writes the player's name and language into a freshly installed game, once per install; with `launch`, starts it.
    Play {
        #[schemars(with = "String")]
        game_id: GameId,
        /// The peer's name if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        #[serde(default)]
        launch: bool,
        /// With `launch`: the content that may start, in full; asked for once (`unconfirmed-program`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_content: Option<String>,
    },
    /// Limits what is sent and received from now on, in bytes per second of chunk data over all peers; `null` or absent
    /// is no limit.
    SetLimits {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        download: Option<u64>,
    },
    /// Says which downloads go first: one waits while a higher one can get anything at all; equal ones share.
    SetPriority {
        #[schemars(with = "String")]
        game_id: GameId,
        priority: Priority,
    },
    /// Asks everybody how they stand: who has which game, who fetches what. Answers within a second.
    Room,
    /// Asks everybody to fetch a game; who does is up to their owners (`--accept-wants`).
    WantGame {
        #[schemars(with = "String")]
        game_id: GameId,
    },
    /// Goes by an organiser's catalogue from now on, and keeps that for the next start. `key` is the whole key, or the
    /// fingerprint of one that `catalog_offered` in the status shows.
    TrustCatalog {
        #[schemars(with = "String")]
        key: Organiser,
    },
    /// Is not asked about this organiser again, neither now nor after the next start.
    DeclineCatalog {
        #[schemars(with = "String")]
        key: Organiser,
    },
    /// Changes the folder of the library.
    SetGameDir {
        path: String,
    },
    /// Says goodbye to everybody, ends what runs, and answers last.
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    Low,
    Normal,
    High,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == name)
    }
}

impl From<Priority> for CorePriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
        }
    }
}

impl From<CorePriority> for Priority {
    fn from(priority: CorePriority) -> Self {
        match priority {
            CorePriority::Low => Self::Low,
            CorePriority::Normal => Self::Normal,
            CorePriority::High => Self::High,
        }
    }
}

/// A content id in full: the first digits alone could be forged.
pub(crate) fn content(text: Option<String>) -> Result<Option<ContentId>, ErrorBody> {
    let wrong = |_| {
        let message = "the field 'confirm_content' is no content id of 64 hexadecimal digits";
        ErrorBody::new(ErrorCode::InvalidField, message)
    };
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

fn wait_peers_timeout_ms() -> u64 {
    WAIT_PEERS_TIMEOUT_MS
}

fn yes() -> bool {
    true
}

/// The names of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandName {
    Status,
    WaitPeers,
    Connect,
    ListPeers,
    ListGames,
    Download,
    CancelDownload,
    Install,
    Uninstall,
    RemoveDownload,
    StreamInstall,
    Verify,
    Play,
    SetLimits,
    SetPriority,
    Room,
    WantGame,
    TrustCatalog,
    DeclineCatalog,
    SetGameDir,
    Shutdown,
}

impl CommandName {
    pub const ALL: [Self; 21] = [
        Self::Status,
        Self::WaitPeers,
        Self::Connect,
        Self::ListPeers,
        Self::ListGames,
        Self::Download,
        Self::CancelDownload,
        Self::Install,
        Self::Uninstall,
        Self::RemoveDownload,
        Self::StreamInstall,
        Self::Verify,
        Self::Play,
        Self::SetLimits,
        Self::SetPriority,
        Self::Room,
        Self::WantGame,
        Self::TrustCatalog,
        Self::DeclineCatalog,
        Self::SetGameDir,
        Self::Shutdown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::WaitPeers => "wait-peers",
            Self::Connect => "connect",
            Self::ListPeers => "list-peers",
            Self::ListGames => "list-games",
            Self::Download => "download",
            Self::CancelDownload => "cancel-download",
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::RemoveDownload => "remove-download",
            Self::StreamInstall => "stream-install",
            Self::Verify => "verify",
            Self::Play => "play",
            Self::SetLimits => "set-limits",
            Self::SetPriority => "set-priority",
            Self::Room => "room",
            Self::WantGame => "want-game",
            Self::TrustCatalog => "trust-catalog",
            Self::DeclineCatalog => "decline-catalog",
            Self::SetGameDir => "set-game-dir",
            Self::Shutdown => "shutdown",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }
}

impl Request {
    pub fn name(&self) -> CommandName {
        match self {
            Self::Status => CommandName::Status,
            Self::WaitPeers { .. } => CommandName::WaitPeers,
            Self::Connect { .. } => CommandName::Connect,
            Self::ListPeers => CommandName::ListPeers,
            Self::ListGames => CommandName::ListGames,
            Self::Download { .. } => CommandName::Download,
            Self::CancelDownload { .. } => CommandName::CancelDownload,
            Self::Install { .. } => CommandName::Install,
            Self::Uninstall { .. } => CommandName::Uninstall,
            Self::RemoveDownload { .. } => CommandName::RemoveDownload,
            Self::StreamInstall { .. } => CommandName::StreamInstall,
            Self::Verify { .. } => CommandName::Verify,
            Self::Play { .. } => CommandName::Play,
            Self::SetLimits { .. } => CommandName::SetLimits,
            Self::SetPriority { .. } => CommandName::SetPriority,
            Self::Room => CommandName::Room,
            Self::WantGame { .. } => CommandName::WantGame,
            Self::TrustCatalog { .. } => CommandName::TrustCatalog,
            Self::DeclineCatalog { .. } => CommandName::DeclineCatalog,
            Self::SetGameDir { .. } => CommandName::SetGameDir,
            Self::Shutdown => CommandName::Shutdown,
        }
    }

    /// The core's command for this, or the refusal of what is not implemented yet.
    pub fn to_command(&self) -> Result<Command, ErrorBody> {
        Ok(match self.clone() {
            Self::Status => Command::Status,
            Self::WaitPeers { count, timeout_ms } => Command::WaitPeers { count: count as usize, timeout_ms },
            Self::Connect { addr } => Command::Connect { addr },
            Self::ListPeers => Command::ListPeers,
            Self::ListGames => Command::ListGames,
            Self::Download { game_id: game, install, confirm_content } => {
                Command::Download { game, install, confirm: content(confirm_content)? }
            }
            Self::CancelDownload { game_id: game } => Command::CancelDownload { game },
            Self::Install { game_id: game, max_unpacked_bytes } => {
                allowing(max_unpacked_bytes, game.clone(), Command::Install { game })
            }
            Self::Uninstall { game_id: game } => Command::Uninstall { game },
            Self::RemoveDownload { game_id: game } => Command::RemoveDownload { game },
            Self::SetLimits { upload, download } => Command::SetLimits(RateLimits { upload, download }),
            Self::SetPriority { game_id: game, priority } => {
                Command::SetPriority { game, priority: priority.into() }
            }
            Self::Room => Command::Room,
            Self::WantGame { game_id: game } => Command::WantGame { game },
            Self::TrustCatalog { key: organiser } => Command::TrustCatalog { organiser },
            Self::DeclineCatalog { key: organiser } => Command::DeclineCatalog { organiser },
            Self::SetGameDir { path } => Command::SetGamesDir { path: path.into() },
            Self::Shutdown => Command::Shutdown,
            Self::StreamInstall { game_id: game, max_unpacked_bytes } => {
                allowing(max_unpacked_bytes, game.clone(), Command::StreamInstall { game })
            }
            Self::Verify { game_id: game, repair } => Command::Verify { game, repair },
            Self::Play { game_id: game, user_name, language, launch, confirm_content } => {
                let confirm = content(confirm_content)?;
                Command::Play { game, user_name, language, launch, confirm }
            }
        })
    }
}

/// A command whose archives may unpack to so many bytes, if that is said.
fn allowing(max_unpacked_bytes: Option<u64>, game: GameId, command: Command) -> Command {
    match max_unpacked_bytes {
        Some(bytes) => Command::AllowUnpacked { game, bytes, command: Box::new(command) },
        None => command,
    }
}
