//! Streamed installs: unpacked as verified chunks arrive, without the archive ever being on the disk as a whole.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use lanspread_core::install::plan_install;
use lanspread_core::stream::WINDOW_CHUNKS;
use lanspread_types::manifest::{LOCAL_FOLDER, SENTINEL};
use lanspread_types::{GameContent, RelPath, failpoint};

use crate::arriving::{Arrivals, ArrivingArchives, Passed};
use crate::cancel::Cancel;
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::install::{InstallError, explain};
use crate::scan::{local_entry, local_folder};
use crate::spool::Spool;
use crate::store::Store;
use crate::unpack::forward::unpack_forward;
use crate::unpack::gate;
use crate::unpack::staging::Staging;
use crate::unpack::{EntrySink, EntryWriter, UnpackError, UnpackLimits};

impl Store {
    /// Installs a game from its window, while chunks are put into it from elsewhere. Either all of it is there
    /// afterwards or nothing; the window is closed in any case. `passed` is told how far the unpacking has come.
    pub fn stream_install(
        &self,
        spool: &Arc<Spool>,
        cancel: &Cancel,
        passed: Passed,
    ) -> Result<(), InstallError> {
        let game = spool.content().manifest().game();
        let installed = self.stream_to_local(spool, cancel, passed);
        self.close_spool(game);
        if installed.is_ok() {
            self.leave_behind(spool.content());
            // What an earlier download has left is of no use to a game that is kept without its archives.
            if let Err(error) = files::delete_tree(&self.layout().incoming_of(game)) {
                tracing::warn!(%game, %error, "what is left of a download could not be deleted");
            }
        }
        installed
    }

    /// Faults on purpose: files of the game that a streamed install has no business with.
    fn leave_behind(&self, content: &GameContent) {
        let folder = self.layout().game(content.manifest().game());
        let leave = |name: &str, bytes: &[u8]| drop(std::fs::write(folder.join(name), bytes));
        if failpoint!("stream-keeps-archive") {
            leave("kept.eti", b"archive");
        }
        if failpoint!("stream-writes-sentinel") {
            leave(SENTINEL, content.manifest().version().to_string().as_bytes());
        }
        if failpoint!("stream-keeps-root-files") {
            leave("readme.txt", b"read me");
        }
    }

    fn stream_to_local(
        &self,
        spool: &Arc<Spool>,
        cancel: &Cancel,
        passed: Passed,
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
        self.run_install(game, &plan_install(), &mut |staging| {
            files::make_folders(staging, LOCAL_FOLDER)?;
            if failpoint!("stream-archive-for-a-moment") {
                let _ = std::fs::write(staging.join("whole.eti"), b"archive");
            }
            let filled = Staging::new(staging.join(LOCAL_FOLDER), 0, None);
            let reserve = reserved_bytes(self.layout().own());
            let others_need = || reserve;
            let mut sink = Roomy::new(filled, self.layout().own(), &others_need);
            let passed = passed.take().unwrap_or_else(|| Box::new(|_| {}));
            self.unpack_arriving(content, spool.clone(), &mut sink, cancel, passed)?;
            Ok(self.settle(game, content.manifest().version(), staging)?)
        })
    }

    /// Nothing packed takes less room unpacked, but for oddities; so this much is needed at the least.
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
    /// Unpacks all archives of a game, in order, as their chunks arrive. How much that will be shows only as they come,
    /// so it ends when it becomes more than archives of their size may hold.
    pub(crate) fn unpack_arriving(
        &self,
        content: &Arc<GameContent>,
        arrivals: Arc<dyn Arrivals>,
        sink: &mut Roomy<'_>,
        cancel: &Cancel,
        passed: Passed,
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
        let mut limits = UnpackLimits { output_bytes: allowed, ..UnpackLimits::default() };
        let mut archives = ArrivingArchives::new(Arc::clone(content), arrivals, cancel.clone(), passed);
        for (at, archive) in list {
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
        if cancel.is_cancelled() { Err(InstallError::Cancelled) } else { Ok(()) }
    }
}

/// What may be written without another look at the disk.
const ROOM_BYTES: u64 = 16 << 20;

/// A staging that begins no file for which there is no room: how large the whole will be is not known beforehand.
pub(crate) struct Roomy<'a> {
    staging: Staging,
    disk: &'a Path,
    /// Bytes that must stay free.
    others_need: &'a dyn Fn() -> u64,
    /// What was found free when last looked, at most [`ROOM_BYTES`], and not written since.
    room: u64,
    /// What was missing when a file was refused.
    missing: Cell<u64>,
}

impl<'a> Roomy<'a> {
    pub fn new(staging: Staging, disk: &'a Path, others_need: &'a dyn Fn() -> u64) -> Self {
        Self { staging, disk, others_need, room: 0, missing: Cell::new(0) }
    }

    /// Bytes written so far.
    pub fn done(&self) -> u64 {
        self.staging.done()
    }
}

impl EntrySink for Roomy<'_> {
    fn folder(&mut self, path: &RelPath) -> Result<(), Fault> {
        self.staging.folder(path)
    }

    fn file(
        &mut self,
        path: &RelPath,
        size: u64,
        modified: Option<SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault> {
        if size > self.room {
            let free = free_bytes(self.disk)?.saturating_sub((self.others_need)());
            if size > free {
                self.missing.set(size - free);
                return Err(Fault::new("write", path.as_str(), std::io::ErrorKind::StorageFull.into()));
            }
            self.room = free.min(size.max(ROOM_BYTES));
        }
        self.room -= size;
        self.staging.file(path, size, modified)
    }
}

/// Bytes of the disk that unpacking leaves free.
pub(crate) fn reserved_bytes(disk: &Path) -> u64 {
    match failpoint!("unpack-to-the-last-byte") {
        true => 0,
        // A disk that does not tell its size is unpacked to as before.
        false => fs4::total_space(disk).map_or(0, gate::reserve),
    }
}

fn free_bytes(disk: &Path) -> Result<u64, Fault> {
    fs4::available_space(disk).or_fault("ask for the free space of", disk)
}
