//! Changes to a game's folder, as data.
//!
//! A commit, install, uninstall or removal is a [`Plan`]: ordered [`Step`]s, each of which may be done twice, with one
//! step that makes the change visible. Plans are made here by pure functions; the store executes them without making
//! choices. What an interrupted plan leaves is described by its [`Record`], which the first steps make durable, and by
//! what stands on disk; [`recover`] turns the two into the plan that ends it: forward or back, never a third state.
//!
//! Nothing here knows a path of the system, and nothing does IO.

mod plan;
mod recover;
#[cfg(test)]
mod tests;

pub use plan::{
    plan_commit, plan_install, plan_install_unpacked, plan_reinstall, plan_remove, plan_uninstall,
};
pub use recover::{recover, roll_back_commit, roll_back_reinstall};

use lanspread_types::{ContentId, GameId, RelPath};

/// A folder that plans work in; each belongs to one game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The game's own folder, where the user's files stand beside ours.
    Game,
    /// The files of the download that is committed.
    Incoming,
    /// What was taken out of the game's folder and waits to be deleted.
    Trash,
    /// Where an install is unpacked.
    Staging,
}

/// A file or folder within an area; no path means the area's own folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub area: Area,
    pub path: Option<RelPath>,
}

impl Place {
    pub fn new(area: Area, path: &RelPath) -> Self {
        Self { area, path: Some(path.clone()) }
    }

    pub fn root(area: Area) -> Self {
        Self { area, path: None }
    }
}

/// One step of a plan. Doing it a second time changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the record durable: from here on recovery knows about the plan.
    WriteRecord,
    /// Unpacks the game's archives into the staging area, and adds what is kept of an installed game that is replaced.
    /// Starts from nothing each time.
    Unpack,
    /// Renames. Done if only `to` is there; an error if both are, or neither.
    Move { from: Place, to: Place },
    /// Renames something of the game's folder to the same path in the trash. Done if the trash has that path, or if
    /// there is nothing to move.
    SetAside(RelPath),
    /// Deletes a whole area, which is never the game's folder. Done if it is not there.
    Delete(Area),
    /// Removes a folder of the game if it is there and empty.
    Prune(Place),
    /// Forgets the record: the plan is done.
    ForgetRecord,
}

/// Ordered steps with one that makes the change visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Position of the commit point: before it, the old state holds; once it is done, the new one does. `None` when a
    /// recovery has nothing left but to tidy up.
    pub commit: Option<usize>,
}

/// What an interrupted plan meant to do. Durable before the first change, forgotten after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub game: GameId,
    pub intent: Intent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Puts a complete download in the place of whatever version is there.
    Commit {
        content: ContentId,
        /// The files of the new version, the sentinel among them.
        new: Vec<RelPath>,
        /// What stands in the game's folder and must give way: files of the old version, and whatever stands where a
        /// new file belongs.
        old: Vec<RelPath>,
    },
    Install,
    /// Removes the installed game; the folder's name as it is spelled on disk.
    Uninstall {
        folder: RelPath,
    },
    /// Removes the downloaded files, the sentinel among them.
    Remove {
        files: Vec<RelPath>,
    },
    /// Puts the downloaded version in the place of what is installed; the folder's name as it is spelled on disk.
    Reinstall {
        folder: RelPath,
    },
}
