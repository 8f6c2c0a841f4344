//! Watch for changes that the user makes in the games folder.
//!
//! Where a watch covers a single folder (Linux), only the games folder and the folders of the games themselves are
//! watched. Sentinels and archives come and go there, and neither the thousands of folders of installed games nor our
//! own writes cost anything. Elsewhere one watch covers the whole tree, and irrelevant events are filtered out. The
//! runtime's slow rescan finds changes that the watch misses, for example on network drives.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lanspread_core::io::DiskError;
use lanspread_types::manifest::LOCAL_FOLDER;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};

use crate::fs::files::is_real_dir;
use crate::fs::layout::OWN_FOLDER;
use crate::store::Store;

/// Time without further changes before a change is reported.
const QUIET: Duration = Duration::from_millis(500);
/// Whether one watch covers a folder with everything below it.
const WHOLE_TREE: bool = cfg!(any(windows, target_os = "macos"));
/// Maximum number of folders watched one by one; all programs share the system's supply of watches.
const WATCHED_FOLDERS_MAX: usize = 4096;

/// A folder that cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be watched: {source}", path = path.display())]
pub struct WatchError {
    path: PathBuf,
    source: notify::Error,
}

impl From<WatchError> for DiskError {
    fn from(error: WatchError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A running watch; it ends on drop.
pub struct Watch {
    stop: Option<SyncSender<Signal>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

enum Signal {
    Changed,
    Stop,
}

impl Store {
    /// Calls `on_change`, on a thread of its own, whenever a change may affect a scan. Our own changes also count.
    pub fn watch(&self, on_change: impl Fn() + Send + 'static) -> Result<Watch, WatchError> {
        let games = self.layout().games().to_path_buf();
        // One waiting signal is enough, so further ones are dropped.
        let (signals, changes) = sync_channel(1);
        let notice = Notice { games: games.clone(), signals: signals.clone() };
        let fail = |source| WatchError { path: games.clone(), source };
        let handle = move |result: DebounceEventResult| notice.look(result);
        let debouncer = new_debouncer_opt(QUIET, None, handle, NoCache, notify::Config::default());
        let mut watched =
            Watched { games: games.clone(), debouncer: debouncer.map_err(fail)?, folders: BTreeSet::new() };
        let mode = if WHOLE_TREE { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watched.debouncer.watch(&games, mode).map_err(fail)?;
        watched.follow_games();
        let spawn = std::thread::Builder::new().name("lanspread-watch".to_owned());
        let thread = spawn.spawn(move || watched.run(&changes, &on_change));
        let thread = thread.map_err(|e| fail(notify::Error::io(e)))?;
        Ok(Watch { stop: Some(signals), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread receives signals until it ends, so this does not block for long.
            let _ = stop.send(Signal::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watched {
    games: PathBuf,
    debouncer: Debouncer<RecommendedWatcher, NoCache>,
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn run(mut self, changes: &Receiver<Signal>, on_change: &dyn Fn()) {
        while let Ok(Signal::Changed) = changes.recv() {
            self.follow_games();
            on_change();
        }
        self.debouncer.stop_nonblocking();
    }

    /// Watches the folders of new games and unwatches those of deleted ones.
    fn follow_games(&mut self) {
        if WHOLE_TREE {
            return;
        }
        // Keep the current watches if the folder cannot be read now.
        let Ok(entries) = fs::read_dir(&self.games).and_then(Iterator::collect::<io::Result<Vec<_>>>) else {
            return;
        };
        let entries = entries.into_iter().map(|e| e.path());
        let is_game = |path: &PathBuf| is_real_dir(path) && !is_ours(&self.games, path);
        let now: BTreeSet<PathBuf> = entries.filter(is_game).take(WATCHED_FOLDERS_MAX).collect();
        for gone in self.folders.difference(&now) {
            // The system ends a watch with its folder; this covers folders that were renamed.
            let _ = self.debouncer.unwatch(gone);
        }
        for new in now.difference(&self.folders) {
            if let Err(error) = self.debouncer.watch(new, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "a folder is not watched");
            }
        }
        self.folders = now;
    }
}

struct Notice {
    games: PathBuf,
    signals: SyncSender<Signal>,
}

impl Notice {
    fn look(&self, result: DebounceEventResult) {
        let concerns_us = match result {
            Ok(events) => events.iter().any(|event| {
                is_change(event.kind) && event.paths.iter().any(|path| !is_ours(&self.games, path))
            }),
            // Events were lost: what changed is unknown.
            Err(_) => true,
        };
        if concerns_us {
            match self.signals.try_send(Signal::Changed) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }
}

/// Returns whether an event is a change. Reading is not, and we read a lot.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Returns whether a path is in our own folder or inside an installed game. The installed game's folder itself does not
/// count, because its coming and going must be noticed.
fn is_ours(games: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(games) else { return false };
    let mut components = below.components().map(|c| c.as_os_str().to_string_lossy().to_ascii_lowercase());
    match (components.next(), components.next(), components.next()) {
        (Some(first), ..) if first.starts_with(OWN_FOLDER) => true,
        (Some(_), Some(second), Some(_)) => second == LOCAL_FOLDER,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_and_installed_games_are_not_watched() {
        let ours = |path: &str| is_ours(Path::new("/g"), &Path::new("/g").join(path));
        for noticed in ["", "ggoo", "ggoo/version.ini", "ggoo/local", "ggoo/sub/x.dat"] {
            assert!(!ours(noticed), "{noticed}");
        }
        for unnoticed in [".lanspread", ".lanspread/incoming/x", "ggoo/local/save.dat", "ggoo/Local/a/b"] {
            assert!(ours(unnoticed), "{unnoticed}");
        }
    }
}
