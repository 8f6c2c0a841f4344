//! Tests of the organiser's catalogue, of the view of the room, and of refused peers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::message::Message;
use lanspread_types::{CatalogKey, Organiser, PartyMismatch, PartyName, PeerId};

use super::party::{KEY, Party, content, game, id_of, signed_catalog};
use super::pinned;
use crate::api::command::{Command, CommandError, Reply};
use crate::api::event::Event;
use crate::catalog::CatalogMode;
use crate::catalog_sync::TrustedCatalog;
use crate::io::{Input, NetInput};
use crate::refusals::{RefusalCause, RefusalKind};
use crate::room::RoomSnapshot;
use crate::rules::OwnerPolicy;

fn trusting(held: Option<(u64, &[&str])>) -> OwnerPolicy {
    let held = held.map(|(serial, games)| signed_catalog(serial, games));
    OwnerPolicy { trust: Some(TrustedCatalog { key: KEY, held }), ..OwnerPolicy::default() }
}

fn serial(party: &mut Party, guest: usize) -> Option<u64> {
    match party.status(guest).catalog {
        CatalogMode::Signed { serial, .. } => Some(serial),
        _ => None,
    }
}

#[test]
fn newer_catalogue_spreads_through_the_room() {
    let mut party = Party::new(&[&[], &[], &[content("ggoo", 1, 1)]]);
    party.with_rules(0, trusting(Some((2, &["ggoo"]))));
    party.with_rules(1, trusting(Some((1, &["other"]))));
    party.with_rules(2, trusting(None));
    assert_eq!(party.status(2).catalog, CatalogMode::Awaited { key: KEY });
    assert_eq!(party.games(2), [], "until it is here nothing counts");
    // Guest 2 never meets guest 0.
    party.connect(1, 2);
    assert_eq!((serial(&mut party, 1), serial(&mut party, 2)), (Some(1), Some(1)));
    party.connect(0, 1);
    assert_eq!((serial(&mut party, 1), serial(&mut party, 2)), (Some(2), Some(2)));
    assert_eq!((&party.guests[1].kept, &party.guests[2].kept), (&vec![2], &vec![1, 2]));
    assert!(
        party.games(2).iter().any(|g| g.game == game("ggoo") && g.downloaded),
        "what counts now is hashed"
    );
    assert!(party.games(1).iter().any(|g| g.peer_count == 1), "and announced");
    let told = |e: &&Event| matches!(e, Event::CatalogChanged { serial: 2, games: 1, .. });
    assert_eq!(party.guests[2].events.iter().filter(told).count(), 1);
}

#[test]
fn older_catalogue_never_replaces_a_newer_one() {
    let mut party = Party::new(&[&[], &[]]);
    party.with_rules(0, trusting(Some((5, &["new"]))));
    party.with_rules(1, trusting(Some((4, &["old"]))));
    party.connect(1, 0);
    assert_eq!((serial(&mut party, 0), serial(&mut party, 1)), (Some(5), Some(5)));
    assert!(party.guests[0].kept.is_empty());
}

#[test]
fn open_peer_ignores_catalogues() {
    let mut party = Party::new(&[&[], &[]]);
    party.with_rules(0, trusting(Some((5, &["new"]))));
    party.connect(1, 0);
    assert_eq!(party.status(1).catalog, CatalogMode::Open);
}

fn offered(party: &mut Party, guest: usize) -> Vec<(CatalogKey, bool, Vec<PeerId>, Option<u64>)> {
    let row = |o: crate::api::snapshot::OfferedCatalog| {
        let peers = o.peers.into_iter().map(|(peer, _)| peer).collect();
        (o.key, o.invited, peers, o.about.map(|about| about.serial))
    };
    party.status(guest).catalog_offered.into_iter().map(row).collect()
}

fn told_of_organisers(party: &Party, guest: usize) -> usize {
    let told = |e: &&Event| matches!(e, Event::CatalogOffered { key, .. } if *key == KEY);
    party.guests[guest].events.iter().filter(told).count()
}

