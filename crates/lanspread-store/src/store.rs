//! The open library: locking, recovery at the start, and the state that all operations share.
//!
//! Only one process has a library open at a time, and only one change per game's folder runs at a time. Opening the
//! library first finishes or undoes every change that a crash interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanspread_core::install::Record;
use lanspread_core::io::DiskError;
use lanspread_types::{GameId, failpoint};

use crate::change::execute::Executor;
use crate::change::folder_lock::{FolderLock, FolderLockError, Holder};
use crate::change::journal;
use crate::download::incoming::Incoming;
use crate::download::spool::Spool;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::fs::handles::Handles;
use crate::fs::layout::Layout;
use crate::install::ahead::Ahead;

/// Content of the marker file: the name and version of the library's format.
const FORMAT: &str = "lanspread library 1\n";
/// Maximum number of game files kept open for serving.
const OPEN_FILES_MAX: usize = 128;

/// Why a library was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder open.
    #[error("{}", in_use(path, holder.as_ref()))]
    InUse {
        /// Games folder.
        path: PathBuf,
        /// Process that has the folder open; `None` if its details cannot be read.
        holder: Option<Holder>,
    },
    /// A `.lanspread` folder exists, but lanspread did not create it.
    #[error("{0} exists but was not created by lanspread; move it elsewhere")]
    NotOurs(PathBuf),
    /// The marker file names another format.
    #[error("{path} was made by another version of lanspread ({found:?})")]
    OtherFormat {
        /// Path of the marker file.
        path: PathBuf,
        /// Content of the marker file, at most 80 characters.
        found: String,
    },
    /// A disk operation failed.
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

/// One library: a games folder together with the `.lanspread` folder in it. Only one process has it open at a time.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    handles: Handles,
    incoming: Mutex<BTreeMap<GameId, Arc<Incoming>>>,
    /// Downloads that are unpacked while they arrive.
    ahead: Mutex<BTreeMap<GameId, Arc<Ahead>>>,
    /// Spools of the streamed installs: the files that hold their chunks until those are unpacked and served.
    spools: Mutex<BTreeMap<GameId, Arc<Spool>>>,
    /// Unpacked size, in bytes, that the owner has allowed for a game's archives.
    consents: Mutex<BTreeMap<GameId, u64>>,
    /// Games whose folder is being changed.
    changing: Mutex<BTreeSet<GameId>>,
    /// Games with an interrupted change that could be neither finished nor undone, and why.
    unrecovered: Mutex<BTreeMap<GameId, String>>,
    /// The games folder cannot be written.
    read_only: bool,
    /// Held for the lifetime of the store.
    _lock: FolderLock,
}

impl Store {
    /// Opens a library, creating the `.lanspread` folder if needed, and finishes or undoes every interrupted change.
    pub fn open(games_dir: &Path) -> Result<Self, OpenError> {
        Self::open_locked(Layout::new(games_dir), Self::lock(games_dir)?, false)
    }

    /// Opens a library as [`Self::open`] does, or, if its folder cannot be written, for reading alone. What is then kept
    /// about it, such as the hashes of its files, is below `aside`. Nothing locks the games folder in that case: all
    /// processes may read it at the same time.
    pub fn open_or_read(games_dir: &Path, aside: &Path) -> Result<Self, OpenError> {
        match Self::open(games_dir) {
            Err(OpenError::Io(fault)) if fault.is_read_only() && fs::read_dir(games_dir).is_ok() => {
                tracing::warn!("{fault}: the games are shared, and nothing in the folder can be changed");
                Self::open_for_reading(games_dir, aside)
            }
            opened => opened,
        }
    }

    /// Opens a library for reading alone.
    pub(crate) fn open_for_reading(games_dir: &Path, aside: &Path) -> Result<Self, OpenError> {
        let layout = Layout::beside(games_dir, aside);
        let folder = layout.own().parent().unwrap_or(aside);
        fs::create_dir_all(folder).or_fault("make the folder", folder)?;
        claim(&layout)?;
        let lock = take_lock(&layout)?;
        Self::open_locked(layout, lock, true)
    }

