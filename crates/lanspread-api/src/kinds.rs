//! Small words of commands, replies, events and errors, which none of these owns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What runs on a game. At most one operation runs on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OperationKind {
    /// From the search for the list of files until the game is in its place.
    Downloading,
    /// A downloaded game is unpacked, or unpacked again.
    Installing,
    /// A streamed install.
    Streaming,
    /// Deletes the installed game.
    Uninstalling,
    /// Deletes the downloaded files.
    Removing,
    /// Compares the files with what they should be.
    Verifying,
    /// Stamps name and language into the game, and starts it.
    Starting,
}

/// Which downloads go first. A download waits while one with a higher priority can get anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// After all others.
    Low,
    /// What a download has when it starts.
    Normal,
    /// Before all others.
    High,
}

impl Priority {
    /// Every priority, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Returns the priority's name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Returns the priority with this name in JSON.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == name)
    }
}

/// Why somebody was not let in, or was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// One of the two belongs to a closed party that the other does not belong to.
    OtherParty,
    /// Both belong to the same closed party by name, but the pass phrases differ.
    WrongPassPhrase,
    /// Too many wrong pass phrases came from there, or from everybody together.
    TooManyTries,
    /// It broke the protocol after it had begun well.
    ProtocolError,
    /// What came in at the port is no peer.
    NotAPeer,
    /// It did not finish a handshake, a request or an answer in time.
    TooSlow,
    /// More came from its address than one address may have, or faster.
    TooManyConnections,
    /// It sent data that does not verify in more than one download.
    BadData,
}
