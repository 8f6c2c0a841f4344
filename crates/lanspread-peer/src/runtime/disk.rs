//! Disk jobs: each runs on a blocking thread and ends with one report to the loop.
//!
//! Owns which jobs run, how they are cancelled, and when the library is scanned. What a job does to files is the
//! store's concern. A scan that ran beside a job that changes game folders is never reported; it is done again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_core::io::{CommittedGame, DiskError, DiskJob, DiskReport, Scan};
use lanspread_core::trust::Origin;
use lanspread_store::{Cancel, RarUnpacker, ReleasedChunks, Store, Watch, unneeded_chunks};
use lanspread_types::{ContentId, GameContent, GameId, failpoint};
use tokio_util::task::TaskTracker;

use crate::runtime::reports::{Reports, Throttled, report};
use crate::runtime::upkeep;

/// Runner of disk jobs.
#[derive(Debug)]
pub(crate) struct Disk {
    store: Arc<Store>,
    /// Folder for what belongs to a library that cannot be written.
    aside: PathBuf,
    reports: Reports,
    tasks: TaskTracker,
    /// Cancellation token of each game's latest cancellable job.
    cancels: HashMap<GameId, Cancel>,
    /// Cancellation token of all jobs that hash.
    index_cancel: Cancel,
    scans: Arc<Scans>,
    /// Watch of the games folder. The whole slot is replaced with the folder, so that a late thread of the old folder
    /// cannot put its watch into the new slot.
    watch: Arc<Mutex<Option<Watch>>>,
}

/// Keeps scans apart from the changes that jobs make.
#[derive(Debug, Default)]
struct Scans {
    running: AtomicBool,
    /// A scan was requested and has not begun.
    again: AtomicBool,
    /// Number of jobs that have changed game folders. A scan during which it changed is not reported.
    changes: AtomicU64,
}

impl Disk {
    /// Starts to watch the folder of `store`. What belongs to libraries that cannot be written is kept below `aside`. Must be called within a tokio runtime.
    pub fn new(store: Arc<Store>, aside: PathBuf, reports: Reports) -> Self {
        let mut disk = Self {
            store,
            aside,
            reports,
            tasks: TaskTracker::new(),
            cancels: HashMap::new(),
            index_cancel: Cancel::new(),
            scans: Arc::default(),
            watch: Arc::default(),
        };
        disk.watch();
        disk
    }

