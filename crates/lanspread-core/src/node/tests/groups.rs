//! Tests of groups in the room: their members, the bytes that crossed between them, and the order of the line.
//!
//! Guest n is at 10.0.0.(n + 1).

use std::slice::from_ref;
use std::sync::Arc;

use lanspread_types::ChunkIndex;
use lanspread_types::message::{Message, Place, PlaceWanted};

use super::party::{KEY, Party, content, id_of, signed_catalog};
use super::{grouped, pinned};
use crate::api::command::{Command, Reply};
use crate::catalog_sync::TrustedCatalog;
use crate::io::{Input, NetInput, Output};
use crate::limits::ROOM_VIEW_EVERY;
use crate::room::RoomSnapshot;
use crate::rules::OwnerPolicy;

fn room(party: &mut Party, guest: usize) -> Arc<RoomSnapshot> {
    party.pass(ROOM_VIEW_EVERY);
    match party.command(guest, Command::Room) {
        Some(Ok(Reply::Room(room))) => room,
        other => panic!("{other:?}"),
    }
}

fn trusting(serial: u64, games_and_groups: &[&str]) -> OwnerPolicy {
    let held = Some(signed_catalog(serial, games_and_groups));
    OwnerPolicy { trust: Some(TrustedCatalog { key: KEY, held }), ..OwnerPolicy::default() }
}

/// Each group of the room with its number of peers, the bytes that they received, and how many of these came from other
/// groups.
fn groups(party: &mut Party, guest: usize) -> Vec<(String, usize, u64, u64)> {
    let room = room(party, guest);
    let groups = room.groups.iter();
    groups.map(|g| (g.group.to_string(), g.peers, g.received_bytes, g.other_groups_bytes)).collect()
}

#[test]
fn room_shows_what_crossed_between_groups() {
    let shared = content("ggoo", 8, 7);
    let catalog = grouped(pinned(&[&shared]), &["A=10.0.0.1/32", "A=10.0.0.2/32", "B=10.0.0.3/32"]);
    let mut party = Party::with_catalog(&[from_ref(&shared), &[], &[]], &catalog);
    for guest in [1, 2] {
        party.connect(guest, 0);
        assert!(matches!(party.download(guest, "ggoo"), Some(Ok(Reply::DownloadStarted { .. }))));
    }
    let bytes = shared.manifest().total_bytes();
    assert_eq!(groups(&mut party, 0), [("A".to_owned(), 2, bytes, 0), ("B".to_owned(), 1, bytes, bytes)]);
    assert_eq!(party.status(2).traffic.other_groups_bytes, bytes);
    assert_eq!(party.status(1).traffic.other_groups_bytes, 0);
}

#[test]
fn own_group_is_that_of_the_address_on_connections() {
    let shared = content("ggoo", 8, 7);
    let catalog = grouped(pinned(&[&shared]), &["A=10.0.0.1/32", "A=10.0.0.99/32"]);
    let mut party = Party::with_catalog(&[from_ref(&shared), &[]], &catalog);
    assert_eq!(groups(&mut party, 1), [("10.0.0.0/24".to_owned(), 1, 0, 0)], "it listens there");
    party.one_machine.insert(1);
    party.connect(1, 0);
    assert!(matches!(party.download(1, "ggoo"), Some(Ok(Reply::DownloadStarted { .. }))));
    assert_eq!(groups(&mut party, 1), [("A".to_owned(), 2, shared.manifest().total_bytes(), 0)]);
}

#[test]
fn new_edition_names_groups() {
    let mut party = Party::new(&[&[], &[]]);
    party.with_rules(0, trusting(5, &["ggoo"]));
    party.with_rules(1, trusting(6, &["ggoo", "A=10.0.0.2/32"]));
    assert_eq!(groups(&mut party, 0), [("10.0.0.0/24".to_owned(), 1, 0, 0)]);
    party.connect(0, 1);
    let named = [("A".to_owned(), 1, 0, 0), ("10.0.0.0/24".to_owned(), 1, 0, 0)];
    assert_eq!(groups(&mut party, 0), named);
    let room = room(&mut party, 0);
    assert_eq!(room.guests.iter().map(|g| g.group.to_string()).collect::<Vec<_>>(), ["10.0.0.0/24", "A"]);
}

/// Guests 1 and 2 are placed by subnet; then a new edition puts 1 and 3 into one group.
#[test]
fn newcomer_follows_its_group_of_the_new_edition() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[from_ref(&shared), &[], &[], &[]]);
    party.with_rules(0, trusting(5, &["ggoo"]));
    (1..=3).for_each(|guest| drop(party.connect(guest, 0)));
    let content = shared.content_id();
    let upstreams = |party: &mut Party, guest: usize| {
        let wanted = PlaceWanted { content, below: ChunkIndex(0), upload_limit: None, instead_of: None };
        let conn = party.conn_between(0, guest);
        let message = Message::PlaceWanted(wanted);
        let outputs = party.wishes(0, Input::Net(NetInput::Message { conn, message }));
        let place = |output: &Output| match output {
            Output::Send { conn: to, message: Message::Place(Place { upstreams, .. }) } if *to == conn => {
                Some(upstreams.clone())
            }
            _ => None,
        };
        outputs.iter().find_map(place).unwrap()
    };
    assert_eq!(upstreams(&mut party, 1), [id_of(0)]);
    assert_eq!(upstreams(&mut party, 2), [id_of(1), id_of(0)]);
    party.with_rules(3, trusting(6, &["ggoo", "A=10.0.0.2/32", "A=10.0.0.4/32"]));
    party.connect(3, 0);
    assert!(party.guests[0].kept.contains(&6));
    assert_eq!(upstreams(&mut party, 3), [id_of(1), id_of(0)]);
}
