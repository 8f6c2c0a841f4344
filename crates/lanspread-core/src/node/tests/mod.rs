//! Tests of the node, driven input by input.

mod crowds;
mod deaf;
mod dialling;
mod dialling_times;
mod downloading;
mod floods;
mod groups;
mod hearing;
mod party;
mod room;
mod scans;
mod sending;
mod serving;
mod silence;
mod states;
mod strangers;
mod streaming;
mod trust;
mod upkeep;

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::time::Duration;

use lanspread_types::{ChunkIndex, GameVersion};

use crate::api::command::{Command, CommandError, OperationKind, Priority, RateLimits, Reply};
use crate::api::event::{DownloadFailure, Event, Repair, Verdict};
use crate::api::snapshot::Availability;
use crate::catalog::{Catalog, CatalogEntry, GameAbout};
use crate::groups::Groups;
use crate::io::{BrokenPart, CloseReason, DialFailure, DiskJob};
use crate::trust::{Origin, Support};
use party::{CHUNK, Party, content, game, newer, sources_of, times_served};

const SECOND: Duration = Duration::from_secs(1);

fn listed(games: &[&str]) -> Catalog {
    let version = GameVersion::new(20_250_101).unwrap();
    let entry = CatalogEntry { version, title: None, content: None, about: GameAbout::default() };
    Catalog::of_games(games.iter().map(|g| (game(g), entry.clone())).collect::<BTreeMap<_, _>>())
}

/// Adds groups to a catalogue, each given as `name=network`.
fn grouped(catalog: Catalog, groups: &[&str]) -> Catalog {
    let Catalog::Listed { games, .. } = catalog else { unreachable!() };
    let mut named: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (name, network) in groups.iter().filter_map(|text| text.split_once('=')) {
        named.entry(name.to_owned()).or_default().push(network.parse().unwrap());
    }
    Catalog::Listed { games, groups: Groups::new(named).unwrap() }
}

/// A catalogue that pins exactly these contents.
fn pinned(contents: &[&std::sync::Arc<lanspread_types::GameContent>]) -> Catalog {
    let entry = |content: &&std::sync::Arc<lanspread_types::GameContent>| {
        let manifest = content.manifest();
        let entry = CatalogEntry {
            version: manifest.version(),
            title: None,
            content: Some(content.content_id()),
            about: GameAbout::default(),
        };
        (manifest.game().clone(), entry)
    };
    Catalog::of_games(contents.iter().map(entry).collect())
}

#[test]
fn connected_peers_see_each_others_library() {
    let mut party = Party::new(&[&[content("a", 1, 1)], &[content("b", 1, 1), content("c", 1, 1)]]);
    assert!(matches!(party.connect(0, 1), Some(Ok(Reply::Connected(p))) if p.name == "guest 1"));
    for (guest, offered) in [(0, vec!["b", "c"]), (1, vec!["a"])] {
        let remote: Vec<String> = party
            .games(guest)
            .iter()
            .filter(|g| g.availability == Availability::Remote)
            .map(|g| g.game.to_string())
            .collect();
        assert_eq!(remote, offered);
        assert_eq!(party.status(guest).peers, 1);
    }
}

#[test]
fn two_sources_send_every_chunk_exactly_once() {
    let shared = content("ggoo", 64, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), from_ref(&shared)]);
    party.connect(0, 1);
    party.connect(0, 2);
    assert!(matches!(party.download(0, "ggoo"), Some(Ok(Reply::DownloadStarted { .. }))));
    let times = times_served(&party, 0);
    assert_eq!(times.len(), 65);
    assert!(times.values().all(|&n| n == 1), "{times:?}");
    assert_eq!(sources_of(&party, 0).len(), 2);
    assert!(party.games(0)[0].downloaded && !party.games(0)[0].installed);
    let traffic = [0, 1, 2].map(|guest| party.status(guest).traffic);
    assert_eq!(
        (traffic[0].received_chunks, traffic[0].received_bytes),
        (65, shared.manifest().total_bytes())
    );
    assert_eq!(traffic[1].sent_chunks + traffic[2].sent_chunks, 65, "a manifest is no chunk");
    assert_eq!(traffic[0].sent_chunks + traffic[0].rejected_sources, 0);
}

