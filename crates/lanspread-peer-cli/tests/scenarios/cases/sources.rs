//! Which sources are used, how much each gives, and what happens when one is wrong or goes.

use std::time::SystemTime;

use lanspread_api::event::RejectCode;
use lanspread_api::{ErrorCode, Event, Request};

use super::flow::{
    CHUNK, MIB, await_chunks, await_chunks_from, await_finished, require_committed_once,
    require_in_the_middle, require_no_failure, require_no_trace, require_same_game,
};
use crate::figures;
use crate::games::{CatalogFile, Game, VERSION};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Outcome, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, pieces_of};
use crate::unit;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S8",
        title: "sources that disagree, no majority",
        claim: "Where two contents stand against each other, nothing is taken",
        setup: "two peers, same game and version, different content, shown to differ in `list-peers`",
        expected: "the command is refused and `download-failed` is printed, both with `ambiguous-content` and both variants with their peers; nothing committed, no root left behind, no operation left",
        sabotages: &[
            "first-variant-wins",
            "hide-variants",
            "hide-variants-in-event",
            "leave-empty-root",
            "leave-operation",
        ],
        labs: EVERYWHERE,
        body: Body::Run(disagreement),
    },
    Scenario {
        id: "S9",
        title: "nobody has it",
        claim: "A download of what nobody has fails at once and clearly",
        setup: "client is connected to alpha; the catalogue knows a game that no peer holds",
        expected: "refused with `no-source`, `download-failed` with the same code; no files, no operation",
        sabotages: &["accept-without-source", "leave-empty-root", "leave-operation"],
        labs: EVERYWHERE,
        body: Body::Run(nobody_has_it),
    },
    Scenario {
        id: "S14",
        title: "load is balanced",
        claim: "Two equal sources share the work",
        setup: "two equal sources, one file of 48 MiB (1536 chunks)",
        expected: "each serves 40–60 % of the chunks; sums exact, no chunk twice; the planner's exact half/half split is a unit test, demanded by name",
        sabotages: &["prefer-first-source", "one-source-only", "lie-about-source-bytes"],
        labs: EVERYWHERE,
        body: Body::Run(balance),
    },
    Scenario {
        id: "S15",
        title: "three versions on the net",
        claim: "The catalogue's version is fetched, neither an older nor a newer one",
        setup: "A, B, C with three versions and distinct content; the catalogue names the middle one, which B has",
        expected: "`list-peers` shows three different raw versions; one source; only B serves; the receiver equals B exactly",
        sabotages: &["newest-version-wins", "ignore-version", "fetch-any-version"],
        labs: EVERYWHERE,
        body: Body::Run(three_versions),
    },
    Scenario {
        id: "S16",
        title: "stale peer beside two current ones",
        claim: "A peer with an old version serves nothing of the current one",
        setup: "A old; B and C current, 16 MiB",
        expected: "exactly B and C serve, exact chunks; the receiver equals B",
        sabotages: &["ignore-version", "one-source-only"],
        labs: EVERYWHERE,
        body: Body::Run(stale_peer),
    },
    Scenario {
        id: "S17",
        title: "the catalogue's version leaves",
        claim: "A stale copy is never taken in place of the right one",
        setup: "two versions; the right one's holder shuts down before the download",
        expected: "the game is no longer offered, although `list-peers` still shows the stale one; the download is refused with `no-source`; nothing is fetched",
        sabotages: &[
            "ignore-version",
            "fetch-any-version",
            "keep-lost-library",
            "leave-empty-root",
            "leave-operation",
        ],
        labs: EVERYWHERE,
        body: Body::Run(right_version_leaves),
    },
    Scenario {
        id: "S18",
        title: "a source dies in mid-transfer",
        claim: "A download survives the crash of one of its sources",
        setup: "two sources that send 16 MB/s each, 64 MiB (2048 chunks); one is SIGKILLed after it served chunks and while others are missing",
        expected: "exactly the game's chunks arrive, the survivor served after the kill, no `download-failed` in the whole window, manifests equal",
        sabotages: &["skip-retry", "one-source-only", "forget-in-flight"],
        labs: EVERYWHERE,
        body: Body::Run(source_dies),
    },
    Scenario {
        id: "S21",
        title: "corrupt source",
        claim: "What does not verify is refused, its sender named and not asked again",
        setup: "two sources that announce the same content; one has a flipped byte in every chunk on disk behind unchanged sizes and time stamps",
        expected: "`source-rejected` with `corrupt-chunk` and its id, once, and it has sent one chunk in all; not one chunk of the damaged file is taken from it; the game completes from the other; manifests equal the healthy copy",
        sabotages: &["skip-verification", "blame-nobody", "ask-liars-again", "believe-liars-once"],
        labs: EVERYWHERE,
        body: Body::Run(corrupt_source),
    },
    Scenario {
        id: "S31",
        title: "second-hand seeding",
        claim: "Who has fetched a game serves it",
        setup: "client downloads from bravo, bravo is SIGKILLed, a third peer downloads from client",
        expected: "the third has exactly the game's chunks, all from client; byte-equal to what bravo had",
        sabotages: &["never-serve-downloads", "serve-wrong-content"],
        labs: EVERYWHERE,
        body: Body::Run(second_hand),
    },
    Scenario {
        id: "S54",
        title: "pinned content",
        claim: "Where the catalogue pins a content id, a lying majority does not win",
        setup: "three peers with the same game and version, two of them with another content than the pinned one",
        expected: "one source counts; only the holder of the pinned content serves; the receiver equals it; for a client that knows the two others only, the download is refused with `no-source`",
        sabotages: &["ignore-pin"],
        labs: EVERYWHERE,
        body: Body::Run(pinned_content),
    },
];

