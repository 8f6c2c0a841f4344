//! Tests of the view of the room, of wishes, and of a catalogue that is offered and never arrives.

use std::slice::from_ref;
use std::time::Duration;

use lanspread_types::message::Message;

use super::party::{KEY, Party, content, game, newer, signed_catalog};
use super::pinned;
use crate::api::command::{Command, Reply};
use crate::api::event::Event;
use crate::catalog::CatalogMode;
use crate::catalog_sync::TrustedCatalog;
use crate::io::{Input, NetInput};
use crate::rules::OwnerPolicy;

fn trusting(serial: Option<u64>) -> OwnerPolicy {
    let held = serial.map(|serial| signed_catalog(serial, &["ggoo"]));
    OwnerPolicy { trust: Some(TrustedCatalog { key: KEY, held }), ..OwnerPolicy::default() }
}

fn accepting() -> OwnerPolicy {
    OwnerPolicy { accept_wants: true, ..OwnerPolicy::default() }
}

/// Outcomes of the wishes that a guest heard.
fn wishes(party: &Party, guest: usize) -> Vec<bool> {
    let accepted = |e: &Event| match e {
        Event::DownloadWanted { accepted, .. } => Some(*accepted),
        _ => None,
    };
    party.guests[guest].events.iter().filter_map(accepted).collect()
}

fn wish(party: &mut Party, id: &str) {
    assert_eq!(party.command(0, Command::WantGame { game: game(id) }), Some(Ok(Reply::Wanted { asked: 1 })));
}

#[test]
fn view_arrives_within_a_second_despite_silence() {
    let mut party = Party::new(&[&[], &[]]);
    party.connect(0, 1);
    party.kill(1, false);
    party.pass(Duration::from_secs(1));
    assert_eq!(party.command(0, Command::Room), None, "there is still hope");
    let asked = party.now;
    party.now = party.guests[0].node.next_wakeup(asked).unwrap();
    assert!((1..1000).contains(&party.now.since(asked).as_millis()), "{:?}", party.now.since(asked));
    party.input(0, Input::Wake);
    party.settle();
    let answers: Vec<_> = party.guests[0].answers.values().collect();
    let Some(Ok(Reply::Room(room))) = answers.last() else { panic!("{answers:?}") };
    assert_eq!(room.guests.iter().map(|g| g.silent).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn view_shows_each_peers_edition() {
    let mut party = Party::new(&[&[], &[]]);
    party.with_rules(0, trusting(Some(5)));
    party.connect(0, 1);
    for guest in [0, 1] {
        let Some(Ok(Reply::Room(room))) = party.command(guest, Command::Room) else { panic!() };
        let mut editions: Vec<_> = room.guests.iter().map(|g| (g.peer.0[0], g.catalog)).collect();
        editions.sort();
        assert_eq!(editions, [(1, Some((KEY, 5))), (2, None)], "asked by {guest}");
    }
}

#[test]
fn wish_is_granted_only_for_a_newer_version() {
    let old = content("ggoo", 2, 7);
    let new = newer(&old);
    let mut party = Party::new(&[from_ref(&new), from_ref(&old)]);
    party.with_rules_and_catalog(1, accepting(), &pinned(&[&new]));
    party.connect(0, 1);
    wish(&mut party, "ggoo");
    assert_eq!(wishes(&party, 1), [true]);
    assert_eq!(party.games(1)[0].local_version, Some(new.manifest().version()));
    party.pass(Duration::from_secs(61));
    wish(&mut party, "ggoo");
    assert_eq!(wishes(&party, 1), [true, false], "a minute later it is a new wish, and is fulfilled");
}

#[test]
fn wish_respects_operations_and_taken_names() {
    let games = [content("ggoo", 2, 7), content("GGOO", 2, 8)];
    let mut party = Party::new(&[&games, &[]]);
    party.with_rules_and_catalog(1, accepting(), &pinned(&[&games[0], &games[1]]));
    party.connect(0, 1);
    party.hold_chunks = true;
    party.download(1, "ggoo").unwrap().unwrap();
    wish(&mut party, "ggoo");
    wish(&mut party, "GGOO");
    assert_eq!(wishes(&party, 1), [false, false]);
    party.release_chunks();
    let finished = |e: &&Event| matches!(e, Event::DownloadFinished { .. });
    assert_eq!(party.guests[1].events.iter().filter(finished).count(), 1);
}

#[test]
fn unsent_catalogue_delays_others_only_briefly() {
    let mut party = Party::new(&[&[], &[], &[]]);
    party.with_rules(0, trusting(None));
    party.with_rules(2, trusting(Some(5)));
    party.connect(0, 1);
    let message = Message::CatalogOffer { key: KEY, serial: 9, bytes: 100 };
    let conn = party.conn_from(0, 1);
    party.input(0, Input::Net(NetInput::Message { conn, message }));
    party.settle();
    party.connect(0, 2);
    assert_eq!(party.status(0).catalog, CatalogMode::Awaited { key: KEY }, "the newer one comes first");
    party.pass(Duration::from_secs(11));
    assert!(matches!(party.status(0).catalog, CatalogMode::Signed { serial: 5, .. }));
}
