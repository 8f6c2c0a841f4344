//! Tests of peers that flood with messages.

use lanspread_types::message::{GameOffer, HaveMap, LibraryUpdate, Message};
use lanspread_types::{ChunkIndex, ContentId, GameId, GameVersion};

use super::SECOND;
use super::party::Party;
use crate::api::event::Event;
use crate::budget::cost;
use crate::io::{CloseReason, Input, NetInput, Output};
use crate::limits::{LIBRARY_NEWS_BURST, UNITS_BURST, UNITS_OWED_MAX, UNITS_PER_SECOND, WISHES_PER_PEER};
use crate::refusals::RefusalKind;

/// Outputs of guest 0 when a guest sends it a message.
fn heard(party: &mut Party, by: usize, message: Message) -> Vec<Output> {
    let conn = party.conn_from(0, by);
    party.wishes(0, Input::Net(NetInput::Message { conn, message }))
}

fn is_let_go(told: &[Output]) -> bool {
    let refused = told.iter().any(|wish| match wish {
        Output::Event(Event::PeerRefused { cause, .. }) => cause.kind() == RefusalKind::Protocol,
        _ => false,
    });
    let closed = |wish: &Output| matches!(wish, Output::Close { reason: CloseReason::ProtocolError, .. });
    refused && told.iter().any(closed)
}

fn have_map() -> Message {
    let content = ContentId([9; 32]);
    Message::HaveMap(HaveMap::Part { content, first: ChunkIndex(0), bits: vec![0xff; 32 << 10] })
}

#[test]
fn floods_are_cut_off_when_the_budget_is_spent() {
    let interested = Message::Interested { game: GameId::new("ggoo").unwrap(), content: ContentId([9; 32]) };
    for message in [have_map(), Message::StateWanted, interested, Message::Pong { nonce: 1 }] {
        let mut party = Party::new(&[&[], &[]]);
        party.connect(0, 1);
        let heard = |party: &mut Party| heard(party, 1, message.clone());
        let flood = (UNITS_BURST + UNITS_OWED_MAX) / cost(&message) + 1;
        let last = (0..flood).map(|_| heard(&mut party)).position(|told| is_let_go(&told));
        assert!(last.is_some_and(|last| last + 20 > flood as usize), "{message:?}: {last:?} of {flood}");
        assert!(heard(&mut party).is_empty(), "nothing that comes after it is looked at");
    }
}

#[test]
fn steady_talk_at_half_the_budget_goes_on_for_ever() {
    let mut party = Party::new(&[&[], &[]]);
    party.connect(0, 1);
    let per_second = UNITS_PER_SECOND / 2 / cost(&have_map());
    for _ in 0..60 {
        party.now = party.now + SECOND;
        for _ in 0..per_second {
            assert!(!is_let_go(&heard(&mut party, 1, have_map())));
        }
    }
}

#[test]
fn wishes_of_a_stranger_leave_room_for_the_organiser() {
    let mut party = Party::new(&[&[], &[], &[]]);
    party.connect(0, 1);
    party.connect(0, 2);
    let told = |party: &mut Party, by, id: String| {
        let told = heard(party, by, Message::DownloadWanted { game: GameId::new(id).unwrap() });
        told.iter().filter(|wish| matches!(wish, Output::Event(Event::DownloadWanted { .. }))).count()
    };
    let strangers: usize = (0..400).map(|n| told(&mut party, 1, format!("g{n}"))).sum();
    assert_eq!(strangers, WISHES_PER_PEER);
    assert_eq!(told(&mut party, 2, "ggoo".to_owned()), 1, "the organiser's");
}

#[test]
fn flickering_library_makes_few_events() {
    let mut party = Party::new(&[&[], &[]]);
    party.connect(0, 1);
    let offer = |n: u64| GameOffer {
        game: GameId::new(format!("g{n}")).unwrap(),
        version: GameVersion::new(20_250_101).unwrap(),
        content: ContentId([7; 32]),
        bytes: n,
        files: 1,
    };
    let counts = |told: &[Output]| -> Vec<usize> {
        let count = |wish: &Output| match wish {
            Output::Event(Event::RemoteLibraryChanged { games, .. }) => Some(*games),
            _ => None,
        };
        told.iter().filter_map(count).collect()
    };
    let mut events = Vec::new();
    for n in 1..=200 {
        let games = (0..n).map(offer).collect();
        let update = LibraryUpdate { revision: n, base: 0, more: false, games, removed: vec![] };
        events.extend(counts(&heard(&mut party, 1, Message::Library(update))));
    }
    assert!(events.len() <= LIBRARY_NEWS_BURST as usize, "{events:?}");
    party.now = party.guests[0].node.next_wakeup(party.now).unwrap();
    assert_eq!(counts(&party.wishes(0, Input::Wake)), [200]);
}
