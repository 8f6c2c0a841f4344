//! Care for games that are here: reinstalling after an update, verification and repair, and play.

use lanspread_types::{ContentId, GameId, GameVersion, failpoint};

use super::Node;
use crate::agreement::Agreed;
use crate::api::command::{CommandError, CommandId, OperationKind, Reply};
use crate::api::event::{Event, Repair, Verdict};
use crate::download::{Download, Phase};
use crate::io::{DiskError, DiskJob, Play, Stamped, StartInfo, VerifiedGame};
use crate::library::LocalGame;
use crate::time::Time;

/// Language that is stamped into a game if the command names none.
const LANGUAGE: &str = "english";

impl Node {
    // ---- what is installed

    /// Returns the job that installs the downloaded version, if it is not the installed one. A game whose installed
    /// version is unknown is left alone, unless a download has just replaced the version beside it (`updated`).
    pub(super) fn install_due(&self, game: &GameId, updated: bool) -> Option<DiskJob> {
        let local = self.library.get(game).filter(|l| l.downloaded())?;
        let game = game.clone();
        if !local.installed {
            return Some(DiskJob::Install { game });
        }
        let other = local.installed_version.map_or(updated, |version| Some(version) != local.version);
        (other && !failpoint!("never-reinstall")).then_some(DiskJob::Reinstall { game })
    }

    /// Returns true if the copy that is here is the wanted one and not known to be damaged. A pinned content counts
    /// more than the version number.
    pub(super) fn is_here(&self, game: &GameId, version: Option<GameVersion>) -> bool {
        let Some(local) = self.library.get(game).filter(|l| l.downloaded()) else { return false };
        let pinned = self.config.catalog.entry(game).and_then(|e| e.content);
        let other_content = pinned.zip(self.library.content_of(game)).is_some_and(|(p, here)| p != here);
        local.version == version && !other_content && !local.is_damaged()
    }

    // ---- verification

    /// Starts a verification of a downloaded game. With `repair`, broken parts are downloaded afterwards.
    pub(super) fn verify(&mut self, id: CommandId, game: &GameId, repair: bool) {
        let checked = self.check_command(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if checked.is_ok() {
            if repair {
                self.pending.repairs.insert(game.clone());
            }
            self.operations.start(game, OperationKind::Verifying);
            self.operations_changed();
            self.outbox.event(Event::VerifyBegin { game: game.clone() });
            self.outbox.job(DiskJob::Verify { game: game.clone() });
        }
        self.outbox.reply(id, checked.map(|()| Reply::Done));
    }

    /// Reports what is broken, withdraws it and, if that was asked for, repairs it by an ordinary download of the same
    /// content, which takes all intact chunks from the copy that is here.
    pub(super) fn verified(&mut self, now: Time, game: &GameId, result: Result<VerifiedGame, DiskError>) {
        let wanted = self.pending.repairs.remove(game);
        self.operations.end(game);
        let verified = match result {
            Ok(verified) => verified,
            Err(error) => {
                self.operations_changed();
                self.outbox.event(Event::VerifyFailed { game: game.clone(), error });
                return self.stop_when_idle();
            }
        };
        let manifest = verified.content.manifest();
        let (here, version) = (verified.content.content_id(), manifest.version());
        let room = self.room_content(game, version, here);
        let room_has = room.as_ref().map(|agreed| agreed.content).filter(|content| *content != here);
        let broken = !verified.broken.is_empty();
        if broken && !failpoint!("offer-what-is-broken") {
            self.library.set_damaged(game);
            self.announce_library();
            self.uploads.content_gone(&here);
            self.pump_uplink(now);
        }
        let origin = room.as_ref().filter(|agreed| agreed.content != here);
        let origin = origin.map(|agreed| self.origin_of(game, agreed));
        let source = self.repair_from(game, here, version, room);
        let repair = match source {
            _ if !broken && room_has.is_none() => Repair::NotNeeded,
            _ if !wanted || self.is_stopping() || self.library.is_read_only() => Repair::NotAsked,
            Some(_) => Repair::Started,
            None => Repair::NoSource,
        };
        let verdict = Verdict {
            content: here,
            bytes: manifest.total_bytes(),
            chunks: verified.content.hashes().len() as u32,
            broken: verified.broken,
            room_has,
            repair,
        };
        if repair == Repair::Started {
            self.operations.start(game, OperationKind::Downloading);
        }
        self.operations_changed();
        self.outbox.event(Event::VerifyFinished { game: game.clone(), verdict });
        if let (Repair::Started, Some((content, version))) = (repair, source) {
            let mut download = Download::new(game.clone(), version, content, false, now);
            download.origin = origin;
            self.downloads.insert(download);
            if content == here {
                self.downloads.got_manifest(now, game, verified.content, &mut self.outbox);
            } else {
                self.search_manifest(now, game);
            }
        }
        self.stop_when_idle();
    }

    /// Returns the content that the room agrees on, counting this copy as a voice. A single voice with another content
    /// is no majority, however many keys it has.
    fn room_content(&self, game: &GameId, version: GameVersion, here: ContentId) -> Option<Agreed> {
        let agreed = self.choose_content(game, Some(version)).ok()?;
        let pinned = self.config.catalog.entry(game).is_some_and(|e| e.content.is_some());
        let all = self.voices_for(game, version) + 1;
        let counts = pinned || agreed.content == here || agreed.voices * 2 > all;
        counts.then_some(agreed)
    }

    /// Returns the content to download: the one that the room agrees on, or else the one that should be here, if a peer
    /// has it.
    fn repair_from(
        &self,
        game: &GameId,
        here: ContentId,
        version: GameVersion,
        room: Option<Agreed>,
    ) -> Option<(ContentId, GameVersion)> {
        let content = room.map_or(here, |agreed| agreed.content);
        self.roster.sources(game, content).next().map(|_| (content, version))
    }

    // ---- playing

    /// Prepares an installed game to be played, and starts it if `launch` is set. The owner is asked before the first
    /// start of an unconfirmed content; `confirm` is the content that the owner has agreed to.
    pub(super) fn play(
        &mut self,
        id: CommandId,
        game: &GameId,
        (user_name, language): (Option<String>, Option<String>),
        launch: bool,
        confirm: Option<ContentId>,
    ) {
        let checked = self.check_change(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.installed => Ok(()),
            _ => Err(CommandError::NotInstalled { game: game.clone() }),
        });
        if let Err(error) = checked {
            return self.outbox.reply(id, Err(error));
        }
        let play = Play {
            user_name: user_name.unwrap_or_else(|| self.config.name.clone()),
            language: language.unwrap_or_else(|| LANGUAGE.to_owned()),
            launch,
            start: None,
            confirmed: confirm.filter(|_| launch),
        };
        self.pending.plays.insert(game.clone(), id);
        self.operations.start(game, OperationKind::Starting);
        self.operations_changed();
        if launch {
            self.outbox.job(DiskJob::LookAtStart { game: game.clone(), start: play.start.clone() });
            self.pending.starts.insert(game.clone(), play);
        } else {
            self.outbox.job(DiskJob::Stamp { game: game.clone(), play });
        }
    }

