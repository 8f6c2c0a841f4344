//! Tests of scans: what a node reports about its own library, and how it hashes games one after the other.

use std::time::Duration;

use super::SECOND;
use super::party::{Party, content, game};
use crate::api::command::{Command, CommandError, Reply};
use crate::api::event::Event;
use crate::api::snapshot::Availability;
use crate::io::{DiskError, DiskJob, DiskReport, FileStamp, IgnoredFolder, Input, Output, Scan};
use crate::time::Time;

fn scanned(party: &mut Party, scan: Scan) {
    party.input(0, Input::Disk(DiskReport::Scanned(scan)));
    party.settle();
}

fn told(party: &Party, is_it: impl Fn(&Event) -> bool) -> usize {
    party.guests[0].events.iter().filter(|e| is_it(e)).count()
}

fn library_changed(event: &Event) -> bool {
    matches!(event, Event::LocalLibraryChanged { .. })
}

#[test]
fn peer_is_ready_once_after_its_first_scan() {
    let mut party = Party::new(&[&[content("a", 1, 1), content("b", 1, 1)]]);
    let mut more = party.guests[0].scan();
    more.games.truncate(1);
    scanned(&mut party, more);
    let ready = party.guests[0].events.iter().filter_map(|e| match e {
        Event::LocalPeerReady { games, .. } => Some(*games),
        _ => None,
    });
    assert_eq!(ready.collect::<Vec<_>>(), [2]);
}

#[test]
fn scan_is_reported_only_if_the_library_changes() {
    let mut party = Party::new(&[&[content("a", 1, 1)]]);
    let mut scan = party.guests[0].scan();
    let changes = |party: &mut Party, scan: &Scan| {
        let before = told(party, library_changed);
        scanned(party, scan.clone());
        told(party, library_changed) - before
    };
    assert_eq!(changes(&mut party, &scan), 0);
    scan.ignored = vec![IgnoredFolder { name: "A b".to_owned(), reason: "no id".to_owned() }];
    assert_eq!(changes(&mut party, &scan), 1, "a folder that is no game");
    assert_eq!(changes(&mut party, &scan), 0);
    scan.games[0].installed = true;
    assert_eq!(changes(&mut party, &scan), 0, "what is installed is shared with nobody");
    scan.games.clear();
    assert_eq!(changes(&mut party, &scan), 1);
}

#[test]
fn unreadable_library_stays_as_it_was() {
    let mut party = Party::new(&[&[content("a", 1, 1)], &[]]);
    let fault = DiskError::OutOfFiles("no more files".to_owned());
    for _ in 0..2 {
        party.input(0, Input::Disk(DiskReport::ScanFailed { error: fault.clone() }));
        party.settle();
    }
    assert_eq!(party.status(0).library_fault.as_ref(), Some(&fault));
    let unreadable = |e: &Event| matches!(e, Event::LibraryUnreadable { error } if *error == fault);
    assert_eq!(told(&party, unreadable), 1, "told once");
    assert_eq!(told(&party, library_changed), 2, "as at the start");
    let scan = party.guests[0].scan();
    scanned(&mut party, scan);
    assert_eq!(party.status(0).library_fault, None);
    party.input(0, Input::Disk(DiskReport::ScanFailed { error: fault.clone() }));
    party.settle();
    assert_eq!(told(&party, unreadable), 2, "told again");
}

#[test]
fn library_that_cannot_be_written_is_shared_and_not_changed() {
    let mut party = Party::new(&[&[content("a", 1, 1)], &[content("b", 1, 1)]]);
    let mut scan = party.guests[0].scan();
    (scan.read_only, scan.games[0].installed) = (true, true);
    scanned(&mut party, scan);
    party.connect(1, 0);
    assert!(party.status(0).library_read_only);
    let (a, b) = (game("a"), game("b"));
    for command in [
        Command::Download { game: b.clone(), install: false, confirm: None },
        Command::StreamInstall { game: b },
        Command::Uninstall { game: a.clone() },
        Command::RemoveDownload { game: a.clone() },
        Command::Play { game: a.clone(), user_name: None, language: None, launch: false, confirm: None },
    ] {
        let answer = party.command(0, command.clone());
        let refused = matches!(answer, Some(Err(CommandError::Disk(DiskError::ReadOnly(_)))));
        assert!(refused, "{command:?}: {answer:?}");
    }
    let there = party.command(0, Command::Download { game: a, install: false, confirm: None });
    assert!(matches!(there, Some(Ok(Reply::AlreadyThere { .. }))), "{there:?}");
    assert!(matches!(party.download(1, "a"), Some(Ok(_))), "others get what is there");
}

