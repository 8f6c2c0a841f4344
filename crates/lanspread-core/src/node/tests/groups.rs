//! Groups of the room: who follows whom.
//!
//! Guest n is at 10.0.0.(n + 1).

use std::slice::from_ref;

use lanspread_types::ChunkIndex;
use lanspread_types::message::{Message, Place, PlaceWanted};

use super::party::{KEY, Party, content, id_of, signed_catalog};
use crate::catalog_sync::TrustedCatalog;
use crate::io::{Input, NetInput, Output};
use crate::rules::HouseRules;

fn trusting(serial: u64, games_and_groups: &[&str]) -> HouseRules {
    let held = Some(signed_catalog(serial, games_and_groups));
    HouseRules { trust: Some(TrustedCatalog { key: KEY, held }), ..HouseRules::default() }
}

/// Guests 1 and 2 are placed by subnet; then an edition comes in that puts 1 and 3 into one group.
#[test]
fn newcomer_follows_a_member_of_its_group_placed_before_the_edition() {
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
