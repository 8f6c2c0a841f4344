//! Longer disk jobs on a game: reusing the old version's files, verifying, replacing an install, and starting.
//!
//! Each function runs as one job of [`Disk`](super::disk::Disk), may report progress, and returns its final report.

use std::sync::Arc;

use lanspread_core::io::{DiskError, DiskReport, Play, Stamped, StartCommand};
use lanspread_core::trust::{Origin, Support};
use lanspread_store::{Cancel, RarUnpacker, Store};
use lanspread_types::{GameContent, GameId};

use crate::launch;
use crate::runtime::reports::{Reports, Throttled, report};

/// Prepares the place of a download. Reports first how much of it the old version of the game provided.
pub(crate) fn open_incoming(
    store: &Store,
    reports: &Reports,
    content: &Arc<GameContent>,
    cancel: &Cancel,
) -> DiskReport {
    let game = content.manifest().game().clone();
    let mut progress = Throttled::new(|done, total| {
        report(reports, DiskReport::ReuseProgress { game: game.clone(), done, total });
    });
    let opened = store.open_download(content, cancel, &mut |done, total| progress.tell(done, total));
    if let Ok(opened) = &opened {
        report(reports, DiskReport::Reused { game: game.clone(), bytes: opened.reused_bytes });
    }
    let result = opened.map(|opened| opened.incoming.had()).map_err(DiskError::from);
    DiskReport::IncomingOpened { game, result }
}

/// Reads every file of a game and compares it with its content. Records the content if files are broken.
pub(crate) fn verify(store: &Store, reports: &Reports, game: GameId, cancel: &Cancel) -> DiskReport {
    let mut progress = Throttled::new(|done, total| {
        report(reports, DiskReport::VerifyProgress { game: game.clone(), done, total });
    });
    let result = store.verify(&game, cancel, &mut |done, total| progress.tell(done, total));
    if let Ok(verified) = &result
        && !verified.broken.is_empty()
    {
        remember_whole(store, &game, &verified.content);
    }
    DiskReport::Verified { game: game.clone(), result: result.map_err(DiskError::from) }
}

/// Records the content that a broken game should have, so that the next start knows what repairs it.
fn remember_whole(store: &Store, game: &GameId, content: &GameContent) {
    let version = content.manifest().version();
    let origin = Origin::new(content.content_id(), version, Support::Agreed, Vec::new());
    if let Err(error) = store.note_origin(game, &origin) {
        tracing::warn!(%game, %error, "the content of a broken game is not recorded");
    }
}

/// Replaces an installed game by the downloaded version. Reports the files of the user that stay.
pub(crate) fn reinstall(store: &Store, reports: &Reports, game: GameId, cancel: &Cancel) -> DiskReport {
    let (to, of) = (reports.clone(), game.clone());
    let mut progress = Throttled::new(move |done, total| {
        report(&to, DiskReport::UnpackProgress { game: of.clone(), done, total });
    });
    let tell = Box::new(move |done, total| progress.tell(done, total));
    let result = store.reinstall(&game, &RarUnpacker, cancel, tell).map(|kept| {
        if kept.kept > 0 {
            report(reports, DiskReport::FilesKept { game: game.clone(), kept });
        }
    });
    DiskReport::Installed { game, result: result.map_err(DiskError::from) }
}

/// Finds out what a start of the game would run.
pub(crate) fn look_at_start(store: &Store, game: GameId, start: Option<&StartCommand>) -> DiskReport {
    let result = store.look_at_start(&game, start).map_err(DiskError::from);
    DiskReport::StartLookedAt { game, result }
}

/// Writes name and language into an installed game and, if requested, starts it.
pub(crate) fn stamp(
    store: &Store,
    reports: &Reports,
    game: &GameId,
    play: &Play,
) -> Result<Stamped, DiskError> {
    // The program is looked for first, so that nothing is written if the game cannot be started.
    let program = store.program(game, play.start.as_ref());
    let program = if play.launch { Some(program?) } else { program.ok() };
    let mut stamped = store.stamp(game, play)?;
    stamped.program = program.as_ref().map(|p| p.path.display().to_string());
    if let Some(program) = program.filter(|_| play.launch) {
        if let Some(content) = play.confirmed {
            store.confirm_start(game, content).map_err(DiskError::from)?;
        }
        let (to, of) = (reports.clone(), game.clone());
        let ended = move |played| report(&to, DiskReport::PlayEnded { game: of, played });
        launch::launch(&program, ended).map_err(|e| DiskError::CannotStart(e.to_string()))?;
        stamped.launched = true;
    }
    Ok(stamped)
}