#[test]
fn open_peer_trusts_an_organiser_on_command() {
    let mut party = Party::new(&[&[content("ggoo", 1, 1)], &[], &[content("own", 1, 1)]]);
    party.with_rules(0, trusting(Some((5, &["ggoo"]))));
    party.with_rules(1, trusting(None));
    party.connect(1, 0);
    party.connect(2, 0);
    party.connect(2, 1);
    assert_eq!(offered(&mut party, 2), [(KEY, false, vec![id_of(0), id_of(1)], Some(5))]);
    assert_eq!((told_of_organisers(&party, 2), told_of_organisers(&party, 1)), (1, 0));
    assert_eq!(party.status(2).catalog, CatalogMode::Open);
    assert!(party.games(2).iter().any(|g| g.game == game("own")), "nothing changes by itself");

    let unknown = Organiser::Fingerprint(CatalogKey([1; 32]).fingerprint());
    let refused = Some(Err(CommandError::UnknownOrganiser { organiser: unknown }));
    assert_eq!(party.command(2, Command::TrustCatalog { organiser: unknown }), refused);
    let organiser = Organiser::Fingerprint(KEY.fingerprint());
    let trusted = Some(Ok(Reply::Organiser(KEY)));
    assert_eq!(party.command(2, Command::TrustCatalog { organiser }), trusted);
    party.settle();
    assert_eq!((serial(&mut party, 2), party.guests[2].trusted), (Some(5), Some(KEY)));
    assert_eq!(offered(&mut party, 2), []);
    assert!(!party.games(2).iter().any(|g| g.game == game("own")));
    assert_eq!(party.command(2, Command::TrustCatalog { organiser }), trusted, "again is no change");
    let other = Organiser::Key(CatalogKey([1; 32]));
    let refused = Some(Err(CommandError::OtherOrganiser { key: KEY }));
    assert_eq!(party.command(2, Command::TrustCatalog { organiser: other }), refused);
}

#[test]
fn catalogue_stays_while_something_runs() {
    let mut party = Party::new(&[&[content("ggoo", 8, 1)], &[]]);
    party.connect(1, 0);
    party.hold_chunks = true;
    party.download(1, "ggoo");
    let trust = Command::TrustCatalog { organiser: Organiser::Key(KEY) };
    assert_eq!(party.command(1, trust), Some(Err(CommandError::Busy)));
    assert_eq!(party.status(1).catalog, CatalogMode::Open);
}

#[test]
fn declined_organiser_is_kept_and_not_offered_again() {
    let mut party = Party::new(&[&[], &[], &[]]);
    party.with_rules(0, trusting(Some((5, &["ggoo"]))));
    party.connect(1, 0);
    let organiser = Organiser::Fingerprint(KEY.fingerprint());
    assert_eq!(party.command(1, Command::DeclineCatalog { organiser }), Some(Ok(Reply::Organiser(KEY))));
    assert_eq!(offered(&mut party, 1), []);
    let declined = party.guests[1].declined.clone();
    assert_eq!(declined, BTreeSet::from([KEY]));
    party.with_rules(2, OwnerPolicy { declined, invited: Some(KEY), ..OwnerPolicy::default() });
    party.connect(2, 0);
    assert_eq!((offered(&mut party, 2), told_of_organisers(&party, 2)), (vec![], 0), "nor after a restart");
}

#[test]
fn invitation_names_an_organiser_nobody_has_yet() {
    let mut party = Party::new(&[&[]]);
    party.with_rules(0, OwnerPolicy { invited: Some(KEY), ..OwnerPolicy::default() });
    assert_eq!(offered(&mut party, 0), [(KEY, true, vec![], None)]);
    assert_eq!(party.status(0).catalog, CatalogMode::Open);
}

#[test]
fn forged_catalogue_is_refused() {
    let mut party = Party::new(&[&[], &[]]);
    party.with_rules(0, trusting(Some((5, &["new"]))));
    party.connect(0, 1);
    let conn = party.conn_from(0, 1);
    let say = |party: &mut Party, message| {
        party.input(0, Input::Net(NetInput::Message { conn, message }));
        party.settle();
    };
    say(&mut party, Message::CatalogOffer { key: KEY, serial: 9, bytes: 6 });
    say(&mut party, Message::CatalogPart { serial: 9, offset: 0, part: b"forged".to_vec() });
    assert_eq!(serial(&mut party, 0), Some(5));
    let refused = party.status(0).refused;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].cause.kind(), RefusalKind::Protocol);
    assert!(refused[0].cause.to_string().contains("does not verify"), "{refused:?}");
}

fn room(party: &mut Party, guest: usize) -> RoomSnapshot {
    match party.command(guest, Command::Room) {
        Some(Ok(Reply::Room(room))) => Arc::unwrap_or_clone(room),
        other => panic!("{other:?}"),
    }
}

