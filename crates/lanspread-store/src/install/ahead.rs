//! Unpacking of a download while its chunks are still arriving.
//!
//! The files go to the install's staging folder, which is hidden and has no journal record, so the next start after a
//! crash only has to delete it. The outcome counts once the download is committed: the install then shows the staging
//! with one rename, fails with the same error, or, if unpacking ahead was not possible, unpacks from scratch.
//!
//! Unpacking ahead never takes disk space that the download still needs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_core::install::Area;
use lanspread_types::manifest::LOCAL_FOLDER;
use lanspread_types::{ChunkIndex, GameContent, GameId, failpoint};

use crate::archive::unpack::UnpackError;
use crate::archive::unpack::staging::Staging;
use crate::download::arriving::{Arrivals, Found, ReleasedChunks};
use crate::download::incoming::{Incoming, RESERVE_BYTES};
use crate::fs::cancel::Cancel;
use crate::fs::files;
use crate::install::errors::InstallError;
use crate::install::space::{SpaceCheckedSink, reserved_bytes};
use crate::install::streamed_files::StreamedFiles;
use crate::store::Store;

/// Maximum number of downloads unpacked ahead at once. Each has a thread that mostly waits.
const AHEAD_MAX: usize = 8;
/// Interval at which a waiting thread checks for cancellation.
const LOOK_UP: Duration = Duration::from_millis(50);

/// State shared by the thread that unpacks a download ahead and the operations that wait for it.
#[derive(Debug)]
pub(crate) struct Ahead {
    cancel: Cancel,
    outcome: Mutex<Option<AheadOutcome>>,
    done: Condvar,
}

/// Outcome of unpacking ahead.
#[derive(Debug)]
pub enum AheadOutcome {
    /// The staging folder holds the complete install.
    Unpacked,
    /// The archives do not unpack; an install would fail in the same way. The staging folder is deleted.
    Failed(InstallError),
    /// Unpacking ahead was not possible; an install has to unpack from scratch.
    GivenUp,
}

