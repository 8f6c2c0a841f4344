//! Downloads from one, two and many sources: complete, exact and installed.

use lanspread_api::event::Totals;
use lanspread_api::reply::{Availability, OperationKind};
use lanspread_api::{Event, Request};
use serde_json::json;

use super::flow::{
    CHUNK, MIB, await_chunks, await_finished, await_installed, require_committed_once,
    require_game_sent_once, require_order, require_same_game, require_sent,
};
use crate::figures;
use crate::games::{CatalogFile, Content, Game, fixture_payload, payload_manifest};
use crate::lab::Lab;
use crate::log::{Mark, event};
use crate::manifest::Manifest;
use crate::peer::{Peer, PeerSpec, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, pieces_of, require_rates};
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S4",
        title: "download without install",
        claim: "With `install:false` a game is downloaded and not installed",
        setup: "client ← bravo, `bfbc2`, `install:false`",
        expected: "`got-game-files`, `download-begin`, chunks, `download-finished` in this order, with exact counts; downloaded, not installed, `Ready`; all root files byte-equal, no `local/`, no event of an install in the whole window",
        sabotages: &[
            Sabotage::new("install-always", &["client was only to be downloaded"]),
            Sabotage::new(
                "commit-early",
                &[
                    "chunks were never reported",
                    "download-finished came before the game shows as downloaded",
                    "bfbc2 at client against bravo: the folders differ",
                ],
            ),
            Sabotage::new("lie-about-count", &["files, bytes and chunks in got-game-files"]),
            Sabotage::new("drop-event-got-game-files", &["files, bytes and chunks in got-game-files"]),
            Sabotage::new("lie-about-file-count", &["files, bytes and chunks in got-game-files"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(download_without_install),
    },
    Scenario {
        id: "S5",
        title: "download installs by default",
        claim: "By default, a downloaded game is installed",
        setup: "client ← bravo: `cnctw` of the fixture, and a generated game; two more clients fetch the other builds of `cnctw`, a solid archive and two archives that overlap",
        expected: "`download-finished` before `install-finished`; both flags true; what is under `local/` is what another unpacker found in the archives, to the byte, the later archive winning; nothing missing, nothing extra",
        sabotages: &[
            Sabotage::new("install-never", &["prints the end of the install of cnctw"]),
            Sabotage::new(
                "unpack-drop-last-entry",
                &["local/ of packed at client-of-bravo against the payload: the folders differ"],
            ),
            Sabotage::new(
                "unpack-flip-byte",
                &["local/ of packed at client-of-bravo against the payload: the folders differ"],
            ),
            Sabotage::new(
                "unpack-unsorted",
                &["local/ of cnctw from multi against the reference: the folders differ"],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(download_installs),
    },
    Scenario {
        id: "S6",
        title: "manual install and uninstall",
        claim: "Installing and uninstalling touch `local/` and nothing else",
        setup: "client has fetched a game without installing it",
        expected: "`local/` appears with the right hashes, then goes; every root file keeps its hash; the flags follow",
        sabotages: &[
            Sabotage::new(
                "unpack-drop-last-entry",
                &["local/ of packed at client against the payload: the folders differ"],
            ),
            Sabotage::new(
                "install-removes-archive",
                &["after the install: packed at client against bravo: the folders differ"],
            ),
            Sabotage::new(
                "uninstall-removes-root",
                &["after the uninstall: packed at client against bravo: the folders differ"],
            ),
            Sabotage::new("uninstall-leaves-files", &["local/ is still there"]),
            Sabotage::new("uninstall-event-only", &["local/ is still there"]),
            Sabotage::new(
                "uninstall-keeps-flag",
                &["after uninstall-finished the game is downloaded and not installed"],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(install_and_uninstall),
    },
    Scenario {
        id: "S7",
        title: "two sources",
        claim: "Two sources with the same content share one download",
        setup: "client ← alpha + bravo, shared `ggoo` of 16 MiB (512 chunks and the sentinel)",
        expected: "committed exactly once; the reported chunks are exactly those of the game, none twice, none missing; both served, nobody else; totals agree with the chunks to the byte; the sources sent each chunk once, apart from 1 in 32",
        sabotages: &[
            Sabotage::new("one-source-only", &["the peers that served chunks"]),
            Sabotage::new("ask-twice", &["chunks were sent where"]).at("client"),
            Sabotage::new("duplicate-event-chunk", &["a chunk was fetched twice"]),
            Sabotage::new("off-by-one-range", &["ggoo at client against alpha: the folders differ"]),
            Sabotage::new("lie-about-source-bytes", &["chunks and bytes by source in the totals"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(two_sources),
    },
    Scenario {
        id: "S13",
        title: "byte equality",
        claim: "Files of any size arrive byte for byte",
        setup: "two games with files of 0, 1, CHUNK−1, CHUNK, CHUNK+1 bytes, in folders, alone in their chunks and, with the smallest, three that share one, one game with CHUNK = 32 KiB and one of 363 MiB with CHUNK = 64 KiB",
        expected: "hash manifests equal, nothing extra, nothing missing; the chunks are exactly those of the files, each sent once; what is under the source's `local/` stays there",
        sabotages: &[
            Sabotage::new("off-by-one-range", &["small at client against bravo: the folders differ"]),
            Sabotage::new("skip-empty-files", &["small at client against bravo: the folders differ"]),
            Sabotage::new("truncate-last-chunk", &["small at client against bravo: the folders differ"]),
            Sabotage::new("serve-private-paths", &["the user's own files of small were fetched"]),
            Sabotage::new("ask-twice", &["bravo has sent"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(byte_equality),
    },
    Scenario {
        id: "S24",
        title: "two downloads at once on one client",
        claim: "Downloads of different games do not disturb each other",
        setup: "client ← bravo, who sends 16 MB/s; two games of 16 MiB, `install:false`, both shown running at the same time",
        expected: "chunks of each arrive before the other one ends; both byte-equal, exact chunks each, both downloaded and not installed; bravo has sent each chunk once",
        sabotages: &[
            Sabotage::new("one-download-at-a-time", &["one download waited until the other was done"]),
            Sabotage::new("mix-up-games", &["a chunk that does not exist was fetched from"]),
            Sabotage::new("install-always", &["client printed an event of an install"]),
            Sabotage::new("ask-twice", &["bravo has sent"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(two_downloads),
    },
    Scenario {
        id: "S25",
        title: "many clients, one source",
        claim: "One source can serve many receivers, and reports the end of each transfer",
        setup: "4 clients ← bravo at once, one game of 32 MiB, `install:false`; bravo sends 1 MB/s until all have begun, and is seen sending",
        expected: "every client has chunks before any is done; all byte-equal, downloaded, not installed; bravo has sent four copies, to the byte, and its `active_outbound_transfers` are back to none",
        sabotages: &[
            Sabotage::new("leak-transfer", &["bravo sends nothing"]),
            Sabotage::new("never-count-transfers", &["bravo is seen sending"]),
            Sabotage::new("install-always", &["client0 printed an event of an install"]),
            Sabotage::new("commit-early", &["printed the end of its download"]),
            Sabotage::new("serve-one-at-a-time", &["bravo does not serve its clients at the same time"]),
            Sabotage::new("ask-twice", &["bravo has sent"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(many_clients),
    },
    Scenario {
        id: "S34",
        title: "many files",
        claim: "A game of many files is downloaded completely, and no chunk twice",
        setup: "20 files and `version.ini`",
        expected: "`got-game-files` says 21; exactly the 21 files, coherent, each chunk reported once; bravo has sent as many bytes as the files have",
        sabotages: &[
            Sabotage::new("drop-one-file", &["file_count in got-game-files"]),
            Sabotage::new("ask-twice", &["bravo has sent"]),
            Sabotage::new("duplicate-event-chunk", &["a chunk was fetched twice"]),
            Sabotage::new("lie-about-file-count", &["file_count in got-game-files"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(many_files),
    },
    Scenario {
        id: "S37",
        title: "throughput",
        claim: "The figures that a download reports fit each other, the bytes on disk and the time that it took",
        setup: "archive of random bytes (256 MiB; `LANSPREAD_S37_MIB` sets another size), one source, `install:false`",
        expected: "size and hash right; bytes, duration, `mib_per_s` and `mbit_per_s` positive, consistent with each other and with the bytes on disk, and the duration fits between the events' own times",
        sabotages: &[
            Sabotage::new("lie-about-bytes", &["the reported bytes against the disk's"]),
            Sabotage::new("lie-about-rate", &["mib_per_s is not"]),
            Sabotage::new("lie-about-unit", &["mbit_per_s is not"]),
            Sabotage::new("lie-about-duration", &["duration_ms is"]),
            Sabotage::new("skip-last-write", &["big at client against bravo: the folders differ"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(throughput),
    },
];

/// Starts a source with these games and a client that is connected to it and sees all of them.
fn pair(lab: &Lab, games: &[&Game]) -> Outcome<(Peer, Peer)> {
    pair_with(lab, games, |bravo| bravo)
}

/// Like [`pair`], with a special setting of the source.
fn pair_with<'lab>(
    lab: &'lab Lab,
    games: &[&Game],
    special: impl FnOnce(PeerSpec<'lab>) -> PeerSpec<'lab>,
) -> Outcome<(Peer, Peer)> {
    let catalog = CatalogFile::of(games);
    let mut spec = special(lab.peer("bravo")?.catalog(&catalog)?);
    for game in games {
        spec = spec.game(game)?;
    }
    let bravo = spec.start()?;
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&bravo)?;
    for game in games {
        client.await_offered(&game.id, 1)?;
    }
    Ok((bravo, client))
}

/// Starts bravo with its fixtures and a client that sees one of its games.
fn fixture_pair(lab: &Lab, game: &str) -> Outcome<(Peer, Peer)> {
    let bravo = lab.peer("bravo")?.fixture("bravo")?.fixture_catalog().start()?;
    let client = lab.peer("client")?.fixture_catalog().start()?;
    client.connect(&bravo)?;
    client.await_offered(game, 1)?;
    Ok((bravo, client))
}

fn is_about_install(event: &Event) -> bool {
    matches!(event, Event::InstallBegin { .. } | Event::InstallFinished { .. } | Event::InstallFailed(_))
}

fn require_only_downloaded(peer: &Peer, since: Mark, game: &str) -> Outcome {
    peer.await_idle()?;
    let info = peer.await_served(game)?;
    require!(info.downloaded && !info.installed, "{} was only to be downloaded: {info:?}", peer.name());
    require!(!peer.game_dir(game).join("local").exists(), "{} has a folder local/ of {game}", peer.name());
    peer.require_none(since, "an event of an install", is_about_install)
}

fn download_without_install(lab: &Lab) -> Outcome {
    let (bravo, client) = fixture_pair(lab, "bfbc2")?;
    let files = Manifest::root_files(&bravo.game_dir("bfbc2"))?;
    require!(files.0.len() >= 2, "the fixture has an archive and a sentinel: {files:?}");
    let since = client.mark();
    client.download("bfbc2", false)?;
    let (_, totals) = await_finished(&client, since, "bfbc2")?;

    let all = pieces_of(&files);
    let got = client.find_event(since, |event| match event {
        Event::GotGameFiles { game_id, file_count, total_bytes, chunk_count, .. } if game_id == "bfbc2" => {
            Some((*file_count, *total_bytes, *chunk_count as usize))
        }
        _ => None,
    });
    let expected = (files.0.len(), files.bytes(), all.len());
    require_eq!(got.map(|(_, got)| got), Some(expected), "files, bytes and chunks in got-game-files");
    let begun = client.find_event(since, |event| match event {
        Event::DownloadBegin { total_bytes, had_bytes, .. } => Some((*total_bytes, *had_bytes)),
        _ => None,
    });
    require_eq!(
        begun.map(|(_, begun)| begun),
        Some((files.bytes(), 0)),
        "total and had bytes in download-begin"
    );
    require_order(
        &client,
        since,
        &[
            ("got-game-files", &|e| matches!(e, Event::GotGameFiles { .. })),
            ("download-begin", &|e| matches!(e, Event::DownloadBegin { .. })),
            ("download-chunk-finished", &|e| matches!(e, Event::DownloadChunkFinished { .. })),
            ("download-finished", &|e| matches!(e, Event::DownloadFinished { .. })),
        ],
    )?;
    let transfer = Transfer::since(&client, since, "bfbc2");
    transfer.require_exactly(&all)?;
    transfer.require_totals(&totals)?;
    require_only_downloaded(&client, since, "bfbc2")?;
    require_same_game(&client, &bravo, "bfbc2")?;
    require_committed_once(&client, since, "bfbc2")
}

/// Returns a game whose archive holds files of different sizes.
fn packed_game(id: &str) -> Game {
    Game::packed(id, PAYLOAD)
}

const PAYLOAD: &[(&str, u64, u64)] =
    &[("data/maps/one.bsp", 11, 300_001), ("game.exe", 12, 70_000), ("readme", 13, 0)];

fn require_payload(lab: &Lab, peer: &Peer, game: &str) -> Outcome {
    let local = Manifest::of(&peer.game_dir(game).join("local"))?;
    local.require_equal(
        &payload_manifest(lab, PAYLOAD)?,
        &format!("local/ of {game} at {} against the payload", peer.name()),
    )
}

fn download_installs(lab: &Lab) -> Outcome {
    let packed = packed_game("packed");
    let client =
        download_and_install(lab, lab.peer("bravo")?.fixture("bravo")?.game(&packed)?, &["cnctw", "packed"])?;
    require_payload(lab, &client, "packed")?;
    require_fixture_payload(&client, "bravo")?;
    for fixture in ["solid", "multi"] {
        let client = download_and_install(lab, lab.peer(fixture)?.fixture(fixture)?, &["cnctw"])?;
        require_fixture_payload(&client, fixture)?;
    }
    Ok(())
}

fn require_fixture_payload(client: &Peer, fixture: &str) -> Outcome {
    let local = Manifest::of(&client.game_dir("cnctw").join("local"))?;
    let expected = fixture_payload(fixture, "cnctw")?;
    local.require_equal(&expected, &format!("local/ of cnctw from {fixture} against the reference"))
}

/// Returns a new client that has downloaded these games from the source with commands that do not mention `install`.
fn download_and_install(lab: &Lab, source: PeerSpec<'_>, games: &[&str]) -> Outcome<Peer> {
    let source = source.start()?;
    let client = lab.peer(&format!("client-of-{}", source.name()))?.start()?;
    client.connect(&source)?;
    for game in games {
        client.await_offered(game, 1)?;
        let since = client.mark();
        // Written as JSON, because the scenario is about the absence of `install`.
        let (_, answer) = client.say_json(json!({ "cmd": "download", "game_id": game }))?;
        require!(answer.is_ok(), "the download was refused: {answer:?}");
        let (finished, _) = await_finished(&client, since, game)?;
        let installed = await_installed(&client, since, game)?;
        require!(finished < installed, "install-finished came before download-finished");
        client.await_idle()?;
        let info = client.await_served(game)?;
        require!(info.downloaded && info.installed, "{info:?}");
        require_same_game(&client, &source, game)?;
        require_committed_once(&client, since, game)?;
    }
    Ok(client)
}

fn install_and_uninstall(lab: &Lab) -> Outcome {
    let (bravo, client) = pair(lab, &[&packed_game("packed")])?;
    let since = client.mark();
    client.download("packed", false)?;
    await_finished(&client, since, "packed")?;
    require_only_downloaded(&client, since, "packed")?;
    let game_id = game_id("packed")?;

    let since = client.mark();
    client.ask(&Request::Install { game_id: game_id.clone(), max_unpacked_bytes: None })?;
    await_installed(&client, since, "packed")?;
    require_payload(lab, &client, "packed")?;
    let same = |when: &str| {
        require_same_game(&client, &bravo, "packed")
            .map_err(|Failure(why)| Failure(format!("after the {when}: {why}")))
    };
    same("install")?;

    let since = client.mark();
    client.await_idle()?;
    client.ask(&Request::Uninstall { game_id })?;
    let (_, end) = client.await_event(since, "the end of the uninstall", |event| match event {
        Event::UninstallFinished { game_id } if game_id == "packed" => Some(Ok(())),
        Event::UninstallFailed(failure) => Some(Err(failure.clone())),
        _ => None,
    })?;
    if let Err(failure) = end {
        fail!("the uninstall failed: {failure:?}");
    }
    let info = client.game("packed")?;
    require!(!client.game_dir("packed").join("local").exists(), "local/ is still there");
    same("uninstall")?;
    let right = info.as_ref().is_some_and(|info| info.downloaded && !info.installed);
    require!(right, "after uninstall-finished the game is downloaded and not installed: {info:?}");
    Ok(())
}

fn two_sources(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 7, 16 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let alpha = lab.peer("alpha")?.game(&game)?.catalog(&catalog)?.start()?;
    let bravo = lab.peer("bravo")?.game(&game)?.catalog(&catalog)?.start()?;
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&alpha)?;
    client.connect(&bravo)?;
    client.await_offered("ggoo", 2)?;
    let contents: Vec<_> = client.peers()?.iter().map(|p| p.games[0].content_id.clone()).collect();
    require!(contents.len() == 2 && contents[0] == contents[1], "the sources agree: {contents:?}");

    let since = client.mark();
    client.download("ggoo", false)?;
    let (_, totals) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    let all = pieces_of(&Manifest::root_files(&alpha.game_dir("ggoo"))?);
    require_eq!(all.len(), 513, "the chunks of the game");
    transfer.require_exactly(&all)?;
    transfer.require_sources(&[&alpha, &bravo])?;
    transfer.require_totals(&totals)?;
    require_game_sent_once(&[&alpha, &bravo], &all)?;
    require_same_game(&client, &alpha, "ggoo")?;
    client.await_served("ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

/// Adds files whose sizes are close to a chunk. `one`, `shared/exact` and `shared/less` share a chunk; `more`, which
/// is larger than a chunk, separates `exact` from them.
fn odd_sizes(game: Game, chunk: u64) -> Game {
    let sizes = [
        ("data/deep/less", chunk - 1),
        ("data/deep/more", chunk + 1),
        ("exact", chunk),
        ("more", chunk + 1),
        ("one", 1),
        ("shared/exact", chunk),
        ("shared/less", chunk - 1),
        ("zero", 0),
    ];
    sizes
        .into_iter()
        .enumerate()
        .fold(game, |game, (n, (path, len))| game.file(path, Content::Seeded { seed: 100 + n as u64, len }))
}

fn byte_equality(lab: &Lab) -> Outcome {
    let small = odd_sizes(Game::new("small"), CHUNK)
        .file("übergröße.txt", Content::Bytes(b"\r\n\0".to_vec()))
        .file("local/save.dat", Content::Bytes(b"the user's own".to_vec()));
    let large = odd_sizes(Game::blob("large", 5, 363 * MIB + 1), 2 * CHUNK);
    let (bravo, client) = pair(lab, &[&small, &large])?;
    let (mut chunks, mut bytes) = (0, 0);
    for (game, chunk) in [("small", CHUNK), ("large", 2 * CHUNK)] {
        let since = client.mark();
        client.download(game, false)?;
        let (_, totals) = await_finished(&client, since, game)?;
        let all = pieces_of(&Manifest::root_files(&bravo.game_dir(game))?);
        let full = |length: u64| all.iter().any(|piece| piece.path == "exact" && piece.length == length);
        require!(full(chunk), "{game} does not have chunks of {chunk} bytes: {:?}", all.iter().next());
        let transfer = Transfer::since(&client, since, game);
        let private = transfer.0.iter().any(|(piece, _)| piece.path.starts_with("local/"));
        let there = client.game_dir(game).join("local").exists();
        require!(!private && !there, "the user's own files of {game} were fetched");
        transfer.require_exactly(&all)?;
        transfer.require_totals(&totals)?;
        require_same_game(&client, &bravo, game)?;
        require_committed_once(&client, since, game)?;
        // Three files that share a chunk are reported one by one, which makes two more reports than chunks.
        let told_more = if chunk == CHUNK { 2 } else { 0 };
        (chunks, bytes) = (chunks + transfer.0.len() - told_more, bytes + transfer.bytes());
    }
    require_sent(&bravo, chunks, bytes)
}

fn two_downloads(lab: &Lab) -> Outcome {
    let games = [Game::blob("one", 1, 16 * MIB), Game::blob("two", 2, 16 * MIB)];
    let (bravo, client) = pair_with(lab, &[&games[0], &games[1]], |bravo| bravo.upload_limit(16_000_000))?;
    let since = client.mark();
    client.download("one", false)?;
    client.download("two", false)?;
    let both = |event: &Event| match event {
        Event::ActiveOperationsChanged { active_operations } => {
            let downloading = active_operations.iter().filter(|o| o.kind == OperationKind::Downloading);
            (downloading.count() == 2).then_some(())
        }
        _ => None,
    };
    for game in ["one", "two"] {
        await_finished(&client, since, game)?;
    }
    require!(client.find_event(since, both).is_some(), "the two downloads never ran at the same time");
    // Two running operations do not prove that neither waited for the other.
    let firsts = ["one", "two"].map(|game| {
        client.find_event(since, |event| match event {
            Event::DownloadChunkFinished { game_id, .. } => (game_id == game).then_some(()),
            _ => None,
        })
    });
    let ends = client.log().pick(since, |line| match event(line) {
        Some(Event::DownloadFinished { .. }) => Some(()),
        _ => None,
    });
    let together =
        firsts.iter().flatten().count() == 2 && firsts.iter().flatten().all(|first| first.0 < ends[0].0);
    require!(together, "one download waited until the other was done");
    let (mut chunks, mut bytes) = (0, 0);
    for game in ["one", "two"] {
        require_only_downloaded(&client, since, game)?;
        require_same_game(&client, &bravo, game)?;
        let all = pieces_of(&Manifest::root_files(&bravo.game_dir(game))?);
        Transfer::since(&client, since, game).require_exactly(&all)?;
        require_committed_once(&client, since, game)?;
        (chunks, bytes) = (chunks + all.len(), bytes + all.iter().map(|piece| piece.length).sum::<u64>());
    }
    require_sent(&bravo, chunks, bytes)
}

fn many_clients(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 3, 32 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let bravo = lab.peer("bravo")?.game(&game)?.catalog(&catalog)?.upload_limit(1_000_000).start()?;
    let mut clients = Vec::new();
    for n in 0..4 {
        let client = lab.peer(&format!("client{n}"))?.catalog(&catalog)?.start()?;
        client.connect(&bravo)?;
        client.await_game("ggoo", "as offered", |g| g.peer_count > 0)?;
        clients.push(client);
    }
    let marks: Vec<Mark> = clients.iter().map(Peer::mark).collect();
    for client in &clients {
        client.download("ggoo", false)?;
    }
    eventually("bravo is seen sending", || {
        let status = bravo.status()?;
        let sending = status.active_outbound_transfers.get("ggoo").is_some_and(|count| *count > 0);
        Ok(if sending { Ok(()) } else { Err(format!("{status:?}")) })
    })?;
    let all = pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?);
    // Serving the clients one after the other would end well, too. At this low rate no client can finish before all
    // have begun.
    for (client, &since) in clients.iter().zip(&marks) {
        await_chunks(client, since, "ggoo", 1).map_err(|Failure(why)| {
            Failure(format!("bravo does not serve its clients at the same time: {why}"))
        })?;
    }
    for (client, &since) in clients.iter().zip(&marks) {
        client.require_none(since, "the end of its download", |e| {
            matches!(e, Event::DownloadFinished { .. })
        })?;
    }
    bravo.ask(&Request::SetLimits { upload: None, download: None })?;
    for (client, &since) in clients.iter().zip(&marks) {
        await_finished(client, since, "ggoo")?;
    }
    for (client, since) in clients.iter().zip(marks) {
        require_only_downloaded(client, since, "ggoo")?;
        require_same_game(client, &bravo, "ggoo")?;
        Transfer::since(client, since, "ggoo").require_exactly(&all)?;
        require_committed_once(client, since, "ggoo")?;
    }
    require_sent(&bravo, 4 * all.len(), 4 * all.iter().map(|p| p.length).sum::<u64>())?;
    for peer in clients.iter().chain([&bravo]) {
        peer.await_no_outbound()?;
    }
    Ok(())
}

fn many_files(lab: &Lab) -> Outcome {
    let game = (0..20u64).fold(Game::new("files"), |game, n| {
        game.file(&format!("part{}/file{n:02}.dat", n % 3), Content::Seeded { seed: n, len: n * 9973 })
    });
    let (bravo, client) = pair(lab, &[&game])?;
    let since = client.mark();
    client.download("files", false)?;
    let (_, totals) = await_finished(&client, since, "files")?;
    let files = Manifest::root_files(&bravo.game_dir("files"))?;
    require_eq!(files.0.len(), 21, "the files at the source");
    let counts = client.find_event(since, |event| match event {
        Event::GotGameFiles { file_count, .. } => Some(*file_count),
        _ => None,
    });
    require_eq!(counts.map(|(_, count)| count), Some(21), "file_count in got-game-files");
    let transfer = Transfer::since(&client, since, "files");
    transfer.require_exactly(&pieces_of(&files))?;
    transfer.require_totals(&totals)?;
    require_same_game(&client, &bravo, "files")?;
    require_committed_once(&client, since, "files")?;
    // Small files share chunks, so a chunk that was sent twice shows by its bytes.
    eventually(&format!("bravo has sent {} bytes, each chunk once", files.bytes()), || {
        let sent = bravo.status()?.traffic.sent_bytes;
        Ok(seen_if(sent == files.bytes(), || format!("{sent} bytes")))
    })
}

fn throughput(lab: &Lab) -> Outcome {
    let mib: u64 = std::env::var("LANSPREAD_S37_MIB").ok().and_then(|v| v.parse().ok()).unwrap_or(256);
    // Of a sparse file a chunk that was never written would look like one that was.
    let game = Game::blob("big", 37, mib * MIB);
    let (bravo, client) = pair(lab, &[&game])?;
    let since = client.mark();
    client.download("big", false)?;
    let (end, totals) = await_finished(&client, since, "big")?;
    let info = client
        .await_game("big", "as downloaded", |g| g.downloaded && g.availability == Availability::Ready)?;
    require_same_game(&client, &bravo, "big")?;
    let files = Manifest::root_files(&client.game_dir("big"))?;
    require_eq!(
        (totals.bytes, info.size),
        (files.bytes(), files.bytes()),
        "the reported bytes against the disk's"
    );
    require_rates(&totals)?;
    Transfer::since(&client, since, "big").require_exactly(&pieces_of(&files))?;
    require_duration(&client, since, end, &totals)?;
    let (rate, seconds) = (totals.mib_per_s, totals.duration_ms as f64 / 1000.0);
    figures::note("S37", format!("{mib} MiB in {seconds:.2} s, {rate:.0} MiB/s"));
    require_committed_once(&client, since, "big")
}

/// Requires that the stated duration is at most the time from the command to the event, by the lab's clock, and at
/// least the time from the first chunk to the last.
fn require_duration(client: &Peer, since: Mark, end: Mark, totals: &Totals) -> Outcome {
    let chunks = client.log().pick(since, |line| match crate::log::event(line) {
        Some(Event::DownloadChunkFinished { .. }) => Some(()),
        _ => None,
    });
    let at = |mark: Option<Mark>| {
        mark.and_then(|mark| client.log().at(mark)).unwrap_or_default().as_millis() as u64
    };
    let outer = at(Some(end)).saturating_sub(at(Some(since)));
    let inner = at(chunks.last().map(|c| c.0)).saturating_sub(at(chunks.first().map(|c| c.0)));
    // Lines reach the lab a little later than the moments that they report.
    let slack = 250;
    let stated = totals.duration_ms;
    require!(stated <= outer + slack, "duration_ms is {stated}, but only {outer} ms passed");
    require!(stated + slack >= inner, "duration_ms is {stated}, but chunks came for {inner} ms");
    Ok(())
}
