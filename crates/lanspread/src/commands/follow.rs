//! Commands that take time: starts one, then shows its events until it has ended.
//!
//! The end comes from an event. If the peer reports lost events, the end is read from the peer's state instead.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use lanspread_api::event::{Repair, VerifyFinished};
use lanspread_api::reply::{DownloadReply, GameInfo};
use lanspread_api::{ErrorBody, ErrorCode, Event, Line, ReplyData, Request};

use super::{Asked, described};
use crate::show::{Live, human};
use crate::signal;

/// Most events that wait to be shown. When this queue is full, the peer drops events and reports how many, so memory
/// stays bounded.
const WAITING_MAX: usize = 1024;

/// Event that ends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The download is complete.
    Download,
    /// The download is complete and installed.
    DownloadAndInstall,
    /// A downloaded game is installed.
    Install,
    /// A game is installed from the room, without keeping its archives.
    StreamInstall,
    /// What was installed is gone.
    Uninstall,
    /// The download is gone.
    Remove,
    /// A verification is done; nothing is fetched.
    Check,
    /// A verification and the download of the broken parts are done.
    Verify,
}

impl Goal {
    /// Returns the goal of `get`, with or without the install.
    pub fn get(install: bool) -> Self {
        if install { Self::DownloadAndInstall } else { Self::Download }
    }

    /// Returns whether this command downloads, so that Ctrl-C can cancel it.
    fn is_get(self) -> bool {
        matches!(self, Self::Download | Self::DownloadAndInstall | Self::StreamInstall | Self::Verify)
    }

    fn is_verify(self) -> bool {
        matches!(self, Self::Check | Self::Verify)
    }

    /// Returns how the command ended, if this event ends it for this game.
    fn end(self, game: &str, event: &Event) -> Option<Result<(), ErrorBody>> {
        let of = |id: &String| id == game;
        let failed = |f: &lanspread_api::event::GameFailure| {
            of(&f.game_id).then(|| Err(about(game, f.code, f.reason.clone())))
        };
        match event {
            Event::VerifyFinished(v) if of(&v.game_id) && self.is_verify() => verified(v),
            Event::VerifyFailed(f) if self.is_verify() => failed(f),
            Event::DownloadFinished { game_id, .. }
                if of(game_id) && matches!(self, Self::Download | Self::Verify) =>
            {
                Some(Ok(()))
            }
            Event::DownloadFailed { game_id, code, reason, variants, .. } if of(game_id) && self.is_get() => {
                let mut error = about(game, *code, format!("the download of {game} failed: {reason}"));
                error.variants = variants.clone().into();
                Some(Err(error))
            }
            Event::DownloadCancelled { game_id, .. } if of(game_id) && self.is_get() => {
                Some(Err(about(game, ErrorCode::Cancelled, format!("the download of {game} was cancelled"))))
            }
            Event::InstallFinished { game_id }
                if of(game_id)
                    && matches!(self, Self::DownloadAndInstall | Self::Install | Self::StreamInstall) =>
            {
                Some(Ok(()))
            }
            Event::InstallFailed(f)
                if matches!(self, Self::DownloadAndInstall | Self::Install | Self::StreamInstall) =>
            {
                failed(f)
            }
            Event::UninstallFinished { game_id } if of(game_id) && self == Self::Uninstall => Some(Ok(())),
            Event::UninstallFailed(f) if self == Self::Uninstall => failed(f),
            Event::RemoveFinished { game_id } if of(game_id) && self == Self::Remove => Some(Ok(())),
            Event::RemoveFailed(f) if self == Self::Remove => failed(f),
            _ => None,
        }
    }

    /// Returns whether the game is in the wanted state. Used when events were lost.
    fn is_reached(self, game: &GameInfo) -> bool {
        match self {
            Self::Download | Self::Check | Self::Verify => game.downloaded,
            Self::DownloadAndInstall => game.downloaded && game.installed,
            Self::Install | Self::StreamInstall => game.installed,
            Self::Uninstall => !game.installed,
            Self::Remove => !game.downloaded,
        }
    }
}

