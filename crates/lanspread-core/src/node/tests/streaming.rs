//! Tests of games that are unpacked while they arrive, by a streamed install or by a download with its install.

use std::slice::from_ref;
use std::time::Duration;

use lanspread_types::ChunkIndex;

use super::party::{CHUNK, Party, content, game, times_served};
use crate::api::command::{Command, CommandError, OperationKind, Reply};
use crate::api::event::{DownloadFailure, Event};
use crate::api::snapshot::Availability;
use crate::download::SOURCE_PATIENCE;
use crate::io::{DiskError, DiskJob};
use crate::stream_window::{AHEAD_CHUNKS, WINDOW_CHUNKS};

fn stream(party: &mut Party, guest: usize) -> Option<Result<Reply, CommandError>> {
    party.command(guest, Command::StreamInstall { game: game("ggoo") })
}

/// Guest 0 has a game of `chunks` chunks; `others` more guests have nothing.
fn room(chunks: usize, others: usize) -> Party {
    let shared = content("ggoo", chunks, 7);
    let mut games: Vec<&[_]> = vec![from_ref(&shared)];
    games.resize(1 + others, &[]);
    let mut party = Party::new(&games);
    for a in 1..=others {
        (0..a).for_each(|b| drop(party.connect(a, b)));
    }
    party
}

fn ends(party: &Party, guest: usize) -> Vec<String> {
    let last =
        ["DownloadFinished", "DownloadFailed", "DownloadCancelled", "InstallFinished", "InstallFailed"];
    party.guests[guest].event_names().into_iter().filter(|name| last.contains(&name.as_str())).collect()
}

#[test]
fn streamed_game_is_installed_and_not_offered() {
    let mut party = room(300, 2);
    assert!(matches!(stream(&mut party, 1), Some(Ok(Reply::DownloadStarted { .. }))));
    let times = times_served(&party, 1);
    assert_eq!(times.len(), 300, "the archive, and not the sentinel");
    assert!(times.values().all(|&n| n == 1));
    assert_eq!(ends(&party, 1), ["InstallFinished"]);
    let shown = party.games(1).remove(0);
    assert_eq!((shown.downloaded, shown.installed), (false, true));
    assert_eq!(shown.availability, Availability::LocalOnly);
    assert!(party.status(1).operations.is_empty());
    // Guest 2 sees guest 0 as the only source, and gets nothing from guest 1.
    assert_eq!(party.games(2)[0].peer_count, 1);
    party.download(2, "ggoo");
    assert!(party.served.iter().all(|served| served.0 == 0));
}

#[test]
fn window_bounds_requested_chunks() {
    let mut party = room(400, 1);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    assert_eq!(times_served(&party, 1).len() as u32, AHEAD_CHUNKS, "the unpacker has taken nothing");
    assert!(party.status(1).operations.iter().any(|o| o.kind == OperationKind::Streaming));
    party.pass(SOURCE_PATIENCE * 2);
    assert_eq!(ends(&party, 1), [""; 0], "waiting for the unpacker is no want of sources");
    party.guests[1].streaming.as_mut().unwrap().stuck = false;
    party.unpack(1);
    party.settle();
    assert_eq!(ends(&party, 1), ["InstallFinished"]);
    let dropped = party.guests[1].jobs.iter().filter(|job| matches!(job, DiskJob::DropChunks { .. }));
    assert!(dropped.count() > 100);
}

#[test]
fn only_chunks_in_the_window_are_served() {
    let mut party = room(400, 2);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    // The only other source leaves, so guest 2 can get chunks only from the window of guest 1.
    party.kill(0, true);
    party.guests[2].stuck = true;
    let shared = content("ggoo", 400, 7);
    assert!(
        matches!(stream(&mut party, 2), Some(Err(CommandError::NoSource { .. }))),
        "no source to start with"
    );
    party.restart(0);
    party.connect(2, 0);
    party.hold_chunks = true;
    stream(&mut party, 2);
    party.kill(0, true);
    party.release_chunks();
    party.pass(Duration::from_secs(2));
    let from_window = party.served.iter().filter(|s| (s.0, s.1) == (1, 2)).count() as u32;
    assert!(from_window > 0 && from_window <= AHEAD_CHUNKS, "{from_window}");
    let most = party.guests[2].streaming.as_ref().unwrap().most_held;
    assert!(most <= WINDOW_CHUNKS && shared.manifest().chunk_count() > WINDOW_CHUNKS);
}

#[test]
fn cancelled_stream_is_no_failure() {
    let mut party = room(400, 1);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    assert_eq!(party.command(1, Command::CancelDownload { game: game("ggoo") }), Some(Ok(Reply::Done)));
    assert_eq!(ends(&party, 1), ["DownloadCancelled"]);
    assert!(party.guests[1].streaming.is_none() && party.guests[1].disk.is_empty());
    assert!(party.status(1).operations.is_empty() && party.status(0).outbound.iter().all(|(_, n)| *n == 0));
    party.guests[1].stuck = false;
    stream(&mut party, 1);
    assert_eq!(ends(&party, 1), ["DownloadCancelled", "InstallFinished"], "and it can be had later");
}