/// Windows has one folder for both names, so a peer that has or downloads one of them cannot get the other.
#[test]
fn names_that_differ_only_in_capitals_collide() {
    let taken = |game: &str, other: &str| {
        let (game, other) = (self::game(game), other.to_owned());
        Some(Err(CommandError::NameTaken { game, other }))
    };
    let source = [content("quake", 4, 1), content("Quake", 4, 2), content("QUAKE3", 4, 3)];
    let mut party = Party::new(&[&[content("quake", 4, 1)], &source, &[]]);
    party.connect(0, 1);
    party.connect(2, 1);
    assert_eq!(party.download(0, "Quake"), taken("Quake", "quake"));
    let streamed = party.command(0, Command::StreamInstall { game: game("Quake") });
    assert_eq!(streamed, taken("Quake", "quake"));
    assert!(matches!(party.download(0, "QUAKE3"), Some(Ok(Reply::DownloadStarted { .. }))));

    party.hold_chunks = true;
    assert!(matches!(party.download(2, "Quake"), Some(Ok(Reply::DownloadStarted { .. }))));
    assert_eq!(party.download(2, "quake"), taken("quake", "Quake"));
    party.release_chunks();
    party.pass(SECOND);
    assert_eq!(party.download(2, "quake"), taken("quake", "Quake"), "it is here now");
}

#[test]
fn events_follow_the_state_they_report() {
    let shared = content("ggoo", 4, 7);
    let mut party = Party::new(&[&[], &[shared]]);
    party.connect(0, 1);
    party.command(0, Command::Download { game: game("ggoo"), install: true, confirm: None });
    let names = party.guests[0].event_names();
    let order = [
        "GotGameFiles",
        "DownloadBegin",
        "DownloadChunkFinished",
        "LocalLibraryChanged",
        "DownloadFinished",
        "InstallBegin",
        "InstallFinished",
    ];
    let from = names.iter().position(|n| n == order[0]).unwrap();
    let at = |name: &str| {
        names[from..].iter().position(|n| n == name).unwrap_or_else(|| panic!("{name}: {names:?}"))
    };
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{names:?}");
    assert!(party.games(0)[0].installed && party.status(0).operations.is_empty());
    let changes = names.iter().filter(|n| *n == "ActiveOperationsChanged").count();
    assert_eq!(changes, 3, "downloading, installing, nothing: each said once");
}

/// A peer that said `Interested` before there was an answer is told later.
#[test]
fn fellow_receivers_know_each_other_from_the_start() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[from_ref(&shared), &[], &[]]);
    let mut left = lanspread_types::ChunkSet::empty(9);
    left.insert(ChunkIndex(3));
    party.guests[2].incoming.insert(game("ggoo"), left);
    for (a, b) in [(1, 0), (2, 0), (1, 2)] {
        party.connect(a, b);
    }
    (party.hold_chunks, party.guests[2].hold_jobs) = (true, true);
    party.download(1, "ggoo");
    party.download(2, "ggoo");
    party.release_jobs(2);
    for (guest, other, has) in [(1, 2, 1), (2, 1, 0)] {
        let picker = &party.guests[guest].node.downloads().next().unwrap().transfer().unwrap().picker;
        let known = picker.sources().find(|(peer, _)| peer.0 == [other + 1; 32]);
        assert_eq!(known.map(|(_, figures)| figures.has), Some(has), "what {guest} knows of {other}");
    }
    party.release_chunks();
    party.pass(SECOND);
    assert!(party.games(1)[0].downloaded && party.games(2)[0].downloaded);
}

