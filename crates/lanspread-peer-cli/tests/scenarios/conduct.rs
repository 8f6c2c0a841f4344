//! Rules that hold in every scenario: each peer's events tell one coherent story, and a client that only listens
//! knows the same as a client that asks.
//!
//! Checked over the whole log of every peer when a scenario has passed. So a lost, duplicate or wrong event, a failure
//! of nothing, a transfer that is never counted down, or a missing goodbye is noticed in every scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanspread_api::event::{LossCode, Totals};
use lanspread_api::reply::{Availability, OperationKind};
use lanspread_api::{ErrorCode, Event, Line};

use crate::log::{Mark, event};
use crate::peer::{Peer, Process};
use crate::scenario::{Failure, Outcome, fail};
use crate::wait::{eventually, seen_if};

/// Checks the conduct of all peers of a lab.
pub fn check(processes: &[Arc<Process>]) -> Outcome {
    for process in processes.iter().filter(|process| process.is_running()) {
        agrees_with_itself(&Peer::from(process))?;
    }
    for process in processes {
        let story =
            story(&events(process)).map_err(|fault| Failure(format!("{}: {fault}", process.name())))?;
        refusals_are_answers(process, story.refusals)?;
    }
    goodbyes_are_heard(processes)
}

fn events(process: &Process) -> Vec<Event> {
    process.log().pick(Mark(0), |line| event(line).cloned()).into_iter().map(|(_, event)| event).collect()
}

/// Checks the events of all runs of a peer one after the other. Returns the state after the last event.
fn story(events: &[Event]) -> Result<Story, String> {
    let mut story = Story::default();
    for (at, event) in events.iter().enumerate() {
        if at > 0 && events[at - 1] == *event && !may_repeat(event) {
            return Err(format!("it printed the same event twice in a row: {event:?}"));
        }
        let next = events.get(at + 1);
        if matches!(event, Event::LocalPeerReady { .. })
            && next.is_some_and(|next| !matches!(next, Event::LocalLibraryChanged { .. }))
        {
            return Err(format!("it was ready and did not say with which library, but {next:?}"));
        }
        story.go_on(event).map_err(|fault| format!("{fault}: {event:?}"))?;
    }
    Ok(story)
}

/// Returns whether an event may repeat the one before: progress, and changes of a library that do not show in its
/// list.
fn may_repeat(event: &Event) -> bool {
    matches!(
        event,
        Event::DownloadProgress(_)
            | Event::IndexProgress { .. }
            | Event::InstallProgress { .. }
            | Event::LocalLibraryChanged { .. }
            | Event::RemoteLibraryChanged { .. }
    )
}

/// State of a peer as its events tell it.
#[derive(Debug, Default)]
struct Story {
    ready: bool,
    library: BTreeSet<String>,
    /// Connected peers, each with the number of games that it announces once that is known.
    peers: BTreeMap<String, Option<usize>>,
    operations: BTreeMap<String, OperationKind>,
    downloads: BTreeMap<String, Download>,
    installs: BTreeSet<String>,
    /// Operations that are over, whose end no event has told yet.
    ended: BTreeMap<String, OperationKind>,
    /// Failures of downloads that ended no operation, over all runs: game and code.
    refusals: Vec<(String, ErrorCode)>,
}

#[derive(Debug, Default)]
struct Download {
    total_bytes: u64,
    chunk_count: u64,
    had_bytes: Option<u64>,
    pieces: BTreeSet<(String, u64)>,
    bytes: u64,
}

impl Story {
    fn go_on(&mut self, event: &Event) -> Result<(), String> {
        self.end_operation(event)?;
        match event {
            Event::Contract(_) => {
                *self = Self { refusals: std::mem::take(&mut self.refusals), ..Self::default() };
            }
            Event::LocalPeerReady { .. } => {
                known(!std::mem::replace(&mut self.ready, true), "it was ready already")?;
            }
            Event::LocalLibraryChanged { games, .. } => self.library = games.iter().cloned().collect(),
            Event::PeerConnected { peer_id, .. } => {
                known(self.peers.insert(peer_id.clone(), None).is_none(), "it was connected already")?;
            }
            Event::PeerLost { peer_id, .. } => {
                known(self.peers.remove(peer_id).is_some(), "it was not connected")?;
            }
            Event::RemoteLibraryChanged { peer_id, game_count } => match self.peers.get_mut(peer_id) {
                Some(count) => *count = Some(*game_count),
                None => return Err("that peer is not connected".to_owned()),
            },
            Event::ActiveOperationsChanged { active_operations } => {
                let now: BTreeMap<_, _> =
                    active_operations.iter().map(|o| (o.game_id.clone(), o.kind)).collect();
                known(now.len() == active_operations.len(), "a game has two operations")?;
                known(now != self.operations, "nothing has changed")?;
                let before = std::mem::replace(&mut self.operations, now);
                let over = before.into_iter().filter(|(game, kind)| self.operations.get(game) != Some(kind));
                self.ended.extend(over);
            }
            Event::InstallBegin { game_id } => {
                known(self.installs.insert(game_id.clone()), "it has begun already")?;
            }
            Event::InstallFinished { game_id } => {
                known(self.installs.remove(game_id), "it has not begun")?;
                // This is the only event at the end of a streamed install.
                self.downloads.remove(game_id);
            }
            other => self.go_on_with_download(other)?,
        }
        Ok(())
    }

