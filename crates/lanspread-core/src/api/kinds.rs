//! Small words of commands, events and snapshots: kinds of operations, priorities, limits.

/// Limits on chunk data over all peers, in bytes per second. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Limit on sent chunks.
    pub upload: Option<u64>,
    /// Limit on received chunks.
    pub download: Option<u64>,
}

/// Priority of a download. A download waits while one with a higher priority can get anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// After all others.
    Low,
    /// Priority of a download when it starts.
    #[default]
    Normal,
    /// Before all others.
    High,
}

/// Kind of an operation on a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// A download, from the search for its manifest to the commit.
    Downloading,
    /// An install of a downloaded game, or a reinstall.
    Installing,
    /// A streamed install, from the search for its manifest to the rename.
    Streaming,
    /// Deletes the installed game.
    Uninstalling,
    /// Deletes the downloaded files.
    Removing,
    /// Compares the files with what they should be.
    Verifying,
    /// Prepares and starts the installed game.
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
