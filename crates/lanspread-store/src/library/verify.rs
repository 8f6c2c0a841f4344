//! Verification: compares a game's files with the hashes in the index, byte for byte.
//!
//! Damage is recorded in the index, so that the game is not shared until it is whole again. Repair is an ordinary
//! download of the same content.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use lanspread_core::io::{BrokenPart, DiskError, VerifiedGame};
use lanspread_types::manifest::ChunkPart;
use lanspread_types::{ChunkIndex, GameContent, GameId, failpoint};

use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, is_out_of_files};
use crate::fs::files;
use crate::library::index::{Damage, GameIndex, IndexError};
use crate::library::scan::{SentinelError, read_sentinel};
use crate::library::walk::Look;
use crate::store::{ChangeError, Store};

/// Why a game was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The game is not downloaded.
    #[error("{0} is not downloaded")]
    NotDownloaded(GameId),
    /// The operation was cancelled.
    #[error("the verification was cancelled")]
    Cancelled,
    /// The game had to be hashed because nothing was known about it, and that failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The game's folder is being changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A disk operation failed.
    #[error(transparent)]
    Io(#[from] Fault),
}

impl From<VerifyError> for DiskError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Io(fault) => fault.into(),
            VerifyError::Index(error) => error.into(),
            VerifyError::Cancelled => Self::Cancelled,
            other => Self::Other(other.to_string()),
        }
    }
}

impl Store {
    /// Reads every byte of a game and compares it with the index, which says what the files were when they were
    /// downloaded or first seen.
    ///
    /// Damage is remembered, so that the game is not shared until it is whole again. `progress` is given the bytes read
    /// and the bytes in total.
    pub fn verify(
        &self,
        game: &GameId,
        cancel: &Cancel,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<VerifiedGame, VerifyError> {
        let _held = self.hold(game)?;
        let folder = self.layout().game(game);
        let version = read_sentinel(&folder).map_err(|error| match error {
            SentinelError::Io(fault) => VerifyError::Io(fault),
            _ => VerifyError::NotDownloaded(game.clone()),
        })?;
        let mut known = GameIndex::load(self.layout(), game)?;
        let look = |path: &lanspread_types::RelPath| Look::at(&path.to_path(&folder)).ok();
        let Some(content) = known.content(game, version, &look) else {
            // The index has nothing to compare with; hashing at least shows that every byte can be read.
            let (_, content) = self.index(game, cancel, progress)?;
            return Ok(VerifiedGame { content, broken: Vec::new() });
        };
        let content = Arc::new(content);
        let mut reading = Reading { content: &content, folder, buffer: Vec::new(), done: 0, progress };
        let mut broken = Vec::new();
        for file in 0..content.manifest().files().len() {
            broken.extend(reading.file(file, cancel)?);
        }
        if !broken.is_empty() && failpoint!("verify-nothing") {
            broken.clear();
        }
        let paths: BTreeSet<_> = broken.iter().map(|part| part.path.clone()).collect();
        let folder = self.layout().game(game);
        let damage =
            paths.into_iter().map(|path| Damage { look: Look::at(&path.to_path(&folder)).ok(), path });
        let damaged: Vec<Damage> = damage.collect();
        if damaged != known.damaged {
            known.damaged = damaged;
            known.save(self.layout(), game)?;
        }
        Ok(VerifiedGame { content, broken })
    }
}

/// One pass over the files of a game.
struct Reading<'a> {
    content: &'a GameContent,
    folder: PathBuf,
    buffer: Vec<u8>,
    done: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Reading<'_> {
    /// Returns the broken parts of one file. A fault of one file does not keep the others from being read.
    fn file(&mut self, at: usize, cancel: &Cancel) -> Result<Vec<BrokenPart>, VerifyError> {
        let manifest = self.content.manifest();
        let entry = &manifest.files()[at];
        let path = entry.path.to_path(&self.folder);
        let ordinary = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && !files::is_link(&m));
        let file = match ordinary.then(|| File::open(&path)) {
            // A lack of descriptors says nothing about the file.
            Some(Err(error)) if is_out_of_files(&error) => return Err(Fault::new("open", path, error).into()),
            opened => opened.and_then(Result::ok),
        };
        let mut broken = Vec::new();
        for chunk in manifest.chunks_of(at).map(ChunkIndex) {
            if cancel.is_cancelled() {
                return Err(VerifyError::Cancelled);
            }
            let part = manifest.place(chunk).and_then(|place| manifest.parts(place).find(|p| p.file == at));
            let Some(ChunkPart { offset, len: length, .. }) = part else { continue };
            self.buffer.resize(length as usize, 0);
            let read = file.as_ref().map(|f| files::read_exact_at(f, &mut self.buffer, offset));
            let whole = length == entry.size;
            let right = |bytes: &[u8]| match whole {
                true => self.content.verifies_file(at, bytes),
                false => self.content.verifies(chunk, bytes),
            };
            if !matches!(read, Some(Ok(()))) || !right(&self.buffer) {
                broken.push(BrokenPart { path: entry.path.clone(), offset, length });
            }
            self.done += length;
            (self.progress)(self.done, manifest.total_bytes());
        }
        let size = file.and_then(|f| f.metadata().ok()).map(|m| m.len());
        if broken.is_empty() && size != Some(entry.size) {
            broken.push(BrokenPart { path: entry.path.clone(), offset: entry.size, length: 0 });
        }
        Ok(broken)
    }
}
