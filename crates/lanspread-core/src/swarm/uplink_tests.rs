//! Tests of the uplink: the order of answers, and cancelled or abandoned requests.

use std::collections::BTreeMap;

use lanspread_types::GameId;
use lanspread_types::limits::REQUESTS_PER_SOURCE_MAX;
use lanspread_types::message::{ChunkRequest, Refusal, RequestId};

use super::tests::{CHUNK, at, content, peer, request_of};
use super::{Uplink, UplinkAction};
use crate::border::net::LinkId;

/// Asks as receiver `n`, on its only connection.
fn ask(uplink: &mut Uplink, n: u8, id: u64, chunk: u32) -> Result<(), Refusal> {
    ask_on(uplink, u64::from(n), n, request_of(8, id, chunk))
}

fn ask_on(uplink: &mut Uplink, link: u64, n: u8, request: ChunkRequest) -> Result<(), Refusal> {
    uplink.enqueue(LinkId(link), peer(n), request, 8, at(0))
}

#[derive(Debug, PartialEq)]
enum Done {
    Served(u64, u64),
    Refused(u64, u64, Refusal),
}

/// Returns all steps that are due now, each with its connection and request.
fn done(uplink: &mut Uplink) -> Vec<Done> {
    let next = || uplink.next(at(0), |_, _| true);
    let short = |action| match action {
        UplinkAction::Serve { link, id, .. } => Done::Served(link.0, id.0),
        UplinkAction::Refuse { link, id, reason } => Done::Refused(link.0, id.0, reason),
    };
    std::iter::from_fn(next).map(short).collect()
}

/// Returns the receivers of the next chunks, each sent to its end before the next.
fn turns(uplink: &mut Uplink, times: usize) -> Vec<u8> {
    let turn = |_| match uplink.next(at(0), |_, _| true) {
        Some(UplinkAction::Serve { link, id, peer, .. }) => {
            assert!(uplink.served(link, id, CHUNK, true, at(0)));
            peer.0[0]
        }
        other => panic!("{other:?}"),
    };
    (0..times).map(turn).collect()
}

/// Returns the receivers of the next chunks, while each of `receivers` asks for another chunk whenever it has got one.
fn shared_turns(uplink: &mut Uplink, receivers: &[u8], times: usize) -> Vec<u8> {
    let mut id = 1000;
    let mut asks = |uplink: &mut Uplink, n| {
        id += 1;
        ask(uplink, n, id, 0).unwrap();
    };
    receivers.iter().for_each(|&n| asks(uplink, n));
    let turn = |_| {
        let n = turns(uplink, 1)[0];
        asks(uplink, n);
        n
    };
    (0..times).map(turn).collect()
}

#[test]
fn idle_receivers_save_up_no_turns() {
    let mut uplink = Uplink::new();
    ask(&mut uplink, 2, 0, 0).unwrap();
    assert_eq!(turns(&mut uplink, 1), [2]);
    (0..8).for_each(|id| ask(&mut uplink, 1, id, id as u32).unwrap());
    assert_eq!(turns(&mut uplink, 8), [1; 8]);
    let turns = shared_turns(&mut uplink, &[1, 2, 3], 9);
    for round in turns.chunks(3) {
        assert!([1, 2, 3].iter().all(|n| round.contains(n)), "in turns, newcomers too: {turns:?}");
    }
}

/// A newcomer starts with the turn of the receivers that ask, not with that of a receiver that went ahead or has
/// stopped asking.
#[test]
fn newcomer_shares_turns_equally() {
    for waits in [true, false] {
        let mut uplink = Uplink::new();
        ask(&mut uplink, 4, 0, 0).unwrap();
        assert_eq!(turns(&mut uplink, 1), [4]);
        (0..if waits { 3 } else { 2 }).for_each(|id| ask(&mut uplink, 2, id, 0).unwrap());
        assert_eq!(done(&mut uplink).len(), 2);
        // Receiver 2 gets no more than two sends at a time, so receiver 1 gets ahead.
        for id in 0..8 {
            ask(&mut uplink, 1, id, 0).unwrap();
            assert_eq!(turns(&mut uplink, 1), [1]);
        }
        let finish = |uplink: &mut Uplink| {
            (0..2).for_each(|id| assert!(uplink.served(LinkId(2), RequestId(id), CHUNK, true, at(0))));
        };
        if waits {
            finish(&mut uplink);
            assert_eq!(turns(&mut uplink, 1), [2]);
        }
        ask(&mut uplink, 3, 0, 0).unwrap();
        ask(&mut uplink, 2, 10, 0).unwrap();
        if !waits {
            finish(&mut uplink);
        }
        let turns = shared_turns(&mut uplink, &[], 6);
        assert!(turns.chunks(2).all(|two| two.contains(&2) && two.contains(&3)), "{waits}: {turns:?}");
    }
}

