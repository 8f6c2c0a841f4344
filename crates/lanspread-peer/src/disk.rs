//! The disk's jobs: each runs on a blocking thread and ends with one report to the loop.
//!
//! Owns which jobs run and how they are cancelled. What a job means is the store's concern.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lanspread_core::io::{CommittedGame, DiskError, DiskJob, DiskReport, Input, Scan};
use lanspread_core::trust::Origin;
use lanspread_store::{Cancel, Passed, RarUnpacker, Spool, Store, Watch};
use lanspread_types::{ContentId, GameContent, GameId, failpoint};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::upkeep;

/// Progress of hashing and unpacking is told at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Where jobs report to.
pub(crate) type Reports = mpsc::UnboundedSender<Input>;

/// Runs the disk's jobs.
#[derive(Debug)]
pub(crate) struct Disk {
    store: Arc<Store>,
    reports: Reports,
    tasks: TaskTracker,
    /// Tokens of the jobs that can be cancelled.
    cancels: HashMap<GameId, Cancel>,
    index_cancel: Cancel,
    scans: Arc<Scans>,
    /// Replaced together with the folder; what a late thread of the old folder puts in goes with it.
    watch: Arc<Mutex<Option<Watch>>>,
}

/// Keeps scans apart from the changes that jobs make.
#[derive(Debug, Default)]
struct Scans {
    running: AtomicBool,
    again: AtomicBool,
    /// Counts the changes made by jobs; a scan that one of them ran into is not to be trusted.
    changes: AtomicU64,
}

impl Disk {
    pub fn new(store: Arc<Store>, reports: Reports) -> Self {
        let mut disk = Self {
            store,
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

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Runs `work` on a blocking thread that the end of the peer waits for.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(work);
    }

    /// Waits for all jobs; those that can be are cancelled.
    pub async fn finish(mut self) {
        self.watch = Arc::default();
        self.index_cancel.cancel();
        self.cancels.values().for_each(Cancel::cancel);
        self.tasks.close();
        self.tasks.wait().await;
    }

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

    /// A token for the job that now runs on a game.
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

    /// What is unpacked ahead stands in the store before the job begins, so that no commit and no cancel overtakes it.
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
                let unneeded = Spool::unneeded(&content);
                report(reports, DiskReport::StreamOpened { game: game.clone(), unneeded });
                Ok(store.stream_install(&spool, &cancel, passed(reports, &game))?)
            });
            DiskReport::Streamed { game, result: streamed }
        });
    }

    /// Opening another folder is quick, and nothing else may run on the disk meanwhile, so it is done in place.
    fn change_games_dir(&mut self, path: PathBuf) {
        let result = match Store::open(&path) {
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

    /// Asks for scans whenever the folder changes, and for one when that begins, for what changed until then. Where
    /// watching is impossible (a network drive), the slow regular scan has to do. Setting up a watch for each of a
    /// thousand games takes a while, so nothing waits for it.
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
                    tracing::warn!(%error, "the games folder cannot be watched; changes are seen late");
                }
            }
        });
    }

    /// Scans the library; while a scan runs, asks for another one after it.
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

    fn report_from(&self, job: impl FnOnce(&Store, &Reports) -> DiskReport + Send + 'static) {
        let (store, reports) = (self.store.clone(), self.reports.clone());
        self.spawn(move || {
            let done = job(&store, &reports);
            report(&reports, done);
        });
    }

    /// A job that changes game folders: scans that it ran into are done again.
    fn change(&self, job: impl FnOnce(&Store, &Reports) -> DiskReport + Send + 'static) {
        let scans = self.scans.clone();
        self.report_from(move |store, reports| {
            let done = job(store, reports);
            scans.changes.fetch_add(1, Ordering::SeqCst);
            done
        });
    }
}

pub(crate) fn report(reports: &Reports, report: DiskReport) {
    // The loop has ended: nobody wants to know.
    let _ = reports.send(Input::Disk(report));
}

/// Tells the loop how far archives are unpacked.
fn passed(reports: &Reports, game: &GameId) -> Passed {
    let (reports, game) = (reports.clone(), game.clone());
    Box::new(move |below| report(&reports, DiskReport::Unpacked { game: game.clone(), below }))
}

fn commit(store: &Store, content: &Arc<GameContent>, origin: Option<&Origin>) -> DiskReport {
    let game = content.manifest().game();
    let committed = from_origin(store, game, origin, || store.commit(content).map_err(DiskError::from));
    DiskReport::Committed { game: game.clone(), result: committed.map(|stamp| CommittedGame { stamp }) }
}

/// Brings a content here, whose origin is recorded before. If that fails, the record is taken back.
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

/// Starts scans, one at a time. The watcher has one, too, so it is apart from the loop.
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

fn scan_until_quiet(store: &Store, reports: &Reports, scans: &Scans) {
    loop {
        while scans.again.swap(false, Ordering::SeqCst) {
            let changes = scans.changes.load(Ordering::SeqCst);
            let found = match store.scan() {
                Ok(scan) => DiskReport::Scanned(scan),
                Err(error) if error.is_gone() || failpoint!("unreadable-is-empty") => {
                    tracing::warn!(%error, "there is no library any more");
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
        // A request that came between the last look and the line above must not be lost.
        if !scans.again.load(Ordering::SeqCst) || scans.running.swap(true, Ordering::SeqCst) {
            return;
        }
    }
}

/// Passes on a figure now and then, and always the last one.
pub(crate) struct Throttled<F: FnMut(u64, u64)> {
    tell: F,
    told: Option<Instant>,
}

impl<F: FnMut(u64, u64)> Throttled<F> {
    pub fn new(tell: F) -> Self {
        Self { tell, told: Some(Instant::now()) }
    }

    pub fn tell(&mut self, done: u64, total: u64) {
        if done == total || self.told.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            self.told = Some(Instant::now());
            (self.tell)(done, total);
        }
    }
}
