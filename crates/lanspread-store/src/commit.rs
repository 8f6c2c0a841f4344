//! Putting a complete download in the place of the old version.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use lanspread_core::install::{Intent, Record, plan_commit};
use lanspread_core::io::{DiskError, FileStamp};
use lanspread_types::manifest::{SENTINEL, is_archive};
use lanspread_types::{GameContent, GameId, RelPath, failpoint};

use crate::execute::{Executor, Stuck, no_unpack};
use crate::fault::Fault;
use crate::files;
use crate::index::GameIndex;
use crate::scan::names_in;
use crate::store::{ChangeError, Store};
use crate::walk::{Look, WalkError, servable_files, stamp};

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("no download of {0} is open")]
    NotOpen(GameId),
    #[error("{missing} chunks of {game} are missing")]
    Incomplete { game: GameId, missing: u32 },
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Io(#[from] Fault),
    #[error("{game} is in place, but cannot be looked at: {reason}")]
    Unreadable { game: GameId, reason: String },
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
    /// Commits a complete download: renames only, the sentinel last. The old version is whole until everything new is
    /// verified, synced and recorded; from then on a crash is rolled forward. What fails is rolled back.
    pub fn commit(&self, content: &Arc<GameContent>) -> Result<FileStamp, CommitError> {
        let committed = self.commit_download(content);
        if committed.is_err() {
            // What was unpacked meanwhile belongs to a download that is not there.
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
        // What both versions share stays where it is, and no step touches it.
        let (mut new, mut kept) = (Vec::new(), BTreeSet::new());
        for (at, file) in content.manifest().files().iter().enumerate() {
            if incoming.is_kept(at) {
                kept.insert(file.path.clone());
            } else {
                new.push(file.path.clone());
            }
        }
        let mut old = self.what_gives_way(game, &known, &new)?;
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
                    tracing::warn!(%game, error = %stuck, "a commit can be taken back only at the next start");
                }
                return Err(error.into());
            }
        }
        self.all_incoming().remove(game);
        self.look_at_committed(content)
    }

    /// The files in the game's folder that must be set aside: those of the old version, whatever stands where a new
    /// file belongs, and in any case archives, which the next install would unpack.
    fn what_gives_way(
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

    /// Before the commit, remembers the hashes of both versions: whichever is there after a crash is known.
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

    /// The index only saves work, so a failure costs no more than hashing the game again.
    fn remember(&self, game: &GameId, index: &GameIndex) {
        if let Err(error) = index.save(self.layout(), game) {
            tracing::warn!(%game, %error, "the hash index cannot be written");
        }
    }

    /// Whether anything stands where the game's folder would be.
    pub(crate) fn has_folder(&self, game: &GameId) -> bool {
        files::is_real_dir(&self.layout().game(game))
    }
}
