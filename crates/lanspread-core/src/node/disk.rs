//! Reports from the disk.

use lanspread_types::{GameId, failpoint};

use super::Node;
use crate::api::command::{CommandError, Reply};
use crate::api::event::Event;
use crate::io::{DiskError, DiskJob, DiskReport};
use crate::time::Time;

impl Node {
    pub(super) fn handle_disk(&mut self, now: Time, report: DiskReport) {
        match report {
            DiskReport::Scanned(scan) => self.scanned(scan),
            DiskReport::ScanFailed { error } => self.scan_failed(error),
            DiskReport::Indexed { game, stamp, result } => self.indexed(now, &game, stamp, result),
            DiskReport::IndexProgress { game, done, total } => {
                self.outbox.event(Event::IndexProgress { game, done, total });
            }
            DiskReport::IncomingOpened { game, result } => self.incoming_opened(now, &game, result),
            DiskReport::Committed { game, result } => self.committed(now, &game, result),
            DiskReport::IncomingDropped { game } => self.incoming_dropped(now, &game),
            DiskReport::ReuseProgress { game, done, total } => self.reuse_progress(&game, done, total),
            DiskReport::Reused { game, bytes } => self.reused(&game, bytes),
            DiskReport::VerifyProgress { game, done, total } => {
                self.operations.progress(&game, done, total);
                self.outbox.event(Event::VerifyProgress { game, done, total });
            }
            DiskReport::Verified { game, result } => self.verified(now, &game, result),
            DiskReport::FilesKept { game, kept } => self.outbox.event(Event::UserFilesKept { game, kept }),
            DiskReport::StartLookedAt { game, result } => self.start_looked_at(&game, result),
            DiskReport::Stamped { game, result } => self.stamped(&game, result),
            DiskReport::PlayEnded { game, played } => self.outbox.event(Event::PlayEnded { game, played }),
            DiskReport::UnpackProgress { game, done, total } => {
                self.operations.progress(&game, done, total);
                self.outbox.event(Event::InstallProgress { game, done, total });
            }
            DiskReport::Unpacked { game, below } => self.unpacked(now, &game, below),
            DiskReport::UnpackedAhead { .. } => {}
            DiskReport::StreamOpened { game, unneeded } => self.stream_opened(now, &game, unneeded),
            DiskReport::Streamed { game, result } => self.streamed(now, &game, result),
            DiskReport::Installed { game, result } => {
                if result.is_ok() {
                    self.library.set_installed(&game, true);
                }
                self.operation_ended(&game, result, |game, result| match result {
                    Ok(()) => Event::InstallFinished { game },
                    Err(error) => Event::InstallFailed { game, error },
                });
            }
            DiskReport::Uninstalled { game, result } => {
                if result.is_ok() && !failpoint!("uninstall-keeps-flag") {
                    self.library.set_installed(&game, false);
                }
                self.operation_ended(&game, result, |game, result| match result {
                    Ok(()) => Event::UninstallFinished { game },
                    Err(error) => Event::UninstallFailed { game, error },
                });
            }
            DiskReport::Removed { game, result } => {
                if result.is_ok() {
                    self.library.removed(&game);
                }
                self.operation_ended(&game, result, |game, result| match result {
                    Ok(()) => Event::RemoveFinished { game },
                    Err(error) => Event::RemoveFailed { game, error },
                });
            }
            DiskReport::Discarded { game, result } => {
                self.operation_ended(&game, result, |game, result| match result {
                    Ok(()) => Event::RemoveFinished { game },
                    Err(error) => Event::RemoveFailed { game, error },
                });
            }
            DiskReport::GamesDirChanged { result } => self.games_dir_changed(result),
        }
    }

    fn scanned(&mut self, mut scan: crate::io::Scan) {
        let before = self.library.ignored().to_vec();
        let fault = scan.fault.take();
        let changed = self.library.apply_scan(scan, &self.config.catalog, &self.operations.games());
        if self.library.scan_ended() {
            self.now_ready();
        } else if changed && self.library.ignored() != before {
            self.library_changed();
        }
        self.set_library_fault(fault);
        self.announce_library();
        self.hash_next();
    }

    fn now_ready(&mut self) {
        let games = self.library.downloaded_games();
        let (peer, name, addr) = (self.config.me, self.config.name.clone(), self.config.addr);
        self.outbox.event(Event::LocalPeerReady { peer, name, addr, games });
        self.library_changed();
    }

    /// Records the fault. The library as known so far stays.
    fn scan_failed(&mut self, error: DiskError) {
        if self.library.scan_ended() {
            self.now_ready();
        }
        self.set_library_fault(Some(error));
    }

    fn set_library_fault(&mut self, fault: Option<DiskError>) {
        if let Some(error) = self.library.set_fault(fault) {
            self.outbox.event(Event::LibraryUnreadable { error });
        }
    }

    fn hash_next(&mut self) {
        if self.is_stopping() {
            return;
        }
        if let Some((game, stamp)) = self.library.next_to_hash() {
            self.outbox.job(DiskJob::Index { game, stamp });
        }
    }

    fn indexed(
        &mut self,
        now: Time,
        game: &GameId,
        stamp: crate::io::FileStamp,
        result: Result<std::sync::Arc<lanspread_types::GameContent>, DiskError>,
    ) {
        let taken = self.library.indexed(game, stamp, &result);
        if let Err(error) = result {
            self.outbox.event(Event::IndexFailed { game: game.clone(), error });
        } else if !taken {
            // The files changed while they were hashed. The next scan sees them as they are now.
            self.outbox.job(DiskJob::Scan);
        }
        self.announce_soon(now);
        self.hash_next();
    }

    /// Ends an operation: first changes the state, then emits the event about it.
    pub(super) fn operation_ended(
        &mut self,
        game: &GameId,
        result: Result<(), DiskError>,
        event: impl FnOnce(GameId, Result<(), DiskError>) -> Event,
    ) {
        self.operations.end(game);
        self.announce_library();
        self.operations_changed();
        let failed = result.is_err();
        self.outbox.event(event(game.clone(), result));
        if failed && !self.is_stopping() {
            self.outbox.job(DiskJob::Scan);
        }
        self.stop_when_idle();
    }

    fn games_dir_changed(&mut self, result: Result<(), DiskError>) {
        let Some((id, path)) = self.pending.games_dir.take() else { return };
        if result.is_ok() {
            self.config.games_dir = path;
            self.library.clear();
            self.announce_library();
            self.outbox.job(DiskJob::Scan);
        }
        self.outbox.reply(id, result.map(|()| Reply::Done).map_err(CommandError::Disk));
    }
}