    /// Ties an event about an end to the operation that it ends. Only the failure of a download may answer a command
    /// instead, which is refused for the same reason.
    fn end_operation(&mut self, event: &Event) -> Result<(), String> {
        use OperationKind::{Downloading, Installing, Removing, Streaming, Uninstalling, Verifying};
        let (game, kinds): (&String, &[OperationKind]) = match event {
            Event::DownloadFinished { game_id, .. } => (game_id, &[Downloading]),
            Event::DownloadFailed { game_id, .. } | Event::DownloadCancelled { game_id, .. } => {
                (game_id, &[Downloading, Streaming])
            }
            Event::InstallFinished { game_id } => (game_id, &[Installing, Streaming]),
            Event::InstallFailed(failure) => (&failure.game_id, &[Installing, Streaming]),
            Event::UninstallFinished { game_id } => (game_id, &[Uninstalling]),
            Event::UninstallFailed(failure) => (&failure.game_id, &[Uninstalling]),
            Event::RemoveFinished { game_id } => (game_id, &[Removing]),
            Event::RemoveFailed(failure) => (&failure.game_id, &[Removing]),
            Event::VerifyFinished(verified) => (&verified.game_id, &[Verifying]),
            Event::VerifyFailed(failure) => (&failure.game_id, &[Verifying]),
            _ => return Ok(()),
        };
        if self.ended.get(game).is_some_and(|kind| kinds.contains(kind)) {
            self.ended.remove(game);
            return Ok(());
        }
        match event {
            Event::DownloadFailed { game_id, code, totals, .. } => {
                known(totals.chunks == 0, "a refused download has chunks")?;
                self.refusals.push((game_id.clone(), *code));
                Ok(())
            }
            _ => Err("it ended no operation".to_owned()),
        }
    }