impl Ahead {
    fn outcome(&self) -> MutexGuard<'_, Option<AheadOutcome>> {
        // The outcome is always replaced as a whole, so it is valid even after a panic elsewhere.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, outcome: AheadOutcome) {
        *self.outcome() = Some(outcome);
        self.done.notify_all();
    }

    /// Waits for the outcome and takes it. Cancelling `cancel` also stops the unpacker.
    fn wait(&self, cancel: &Cancel) -> AheadOutcome {
        let mut outcome = self.outcome();
        loop {
            // The first caller takes the outcome; later callers get `GivenUp`.
            if let Some(outcome) = outcome.as_mut() {
                return std::mem::replace(outcome, AheadOutcome::GivenUp);
            }
            if cancel.is_cancelled() {
                self.cancel.cancel();
            }
            let waited = self.done.wait_timeout(outcome, LOOK_UP);
            outcome = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The right to unpack one download ahead. Dropping it without an outcome counts as giving up.
#[derive(Debug)]
pub struct UnpackAhead {
    ahead: Arc<Ahead>,
    incoming: Arc<Incoming>,
}

impl Drop for UnpackAhead {
    fn drop(&mut self) {
        let mut outcome = self.ahead.outcome();
        if outcome.is_none() {
            *outcome = Some(AheadOutcome::GivenUp);
            self.ahead.done.notify_all();
        }
    }
}

impl Store {
    /// Registers an open download for unpacking ahead; from now on an install or a drop of the download waits for it.
    ///
    /// Returns quickly; [`Store::unpack_ahead`] does the work. `None` if the download is not open with this content, is
    /// already registered, or too many downloads are being unpacked.
    pub fn begin_ahead(&self, content: &GameContent, cancel: &Cancel) -> Option<UnpackAhead> {
        let game = content.manifest().game();
        let incoming = self.incoming(game).filter(|i| i.content().content_id() == content.content_id())?;
        let (outcome, done) = (Mutex::new(None), Condvar::new());
        let ahead = Arc::new(Ahead { cancel: cancel.clone(), outcome, done });
        let mut all = self.all_ahead();
        let running = all.values().filter(|ahead| ahead.outcome().is_none()).count();
        if all.contains_key(game) || running >= AHEAD_MAX || failpoint!("unpack-after-download") {
            return None;
        }
        all.insert(game.clone(), Arc::clone(&ahead));
        Some(UnpackAhead { ahead, incoming })
    }

    /// Unpacks a download's archives in order, each chunk as soon as it has arrived.
    ///
    /// Returns when everything is unpacked or clearly cannot be. `passed` learns which chunks are no longer needed.
    pub fn unpack_ahead(&self, run: &UnpackAhead, passed: ReleasedChunks) {
        let game = run.incoming.content().manifest().game();
        let staging = self.layout().area(game, Area::Staging);
        let outcome = match self.unpack_to(&staging, run, passed) {
            Ok(()) => AheadOutcome::Unpacked,
            Err(error) => {
                tracing::debug!(%game, %error, "unpacking ahead ends");
                let left = failpoint!("leave-staging");
                let deleted = if left { Ok(()) } else { files::delete_tree(&staging) };
                match (deleted, error) {
                    (Ok(()), InstallError::Archive { error: UnpackError::NotForward(_), .. }) => {
                        AheadOutcome::GivenUp
                    }
                    (Ok(()), error @ InstallError::Archive { .. }) => AheadOutcome::Failed(error),
                    _ => AheadOutcome::GivenUp,
                }
            }
        };
        run.ahead.end(outcome);
    }

    fn unpack_to(
        &self,
        staging: &Path,
        run: &UnpackAhead,
        passed: ReleasedChunks,
    ) -> Result<(), InstallError> {
        let incoming = &run.incoming;
        let content = incoming.content();
        let committed = self.layout().game(content.manifest().game());
        files::delete_tree(staging)?;
        let hidden = if failpoint!("commit-install-early") { &committed } else { staging };
        files::make_folders(hidden, LOCAL_FOLDER)?;
        let staging = Staging::new(hidden.join(LOCAL_FOLDER), 0, None);
        let arrivals =
            Arc::new(Downloading { incoming: Arc::clone(incoming), committed, open: Mutex::default() });
        let reserve = reserved_bytes(self.layout().own()).max(RESERVE_BYTES);
        let others_need = || incoming.missing_bytes() + reserve;
        let mut sink = SpaceCheckedSink::new(staging, self.layout().own(), &others_need);
        let beside = &mut StreamedFiles::none();
        self.unpack_arriving(content, arrivals, &mut sink, &run.ahead.cancel, passed, beside)
    }

    /// Waits until unpacking ahead has ended and takes the outcome; `None` if none was begun.
    pub(crate) fn await_ahead(&self, game: &GameId, cancel: &Cancel) -> Option<AheadOutcome> {
        let ahead = self.all_ahead().get(game).cloned()?;
        let outcome = ahead.wait(cancel);
        self.all_ahead().remove(game);
        Some(outcome)
    }

    /// Stops unpacking ahead, if it was begun, and deletes the unpacked files.
    pub(crate) fn drop_ahead(&self, game: &GameId) {
        let stop = Cancel::new();
        stop.cancel();
        if self.await_ahead(game, &stop).is_some()
            && let Err(error) = files::delete_tree(&self.layout().area(game, Area::Staging))
        {
            tracing::warn!(%game, %error, "what was unpacked ahead is deleted at the next start");
        }
    }
}

/// Chunks of a download that may be committed while it is still being unpacked; the commit moves its files to the
/// game's folder.
#[derive(Debug)]
struct Downloading {
    incoming: Arc<Incoming>,
    committed: PathBuf,
    /// The file that was read last, with its index in the manifest.
    open: Mutex<Option<(usize, Arc<File>)>>,
}

/// How often both folders are searched for a file, because a commit or its rollback may move the file in between.
const LOOKS: usize = 3;

impl Downloading {
    fn file(&self, at: usize) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.as_ref().filter(|(of, _)| *of == at) {
            return Ok(Arc::clone(file));
        }
        let path = &self.incoming.content().manifest().files()[at].path;
        let places = [path.to_path(self.incoming.files_folder()), path.to_path(&self.committed)];
        let mut found = Err(io::ErrorKind::NotFound.into());
        for place in places.iter().cycle().take(LOOKS * places.len()) {
            found = File::open(place);
            match &found {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        let file = Arc::new(found?);
        *open = Some((at, Arc::clone(&file)));
        Ok(file)
    }
}

impl Arrivals for Downloading {
    fn wait_for(&self, chunk: ChunkIndex, patience: Duration) -> bool {
        self.incoming.wait_for(chunk, patience)
    }

    fn find(&self, chunk: ChunkIndex) -> io::Result<Found> {
        let place = self.incoming.content().manifest().place(chunk).ok_or(io::ErrorKind::NotFound)?;
        Ok(Found { file: self.file(place.file)?, offset: place.offset, pin: None })
    }
}