    /// Starts a game whose program is now known, or asks the owner about it first.
    pub(super) fn start_looked_at(&mut self, game: &GameId, result: Result<StartInfo, DiskError>) {
        let Some(mut play) = self.pending.starts.remove(game) else { return };
        let refused = match result {
            Ok(info) => {
                let question = self.first_start(game, &info, play.confirmed);
                let decides = self.decides_start(game, &info);
                play.confirmed = play.confirmed.filter(|word| decides.iter().any(|d| d.content == *word));
                question.map(|question| CommandError::UnconfirmedProgram(Box::new(question)))
            }
            Err(error) => Some(CommandError::Disk(error)),
        };
        match refused {
            Some(error) => self.end_play(game, Err(error)),
            None if self.is_stopping() => self.end_play(game, Err(CommandError::ShuttingDown)),
            None => self.outbox.job(DiskJob::Stamp { game: game.clone(), play }),
        }
    }

    pub(super) fn stamped(&mut self, game: &GameId, result: Result<Stamped, DiskError>) {
        self.end_play(game, result.map_err(CommandError::Disk));
    }

    fn end_play(&mut self, game: &GameId, result: Result<Stamped, CommandError>) {
        self.operations.end(game);
        self.operations_changed();
        if let Some(id) = self.pending.plays.remove(game) {
            self.outbox.reply(id, result.map(Reply::Played));
        }
        self.stop_when_idle();
    }

    // ---- updates

    /// Notes how many bytes were taken from the old version.
    pub(super) fn reused(&mut self, game: &GameId, bytes: u64) {
        if let Some(download) = self.downloads.get_mut(game) {
            download.reused_bytes = bytes + u64::from(failpoint!("lie-about-reused-bytes"));
        }
    }

    pub(super) fn reuse_progress(&mut self, game: &GameId, done: u64, total: u64) {
        let opening = self.downloads.get(game).is_some_and(|f| matches!(f.phase, Phase::Opening(_)));
        if opening {
            self.operations.progress(game, done, total);
            self.outbox.event(Event::ReuseProgress { game: game.clone(), done, total });
        }
    }
}

impl LocalGame {
    /// Returns true if the installed version is known and differs from the downloaded one.
    pub fn is_outdated(&self) -> bool {
        self.installed && self.installed_version.is_some_and(|version| Some(version) != self.version)
    }
}
