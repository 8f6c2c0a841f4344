//! Tests of the cost of peers that announce as much as they may.

use lanspread_types::limits::GAMES_PER_PEER_MAX;
use lanspread_types::message::{GameOffer, LibraryUpdate, Message};
use lanspread_types::{ContentId, GameId, GameVersion};

use super::SECOND;
use super::party::{Party, content};
use crate::api::command::{Command, Reply};
use crate::io::{Input, NetInput};
use crate::limits::ROOM_GAMES_MAX;

const CROWD: usize = 16;

/// Guest 0 has a game of its own; each of its [`CROWD`] peers offers 4,096 games that no other peer has.
fn crowd() -> Party {
    let mut guests: Vec<Vec<_>> = vec![Vec::new(); CROWD + 1];
    guests[0].push(content("zz-own", 1, 1));
    let guests: Vec<&[_]> = guests.iter().map(Vec::as_slice).collect();
    let mut party = Party::new(&guests);
    for by in 1..=CROWD {
        party.connect(0, by);
        let offer = |n: usize| GameOffer {
            game: GameId::new(format!("s{by}-{n}")).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([by as u8; 32]),
            bytes: 1,
            files: 1,
        };
        let games: Vec<GameOffer> = (0..GAMES_PER_PEER_MAX).map(offer).collect();
        let update = LibraryUpdate { revision: 2, base: 0, more: false, games, removed: vec![] };
        let conn = party.conn_from(0, by);
        party.input(0, Input::Net(NetInput::Message { conn, message: Message::Library(update) }));
        party.settle();
    }
    party
}

/// The memory for this is measured in `lanspread-sim` (`tests/crowds.rs`).
#[test]
fn views_of_a_crowded_room_are_bounded() {
    let mut party = crowd();
    for command in [Command::Room, Command::ListGames, Command::ListPeers] {
        party.now = party.now + SECOND;
        match party.command(0, command).unwrap().unwrap() {
            Reply::Room(room) => {
                assert_eq!((room.guests.len(), room.games.len()), (CROWD + 1, ROOM_GAMES_MAX));
                assert_eq!(room.games_left_out, CROWD * GAMES_PER_PEER_MAX + 1 - ROOM_GAMES_MAX);
                assert!(room.games.iter().any(|game| game.game.as_str() == "zz-own"), "the own game counts");
            }
            Reply::Games(list) => {
                assert_eq!(list.games.len() + list.left_out, CROWD * GAMES_PER_PEER_MAX + 1);
            }
            Reply::Peers(list) => {
                let games: usize = list.peers.iter().map(|peer| peer.games.len()).sum();
                assert_eq!(games, CROWD * GAMES_PER_PEER_MAX);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn games_of_many_peers_come_before_those_of_one() {
    let mut party = crowd();
    for by in [3, 4] {
        let offer = GameOffer {
            game: GameId::new("zz-shared").unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([7; 32]),
            bytes: 1,
            files: 1,
        };
        let update = LibraryUpdate { revision: 3, base: 0, more: false, games: vec![offer], removed: vec![] };
        let conn = party.conn_from(0, by);
        party.input(0, Input::Net(NetInput::Message { conn, message: Message::Library(update) }));
    }
    let Some(Ok(Reply::Room(room))) = party.command(0, Command::Room) else { panic!() };
    let shared = room.games.iter().find(|game| game.game.as_str() == "zz-shared").unwrap();
    assert_eq!(shared.ready.len(), 2);
    assert!(party.games(0).iter().any(|game| game.game.as_str() == "zz-shared"));
}