/// Result of a verification; `None` if a download of the broken parts follows.
fn verified(v: &VerifyFinished) -> Option<Result<(), ErrorBody>> {
    let broken = |what: &str| {
        let (parts, bytes) = (human::count(v.broken_count, "part"), human::bytes(v.broken_bytes));
        let message = format!("{}: {parts} damaged ({bytes}); {what}", v.game_id);
        Some(Err(about(&v.game_id, ErrorCode::Damaged, message)))
    };
    match v.repair {
        Repair::Started => None,
        Repair::NotNeeded => Some(Ok(())),
        Repair::NotAsked if v.broken_count == 0 => Some(Ok(())),
        Repair::NotAsked => broken("nothing was downloaded"),
        Repair::NoSource => broken("nobody here has the game"),
    }
}

/// Input of the loop that follows a command.
enum Incoming {
    Event(Box<Event>),
    /// The peer has ended.
    Ended,
    Interrupt,
}

impl Asked {
    /// Starts the request and shows its events until it has ended.
    pub(super) fn follow(&self, request: &Request, goal: Goal) -> Result<(), ErrorBody> {
        let game = match request {
            Request::Download { game_id, .. }
            | Request::Install { game_id, .. }
            | Request::StreamInstall { game_id, .. }
            | Request::Uninstall { game_id }
            | Request::RemoveDownload { game_id }
            | Request::Verify { game_id, .. } => game_id.clone(),
            _ => return self.show(request),
        };
        let incoming = self.incoming()?;
        let line = self.client.line(request)?;
        match &line {
            Line::Error(line) => return Err(line.error.clone()),
            Line::Result(result) => {
                if self.json {
                    self.screen.say(line.to_json());
                }
                if let ReplyData::Download(DownloadReply { already_there: true, .. }) = result.reply {
                    if !self.json {
                        described(&result.reply, self.screen.columns())
                            .iter()
                            .for_each(|line| self.screen.say(line));
                    }
                    return Ok(());
                }
            }
            Line::Event(_) => {}
        }
        let mut live = Live::new(self.screen.clone());
        let mut interrupted = false;
        for next in incoming {
            match next {
                Incoming::Event(event) => {
                    self.tell(&mut live, game.as_str(), &event);
                    match goal.end(game.as_str(), &event) {
                        // The user cancelled it here, and the event's own sentence was already shown.
                        Some(Err(error))
                            if interrupted && error.code == ErrorCode::Cancelled && !self.json =>
                        {
                            return Err(ErrorBody { message: String::new(), hint: None, ..error });
                        }
                        Some(end) => return end,
                        None => {}
                    }
                    if let (Event::EventsLost { .. }, Some(end)) =
                        (&*event, self.end_by_state(goal, game.as_str()))
                    {
                        return end;
                    }
                }
                Incoming::Interrupt if interrupted => signal::end_at_once(),
                Incoming::Interrupt => {
                    interrupted = true;
                    self.interrupt(goal, &game)?;
                }
                Incoming::Ended => break,
            }
        }
        Err(about(game.as_str(), ErrorCode::ShuttingDown, format!("the peer ended before {game} was done")))
    }

    /// Handles Ctrl-C: cancels a download. Anything else ends soon by itself and is left to the running peer.
    fn interrupt(&self, goal: Goal, game: &lanspread_types::GameId) -> Result<(), ErrorBody> {
        let left = || {
            about(
                game.as_str(),
                ErrorCode::Cancelled,
                "interrupted; the running peer continues in the background",
            )
        };
        if !goal.is_get() {
            return Err(left());
        }
        // Without a download to cancel, the game is being installed already.
        self.client.ask(&Request::CancelDownload { game_id: game.clone() }).map(drop).map_err(|_| left())
    }

    /// Shows an event if it concerns this game.
    fn tell(&self, live: &mut Live, game: &str, event: &Event) {
        if !concerns(event, game) {
            return;
        }
        if self.json {
            self.screen.say(Line::Event(event.clone()).to_json());
        } else {
            live.show(event);
        }
    }

    /// Reads from the peer's state how the command ended, because the lost events may have included its end. Returns
    /// `None` while the peer still works on the game.
    fn end_by_state(&self, goal: Goal, game: &str) -> Option<Result<(), ErrorBody>> {
        let status = self.client.status().ok()?;
        if status.active_operations.iter().any(|o| o.game_id == game) {
            return None;
        }
        let games = self.client.games().ok()?;
        let reached = games.iter().find(|g| g.game_id == game).is_some_and(|g| goal.is_reached(g));
        let lost = || {
            about(
                game,
                ErrorCode::Internal,
                format!(
                    "{game} did not finish, and the events that say why were dropped; see `lanspread status`"
                ),
            )
        };
        Some(if reached { Ok(()) } else { Err(lost()) })
    }