#[test]
fn liar_is_rejected_and_the_rest_delivers() {
    let shared = content("ggoo", 64, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), from_ref(&shared)]);
    party.guests[2].liar = true;
    party.connect(0, 1);
    party.connect(0, 2);
    party.download(0, "ggoo");
    party.pass(SECOND);
    assert!(party.games(0)[0].downloaded);
    let rejected = party.guests[0]
        .events
        .iter()
        .filter(|e| matches!(e, Event::SourceRejected { name, .. } if name == "guest 2"));
    assert_eq!(rejected.count(), 1);
    let Some(Event::DownloadFinished { totals, .. }) =
        party.guests[0].events.iter().find(|e| matches!(e, Event::DownloadFinished { .. }))
    else {
        panic!("not finished")
    };
    assert_eq!((totals.chunks, totals.sources.len()), (65, 1), "only verified chunks count");
}

#[test]
fn second_strike_drops_the_peer() {
    let (a, b) = (content("a", 64, 7), content("b", 64, 7));
    let mut party = Party::new(&[&[], &[a.clone(), b.clone()], &[a, b]]);
    party.guests[2].liar = true;
    party.connect(0, 1);
    party.connect(0, 2);
    for id in ["a", "b"] {
        party.download(0, id);
        party.pass(SECOND);
    }
    assert!(party.games(0).iter().all(|g| g.downloaded));
    assert_eq!(party.status(0).peers, 1);
}

#[test]
fn tie_of_contents_names_both_variants() {
    let mut party = Party::new(&[&[], &[content("ggoo", 2, 1)], &[content("ggoo", 2, 2)]]);
    party.connect(0, 1);
    party.connect(0, 2);
    let Some(Err(CommandError::AmbiguousContent { variants, .. })) = party.download(0, "ggoo") else {
        panic!("a tie was decided")
    };
    let names: Vec<&str> = variants.iter().flat_map(|v| v.peers.iter().map(String::as_str)).collect();
    assert_eq!((variants.len(), names.len()), (2, 2));
    assert!(party.guests[0].incoming.is_empty() && party.status(0).operations.is_empty());
    assert!(party.guests[0].events.iter().any(
        |e| matches!(e, Event::DownloadFailed { failure: DownloadFailure::AmbiguousContent(v), .. } if v.len() == 2)
    ));
}

#[test]
fn missing_and_unknown_games_are_different_errors() {
    let mut party = Party::with_catalog(&[&[], &[content("secret", 1, 1)]], &listed(&["ggoo"]));
    party.connect(0, 1);
    assert!(matches!(party.download(0, "ggoo"), Some(Err(CommandError::NoSource { .. }))));
    assert!(matches!(party.download(0, "secret"), Some(Err(CommandError::UnknownGame { .. }))));
    assert_eq!(party.games(0), []);
}

#[test]
fn only_the_catalogues_version_is_downloaded() {
    let mut catalog = listed(&["ggoo"]);
    let Catalog::Listed { games, .. } = &mut catalog else { unreachable!() };
    games.values_mut().for_each(|e| e.version = GameVersion::new(20_260_101).unwrap());
    let mut party = Party::with_catalog(&[&[], &[content("ggoo", 1, 1)]], &catalog);
    party.connect(0, 1);
    assert!(matches!(party.download(0, "ggoo"), Some(Err(CommandError::NoSource { .. }))));
    assert_eq!(party.games(0), [], "what cannot be had is not listed");
}

#[test]
fn operations_on_one_game_exclude_each_other() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[&[content("other", 1, 1)], &[shared]]);
    party.connect(0, 1);
    party.hold_chunks = true;
    party.download(0, "ggoo");
    let id = || game("ggoo");
    let commands = [
        Command::Download { game: id(), install: true, confirm: None },
        Command::Install { game: id() },
        Command::Uninstall { game: id() },
        Command::RemoveDownload { game: id() },
    ];
    for command in commands {
        let answer = party.command(0, command);
        let running = OperationKind::Downloading;
        assert_eq!(answer, Some(Err(CommandError::OperationInProgress { game: id(), running })));
    }
    assert_eq!(party.command(0, Command::Install { game: game("other") }), Some(Ok(Reply::Done)));
    party.release_chunks();
    assert!(party.games(0).iter().all(|g| g.downloaded));
    let finished = party.guests[0].events.iter().filter(|e| matches!(e, Event::DownloadFinished { .. }));
    assert_eq!(finished.count(), 1);
}

