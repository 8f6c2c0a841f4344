//! The library as a whole: opening it, and what all operations share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_core::install::Record;
use lanspread_core::io::DiskError;
use lanspread_types::{GameId, failpoint};

use crate::ahead::Ahead;
use crate::execute::Executor;
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::folder_lock::{FolderLock, FolderLockError, Holder};
use crate::handles::Handles;
use crate::incoming::Incoming;
use crate::journal;
use crate::layout::Layout;
use crate::spool::Spool;

/// What the marker file says.
const FORMAT: &str = "lanspread library 1\n";
/// Most files of games that are kept open for serving.
const OPEN_FILES_MAX: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}", in_use(path, holder.as_ref()))]
    InUse { path: PathBuf, holder: Option<Holder> },
    #[error("{0} is there, but was not made by lanspread; move it away")]
    NotOurs(PathBuf),
    #[error("{path} was made by another version of lanspread ({found:?})")]
    OtherFormat { path: PathBuf, found: String },
    #[error(transparent)]
    Io(#[from] Fault),
}

fn in_use(path: &Path, holder: Option<&Holder>) -> String {
    let by = holder.map_or_else(|| "another lanspread".to_owned(), Holder::to_string);
    format!("the games folder {} is in use by {by}", path.display())
}

impl From<OpenError> for DiskError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(fault) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// One library: a games folder with everything of ours in it. Only one process has it open at a time.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    handles: Handles,
    incoming: Mutex<BTreeMap<GameId, Arc<Incoming>>>,
    /// Downloads that are unpacked while they arrive.
    ahead: Mutex<BTreeMap<GameId, Arc<Ahead>>>,
    /// Windows of the streamed installs.
    spools: Mutex<BTreeMap<GameId, Arc<Spool>>>,
    /// Bytes that the owners of games allow their archives to unpack to.
    consents: Mutex<BTreeMap<GameId, u64>>,
    /// Games whose folder is being changed.
    changing: Mutex<BTreeSet<GameId>>,
    /// Games with a change that could be ended neither way, and why.
    unrecovered: Mutex<BTreeMap<GameId, String>>,
    /// Locked as long as the store lives.
    _lock: FolderLock,
}

impl Store {
    /// Opens a library, makes our folder in it if there is none, and ends whatever a crash interrupted.
    pub fn open(games_dir: &Path) -> Result<Self, OpenError> {
        let lock = Self::lock(games_dir)?;
        let layout = Layout::new(games_dir);
        check_format(&layout)?;
        let store = Self {
            layout,
            handles: Handles::new(OPEN_FILES_MAX),
            incoming: Mutex::default(),
            ahead: Mutex::default(),
            spools: Mutex::default(),
            consents: Mutex::default(),
            changing: Mutex::default(),
            unrecovered: Mutex::default(),
            _lock: lock,
        };
        store.recover()?;
        Ok(store)
    }

