//! Notices that the user changed something in the games folder.
//!
//! Only the games folder and the folders of the games themselves are watched where a watch covers one folder (Linux):
//! that is where sentinels and archives come and go, and neither the thousands of folders of installed games nor our
//! own writing costs anything. Elsewhere one watch covers the whole tree, and what is not ours to look at is sorted
//! out. Whatever is missed, also on network drives, is found by the slow rescan of the runtime.

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

use crate::files::is_real_dir;
use crate::layout::OWN_FOLDER;
use crate::store::Store;

/// How long it must be quiet before a change is told.
const QUIET: Duration = Duration::from_millis(500);
/// Whether one watch covers a folder with all that is below.
const WHOLE_TREE: bool = cfg!(any(windows, target_os = "macos"));
/// Most folders that are watched one by one; the system has only so many watches for all programs.
const WATCHED_FOLDERS_MAX: usize = 4096;

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

/// Watches as long as it lives.
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
    /// Calls `on_change`, on a thread of its own, whenever something changed that a scan would notice. Also called for
    /// changes that we make ourselves.
    pub fn watch(&self, on_change: impl Fn() + Send + 'static) -> Result<Watch, WatchError> {
        let games = self.layout().games().to_path_buf();
        // One waiting signal says all there is to say, so more are dropped.
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
            // The thread takes signals until it ends, so this does not wait for long.
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

    /// Watches the folders of new games and lets go of those that went.
    fn follow_games(&mut self) {
        if WHOLE_TREE {
            return;
        }
        // What cannot be read now is no reason to let go of what is watched.
        let Ok(entries) = fs::read_dir(&self.games).and_then(Iterator::collect::<io::Result<Vec<_>>>) else {
            return;
        };
        let entries = entries.into_iter().map(|e| e.path());
        let is_game = |path: &PathBuf| is_real_dir(path) && !is_ours(&self.games, path);
        let now: BTreeSet<PathBuf> = entries.filter(is_game).take(WATCHED_FOLDERS_MAX).collect();
        for gone in self.folders.difference(&now) {
            // A watch ends with its folder; this only covers one that was renamed.
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
            // Events were lost: something changed, but not what.
            Err(_) => true,
        };
        if concerns_us {
            match self.signals.try_send(Signal::Changed) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }
}

/// Reading changes nothing, and we read a lot.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Whether a path is in our own folder, or within an installed game. The installed game's own folder is not: that it
/// comes and goes is to be noticed.
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
    fn our_own_churn_and_play_go_unnoticed() {
        let ours = |path: &str| is_ours(Path::new("/g"), &Path::new("/g").join(path));
        for noticed in ["", "ggoo", "ggoo/version.ini", "ggoo/local", "ggoo/sub/x.dat"] {
            assert!(!ours(noticed), "{noticed}");
        }
        for unnoticed in [".lanspread", ".lanspread/incoming/x", "ggoo/local/save.dat", "ggoo/Local/a/b"] {
            assert!(ours(unnoticed), "{unnoticed}");
        }
    }
}
