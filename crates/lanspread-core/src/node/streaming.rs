//! Streamed installs, and what the disk says of archives that are unpacked while they arrive.

use lanspread_types::{ChunkIndex, ChunkSet, GameId, failpoint};

use super::Node;
use crate::command::{CommandError, CommandId, OperationKind};
use crate::event::Event;
use crate::fetch::{Ending, Fetch, Phase, Transfer, archive_bytes_below};
use crate::io::{DiskError, DiskJob};
use crate::library::LocalGame;
use crate::stream::STREAMS_MAX;
use crate::swarm::Download;
use crate::time::Time;

impl Node {
    pub(super) fn stream_install(&mut self, now: Time, id: CommandId, game: &GameId) {
        let local = self.library.get(game);
        let checked =
            self.check_command(game).and_then(|()| self.check_name(game)).and_then(|()| match local {
                Some(local) if local.installed && !failpoint!("stream-over-installed") => {
                    Err(CommandError::AlreadyInstalled { game: game.clone() })
                }
                // Its archives are here already: there is nothing to save by fetching them once more.
                Some(local) if local.downloaded() && !failpoint!("stream-over-downloaded") => {
                    Err(CommandError::AlreadyDownloaded { game: game.clone() })
                }
                _ if self.fetches.values().filter(|fetch| fetch.stream).count() >= STREAMS_MAX => {
                    Err(CommandError::Busy)
                }
                _ => Ok(()),
            });
        if let Err(error) = checked {
            return self.reply(id, Err(error));
        }
        let new = |content, version| Fetch::new(game.clone(), version, content, true, now).streamed();
        let version = self.wanted_version(game);
        let chosen = self.choose_content(game, version);
        self.start_fetch(now, id, game, OperationKind::Streaming, (version, chosen), new);
    }

    /// The window is there: the swarm may fill it.
    pub(super) fn stream_opened(&mut self, now: Time, game: &GameId, unneeded: ChunkSet) {
        let Some(fetch) = self.fetches.get(game) else { return };
        let Phase::Opening(content) = &fetch.phase else { return };
        let (content, have_interval) = (content.clone(), self.tuning.have_interval);
        let swarm =
            Download::new(content.clone(), unneeded.clone(), self.rng.next_u64(), self.tuning.clone());
        let mut transfer = Transfer::streamed(content, swarm, unneeded, have_interval, now);
        if let Some(window) = &transfer.window {
            transfer.swarm.set_limit(window.asks_below());
        }
        self.event(Event::InstallBegin { game: game.clone() });
        self.begin_transfer(now, game, transfer);
    }

    /// The unpacker has come so far. The window of a streamed install moves along.
    pub(super) fn unpacked(&mut self, now: Time, game: &GameId, below: ChunkIndex) {
        let Some(transfer) = self.fetches.get_mut(game).and_then(Fetch::transfer_mut) else {
            return self.unpacked_rest(game, below);
        };
        transfer.unpacked_below = Some(below);
        let Some(window) = &mut transfer.window else { return };
        window.passed(below);
        transfer.swarm.set_limit(window.asks_below());
        let keep = window.keeps_from();
        self.job(DiskJob::DropChunks { game: game.clone(), below: keep });
        self.pump_fetches(now);
    }

    /// The download is complete, the unpacker not yet: that is the install.
    fn unpacked_rest(&mut self, game: &GameId, below: ChunkIndex) {
        if self.operations.kind(game) != Some(OperationKind::Installing) {
            return;
        }
        let Some(content) = self.library.get(game).and_then(LocalGame::content) else { return };
        let all = ChunkIndex(content.manifest().chunk_count());
        let (done, total) = (archive_bytes_below(content, below), archive_bytes_below(content, all));
        self.operations.progress(game, done, total);
        self.event(Event::InstallProgress { game: game.clone(), done, total });
    }

    /// A streamed install has ended, and nothing of its window is left.
    pub(super) fn streamed(&mut self, now: Time, game: &GameId, result: Result<(), DiskError>) {
        let Some(fetch) = self.fetches.get(game) else { return };
        let ending = match &fetch.phase {
            Phase::Dropping(ending) => Some(ending.clone()),
            _ => None,
        };
        match (result, ending) {
            // A wish to stop that came too late changes nothing: the game is there.
            (Ok(()), _) => self.stream_done(now, game, Ok(())),
            (Err(_), Some(ending)) => self.finish_fetch(now, game, ending),
            (Err(DiskError::Cancelled), None) => self.finish_fetch(now, game, Ending::Cancelled),
            (Err(error), None) => self.stream_done(now, game, Err(error)),
        }
    }

    fn stream_done(&mut self, now: Time, game: &GameId, result: Result<(), DiskError>) {
        let Some(fetch) = self.fetches.remove(game) else { return };
        if fetch.transfer().is_some() {
            self.forget_requests(game);
            self.not_interested(fetch.content);
            self.uplink.content_gone(&fetch.content);
        }
        if result.is_ok() {
            self.library.streamed(game);
            if let Some(transfer) = fetch.transfer()
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
        self.pump_fetches(now);
    }
}