    fn go_on_with_download(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::InstallFailed(failure) => {
                self.installs.remove(&failure.game_id);
                self.downloads.remove(&failure.game_id);
            }
            Event::GotGameFiles { game_id, total_bytes, chunk_count, .. } => {
                let new = Download {
                    total_bytes: *total_bytes,
                    chunk_count: u64::from(*chunk_count),
                    ..Download::default()
                };
                known(self.downloads.insert(game_id.clone(), new).is_none(), "its files are known already")?;
            }
            Event::DownloadBegin { game_id, total_bytes, had_bytes, .. } => {
                let streamed = self.operations.get(game_id) == Some(&OperationKind::Streaming);
                let download = self.download(game_id)?;
                known(download.had_bytes.replace(*had_bytes).is_none(), "it has begun already")?;
                // A streamed install downloads only the archives.
                let same =
                    download.total_bytes == *total_bytes || streamed && *total_bytes < download.total_bytes;
                known(same, "got-game-files stated another size")?;
            }
            Event::DownloadChunkFinished { game_id, path, offset, length, .. } => {
                let download = self.download(game_id)?;
                known(download.had_bytes.is_some(), "the download has not begun")?;
                known(download.pieces.insert((path.clone(), *offset)), "that chunk was there already")?;
                download.bytes += length;
            }
            Event::DownloadFinished { game_id, totals } => {
                let download = self.downloads.remove(game_id).ok_or("there was no such download")?;
                download.agrees_with(totals)?;
                let all = download.had_bytes.map(|had| had + download.bytes);
                known(all == Some(download.total_bytes), "the chunks do not make up the game")?;
                if download.had_bytes == Some(0) {
                    known(
                        download.pieces.len() as u64 == download.chunk_count,
                        "got-game-files counted other chunks",
                    )?;
                }
                let over = self.operations.get(game_id) != Some(&OperationKind::Downloading);
                known(over, "the operation was not told to be over")?;
            }
            Event::DownloadFailed { game_id, totals, .. } | Event::DownloadCancelled { game_id, totals } => {
                // This is the only event at the end of a streamed install that fails or is cancelled.
                self.installs.remove(game_id);
                self.downloads.remove(game_id).unwrap_or_default().agrees_with(totals)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn download(&mut self, game: &str) -> Result<&mut Download, String> {
        self.downloads.get_mut(game).ok_or_else(|| "there is no such download".to_owned())
    }
}

impl Download {
    fn agrees_with(&self, totals: &Totals) -> Result<(), String> {
        let by_source = totals.sources.iter().fold((0, 0), |(n, sum), s| (n + s.chunks, sum + s.bytes));
        let told = (self.pieces.len() as u64, self.bytes);
        known((totals.chunks, totals.bytes) == told, "the totals are not those of the chunks")?;
        known(by_source == told, "the sources' sums are not those of the chunks")
    }
}

fn known(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Checks that each failure of a download that ended no operation came with the refusal of a command, for the same game
/// and reason. Each refusal counts once.
fn refusals_are_answers(process: &Process, refusals: Vec<(String, ErrorCode)>) -> Outcome {
    let refusal = |line: &Line| match line {
        Line::Error(line) if matches!(line.cmd.as_deref(), Some("download" | "stream-install")) => {
            line.error.game_id.clone().map(|game| (game, line.error.code))
        }
        _ => None,
    };
    let mut answers: Vec<_> =
        process.log().pick(Mark(0), refusal).into_iter().map(|(_, answer)| answer).collect();
    for refused in refusals {
        let Some(at) = answers.iter().position(|answer| *answer == refused) else {
            let (game, code) = refused;
            fail!(
                "{}: the failure of the download of {game} with {} ended no operation and answered no command",
                process.name(),
                code.as_str()
            )
        };
        answers.swap_remove(at);
    }
    Ok(())
}

/// Checks that a running peer answers what its events told, and that no operation or transfer is left.
fn agrees_with_itself(peer: &Peer) -> Outcome {
    eventually(&format!("{} answers what its events have told", peer.name()), || {
        let (status, peers, games) = (peer.status()?, peer.peers()?, peer.games()?);
        let told = story(&peer.events_since(Mark(0)))
            .map_err(|fault| Failure(format!("{}: {fault}", peer.name())))?;
        let asked: BTreeMap<String, usize> =
            peers.iter().map(|p| (p.peer_id.clone(), p.games.len())).collect();
        let heard = told.peers.iter().map(|(peer, count)| (peer.clone(), count.unwrap_or(0))).collect();
        let ready = games.iter().filter(|g| g.availability == Availability::Ready).map(|g| g.game_id.clone());
        let library: BTreeSet<String> = ready.collect();
        let operations = status.active_operations.iter().map(|o| (o.game_id.clone(), o.kind)).collect();
        let holds = asked == heard
            && peers.len() == status.peer_count
            && library == told.library
            && told.operations == operations
            && status.active_outbound_transfers.is_empty();
        Ok(seen_if(holds, || {
            format!(
                "told {heard:?}, {:?}, {:?}; answers {asked:?}, {library:?}, {status:?}",
                told.library, told.operations
            )
        }))
    })
}

/// Checks that a peer that was shut down says goodbye: no other peer loses it for another reason.
fn goodbyes_are_heard(processes: &[Arc<Process>]) -> Outcome {
    for leaver in processes {
        let told = leaver.log().told_at("\"cmd\":\"shutdown\"");
        let Some(&told) = told.last() else { continue };
        let id = Peer::from(leaver).id();
        for process in processes {
            let lost = |line: &lanspread_api::Line| match event(line) {
                Some(Event::PeerLost { peer_id, code, .. }) if *peer_id == id => Some(*code),
                _ => None,
            };
            let at = |mark| process.log().at(mark).unwrap_or(Duration::ZERO);
            let lost = process.log().pick(Mark(0), lost).into_iter().find(|(mark, _)| at(*mark) > told);
            if let Some((_, code)) = lost
                && code != LossCode::Goodbye
            {
                fail!("{} left in order, but {} took it for {code:?}", leaver.name(), process.name());
            }
        }
    }
    Ok(())
}