/// Guest 0 has requested the first chunks of its only source, and none has arrived.
fn waiting_for_chunks() -> Party {
    let mut party = Party::new(&[&[], &[content("ggoo", 32, 7)]]);
    party.connect(0, 1);
    party.hold_chunks = true;
    party.download(0, "ggoo");
    party
}

#[test]
fn download_without_sources_waits_then_fails() {
    let mut party = waiting_for_chunks();
    party.kill(1, true);
    party.release_chunks();
    party.pass(20 * SECOND);
    let names = party.guests[0].event_names();
    assert!(names.contains(&"DownloadPeersGone".to_owned()) && !names.contains(&"DownloadFailed".to_owned()));
    let shown = party.games(0);
    assert!(
        matches!(&shown[..], [g] if g.peer_count == 0 && g.version.is_some()),
        "it is still coming: {shown:?}"
    );
    party.pass(20 * SECOND);
    assert_eq!(party.games(0), []);
    assert!(
        party.guests[0]
            .events
            .iter()
            .any(|e| matches!(e, Event::DownloadFailed { failure: DownloadFailure::SourcesGone, .. }))
    );
    assert!(party.guests[0].incoming.contains_key(&game("ggoo")) && party.status(0).operations.is_empty());
    assert!(!party.guests[0].disk.contains_key(&game("ggoo")));
}

#[test]
fn returning_source_finishes_the_download() {
    let mut party = waiting_for_chunks();
    party.kill(1, true);
    party.release_chunks();
    party.restart(1);
    party.pass(5 * SECOND);
    assert!(party.games(0)[0].downloaded, "{:?}", party.guests[0].event_names());
}

#[test]
fn cancelled_download_is_no_failure() {
    let mut party = waiting_for_chunks();
    assert_eq!(party.command(0, Command::CancelDownload { game: game("ggoo") }), Some(Ok(Reply::Done)));
    party.release_chunks();
    let names = party.guests[0].event_names();
    assert!(names.contains(&"DownloadCancelled".to_owned()) && !names.contains(&"DownloadFailed".to_owned()));
    assert!(!party.guests[0].disk.contains_key(&game("ggoo")) && party.status(0).operations.is_empty());
    assert_eq!(party.status(1).outbound, []);
    let again = party.command(0, Command::CancelDownload { game: game("ggoo") });
    assert_eq!(again, Some(Err(CommandError::NothingToCancel { game: game("ggoo") })));
}

#[test]
fn downloading_peers_already_serve() {
    let shared = content("ggoo", 64, 7);
    let mut party = Party::new(&[&[shared], &[], &[]]);
    for (a, b) in [(1, 0), (2, 0), (1, 2)] {
        party.connect(a, b);
    }
    party.hold_chunks = true;
    party.download(1, "ggoo");
    party.download(2, "ggoo");
    party.release_chunks();
    party.pass(5 * SECOND);
    assert!(party.games(1)[0].downloaded && party.games(2)[0].downloaded);
    let between_guests = party.served.iter().filter(|(from, _, _)| *from != 0).count();
    let by_seed: Vec<ChunkIndex> = party.served.iter().filter(|s| s.0 == 0).map(|s| s.2).collect();
    assert!(between_guests > 0 && by_seed.len() < 2 * 65, "{} by the seed", by_seed.len());
}

#[test]
fn silent_peer_is_pinged_then_given_up() {
    let mut party = Party::new(&[&[], &[content("ggoo", 1, 1)]]);
    party.connect(0, 1);
    party.pass(60 * SECOND);
    assert_eq!(party.status(0).peers, 1, "who answers stays");
    party.kill(1, false);
    party.pass(10 * SECOND);
    assert_eq!(party.status(0).peers, 1);
    party.pass(10 * SECOND);
    assert_eq!((party.status(0).peers, party.games(0).len()), (0, 0));
    assert!(matches!(
        party.guests[0].events.iter().rev().find(|e| matches!(e, Event::PeerLost { .. })),
        Some(Event::PeerLost { reason: CloseReason::Silent, .. })
    ));
}