#[test]
fn overtaken_receiver_catches_up() {
    let mut uplink = Uplink::new();
    (0..2).for_each(|id| ask(&mut uplink, 2, id, 0).unwrap());
    assert_eq!(done(&mut uplink).len(), 2);
    (0..8).for_each(|id| ask(&mut uplink, 1, id, 0).unwrap());
    assert_eq!(turns(&mut uplink, 8), [1; 8]);
    [(2, 10), (2, 11), (1, 10)].iter().for_each(|&(n, id)| ask(&mut uplink, n, id, 0).unwrap());
    (0..2).for_each(|id| assert!(uplink.served(LinkId(2), RequestId(id), CHUNK, true, at(0))));
    assert_eq!(shared_turns(&mut uplink, &[], 8), [2; 8]);
}

#[test]
fn bad_and_excess_requests_are_refused() {
    let mut uplink = Uplink::new();
    assert_eq!(ask(&mut uplink, 1, 0, 8), Err(Refusal::NoSuchChunk));
    for id in 0..REQUESTS_PER_SOURCE_MAX as u64 {
        assert_eq!(ask(&mut uplink, 1, id, 7), Ok(()));
    }
    assert_eq!(ask(&mut uplink, 1, 99, 0), Err(Refusal::TooMany));
}

#[test]
fn cancel_stops_only_its_own_request() {
    let mut uplink = Uplink::new();
    for (link, id) in [(1, 1), (1, 2), (2, 1)] {
        ask_on(&mut uplink, link, 1, request_of(8, id, 0)).unwrap();
    }
    uplink.cancel(LinkId(1), RequestId(1));
    let cancelled = Done::Refused(1, 1, Refusal::Cancelled);
    assert_eq!(done(&mut uplink), [cancelled, Done::Served(1, 2), Done::Served(2, 1)]);
}

#[test]
fn closed_link_gets_no_more_answers() {
    let mut uplink = Uplink::new();
    for (n, id) in [(1, 1), (1, 3), (2, 2)] {
        ask(&mut uplink, n, id, 0).unwrap();
    }
    uplink.cancel(LinkId(1), RequestId(1));
    ask(&mut uplink, 2, 4, 0).unwrap();
    uplink.cancel(LinkId(2), RequestId(2));
    uplink.link_closed(LinkId(1));
    assert_eq!(done(&mut uplink), [Done::Refused(2, 2, Refusal::Cancelled), Done::Served(2, 4)]);
}

#[test]
fn abandoned_requests_free_their_places() {
    for hang_up in [true, false] {
        let mut uplink = Uplink::new();
        for (n, id) in [(1, 0), (1, 1), (2, 2)] {
            ask(&mut uplink, n, id, 0).unwrap();
        }
        assert_eq!(ask(&mut uplink, 3, 3, 0), Err(Refusal::TooMany));
        if hang_up {
            uplink.link_closed(LinkId(1));
        } else {
            (0..2).for_each(|id| uplink.cancel(LinkId(1), RequestId(id)));
        }
        assert_eq!(ask(&mut uplink, 3, 3, 0), Ok(()), "{hang_up}");
    }
}

#[test]
fn requests_for_a_removed_content_are_refused() {
    let mut uplink = Uplink::new();
    ask_on(&mut uplink, 1, 1, request_of(8, 1, 0)).unwrap();
    ask_on(&mut uplink, 1, 1, request_of(7, 2, 0)).unwrap();
    uplink.content_gone(&content(8).content_id());
    assert_eq!(done(&mut uplink), [Done::Refused(1, 1, Refusal::NotDownloaded), Done::Served(1, 2)]);
}

#[test]
fn only_complete_sends_count() {
    let mut uplink = Uplink::new();
    (1..3).for_each(|id| ask(&mut uplink, 1, id, 0).unwrap());
    assert_eq!(done(&mut uplink).len(), 2);
    let mut sent = |id, ok| uplink.served(LinkId(1), RequestId(id), CHUNK, ok, at(1));
    assert_eq!([sent(1, true), sent(2, false), sent(3, true)], [true, false, false]);
}

#[test]
fn queue_is_shown_and_limit_sets_wakeup() {
    let (mut uplink, game) = (Uplink::new(), GameId::new("game").unwrap());
    uplink.set_limit(Some(10 * CHUNK), at(0));
    (1..5).for_each(|id| ask(&mut uplink, 1, id, id as u32).unwrap());
    assert_eq!((done(&mut uplink).len(), uplink.active_per_game()), (2, BTreeMap::from([(game, 4)])));
    uplink.served(LinkId(1), RequestId(1), CHUNK, true, at(0));
    assert_eq!(uplink.next_wakeup(at(0)), Some(at(100)));
    uplink.link_closed(LinkId(1));
    assert_eq!((uplink.next_wakeup(at(0)), uplink.active_per_game()), (None, BTreeMap::new()));
}
