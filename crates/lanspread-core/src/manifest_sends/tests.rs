//! Tests of the queue of manifests.

use super::*;
use crate::budget::site_of;

const MIB: u64 = 1 << 20;

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn place(n: u8) -> Place {
    Some(IpAddr::from([10, 0, 0, n]))
}

/// A request by the guest with this number on its connection, for the content with that number.
fn request(guest: u8, id: u64, content: u8, bytes: u64) -> ManifestRequest {
    ManifestRequest {
        link: LinkId(u64::from(guest)),
        id: RequestId(id),
        peer: PeerId([guest; 32]),
        place: place(guest),
        game: GameId::new("ggoo").unwrap(),
        content: ContentId([content; 32]),
        bytes,
    }
}

#[derive(Default)]
struct Seen {
    served: Vec<(u64, u64)>,
    refused: Vec<(u64, u64, Refusal)>,
    dropped: Vec<(u64, DropReason)>,
}

fn drain(sends: &mut ManifestSends, now: Time) -> Seen {
    let mut seen = Seen::default();
    while let Some(action) = sends.next(false, now) {
        match action {
            ManifestAction::Serve { link, id, .. } => seen.served.push((link.0, id.0)),
            ManifestAction::Refuse { link, id, reason } => seen.refused.push((link.0, id.0, reason)),
            ManifestAction::Drop { link, why, .. } => seen.dropped.push((link.0, why)),
        }
    }
    seen
}

#[test]
fn connection_gets_one_manifest_at_a_time() {
    let mut sends = ManifestSends::default();
    (0..20).for_each(|id| sends.enqueue(request(1, id, 1, MIB)));
    let seen = drain(&mut sends, at(0));
    assert_eq!(seen.served, [(1, 0)]);
    let refused: Vec<u64> = seen.refused.iter().map(|r| r.1).collect();
    assert_eq!(refused, (MANIFESTS_PER_SOURCE_MAX as u64..20).collect::<Vec<_>>());
    assert!(seen.refused.iter().all(|r| r.2 == Refusal::TooMany));
    assert!(sends.ended(LinkId(1), RequestId(0)) && !sends.ended(LinkId(1), RequestId(0)));
    assert_eq!(drain(&mut sends, at(10)).served, [(1, 1)]);
}

#[test]
fn two_hundred_guests_are_served_in_turn() {
    let mut sends = ManifestSends::default();
    (0..200).for_each(|guest| sends.enqueue(request(guest, 1, 1, 2 * MIB)));
    let mut got = BTreeSet::new();
    for round in 0..200 {
        let seen = drain(&mut sends, at(round));
        assert!(seen.refused.is_empty() && seen.served.len() <= MANIFEST_SENDS_MAX);
        for (link, id) in seen.served {
            assert!(got.insert(link) && sends.ended(LinkId(link), RequestId(id)));
            sends.has_manifest(&PeerId([link as u8; 32]), &ContentId([1; 32]));
        }
    }
    assert_eq!(got.len(), 200);
}

/// Receivers pass the manifest on, so the seed waits for an announcement before it sends a third copy.
#[test]
fn room_passes_a_manifest_on() {
    let mut sends = ManifestSends::default();
    (1..=5).for_each(|guest| sends.enqueue(request(guest, 1, 1, MIB)));
    assert_eq!(drain(&mut sends, at(0)).served, [(1, 1), (2, 1)]);
    assert!(drain(&mut sends, at(1)).served.is_empty());
    sends.has_manifest(&PeerId([2; 32]), &ContentId([1; 32]));
    assert_eq!(drain(&mut sends, at(2)).served, [(3, 1)]);
    // The first receiver announces nothing, so the rest are served without waiting.
    let late = sends.next_wakeup().unwrap();
    assert_eq!(late, at(1250));
    assert_eq!(drain(&mut sends, late).served, [(4, 1), (5, 1)]);
}

#[test]
fn distinct_manifests_are_bounded_by_their_bytes() {
    let mut sends = ManifestSends::default();
    (1..=4).for_each(|guest| sends.enqueue(request(guest, 1, guest, 60 * MIB)));
    sends.enqueue(request(5, 1, 1, 60 * MIB));
    let served = drain(&mut sends, at(0)).served;
    assert_eq!(served, [(1, 1), (2, 1), (5, 1)], "two that differ, and one that is in memory anyway");
    let mut sends = ManifestSends::default();
    sends.enqueue(request(1, 1, 1, MANIFEST_SEND_BYTES_MAX + 1));
    assert_eq!(drain(&mut sends, at(0)).served.len(), 1, "alone, any may go out");
}

#[test]
fn repeated_requests_share_one_stream() {
    let mut sends = ManifestSends::default();
    for guest in 1..=20 {
        sends.enqueue(ManifestRequest { place: place(1), ..request(guest, 1, 1, MIB) });
    }
    assert_eq!(drain(&mut sends, at(0)).served.len(), 2, "the first, and one repeat");
    // A newcomer does not wait behind them.
    sends.enqueue(request(30, 1, 1, MIB));
    assert_eq!(drain(&mut sends, at(1)).served, [(30, 1)]);
    for link in 1..=20 {
        sends.ended(LinkId(link), RequestId(1));
    }
    let later = at(1) + MANIFEST_REPEAT_WITHIN;
    assert_eq!(drain(&mut sends, later).served.len(), 2, "an old note is no longer held against the address");
}

