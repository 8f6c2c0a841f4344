//! Changes to a game's folder, as data.
//!
//! A commit, install, uninstall or removal is a [`Plan`]: ordered, idempotent [`Step`]s, one of which makes the
//! change visible. Pure functions make the plans; the store executes them without making choices. The first steps of
//! a plan write a durable [`Record`]. From that record and the files on disk, [`recover`] makes the plan that
//! completes an interrupted one, forward or back; there is never a third state.
//!
//! Nothing here knows a path of the system or does IO.

mod plan;
mod recover;
#[cfg(test)]
mod tests;

pub use plan::{
    plan_commit, plan_install, plan_install_unpacked, plan_reinstall, plan_remove, plan_uninstall,
};
pub use recover::{recover, roll_back_commit, roll_back_reinstall};

use lanspread_types::{ContentId, GameId, RelPath};

/// A folder in which plans work. Each game has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The game's own folder, in which the user's files are beside ours.
    Game,
    /// Files of the download that is being committed.
    Incoming,
    /// Files taken out of the game's folder, to be deleted.
    Trash,
    /// Files of an install that is being unpacked.
    Staging,
}

/// A file or folder in an area.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Area that contains it.
    pub area: Area,
    /// Path in the area; `None` for the area itself.
    pub path: Option<RelPath>,
}

impl Place {
    /// Returns the place of a path in an area.
    pub fn new(area: Area, path: &RelPath) -> Self {
        Self { area, path: Some(path.clone()) }
    }

    /// Returns the area itself.
    pub fn root(area: Area) -> Self {
        Self { area, path: None }
    }
}

/// One step of a plan. Doing it a second time changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the record durable. From here on recovery knows about the plan.
    WriteRecord,
    /// Unpacks the game's archives into the staging area, and adds the user's files of an installed game that is
    /// replaced. Starts from nothing each time.
    Unpack,
    /// Renames. Done if only `to` exists; an error if both exist, or neither.
    Move {
        /// Place of the file or folder before the step.
        from: Place,
        /// Place after the step.
        to: Place,
    },
    /// Moves a file or folder of the game to the same path in the trash. Done if the trash has that path, or if there
    /// is nothing to move.
    SetAside(RelPath),
    /// Deletes a whole area, never the game's folder. Done if the area does not exist.
    Delete(Area),
    /// Removes a folder of the game if it exists and is empty.
    Prune(Place),
    /// Deletes the record: the plan is done.
    ForgetRecord,
}

/// Ordered steps, one of which makes the change visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Index of the commit point: before this step the old state holds, after it the new one. `None` for a recovery
    /// that only tidies up.
    pub commit: Option<usize>,
}

/// Intent of a plan. Durable before the first change, deleted after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Game whose folder changes.
    pub game: GameId,
    /// Change to complete or undo.
    pub intent: Intent,
}

/// The change that a plan makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Puts a complete download in the place of the version that is there, if any.
    Commit {
        /// Content of the download.
        content: ContentId,
        /// Files of the new version, including the sentinel.
        new: Vec<RelPath>,
        /// What must give way in the game's folder: files of the old version, and anything at the path of a new file.
        old: Vec<RelPath>,
    },
    /// Installs the downloaded game.
    Install,
    /// Removes the installed game.
    Uninstall {
        /// Name of the installed game's folder, as spelled on disk.
        folder: RelPath,
    },
    /// Removes the downloaded files.
    Remove {
        /// The files, including the sentinel.
        files: Vec<RelPath>,
    },
    /// Replaces the installed game by the downloaded version.
    Reinstall {
        /// Name of the installed game's folder, as spelled on disk.
        folder: RelPath,
    },
}
