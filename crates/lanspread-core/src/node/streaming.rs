//! Streamed installs, and reports about archives that are unpacked while they arrive.
//!
//! A streamed install has a window of chunks instead of a place on disk. As the unpacker advances, the window moves,
//! old chunks are dropped, and the swarm may ask for newer ones.

use lanspread_types::{ChunkIndex, ChunkSet, GameId, failpoint};

use super::Node;
use crate::api::command::{CommandError, CommandId, OperationKind};
use crate::api::event::Event;
use crate::download::{Download, Ending, Phase, Transfer, archive_bytes_below};
use crate::io::{DiskError, DiskJob};
use crate::library::LocalGame;
use crate::stream_window::STREAMS_MAX;
use crate::swarm::Picker;
use crate::time::Time;

impl Node {
    pub(super) fn stream_install(&mut self, now: Time, id: CommandId, game: &GameId) {
        let local = self.library.get(game);
        let checked =
            self.check_command(game).and_then(|()| self.check_name(game)).and_then(|()| match local {
                Some(local) if local.installed && !failpoint!("stream-over-installed") => {
                    Err(CommandError::AlreadyInstalled { game: game.clone() })
                }
                // Its archives are here already, so streaming would save nothing.
                Some(local) if local.downloaded() && !failpoint!("stream-over-downloaded") => {
                    Err(CommandError::AlreadyDownloaded { game: game.clone() })
                }
                _ if self.downloads.iter().filter(|download| download.stream).count() >= STREAMS_MAX => {
                    Err(CommandError::Busy)
                }
                _ => Ok(()),
            });
        if let Err(error) = checked {
            return self.outbox.reply(id, Err(error));
        }
        let new = |content, version| Download::new(game.clone(), version, content, true, now).streamed();
        let version = self.wanted_version(game);
        let chosen = self.choose_content(game, version);
        self.start_download(now, id, game, OperationKind::Streaming, (version, chosen), new);
    }

    /// Begins to download chunks into the window that the disk has prepared.
    pub(super) fn stream_opened(&mut self, now: Time, game: &GameId, unneeded: ChunkSet) {
        let Some(download) = self.downloads.get(game) else { return };
        let Phase::Opening(content) = &download.phase else { return };
        let (content, have_interval) = (content.clone(), self.downloads.tuning.have_interval);
        let picker = Picker::new(
            content.clone(),
            unneeded.clone(),
            self.rng.next_u64(),
            self.downloads.tuning.clone(),
        );
        let mut transfer = Transfer::streamed(content, picker, unneeded, have_interval, now);
        if let Some(window) = &transfer.window {
            transfer.picker.set_limit(window.asks_below());
        }
        self.outbox.event(Event::InstallBegin { game: game.clone() });
        self.begin_transfer(now, game, transfer);
    }

    /// Moves the window of a streamed install: the unpacker has passed all chunks below `below`.
    pub(super) fn unpacked(&mut self, now: Time, game: &GameId, below: ChunkIndex) {
        let Some(transfer) = self.downloads.transfer_mut(game) else {
            return self.unpacked_rest(game, below);
        };
        transfer.unpacked_below = Some(below);
        let Some(window) = &mut transfer.window else { return };
        window.passed(below);
        transfer.picker.set_limit(window.asks_below());
        let keep = window.keeps_from();
        self.outbox.job(DiskJob::DropChunks { game: game.clone(), below: keep });
        self.pump_downloads(now);
    }

    /// Reports the progress of an install whose download is already complete.
    fn unpacked_rest(&mut self, game: &GameId, below: ChunkIndex) {
        if self.operations.kind(game) != Some(OperationKind::Installing) {
            return;
        }
        let Some(content) = self.library.get(game).and_then(LocalGame::content) else { return };
        let all = ChunkIndex(content.manifest().chunk_count());
        let (done, total) = (archive_bytes_below(content, below), archive_bytes_below(content, all));
        self.operations.progress(game, done, total);
        self.outbox.event(Event::InstallProgress { game: game.clone(), done, total });
    }

    /// Ends a streamed install. Nothing of its window is left on the disk.
    pub(super) fn streamed(&mut self, now: Time, game: &GameId, result: Result<(), DiskError>) {
        let Some(download) = self.downloads.get(game) else { return };
        let ending = match &download.phase {
            Phase::Dropping(ending) => Some(ending.clone()),
            _ => None,
        };
        match (result, ending) {
            // A cancellation that came too late changes nothing: the game is installed.
            (Ok(()), _) => self.stream_done(now, game, Ok(())),
            (Err(_), Some(ending)) => self.finish_download(now, game, ending),
            (Err(DiskError::Cancelled), None) => self.finish_download(now, game, Ending::Cancelled),
            (Err(error), None) => self.stream_done(now, game, Err(error)),
        }
    }

    fn stream_done(&mut self, now: Time, game: &GameId, result: Result<(), DiskError>) {
        let Some(download) = self.downloads.remove(game) else { return };
        if download.transfer().is_some() {
            self.downloads.withdraw(game, download.content, &self.roster, &mut self.outbox);
            self.uploads.uplink.content_gone(&download.content);
        }
        if result.is_ok() {
            self.library.streamed(game);
            if let Some(transfer) = download.transfer()
                && failpoint!("offer-streamed")
            {
                self.library.downloaded(&transfer.content, crate::io::FileStamp::default());
            }
        }
        self.operation_ended(game, result, |game, result| match result {
            Ok(()) => Event::InstallFinished { game },
            Err(error) => Event::InstallFailed { game, error },
        });
        self.pump_uplink(now);
        self.pump_downloads(now);
    }
}
