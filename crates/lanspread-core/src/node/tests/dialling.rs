//! Tests of finding peers: introductions, sightings, and remembered peers.

use std::time::Duration;

use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{Introduction, Message};
use lanspread_types::{Means, PartyMismatch, Sighting};

use super::party::{Party, addr_of, id_of};
use crate::api::command::{Command, Reply};
use crate::api::event::Event;
use crate::api::snapshot::PeersSnapshot;
use crate::discovery::{Absence, DiscoverySettings};
use crate::io::{CloseReason, Input, NetInput};
use crate::refusals::RefusalCause;

const SECOND: Duration = Duration::from_secs(1);

fn room(guests: usize) -> Party {
    let mut party = Party::new(&vec![[].as_slice(); guests]);
    let now = party.now;
    for guest in &mut party.guests {
        guest.node.find_peers(
            now,
            DiscoverySettings { introductions: true, remembered: Vec::new(), remember: true },
        );
    }
    party
}

fn peers_of(party: &mut Party, guest: usize) -> PeersSnapshot {
    match party.command(guest, Command::ListPeers) {
        Some(Ok(Reply::Peers(peers))) => peers,
        other => panic!("{other:?}"),
    }
}

fn counts(party: &mut Party) -> Vec<usize> {
    (0..party.guests.len()).map(|guest| peers_of(party, guest).peers.len()).collect()
}

fn see(party: &mut Party, guest: usize, other: usize, means: Means, protocol: u16) {
    let sighting = Sighting { peer: id_of(other), name: None, protocol, addrs: vec![addr_of(other)], means };
    party.input(guest, Input::Net(NetInput::Sighted(sighting)));
    party.settle();
}

#[test]
fn chain_becomes_a_full_mesh() {
    let mut party = room(5);
    for guest in 1..5 {
        party.connect(guest, guest - 1).unwrap().unwrap();
    }
    assert_eq!(counts(&mut party), [1, 2, 2, 2, 1], "a chain to begin with");
    party.pass(10 * SECOND);
    assert_eq!(counts(&mut party), [4; 5]);
    let peers = peers_of(&mut party, 4);
    let found: Vec<_> = peers.peers.iter().map(|p| p.found_by.clone()).collect();
    assert_eq!(found[3], [Means::Typed]);
    assert!(found[..3].iter().all(|by| by == &[Means::Introduced] || by == &[Means::Inbound]), "{found:?}");
    let dials: usize = party.guests.iter().map(|g| g.dials.len()).sum();
    assert!(dials <= 6, "six pairs did not know each other, each is dialled once: {dials}");
}

#[test]
fn chain_without_introductions_stays_a_chain() {
    let mut party = Party::new(&[&[], &[], &[]]);
    party.connect(1, 0).unwrap().unwrap();
    party.connect(2, 1).unwrap().unwrap();
    party.pass(10 * SECOND);
    assert_eq!(counts(&mut party), [1, 2, 1]);
}

#[test]
fn only_reached_peers_are_introduced() {
    let mut party = room(3);
    party.connect(0, 2).unwrap().unwrap();
    party.connect(1, 2).unwrap().unwrap();
    // No listener answers at the address that guest 0 states.
    party.guests[0].walled = true;
    party.pass(10 * SECOND);
    assert_eq!(counts(&mut party), [2; 3], "guest 1 is reached and introduced, and guest 0 dials it");
    party.guests[1].walled = true;
    let mut party = room(3);
    party.guests[0].walled = true;
    party.guests[1].walled = true;
    party.connect(0, 2).unwrap().unwrap();
    party.connect(1, 2).unwrap().unwrap();
    party.pass(10 * SECOND);
    assert_eq!(counts(&mut party), [1, 1, 2]);
    assert!(party.guests.iter().all(|g| g.dials.is_empty()), "nobody was sent to where nobody listens");
}

#[test]
fn only_one_of_two_sighted_peers_dials() {
    let mut party = room(2);
    see(&mut party, 0, 1, Means::Mdns, PROTOCOL_VERSION);
    see(&mut party, 1, 0, Means::Mdns, PROTOCOL_VERSION);
    party.pass(10 * SECOND);
    assert_eq!(counts(&mut party), [1, 1]);
    assert_eq!((party.guests[0].dials.len(), party.guests[1].dials.len()), (1, 0));
    assert_eq!(peers_of(&mut party, 0).peers[0].found_by, [Means::Mdns]);
    let connected = |g: &super::party::Guest| {
        g.events.iter().filter(|e| matches!(e, Event::PeerConnected { .. })).count()
    };
    assert!(party.guests.iter().all(|g| connected(g) == 1));
}

