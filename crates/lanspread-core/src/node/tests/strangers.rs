//! Tests of strangers: what one of them can change of the games that are here, and what the owner is asked first.

use std::slice::from_ref;
use std::sync::Arc;

use lanspread_types::{ContentId, GameContent, GameVersion};

use super::party::{Answer, Party, content, game, id_of, newer};
use super::pinned;
use crate::api::command::{Command, CommandError, Reply};
use crate::api::event::{DownloadFailure, Event, Repair};
use crate::api::snapshot::GameSnapshot;
use crate::catalog::Catalog;
use crate::io::{BrokenPart, Input};
use crate::rules::OwnerPolicy;
use crate::trust::{CalendarDate, Support};

/// 2025-12-30 in UTC, two days before the date of `newer`.
const TWO_DAYS_EARLIER: u64 = 1_767_052_800;

fn accepting() -> OwnerPolicy {
    OwnerPolicy { accept_wants: true, ..OwnerPolicy::default() }
}

fn download(party: &mut Party, confirm: Option<ContentId>) -> Answer {
    let command = Command::Download { game: game("ggoo"), install: true, confirm };
    party.command(0, command).unwrap()
}

fn play(party: &mut Party, confirm: Option<ContentId>) -> Answer {
    let (user_name, language) = (None, None);
    let play = Command::Play { game: game("ggoo"), user_name, language, launch: true, confirm };
    party.command(0, play).unwrap()
}

/// The content that the owner is asked about before a replacement.
fn asked(answer: &Answer) -> ContentId {
    match answer {
        Err(CommandError::UnconfirmedSource(question)) => question.new_content,
        other => panic!("{other:?}"),
    }
}

/// The content that the owner is asked about before a start.
fn asked_to_start(answer: &Answer) -> ContentId {
    match answer {
        Err(CommandError::UnconfirmedProgram(question)) => question.content,
        other => panic!("{other:?}"),
    }
}

fn is_started(answer: &Answer) -> bool {
    matches!(answer, Ok(Reply::DownloadStarted { .. }))
}

fn ggoo(party: &mut Party) -> GameSnapshot {
    let mut games = party.games(0);
    assert_eq!(games.len(), 1, "{games:?}");
    games.remove(0)
}

/// Guest 0 has the old version installed, and each of the other guests offers one of `offered`.
fn room(old: &Arc<GameContent>, offered: &[&Arc<GameContent>]) -> Party {
    let disks: Vec<&[Arc<GameContent>]> =
        [old].iter().chain(offered).map(|content| from_ref(*content)).collect();
    let mut party = Party::new(&disks);
    party.command(0, Command::Install { game: game("ggoo") });
    for guest in 1..disks.len() {
        party.connect(0, guest);
    }
    party
}

#[test]
fn one_stranger_replaces_nothing_unconfirmed() {
    let (old, forged) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = room(&old, &[&forged]);
    let seen = ggoo(&mut party);
    assert_eq!((seen.version, seen.support), (Some(forged.manifest().version()), Some(Support::Single)));
    assert!(seen.update_needs_confirmation);
    assert_eq!(seen.supplier.map(|s| (s.peer, s.name)), Some((id_of(1), "guest 1".to_owned())));

    let Err(CommandError::UnconfirmedSource(question)) = download(&mut party, None) else { panic!() };
    assert_eq!(
        (question.version, question.new_version),
        (Some(old.manifest().version()), forged.manifest().version())
    );
    assert_eq!((question.content, question.new_content), (Some(old.content_id()), forged.content_id()));
    assert_eq!((question.supplier.peer, question.supplier.name.as_str()), (id_of(1), "guest 1"));
    let other = download(&mut party, Some(content("ggoo", 1, 1).content_id()));
    assert_eq!(asked(&other), forged.content_id(), "the word was for another content");
    assert_eq!(party.guests[0].disk[&game("ggoo")].0.as_ref().unwrap().content_id(), old.content_id());
    let failed = |e: &Event| matches!(e, Event::DownloadFailed { .. });
    assert!(!party.guests[0].events.iter().any(failed), "a question is no failure");

    assert!(is_started(&download(&mut party, Some(forged.content_id()))));
    assert_eq!(ggoo(&mut party).content, Some(forged.content_id()));
}

#[test]
fn wish_for_an_unlisted_game_is_only_reported() {
    let (old, forged) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    for here in [&[][..], from_ref(&old)] {
        let mut party = Party::new(&[here, from_ref(&forged)]);
        party.with_rules(0, accepting());
        party.connect(0, 1);
        party.command(1, Command::WantGame { game: game("ggoo") });
        let told = |e: &&Event| matches!(e, Event::DownloadWanted { accepted: false, .. });
        assert_eq!(party.guests[0].events.iter().filter(told).count(), 1);
        assert_eq!(ggoo(&mut party).content, here.first().map(|old| old.content_id()));
    }
}

