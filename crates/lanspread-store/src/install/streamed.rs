//! Streamed installs: archives are unpacked as verified chunks arrive, and are never completely on disk.
//!
//! Also used to unpack a download ahead. This module checks the space and the limits; the window is the core's
//! decision, the chunks are in a spool or a download. Everything is installed, or nothing.

use std::sync::Arc;

use lanspread_core::install::plan_install;
use lanspread_core::stream_window::WINDOW_CHUNKS;
use lanspread_types::limits::GAME_BYTES_MAX;
use lanspread_types::manifest::LOCAL_FOLDER;
use lanspread_types::{GameContent, failpoint};

use crate::archive::unpack::forward::unpack_forward;
use crate::archive::unpack::staging::Staging;
use crate::archive::unpack::{UnpackError, UnpackLimits};
use crate::download::arriving::{Arrivals, ArrivingArchives, ReleasedChunks};
use crate::download::spool::Spool;
use crate::fs::cancel::Cancel;
use crate::fs::files;
use crate::install::errors::{InstallError, explain};
use crate::install::space::{SpaceCheckedSink, free_bytes, reserved_bytes};
use crate::install::streamed_files::StreamedFiles;
use crate::library::scan::{local_entry, local_folder};
use crate::store::Store;

impl Store {
    /// Installs a game from its spool while other threads fill it. Afterwards everything is installed, or nothing.
    ///
    /// The spool is closed in either case. `passed` learns which chunks are no longer needed.
    pub fn stream_install(
        &self,
        spool: &Arc<Spool>,
        cancel: &Cancel,
        passed: ReleasedChunks,
    ) -> Result<(), InstallError> {
        let game = spool.content().manifest().game();
        let installed = self.stream_to_local(spool, cancel, passed);
        self.close_spool(game);
        match installed {
            // The files of the game that is installed already stay.
            Ok(()) | Err(InstallError::AlreadyInstalled(_)) => {}
            Err(_) => self.forget_streamed_files(game),
        }
        if installed.is_ok() {
            failpoint!("stream-keeps-archive", crate::sabotage::leave(&self.layout().game(game), "kept.eti"));
            failpoint!(
                "stream-keeps-root-files",
                crate::sabotage::leave(&self.layout().game(game), "readme.txt")
            );
            failpoint!(
                "stream-writes-sentinel",
                crate::sabotage::leave_sentinel(self.layout(), spool.content())
            );
            // Chunks of an earlier download are useless for a game that is kept without its archives.
            if let Err(error) = files::delete_tree(&self.layout().incoming_of(game)) {
                tracing::warn!(%game, %error, "what is left of a download could not be deleted");
            }
        }
        installed
    }

    fn stream_to_local(
        &self,
        spool: &Arc<Spool>,
        cancel: &Cancel,
        passed: ReleasedChunks,
    ) -> Result<(), InstallError> {
        let content = spool.content();
        let game = content.manifest().game();
        let _change = self.begin_change(game)?;
        let folder = self.layout().game(game);
        match local_entry(&folder)? {
            Some(_) if local_folder(&folder)?.is_some() => {
                return Err(InstallError::AlreadyInstalled(game.clone()));
            }
            Some(name) => return Err(InstallError::Blocked { game: game.clone(), name }),
            None => {}
        }
        self.check_room(content)?;
        let mut passed = Some(passed);
        let mut beside = self.begin_streamed_files(content)?;
        self.run_install(game, &plan_install(), &mut |staging| {
            files::make_folders(staging, LOCAL_FOLDER)?;
            failpoint!("stream-archive-for-a-moment", crate::sabotage::leave(staging, "whole.eti"));
            let filled = Staging::new(staging.join(LOCAL_FOLDER), 0, None);
            let reserve = reserved_bytes(self.layout().own());
            let others_need = || reserve;
            let mut sink = SpaceCheckedSink::new(filled, self.layout().own(), &others_need);
            let passed = passed.take().unwrap_or_else(|| Box::new(|_| {}));
            self.unpack_arriving(content, spool.clone(), &mut sink, cancel, passed, &mut beside)?;
            Ok(self.settle(game, content.manifest().version(), staging)?)
        })
    }

    /// Checks for the least space that the install needs. Unpacked size is almost never smaller than packed size.
    fn check_room(&self, content: &GameContent) -> Result<(), InstallError> {
        let manifest = content.manifest();
        let packed: u64 = manifest.archives().map(|file| file.size).sum();
        let window = packed.min(u64::from(WINDOW_CHUNKS) * manifest.chunk_size().bytes());
        let needed = packed + window + reserved_bytes(self.layout().own());
        match needed.saturating_sub(free_bytes(self.layout().own())?) {
            0 => Ok(()),
            missing => Err(InstallError::Full { missing }),
        }
    }
}

impl Store {
    /// Unpacks all archives of a game in order, as their chunks arrive. Their unpacked size only becomes known on the
    /// way, so unpacking stops once it exceeds what archives of their size may unpack to. `beside` takes its files on the
    /// way.
    pub(crate) fn unpack_arriving(
        &self,
        content: &Arc<GameContent>,
        arrivals: Arc<dyn Arrivals>,
        sink: &mut SpaceCheckedSink<'_>,
        cancel: &Cancel,
        passed: ReleasedChunks,
        beside: &mut StreamedFiles,
    ) -> Result<(), InstallError> {
        let game = content.manifest().game();
        let mut list = ArrivingArchives::list(content);
        if list.len() > 1 && failpoint!("unpack-unsorted") {
            list.reverse();
        }
        if list.len() > 1 && failpoint!("stream-first-archive-only") {
            list.truncate(1);
        }
        if list.is_empty() {
            return Err(InstallError::NoArchives(game.clone()));
        }
        let packed = content.manifest().archives().map(|file| file.size).sum();
        let allowed = self.allowed_to_unpack(game, packed);
        let allowed = if failpoint!("stream-anything") { GAME_BYTES_MAX } else { allowed };
        let mut limits = UnpackLimits { output_bytes: allowed, ..UnpackLimits::default() };
        let mut archives = ArrivingArchives::new(Arc::clone(content), arrivals, cancel.clone(), passed);
        for (at, archive) in list {
            beside.take(Some(at), &mut archives, content, cancel)?;
            let unpacked = unpack_forward(archives.open(at), sink, &limits, cancel);
            if matches!(unpacked, Err(UnpackError::Damaged { .. })) && failpoint!("skip-archive-checksum") {
                continue;
            }
            let summary = unpacked.map_err(|error| match (sink.missing.get(), error) {
                (0, UnpackError::Large { bytes }) => {
                    InstallError::Large { packed, unpacked: allowed - limits.output_bytes + bytes }
                }
                (0, error) => explain(&archive, error),
                (missing, _) => InstallError::Full { missing },
            })?;
            limits.output_bytes = limits.output_bytes.saturating_sub(summary.bytes);
            limits.entries = limits.entries.saturating_sub(summary.files + summary.folders);
        }
        beside.take(None, &mut archives, content, cancel)?;
        if cancel.is_cancelled() { Err(InstallError::Cancelled) } else { Ok(()) }
    }
}