    fn open_locked(layout: Layout, lock: FolderLock, read_only: bool) -> Result<Self, OpenError> {
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
            read_only,
            _lock: lock,
        };
        store.recover()?;
        Ok(store)
    }

    /// Locks a games folder for this process without opening the library, so that a caller can prepare the folder
    /// first. Creates the folder if it does not exist.
    pub fn lock(games_dir: &Path) -> Result<FolderLock, OpenError> {
        fs::create_dir_all(games_dir).or_fault("make the folder", games_dir)?;
        let layout = Layout::new(games_dir);
        claim(&layout)?;
        take_lock(&layout)
    }

    /// Returns whether the games folder cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Returns the paths of this library.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the game files that are open for serving.
    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Locks and returns the open downloads, at most one per game.
    pub(crate) fn all_incoming(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Incoming>>> {
        whole(&self.incoming)
    }

    /// Locks and returns the downloads that are unpacked while they arrive.
    pub(crate) fn all_ahead(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Ahead>>> {
        whole(&self.ahead)
    }

    /// Locks and returns the unpacked sizes, in bytes, that the owner has allowed.
    pub(crate) fn consents(&self) -> MutexGuard<'_, BTreeMap<GameId, u64>> {
        whole(&self.consents)
    }

    /// Locks and returns the spools of the streamed installs.
    pub(crate) fn all_spools(&self) -> MutexGuard<'_, BTreeMap<GameId, Arc<Spool>>> {
        whole(&self.spools)
    }

    /// Returns why a game's interrupted change could be neither finished nor undone; `None` if there is no such change.
    pub(crate) fn unrecovered(&self, game: &GameId) -> Option<String> {
        whole(&self.unrecovered).get(game).cloned()
    }

    /// Claims a game's folder for one change, after finishing or undoing an interrupted earlier one. Dropping the
    /// [`Change`] releases the folder.
    pub(crate) fn begin_change(&self, game: &GameId) -> Result<Change<'_>, ChangeError> {
        if self.read_only {
            let error = std::io::ErrorKind::ReadOnlyFilesystem.into();
            return Err(ChangeError::ReadOnly(Fault::new("change", self.layout.game(game), error)));
        }
        self.hold(game)
    }

    /// Keeps others from changing a game's folder while it is read.
    pub(crate) fn hold(&self, game: &GameId) -> Result<Change<'_>, ChangeError> {
        if !whole(&self.changing).insert(game.clone()) {
            return Err(ChangeError::Busy);
        }
        let change = Change { store: self, game: game.clone() };
        if let Some(record) = journal::read(&self.layout, game)? {
            self.recover_game(&record)?;
        }
        Ok(change)
    }

    /// Deletes files that are worthless after a restart, and finishes or undoes every change in the journal.
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
            // The scan reports a failure; the other games stay usable.
            let _ = self.recover_game(&record);
        }
        self.clear_leftovers(&layout.trash());
        self.clear_leftovers(&layout.staging());
        self.tidy_streamed_files();
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

    /// Deletes entries that no journal record needs. An entry that cannot be deleted now is tried again at the next
    /// start.
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

/// Exclusive right to change one game's folder, released on drop.
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

/// Why a change to a game's folder cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another change to the same folder is running.
    #[error("the game's folder is being changed; try again when that is done")]
    Busy,
    /// The games folder cannot be written.
    #[error(transparent)]
    ReadOnly(Fault),
    /// An interrupted change could be neither finished nor undone, or the journal cannot be read.
    #[error("an interrupted change could not be finished or undone: {0}")]
    Unrecovered(#[from] Fault),
}

fn take_lock(layout: &Layout) -> Result<FolderLock, OpenError> {
    FolderLock::take(layout.own()).map_err(|error| match error {
        FolderLockError::Held { holder } => OpenError::InUse { path: layout.games().to_owned(), holder },
        FolderLockError::Io(fault) => fault.into(),
    })
}

/// Creates the `.lanspread` folder, or checks that the existing one is ours. An empty folder counts as ours.
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
        // The program died between creating the file and filling it.
        "" => Ok(fs::write(&path, FORMAT).or_fault("write", &path)?),
        _ => Err(OpenError::OtherFormat { path, found: found.trim().chars().take(80).collect() }),
    }
}

/// Locks a map even if a thread panicked while holding it: every operation leaves the maps in a valid state.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
