//! Commit of a complete download in place of the old version.
//!
//! This module chooses which files give way and which stay; `lanspread_core::install` makes the plan and the executor
//! runs it. The old version stays whole until everything new is verified, synced and recorded.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use lanspread_core::install::{Intent, Record, plan_commit};
use lanspread_core::io::{DiskError, FileStamp};
use lanspread_types::manifest::{SENTINEL, is_archive};
use lanspread_types::{GameContent, GameId, RelPath, failpoint};

use crate::change::execute::{Executor, Stuck, no_unpack};
use crate::fs::fault::Fault;
use crate::fs::files;
use crate::library::index::GameIndex;
use crate::library::scan::names_in;
use crate::library::walk::{Look, WalkError, servable_files, stamp};
use crate::store::{ChangeError, Store};

/// Why a download was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// No download of this content is open.
    #[error("no download of {0} is open")]
    NotOpen(GameId),
    /// Chunks have not been written yet.
    #[error("{missing} chunks of {game} are missing")]
    Incomplete {
        /// Game of the download.
        game: GameId,
        /// Number of chunks that have not been written.
        missing: u32,
    },
    /// The game's folder cannot be changed now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
    /// The new version is in place, but its folder cannot be listed.
    #[error("{game} was committed, but its folder cannot be read: {reason}")]
    Unreadable {
        /// Game that was committed.
        game: GameId,
        /// Why its folder cannot be listed, for people.
        reason: String,
    },
}

impl From<CommitError> for DiskError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Io(fault) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl Store {
    /// Commits a complete download by renames only, the sentinel last. Returns the stamp of the new version.
    ///
    /// The old version stays whole until everything new is verified, synced and recorded; after that a crash is rolled
    /// forward. A failure is rolled back.
    pub fn commit(&self, content: &Arc<GameContent>) -> Result<FileStamp, CommitError> {
        let committed = self.commit_download(content);
        if committed.is_err() {
            // The unpacked files belong to a download that was not committed.
            self.drop_ahead(content.manifest().game());
        }
        committed
    }

    fn commit_download(&self, content: &Arc<GameContent>) -> Result<FileStamp, CommitError> {
        let game = content.manifest().game();
        let incoming = self.incoming(game).filter(|i| i.content().content_id() == content.content_id());
        let incoming = incoming.ok_or_else(|| CommitError::NotOpen(game.clone()))?;
        let had = incoming.had();
        if !had.is_full() && !failpoint!("commit-early") {
            return Err(CommitError::Incomplete { game: game.clone(), missing: had.len() - had.count() });
        }
        let _change = self.begin_change(game)?;
        let looks = incoming.finish()?;
        let known = GameIndex::load(self.layout(), game)?;
        // Files that both versions share stay in place; no step touches them.
        let (mut new, mut kept) = (Vec::new(), BTreeSet::new());
        for (at, file) in content.manifest().files().iter().enumerate() {
            if incoming.is_kept(at) {
                kept.insert(file.path.clone());
            } else {
                new.push(file.path.clone());
            }
        }
        let mut old = self.files_to_set_aside(game, &known, &new)?;
        old.retain(|path| !kept.contains(path));
        self.remember_both(content, &looks, known);
        let intent = Intent::Commit { content: content.content_id(), new: new.clone(), old: old.clone() };
        let record = Record { game: game.clone(), intent };
        let executor = Executor::new(self.layout(), &record);
        let done = executor.run(&plan_commit(&new, &old), &mut no_unpack::<Fault>);
        match done {
            Ok(()) => {}
            Err(Stuck { committed: true, error }) => {
                tracing::warn!(%game, %error, "what is left of a commit will be deleted at the next start");
            }
            Err(Stuck { committed: false, error }) => {
                if let Err(stuck) = executor.roll_back(&new, &old) {
                    tracing::warn!(%game, error = %stuck, "a commit will be rolled back at the next start");
                }
                return Err(error.into());
            }
        }
        self.all_incoming().remove(game);
        self.look_at_committed(content)
    }

    /// Returns the files in the game's folder that must be set aside: those of the old version, files in the place of
    /// new ones, the sentinel, and every archive, because the next install would unpack it.
    fn files_to_set_aside(
        &self,
        game: &GameId,
        known: &GameIndex,
        new: &[RelPath],
    ) -> Result<Vec<RelPath>, Fault> {
        let folder = self.layout().game(game);
        let names = match names_in(&folder) {
            Err(fault) if fault.is_gone() => Vec::new(),
            names => names?,
        };
        let children = names.into_iter().filter_map(|name| RelPath::new(name).ok());
        let archives = children.filter(|p| is_archive(p) || p.as_str() == SENTINEL);
        let candidates: BTreeSet<RelPath> =
            archives.chain(known.known_paths()).chain(new.iter().cloned()).collect();
        let is_file = |p: &RelPath| fs::symlink_metadata(p.to_path(&folder)).is_ok_and(|m| !m.is_dir());
        Ok(candidates.into_iter().filter(is_file).collect())
    }

    /// Saves the hashes of both versions before the commit, so that either version is known after a crash.
    fn remember_both(&self, content: &GameContent, looks: &[Look], known: GameIndex) {
        let mut both = GameIndex::of_download(content, looks);
        both.merge(known);
        self.remember(content.manifest().game(), &both);
    }

    fn look_at_committed(&self, content: &GameContent) -> Result<FileStamp, CommitError> {
        let game = content.manifest().game();
        let folder = self.layout().game(game);
        let unreadable = |e: WalkError| CommitError::Unreadable { game: game.clone(), reason: e.to_string() };
        let found = servable_files(&folder).map_err(unreadable)?;
        let looks = content.manifest().files().iter().map(|f| Look::at(&f.path.to_path(&folder)));
        let looks = looks.collect::<Result<Vec<Look>, Fault>>()?;
        self.remember(game, &GameIndex::of_download(content, &looks));
        Ok(stamp(&found))
    }

    /// Saves the hash index. It only saves work: if this fails, the game is hashed again.
    fn remember(&self, game: &GameId, index: &GameIndex) {
        if let Err(error) = index.save(self.layout(), game) {
            tracing::warn!(%game, %error, "the hash index cannot be written");
        }
    }

    /// Returns whether the game's folder exists as a real directory.
    pub(crate) fn has_folder(&self, game: &GameId) -> bool {
        files::is_real_dir(&self.layout().game(game))
    }
}
