//! Executes plans. There are no choices here: each step says what to do, and whether it is done shows on disk.

use std::io;
use std::path::Path;

use lanspread_core::install::{
    Area, Intent, Place, Plan, Record, Step, recover, roll_back_commit, roll_back_reinstall,
};
use lanspread_types::{ContentId, RelPath, failpoint};

use crate::fault::Fault;
use crate::files;
use crate::journal;
use crate::layout::Layout;

/// Does the steps of one record's plan.
#[derive(Debug)]
pub struct Executor<'a> {
    layout: &'a Layout,
    record: &'a Record,
}

/// A step that failed.
#[derive(Debug)]
pub struct Stuck<E> {
    /// Whether the change is visible already, so that what failed is only the tidying up.
    pub committed: bool,
    pub error: E,
}

impl<'a> Executor<'a> {
    pub fn new(layout: &'a Layout, record: &'a Record) -> Self {
        Self { layout, record }
    }

    /// Whether something stands at a place; links count and are not followed.
    pub fn is_there(&self, place: &Place) -> bool {
        files::is_there(&self.path(place))
    }

    /// Does a plan to its end. `unpack` fills the staging folder it is given.
    pub fn run<E: From<Fault>>(
        &self,
        plan: &Plan,
        unpack: &mut dyn FnMut(&Path) -> Result<(), E>,
    ) -> Result<(), Stuck<E>> {
        for (at, step) in plan.steps.iter().enumerate() {
            let committed = plan.commit.is_some_and(|commit| at > commit);
            self.step(step, unpack).map_err(|error| Stuck { committed, error })?;
        }
        Ok(())
    }

    /// Ends what was interrupted.
    pub fn recover(&self) -> Result<(), Fault> {
        let there = |place: &Place| self.is_there(place);
        let plan = recover(self.record, &there);
        self.run(&plan, &mut no_unpack).or_else(|stuck| match &self.record.intent {
            // If it does not go forward, it can still go back, unless the new version is visible already.
            Intent::Commit { new, old, .. } if !stuck.committed && plan.commit.is_some() => {
                tracing::warn!(game = %self.record.game, error = %stuck.error, "a commit is taken back");
                self.roll_back(new, old)
            }
            Intent::Reinstall { folder } if !stuck.committed && plan.commit.is_some() => {
                let back = roll_back_reinstall(folder, &there);
                self.run(&back, &mut no_unpack).map_err(|stuck| stuck.error)
            }
            _ => Err(stuck.error),
        })
    }

    /// Takes a commit back.
    pub fn roll_back(&self, new: &[RelPath], old: &[RelPath]) -> Result<(), Fault> {
        let plan = roll_back_commit(new, old, &|place: &Place| self.is_there(place));
        self.run(&plan, &mut no_unpack).map_err(|stuck| stuck.error)
    }

    pub fn step<E: From<Fault>>(
        &self,
        step: &Step,
        unpack: &mut dyn FnMut(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        match step {
            Step::WriteRecord => journal::write(self.layout, self.record)?,
            Step::Unpack => {
                let unpacked = unpack(&self.layout.area(&self.record.game, Area::Staging));
                unpacked.or_else(|e| if failpoint!("commit-install-early") { Ok(()) } else { Err(e) })?;
            }
            Step::Move { from, to } => self.move_over(from, to)?,
            Step::SetAside(path) => self.set_aside(path)?,
            Step::Delete(area) => self.delete(*area)?,
            Step::Prune(place) => files::prune(&self.path(place))?,
            Step::ForgetRecord => {
                // What was renamed must not come undone after the record is gone.
                let folder = self.layout.game(&self.record.game);
                if files::is_real_dir(&folder) {
                    files::sync_folder(&folder)?;
                }
                journal::forget(self.layout, &self.record.game)?;
            }
        }
        Ok(())
    }

    fn move_over(&self, from: &Place, to: &Place) -> Result<(), Fault> {
        let (source, target) = (self.path(from), self.path(to));
        match (files::is_there(&source), files::is_there(&target)) {
            (true, false) => self.rename_to(&source, to),
            (false, true) => Ok(()),
            (true, true) => Err(Fault::new("move something to", target, io::ErrorKind::AlreadyExists.into())),
            (false, false) => Err(Fault::new("move", source, io::ErrorKind::NotFound.into())),
        }
    }

    fn set_aside(&self, path: &RelPath) -> Result<(), Fault> {
        let (from, to) = (Place::new(Area::Game, path), Place::new(Area::Trash, path));
        let source = self.path(&from);
        if self.is_there(&to) || !files::is_there(&source) {
            return Ok(());
        }
        self.rename_to(&source, &to)
    }

    fn rename_to(&self, source: &Path, to: &Place) -> Result<(), Fault> {
        if let Some(path) = &to.path {
            files::make_folders_above(&self.base(to.area), path)?;
        }
        files::rename(source, &self.path(to))
    }

    fn delete(&self, area: Area) -> Result<(), Fault> {
        match area {
            // No plan does that; a game's folder holds what is the user's.
            Area::Game => Ok(()),
            Area::Staging if failpoint!("leave-staging") => Ok(()),
            _ => files::delete_tree(&self.layout.area(&self.record.game, area)),
        }
    }

    fn path(&self, place: &Place) -> std::path::PathBuf {
        self.layout.place(&self.record.game, self.content(), place)
    }

    /// The folder that must exist before something is moved into an area.
    fn base(&self, area: Area) -> std::path::PathBuf {
        self.layout.base(&self.record.game, self.content(), area)
    }

    fn content(&self) -> Option<ContentId> {
        match &self.record.intent {
            Intent::Commit { content, .. } => Some(*content),
            _ => None,
        }
    }
}

/// For plans in which nothing is unpacked.
pub fn no_unpack<E>(_: &Path) -> Result<(), E> {
    Ok(())
}