#[test]
fn goodbye_is_seen_at_once() {
    let mut party = Party::new(&[&[], &[content("ggoo", 1, 1)]]);
    party.connect(0, 1);
    assert_eq!(party.command(1, Command::Shutdown), Some(Ok(Reply::Done)));
    assert!(party.guests[1].stopped);
    assert_eq!(party.status(0).peers, 0);
    assert!(
        party.guests[0]
            .events
            .iter()
            .any(|e| matches!(e, Event::PeerLost { reason: CloseReason::Goodbye, .. }))
    );
}

#[test]
fn shutdown_waits_for_the_disk() {
    let mut party = Party::new(&[&[content("ggoo", 1, 1)]]);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::Install { game: game("ggoo") });
    assert_eq!(party.command(0, Command::Shutdown), None);
    assert!(!party.guests[0].stopped);
    assert!(matches!(party.guests[0].held.back(), Some(DiskJob::Cancel { .. })));
    party.release_jobs(0);
    assert!(party.guests[0].stopped);
}

#[test]
fn removal_is_withdrawn_before_files_are_deleted() {
    let mut party = Party::new(&[&[content("ggoo", 1, 1)], &[]]);
    party.connect(0, 1);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::RemoveDownload { game: game("ggoo") });
    assert!(party.guests[0].disk.contains_key(&game("ggoo")), "nothing is deleted yet");
    assert_eq!(party.games(1), []);
    party.release_jobs(0);
    assert_eq!(party.games(0), []);
}

#[test]
fn scan_announces_new_and_vanished_games() {
    let mut party = Party::new(&[&[], &[]]);
    party.connect(0, 1);
    let new = content("ggoo", 1, 1);
    party.guests[1].disk.insert(game("ggoo"), (Some(new), false));
    let rescan = |party: &mut Party| {
        let scan = party.guests[1].scan();
        party.input(1, crate::io::Input::Disk(crate::io::DiskReport::Scanned(scan)));
        party.settle();
    };
    rescan(&mut party);
    assert_eq!(party.games(0).len(), 1);
    party.guests[1].disk.clear();
    rescan(&mut party);
    assert_eq!(party.games(0), []);
}

#[test]
fn waiting_for_peers_succeeds_or_times_out() {
    let mut party = Party::new(&[&[], &[]]);
    let wait = |count| Command::WaitPeers { count, timeout_ms: 2000 };
    assert_eq!(party.command(0, wait(0)), Some(Ok(Reply::PeerCount(0))));
    assert_eq!(party.command(0, wait(1)), None);
    party.connect(1, 0);
    assert_eq!(party.guests[0].answers.pop_first().map(|a| a.1), Some(Ok(Reply::PeerCount(1))));
    assert_eq!(party.command(0, wait(2)), None);
    party.pass(3 * SECOND);
    let timed_out = CommandError::WaitTimedOut { have: 1, wanted: 2 };
    assert_eq!(party.guests[0].answers.pop_first().map(|a| a.1), Some(Err(timed_out)));
}

#[test]
fn connecting_to_oneself_or_to_nobody_fails() {
    let mut party = Party::new(&[&[]]);
    let to_self = party.connect(0, 0);
    assert!(matches!(
        to_self,
        Some(Err(CommandError::ConnectFailed { failure: DialFailure::OwnAddress, .. }))
    ));
    let to_nobody = party.connect(0, 7);
    assert!(matches!(
        to_nobody,
        Some(Err(CommandError::ConnectFailed { failure: DialFailure::Unreachable(_), .. }))
    ));
    assert_eq!(party.status(0).peers, 0);
}

