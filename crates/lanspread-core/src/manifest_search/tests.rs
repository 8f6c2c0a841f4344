//! Tests of the search for a manifest.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;

fn offerer(peer: u8, place: u8) -> Offerer {
    let place = Some(IpAddr::from([10, 0, 0, place]));
    Offerer { peer: PeerId([peer; 32]), place, usual_bytes: 0, saturated: false, fellow: false }
}

/// Runs a search among sources that never answer, until `wanted` is asked or `limit` is over. Returns when it was
/// asked, and the most sources that were asked at once.
fn asked_after(offerers: &[Offerer], wanted: u8, seed: u64, limit: Duration) -> Option<(Duration, usize)> {
    let (mut now, mut rng, mut next, mut most) = (Time::START, Rng::new(seed), 0, 0);
    let mut search = ManifestSearch::new(now);
    while now.since_start() <= limit {
        match search.step(now, offerers, &mut rng) {
            Step::Ask(peer) => {
                if peer.0[0] == wanted {
                    return Some((now.since_start(), most));
                }
                next += 1;
                search.asked(peer, RequestId(next), now);
                most = most.max(search.open().count());
            }
            Step::GiveUp { .. } => {}
            Step::Wait => now = search.next_wakeup()?,
            Step::Exhausted => return None,
        }
    }
    None
}

#[test]
fn identities_of_one_address_crowd_out_nobody() {
    let mut offerers: Vec<Offerer> = (1..=30).map(|peer| offerer(peer, 1)).collect();
    offerers.push(offerer(99, 2));
    for seed in 0..100 {
        let (after, _) = asked_after(&offerers, 99, seed, Duration::from_secs(60)).unwrap();
        assert!(after <= MANIFEST_HEDGE_MIN, "after {after:?}");
    }
}

#[test]
fn slow_addresses_are_passed_over_one_by_one() {
    let offerers: Vec<Offerer> = (1..=31).map(|peer| offerer(peer, peer)).collect();
    for seed in 0..100 {
        let (after, most) = asked_after(&offerers, 31, seed, Duration::from_secs(60)).unwrap();
        assert!(after <= MANIFEST_HEDGE_MIN * 30 && most <= MANIFEST_SOURCES_MAX, "{after:?}, {most}");
    }
}

#[test]
fn only_source_is_waited_for() {
    let only = [offerer(1, 1)];
    let (mut rng, start) = (Rng::new(1), Time::START);
    let mut search = ManifestSearch::new(start);
    assert_eq!(search.step(start, &only, &mut rng), Step::Ask(only[0].peer));
    search.asked(only[0].peer, RequestId(1), start);
    assert_eq!(search.step(start, &only, &mut rng), Step::Wait);
    assert_eq!(search.next_wakeup(), Some(start + MANIFEST_ANSWER_PATIENCE));
    let begun = start + Duration::from_secs(50);
    search.started(only[0].peer, RequestId(1), 10 * MANIFEST_SEND_RATE_MIN, begun);
    assert_eq!(search.step(begun, &only, &mut rng), Step::Wait);
    let ends = begun + MANIFEST_SEND_PATIENCE + Duration::from_secs(10);
    assert_eq!(search.next_wakeup(), Some(ends));
    assert_eq!(search.step(ends, &only, &mut rng), Step::GiveUp { peer: only[0].peer, id: RequestId(1) });
    assert_eq!(search.step(ends, &only, &mut rng), Step::Exhausted);
}

#[test]
fn busy_source_is_asked_again_with_growing_pauses() {
    let only = [offerer(1, 1)];
    let (mut now, mut rng) = (Time::START, Rng::new(1));
    let mut search = ManifestSearch::new(now);
    let mut at = Vec::new();
    for id in 0..12 {
        while search.step(now, &only, &mut rng) != Step::Ask(only[0].peer) {
            now = search.next_wakeup().unwrap();
        }
        at.push(now);
        search.asked(only[0].peer, RequestId(id), now);
        search.failed(only[0].peer, RequestId(id), Failed::Busy, now, &mut rng);
    }
    let pauses: Vec<Duration> = at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(pauses[0] >= MANIFEST_BUSY_PAUSE_MIN / 2 && pauses[0] < MANIFEST_BUSY_PAUSE_MIN * 2);
    assert!(pauses[10] >= MANIFEST_BUSY_PAUSE_MAX / 2 && pauses[10] < MANIFEST_BUSY_PAUSE_MAX * 2);
    now = Time::START + MANIFEST_SEARCH_MAX;
    search.asked(only[0].peer, RequestId(100), now);
    search.failed(only[0].peer, RequestId(100), Failed::Busy, now, &mut rng);
    assert_eq!(search.step(now, &only, &mut rng), Step::Exhausted, "not for ever");
}

#[test]
fn failed_source_is_asked_once_and_the_next_at_once() {
    let offerers: Vec<Offerer> = (1..=3).map(|peer| offerer(peer, peer)).collect();
    let (now, mut rng, mut asked) = (Time::START, Rng::new(7), BTreeSet::new());
    let mut search = ManifestSearch::new(now);
    while let Step::Ask(peer) = search.step(now, &offerers, &mut rng) {
        assert!(asked.insert(peer));
        search.asked(peer, RequestId(asked.len() as u64), now);
        search.failed(peer, RequestId(asked.len() as u64), Failed::Otherwise, now, &mut rng);
    }
    assert_eq!((asked.len(), search.step(now, &offerers, &mut rng)), (3, Step::Exhausted));
}

#[test]
fn smallest_stated_size_sets_the_pace() {
    let mut both = [offerer(1, 1), offerer(2, 2)];
    (both[0].usual_bytes, both[1].usual_bytes) = (96 << 20, MANIFEST_RATE_USUAL);
    assert_eq!(hedge_after(&both), MANIFEST_HEDGE_MIN + Duration::from_secs(1));
}

#[test]
fn saturated_source_is_neither_asked_nor_given_up() {
    let mut only = [offerer(1, 1)];
    only[0].saturated = true;
    let (now, mut rng) = (Time::START, Rng::new(7));
    let mut search = ManifestSearch::new(now);
    assert_eq!(search.step(now, &only, &mut rng), Step::Wait);
    only[0].saturated = false;
    assert_eq!(search.step(now, &only, &mut rng), Step::Ask(only[0].peer));
}

#[test]
fn idle_source_is_asked_before_a_busy_one() {
    let mut both = [offerer(1, 1), offerer(2, 2)];
    both[0].fellow = true;
    for seed in 0..100 {
        assert_eq!(asked_after(&both, 2, seed, Duration::ZERO), Some((Duration::ZERO, 0)));
    }
    // But an address that was asked already comes later.
    let one_address = [offerer(1, 1), offerer(2, 1), Offerer { fellow: true, ..offerer(3, 3) }];
    let (after, _) = asked_after(&one_address, 3, 1, Duration::from_secs(60)).unwrap();
    assert_eq!(after, MANIFEST_HEDGE_MIN);
}