const OLDER: &str = "20240101";
const NEWER: &str = "20260101";

/// A peer with one game.
fn holder(lab: &Lab, name: &str, game: &Game, catalog: &CatalogFile) -> Outcome<Peer> {
    let peer = lab.peer(name)?.game(game)?.catalog(catalog)?.start()?;
    Ok(peer)
}

/// A peer without games that is connected to these.
fn client_of(lab: &Lab, catalog: &CatalogFile, peers: &[&Peer]) -> Outcome<Peer> {
    let client = lab.peer("client")?.catalog(catalog)?.start()?;
    for peer in peers {
        client.connect(peer)?;
    }
    Ok(client)
}

/// Waits until the client sees what each peer advertises, raw: version and content of the one game.
fn raw_offers(client: &Peer, peers: &[&Peer], game: &str) -> Outcome<Vec<(String, String)>> {
    let expected: Vec<(&Peer, &[&str])> = peers.iter().map(|p| (*p, std::slice::from_ref(&game))).collect();
    client.await_peers(&expected)?;
    let seen = client.peers()?;
    let offer = |peer: &&Peer| {
        let offer = seen.iter().find(|p| p.peer_id == peer.id()).and_then(|p| p.games.first());
        offer.map_or_else(Default::default, |o| (o.eti_version.clone(), o.content_id.clone()))
    };
    Ok(peers.iter().map(offer).collect())
}

/// Contents, each with the names of those who have it.
pub(super) type Variants = Vec<(String, Vec<String>)>;

/// The code of the `download-failed` event, and content and peers of each variant, sorted.
pub(super) fn failure(client: &Peer, since: Mark, game: &str) -> Outcome<(ErrorCode, Variants)> {
    let (_, found) = client.await_event(since, "download-failed", |event| match event {
        Event::DownloadFailed { game_id, code, variants, .. } if game_id == game => {
            Some((*code, variants.iter().map(|v| (v.content_id.clone(), v.peers.clone())).collect()))
        }
        _ => None,
    })?;
    let (code, mut variants): (ErrorCode, Variants) = found;
    variants.sort();
    Ok((code, variants))
}

