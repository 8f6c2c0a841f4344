//! Sources that are connected and deliver nothing: a blocked data port, a process that hangs.

use std::time::Duration;

use super::SECOND;
use super::party::{Deaf, Party, content, game};
use crate::event::{DownloadFailure, Event};

/// Guest 0 downloads; those in `deaf` have the game and deliver nothing, those in `others` have it, too.
fn downloading_from(deaf: &[Deaf], others: usize) -> Party {
    let ggoo = [content("ggoo", 32, 7)];
    let mut games: Vec<&[_]> = vec![&[]];
    games.resize(1 + deaf.len() + others, &ggoo);
    let mut party = Party::new(&games);
    for (at, &how) in deaf.iter().enumerate() {
        party.guests[at + 1].deaf = Some(how);
    }
    (1..games.len()).for_each(|at| drop(party.connect(0, at)));
    party.download(0, "ggoo");
    party
}

/// Seconds until an event that is told after the download began.
fn told_after(party: &mut Party, limit: Duration, is_it: impl Fn(&Event) -> bool) -> Option<u64> {
    let start = party.now;
    while !party.guests[0].events.iter().any(&is_it) {
        if party.now.since(start) > limit {
            return None;
        }
        party.pass(SECOND);
    }
    Some(party.now.since(start).as_secs())
}

fn peers_gone(event: &Event) -> bool {
    matches!(event, Event::DownloadPeersGone { .. })
}

fn failed(event: &Event) -> bool {
    matches!(event, Event::DownloadFailed { failure: DownloadFailure::SourcesGone, .. })
}

#[test]
fn a_blocked_source_is_asked_ever_less_often_and_the_download_says_so_then_fails() {
    let mut party = downloading_from(&[Deaf::Blocked], 0);
    assert_eq!(told_after(&mut party, 100 * SECOND, peers_gone), Some(30));
    assert!(!party.guests[0].events.iter().any(failed), "it waits for a while");
    assert_eq!(told_after(&mut party, 100 * SECOND, failed), Some(30));
    let attempts = party.unheard.len();
    assert!((8..=10).contains(&attempts), "{attempts} attempts in a minute: {:?}", party.unheard);
    assert!(party.guests[0].incoming.contains_key(&game("ggoo")), "the chunks are kept");
}

#[test]
fn a_silent_source_is_not_waited_for_for_ever() {
    let mut party = downloading_from(&[Deaf::Silent], 0);
    assert_eq!(told_after(&mut party, 200 * SECOND, peers_gone), Some(60));
    assert_eq!(told_after(&mut party, 200 * SECOND, failed), Some(30));
    assert_eq!(party.unheard.len(), 1, "one chunk is asked of a source of which nothing is known");
}

#[test]
fn a_source_that_is_let_through_again_finishes_the_download() {
    for (deaf, after) in [(Deaf::Blocked, 45), (Deaf::Blocked, 5)] {
        let mut party = downloading_from(&[deaf], 0);
        party.pass(after * SECOND);
        party.guests[1].deaf = None;
        party.pass(20 * SECOND);
        let done = party.guests[0].disk.contains_key(&game("ggoo"));
        assert!(done, "{deaf:?} for {after} seconds: {:?}", party.guests[0].event_names());
    }
}

#[test]
fn others_deliver_what_a_deaf_source_does_not() {
    for deaf in [Deaf::Blocked, Deaf::Silent] {
        let mut party = downloading_from(&[deaf], 1);
        party.pass(10 * SECOND);
        assert!(party.guests[0].disk.contains_key(&game("ggoo")), "{deaf:?}");
        assert!(!party.guests[0].events.iter().any(peers_gone));
    }
}

/// Each seed answers for its share of the chunks; nobody may wait for the share of one who is deaf.
#[test]
fn a_room_is_not_held_up_by_one_of_two_seeds() {
    for deaf in [Deaf::Blocked, Deaf::Silent] {
        let ggoo = [content("ggoo", 32, 7)];
        let mut party = Party::new(&[&ggoo, &ggoo, &[], &[], &[], &[]]);
        party.guests[0].deaf = Some(deaf);
        (0..6).flat_map(|a| (0..a).map(move |b| (a, b))).for_each(|(a, b)| drop(party.connect(a, b)));
        (2..6).for_each(|at| drop(party.download(at, "ggoo")));
        party.pass(90 * SECOND);
        for at in 2..6 {
            assert!(
                party.guests[at].disk.contains_key(&game("ggoo")),
                "{deaf:?}: guest {at} has not finished"
            );
        }
    }
}
