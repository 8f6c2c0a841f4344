//! Tests of announcements: libraries and chunks that a node hears about, and what it tells of its own.

use std::slice::from_ref;
use std::sync::Arc;

use lanspread_types::limits::GAMES_PER_PEER_MAX;
use lanspread_types::message::{GameOffer, HaveMap, LibraryUpdate, Message};
use lanspread_types::tree::root_of;
use lanspread_types::{
    ChunkHash, ChunkIndex, ChunkSet, ChunkSize, ContentId, FileEntry, GameContent, GameVersion, Manifest,
    PeerId, RelPath,
};

use super::party::{Party, content, game, id_of};
use crate::api::command::Command;
use crate::api::event::Event;
use crate::io::{CloseReason, DiskReport, Input, NetInput, Output};
use crate::refusals::RefusalKind;

fn heard(party: &mut Party, from: usize, message: Message) -> Vec<Output> {
    let conn = party.conn_from(0, from);
    party.wishes(0, Input::Net(NetInput::Message { conn, message }))
}

fn appears(party: &mut Party, guest: usize, content: &Arc<GameContent>) {
    party.guests[guest].disk.insert(content.manifest().game().clone(), (Some(content.clone()), false));
    let scan = party.guests[guest].scan();
    party.input(guest, Input::Disk(DiskReport::Scanned(scan)));
    party.settle();
}

/// Sources of a guest's download, and how many chunks each of them has.
fn sources(party: &Party, guest: usize) -> Vec<(PeerId, u32)> {
    let picker = &party.guests[guest].node.downloads().next().unwrap().transfer().unwrap().picker;
    picker.sources().map(|(peer, figures)| (peer, figures.has)).collect()
}

#[test]
fn bad_library_updates_close_the_connection() {
    let offer = |n: usize| GameOffer {
        game: game(&format!("g{n}")),
        version: GameVersion::new(20_250_101).unwrap(),
        content: ContentId([7; 32]),
        bytes: 1,
        files: 1,
    };
    let too_large = (0..=GAMES_PER_PEER_MAX).map(offer).collect();
    for (base, games, named) in [(0, too_large, 1), (7, vec![offer(0)], 0)] {
        let mut party = Party::new(&[&[], &[]]);
        party.connect(0, 1);
        let conn = party.conn_from(0, 1);
        let update = LibraryUpdate { revision: base + 1, base, more: false, games, removed: Vec::new() };
        let wishes = heard(&mut party, 1, Message::Library(update));
        let hung_up = |wish: &Output| matches!(wish, Output::Close { conn: c, reason: CloseReason::ProtocolError } if *c == conn);
        assert!(wishes.iter().any(hung_up), "{wishes:?}");
        let refused = |wish: &&Output| matches!(wish, Output::Event(Event::PeerRefused { .. }));
        assert_eq!(wishes.iter().filter(refused).count(), named, "a message that went missing is no offence");
        let refused = party.status(0).refused;
        assert_eq!(refused.len(), named);
        assert!(refused.iter().all(|r| r.cause.kind() == RefusalKind::Protocol));
        assert_eq!(party.status(0).peers, 0);
    }
}

#[test]
fn new_offer_makes_a_source_of_its_download_only() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), &[], &[]]);
    (1..4).for_each(|other| drop(party.connect(0, other)));
    party.hold_chunks = true;
    party.download(0, "ggoo");
    appears(&mut party, 3, &content("other", 8, 7));
    assert_eq!(sources(&party, 0), [(id_of(1), 9)]);
    assert_eq!(party.refused, [], "nobody is asked for what he does not have");
    appears(&mut party, 2, &shared);
    assert_eq!(sources(&party, 0), [(id_of(1), 9), (id_of(2), 9)]);
}

/// Guest 0 downloads a game of nine chunks from guest 1. Guest 2 is connected as well.
fn downloading_from_one_of_two() -> (Party, ContentId) {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), &[]]);
    party.connect(0, 1);
    party.connect(0, 2);
    party.hold_chunks = true;
    party.download(0, "ggoo");
    (party, shared.content_id())
}