#[test]
fn room_shows_games_and_progress_of_all_peers() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), &[], &[]]);
    for (from, to) in [(0, 1), (0, 2), (0, 3), (2, 1)] {
        party.connect(from, to);
    }
    party.hold_chunks = true;
    party.download(2, "ggoo");
    let seen = room(&mut party, 0);
    assert_eq!(seen.guests.len(), 4);
    assert!(seen.guests.iter().all(|g| !g.silent));
    let ggoo = &seen.games[0];
    let ids = |peers: &[PeerId]| peers.iter().map(|p| p.0[0] - 1).collect::<Vec<_>>();
    assert_eq!((ids(&ggoo.ready), ids(&ggoo.without)), (vec![1], vec![0, 3]));
    let fetching: Vec<_> = ggoo.fetching.iter().map(|f| (f.peer.0[0] - 1, f.done_bytes)).collect();
    assert_eq!(fetching, [(2, 0)]);
    assert_eq!(ggoo.last_ready_seconds, None, "nothing comes");
    party.release_chunks();
    party.pass(Duration::from_secs(1));
    assert_eq!(ids(&room(&mut party, 0).games[0].ready), [1, 2]);
}

#[test]
fn unanswering_peer_is_shown_as_silent() {
    let mut party = Party::new(&[&[], &[]]);
    party.connect(0, 1);
    party.kill(1, false);
    assert_eq!(party.command(0, Command::Room), None, "there is still hope");
    party.pass(Duration::from_secs(1));
    let answers: Vec<_> = party.guests[0].answers.values().collect();
    let Some(Ok(Reply::Room(room))) = answers.last() else { panic!("{answers:?}") };
    assert_eq!(room.guests.iter().map(|g| g.silent).collect::<Vec<_>>(), [false, true]);
}

fn wishes(party: &Party, guest: usize) -> Vec<bool> {
    let accepted = |e: &Event| match e {
        Event::DownloadWanted { accepted, .. } => Some(*accepted),
        _ => None,
    };
    party.guests[guest].events.iter().filter_map(accepted).collect()
}

#[test]
fn wish_is_granted_where_the_owner_allows_it() {
    let shared = content("ggoo", 2, 7);
    let mut party = Party::new(&[from_ref(&shared), &[], &[]]);
    let rules = OwnerPolicy { accept_wants: true, ..OwnerPolicy::default() };
    party.with_rules_and_catalog(1, rules, &pinned(&[&shared]));
    party.connect(0, 1);
    party.connect(0, 2);
    let wanted = Command::WantGame { game: game("ggoo") };
    assert_eq!(party.command(0, wanted.clone()), Some(Ok(Reply::Wanted { asked: 2 })));
    assert_eq!((wishes(&party, 1), wishes(&party, 2)), (vec![true], vec![false]));
    assert!(party.games(1)[0].downloaded && !party.games(2)[0].downloaded);
    party.command(0, wanted);
    assert_eq!(wishes(&party, 1), [true], "said twice, told once");
}

#[test]
fn wishes_do_not_fill_a_disk() {
    let games: Vec<_> = (0..10).map(|n| content(&format!("game{n}"), 2, n)).collect();
    let mut party = Party::new(&[&games, &[]]);
    let rules = OwnerPolicy { accept_wants: true, ..OwnerPolicy::default() };
    party.with_rules_and_catalog(1, rules, &pinned(&games.iter().collect::<Vec<_>>()));
    party.connect(0, 1);
    party.hold_chunks = true;
    for n in 0..10 {
        party.command(0, Command::WantGame { game: game(&format!("game{n}")) });
    }
    assert_eq!(
        wishes(&party, 1).iter().filter(|accepted| **accepted).count(),
        crate::room::WISHED_DOWNLOADS_MAX
    );
    assert_eq!(party.status(1).operations.len(), crate::room::WISHED_DOWNLOADS_MAX);
}

#[test]
fn peer_of_another_party_is_reported_once() {
    let mut party = Party::new(&[&[]]);
    let addr: SocketAddr = "10.0.0.9:4000".parse().unwrap();
    let friday = PartyMismatch::Closed(PartyName::new("friday").unwrap());
    let refused = |dialled| {
        let (peer, cause) = (Some(PeerId([9; 32])), RefusalCause::Party(friday.clone()));
        Input::Net(NetInput::Refused { addr, peer, cause, dialled })
    };
    for _ in 0..5 {
        party.input(0, refused(false));
    }
    party.settle();
    let told = party.guests[0].events.iter().filter(|e| matches!(e, Event::PeerRefused { .. })).count();
    assert_eq!(told, 1);
    let list = party.status(0).refused;
    assert_eq!((list.len(), list[0].count, list[0].cause.kind()), (1, 5, RefusalKind::OtherParty));
    // A command to connect there fails for the same reason.
    party.hold_dials = true;
    let id = crate::api::command::CommandId(1);
    party.input(0, Input::Command { id, command: Command::Connect { addr } });
    party.settle();
    party.input(0, refused(true));
    party.settle();
    let answer = party.guests[0].answers.remove(&id);
    assert_eq!(answer, Some(Err(CommandError::OtherParty { addr, mismatch: friday })));
}