    /// Returns the store of the current games folder.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Runs `work` on a blocking thread, which [`Self::finish`] waits for.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(work);
    }

    /// Cancels the jobs that can be cancelled, and waits for all jobs.
    pub async fn finish(mut self) {
        self.watch = Arc::default();
        self.index_cancel.cancel();
        self.cancels.values().for_each(Cancel::cancel);
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts a job. It ends with one report, except for jobs that are done at once.
    pub fn start(&mut self, job: DiskJob) {
        match job {
            DiskJob::Scan => self.scan(),
            DiskJob::Index { game, stamp } => {
                let cancel = self.index_cancel.clone();
                self.report_from(move |store, reports| {
                    let mut progress = Throttled::new(|done, total| {
                        report(reports, DiskReport::IndexProgress { game: game.clone(), done, total });
                    });
                    let indexed = store.index(&game, &cancel, &mut |done, total| progress.tell(done, total));
                    match indexed {
                        Ok((stamp, content)) => DiskReport::Indexed { game, stamp, result: Ok(content) },
                        Err(error) => {
                            DiskReport::Indexed { game, stamp, result: Err(DiskError::from(error)) }
                        }
                    }
                });
            }
            DiskJob::OpenIncoming { content } => self.open_incoming(content),
            DiskJob::Commit { content, origin } => {
                self.change(move |store, _| commit(store, &content, origin.as_ref()));
            }
            DiskJob::DropIncoming { game, content } => self.change(move |store, _| {
                drop_incoming(store, &game, content);
                DiskReport::IncomingDropped { game }
            }),
            DiskJob::Discard { game } => self.change(move |store, _| {
                let result = store.discard_incoming(&game).map_err(DiskError::from);
                DiskReport::Discarded { game, result }
            }),
            DiskJob::UnpackAhead { content } => self.unpack_ahead(&content),
            DiskJob::AllowUnpacked { game, bytes } => self.store.allow_unpacked(&game, bytes),
            DiskJob::Install { game } => self.install(game),
            DiskJob::StreamInstall { content, origin } => self.stream_install(content, origin),
            DiskJob::DropChunks { game, below } => {
                if let Some(spool) = self.store.spool(&game) {
                    spool.drop_below(below);
                }
            }
            DiskJob::Reinstall { game } => self.reinstall(game),
            DiskJob::Verify { game } => self.verify(game),
            DiskJob::LookAtStart { game, start } => {
                self.report_from(move |store, _| upkeep::look_at_start(store, game, start.as_ref()));
            }
            DiskJob::Stamp { game, play } => self.change(move |store, reports| {
                let result = upkeep::stamp(store, reports, &game, &play);
                DiskReport::Stamped { game, result }
            }),
            DiskJob::Uninstall { game } => self.change(move |store, _| {
                let result = store.uninstall(&game).map_err(DiskError::from);
                DiskReport::Uninstalled { game, result }
            }),
            DiskJob::Remove { game } => self.change(move |store, _| {
                let result = store.remove(&game).map_err(DiskError::from);
                DiskReport::Removed { game, result }
            }),
            DiskJob::Cancel { game } => {
                if let Some(cancel) = self.cancels.get(&game) {
                    cancel.cancel();
                }
            }
            DiskJob::ChangeGamesDir { path } => self.change_games_dir(path),
        }
    }

    /// Makes the cancellation token of a game's new job.
    fn cancellable(&mut self, game: &GameId) -> Cancel {
        let cancel = Cancel::new();
        self.cancels.insert(game.clone(), cancel.clone());
        cancel
    }

    fn open_incoming(&mut self, content: Arc<GameContent>) {
        let cancel = self.cancellable(content.manifest().game());
        self.report_from(move |store, reports| upkeep::open_incoming(store, reports, &content, &cancel));
    }

    fn verify(&mut self, game: GameId) {
        let cancel = self.cancellable(&game);
        self.report_from(move |store, reports| upkeep::verify(store, reports, game, &cancel));
    }

    fn reinstall(&mut self, game: GameId) {
        let cancel = self.cancellable(&game);
        self.change(move |store, reports| upkeep::reinstall(store, reports, game, &cancel));
    }

    fn install(&mut self, game: GameId) {
        let cancel = self.cancellable(&game);
        self.change(move |store, reports| {
            let (to, of) = (reports.clone(), game.clone());
            let mut progress = Throttled::new(move |done, total| {
                report(&to, DiskReport::UnpackProgress { game: of.clone(), done, total });
            });
            let unpacker = RarUnpacker;
            let result = store.install(
                &game,
                &unpacker,
                &cancel,
                Box::new(move |done, total| progress.tell(done, total)),
            );
            DiskReport::Installed { game, result: result.map_err(DiskError::from) }
        });
    }

    /// Unpacks a download while it arrives. The store knows of this before the job begins, so that no commit and no
    /// cancellation can overtake it.
    fn unpack_ahead(&mut self, content: &GameContent) {
        let game = content.manifest().game().clone();
        let cancel = Cancel::new();
        let begun = self.store.begin_ahead(content, &cancel);
        self.cancels.insert(game.clone(), cancel);
        self.report_from(move |store, reports| {
            if let Some(ahead) = begun {
                store.unpack_ahead(&ahead, passed(reports, &game));
            }
            DiskReport::UnpackedAhead { game }
        });
    }

    fn stream_install(&mut self, content: Arc<GameContent>, origin: Option<Origin>) {
        let game = content.manifest().game().clone();
        let cancel = Cancel::new();
        self.cancels.insert(game.clone(), cancel.clone());
        self.change(move |store, reports| {
            let streamed = from_origin(store, &game, origin.as_ref(), || {
                let spool = store.open_spool(&content)?;
                let unneeded = unneeded_chunks(&content);
                report(reports, DiskReport::StreamOpened { game: game.clone(), unneeded });
                Ok(store.stream_install(&spool, &cancel, passed(reports, &game))?)
            });
            DiskReport::Streamed { game, result: streamed }
        });
    }

    /// Opens another games folder. This is quick, and no other job may run meanwhile, so it happens on the loop's
    /// thread.
    fn change_games_dir(&mut self, path: PathBuf) {
        let result = match Store::open_or_read(&path, &self.aside) {
            Ok(store) => {
                self.index_cancel.cancel();
                self.index_cancel = Cancel::new();
                self.store = Arc::new(store);
                self.scans = Arc::default();
                self.watch();
                Ok(())
            }
            Err(error) => Err(DiskError::Other(error.to_string())),
        };
        report(&self.reports, DiskReport::GamesDirChanged { result });
    }

    /// Watches the games folder and requests a scan at each change, and one at the start of the watch for earlier
    /// changes. Where watching is impossible (a network drive), only the regular scans see changes. Setting up a watch
    /// for each of a thousand games takes a while, so it happens on a thread of its own.
    fn watch(&mut self) {
        self.watch = Arc::default();
        let (scanner, slot, store) = (self.scanner(), self.watch.clone(), self.store.clone());
        self.spawn(move || {
            let on_change = scanner.clone();
            match store.watch(move || on_change.request()) {
                Ok(watch) => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
                    scanner.request();
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot watch the games folder; changes are noticed only by the regular scan");
                }
            }
        });
    }

    /// Scans the library, or requests another scan if one is running.
    pub fn scan(&self) {
        self.scanner().request();
    }

    fn scanner(&self) -> Scanner {
        Scanner {
            store: self.store.clone(),
            reports: self.reports.clone(),
            scans: self.scans.clone(),
            tasks: self.tasks.clone(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Runs a job on a blocking thread and reports its result.
    fn report_from(&self, job: impl FnOnce(&Store, &Reports) -> DiskReport + Send + 'static) {
        let (store, reports) = (self.store.clone(), self.reports.clone());
        self.spawn(move || {
            let done = job(&store, &reports);
            report(&reports, done);
        });
    }

    /// Does the same as [`Self::report_from`] for a job that changes game folders. A scan that runs meanwhile is done
    /// again.
    fn change(&self, job: impl FnOnce(&Store, &Reports) -> DiskReport + Send + 'static) {
        let scans = self.scans.clone();
        self.report_from(move |store, reports| {
            let done = job(store, reports);
            scans.changes.fetch_add(1, Ordering::SeqCst);
            done
        });
    }
}

/// Returns a callback that reports how far archives are unpacked.
fn passed(reports: &Reports, game: &GameId) -> ReleasedChunks {
    let (reports, game) = (reports.clone(), game.clone());
    Box::new(move |below| report(&reports, DiskReport::Unpacked { game: game.clone(), below }))
}

fn commit(store: &Store, content: &Arc<GameContent>, origin: Option<&Origin>) -> DiskReport {
    let game = content.manifest().game();
    let committed = from_origin(store, game, origin, || store.commit(content).map_err(DiskError::from));
    DiskReport::Committed { game: game.clone(), result: committed.map(|stamp| CommittedGame { stamp }) }
}

/// Records the origin of a content, then runs `bring`, which puts the content in place. If `bring` fails, the record is
/// withdrawn.
fn from_origin<T>(
    store: &Store,
    game: &GameId,
    origin: Option<&Origin>,
    bring: impl FnOnce() -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    let Some(origin) = origin.filter(|_| !failpoint!("forget-origin")) else { return bring() };
    store.note_origin(game, origin)?;
    bring().inspect_err(|_| store.forget_origin(game, origin.content))
}

fn drop_incoming(store: &Store, game: &GameId, content: ContentId) {
    if let Err(error) = store.drop_incoming(game, content, failpoint!("discard-on-cancel")) {
        tracing::warn!(%game, %error, "what is left of a download could not be removed; the next start tries again");
    }
}

/// Starts scans, one at a time. Separate from [`Disk`], because the watch's thread has one, too.
#[derive(Clone)]
struct Scanner {
    store: Arc<Store>,
    reports: Reports,
    scans: Arc<Scans>,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
}

impl Scanner {
    fn request(&self) {
        self.scans.again.store(true, Ordering::SeqCst);
        if self.tasks.is_closed() || self.scans.running.swap(true, Ordering::SeqCst) {
            return;
        }
        let (store, reports, scans) = (self.store.clone(), self.reports.clone(), self.scans.clone());
        self.tasks.spawn_blocking_on(move || scan_until_quiet(&store, &reports, &scans), &self.runtime);
    }
}

/// Scans until no further scan is requested.
fn scan_until_quiet(store: &Store, reports: &Reports, scans: &Scans) {
    loop {
        while scans.again.swap(false, Ordering::SeqCst) {
            let changes = scans.changes.load(Ordering::SeqCst);
            let found = match store.scan() {
                Ok(scan) => DiskReport::Scanned(scan),
                Err(error) if error.is_gone() || failpoint!("unreadable-is-empty") => {
                    tracing::warn!(%error, "the games folder is gone");
                    DiskReport::Scanned(Scan::default())
                }
                Err(error) => DiskReport::ScanFailed { error: error.into() },
            };
            if scans.changes.load(Ordering::SeqCst) == changes {
                report(reports, found);
            } else {
                scans.again.store(true, Ordering::SeqCst);
            }
        }
        scans.running.store(false, Ordering::SeqCst);
        // A request between the end of the loop above and the store must not be lost.
        if !scans.again.load(Ordering::SeqCst) || scans.running.swap(true, Ordering::SeqCst) {
            return;
        }
    }
}