fn disagreement(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION);
    let alpha = holder(lab, "alpha", &Game::blob("ggoo", 1, MIB), &catalog)?;
    let bravo = holder(lab, "bravo", &Game::blob("ggoo", 2, MIB), &catalog)?;
    let client = client_of(lab, &catalog, &[&alpha, &bravo])?;
    let offers = raw_offers(&client, &[&alpha, &bravo], "ggoo")?;
    require!(
        offers[0].0 == offers[1].0 && offers[0].1 != offers[1].1,
        "same version, other content: {offers:?}"
    );

    let since = client.mark();
    let request = Request::Download { game_id: game_id("ggoo")?, install: false, confirm_content: None };
    let error = client.refuses(&request, ErrorCode::AmbiguousContent)?.error;
    let mut variants: Vec<_> =
        error.variants.iter().map(|v| (v.content_id.clone(), v.peers.clone())).collect();
    variants.sort();
    let mut expected = vec![
        (offers[0].1.clone(), vec!["alpha".to_owned()]),
        (offers[1].1.clone(), vec!["bravo".to_owned()]),
    ];
    expected.sort();
    require_eq!(variants, expected, "the variants in the refusal");
    require_eq!(
        failure(&client, since, "ggoo")?,
        (ErrorCode::AmbiguousContent, expected),
        "code and variants in download-failed"
    );
    client.await_idle()?;
    require_no_trace(&client, "ggoo")?;
    require!(Transfer::since(&client, since, "ggoo").0.is_empty(), "chunks were fetched");
    Ok(())
}

fn nobody_has_it(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION).with("absent", VERSION);
    let alpha = holder(lab, "alpha", &Game::blob("ggoo", 1, MIB), &catalog)?;
    let client = client_of(lab, &catalog, &[&alpha])?;
    client.await_peers(&[(&alpha, &["ggoo"])])?;
    let since = client.mark();
    let request = Request::Download { game_id: game_id("absent")?, install: true, confirm_content: None };
    client.refuses(&request, ErrorCode::NoSource)?;
    require_eq!(failure(&client, since, "absent")?.0, ErrorCode::NoSource, "the code in download-failed");
    client.await_idle()?;
    require_no_trace(&client, "absent")
}

fn balance(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 14, 48 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let alpha = holder(lab, "alpha", &game, &catalog)?;
    let bravo = holder(lab, "bravo", &game, &catalog)?;
    let client = client_of(lab, &catalog, &[&alpha, &bravo])?;
    client.await_offered("ggoo", 2)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    let (_, totals) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    let all = pieces_of(&Manifest::root_files(&alpha.game_dir("ggoo"))?);
    transfer.require_exactly(&all)?;
    transfer.require_totals(&totals)?;
    let served = transfer.by_source();
    let share =
        |peer: &Peer| served.get(&peer.id()).map_or(0, |(chunks, _)| *chunks) as f64 / all.len() as f64;
    let shares = [share(&alpha), share(&bravo)];
    figures::note(
        "S14",
        format!("shares of the chunks {:.1} % and {:.1} %", shares[0] * 100.0, shares[1] * 100.0),
    );
    require!(shares.iter().all(|s| (0.4..=0.6).contains(s)), "each serves 40–60 % of the chunks: {served:?}");
    require_same_game(&client, &bravo, "ggoo")?;
    unit::require_ok(
        lab,
        "lanspread-core",
        "swarm::tests::two_equal_sources_serve_exactly_half_each_and_no_chunk_twice",
    )
}

fn three_versions(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION);
    let make = |seed, version| Game::blob("ggoo", seed, 2 * MIB).version(version);
    let a = holder(lab, "a", &make(1, OLDER), &catalog)?;
    let b = holder(lab, "b", &make(2, VERSION), &catalog)?;
    let c = holder(lab, "c", &make(3, NEWER), &catalog)?;
    let client = client_of(lab, &catalog, &[&a, &b, &c])?;
    let offers = raw_offers(&client, &[&a, &b, &c], "ggoo")?;
    let versions: Vec<&str> = offers.iter().map(|(version, _)| version.as_str()).collect();
    require_eq!(versions, [OLDER, VERSION, NEWER], "the raw versions in list-peers");
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_sources(&[&b])?;
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&b.game_dir("ggoo"))?))?;
    require_same_game(&client, &b, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

fn stale_peer(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION);
    let current = Game::blob("ggoo", 2, 16 * MIB);
    let a = holder(lab, "a", &Game::blob("ggoo", 1, 16 * MIB).version(OLDER), &catalog)?;
    let b = holder(lab, "b", &current, &catalog)?;
    let c = holder(lab, "c", &current, &catalog)?;
    let client = client_of(lab, &catalog, &[&a, &b, &c])?;
    let offers = raw_offers(&client, &[&a, &b, &c], "ggoo")?;
    require!(offers[0].0 == OLDER && offers[1] == offers[2] && offers[1].0 == VERSION, "{offers:?}");
    client.await_offered("ggoo", 2)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&b.game_dir("ggoo"))?))?;
    transfer.require_sources(&[&b, &c])?;
    require_same_game(&client, &b, "ggoo")
}

