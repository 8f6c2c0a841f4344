//! Files of a game beside its archives that outlive a streamed install: `lanspread.toml` and the cover.
//!
//! Without them a streamed game has no title, no picture and no program to start. They lie in a folder of ours, because
//! a game's folder without a sentinel has nothing of ours but `local/`. They belong to the installed version: a game
//! that is downloaded has its own, and an install or uninstall deletes them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use lanspread_types::manifest::SENTINEL;
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, GameId};

use crate::download::arriving::ArrivingArchives;
use crate::download::spool::Spool;
use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::fs::layout::Layout;
use crate::install::errors::InstallError;
use crate::library::game_file::GAME_FILE;
use crate::library::scan::local_folder;
use crate::store::Store;

/// Names of the files, all directly in the game's folder.
const NAMES: [&str; 5] = [GAME_FILE, "cover.webp", "cover.png", "cover.jpg", "cover.jpeg"];
/// Largest file that is kept, in bytes: as large as a cover may be.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Returns the indices of the files in the manifest, in its order.
fn of(content: &GameContent) -> impl Iterator<Item = usize> + '_ {
    let files = content.manifest().files().iter().enumerate();
    files
        .filter(|(_, file)| file.size <= FILE_BYTES_MAX && NAMES.contains(&file.path.as_str()))
        .map(|(at, _)| at)
}

/// Returns the chunks that a streamed install does not need: those without a part of an archive or of these files.
pub fn unneeded_chunks(content: &GameContent) -> ChunkSet {
    let mut unneeded = Spool::unneeded(content);
    for chunk in of(content).flat_map(|at| content.manifest().chunks_of(at)) {
        unneeded.remove(ChunkIndex(chunk));
    }
    unneeded
}

/// Returns the folders in which a game's `lanspread.toml` and cover may be, the first one first.
pub fn game_file_folders(games_dir: &Path, game: &GameId) -> Vec<PathBuf> {
    folders(&Layout::new(games_dir), game)
}

pub(crate) fn folders(layout: &Layout, game: &GameId) -> Vec<PathBuf> {
    let folder = layout.game(game);
    let downloaded = files::is_there(&folder.join(SENTINEL));
    let streamed = (!downloaded).then(|| layout.streamed_of(game));
    [Some(folder), streamed].into_iter().flatten().collect()
}

/// Writes the files of one streamed install while its chunks pass by.
pub(crate) struct StreamedFiles {
    /// Indices in the manifest of those that have not passed yet.
    left: VecDeque<usize>,
    folder: PathBuf,
    scratch: PathBuf,
}

impl StreamedFiles {
    /// Writes none.
    pub fn none() -> Self {
        Self { left: VecDeque::new(), folder: PathBuf::new(), scratch: PathBuf::new() }
    }

    /// Takes the files whose chunks come before those of file `before` of the manifest; with `None`, all that are left.
    pub fn take(
        &mut self,
        before: Option<usize>,
        archives: &mut ArrivingArchives,
        content: &GameContent,
        cancel: &Cancel,
    ) -> Result<(), InstallError> {
        while let Some(&at) = self.left.front().filter(|at| before.is_none_or(|before| **at < before)) {
            self.left.pop_front();
            let path = content.manifest().files()[at].path.to_path(&self.folder);
            let read = archives.read_small(at);
            if cancel.is_cancelled() {
                return Err(InstallError::Cancelled);
            }
            files::replace(&self.scratch, &path, &read.or_fault("read", &path)?)?;
        }
        Ok(())
    }
}

impl Store {
    /// Prepares the folder of a streamed install's files. What an earlier one left is deleted.
    pub(crate) fn begin_streamed_files(&self, content: &GameContent) -> Result<StreamedFiles, Fault> {
        let folder = self.layout().streamed_of(content.manifest().game());
        files::delete_tree(&folder)?;
        let left: VecDeque<usize> = of(content).collect();
        if !left.is_empty() {
            files::make_folders(self.layout().own(), &format!("streamed/{}", content.manifest().game()))?;
        }
        Ok(StreamedFiles { left, folder, scratch: self.layout().scratch() })
    }

    /// Deletes the files of games that are not installed: of streams that the end of the process cut off.
    pub(crate) fn tidy_streamed_files(&self) {
        let Ok(entries) = std::fs::read_dir(self.layout().streamed()) else { return };
        let games = entries.flatten().filter_map(|entry| GameId::new(entry.file_name().to_str()?).ok());
        for game in games {
            if matches!(local_folder(&self.layout().game(&game)), Ok(None)) {
                self.forget_streamed_files(&game);
            }
        }
    }

    /// Deletes the files of a streamed install. If that fails they are in nobody's way: the next install tries again.
    pub(crate) fn forget_streamed_files(&self, game: &GameId) {
        if let Err(error) = files::delete_tree(&self.layout().streamed_of(game)) {
            tracing::warn!(%game, %error, "the files of a streamed install could not be deleted");
        }
    }
}