#[test]
fn one_machine_with_many_keys_is_one_voice() {
    let (old, forged) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = Party::new(&[from_ref(&old), from_ref(&forged), from_ref(&forged), from_ref(&forged)]);
    party.one_machine = [1, 2, 3].into();
    (1..4).for_each(|guest| drop(party.connect(0, guest)));
    let seen = ggoo(&mut party);
    assert_eq!((seen.peer_count, seen.voices, seen.support), (3, 1, Some(Support::Single)));
    assert_eq!(asked(&download(&mut party, None)), forged.content_id());

    let mut party = room(&old, &[&forged, &forged]);
    let seen = ggoo(&mut party);
    assert_eq!(
        (seen.voices, seen.support, seen.update_needs_confirmation),
        (2, Some(Support::Agreed), false)
    );
    assert!(is_started(&download(&mut party, None)), "two machines confirm each other");
}

#[test]
fn newcomer_gets_what_several_peers_offer() {
    let (old, forged) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = Party::new(&[&[], from_ref(&old), from_ref(&old), from_ref(&forged)]);
    (1..4).for_each(|guest| drop(party.connect(0, guest)));
    assert_eq!(ggoo(&mut party).version, Some(old.manifest().version()));
    assert!(is_started(&download(&mut party, None)));
    let seen = ggoo(&mut party);
    assert_eq!(seen.content, Some(old.content_id()));
    assert!(seen.update_needs_confirmation, "the newer one is shown now, and asks");
}

#[test]
fn lone_newer_offer_does_not_hide_an_agreed_update() {
    let old = content("ggoo", 4, 7);
    let update = newer(&content("ggoo", 4, 8));
    let manifest = update.manifest();
    let later = GameVersion::new(20_270_101).unwrap();
    let forged = lanspread_types::Manifest::new(game("ggoo"), later, manifest.files().to_vec()).unwrap();
    let forged = Arc::new(GameContent::new(forged, update.hashes().to_vec()).unwrap());
    let mut party = room(&old, &[&update, &update, &forged]);
    assert_eq!(ggoo(&mut party).version, Some(update.manifest().version()));
    assert!(is_started(&download(&mut party, None)));
    assert_eq!(ggoo(&mut party).content, Some(update.content_id()));
}

#[test]
fn new_game_of_one_peer_needs_no_confirmation() {
    let mut party = Party::new(&[&[], &[content("ggoo", 4, 7)]]);
    party.connect(0, 1);
    assert_eq!(ggoo(&mut party).support, Some(Support::Single));
    assert!(is_started(&download(&mut party, None)), "the click is the word");
    assert_eq!(ggoo(&mut party).support, Some(Support::Agreed), "it is here");
}

#[test]
fn pinned_content_needs_no_confirmation() {
    let (old, new) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = Party::with_catalog(&[from_ref(&old), from_ref(&new)], &pinned(&[&new]));
    party.connect(0, 1);
    let seen = ggoo(&mut party);
    assert_eq!((seen.support, seen.update_needs_confirmation), (Some(Support::Pinned), false));
    assert!(is_started(&download(&mut party, None)));
}

#[test]
fn version_without_content_is_not_pinned() {
    let (old, new) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let Catalog::Listed { mut games, .. } = pinned(&[&new]) else { panic!() };
    games.values_mut().for_each(|entry| entry.content = None);
    let mut party = Party::with_catalog(&[from_ref(&old), from_ref(&new)], &Catalog::of_games(games));
    party.connect(0, 1);
    assert_eq!(asked(&download(&mut party, None)), new.content_id());
}

#[test]
fn confirmation_decides_where_peers_disagree() {
    let (one, other) = (content("ggoo", 4, 7), content("ggoo", 4, 9));
    let mut party = Party::new(&[&[], from_ref(&one), from_ref(&other)]);
    (1..3).for_each(|guest| drop(party.connect(0, guest)));
    assert!(matches!(download(&mut party, None), Err(CommandError::AmbiguousContent { .. })));
    assert_eq!(ggoo(&mut party).support, None);
    assert!(is_started(&download(&mut party, Some(other.content_id()))));
    assert_eq!(ggoo(&mut party).content, Some(other.content_id()));
}

#[test]
fn version_dated_after_tomorrow_is_not_offered() {
    let ahead = newer(&content("ggoo", 4, 9));
    let today = Input::Today(CalendarDate::from_unix_seconds(TWO_DAYS_EARLIER));
    let mut party = Party::new(&[&[], from_ref(&ahead)]);
    party.input(0, today.clone());
    party.connect(0, 1);
    assert_eq!(party.games(0), []);
    let version = ahead.manifest().version();
    assert_eq!(download(&mut party, None), Err(CommandError::VersionAhead { game: game("ggoo"), version }));
    let word = download(&mut party, Some(ahead.content_id()));
    assert!(matches!(word, Err(CommandError::VersionAhead { .. })), "a word does not change the date");
    let failed =
        |e: &Event| matches!(e, Event::DownloadFailed { failure: DownloadFailure::VersionAhead, .. });
    assert!(party.guests[0].events.iter().any(failed));

    party.input(0, Input::Today(CalendarDate::from_unix_seconds(TWO_DAYS_EARLIER + 86_400)));
    assert_eq!(ggoo(&mut party).version, Some(version), "tomorrow's version is believed");

    let mut party = Party::with_catalog(&[&[], from_ref(&ahead)], &pinned(&[&ahead]));
    party.input(0, today.clone());
    party.connect(0, 1);
    assert!(is_started(&download(&mut party, None)), "the catalogue counts more than a clock");

    let mut party = Party::new(&[from_ref(&ahead)]);
    party.input(0, today);
    let seen = ggoo(&mut party);
    assert!(seen.dated_ahead && seen.downloaded, "what the owner has is shown, with a note");
}