    /// Takes a games folder for this process, without opening it: for who prepares it before it is opened. Makes it if it
    /// is not there.
    pub fn lock(games_dir: &Path) -> Result<FolderLock, OpenError> {
        fs::create_dir_all(games_dir).or_fault("make the folder", games_dir)?;
        let layout = Layout::new(games_dir);
        claim(&layout)?;
        FolderLock::take(layout.own()).map_err(|error| match error {
            FolderLockError::Held { holder } => OpenError::InUse { path: games_dir.to_owned(), holder },
            FolderLockError::Io(fault) => fault.into(),
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(crate) fn all_incoming(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Incoming>>> {
        whole(&self.incoming)
    }

    pub(crate) fn all_ahead(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Ahead>>> {
        whole(&self.ahead)
    }

    pub(crate) fn consents(&self) -> MutexGuard<'_, BTreeMap<GameId, u64>> {
        whole(&self.consents)
    }

    pub(crate) fn all_spools(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Spool>>> {
        whole(&self.spools)
    }

    /// Why a game's interrupted change could not be ended, if there is one.
    pub(crate) fn unrecovered(&self, game: &GameId) -> Option<String> {
        whole(&self.unrecovered).get(game).cloned()
    }

    /// Begins to change a game's folder. What an earlier change left undone is ended first.
    pub(crate) fn begin_change(&self, game: &GameId) -> Result<Change<'_>, ChangeError> {
        if !whole(&self.changing).insert(game.clone()) {
            return Err(ChangeError::Busy);
        }
        let change = Change { store: self, game: game.clone() };
        if let Some(record) = journal::read(&self.layout, game)? {
            self.recover_game(&record)?;
        }
        Ok(change)
    }

    /// Deletes what is worthless after a restart, and ends what the journal tells of.
    fn recover(&self) -> Result<(), Fault> {
        let layout = &self.layout;
        files::delete_tree(&layout.scratch())?;
        let folders =
            [layout.scratch(), layout.broken(), layout.journal(), layout.index(), layout.all_incoming()];
        for folder in folders.iter().chain(&[layout.trash(), layout.staging()]) {
            files::make_folders(folder, "")?;
        }
        for record in journal::read_all(layout)? {
            if failpoint!("recover-nothing") {
                continue;
            }
            // Told by the scan; the other games are not held up.
            let _ = self.recover_game(&record);
        }
        self.clear_leftovers(&layout.trash());
        self.clear_leftovers(&layout.staging());
        Ok(())
    }

    fn recover_game(&self, record: &Record) -> Result<(), Fault> {
        let recovered = Executor::new(&self.layout, record).recover();
        match &recovered {
            Ok(()) => whole(&self.unrecovered).remove(&record.game),
            Err(error) => {
                tracing::warn!(game = %record.game, %error, "an interrupted change cannot be ended");
                whole(&self.unrecovered).insert(record.game.clone(), error.to_string())
            }
        };
        recovered
    }

    /// Deletes what no record needs. What cannot be deleted now is tried again at the next start.
    fn clear_leftovers(&self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let game = entry.file_name().into_string().ok().and_then(|name| GameId::new(name).ok());
            if game.is_some_and(|game| files::is_there(&self.layout.record_of(&game))) {
                continue;
            }
            if let Err(error) = files::delete_tree(&entry.path()) {
                tracing::warn!(%error, "a leftover cannot be deleted");
            }
        }
    }
}

/// A change to a game's folder that is under way; only one per game.
#[derive(Debug)]
pub struct Change<'a> {
    store: &'a Store,
    game: GameId,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.store.handles.clear();
        whole(&self.store.changing).remove(&self.game);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("another change to the game's folder is under way")]
    Busy,
    #[error("an interrupted change could not be ended: {0}")]
    Unrecovered(#[from] Fault),
}

/// Makes our folder, or makes sure that the one that is there is ours.
fn claim(layout: &Layout) -> Result<(), OpenError> {
    let own = layout.own();
    match fs::create_dir(own) {
        Ok(()) => return Ok(fs::write(layout.marker(), FORMAT).or_fault("write", &layout.marker())?),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Fault::new("make the folder", own, e).into()),
    }
    let is_empty = || fs::read_dir(own).is_ok_and(|mut entries| entries.next().is_none());
    if !files::is_real_dir(own) || !(layout.marker().is_file() || is_empty()) {
        return Err(OpenError::NotOurs(own.to_path_buf()));
    }
    if !layout.marker().is_file() {
        fs::write(layout.marker(), FORMAT).or_fault("write", &layout.marker())?;
    }
    Ok(())
}

fn check_format(layout: &Layout) -> Result<(), OpenError> {
    let path = layout.marker();
    let found = fs::read(&path).or_fault("read", &path)?;
    let found = String::from_utf8_lossy(&found).into_owned();
    match found.as_str() {
        FORMAT => Ok(()),
        // A crash between making the file and filling it.
        "" => Ok(fs::write(&path, FORMAT).or_fault("write", &path)?),
        _ => Err(OpenError::OtherFormat { path, found: found.trim().chars().take(80).collect() }),
    }
}

/// The maps behind these locks are whole after every operation, so a panic elsewhere does not spoil them.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
