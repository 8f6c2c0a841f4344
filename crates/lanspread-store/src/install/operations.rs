//! Installing, uninstalling and removing games.
//!
//! This module checks what may be done and unpacks the archives; the plans come from `lanspread_core::install`. Each
//! operation happens completely or not at all. Installing and uninstalling keep the downloaded files; removing those
//! keeps the installed game.

use std::fs::{self, File};
use std::path::Path;

use lanspread_core::install::{
    Area, Intent, Plan, Record, plan_install, plan_install_unpacked, plan_remove, plan_uninstall,
};
use lanspread_types::limits::GAME_BYTES_MAX;
use lanspread_types::manifest::{LOCAL_FOLDER, SENTINEL, is_archive};
use lanspread_types::{GameId, GameVersion, RelPath, failpoint};

use crate::archive::unpack::gate;
use crate::archive::unpack::staging::Staging;
use crate::archive::unpack::{UnpackError, UnpackLimits, Unpacker};
use crate::change::execute::{Executor, Stuck, no_unpack};
use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::install::ahead::AheadOutcome;
use crate::install::errors::{InstallError, RemoveError, UninstallError, explain};
use crate::install::space::{SpaceCheckedSink, reserved_bytes};
use crate::library::index::GameIndex;
use crate::library::scan::{local_entry, local_folder, read_sentinel};
use crate::library::walk::servable_files;
use crate::store::Store;

impl Store {
    /// Notes that the owner allows the game's archives to unpack to `bytes` bytes. Valid until they are installed.
    pub fn allow_unpacked(&self, game: &GameId, bytes: u64) {
        self.consents().insert(game.clone(), bytes);
    }

    /// Returns the bytes that a game's archives of `packed` bytes may unpack to.
    pub(crate) fn allowed_to_unpack(&self, game: &GameId, packed: u64) -> u64 {
        if failpoint!("unpack-anything") {
            return GAME_BYTES_MAX;
        }
        gate::allowed(packed, self.consents().get(game).copied().unwrap_or(0))
    }

    /// Unpacks the game's archives in order and installs everything or nothing. Where archives overlap, the later one
    /// wins.
    ///
    /// `progress` is given the bytes unpacked and the bytes in total. It is called often, so the caller should throttle
    /// it.
    pub fn install(
        &self,
        game: &GameId,
        unpacker: &dyn Unpacker,
        cancel: &Cancel,
        progress: Box<dyn FnMut(u64, u64)>,
    ) -> Result<(), InstallError> {
        let _change = self.begin_change(game)?;
        let folder = self.layout().game(game);
        if read_sentinel(&folder).is_err() {
            return Err(InstallError::NotDownloaded(game.clone()));
        }
        match local_entry(&folder)? {
            Some(_) if local_folder(&folder)?.is_some() => {
                return Err(InstallError::AlreadyInstalled(game.clone()));
            }
            Some(name) => return Err(InstallError::Blocked { game: game.clone(), name }),
            None => {}
        }
        let plan = match self.await_ahead(game, cancel) {
            None | Some(AheadOutcome::GivenUp) => plan_install(),
            Some(AheadOutcome::Unpacked) => plan_install_unpacked(),
            Some(AheadOutcome::Failed(error)) => return Err(error),
        };
        // The version that is installed now has its files in the game's folder.
        self.forget_streamed_files(game);
        if cancel.is_cancelled() {
            files::delete_tree(&self.layout().area(game, Area::Staging))?;
            return Err(InstallError::Cancelled);
        }
        if plan == plan_install_unpacked()
            && let Ok(version) = read_sentinel(&folder)
        {
            self.settle(game, version, &self.layout().area(game, Area::Staging))?;
        }
        let mut job = Unpacking::new(self, game, unpacker, cancel, progress);
        self.run_install(game, &plan, &mut |staging| job.unpack(&folder, staging))
    }

