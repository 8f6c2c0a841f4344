//! Execution of plans.
//!
//! The executor makes no choices: each step says what to do, and the disk shows whether it is done. Every step may run
//! twice, so an interrupted plan can be planned anew and run again.

use std::io;
use std::path::Path;

use lanspread_core::install::{
    Area, Intent, Place, Plan, Record, Step, recover, roll_back_commit, roll_back_reinstall,
};
use lanspread_types::{ContentId, RelPath, failpoint};

use crate::change::journal;
use crate::fs::fault::Fault;
use crate::fs::files;
use crate::fs::layout::Layout;

/// Executes the steps of one record's plan.
#[derive(Debug)]
pub struct Executor<'a> {
    layout: &'a Layout,
    record: &'a Record,
}

/// A plan that stopped at a failed step.
#[derive(Debug)]
pub struct Stuck<E> {
    /// True if the commit point was passed: the change is visible, and only tidying up failed.
    pub committed: bool,
    /// Error of the failed step.
    pub error: E,
}

impl<'a> Executor<'a> {
    /// Creates an executor for the plans of `record`.
    pub fn new(layout: &'a Layout, record: &'a Record) -> Self {
        Self { layout, record }
    }

    /// Returns whether anything exists at a place. A link counts and is not followed.
    pub fn is_there(&self, place: &Place) -> bool {
        files::is_there(&self.path(place))
    }

    /// Runs a plan up to its end or its first failed step. `unpack` fills the staging folder that it is given.
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

    /// Finishes or undoes an interrupted plan.
    pub fn recover(&self) -> Result<(), Fault> {
        let there = |place: &Place| self.is_there(place);
        let plan = recover(self.record, &there);
        self.run(&plan, &mut no_unpack).or_else(|stuck| match &self.record.intent {
            // If rolling forward fails, roll back, unless the new version is already visible.
            Intent::Commit { new, old, .. } if !stuck.committed && plan.commit.is_some() => {
                tracing::warn!(game = %self.record.game, error = %stuck.error, "rolling back a commit");
                self.roll_back(new, old)
            }
            Intent::Reinstall { folder } if !stuck.committed && plan.commit.is_some() => {
                let back = roll_back_reinstall(folder, &there);
                self.run(&back, &mut no_unpack).map_err(|stuck| stuck.error)
            }
            _ => Err(stuck.error),
        })
    }

    /// Undoes a commit that has not passed its commit point.
    pub fn roll_back(&self, new: &[RelPath], old: &[RelPath]) -> Result<(), Fault> {
        let plan = roll_back_commit(new, old, &|place: &Place| self.is_there(place));
        self.run(&plan, &mut no_unpack).map_err(|stuck| stuck.error)
    }

    /// Executes one step. `unpack` fills the staging folder that it is given.
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
                // The renames must be durable first: without the record nothing would repeat them.
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
            // No plan deletes a game's folder, which also holds the user's files.
            Area::Game => Ok(()),
            Area::Staging if failpoint!("leave-staging") => Ok(()),
            _ => files::delete_tree(&self.layout.area(&self.record.game, area)),
        }
    }

    fn path(&self, place: &Place) -> std::path::PathBuf {
        self.layout.place(&self.record.game, self.content(), place)
    }

    /// Returns the folder that must exist before a file is moved into an area.
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

/// Does nothing; for plans without an unpack step.
pub fn no_unpack<E>(_: &Path) -> Result<(), E> {
    Ok(())
}
