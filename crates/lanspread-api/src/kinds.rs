//! Small words of commands, replies, events and errors, which none of these owns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OperationKind {
    Downloading,
    Installing,
    /// A streamed install.
    Streaming,
    Uninstalling,
    Removing,
    Verifying,
    Starting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    Low,
    Normal,
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
    WrongPassPhrase,
    /// Too many wrong pass phrases came from there, or from everybody together.
    TooManyTries,
    /// It broke the protocol after it had begun well.
    ProtocolError,
    /// What came in at the port is no peer.
    NotAPeer,
    TooSlow,
    TooManyConnections,
    /// It sent data that does not verify in more than one download.
    BadData,
}
