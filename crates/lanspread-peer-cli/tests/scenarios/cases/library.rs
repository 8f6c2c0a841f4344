//! Which folders count as games, which games are announced and served, and how changes of a library are followed.

use std::path::Path;

use lanspread_api::event::IgnoredFolder;
use lanspread_api::{ErrorCode, Event, Request};

use super::flow::{KIB, MIB, await_finished, require_no_trace, require_same_game};
use super::sources::failure;
use crate::games::{CatalogFile, Content, Game};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, require, require_eq};
use crate::transfer::Transfer;
use crate::unit;
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S12",
        title: "serve gates",
        claim: "Content that may not be served is refused, and each refusal states its reason",
        setup: "unit tests, demanded by name: an uncatalogued game, one without its sentinel, one under an operation, another content, each asked for as a manifest and as a chunk; a manifest with a path under `local/`; a path that climbs out",
        expected: "each test's own `ok` line, and that of the test that what is ready is served",
        sabotages: &[
            Sabotage::new(
                "serve-anything",
                &["lanspread-core serve::tests::an_uncatalogued_game_is_refused is not ok"],
            ),
            Sabotage::new("give-any-manifest", &["is_neither_as_a_manifest_nor_as_a_chunk is not ok"]),
            Sabotage::new("give-any-chunk", &["is_neither_as_a_manifest_nor_as_a_chunk is not ok"]),
            Sabotage::new(
                "serve-private-paths",
                &["lanspread-types manifest::tests::bad_lists_are_refused is not ok"],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(serve_gates),
    },
    Scenario {
        id: "S22",
        title: "a game appears while connected",
        claim: "A game folder that appears in a library is offered without a restart or a new connection",
        setup: "client is connected to alpha; a game is written into alpha's folder",
        expected: "alpha serves it, client sees it and fetches it byte-equal; no connection was lost or made in the whole window, and nothing failed",
        sabotages: &[
            Sabotage::new("never-rescan", &["alpha shows fresh as ready to be served"]),
            Sabotage::new("forget-library-delta", &["client sees exactly its"]),
            Sabotage::new("reconnect-for-news", &["alpha printed a change among its connections"]),
            Sabotage::new("fail-unasked", &["ended no operation and answered no command"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(game_appears),
    },
    Scenario {
        id: "S23",
        title: "a game vanishes while connected",
        claim: "A game folder that disappears from a library is no longer offered",
        setup: "client is connected to alpha and bravo, who both have the game, alpha another one too; alpha's folders are removed",
        expected: "the shared game falls to one source, alpha's own is no longer offered; a download of it is refused with `no-source`, also by event, and leaves nothing; no connection was lost or made in the whole window",
        sabotages: &[
            Sabotage::new("never-rescan", &["client sees exactly its"]),
            Sabotage::new("forget-removals", &["client sees exactly its"]),
            Sabotage::new("keep-lost-library", &["client no longer shows own as offered"]),
            Sabotage::new("keep-lost-count", &["client shows shared as offered by"]),
            Sabotage::new("accept-without-source", &["instead of refusing it"]),
            Sabotage::new("leave-empty-root", &["client has a folder of own, which was never committed"]),
            Sabotage::new("reconnect-for-news", &["client printed a change among its connections"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(game_vanishes),
    },
    Scenario {
        id: "S32",
        title: "incomplete folders are not offered",
        claim: "A folder without a valid `version.ini` at its root does not count as a game",
        setup: "bravo has one whole game, and folders without `version.ini`, with an empty one, with garbage in it, with one only in a subfolder, and with one that is a folder",
        expected: "`list-peers` at the client shows the whole game and nothing else; a download of any other is refused with `no-source`; bravo's `local-library-changed` names each folder with a reason",
        sabotages: &[
            Sabotage::new("sentinel-any-content", &["client sees exactly its"]),
            Sabotage::new("sentinel-anywhere", &["the games that bravo counts as downloaded"]),
            Sabotage::new("forget-ignored-folders", &["bravo says why each folder is no game"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(incomplete_folders),
    },
    Scenario {
        id: "S35",
        title: "unknown games are filtered",
        claim: "A game that is not in the catalogue is neither listed nor downloaded nor served",
        setup: "bravo has two games and no catalogue, the client's catalogue knows one; `list-peers` at the client shows that bravo advertises both",
        expected: "`list-games` has the one, a download of the other is refused with `unknown-game`, no event names it in the whole window, and nothing is fetched",
        sabotages: &[
            Sabotage::new("ignore-catalogue", &["the games that the client lists"]),
            Sabotage::new("list-unknown-games", &["the games that the client lists"]),
            Sabotage::new("command-unknown-games", &["instead of refusing it"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(unknown_games),
    },
];

fn serve_gates(lab: &Lab) -> Outcome {
    let tests = [
        ("lanspread-core", "serve::tests::what_is_ready_is_served"),
        ("lanspread-core", "serve::tests::an_uncatalogued_game_is_refused"),
        ("lanspread-core", "serve::tests::a_game_without_its_sentinel_is_refused"),
        ("lanspread-core", "serve::tests::a_game_under_an_operation_is_refused"),
        ("lanspread-core", "serve::tests::another_content_is_refused"),
        (
            "lanspread-core",
            "node::tests::serving::what_may_not_be_served_is_neither_as_a_manifest_nor_as_a_chunk",
        ),
        ("lanspread-types", "manifest::tests::bad_lists_are_refused"),
        ("lanspread-types", "path::tests::hostile_and_foreign_paths_are_refused"),
    ];
    // All tests run, so that the failure lists every check that does not refuse what it should.
    let failed = tests.iter().filter_map(|(package, test)| unit::require_ok(lab, package, test).err());
    let failed: Vec<String> = failed.map(|Failure(why)| why).collect();
    require!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn require_steady(peer: &Peer, since: Mark) -> Outcome {
    let moved = |e: &Event| matches!(e, Event::PeerConnected { .. } | Event::PeerLost { .. });
    peer.require_none(since, "a change among its connections", moved)
}

fn game_appears(lab: &Lab) -> Outcome {
    let alpha = lab.peer("alpha")?.game(&Game::blob("old", 1, 1000))?.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&alpha)?;
    client.await_peers(&[(&alpha, &["old"])])?;
    // alpha may print the connection later than the client, so wait for alpha as well.
    alpha.await_peers(&[(&client, &[])])?;
    let marks = (alpha.mark(), client.mark());
    let fresh = Game::blob("fresh", 2, MIB).file("docs/manual.txt", Content::Bytes(b"read me".to_vec()));
    fresh.write(&alpha.games_dir())?;
    alpha.await_served("fresh")?;
    client.await_peers(&[(&alpha, &["fresh", "old"])])?;
    client.await_offered("fresh", 1)?;
    client.download("fresh", false)?;
    await_finished(&client, marks.1, "fresh")?;
    require_same_game(&client, &alpha, "fresh")?;
    require_steady(&alpha, marks.0)?;
    require_steady(&client, marks.1)
}

fn game_vanishes(lab: &Lab) -> Outcome {
    let (shared, own) = (Game::blob("shared", 1, MIB), Game::blob("own", 2, MIB));
    let alpha = lab.peer("alpha")?.game(&shared)?.game(&own)?.start()?;
    let bravo = lab.peer("bravo")?.game(&shared)?.start()?;
    let client = lab.peer("client")?.catalog(&CatalogFile::of(&[&shared, &own]))?.start()?;
    client.connect(&alpha)?;
    client.connect(&bravo)?;
    client.await_offered("shared", 2)?;
    client.await_offered("own", 1)?;
    let since = client.mark();
    std::fs::remove_dir_all(alpha.game_dir("shared"))?;
    std::fs::remove_dir_all(alpha.game_dir("own"))?;
    client.await_peers(&[(&alpha, &[]), (&bravo, &["shared"])])?;
    client.await_offered("shared", 1)?;
    client.await_withdrawn("own")?;
    client.refuses(
        &Request::Download { game_id: game_id("own")?, install: false, confirm_content: None },
        ErrorCode::NoSource,
    )?;
    require_eq!(failure(&client, since, "own")?.0, ErrorCode::NoSource, "the code in download-failed");
    client.await_idle()?;
    require_no_trace(&client, "own")?;
    require_steady(&client, since)
}

fn incomplete_folders(lab: &Lab) -> Outcome {
    let whole = Game::blob("whole", 1, MIB);
    let spec = lab.peer("bravo")?.game(&whole)?;
    let games = spec.games_dir();
    let put = |path: &str, content: &[u8]| -> Outcome {
        let path = games.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        Ok(std::fs::write(path, content)?)
    };
    for broken in BROKEN {
        put(&format!("{broken}/{broken}.eti"), &[7; 1000])?;
    }
    put("empty/version.ini", b"")?;
    put("garbage/version.ini", b"\xff\xfe\x00not a version")?;
    put("nested/inner/version.ini", b"20250101")?;
    std::fs::create_dir_all(games.join("folder/version.ini"))?;
    let bravo = spec.start()?;
    bravo.await_served("whole")?;
    let catalog = BROKEN.iter().fold(CatalogFile::of(&[&whole]), |c, id| c.with(id, crate::games::VERSION));
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&bravo)?;
    client.await_peers(&[(&bravo, &["whole"])])?;
    for broken in BROKEN {
        let request = Request::Download { game_id: game_id(broken)?, install: false, confirm_content: None };
        client.refuses(&request, ErrorCode::NoSource)?;
        require_no_trace(&client, broken)?;
    }
    let here: Vec<String> = bravo.games()?.into_iter().filter(|g| g.downloaded).map(|g| g.game_id).collect();
    require_eq!(here, ["whole"], "the games that bravo counts as downloaded");
    let since = client.mark();
    client.download("whole", false)?;
    await_finished(&client, since, "whole")?;
    require_same_game(&client, &bravo, "whole")?;
    client.await_peers(&[(&bravo, &["whole"])])?;

    eventually("bravo says why each folder is no game", || {
        let ignored = |event: &Event| match event {
            Event::LocalLibraryChanged { ignored, .. } => Some(ignored.clone()),
            _ => None,
        };
        let last: Vec<IgnoredFolder> =
            bravo.events_since(Mark(0)).iter().filter_map(ignored).next_back().unwrap_or_default();
        let mut names: Vec<&str> = last.iter().map(|f| f.name.as_str()).collect();
        names.sort_unstable();
        let told = names == BROKEN && last.iter().all(|f| !f.reason.trim().is_empty());
        Ok(if told { Ok(()) } else { Err(format!("{last:?}")) })
    })?;
    // A single reason for all folders would not tell the owner what is wrong with each one.
    let reasons: std::collections::BTreeSet<String> = bravo
        .events_since(Mark(0))
        .into_iter()
        .filter_map(|event| match event {
            Event::LocalLibraryChanged { ignored, .. } => Some(ignored.into_iter().map(|f| f.reason)),
            _ => None,
        })
        .flatten()
        .collect();
    require!(reasons.len() > 1, "every folder is refused for the same reason: {reasons:?}");
    Ok(())
}

/// Folders that are not games, sorted.
const BROKEN: [&str; 5] = ["empty", "folder", "garbage", "missing", "nested"];

fn unknown_games(lab: &Lab) -> Outcome {
    let (known, unknown) = (Game::blob("known", 1, 70 * KIB), Game::blob("unknown", 2, 70 * KIB));
    let bravo = lab.peer("bravo")?.game(&known)?.game(&unknown)?.start()?;
    let client = lab.peer("client")?.catalog(&CatalogFile::of(&[&known]))?.start()?;
    let since = client.mark();
    client.connect(&bravo)?;
    // The unfiltered announcement proves that there is something to filter.
    client.await_peers(&[(&bravo, &["known", "unknown"])])?;
    client.await_offered("known", 1)?;
    let listed: Vec<String> = client.games()?.into_iter().map(|g| g.game_id).collect();
    require_eq!(listed, ["known"], "the games that the client lists");
    client.refuses(
        &Request::Download { game_id: game_id("unknown")?, install: false, confirm_content: None },
        ErrorCode::UnknownGame,
    )?;
    client.download("known", false)?;
    await_finished(&client, since, "known")?;
    require_same_game(&client, &bravo, "known")?;
    require!(
        Transfer::since(&client, since, "unknown").0.is_empty(),
        "chunks of an unknown game were fetched"
    );
    client.require_none(since, "an event about an unknown game", |event| {
        serde_json::to_string(event).is_ok_and(|text| text.contains("\"unknown\""))
    })?;
    require_no_trace(&client, "unknown")
}