fn right_version_leaves(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION);
    let stale = holder(lab, "stale", &Game::blob("ggoo", 1, MIB).version(OLDER), &catalog)?;
    let right = holder(lab, "right", &Game::blob("ggoo", 2, MIB), &catalog)?;
    let client = client_of(lab, &catalog, &[&stale, &right])?;
    let offers = raw_offers(&client, &[&stale, &right], "ggoo")?;
    require!(offers[0].0 == OLDER && offers[1].0 == VERSION, "{offers:?}");
    client.await_offered("ggoo", 1)?;
    right.shut_down()?;
    let offers = raw_offers(&client, &[&stale], "ggoo")?;
    require_eq!(offers[0].0, OLDER, "the version that is still advertised");
    client.await_withdrawn("ggoo")?;
    let since = client.mark();
    let request = Request::Download { game_id: game_id("ggoo")?, install: false, confirm_content: None };
    client.refuses(&request, ErrorCode::NoSource)?;
    require_eq!(failure(&client, since, "ggoo")?.0, ErrorCode::NoSource, "the code in download-failed");
    client.await_idle()?;
    require!(Transfer::since(&client, since, "ggoo").0.is_empty(), "chunks were fetched");
    require_no_trace(&client, "ggoo")
}

fn source_dies(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 18, 64 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let slow = |name| lab.peer(name)?.game(&game)?.catalog(&catalog)?.upload_limit(16_000_000).start();
    let (victim, survivor) = (slow("victim")?, slow("survivor")?);
    let client = client_of(lab, &catalog, &[&victim, &survivor])?;
    client.await_offered("ggoo", 2)?;
    let all = pieces_of(&Manifest::root_files(&survivor.game_dir("ggoo"))?);
    let since = client.mark();
    client.download("ggoo", false)?;
    await_chunks_from(&client, since, "ggoo", &[&victim], 1)?;
    victim.kill();
    let at_kill = Transfer::since(&client, since, "ggoo");
    require_in_the_middle(&at_kill, &all)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&all)?;
    transfer.require_sources(&[&victim, &survivor])?;
    let after = &transfer.0[at_kill.0.len()..];
    require!(
        after.iter().any(|(_, peer)| *peer == survivor.id()),
        "the survivor served nothing after the kill"
    );
    figures::note("S18", format!("{} of {} chunks were there at the kill", at_kill.0.len(), all.len()));
    require_same_game(&client, &survivor, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

/// Flips a byte in every chunk of a file, and puts its time stamp back.
pub(super) fn damage(path: &std::path::Path, chunk: u64) -> Outcome {
    let modified: SystemTime = std::fs::metadata(path)?.modified()?;
    let mut bytes = std::fs::read(path)?;
    for at in (0..bytes.len()).step_by(chunk as usize) {
        bytes[at] ^= 1;
    }
    // In place: the same file, not a new one under the same name.
    std::fs::write(path, bytes)?;
    std::fs::File::options().write(true).open(path)?.set_modified(modified)?;
    require_eq!(std::fs::metadata(path)?.modified()?, modified, "the time stamp of the damaged file");
    Ok(())
}

/// The one source that was rejected since the mark, once, because of its bytes.
pub(super) fn require_rejected(client: &Peer, since: Mark, liar: &Peer) -> Outcome {
    let rejected = |event: &Event| match event {
        Event::SourceRejected { game_id, peer_id, code, .. } if game_id == "ggoo" => {
            Some((peer_id.clone(), *code))
        }
        _ => None,
    };
    let rejected: Vec<_> = client.events_since(since).iter().filter_map(rejected).collect();
    require_eq!(rejected, [(liar.id(), RejectCode::CorruptChunk)], "the source-rejected events");
    Ok(())
}

fn corrupt_source(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 21, 16 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let healthy = holder(lab, "healthy", &game, &catalog)?;
    let liar = holder(lab, "liar", &game, &catalog)?;
    liar.await_served("ggoo")?;
    // Damaged while it does not run: nothing tells it, and its index still believes the file.
    liar.shut_down()?;
    damage(&liar.game_dir("ggoo").join("ggoo.eti"), CHUNK)?;
    liar.restart()?;
    let client = client_of(lab, &catalog, &[&healthy, &liar])?;
    client.await_offered("ggoo", 2)?;
    let offers = raw_offers(&client, &[&healthy, &liar], "ggoo")?;
    require_eq!(offers[0], offers[1], "what both announce, although one is damaged");

    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    require_rejected(&client, since, &liar)?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&healthy.game_dir("ggoo"))?))?;
    if let Some((piece, _)) =
        transfer.0.iter().find(|(piece, peer)| *peer == liar.id() && piece.path == "ggoo.eti")
    {
        fail!("a damaged chunk was taken: {piece:?}");
    }
    liar.await_no_outbound()?;
    require_eq!(liar.status()?.traffic.sent_chunks, 1, "the chunks that the liar was asked for");
    require_same_game(&client, &healthy, "ggoo")?;
    require_no_failure(&client, since, "ggoo")
}

