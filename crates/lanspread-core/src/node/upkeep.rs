//! Looking after what is here: another version of what is installed, verification and repair, the first start.

use lanspread_types::{ContentId, GameId, GameVersion, failpoint};

use super::Node;
use crate::agreement::Agreed;
use crate::command::{CommandError, CommandId, OperationKind, Reply};
use crate::event::{Event, Repair, Verdict};
use crate::fetch::{Fetch, Phase};
use crate::io::{DiskError, DiskJob, Play, Stamped, StartInfo, VerifiedGame};
use crate::library::LocalGame;
use crate::time::Time;

/// Language that is stamped into a game if none is said.
const LANGUAGE: &str = "english";

impl Node {
    // ---- what is installed

    /// What is to be done so that the downloaded version is also the installed one. What is installed without a known
    /// version is left alone, unless a download has just replaced the version beside it (`updated`).
    pub(super) fn install_due(&self, game: &GameId, updated: bool) -> Option<DiskJob> {
        let local = self.library.get(game).filter(|l| l.downloaded())?;
        let game = game.clone();
        if !local.installed {
            return Some(DiskJob::Install { game });
        }
        let other = local.installed_version.map_or(updated, |version| Some(version) != local.version);
        (other && !failpoint!("never-reinstall")).then_some(DiskJob::Reinstall { game })
    }

    /// Whether the version that is here is the one to have. A pinned content counts more than the version's number.
    pub(super) fn is_here(&self, game: &GameId, version: Option<GameVersion>) -> bool {
        let Some(local) = self.library.get(game).filter(|l| l.downloaded()) else { return false };
        let pinned = self.config.catalog.entry(game).and_then(|e| e.content);
        let other_content = pinned.zip(self.library.content_of(game)).is_some_and(|(p, here)| p != here);
        local.version == version && !other_content && !local.is_damaged()
    }

    // ---- verification

    pub(super) fn verify(&mut self, id: CommandId, game: &GameId, repair: bool) {
        let checked = self.check_command(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.downloaded() => Ok(()),
            _ => Err(CommandError::NotDownloaded { game: game.clone() }),
        });
        if checked.is_ok() {
            if repair {
                self.waiting.repairs.insert(game.clone());
            }
            self.operations.start(game, OperationKind::Verifying);
            self.operations_changed();
            self.event(Event::VerifyBegin { game: game.clone() });
            self.job(DiskJob::Verify { game: game.clone() });
        }
        self.reply(id, checked.map(|()| Reply::Done));
    }

    /// What is broken is told, withdrawn and, if that was asked for, fetched: by an ordinary download of the same
    /// content, which finds everything that is whole in the copy that is here.
    pub(super) fn verified(&mut self, now: Time, game: &GameId, result: Result<VerifiedGame, DiskError>) {
        let wanted = self.waiting.repairs.remove(game);
        self.operations.end(game);
        let verified = match result {
            Ok(verified) => verified,
            Err(error) => {
                self.operations_changed();
                self.event(Event::VerifyFailed { game: game.clone(), error });
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
            self.uplink.content_gone(&here);
            self.lines.content_gone(&here);
            self.pump_uplink(now);
        }
        let origin = room.as_ref().filter(|agreed| agreed.content != here);
        let origin = origin.map(|agreed| self.origin_of(game, agreed));
        let source = self.repair_from(game, here, version, room);
        let repair = match source {
            _ if !broken && room_has.is_none() => Repair::NotNeeded,
            _ if !wanted || self.is_stopping() => Repair::NotAsked,
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
        self.event(Event::VerifyFinished { game: game.clone(), verdict });
        if let (Repair::Started, Some((content, version))) = (repair, source) {
            let mut fetch = Fetch::new(game.clone(), version, content, false, now);
            fetch.origin = origin;
            self.fetches.insert(game.clone(), fetch);
            if content == here {
                self.got_manifest(now, game, verified.content);
            } else {
                self.search_manifest(now, game);
            }
        }
        self.stop_when_idle();
    }

    /// The content that the room agrees on, this copy's own voice counted: one voice with another content is no room,
    /// however many keys it has.
    fn room_content(&self, game: &GameId, version: GameVersion, here: ContentId) -> Option<Agreed> {
        let agreed = self.choose_content(game, Some(version)).ok()?;
        let pinned = self.config.catalog.entry(game).is_some_and(|e| e.content.is_some());
        let all = self.voices_for(game, version) + 1;
        let counts = pinned || agreed.content == here || agreed.voices * 2 > all;
        counts.then_some(agreed)
    }

    /// What to fetch: what the room agrees on or, if it cannot, what should be here, if anybody has it.
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

    pub(super) fn play(
        &mut self,
        id: CommandId,
        game: &GameId,
        (user_name, language): (Option<String>, Option<String>),
        launch: bool,
        confirm: Option<ContentId>,
    ) {
        let checked = self.check_command(game).and_then(|()| match self.library.get(game) {
            Some(local) if local.installed => Ok(()),
            _ => Err(CommandError::NotInstalled { game: game.clone() }),
        });
        if let Err(error) = checked {
            return self.reply(id, Err(error));
        }
        let play = Play {
            user_name: user_name.unwrap_or_else(|| self.config.name.clone()),
            language: language.unwrap_or_else(|| LANGUAGE.to_owned()),
            launch,
            start: None,
            confirmed: confirm.filter(|_| launch),
        };
        self.waiting.plays.insert(game.clone(), id);
        self.operations.start(game, OperationKind::Starting);
        self.operations_changed();
        if launch {
            self.job(DiskJob::LookAtStart { game: game.clone(), start: play.start.clone() });
            self.waiting.starts.insert(game.clone(), play);
        } else {
            self.job(DiskJob::Stamp { game: game.clone(), play });
        }
    }

    /// What a start would run is known: the owner is asked about it, or it is done.
    pub(super) fn start_looked_at(&mut self, game: &GameId, result: Result<StartInfo, DiskError>) {
        let Some(mut play) = self.waiting.starts.remove(game) else { return };
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
            None => self.job(DiskJob::Stamp { game: game.clone(), play }),
        }
    }

    pub(super) fn stamped(&mut self, game: &GameId, result: Result<Stamped, DiskError>) {
        self.end_play(game, result.map_err(CommandError::Disk));
    }

    fn end_play(&mut self, game: &GameId, result: Result<Stamped, CommandError>) {
        self.operations.end(game);
        self.operations_changed();
        if let Some(id) = self.waiting.plays.remove(game) {
            self.reply(id, result.map(Reply::Played));
        }
        self.stop_when_idle();
    }

    // ---- updates

    /// The old version has given so much.
    pub(super) fn reused(&mut self, game: &GameId, bytes: u64) {
        if let Some(fetch) = self.fetches.get_mut(game) {
            fetch.reused_bytes = bytes + u64::from(failpoint!("lie-about-reused-bytes"));
        }
    }

    pub(super) fn reuse_progress(&mut self, game: &GameId, done: u64, total: u64) {
        let opening = self.fetches.get(game).is_some_and(|f| matches!(f.phase, Phase::Opening(_)));
        if opening {
            self.operations.progress(game, done, total);
            self.event(Event::ReuseProgress { game: game.clone(), done, total });
        }
    }
}

impl LocalGame {
    /// Whether the version that is installed is known to be another one than the one that is downloaded.
    pub fn is_outdated(&self) -> bool {
        self.installed && self.installed_version.is_some_and(|version| Some(version) != self.version)
    }
}
