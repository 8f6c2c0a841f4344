//! Tests of liveness: when a node wakes, and what it does about silent peers.

use std::time::Duration;

use lanspread_types::message::Message;

use super::SECOND;
use super::party::Party;
use crate::api::event::Event;
use crate::io::{CloseReason, ConnId, Input, NetInput, Output};
use crate::refusals::RefusalKind;
use crate::time::Time;

fn at(seconds: u64) -> Time {
    Time::from_start(Duration::from_secs(seconds))
}

/// Guest 0 is connected to `others` guests that no longer answer.
fn with_silent(others: usize) -> Party {
    let mut party = Party::new(&vec![[].as_slice(); others + 1]);
    for other in 1..=others {
        party.connect(0, other);
        party.kill(other, false);
    }
    party
}

/// Connections that guest 0 pings when it is woken at `now`.
fn pinged(party: &mut Party, now: Time) -> Vec<ConnId> {
    party.now = now;
    let ping = |wish| match wish {
        Output::Send { conn, message: Message::Ping { .. } } => Some(conn),
        _ => None,
    };
    party.wishes(0, Input::Wake).into_iter().filter_map(ping).collect()
}

#[test]
fn idle_node_is_not_woken() {
    let party = Party::new(&[&[]]);
    assert_eq!(party.guests[0].node.next_wakeup(party.now), None);
    let party = with_silent(1);
    assert_eq!(party.guests[0].node.next_wakeup(party.now), Some(party.now + 5 * SECOND));
}

#[test]
fn silent_peers_are_pinged_even_by_a_late_wakeup() {
    for seconds in [5, 6, 14] {
        let mut party = with_silent(1);
        assert_eq!(pinged(&mut party, at(seconds)).len(), 1, "after {seconds} seconds");
    }
    assert_eq!(pinged(&mut with_silent(1), at(4)), []);
}

#[test]
fn only_silent_peers_are_pinged_and_only_once() {
    let mut party = with_silent(2);
    let (silent, heard) = (party.conn_from(0, 1), party.conn_from(0, 2));
    party.now = at(3);
    party.wishes(0, Input::Net(NetInput::Message { conn: heard, message: Message::Pong { nonce: 0 } }));
    assert_eq!(pinged(&mut party, at(5)), [silent]);
    assert_eq!(party.guests[0].node.next_wakeup(party.now), Some(at(8)));
    assert_eq!(pinged(&mut party, at(8)), [heard]);
    assert_eq!(party.guests[0].node.next_wakeup(party.now), Some(at(15)));
}

#[test]
fn peers_given_up_wake_the_node_no_more() {
    let mut party = with_silent(2);
    for seconds in [5, 15] {
        pinged(&mut party, at(seconds));
        let due = party.guests[0].node.next_wakeup(party.now);
        assert!(due.is_none_or(|due| due > party.now), "{due:?} after {seconds} seconds");
    }
    assert_eq!(party.status(0).peers, 0);
}

#[test]
fn peer_that_floods_with_pings_is_dropped() {
    let mut party = with_silent(1);
    let conn = party.conn_from(0, 1);
    let ping = |party: &mut Party| {
        let ping = Message::Ping { nonce: 7 };
        let told = party.wishes(0, Input::Net(NetInput::Message { conn, message: ping }));
        let times = |what: fn(&Output) -> bool| told.iter().filter(|wish| what(wish)).count();
        [
            times(|wish| matches!(wish, Output::Send { message: Message::Pong { nonce: 7 }, .. })),
            times(|wish| matches!(wish, Output::Close { reason: CloseReason::ProtocolError, .. })),
            times(|wish| {
                let Output::Event(Event::PeerRefused { cause, .. }) = wish else { return false };
                cause.kind() == RefusalKind::Protocol
            }),
        ]
    };
    for second in [0, 5, 10] {
        party.now = at(second);
        assert_eq!(ping(&mut party), [1, 0, 0], "one in five seconds is what everybody does");
    }
    party.now = at(1000);
    let told: Vec<_> = std::iter::repeat_with(|| ping(&mut party)).take(40).collect();
    let answered = told.iter().take_while(|told| **told == [1, 0, 0]).count();
    let ignored = told.iter().skip(answered).take_while(|told| **told == [0, 0, 0]).count();
    assert_eq!(answered, 32);
    assert!(ignored < 8, "{ignored}");
    assert_eq!(told[answered + ignored], [0, 1, 1], "too many");
    assert_eq!(ping(&mut party), [0, 0, 0], "nothing that comes after it is looked at");
}