/// Bytes per second that arrive in ten seconds while `who` has these limits.
fn limited_rate(limits: RateLimits, who: usize) -> f64 {
    let mut party = Party::new(&[&[], &[content("ggoo", 2000, 7)]]);
    party.connect(0, 1);
    party.command(who, Command::SetLimits(limits));
    party.download(0, "ggoo");
    party.pass(10 * SECOND);
    let chunks = party.served.len() as f64;
    chunks * CHUNK as f64 / 10.0
}

#[test]
fn limits_hold_on_either_side() {
    let rate = 4_000_000;
    for (who, limits) in [
        (0, RateLimits { download: Some(rate), upload: None }),
        (1, RateLimits { upload: Some(rate), download: None }),
    ] {
        let measured = limited_rate(limits, who) / rate as f64;
        assert!((measured - 1.0).abs() < 0.05, "{limits:?}: {measured} of the limit");
    }
}

#[test]
fn limit_can_be_lifted_while_downloading() {
    let mut party = Party::new(&[&[], &[content("ggoo", 512, 7)]]);
    party.connect(0, 1);
    party.command(0, Command::SetLimits(RateLimits { download: Some(CHUNK), upload: None }));
    party.download(0, "ggoo");
    party.pass(2 * SECOND);
    assert!(party.served.len() < 8, "{}", party.served.len());
    party.command(0, Command::SetLimits(RateLimits::default()));
    assert!(party.games(0)[0].downloaded);
}

#[test]
fn higher_priority_goes_first_and_equals_share() {
    let (a, b) = (content("a", 512, 7), content("b", 512, 8));
    let mut party = Party::new(&[&[], &[a, b]]);
    party.connect(0, 1);
    party.command(0, Command::SetLimits(RateLimits { download: Some(CHUNK * 10), upload: None }));
    party.download(0, "a");
    party.download(0, "b");
    let had = |party: &mut Party, id: &str| {
        let swarms = party.status(0).swarms;
        swarms.iter().find(|s| s.game == game(id)).map_or(0, |s| s.chunks_had)
    };
    party.pass(10 * SECOND);
    let (a, b) = (had(&mut party, "a"), had(&mut party, "b"));
    assert!(a.abs_diff(b) <= 4 && a + b >= 95, "shared alike: {a} and {b}");
    let answer = party.command(0, Command::SetPriority { game: game("b"), priority: Priority::High });
    assert_eq!(answer, Some(Ok(Reply::Done)));
    party.pass(10 * SECOND);
    let (later_a, later_b) = (had(&mut party, "a"), had(&mut party, "b"));
    assert!(later_a <= a + 2 && later_b >= b + 95, "first b: {a} -> {later_a}, {b} -> {later_b}");
    let of_nothing = party.command(0, Command::SetPriority { game: game("c"), priority: Priority::Low });
    assert_eq!(of_nothing, Some(Err(CommandError::NotDownloading { game: game("c") })));
}

#[test]
fn status_shows_the_swarm() {
    let shared = content("ggoo", 64, 7);
    let mut party = Party::new(&[&[], from_ref(&shared), from_ref(&shared)]);
    party.connect(0, 1);
    party.connect(0, 2);
    party.command(0, Command::SetLimits(RateLimits { download: Some(CHUNK * 10), upload: None }));
    party.download(0, "ggoo");
    party.pass(3 * SECOND);
    let status = party.status(0);
    let swarm = &status.swarms[0];
    assert!((25..=35).contains(&swarm.chunks_had) && swarm.chunks_total == 65, "{swarm:?}");
    assert!(
        (2.0..3.0).contains(&swarm.copies) && swarm.copies > 2.3,
        "two whole and a share: {}",
        swarm.copies
    );
    assert!((3..=5).contains(&swarm.seconds_left.unwrap()), "{swarm:?}");
    assert_eq!(swarm.sources.iter().map(|s| s.chunks_has).collect::<Vec<_>>(), [65, 65]);
    let received: u64 = swarm.sources.iter().map(|s| s.bytes).sum();
    assert_eq!(received, status.operations[0].done);
}