    /// Starts to receive events and interrupts, in one queue.
    fn incoming(&self) -> Result<Receiver<Incoming>, ErrorBody> {
        let events = self.client.events()?;
        let (sender, incoming) = sync_channel(WAITING_MAX);
        let interrupts = sender.clone();
        thread::spawn(move || forward(events, &sender));
        signal::on_interrupt(move || interrupts.send(Incoming::Interrupt).is_ok());
        Ok(incoming)
    }
}

fn forward(events: impl Iterator<Item = Event>, to: &SyncSender<Incoming>) {
    for event in events {
        if to.send(Incoming::Event(Box::new(event))).is_err() {
            return;
        }
    }
    let _ = to.send(Incoming::Ended);
}

fn about(game: &str, code: ErrorCode, message: impl Into<String>) -> ErrorBody {
    ErrorBody { game_id: Some(game.to_owned()), ..ErrorBody::new(code, message) }
}

/// Returns whether an event matters to a command about this game.
fn concerns(event: &Event, game: &str) -> bool {
    match event {
        Event::GotGameFiles { game_id, .. }
        | Event::ReuseProgress { game_id, .. }
        | Event::DownloadBegin { game_id, .. }
        | Event::UserFilesKept { game_id, .. }
        | Event::VerifyBegin { game_id }
        | Event::VerifyProgress { game_id, .. }
        | Event::DownloadChunkFinished { game_id, .. }
        | Event::DownloadFinished { game_id, .. }
        | Event::DownloadFailed { game_id, .. }
        | Event::DownloadCancelled { game_id, .. }
        | Event::DownloadPeersGone { game_id }
        | Event::SourceRejected { game_id, .. }
        | Event::InstallBegin { game_id }
        | Event::InstallProgress { game_id, .. }
        | Event::InstallFinished { game_id }
        | Event::UninstallFinished { game_id }
        | Event::RemoveFinished { game_id } => game_id == game,
        Event::DownloadProgress(p) => p.game_id == game,
        Event::VerifyFinished(v) => v.game_id == game,
        Event::InstallFailed(f)
        | Event::UninstallFailed(f)
        | Event::RemoveFailed(f)
        | Event::VerifyFailed(f) => f.game_id == game,
        Event::EventsLost { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> lanspread_api::event::Totals {
        lanspread_api::event::Totals {
            bytes: 0,
            reused_bytes: 0,
            chunks: 0,
            duration_ms: 0,
            mib_per_s: 0.0,
            mbit_per_s: 0.0,
            sources: vec![],
            streamed: false,
        }
    }

    #[test]
    fn each_goal_ends_with_its_own_event() {
        let downloaded = Event::DownloadFinished { game_id: "a".to_owned(), totals: totals() };
        let installed = Event::InstallFinished { game_id: "a".to_owned() };
        assert!(matches!(Goal::Download.end("a", &downloaded), Some(Ok(()))));
        assert!(Goal::DownloadAndInstall.end("a", &downloaded).is_none());
        assert!(matches!(Goal::DownloadAndInstall.end("a", &installed), Some(Ok(()))));
        assert!(Goal::Install.end("b", &installed).is_none(), "another game");
        let removed = Event::RemoveFinished { game_id: "a".to_owned() };
        assert!(matches!(Goal::Remove.end("a", &removed), Some(Ok(()))));
        assert!(Goal::Uninstall.end("a", &removed).is_none());
    }

    #[test]
    fn failures_keep_their_code() {
        let failed = Event::DownloadFailed {
            game_id: "a".to_owned(),
            code: ErrorCode::SourcesGone,
            reason: "all sources are gone".to_owned(),
            missing_bytes: None,
            unpacked_bytes: None,
            variants: vec![],
            totals: totals(),
        };
        let end = Goal::DownloadAndInstall.end("a", &failed).unwrap().unwrap_err();
        assert_eq!((end.code, end.exit()), (ErrorCode::SourcesGone, lanspread_api::ExitCode::Network));
        let cancelled = Event::DownloadCancelled { game_id: "a".to_owned(), totals: totals() };
        assert_eq!(Goal::Download.end("a", &cancelled).unwrap().unwrap_err().code, ErrorCode::Cancelled);
    }
}