#[test]
fn library_counts_more_than_an_empty_have_map() {
    let (mut party, content) = downloading_from_one_of_two();
    heard(&mut party, 2, Message::HaveMap(HaveMap::All { content }));
    assert_eq!(sources(&party, 0), [(id_of(1), 9), (id_of(2), 9)]);
    heard(&mut party, 1, Message::HaveMap(HaveMap::None { content }));
    heard(&mut party, 2, Message::HaveMap(HaveMap::None { content }));
    assert_eq!(sources(&party, 0), [(id_of(1), 9)]);
}

#[test]
fn bits_beyond_the_last_chunk_are_ignored() {
    let (mut party, content) = downloading_from_one_of_two();
    for (first, bits) in [(0, vec![1, 0xff, 0xff]), (u32::MAX - 3, vec![0xff])] {
        let map = HaveMap::Part { content, first: ChunkIndex(first), bits };
        heard(&mut party, 2, Message::HaveMap(map));
        assert_eq!(sources(&party, 0), [(id_of(1), 9), (id_of(2), 2)], "the first and the last of nine");
    }
}

#[test]
fn have_map_claims_only_the_shared_content() {
    let (mine, other) = (content("ggoo", 8, 7), content("ggoo", 8, 9));
    let mut party = Party::new(&[from_ref(&mine), &[]]);
    party.connect(0, 1);
    let answer = |party: &mut Party, content| {
        let said = heard(party, 1, Message::Interested { game: game("ggoo"), content });
        let map = said.into_iter().find_map(|wish| match wish {
            Output::Send { message: Message::HaveMap(map), .. } => Some(map),
            _ => None,
        });
        map.unwrap()
    };
    let (mine, other) = (mine.content_id(), other.content_id());
    assert_eq!(answer(&mut party, mine), HaveMap::All { content: mine });
    assert_eq!(answer(&mut party, other), HaveMap::None { content: other });
    party.guests[0].hold_jobs = true;
    party.command(0, Command::RemoveDownload { game: game("ggoo") });
    assert_eq!(answer(&mut party, mine), HaveMap::None { content: mine }, "it is being deleted");
}

/// A game of more chunks than one message can describe.
fn huge() -> Arc<GameContent> {
    let chunks = 300_000;
    let size = ChunkSize::for_game(u64::MAX);
    let mut hashes = vec![ChunkHash([7; 32]); chunks];
    let bytes = chunks as u64 * size.bytes();
    let root = root_of(&hashes, size, bytes).unwrap();
    let sentinel = ChunkHash(*blake3::hash(b"20250101").as_bytes());
    let file = |path: &str, size, root| FileEntry { path: RelPath::new(path).unwrap(), size, root };
    let files = vec![file("a.eti", bytes, root), file("version.ini", 8, sentinel)];
    hashes.push(sentinel);
    let manifest = Manifest::new(game("huge"), GameVersion::new(20_250_101).unwrap(), files).unwrap();
    Arc::new(GameContent::new(manifest, hashes).unwrap())
}

#[test]
fn have_map_of_a_huge_game_comes_in_parts() {
    let shared = huge();
    let mut party = Party::new(&[from_ref(&shared), &[], &[]]);
    let mut left = ChunkSet::full(shared.manifest().chunk_count());
    left.remove(ChunkIndex(3));
    let held = left.count();
    party.guests[1].incoming.insert(game("huge"), left);
    for (a, b) in [(1, 0), (2, 0), (1, 2)] {
        party.connect(a, b);
    }
    party.hold_chunks = true;
    party.download(1, "huge");
    party.download(2, "huge");
    let known = sources(&party, 2).into_iter().find(|(peer, _)| *peer == id_of(1));
    assert_eq!(known.map(|(_, has)| has), Some(held));
}