/// Guest 0 has three games that it did not know, and hashes them when the test says so.
fn hashing() -> Party {
    let games = ["a", "b", "c"].map(|id| content(id, 1, 1));
    let mut party = Party::new(&[&games, &[]]);
    party.kill(0, true);
    party.guests[0].hold_jobs = true;
    party.now = Time::START;
    party.restart(0);
    party.connect(1, 0);
    let scan = party.guests[0].scan();
    party.guests[0].held.clear();
    scanned(&mut party, scan);
    party
}

/// Hashes the next game.
fn hash_one(party: &mut Party) {
    let Some(DiskJob::Index { game, stamp }) = party.guests[0].held.pop_front() else {
        panic!("nothing to hash")
    };
    let result = Ok(party.guests[0].disk[&game].0.clone().unwrap());
    party.input(0, Input::Disk(DiskReport::Indexed { game, stamp, result }));
    party.settle();
}

#[test]
fn quickly_hashed_games_are_announced_together() {
    let mut party = hashing();
    let (ms, start) = (Duration::from_millis, Time::START);
    let others_see = |party: &mut Party| party.games(1).len();
    let wake_at = |party: &mut Party, now: Time| {
        party.now = now;
        party.input(0, Input::Wake);
        party.settle();
    };
    hash_one(&mut party);
    wake_at(&mut party, start + ms(199));
    assert_eq!(others_see(&mut party), 0);
    assert_eq!(party.guests[0].node.next_wakeup(party.now), Some(start + ms(200)));
    wake_at(&mut party, start + ms(200));
    assert_eq!(others_see(&mut party), 1);

    party.now = start + ms(400);
    hash_one(&mut party);
    assert_eq!(others_see(&mut party), 2, "there was nothing to tell for a while");
    hash_one(&mut party);
    assert_eq!(others_see(&mut party), 3, "the last one is not waited with");
}

#[test]
fn hashed_games_are_ready_others_are_local_only() {
    let mut party = hashing();
    party.now = party.now + SECOND;
    hash_one(&mut party);
    let shown: Vec<_> = party.games(0).into_iter().map(|g| g.availability).collect();
    assert_eq!(shown, [Availability::Ready, Availability::LocalOnly, Availability::LocalOnly]);
}

/// Returns true if the node scans its library again.
fn scans(wishes: &[Output]) -> bool {
    wishes.iter().any(|wish| matches!(wish, Output::Disk(DiskJob::Scan)))
}

#[test]
fn files_changed_while_hashed_are_scanned_again() {
    for (changed, again) in [(false, false), (true, true)] {
        let mut party = hashing();
        let Some(DiskJob::Index { game, stamp }) = party.guests[0].held.pop_front() else {
            panic!("nothing")
        };
        let stamp = if changed { FileStamp(stamp.0 + 1) } else { stamp };
        let result = Ok(party.guests[0].disk[&game].0.clone().unwrap());
        let wishes = party.wishes(0, Input::Disk(DiskReport::Indexed { game, stamp, result }));
        assert_eq!(scans(&wishes), again);
    }
}

#[test]
fn failed_change_is_followed_by_a_scan() {
    for (failed, again) in [(false, false), (true, true)] {
        let mut party = Party::new(&[&[content("a", 1, 1)]]);
        let result = if failed { Err(DiskError::Other("it broke".to_owned())) } else { Ok(()) };
        let wishes = party.wishes(0, Input::Disk(DiskReport::Installed { game: game("a"), result }));
        assert_eq!(scans(&wishes), again);
    }
}