#[test]
fn stream_can_be_cancelled_before_its_manifest() {
    let mut party = room(4, 1);
    // The manifest never arrives.
    party.kill(0, false);
    stream(&mut party, 1);
    let answer = party.command(1, Command::CancelDownload { game: game("ggoo") });
    party.pass(Duration::from_secs(1));
    assert!(party.status(1).operations.is_empty(), "{answer:?} {:?}", ends(&party, 1));
}

#[test]
fn stream_without_sources_leaves_nothing() {
    let mut party = room(400, 1);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    party.guests[1].streaming.as_mut().unwrap().stuck = false;
    party.kill(0, true);
    party.unpack(1);
    party.settle();
    party.pass(SOURCE_PATIENCE + Duration::from_secs(1));
    let failed = |e: &Event| matches!(e, Event::DownloadFailed { failure: DownloadFailure::SourcesGone, .. });
    assert!(party.guests[1].events.iter().any(failed), "{:?}", ends(&party, 1));
    assert_eq!(ends(&party, 1), ["DownloadFailed"]);
    assert!(party.guests[1].streaming.is_none() && party.guests[1].disk.is_empty());
}

#[test]
fn damaged_archive_fails_the_install() {
    let mut party = room(400, 1);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    let streaming = party.guests[1].streaming.as_mut().unwrap();
    (streaming.stuck, streaming.damaged_at) = (false, Some(50));
    party.unpack(1);
    party.settle();
    let failed = |e: &Event| matches!(e, Event::InstallFailed { error: DiskError::Archive(_), .. });
    assert!(party.guests[1].events.iter().any(failed));
    assert_eq!(ends(&party, 1), ["InstallFailed"]);
    assert!(party.status(1).operations.is_empty() && party.guests[1].disk.is_empty());
}

#[test]
fn games_that_are_here_are_not_streamed() {
    let mut party = room(4, 1);
    party.download(1, "ggoo");
    assert_eq!(stream(&mut party, 1), Some(Err(CommandError::AlreadyDownloaded { game: game("ggoo") })));
    party.command(1, Command::Install { game: game("ggoo") });
    assert_eq!(stream(&mut party, 1), Some(Err(CommandError::AlreadyInstalled { game: game("ggoo") })));
}

#[test]
fn number_of_streams_is_bounded() {
    let games: Vec<_> = (0..9).map(|n| content(&format!("g{n}"), 200, n)).collect();
    let mut party = Party::new(&[&games, &[]]);
    party.connect(1, 0);
    party.hold_chunks = true;
    let answers: Vec<_> =
        (0..9).map(|n| party.command(1, Command::StreamInstall { game: game(&format!("g{n}")) })).collect();
    assert!(answers[..8].iter().all(|a| matches!(a, Some(Ok(_)))), "{answers:?}");
    assert_eq!(answers[8], Some(Err(CommandError::Busy)));
}

#[test]
fn peer_can_stop_during_a_stream() {
    let mut party = room(400, 1);
    party.guests[1].stuck = true;
    stream(&mut party, 1);
    party.command(1, Command::Shutdown);
    assert!(party.guests[1].stopped && party.guests[1].streaming.is_none());
}

#[test]
fn download_with_install_is_unpacked_from_the_start() {
    for (install, expected) in [(true, 1), (false, 0)] {
        let mut party = room(8, 1);
        party.command(1, Command::Download { game: game("ggoo"), install, confirm: None });
        let at =
            |party: &Party, wanted: &dyn Fn(&DiskJob) -> bool| party.guests[1].jobs.iter().position(wanted);
        let ahead = at(&party, &|job| matches!(job, DiskJob::UnpackAhead { .. }));
        assert_eq!(ahead.iter().count(), expected);
        let commit = at(&party, &|job| matches!(job, DiskJob::Commit { .. }));
        assert!(ahead < commit && commit.is_some());
        let installs =
            party.guests[1].jobs.iter().filter(|job| matches!(job, DiskJob::Install { .. })).count();
        assert_eq!(installs, expected, "it is shown by an install of its own, after the commit");
    }
}

#[test]
fn progress_reports_unpacked_bytes() {
    let mut party = room(100, 1);
    party.hold_chunks = true;
    party.command(1, Command::Download { game: game("ggoo"), install: true, confirm: None });
    let report = crate::io::DiskReport::Unpacked { game: game("ggoo"), below: ChunkIndex(10) };
    party.input(1, crate::io::Input::Disk(report));
    party.pass(Duration::from_secs(1));
    let told = party.guests[1].events.iter().rev().find_map(|e| match e {
        Event::DownloadProgress(progress) => progress.unpacked_bytes,
        _ => None,
    });
    assert_eq!(told, Some(10 * CHUNK));
}
