//! Sources of a download: which are used, how much each sends, and what happens if one is wrong or disappears.

use std::time::{Duration, Instant, SystemTime};

use lanspread_api::event::RejectCode;
use lanspread_api::reply::{Availability, GameInfo};
use lanspread_api::{ErrorCode, ErrorLine, Event, Request};

use super::flow::{
    CHUNK, MIB, await_chunks, await_finished, require_committed_once, require_game_sent_once,
    require_in_the_middle, require_no_failure, require_no_trace, require_same_game, require_sent,
    require_sent_once,
};
use crate::figures;
use crate::games::{CatalogFile, Game, VERSION};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, PeerSpec, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, pieces_of};
use crate::unit;
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S8",
        title: "sources that disagree, no majority",
        claim: "If as many peers offer one content as another, neither is downloaded",
        setup: "two peers, same game and version, different content, shown to differ in `list-peers`",
        expected: "the command is refused and `download-failed` is printed, both with `ambiguous-content` and both variants with their peers; nothing committed, no root left behind, no operation left",
        sabotages: &[
            Sabotage::new("first-variant-wins", &["client took one of two contents"]).at("client"),
            Sabotage::new("hide-variants", &["the variants in the refusal"]),
            Sabotage::new("hide-variants-in-event", &["code and variants in download-failed"]),
            Sabotage::new("leave-empty-root", &["client has a folder of ggoo, which was never committed"]),
            Sabotage::new("leave-operation", &["client runs no operation"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(disagreement),
    },
    Scenario {
        id: "S9",
        title: "nobody has it",
        claim: "A download of a game that nobody has fails at once with a clear error",
        setup: "client is connected to alpha; the catalogue knows a game that no peer holds",
        expected: "refused with `no-source`, `download-failed` with the same code, both within a second of the time that an answer to `status` takes; no files, no operation",
        sabotages: &[
            Sabotage::new("accept-without-source", &["the download of what nobody has was accepted"])
                .at("client"),
            Sabotage::new("refuse-late", &["s to fail, which is not at once"]).at("client"),
            Sabotage::new("leave-empty-root", &["client has a folder of absent, which was never committed"]),
            Sabotage::new("leave-operation", &["client runs no operation"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(nobody_has_it),
    },
    Scenario {
        id: "S14",
        title: "load is balanced",
        claim: "Two equal sources serve half of a download each",
        setup: "two equal sources, one file of 48 MiB (1536 chunks), then up to three games of 32 chunks",
        expected: "each serves 40–60 % of the large game; sums exact; both together send each chunk once, and at most one chunk in 32 again because it was late; of the small games, which are over before a source can be called slow, one is split in half within one chunk; the planner's exact half/half split is also a unit test, demanded by name",
        sabotages: &[
            Sabotage::new(
                "prefer-first-source",
                &["% of the chunks, not 40–60 % each", "no small game was split in half"],
            )
            .at("client"),
            Sabotage::new("one-source-only", &["% of the chunks, not 40–60 % each"]).at("client"),
            Sabotage::new("tilt-the-split", &["no small game was split in half"]).at("client"),
            Sabotage::new("ask-twice", &["chunks were sent where"]).at("client"),
            Sabotage::new("lie-about-source-bytes", &["chunks and bytes by source in the totals"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(balance),
    },
    Scenario {
        id: "S15",
        title: "three versions on the net",
        claim: "The version that the catalogue names is downloaded, not an older or a newer one",
        setup: "A, B, C with three versions and distinct content; the catalogue names the middle one, which B has",
        expected: "`list-peers` shows three different raw versions; the download starts; A and C send nothing, and B sends each chunk once; the receiver equals B exactly; `list-games` counts one holder",
        sabotages: &[
            Sabotage::new("newest-version-wins", &["the holder of the newer version served"]).at("client"),
            Sabotage::new("oldest-version-wins", &["the holder of the older version served"]).at("client"),
            Sabotage::new("ignore-version", &["the catalogue's version cannot be fetched"]).at("client"),
            Sabotage::new("fetch-any-version", &["the catalogue's version cannot be fetched"]).at("client"),
            Sabotage::new("lie-about-peer-count", &["the holders that list-games counts"]).at("client"),
            Sabotage::new("ask-twice", &["b has sent"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(three_versions),
    },
    Scenario {
        id: "S16",
        title: "stale peer beside two current ones",
        claim: "A peer with an old version serves no chunk of the current one and is not counted as its source",
        setup: "A old; B and C current, 16 MiB",
        expected: "A sends nothing, not even chunks that the client refuses; exactly B and C serve, exact chunks; both together send each chunk once, and at most one chunk in 32 again because it was late; the receiver equals B; `list-games` counts two holders",
        sabotages: &[
            Sabotage::new("oldest-version-wins", &["the stale peer served"]).at("client"),
            Sabotage::new("mix-contents", &["the stale peer served"]),
            Sabotage::new("ignore-version", &["the holders that list-games counts"]).at("client"),
            Sabotage::new("one-source-only", &["the peers that served chunks"]).at("client"),
            Sabotage::new("ask-twice", &["chunks were sent where"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(stale_peer),
    },
    Scenario {
        id: "S17",
        title: "the catalogue's version leaves",
        claim: "An outdated copy is never downloaded instead of the right version",
        setup: "two versions; the right one's holder shuts down before the download",
        expected: "`list-peers` still shows the stale copy; the download is refused with `no-source`; the game is no longer offered; nothing is fetched, and the stale peer has sent nothing",
        sabotages: &[
            Sabotage::new("ignore-version", &["client took the stale copy"]).at("client"),
            Sabotage::new("fetch-any-version", &["client took the stale copy"]).at("client"),
            Sabotage::new("oldest-version-wins", &["client took the stale copy"]).at("client"),
            Sabotage::new("keep-lost-library", &["client still offers what only a stale peer has"])
                .at("client"),
            Sabotage::new("leave-empty-root", &["client has a folder of ggoo, which was never committed"]),
            Sabotage::new("leave-operation", &["client runs no operation"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(right_version_leaves),
    },
    Scenario {
        id: "S18",
        title: "a source dies in mid-transfer",
        claim: "A download survives the crash of one of its sources",
        setup: "two sources that send 16 MB/s each, 64 MiB (2048 chunks); the one that serves the first chunk is SIGKILLed while others are missing",
        expected: "exactly the game's chunks arrive, the survivor serves after the kill, before the client could say that all sources are gone, no `download-failed` in the whole window, manifests equal; the survivor has sent what came from it once, and at most one chunk in 32 again because it was late",
        sabotages: &[
            Sabotage::new(
                "skip-retry",
                &["client did not finish", "the survivor served nothing after the kill"],
            )
            .at("client"),
            Sabotage::new("one-source-only", &["the survivor served nothing after the kill"]).at("client"),
            Sabotage::new("forget-in-flight", &["client did not finish"]).at("client"),
            Sabotage::new("ask-twice", &["chunks were sent where"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(source_dies),
    },
    Scenario {
        id: "S21",
        title: "corrupt source",
        claim: "A chunk that does not verify is rejected; its sender is named and not asked again",
        setup: "two sources that announce the same content; one has a flipped byte in every chunk on disk behind unchanged sizes and time stamps",
        expected: "`source-rejected` with `corrupt-chunk` and its id, once, and it has sent one chunk in all; not one chunk of the damaged file is taken from it; the game completes from the other; manifests equal the healthy copy",
        sabotages: &[
            Sabotage::new("skip-verification", &["the source-rejected events"]),
            Sabotage::new("blame-nobody", &["the source-rejected events"]),
            Sabotage::new("ask-liars-again", &["the source-rejected events"]),
            Sabotage::new("believe-liars-once", &["the chunks that the liar was asked for"]),
            // Either the liar is never asked, or there is no other source.
            Sabotage::new(
                "one-source-only",
                &[
                    "the source-rejected events",
                    "client did not finish",
                    "client prints the end of the download",
                ],
            )
            .at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(corrupt_source),
    },
    Scenario {
        id: "S31",
        title: "second-hand seeding",
        claim: "A peer that has downloaded a game serves it",
        setup: "client downloads from bravo, bravo is SIGKILLed, a third peer downloads from client",
        expected: "client equals bravo, and third sees its offer; the first chunk from client verifies; the third has exactly the game's chunks, all from client, which has sent each once; byte-equal to what bravo had",
        sabotages: &[
            Sabotage::new("never-serve-downloads", &["third shows ggoo as offered by"]).at("client"),
            Sabotage::new("serve-wrong-content", &["what client serves second-hand does not verify"])
                .at("client"),
            Sabotage::new("ask-twice", &["client has sent"]).at("third"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(second_hand),
    },
    Scenario {
        id: "S54",
        title: "pinned content",
        claim: "If the catalogue names a content id, a lying majority does not matter",
        setup: "three peers with the same game and version, two of them with another content than the pinned one",
        expected: "the two others send nothing, and only the holder of the pinned content serves; the receiver equals it; `list-games` counts one holder; for a client that knows the two others only, the download is refused with `no-source`, and they still send nothing",
        sabotages: &[
            Sabotage::new("ignore-pin", &["a peer with another content than the pinned one served"])
                .at("client"),
            Sabotage::new("first-variant-wins", &["late took another content than the pinned one"])
                .at("late"),
            Sabotage::new("lie-about-peer-count", &["the holders that list-games counts"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(pinned_content),
    },
];

const OLDER: &str = "20240101";
const NEWER: &str = "20260101";

/// Starts a peer with one game.
fn holder(lab: &Lab, name: &str, game: &Game, catalog: &CatalogFile) -> Outcome<Peer> {
    let peer = lab.peer(name)?.game(game)?.catalog(catalog)?.start()?;
    Ok(peer)
}

/// Starts a peer without games that is connected to these peers.
fn client_of(lab: &Lab, catalog: &CatalogFile, peers: &[&Peer]) -> Outcome<Peer> {
    let client = lab.peer("client")?.catalog(catalog)?.start()?;
    for peer in peers {
        client.connect(peer)?;
    }
    Ok(client)
}

/// Waits until the client sees each peer's announcement. Returns version and content of each, before any filter.
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

/// Content ids, each with the names of the peers that have it.
pub(super) type Variants = Vec<(String, Vec<String>)>;

/// Waits for `download-failed`. Returns its code, and content and peers of each variant, sorted.
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

/// Requires that the download is refused with this code. `otherwise` says what it means if it is not refused.
fn require_refused(client: &Peer, game: &str, code: ErrorCode, otherwise: &str) -> Outcome<ErrorLine> {
    let request = Request::Download { game_id: game_id(game)?, install: true, confirm_content: None };
    match client.say(&request)? {
        Ok(reply) => fail!("{otherwise}\n  answer: {reply:?}"),
        Err(error) => {
            require_eq!(error.error.code, code, "the code with which the download of {game} was refused");
            Ok(error)
        }
    }
}

/// Starts a download. `otherwise` says what it means if it is refused.
fn start(client: &Peer, game: &str, otherwise: &str) -> Outcome {
    client.download(game, false).map_err(|Failure(why)| Failure(format!("{otherwise}\n  {why}")))
}

/// Requires that this peer, which is `what`, has sent no chunk to anybody.
///
/// The chunks that the client reports are not enough: it reports none that does not verify.
fn require_served_nothing(transfer: &Transfer, peer: &Peer, what: &str) -> Outcome {
    peer.await_no_outbound()?;
    let taken = transfer.by_source().get(&peer.id()).map_or(0, |(chunks, _)| *chunks);
    let sent = peer.status()?.traffic.sent_chunks.max(taken);
    require!(sent == 0, "{what} served {sent} chunks");
    Ok(())
}

/// Requires that `list-games` counts exactly these peers as holders of the game. `what` are the others.
fn require_counted(client: &Peer, game: &str, holders: usize, what: &str) -> Outcome {
    let count = client.game(game)?.map_or(0, |info| info.peer_count);
    require_eq!(count, holders, "the holders that list-games counts, without {what}");
    Ok(())
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
    let otherwise = "client took one of two contents that stand against each other";
    let error = require_refused(&client, "ggoo", ErrorCode::AmbiguousContent, otherwise)?.error;
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

/// Longest time by which a refusal at once may take longer than any other answer. A search takes seconds.
const AT_ONCE: Duration = Duration::from_secs(1);

fn nobody_has_it(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION).with("absent", VERSION);
    let alpha = holder(lab, "alpha", &Game::blob("ggoo", 1, MIB), &catalog)?;
    let client = client_of(lab, &catalog, &[&alpha])?;
    client.await_peers(&[(&alpha, &["ggoo"])])?;
    let asked = Instant::now();
    client.status()?;
    let usual = asked.elapsed();
    let (since, asked) = (client.mark(), Instant::now());
    let otherwise = "the download of what nobody has was accepted";
    require_refused(&client, "absent", ErrorCode::NoSource, otherwise)?;
    let code = failure(&client, since, "absent")?.0;
    let took = asked.elapsed();
    require_eq!(code, ErrorCode::NoSource, "the code in download-failed");
    require!(
        took <= usual + AT_ONCE,
        "the download took {:.1} s to fail, which is not at once: an answer takes {:.3} s",
        took.as_secs_f32(),
        usual.as_secs_f32()
    );
    client.await_idle()?;
    require_no_trace(&client, "absent")
}

fn balance(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 14, 48 * MIB);
    let small = ["half0", "half1", "half2"].map(|id| Game::blob(id, 15, 31 * CHUNK));
    let catalog = CatalogFile::of(&[&game, &small[0], &small[1], &small[2]]);
    let holder = |name| {
        let spec = small.iter().try_fold(lab.peer(name)?.game(&game)?, PeerSpec::game)?;
        spec.catalog(&catalog)?.start()
    };
    let (alpha, bravo) = (holder("alpha")?, holder("bravo")?);
    let client = client_of(lab, &catalog, &[&alpha, &bravo])?;
    for game in [&game].into_iter().chain(&small) {
        client.await_offered(&game.id, 2)?;
    }
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
    require!(
        shares.iter().all(|s| (0.4..=0.6).contains(s)),
        "alpha and bravo served {:.1} % and {:.1} % of the chunks, not 40–60 % each",
        shares[0] * 100.0,
        shares[1] * 100.0
    );
    require_same_game(&client, &bravo, "ggoo")?;
    require_game_sent_once(&[&alpha, &bravo], &all)?;
    require_half_each(&client, [&alpha, &bravo], &small)?;
    unit::require_ok(
        lab,
        "lanspread-core",
        "swarm::tests::two_equal_sources_serve_exactly_half_each_and_no_chunk_twice",
    )
}

/// Downloads small games one after the other until two equal sources have each served half of one, within one chunk.
///
/// Where one source is held up, the other one helps it, and the halves are not exact. In a large game that happens
/// easily. A game of 32 chunks takes milliseconds, and the connections are there already.
fn require_half_each(client: &Peer, sources: [&Peer; 2], games: &[Game]) -> Outcome {
    let mut splits = Vec::new();
    for game in games {
        let since = client.mark();
        client.download(&game.id, false)?;
        await_finished(client, since, &game.id)?;
        let transfer = Transfer::since(client, since, &game.id);
        transfer.require_exactly(&pieces_of(&Manifest::root_files(&sources[0].game_dir(&game.id))?))?;
        let served = transfer.by_source();
        let [one, other] = sources.map(|peer| served.get(&peer.id()).map_or(0, |(chunks, _)| *chunks));
        splits.push(format!("{one} and {other}"));
        if one.abs_diff(other) <= 1 {
            figures::note("S14", format!("small games were split into {}", splits.join(", ")));
            return Ok(());
        }
    }
    fail!("no small game was split in half, but into {}", splits.join(", "))
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
    let since = client.mark();
    start(&client, "ggoo", "the catalogue's version cannot be fetched beside other versions")?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    require_served_nothing(&transfer, &a, "the holder of the older version")?;
    require_served_nothing(&transfer, &c, "the holder of the newer version")?;
    transfer.require_sources(&[&b])?;
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&b.game_dir("ggoo"))?))?;
    require_same_game(&client, &b, "ggoo")?;
    require_sent(&b, transfer.0.len(), transfer.bytes())?;
    require_counted(&client, "ggoo", 1, "those of other versions")?;
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
    require!(
        offers[0].0 == OLDER && offers[1] == offers[2] && offers[1].0 == VERSION,
        "list-peers shows an old version and twice the current one: {offers:?}"
    );
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    require_served_nothing(&transfer, &a, "the stale peer")?;
    let all = pieces_of(&Manifest::root_files(&b.game_dir("ggoo"))?);
    transfer.require_exactly(&all)?;
    transfer.require_sources(&[&b, &c])?;
    require_same_game(&client, &b, "ggoo")?;
    require_game_sent_once(&[&b, &c], &all)?;
    require_counted(&client, "ggoo", 2, "the stale peer")
}

fn right_version_leaves(lab: &Lab) -> Outcome {
    let catalog = CatalogFile::default().with("ggoo", VERSION);
    let stale = holder(lab, "stale", &Game::blob("ggoo", 1, MIB).version(OLDER), &catalog)?;
    let right = holder(lab, "right", &Game::blob("ggoo", 2, MIB), &catalog)?;
    let client = client_of(lab, &catalog, &[&stale, &right])?;
    let offers = raw_offers(&client, &[&stale, &right], "ggoo")?;
    require!(offers[0].0 == OLDER && offers[1].0 == VERSION, "list-peers shows both versions: {offers:?}");
    require!(client.game("ggoo")?.is_some_and(|info| info.peer_count > 0), "the game is offered at first");
    right.shut_down()?;
    let offers = raw_offers(&client, &[&stale], "ggoo")?;
    require_eq!(offers[0].0, OLDER, "the version that is still advertised");
    let since = client.mark();
    let otherwise = "client took the stale copy in place of the right one";
    require_refused(&client, "ggoo", ErrorCode::NoSource, otherwise)?;
    let info = client.game("ggoo")?;
    let offered = |info: &GameInfo| info.peer_count > 0 || info.availability == Availability::Remote;
    require!(
        !info.as_ref().is_some_and(offered),
        "client still offers what only a stale peer has\n  list-games: {info:?}"
    );
    require_eq!(failure(&client, since, "ggoo")?.0, ErrorCode::NoSource, "the code in download-failed");
    client.await_idle()?;
    let transfer = Transfer::since(&client, since, "ggoo");
    require!(transfer.0.is_empty(), "chunks were fetched");
    require_served_nothing(&transfer, &stale, "the stale peer")?;
    require_no_trace(&client, "ggoo")
}

fn source_dies(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 18, 64 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let slow = |name| lab.peer(name)?.game(&game)?.catalog(&catalog)?.upload_limit(16_000_000).start();
    let sources = [slow("one")?, slow("other")?];
    let client = client_of(lab, &catalog, &[&sources[0], &sources[1]])?;
    client.await_offered("ggoo", 2)?;
    let all = pieces_of(&Manifest::root_files(&sources[0].game_dir("ggoo"))?);
    let since = client.mark();
    client.download("ggoo", false)?;
    let first = await_chunks(&client, since, "ggoo", 1)?;
    let [one, other] = &sources;
    let (victim, survivor) = if first.0[0].1 == one.id() { (one, other) } else { (other, one) };
    victim.kill();
    let killed = client.mark();
    let at_kill = Transfer::since(&client, since, "ggoo");
    require_in_the_middle(&at_kill, &all)?;
    require_serves_after_kill(&client, survivor, since, killed)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&all)?;
    transfer.require_sources(&[victim, survivor])?;
    figures::note("S18", format!("{} of {} chunks were there at the kill", at_kill.0.len(), all.len()));
    require_same_game(&client, survivor, "ggoo")?;
    let (chunks, bytes) = transfer.by_source().get(&survivor.id()).copied().unwrap_or_default();
    require_sent_once(&[survivor], chunks, bytes)?;
    require_committed_once(&client, since, "ggoo")
}

/// Waits until the survivor serves a chunk after the kill. Until then the download that began at `since` must not be
/// without sources.
fn require_serves_after_kill(client: &Peer, survivor: &Peer, since: Mark, killed: Mark) -> Outcome {
    let survivor = survivor.id();
    let serves = |event: &Event| match event {
        Event::DownloadChunkFinished { peer_id, .. } => (*peer_id == survivor).then_some(()),
        // Which chunks were fetched by then is checked later.
        Event::DownloadFinished { .. } => Some(()),
        _ => None,
    };
    let is_lost = |event: &Event| match event {
        Event::DownloadPeersGone { .. } | Event::DownloadFailed { .. } => Some(()),
        _ => None,
    };
    eventually("the survivor serves a chunk after the kill", || {
        let lost = client.find_event(since, is_lost).is_some();
        let served = client.find_event(killed, serves).is_some();
        require!(served || !lost, "the survivor served nothing after the kill");
        Ok(seen_if(served, || "no chunk".to_owned()))
    })
}

/// Changes a byte in every chunk of a file and restores its time stamp.
pub(super) fn damage(path: &std::path::Path, chunk: u64) -> Outcome {
    let modified: SystemTime = std::fs::metadata(path)?.modified()?;
    let mut bytes = std::fs::read(path)?;
    for at in (0..bytes.len()).step_by(chunk as usize) {
        bytes[at] ^= 1;
    }
    // Written in place, so that it stays the same file.
    std::fs::write(path, bytes)?;
    std::fs::File::options().write(true).open(path)?.set_modified(modified)?;
    require_eq!(std::fs::metadata(path)?.modified()?, modified, "the time stamp of the damaged file");
    Ok(())
}

/// Requires that exactly this source was rejected since the mark, once, for a corrupt chunk.
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
    // Damaged while the peer does not run: no event tells it, so its index still trusts the file.
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
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&healthy.game_dir("ggoo"))?))?;
    require_rejected(&client, since, &liar)?;
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
    require_same_game(&client, &bravo, "ggoo")?;
    bravo.kill();
    client.await_peers(&[])?;
    let third = lab.peer("third")?.catalog(&catalog)?.start()?;
    third.connect(&client)?;
    third.await_offered("ggoo", 1)?;
    let since = third.mark();
    third.download("ggoo", false)?;
    let (_, verifies) =
        third.await_event(since, "a chunk, or that it was rejected", |event| match event {
            Event::DownloadChunkFinished { .. } => Some(true),
            Event::SourceRejected { .. } => Some(false),
            _ => None,
        })?;
    require!(verifies, "what client serves second-hand does not verify");
    await_finished(&third, since, "ggoo")?;
    let transfer = Transfer::since(&third, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?))?;
    transfer.require_sources(&[&client])?;
    require_same_game(&third, &bravo, "ggoo")?;
    require_sent(&client, transfer.0.len(), transfer.bytes())
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
    require!(
        offers[0].1 == content && offers[1] == offers[2] && offers[1].1 != content,
        "list-peers shows the pinned content and twice another one: {offers:?}"
    );
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    for liar in &liars {
        require_served_nothing(&transfer, liar, "a peer with another content than the pinned one")?;
    }
    transfer.require_sources(&[&honest])?;
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&honest.game_dir("ggoo"))?))?;
    require_same_game(&client, &honest, "ggoo")?;
    require_committed_once(&client, since, "ggoo")?;
    require_counted(&client, "ggoo", 1, "those of another content than the pinned one")?;

    let late = lab.peer("late")?.catalog(&pinned)?.start()?;
    for liar in &liars {
        late.connect(liar)?;
    }
    raw_offers(&late, &[&liars[0], &liars[1]], "ggoo")?;
    let since = late.mark();
    let otherwise = "late took another content than the pinned one";
    require_refused(&late, "ggoo", ErrorCode::NoSource, otherwise)?;
    let transfer = Transfer::since(&late, since, "ggoo");
    for liar in &liars {
        require_served_nothing(&transfer, liar, "a peer with another content than the pinned one")?;
    }
    require_no_trace(&late, "ggoo")
}
