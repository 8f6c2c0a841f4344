//! Unpacking a game while it is still being downloaded.
//!
//! It goes into the install's staging, which nobody sees and nothing records, so a crash costs the next start one
//! deletion. What it comes to is known when the download is committed: then the install shows it in one rename, fails
//! with the same reason, or begins anew where unpacking ahead was not possible. It never takes the room on the disk
//! that the download needs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_core::install::Area;
use lanspread_types::manifest::LOCAL_FOLDER;
use lanspread_types::{ChunkIndex, GameContent, GameId, failpoint};

use crate::arriving::{Arrivals, Found, Passed};
use crate::cancel::Cancel;
use crate::files;
use crate::incoming::{Incoming, RESERVE_BYTES};
use crate::install::InstallError;
use crate::store::Store;
use crate::stream::{Roomy, reserved_bytes};
use crate::unpack::UnpackError;
use crate::unpack::staging::Staging;

/// Most downloads that are unpacked ahead at once: each has a thread that mostly waits.
const AHEAD_MAX: usize = 8;
/// How long is waited before a wish to stop is looked for again.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A download that is unpacked while it arrives.
#[derive(Debug)]
pub(crate) struct Ahead {
    cancel: Cancel,
    outcome: Mutex<Option<AheadOutcome>>,
    done: Condvar,
}

/// What unpacking ahead came to.
#[derive(Debug)]
pub enum AheadOutcome {
    /// All of it is in the staging.
    Unpacked,
    /// The archives do not unpack; an install would fail in the same way.
    Failed(InstallError),
    /// It was not possible now: nothing is left of it.
    GivenUp,
}

impl Ahead {
    fn outcome(&self) -> MutexGuard<'_, Option<AheadOutcome>> {
        // The outcome is set as a whole, so a panic elsewhere does not spoil it.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, outcome: AheadOutcome) {
        *self.outcome() = Some(outcome);
        self.done.notify_all();
    }

    /// Waits for the end, and passes a wish to stop on.
    fn wait(&self, cancel: &Cancel) -> AheadOutcome {
        let mut outcome = self.outcome();
        loop {
            // Whoever comes second finds nothing.
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

/// The right to unpack one download ahead. Dropped without a result, it counts as given up.
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
    /// Announces that an open download is unpacked ahead, so that whatever happens to the download from now on knows of
    /// it. Quick; [`Store::unpack_ahead`] does the work.
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

    /// Unpacks the archives of a download in order, each chunk as soon as it is there. Returns when all is unpacked, or
    /// when it is clear that it will not be.
    pub fn unpack_ahead(&self, run: &UnpackAhead, passed: Passed) {
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

    fn unpack_to(&self, staging: &Path, run: &UnpackAhead, passed: Passed) -> Result<(), InstallError> {
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
        let mut sink = Roomy::new(staging, self.layout().own(), &others_need);
        self.unpack_arriving(content, arrivals, &mut sink, &run.ahead.cancel, passed)
    }

    /// Waits until unpacking ahead has ended and tells what it came to; `None` if there is none.
    pub(crate) fn await_ahead(&self, game: &GameId, cancel: &Cancel) -> Option<AheadOutcome> {
        let ahead = self.all_ahead().get(game).cloned()?;
        let outcome = ahead.wait(cancel);
        self.all_ahead().remove(game);
        Some(outcome)
    }

    /// Ends unpacking ahead, if it is under way, and deletes what it has unpacked.
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

/// The chunks of a download. It may be committed before all of it is unpacked: then the same file has another name.
#[derive(Debug)]
struct Downloading {
    incoming: Arc<Incoming>,
    committed: PathBuf,
    /// The file that was read last, by its place in the manifest.
    open: Mutex<Option<(usize, Arc<File>)>>,
}

/// How often a file is looked for in both places: it may be moved, and back, while it is looked for.
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