#[test]
fn other_protocol_version_is_reported_once() {
    let mut party = room(2);
    for _ in 0..3 {
        see(&mut party, 0, 1, Means::Broadcast, PROTOCOL_VERSION + 1);
    }
    let told =
        |e: &&Event| matches!(e, Event::PeerIncompatible { theirs, .. } if *theirs == PROTOCOL_VERSION + 1);
    assert_eq!(party.guests[0].events.iter().filter(told).count(), 1);
    assert_eq!(peers_of(&mut party, 0).others.len(), 1);
}

#[test]
fn introduced_peer_is_listed_before_it_connects() {
    let mut party = room(3);
    party.connect(0, 1).unwrap().unwrap();
    party.pass(SECOND);
    let conn = party.conn_between(0, 1);
    let peers = vec![Introduction { peer: id_of(2), addr: "10.0.0.9:4000".parse().unwrap() }];
    party.input(0, Input::Net(NetInput::Message { conn, message: Message::Introduce { peers } }));
    party.settle();
    assert_eq!(peers_of(&mut party, 0).others[0].found_by, [Means::Introduced]);
}

#[test]
fn remembered_peer_is_tried_at_the_next_start() {
    let mut party = room(2);
    party.connect(0, 1).unwrap().unwrap();
    party.pass(30 * SECOND);
    let remembered = party.guests[0].remembered.clone();
    assert_eq!(remembered.len(), 1);
    assert_eq!((remembered[0].peer, &remembered[0].addrs[..]), (id_of(1), &[addr_of(1)][..]));

    party.kill(0, true);
    party.restart(0);
    let now = party.now;
    party.guests[0].node.find_peers(now, DiscoverySettings { remembered, ..DiscoverySettings::default() });
    party.settle();
    assert_eq!(counts(&mut party), [1, 1], "without a word from anybody");
    assert_eq!(peers_of(&mut party, 0).peers[0].found_by, [Means::Remembered]);
}

#[test]
fn departed_peer_is_not_dialled() {
    let mut party = room(3);
    party.connect(0, 1).unwrap().unwrap();
    party.connect(2, 1).unwrap().unwrap();
    party.pass(5 * SECOND);
    assert_eq!(counts(&mut party), [2; 3]);
    let before: Vec<usize> = party.guests.iter().map(|g| g.dials.len()).collect();
    party.command(2, Command::Shutdown);
    party.guests[2].dead = true;
    party.pass(60 * SECOND);
    let lost = |e: &&Event| matches!(e, Event::PeerLost { reason: CloseReason::Goodbye, .. });
    for guest in [0, 1] {
        assert_eq!(party.guests[guest].events.iter().filter(lost).count(), 1);
        assert_eq!(party.guests[guest].dials.len(), before[guest], "nobody dials who has left");
    }
}

#[test]
fn peer_of_another_party_is_not_dialled_again() {
    let mut party = room(2);
    // The dial comes to no end by itself; its outcome is reported below.
    party.hold_dials = true;
    see(&mut party, 0, 1, Means::Mdns, PROTOCOL_VERSION);
    party.pass(SECOND);
    assert_eq!(party.guests[0].dials.len(), 1);
    let cause = RefusalCause::Party(PartyMismatch::WrongPassPhrase);
    let (peer, addr) = (Some(id_of(1)), addr_of(1));
    party.input(0, Input::Net(NetInput::Refused { addr, peer, cause, dialled: true }));
    party.settle();
    for _ in 0..10 {
        party.pass(60 * SECOND);
        see(&mut party, 0, 1, Means::Broadcast, PROTOCOL_VERSION);
    }
    party.pass(10 * SECOND);
    assert_eq!(party.guests[0].dials.len(), 1, "each further try would be a guess");
    let others = peers_of(&mut party, 0).others;
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!(others[0].found_by, [Means::Mdns, Means::Broadcast]);
    let reason = PartyMismatch::WrongPassPhrase.to_string();
    assert_eq!(others[0].absence, Absence::TurnedAway { reason });
}
