//! Tests with connected sources that deliver nothing: a blocked data port, or a process that hangs.

use std::time::Duration;

use super::SECOND;
use super::party::{Deaf, Party, content, game};
use crate::api::event::{DownloadFailure, Event};

/// Guest 0 downloads a game. The guests of `deaf` have it and deliver nothing; `others` more have it as well.
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

/// Seconds until the event occurs, or `None` if it does not occur within the limit.
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
fn blocked_source_is_asked_less_often_until_failure() {
    let mut party = downloading_from(&[Deaf::Blocked], 0);
    assert_eq!(told_after(&mut party, 100 * SECOND, peers_gone), Some(30));
    assert!(!party.guests[0].events.iter().any(failed), "it waits for a while");
    assert_eq!(told_after(&mut party, 100 * SECOND, failed), Some(30));
    let attempts = party.unheard.len();
    assert!((8..=10).contains(&attempts), "{attempts} attempts in a minute: {:?}", party.unheard);
    assert!(party.guests[0].incoming.contains_key(&game("ggoo")), "the chunks are kept");
}

#[test]
fn silent_source_is_given_up() {
    let mut party = downloading_from(&[Deaf::Silent], 0);
    assert_eq!(told_after(&mut party, 200 * SECOND, peers_gone), Some(60));
    assert_eq!(told_after(&mut party, 200 * SECOND, failed), Some(30));
    assert_eq!(party.unheard.len(), 1, "one chunk is asked of a source of which nothing is known");
}

#[test]
fn unblocked_source_finishes_the_download() {
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
fn other_sources_replace_a_deaf_one() {
    for deaf in [Deaf::Blocked, Deaf::Silent] {
        let mut party = downloading_from(&[deaf], 1);
        party.pass(10 * SECOND);
        assert!(party.guests[0].disk.contains_key(&game("ggoo")), "{deaf:?}");
        assert!(!party.guests[0].events.iter().any(peers_gone));
    }
}

/// Each seed owns a share of the chunks. No receiver may wait for the share of a deaf seed.
#[test]
fn one_deaf_seed_of_two_delays_nobody() {
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