#[test]
fn repair_takes_no_other_content_from_one_machine() {
    let (right, forged) = (content("ggoo", 4, 7), content("ggoo", 4, 9));
    let verdict = |one_machine: bool| {
        let mut party = Party::new(&[from_ref(&right), from_ref(&forged), from_ref(&forged)]);
        if one_machine {
            party.one_machine = [1, 2].into();
        }
        (1..3).for_each(|guest| drop(party.connect(0, guest)));
        let path = lanspread_types::RelPath::new("a.eti").unwrap();
        party.guests[0].broken = vec![BrokenPart { path, offset: 0, length: 1 }];
        party.command(0, Command::Verify { game: game("ggoo"), repair: true });
        let found = party.guests[0].events.iter().find_map(|e| match e {
            Event::VerifyFinished { verdict, .. } => Some((verdict.room_has, verdict.repair)),
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(verdict(true), (None, Repair::NoSource));
    assert_eq!(verdict(false), (Some(forged.content_id()), Repair::Started), "two machines are a majority");
}

#[test]
fn install_without_archives_is_not_replaced_either() {
    let (old, forged) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = room(&old, &[&forged]);
    party.command(0, Command::RemoveDownload { game: game("ggoo") });
    let seen = ggoo(&mut party);
    assert!(seen.installed && !seen.downloaded);
    assert_eq!(asked(&download(&mut party, None)), forged.content_id());
}

#[test]
fn first_start_is_confirmed_once_per_content() {
    let (first, second) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = Party::new(&[&[], from_ref(&first), from_ref(&second)]);
    party.connect(0, 1);
    download(&mut party, None).unwrap();
    let Err(CommandError::UnconfirmedProgram(question)) = play(&mut party, None) else { panic!() };
    assert_eq!((question.content, question.program.as_str()), (first.content_id(), "go.exe"));
    assert_eq!(question.suppliers.iter().map(|s| s.peer).collect::<Vec<_>>(), [id_of(1)]);
    assert!(party.guests[0].played.is_none(), "nothing is written before the word");
    assert!(party.status(0).operations.is_empty());
    assert_eq!(asked_to_start(&play(&mut party, Some(second.content_id()))), first.content_id());

    assert!(matches!(play(&mut party, Some(first.content_id())), Ok(Reply::Played(s)) if s.launched));
    assert!(matches!(play(&mut party, None), Ok(Reply::Played(s)) if s.launched), "it is not asked twice");

    party.connect(0, 2);
    download(&mut party, Some(second.content_id())).unwrap();
    assert_eq!(asked_to_start(&play(&mut party, None)), second.content_id(), "another content asks again");
}

#[test]
fn pinned_content_starts_at_once() {
    let right = content("ggoo", 4, 7);
    let mut party = Party::with_catalog(&[&[], from_ref(&right)], &pinned(&[&right]));
    party.connect(0, 1);
    download(&mut party, None).unwrap();
    assert!(matches!(play(&mut party, None), Ok(Reply::Played(s)) if s.launched));
}

#[test]
fn games_of_the_owner_have_no_suppliers() {
    let own = content("ggoo", 4, 7);
    let mut party = Party::new(&[from_ref(&own)]);
    party.command(0, Command::Install { game: game("ggoo") });
    let Err(CommandError::UnconfirmedProgram(question)) = play(&mut party, None) else { panic!() };
    assert_eq!((question.content, question.suppliers.len()), (own.content_id(), 0));
    assert!(question.to_string().contains("was already here"), "{question}");
}

/// The installed content and the downloaded one, which names the program, differ.
#[test]
fn both_contents_behind_a_start_are_confirmed() {
    let (first, second) = (content("ggoo", 4, 7), newer(&content("ggoo", 4, 9)));
    let mut party = room(&first, &[&second]);
    assert!(play(&mut party, Some(first.content_id())).is_ok());
    let without_install =
        Command::Download { game: game("ggoo"), install: false, confirm: Some(second.content_id()) };
    party.command(0, without_install).unwrap().unwrap();
    assert_eq!(asked_to_start(&play(&mut party, None)), second.content_id());
    assert!(play(&mut party, Some(second.content_id())).is_ok());
}