    /// Prepares a filled staging folder to be shown: syncs it, because one rename makes all of it visible, and notes
    /// what was installed.
    pub(crate) fn settle(&self, game: &GameId, version: GameVersion, staging: &Path) -> Result<(), Fault> {
        files::sync_tree(staging)?;
        self.note_installed_content(game, version, &staging.join(LOCAL_FOLDER))?;
        self.note_installed(game, version, &staging.join(LOCAL_FOLDER))
    }

    /// Executes an install plan. Afterwards everything is installed, or nothing.
    pub(crate) fn run_install(
        &self,
        game: &GameId,
        plan: &Plan,
        unpack: &mut dyn FnMut(&Path) -> Result<(), InstallError>,
    ) -> Result<(), InstallError> {
        let record = Record { game: game.clone(), intent: Intent::Install };
        let executor = Executor::new(self.layout(), &record);
        match executor.run(plan, unpack) {
            Ok(()) | Err(Stuck { committed: true, .. }) => {
                self.consents().remove(game);
                self.tidy_notes(game);
                Ok(())
            }
            Err(Stuck { committed: false, error }) => {
                // Return the reason for the failed install, not for failed tidying up, which the next start repeats.
                let _ = executor.recover();
                Err(error)
            }
        }
    }

    /// Deletes the installed game. The downloaded files stay.
    pub fn uninstall(&self, game: &GameId) -> Result<(), UninstallError> {
        let _change = self.begin_change(game)?;
        let local = local_folder(&self.layout().game(game))?.and_then(|name| RelPath::new(name).ok());
        let local = local.ok_or_else(|| UninstallError::NotInstalled(game.clone()))?;
        if failpoint!("uninstall-event-only") {
            return Ok(());
        }
        let plan = plan_uninstall(&local);
        let record = Record { game: game.clone(), intent: Intent::Uninstall { folder: local } };
        let executor = Executor::new(self.layout(), &record);
        match executor.run(&plan, &mut no_unpack::<Fault>) {
            Ok(()) | Err(Stuck { committed: true, .. }) => {
                self.tidy_notes(game);
                self.forget_streamed_files(game);
                Ok(())
            }
            Err(Stuck { committed: false, error }) => {
                let _ = executor.recover();
                Err(error.into())
            }
        }
    }

    /// Deletes the downloaded files. The installed game stays.
    pub fn remove(&self, game: &GameId) -> Result<(), RemoveError> {
        let _change = self.begin_change(game)?;
        let folder = self.layout().game(game);
        if !self.has_folder(game) || !files::is_there(&folder.join(SENTINEL)) {
            return Err(RemoveError::NotDownloaded(game.clone()));
        }
        let known = GameIndex::load(self.layout(), game)?.downloaded_paths();
        let files = match known {
            // Only downloaded files are deleted; the user's files beside them stay.
            Some(paths) => paths.into_iter().filter(|p| files::is_there(&p.to_path(&folder))).collect(),
            None => {
                let found = servable_files(&folder);
                let unreadable = |reason| RemoveError::Unreadable { game: game.clone(), reason };
                let found = found.map_err(|e| unreadable(e.to_string()))?;
                found.into_iter().map(|f| f.path).collect::<Vec<RelPath>>()
            }
        };
        let plan = plan_remove(&files);
        let record = Record { game: game.clone(), intent: Intent::Remove { files } };
        let executor = Executor::new(self.layout(), &record);
        executor.run(&plan, &mut no_unpack::<Fault>).map_err(|stuck| stuck.error)?;
        GameIndex::forget(self.layout(), game)?;
        Ok(())
    }
}

/// One run of unpacking the archives of a game.
pub(crate) struct Unpacking<'a> {
    store: &'a Store,
    game: &'a GameId,
    unpacker: &'a dyn Unpacker,
    cancel: &'a Cancel,
    /// Taken when unpacking starts.
    progress: Option<Box<dyn FnMut(u64, u64)>>,
}

impl<'a> Unpacking<'a> {
    /// Prepares to unpack the archives of `game`.
    pub fn new(
        store: &'a Store,
        game: &'a GameId,
        unpacker: &'a dyn Unpacker,
        cancel: &'a Cancel,
        progress: Box<dyn FnMut(u64, u64)>,
    ) -> Self {
        Self { store, game, unpacker, cancel, progress: Some(progress) }
    }

