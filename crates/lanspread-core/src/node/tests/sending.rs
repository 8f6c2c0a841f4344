//! Tests of accepted requests: what is sent, counted or refused later.

use std::slice::from_ref;

use lanspread_types::message::{ChunkRequest, Message, Refusal, Request, RequestId};
use lanspread_types::{ChunkIndex, ContentId};

use super::party::{Party, content, game, id_of};
use crate::io::{DiskJob, Input, LinkId, NetInput, Output};

/// Outputs of guest 1 when guest 2 requests a chunk.
fn asked(party: &mut Party, id: &str, content: ContentId, chunk: u32) -> Vec<Output> {
    let (id, game, chunk) = (RequestId(1), game(id), ChunkIndex(chunk));
    let request = Request::Chunk(ChunkRequest { id, game, content, chunk });
    party.wishes(1, Input::Net(NetInput::Requested { link: LinkId(2001), peer: id_of(2), request }))
}

fn refused(wishes: &[Output]) -> Option<Refusal> {
    wishes.iter().find_map(|wish| match wish {
        Output::Refuse { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn served(wishes: &[Output]) -> bool {
    wishes.iter().any(|wish| matches!(wish, Output::Serve { .. }))
}

#[test]
fn sent_chunks_and_bytes_are_counted() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared)]);
    party.connect(0, 1);
    party.download(0, "ggoo");
    let traffic = party.status(1).traffic;
    assert_eq!((traffic.sent_chunks, traffic.sent_bytes), (9, shared.manifest().total_bytes()));
}

#[test]
fn sent_messages_and_requests_are_counted() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared)]);
    party.connect(0, 1);
    party.download(0, "ggoo");
    assert_eq!(party.status(0).traffic.sent_requests, 10, "the manifest and nine chunks");
    assert_eq!(party.status(1).traffic.sent_requests, 0);
    let before = party.status(1).traffic.sent_messages;
    let (conn, message) = (party.conn_from(1, 0), Message::Ping { nonce: 7 });
    party.wishes(1, Input::Net(NetInput::Message { conn, message }));
    assert_eq!(party.status(1).traffic.sent_messages, before + 1, "the answer to a ping");
}

#[test]
fn requests_of_a_closed_link_are_forgotten() {
    let mut party = Party::new(&[&[], &[content("ggoo", 32, 7)]]);
    party.connect(0, 1);
    party.hold_chunks = true;
    party.download(0, "ggoo");
    assert_ne!(party.status(1).outbound, []);
    party.input(1, Input::Net(NetInput::LinkClosed { link: LinkId(1) }));
    assert_eq!(party.status(1).outbound, []);
}

#[test]
fn running_download_does_not_hide_shared_games() {
    let (coming, here) = (content("coming", 8, 7), content("here", 8, 9));
    let mut party = Party::new(&[from_ref(&coming), from_ref(&here), &[]]);
    party.connect(1, 0);
    party.hold_chunks = true;
    party.download(1, "coming");
    assert_eq!(refused(&asked(&mut party, "coming", coming.content_id(), 5)), Some(Refusal::NotHad));
    assert!(served(&asked(&mut party, "here", here.content_id(), 5)));
}

#[test]
fn download_is_served_during_its_commit() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[from_ref(&shared), &[], &[]]);
    party.connect(1, 0);
    party.hold_chunks = true;
    party.download(1, "ggoo");
    party.guests[1].hold_jobs = true;
    party.release_chunks();
    assert!(matches!(party.guests[1].held.back(), Some(DiskJob::Commit { .. })));
    assert!(served(&asked(&mut party, "ggoo", shared.content_id(), 5)));
}