fn second_hand(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 31, 8 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let bravo = holder(lab, "bravo", &game, &catalog)?;
    let client = client_of(lab, &catalog, &[&bravo])?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    client.await_served("ggoo")?;
    bravo.kill();
    client.await_peers(&[])?;
    let third = lab.peer("third")?.catalog(&catalog)?.start()?;
    third.connect(&client)?;
    third.await_offered("ggoo", 1)?;
    let since = third.mark();
    third.download("ggoo", false)?;
    await_chunks(&third, since, "ggoo", 1)?;
    await_finished(&third, since, "ggoo")?;
    let transfer = Transfer::since(&third, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?))?;
    transfer.require_sources(&[&client])?;
    require_same_game(&third, &bravo, "ggoo")
}

fn pinned_content(lab: &Lab) -> Outcome {
    let open = CatalogFile::default().with("ggoo", VERSION);
    let (right, wrong) = (Game::blob("ggoo", 54, MIB), Game::blob("ggoo", 55, MIB));
    let honest = holder(lab, "honest", &right, &open)?;
    let liars = [holder(lab, "liar1", &wrong, &open)?, holder(lab, "liar2", &wrong, &open)?];
    let Some(content) = honest.await_served("ggoo")?.content_id else {
        fail!("a served game has no content id")
    };
    let pinned = CatalogFile::default().pinned("ggoo", VERSION, &content);
    let client = client_of(lab, &pinned, &[&honest, &liars[0], &liars[1]])?;
    let offers = raw_offers(&client, &[&honest, &liars[0], &liars[1]], "ggoo")?;
    require!(offers[0].1 == content && offers[1] == offers[2] && offers[1].1 != content, "{offers:?}");
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_sources(&[&honest])?;
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&honest.game_dir("ggoo"))?))?;
    require_same_game(&client, &honest, "ggoo")?;
    require_committed_once(&client, since, "ggoo")?;

    let late = lab.peer("late")?.catalog(&pinned)?.start()?;
    for liar in &liars {
        late.connect(liar)?;
    }
    raw_offers(&late, &[&liars[0], &liars[1]], "ggoo")?;
    let request = Request::Download { game_id: game_id("ggoo")?, install: false, confirm_content: None };
    late.refuses(&request, ErrorCode::NoSource)?;
    require_no_trace(&late, "ggoo")
}
