//! Tests of the progress of operations: verifications, updates that reuse the old version, installs.

use std::slice::from_ref;
use std::time::Duration;

use lanspread_types::ChunkIndex;

use super::party::{CHUNK, Party, content, game};
use crate::api::command::{Command, OperationKind};
use crate::api::event::Event;
use crate::io::{CommittedGame, DiskJob, DiskReport, FileStamp, Input};
use crate::swarm::Tuning;

fn reported(party: &mut Party, report: DiskReport) {
    party.input(0, Input::Disk(report));
    party.settle();
}

/// The only running operation, and its progress.
fn running(party: &mut Party) -> (OperationKind, u64, u64) {
    let operations = party.status(0).operations;
    let [operation] = &operations[..] else { panic!("{operations:?}") };
    (operation.kind, operation.done, operation.total)
}

#[test]
fn intact_copy_stays_shared_while_verified() {
    let mut party = Party::new(&[&[content("ggoo", 8, 7)], &[]]);
    party.connect(1, 0);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::Verify { game: game("ggoo"), repair: false });
    reported(&mut party, DiskReport::VerifyProgress { game: game("ggoo"), done: 3, total: 8 });
    assert_eq!(running(&mut party), (OperationKind::Verifying, 3, 8));
    party.release_jobs(0);
    assert_eq!(party.games(1)[0].peer_count, 1);
}

#[test]
fn reused_bytes_are_shown_and_counted() {
    let mut party = Party::new(&[&[], &[content("ggoo", 8, 7)]]);
    party.connect(0, 1);
    party.guests[0].hold_jobs = true;
    party.download(0, "ggoo");
    let looked = |done| DiskReport::ReuseProgress { game: game("ggoo"), done, total: 800 };
    let shown = |party: &Party| {
        let progress = |e: &Event| match e {
            Event::ReuseProgress { done, total, .. } => Some((*done, *total)),
            _ => None,
        };
        party.guests[0].events.iter().filter_map(progress).collect::<Vec<_>>()
    };
    reported(&mut party, looked(300));
    assert_eq!(shown(&party), [(300, 800)]);
    assert_eq!(running(&mut party), (OperationKind::Downloading, 300, 800));

    reported(&mut party, DiskReport::Reused { game: game("ggoo"), bytes: 700 });
    party.release_jobs(0);
    let reused: Vec<u64> = party.guests[0]
        .events
        .iter()
        .filter_map(|e| match e {
            Event::DownloadBegin { reused_bytes, .. } => Some(*reused_bytes),
            Event::DownloadFinished { totals, .. } => Some(totals.reused_bytes),
            _ => None,
        })
        .collect();
    assert_eq!(reused, [700, 700]);
    reported(&mut party, looked(400));
    assert_eq!(shown(&party), [(300, 800)], "nothing is looked for any more");
}

#[test]
fn unpacking_after_the_download_counts_as_install() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared)]);
    party.connect(0, 1);
    party.hold_chunks = true;
    party.command(0, Command::Download { game: game("ggoo"), install: true, confirm: None });
    party.guests[0].hold_jobs = true;
    party.release_chunks();
    let unpacked = |below| DiskReport::Unpacked { game: game("ggoo"), below: ChunkIndex(below) };
    let shown = |party: &Party| {
        let progress = |e: &Event| match e {
            Event::InstallProgress { done, total, .. } => Some((*done, *total)),
            _ => None,
        };
        party.guests[0].events.iter().filter_map(progress).collect::<Vec<_>>()
    };
    reported(&mut party, unpacked(2));
    assert_eq!(shown(&party), [], "it is still a download");

    let commit = party.guests[0].held.pop_front();
    assert!(matches!(commit, Some(DiskJob::Commit { .. })));
    let result = Ok(CommittedGame { stamp: FileStamp(1) });
    reported(&mut party, DiskReport::Committed { game: game("ggoo"), result });
    assert!(matches!(party.guests[0].held.front(), Some(DiskJob::Install { .. })));
    reported(&mut party, unpacked(5));
    assert_eq!(shown(&party), [(5 * CHUNK, 8 * CHUNK)]);
    assert_eq!(running(&mut party), (OperationKind::Installing, 5 * CHUNK, 8 * CHUNK));
}

#[test]
fn downloads_use_the_tuning_of_their_start() {
    let mut party = Party::new(&[&[], &[content("a", 8, 7), content("b", 8, 7)]]);
    party.connect(0, 1);
    party.hold_chunks = true;
    party.download(0, "a");
    let have_interval = Duration::from_secs(7);
    party.guests[0].node.set_tuning(Tuning { have_interval, ..Tuning::default() });
    party.download(0, "b");
    let intervals =
        party.guests[0].node.downloads().map(|download| download.transfer().unwrap().have_interval);
    assert_eq!(intervals.collect::<Vec<_>>(), [Tuning::default().have_interval, have_interval]);
}