fn broken(path: &str) -> BrokenPart {
    BrokenPart { path: lanspread_types::RelPath::new(path).unwrap(), offset: 0, length: CHUNK }
}

fn verdict(party: &Party, guest: usize) -> Verdict {
    let found = party.guests[guest].events.iter().rev().find_map(|e| match e {
        Event::VerifyFinished { verdict, .. } => Some(verdict.clone()),
        _ => None,
    });
    found.expect("no verdict")
}

#[test]
fn broken_copy_is_withdrawn_and_repaired() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[from_ref(&shared), from_ref(&shared), &[]]);
    party.connect(0, 1);
    party.connect(2, 0);
    let verify = |repair| Command::Verify { game: game("ggoo"), repair };
    assert_eq!(party.command(0, verify(true)), Some(Ok(Reply::Done)));
    assert_eq!(verdict(&party, 0).repair, Repair::NotNeeded);
    party.guests[0].broken = vec![broken("ggoo.eti")];
    party.command(0, verify(false));
    assert_eq!(verdict(&party, 0).repair, Repair::NotAsked);
    assert_eq!(party.games(2), [], "a broken copy is not offered");
    party.guests[0].broken = vec![broken("ggoo.eti")];
    party.command(0, verify(true));
    assert_eq!(verdict(&party, 0).repair, Repair::Started);
    assert_eq!(sources_of(&party, 0).into_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(party.games(2)[0].peer_count, 1, "whole again, and offered");
}