    /// Fills the staging folder from the archives in `folder`, and notes what was installed.
    pub fn unpack(&mut self, folder: &Path, staging: &Path) -> Result<(), InstallError> {
        self.unpack_all(folder, staging)?;
        match read_sentinel(folder) {
            Ok(version) => Ok(self.store.settle(self.game, version, staging)?),
            Err(_) => Ok(files::sync_tree(staging)?),
        }
    }

    fn unpack_all(&mut self, folder: &Path, staging: &Path) -> Result<(), InstallError> {
        let archives = archives_in(folder)?;
        if archives.is_empty() {
            return Err(InstallError::NoArchives(self.game.clone()));
        }
        let mut limits = UnpackLimits::default();
        let (mut packed, mut total) = (0u64, 0u64);
        for archive in &archives {
            let source = open(folder, archive)?;
            packed = packed.saturating_add(source.metadata().map_or(0, |metadata| metadata.len()));
            let listing =
                self.unpacker.list(source, &limits, self.cancel).map_err(|e| explain(archive, e))?;
            total = total.saturating_add(listing.bytes);
        }
        let allowed = self.store.allowed_to_unpack(self.game, packed);
        if total > allowed {
            return Err(InstallError::Large { packed, unpacked: total });
        }
        limits.output_bytes = allowed;
        self.check_space(staging, total)?;
        files::make_folders(staging, LOCAL_FOLDER)?;
        let filled = Staging::new(staging.join(LOCAL_FOLDER), total, self.progress.take());
        let own = self.store.layout().own();
        let reserve = reserved_bytes(own);
        let others_need = || reserve;
        let mut sink = SpaceCheckedSink::new(filled, own, &others_need);
        for archive in &archives {
            let source = open(folder, archive)?;
            let done = self.unpacker.unpack(source, &mut sink, &limits, self.cancel);
            if matches!(done, Err(UnpackError::Damaged { .. })) && failpoint!("install-skips-checksum") {
                continue;
            }
            let summary = done.map_err(|e| match explain(archive, e) {
                InstallError::Full { .. } => {
                    let free = fs4::available_space(staging).unwrap_or(0).saturating_sub(reserve);
                    InstallError::Full { missing: total.saturating_sub(sink.done() + free).max(1) }
                }
                error => error,
            })?;
            limits.output_bytes = limits.output_bytes.saturating_sub(summary.bytes);
            limits.entries = limits.entries.saturating_sub(summary.files + summary.folders);
        }
        if self.cancel.is_cancelled() {
            return Err(InstallError::Cancelled);
        }
        Ok(())
    }

    fn check_space(&self, staging: &Path, total: u64) -> Result<(), InstallError> {
        let disk = self.store.layout().own();
        let free = fs4::available_space(disk).or_fault("ask for the free space of", staging)?;
        match (total + reserved_bytes(disk)).saturating_sub(free) {
            0 => Ok(()),
            missing => Err(InstallError::Full { missing }),
        }
    }
}

fn open(folder: &Path, archive: &RelPath) -> Result<Box<File>, Fault> {
    let path = archive.to_path(folder);
    File::open(&path).map(Box::new).or_fault("open", &path)
}

/// Returns the archives directly in a game's folder, in unpacking order.
fn archives_in(folder: &Path) -> Result<Vec<RelPath>, Fault> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(folder).or_fault("read the folder", folder)? {
        let entry = entry.or_fault("read the folder", folder)?;
        let is_file = entry.file_type().is_ok_and(|t| t.is_file());
        let name = entry.file_name().into_string().ok().and_then(|n| RelPath::new(n).ok());
        archives.extend(name.filter(|path| is_file && is_archive(path)));
    }
    archives.sort();
    if archives.len() > 1 && failpoint!("install-unsorted") {
        archives.reverse();
    }
    Ok(archives)
}