#[test]
fn repeats_get_no_more_bytes_than_chunks() {
    let mut sends = ManifestSends::default();
    sends.enqueue(request(1, 1, 1, MIB));
    assert!(matches!(sends.next(true, at(0)), Some(ManifestAction::Serve { .. })), "the first one is free");
    sends.ended(LinkId(1), RequestId(1));
    sends.enqueue(request(1, 2, 1, MIB));
    assert_eq!(sends.next(true, at(1)), None);
    sends.chunk_sent(MIB - 1);
    assert_eq!(sends.next(true, at(2)), None);
    sends.chunk_sent(1);
    assert!(matches!(sends.next(true, at(3)), Some(ManifestAction::Serve { .. })));
    sends.ended(LinkId(1), RequestId(2));
    sends.enqueue(request(1, 3, 1, MIB));
    assert_eq!(sends.next(true, at(4)), None, "that is used up");
    assert!(
        matches!(sends.next(false, at(5)), Some(ManifestAction::Serve { .. })),
        "nobody waits for chunks"
    );
}

#[test]
fn full_queue_takes_from_the_busiest_address() {
    let mut sends = ManifestSends::default();
    for link in 0..MANIFESTS_WAITING_MAX as u64 {
        sends.enqueue(ManifestRequest { link: LinkId(link), place: place(1), ..request(0, 1, 1, MIB) });
    }
    let greedy = ManifestRequest { link: LinkId(5000), place: place(1), ..request(0, 1, 1, MIB) };
    sends.enqueue(greedy);
    sends.enqueue(ManifestRequest { link: LinkId(6000), place: place(2), ..request(0, 1, 1, MIB) });
    let seen = drain(&mut sends, at(0));
    let refused: Vec<u64> = seen.refused.iter().map(|r| r.0).collect();
    assert_eq!(refused, [5000, MANIFESTS_WAITING_MAX as u64 - 1]);
    assert!(seen.served.contains(&(6000, 1)));
}

#[test]
fn flooding_connection_is_closed() {
    let mut sends = ManifestSends::default();
    (0..1000).for_each(|id| sends.enqueue(request(1, id, 1, MIB)));
    let seen = drain(&mut sends, at(0));
    assert_eq!(seen.dropped, [(1, DropReason::Floods)]);
    assert_eq!(seen.refused.len(), MANIFEST_REFUSALS_MAX as usize);
    sends.link_closed(LinkId(1));
    sends.enqueue(request(1, 2000, 1, MIB));
    assert_eq!(drain(&mut sends, at(61_000)).served, [(1, 2000)]);
}

#[test]
fn stalled_receiver_is_dropped_when_others_wait() {
    let mut sends = ManifestSends::default();
    (0..MANIFEST_SENDS_MAX as u8).for_each(|guest| sends.enqueue(request(guest, 1, 1, MIB)));
    assert_eq!(drain(&mut sends, at(0)).served.len(), MANIFEST_UNANNOUNCED_MAX);
    let late = sends.next_wakeup().unwrap();
    assert_eq!(drain(&mut sends, late).served.len(), MANIFEST_SENDS_MAX - MANIFEST_UNANNOUNCED_MAX);
    assert_eq!(sends.next_wakeup(), None, "nobody waits");
    sends.enqueue(request(100, 1, 1, MIB));
    let ends = at(0) + MANIFEST_SEND_PATIENCE + Duration::from_secs(MIB / MANIFEST_SEND_RATE_MIN);
    assert_eq!(sends.next_wakeup(), Some(ends));
    assert!(drain(&mut sends, at(20_999)).dropped.is_empty());
    let dropped = drain(&mut sends, ends).dropped;
    assert_eq!(dropped[0], (0, DropReason::TooSlow));
    sends.link_closed(LinkId(0));
    assert_eq!(drain(&mut sends, ends).served, [(100, 1)]);
}

#[test]
fn cancelled_request_is_refused_once() {
    let mut sends = ManifestSends::default();
    sends.enqueue(request(1, 1, 1, MIB));
    sends.enqueue(request(1, 2, 1, MIB));
    assert_eq!(drain(&mut sends, at(0)).served, [(1, 1)]);
    sends.cancel(LinkId(1), RequestId(1));
    sends.cancel(LinkId(1), RequestId(2));
    assert_eq!(drain(&mut sends, at(0)).refused, [(1, 2, Refusal::Cancelled)]);
}

#[test]
fn ipv6_addresses_of_one_host_are_one_place() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(site_of(ip("2001:db8::1")), site_of(ip("2001:db8::2:3")));
    assert_ne!(site_of(ip("2001:db8::1")), site_of(ip("2001:db8:0:1::1")));
    assert_eq!(site_of(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    assert_ne!(site_of(ip("10.0.0.1")), site_of(ip("10.0.0.2")));
}