#[test]
fn copy_known_as_broken_is_downloaded_after_restart() {
    let shared = content("ggoo", 8, 7);
    let mut party = Party::new(&[from_ref(&shared), from_ref(&shared)]);
    party.guests[0].known_broken = true;
    // The verification has recorded the right content.
    let (whole, version) = (shared.content_id(), shared.manifest().version());
    let record = Origin::new(whole, version, Support::Agreed, Vec::new());
    party.guests[0].records.entry(game("ggoo")).or_default().note_origin(record);
    party.restart(0);
    party.connect(0, 1);
    assert_eq!(party.games(1)[0].peer_count, 0, "a broken copy is not offered");
    let download = Command::Download { game: game("ggoo"), install: false, confirm: None };
    let reply = party.command(0, download);
    assert!(matches!(reply, Some(Ok(Reply::DownloadStarted { .. }))), "{reply:?}");
    assert_eq!(sources_of(&party, 0).into_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(party.games(1)[0].peer_count, 1, "whole again, and offered");
}

#[test]
fn repair_without_a_source_is_reported() {
    let mut party = Party::new(&[&[content("ggoo", 8, 7)]]);
    party.guests[0].broken = vec![broken("ggoo.eti")];
    party.command(0, Command::Verify { game: game("ggoo"), repair: true });
    let verdict = verdict(&party, 0);
    assert_eq!((verdict.repair, verdict.broken.len()), (Repair::NoSource, 1));
    assert!(party.games(0)[0].downloaded && party.status(0).operations.is_empty());
    let missing = party.command(0, Command::Verify { game: game("other"), repair: true });
    assert_eq!(missing, Some(Err(CommandError::NotDownloaded { game: game("other") })));
}

#[test]
fn copy_that_differs_from_the_rooms_is_replaced() {
    let (mine, theirs) = (content("ggoo", 8, 7), content("ggoo", 8, 9));
    let mut party = Party::new(&[&[mine], from_ref(&theirs), from_ref(&theirs)]);
    party.connect(0, 1);
    party.connect(0, 2);
    party.command(0, Command::Verify { game: game("ggoo"), repair: true });
    let verdict = verdict(&party, 0);
    assert_eq!((verdict.room_has, verdict.repair), (Some(theirs.content_id()), Repair::Started));
    assert_eq!(party.games(0)[0].content, Some(theirs.content_id()));
}

#[test]
fn one_peer_with_another_content_is_no_majority() {
    let mut party = Party::new(&[&[content("ggoo", 8, 7)], &[content("ggoo", 8, 9)]]);
    party.connect(0, 1);
    party.command(0, Command::Verify { game: game("ggoo"), repair: true });
    let verdict = verdict(&party, 0);
    assert_eq!((verdict.room_has, verdict.repair), (None, Repair::NotNeeded));
}

#[test]
fn play_stamps_an_installed_game() {
    let mut party = Party::new(&[&[content("ggoo", 1, 7)]]);
    let (user_name, language, confirm) = (None, None, None);
    let play = || Command::Play {
        game: game("ggoo"),
        user_name: user_name.clone(),
        language: language.clone(),
        launch: false,
        confirm,
    };
    assert_eq!(party.command(0, play()), Some(Err(CommandError::NotInstalled { game: game("ggoo") })));
    party.command(0, Command::Install { game: game("ggoo") });
    assert!(matches!(party.command(0, play()), Some(Ok(Reply::Played(s))) if !s.already_applied));
    assert!(matches!(party.command(0, play()), Some(Ok(Reply::Played(s))) if s.already_applied));
    let played = party.guests[0].played.clone().unwrap();
    assert_eq!((played.user_name.as_str(), played.language.as_str()), ("guest 0", "english"));
    assert!(party.status(0).operations.is_empty());
}

#[test]
fn update_reinstalls_an_installed_game() {
    let (old, new) = (content("ggoo", 8, 7), newer(&content("ggoo", 8, 9)));
    let mut party = Party::new(&[from_ref(&old), from_ref(&new)]);
    party.command(0, Command::Install { game: game("ggoo") });
    party.connect(0, 1);
    let confirm = Some(new.content_id());
    party.command(0, Command::Download { game: game("ggoo"), install: true, confirm });
    let jobs: Vec<&DiskJob> =
        party.guests[0].jobs.iter().filter(|j| matches!(j, DiskJob::Reinstall { .. })).collect();
    assert_eq!(jobs.len(), 1);
    let shown = party.games(0)[0].clone();
    assert_eq!((shown.installed_version, shown.installed), (shown.local_version, true));
    let again = party.command(0, Command::Download { game: game("ggoo"), install: true, confirm: None });
    assert_eq!(again, Some(Ok(Reply::AlreadyThere { game: game("ggoo") })));
}

#[test]
fn download_fails_on_a_full_disk_and_works_later() {
    let mut party = Party::new(&[&[], &[content("ggoo", 8, 7)]]);
    party.connect(0, 1);
    party.guests[0].full = true;
    party.download(0, "ggoo");
    let full = DownloadFailure::Disk(crate::io::DiskError::Full { missing: 7 });
    let failed = |e: &Event| matches!(e, Event::DownloadFailed { failure, .. } if *failure == full);
    assert!(party.guests[0].events.iter().any(failed), "{:?}", party.guests[0].event_names());
    assert!(party.status(0).operations.is_empty());
    party.guests[0].full = false;
    party.download(0, "ggoo");
    assert!(party.games(0)[0].downloaded);
}

#[test]
fn cancel_waits_for_the_job_that_opens_the_place() {
    let mut party = Party::new(&[&[], &[content("ggoo", 8, 7)]]);
    party.connect(0, 1);
    party.guests[0].hold_jobs = true;
    party.download(0, "ggoo");
    party.command(0, Command::CancelDownload { game: game("ggoo") });
    let held: Vec<DiskJob> = party.guests[0].held.iter().cloned().collect();
    assert!(matches!(held[..], [DiskJob::OpenIncoming { .. }, DiskJob::Cancel { .. }]), "{held:?}");
    assert!(!party.guests[0].event_names().contains(&"DownloadCancelled".to_owned()));
    party.release_jobs(0);
    assert!(party.guests[0].event_names().contains(&"DownloadCancelled".to_owned()));
    assert!(matches!(party.guests[0].jobs.last(), Some(DiskJob::DropIncoming { .. })));
    assert!(party.status(0).operations.is_empty());
}
