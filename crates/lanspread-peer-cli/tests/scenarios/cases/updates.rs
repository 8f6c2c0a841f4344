//! Updates of a game, repair of a broken copy, and a full disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use lanspread_api::event::{Repair, Totals, VerifyFinished};
use lanspread_api::reply::{Availability, OperationKind};
use lanspread_api::{ErrorCode, Event, ReplyData, Request};

use super::flow::{
    CHUNK, KIB, MIB, await_finished, await_installed, await_operation, require_committed_once,
    require_goes_on, require_no_failure, require_same_game,
};
use super::streaming::await_middle;
use crate::figures;
use crate::games::{CatalogFile, Content, Game, Seeded};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{
    Body, EVERYWHERE, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq,
};
use crate::small_disk::SmallDisk;
use crate::transfer::{Piece, Transfer, pieces_of};
use crate::wait::{eventually, seen_if};

const NEW: &str = "20250202";

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S50",
        title: "update keeps the old copy",
        claim: "The old version stays downloaded, servable and playable until the new one is committed, through a cancel and a SIGKILL; then the new one is installed and the user's files are still there",
        setup: "client has version 1 installed, with a save of its own; the only source of version 2 sends slowly; the update is cancelled, then killed, each with chunks there and chunks missing; while it runs a third peer whose catalogue wants version 1 fetches it from the client",
        expected: "root files and `local/` keep their hashes until the end; the third peer has version 1 byte for byte while the update still runs; after the cancel and after the kill `play` finds it; then root files equal version 2, `local/` has the new payload and the old save, `installed_version` is version 2",
        sabotages: &[
            Sabotage::new(
                "commit-early",
                &["in the middle of the update: the folders differ", "client committed the update with"],
            )
            .at("client"),
            Sabotage::new("update-in-place", &["in the middle of the update: the folders differ"]),
            Sabotage::new("cancel-drops-old-copy", &["after the cancel: the folders differ"]),
            Sabotage::new(
                "serve-nothing-while-updating",
                &["client does not serve its old version during the update: charlie did not finish"],
            ),
            Sabotage::new("forget-user-files", &["the save after the update"]),
            Sabotage::new("never-reinstall", &["the version that is installed after the update"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(update_keeps_the_old_copy),
    },
    Scenario {
        id: "S51",
        title: "update fetches only what changed",
        claim: "Chunks and files that the old version holds are not sent again, and what is taken over is verified",
        setup: "version 2 differs in 3 chunks of one archive, renames a file and leaves one as it is; one further chunk of the client's archive rots behind an unchanged size and time",
        expected: "over the network come exactly the 3 changed chunks, the rotten one and the sentinel; `reused_bytes` and `bytes` make up the game; manifests equal",
        sabotages: &[
            Sabotage::new("reuse-nothing", &["chunks that the old version holds were sent again"]),
            Sabotage::new("skip-reuse-verification", &["the rotten chunk of the old version was taken over"]),
            Sabotage::new("lie-about-reused-bytes", &["what was taken over and what was fetched"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(update_fetches_what_changed),
    },
    Scenario {
        id: "S55",
        title: "disk full",
        claim: "A disk that is too small or fills up is a clear failure that says how much is missing; what was there is intact, and the download goes on after room was made",
        setup: "client's library on a disk of 176 MiB, with a game in it; another game of 64 MiB is asked for with too little room, then the disk fills up in the middle, then room is made (needs root, to mount a tmpfs; left out visibly without)",
        expected: "`download-failed` with `disk-full` and `missing_bytes`, at once and in the middle; the other game keeps its hashes and each time another peer fetches it from client, byte for byte; the last attempt fetches only what was missing; manifests equal",
        sabotages: &[
            Sabotage::new("skip-space-check", &["client fetches a game for which its disk is too small"]),
            Sabotage::new("make-room-of-others", &["the other game: the folders differ"]),
            Sabotage::new("forget-incoming", &["the chunks that came twice"]),
            Sabotage::new(
                "lie-about-missing-bytes",
                &["bytes are said to be missing in the middle instead of"],
            ),
            Sabotage::new("serve-nothing", &["client does not serve the other game"]).at("client"),
        ],
        labs: &[LabKind::Local],
        body: Body::Run(disk_full),
    },
    Scenario {
        id: "S62",
        title: "verify and repair",
        claim: "`verify` finds each broken chunk, and just those are fetched from anybody; without a source it says so and nothing is lost",
        setup: "two chunks of the client's archive rot behind an unchanged size and time, a small file goes; one source. Then a chunk rots again with no source left",
        expected: "`verify-finished` lists exactly the three parts with repair `started`; exactly these are fetched, manifests equal, the game is served again; without a source repair `no-source`, the game stays downloaded, is no longer offered, and no operation is left",
        sabotages: &[
            Sabotage::new("verify-nothing", &["the parts that verify finds broken"]),
            Sabotage::new("offer-what-is-broken", &["witness no longer shows ggoo as offered"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(verify_and_repair),
    },
];

/// Returns a file of pseudo-random bytes in which some chunks differ.
fn archive(seed: u64, len: u64, chunk: u64, changed: &[u64]) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    Seeded::new(seed, len).read_to_end(&mut bytes)?;
    for at in changed {
        let mut other = Vec::new();
        Seeded::new(seed + 1000 + at, chunk).read_to_end(&mut other)?;
        let start = usize::try_from(at * chunk)?;
        bytes[start..start + other.len()].copy_from_slice(&other);
    }
    Ok(bytes)
}

/// Flips a bit of one byte and restores the time stamp, as a decaying disk does.
///
/// Only that byte is written, because the client may scan its folder at any moment, and half a file would be another
/// fault.
fn rot(path: &Path, at: u64) -> Outcome {
    let mut file = File::options().read(true).write(true).open(path)?;
    let time = file.metadata()?.modified()?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&[byte[0] ^ 1])?;
    Ok(file.set_modified(time)?)
}

fn update_fetches_what_changed(lab: &Lab) -> Outcome {
    let changed = [3, 77, 200];
    let old = Game::new("ggoo")
        .file("ggoo.eti", Content::Bytes(archive(51, 16 * MIB, CHUNK, &[])?))
        .file("same.bin", Content::Seeded { seed: 52, len: 2 * MIB })
        .file("before.bin", Content::Seeded { seed: 53, len: MIB });
    let new = Game::new("ggoo")
        .version(NEW)
        .file("ggoo.eti", Content::Bytes(archive(51, 16 * MIB, CHUNK, &changed)?))
        .file("same.bin", Content::Seeded { seed: 52, len: 2 * MIB })
        .file("after.bin", Content::Seeded { seed: 53, len: MIB });
    let alpha = lab.peer("alpha")?.game(&old)?.start()?;
    let bravo = lab.peer("bravo")?.game(&new)?.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&alpha)?;
    client.await_offered("ggoo", 1)?;
    let first = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, first, "ggoo")?;
    require_same_game(&client, &alpha, "ggoo")?;
    rot(&client.game_dir("ggoo").join("ggoo.eti"), 100 * CHUNK + 17)?;

    client.connect(&bravo)?;
    client.await_game("ggoo", "in its new version", |g| g.eti_game_version.as_deref() == Some(NEW))?;
    let all = pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?);
    require_eq!(all.iter().map(|p| p.length).max(), Some(CHUNK), "the chunk size that the setup counts on");
    let content = bravo.await_served("ggoo")?.content_id.unwrap_or_default();
    let since = client.mark();
    client.update("ggoo", false, &content)?;
    let (_, totals) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    let fetched = changed.iter().copied().chain([100]);
    let mut expected: BTreeSet<Piece> =
        fetched.map(|at| Piece { path: "ggoo.eti".to_owned(), offset: at * CHUNK, length: CHUNK }).collect();
    expected.insert(Piece { path: "version.ini".to_owned(), offset: 0, length: 8 });
    let again = transfer.pieces().difference(&expected).filter(|piece| all.contains(*piece)).count();
    require!(again == 0, "{again} chunks that the old version holds were sent again");
    let rotten = Piece { path: "ggoo.eti".to_owned(), offset: 100 * CHUNK, length: CHUNK };
    require!(transfer.pieces().contains(&rotten), "the rotten chunk of the old version was taken over");
    transfer.require_exactly(&expected)?;
    transfer.require_totals(&totals)?;
    let game_bytes: u64 = all.iter().map(|p| p.length).sum();
    require_eq!(totals.reused_bytes + totals.bytes, game_bytes, "what was taken over and what was fetched");
    figures::note(
        "S51",
        format!(
            "{} of {game_bytes} bytes came over the network, {} from the old version",
            totals.bytes, totals.reused_bytes
        ),
    );
    require_same_game(&client, &bravo, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

fn update_keeps_the_old_copy(lab: &Lab) -> Outcome {
    let old = Game::packed("ggoo", &[("bin/game.exe", 1, 300 * KIB), ("data/level.dat", 2, 4 * MIB)]);
    let new =
        Game::packed("ggoo", &[("bin/game.exe", 3, 300 * KIB), ("data/other.dat", 4, 24 * MIB)]).version(NEW);
    // Only the client has the old version.
    let client = lab.peer("client")?.game(&old)?.start()?;
    client.await_served("ggoo")?;
    let first = client.mark();
    client.ask(&Request::Install { game_id: game_id("ggoo")?, max_unpacked_bytes: None })?;
    await_installed(&client, first, "ggoo")?;
    client.await_idle()?;
    let save = client.game_dir("ggoo").join("local/saves/one.sav");
    std::fs::create_dir_all(client.game_dir("ggoo").join("local/saves"))?;
    std::fs::write(&save, b"played for hours")?;
    let before = Manifest::of(&client.game_dir("ggoo"))?;
    let unchanged = |when: &str| -> Outcome {
        Manifest::of(&client.game_dir("ggoo"))?.require_equal(&before, when)?;
        let info = client.game("ggoo")?;
        let shown = info.as_ref().is_some_and(|g| {
            g.downloaded && g.installed && g.local_version == g.installed_version && g.local_version.is_some()
        });
        require!(shown, "{when}: {info:?}");
        Ok(())
    };

    let bravo = lab.peer("bravo")?.game(&new)?.arg("--upload-limit").arg("2000000").start()?;
    client.connect(&bravo)?;
    client.await_game("ggoo", "in its new version", |g| g.eti_game_version.as_deref() == Some(NEW))?;
    let all = pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?);
    let content = bravo.await_served("ggoo")?.content_id.unwrap_or_default();
    let begin = |client: &Peer, chunks: usize| -> Outcome<Mark> {
        let since = client.mark();
        client.update("ggoo", true, &content)?;
        await_chunks_or_end(client, since, "ggoo", chunks)?;
        let finished = |event: &Event| matches!(event, Event::DownloadFinished { .. }).then_some(());
        if client.find_event(since, finished).is_some() {
            unchanged("in the middle of the update")?;
            let had = Transfer::since(client, since, "ggoo").0.len();
            fail!("client committed the update with {had} of {} chunks", all.len());
        }
        await_operation(client, "ggoo", OperationKind::Downloading)?;
        Ok(since)
    };
    let since = begin(&client, 16)?;
    unchanged("in the middle of the update")?;
    let charlie = lab.peer("charlie")?.catalog(&CatalogFile::of(&[&old]))?.start()?;
    charlie.connect(&client)?;
    charlie.await_offered("ggoo", 1)?;
    let fetching = charlie.mark();
    charlie.download("ggoo", false)?;
    let served = await_finished(&charlie, fetching, "ggoo").map(drop);
    served
        .map_err(|e| Failure(format!("client does not serve its old version during the update: {}", e.0)))?;
    await_operation(&client, "ggoo", OperationKind::Downloading)?;
    require_same_game(&charlie, &client, "ggoo")?;
    client.ask(&Request::CancelDownload { game_id: game_id("ggoo")? })?;
    client.await_event(since, "download-cancelled", |event| match event {
        Event::DownloadCancelled { game_id, .. } if game_id == "ggoo" => Some(()),
        _ => None,
    })?;
    unchanged("after the cancel")?;
    require_playable(&client)?;
    require_no_failure(&client, since, "ggoo")?;

    let since = begin(&client, 16)?;
    client.kill();
    let had = Transfer::since(&client, since, "ggoo").0.len();
    require!(had < all.len(), "the kill came with {had} of {} chunks there", all.len());
    client.restart()?;
    client.await_served("ggoo")?;
    unchanged("after the kill")?;
    require_playable(&client)?;

    bravo.ask(&Request::SetLimits { upload: None, download: None })?;
    client.connect(&bravo)?;
    client.await_game("ggoo", "in its new version", |g| g.eti_game_version.as_deref() == Some(NEW))?;
    let since = client.mark();
    client.update("ggoo", true, &content)?;
    await_finished(&client, since, "ggoo")?;
    // The install takes over from the download without a pause, so an idle client has installed or will not.
    client.await_idle()?;
    let installed = client.game("ggoo")?.and_then(|g| g.installed_version);
    require_eq!(installed.as_deref(), Some(NEW), "the version that is installed after the update");
    await_installed(&client, since, "ggoo")?;
    require_same_game(&client, &bravo, "ggoo")?;
    let kept = std::fs::read(&save).ok();
    require_eq!(kept.as_deref(), Some(&b"played for hours"[..]), "the save after the update");
    let reference = lab.peer("reference")?.start()?;
    reference.connect(&bravo)?;
    reference.await_offered("ggoo", 1)?;
    let fresh = reference.mark();
    reference.download("ggoo", true)?;
    await_installed(&reference, fresh, "ggoo")?;
    let mut installed = Manifest::of(&client.game_dir("ggoo").join("local"))?;
    installed.0.remove("saves/one.sav");
    let expected = Manifest::of(&reference.game_dir("ggoo").join("local"))?;
    installed.require_equal(&expected, "what is installed, without the save")
}

/// Waits until this many chunks of the game have arrived since the mark, or its download has ended.
fn await_chunks_or_end(peer: &Peer, since: Mark, game: &str, count: usize) -> Outcome {
    eventually(&format!("{} has {count} chunks of {game}", peer.name()), || {
        let ended = |event: &Event| match event {
            Event::DownloadFinished { game_id, .. } | Event::DownloadFailed { game_id, .. } => {
                (game_id == game).then_some(())
            }
            _ => None,
        };
        let had = Transfer::since(peer, since, game).0.len();
        let enough = had >= count || peer.find_event(since, ended).is_some();
        Ok(seen_if(enough, || format!("{had} chunks")))
    })
}

/// Requires that `play` finds the installed game and has nothing to write into it.
fn require_playable(client: &Peer) -> Outcome {
    let play = Request::Play {
        game_id: game_id("ggoo")?,
        user_name: None,
        language: None,
        launch: false,
        confirm_content: None,
    };
    match client.ask(&play)? {
        ReplyData::Play(played) if played.wrote.is_empty() => Ok(()),
        other => fail!("play answered {other:?}"),
    }
}

/// Waits until a download fails because the disk is full, `at_once` before its first chunk. Returns the number of
/// missing bytes.
fn await_disk_full(peer: &Peer, since: Mark, game: &str, at_once: bool) -> Outcome<u64> {
    let (_, failed) = peer.await_event(since, "the failure of the download", |event| match event {
        Event::DownloadFailed { game_id, code, missing_bytes, .. } if game_id == game => {
            Some(Some((*code, *missing_bytes)))
        }
        Event::DownloadFinished { game_id, .. } if game_id == game => Some(None),
        Event::DownloadChunkFinished { game_id, .. } if game_id == game && at_once => Some(None),
        _ => None,
    })?;
    match failed {
        Some((ErrorCode::DiskFull, Some(missing))) => Ok(missing),
        Some(other) => fail!("the download failed with {other:?}"),
        None => fail!("{} fetches a game for which its disk is too small", peer.name()),
    }
}

/// Requires that another peer, which knows only this one, gets the game from it byte for byte.
fn require_really_served(lab: &Lab, source: &Peer, game: &str, to: &str) -> Outcome {
    let taker = lab.peer(to)?.start()?;
    taker.connect(source)?;
    taker.await_offered(game, 1)?;
    let since = taker.mark();
    taker.download(game, false)?;
    await_finished(&taker, since, game)
        .map(drop)
        .map_err(|e| Failure(format!("{} does not serve the other game: {}", source.name(), e.0)))?;
    Transfer::since(&taker, since, game).require_sources(&[source])?;
    require_same_game(&taker, source, game)
}

fn disk_full(lab: &Lab) -> Outcome {
    /// Space that the product always leaves free.
    const RESERVE: u64 = 64 * MIB;
    let (other, game) = (Game::blob("other", 54, 4 * MIB), Game::blob("ggoo", 55, 64 * MIB));
    let source = lab.peer("source")?.game(&game)?.start()?;
    let spec = lab.peer("client")?;
    let disk = SmallDisk::mount(&spec.games_dir(), 176 * MIB)?;
    let client = spec.game(&other)?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    client.await_served("other")?;
    let before = Manifest::of(&client.game_dir("other"))?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let bytes: u64 = all.iter().map(|p| p.length).sum();
    let untouched = |taker: &str| -> Outcome {
        Manifest::of(&client.game_dir("other"))?.require_equal(&before, "the other game")?;
        let info = client.game("other")?;
        let ready = info.as_ref().is_some_and(|g| g.availability == Availability::Ready);
        require!(ready, "client does not show the other game as ready: {info:?}");
        client.await_idle()?;
        require_really_served(lab, &client, "other", taker)
    };

    disk.leave_free(100 * MIB)?;
    let free = disk.free()?;
    let since = client.mark();
    client.download("ggoo", false)?;
    let missing = await_disk_full(&client, since, "ggoo", true)?;
    let expected = bytes + RESERVE - free;
    require!(
        missing.abs_diff(expected) <= MIB,
        "{missing} bytes are said to be missing at the start instead of {expected}"
    );
    require!(Transfer::since(&client, since, "ggoo").0.is_empty(), "something was fetched in spite of that");
    untouched("taker-at-the-start")?;

    disk.make_room()?;
    source.ask(&Request::SetLimits { upload: Some(16_000_000), download: None })?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_middle(&client, since, "ggoo", &all, 64)?;
    // The disk fills up in a single moment for the client, because the missing bytes depend on how full the disk was
    // when it noticed.
    client.frozen(|| disk.leave_free(8 * MIB))?;
    let missing = await_disk_full(&client, since, "ggoo", false)?;
    let first = Transfer::since(&client, since, "ggoo");
    untouched("taker-in-the-middle")?;
    let free = disk.free()?;

    disk.make_room()?;
    source.ask(&Request::SetLimits { upload: None, download: None })?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    let (had, again) = require_goes_on(&client, since, "ggoo", &first, &all)?;
    require_eq!(again, 0, "the chunks that came twice");
    require!(had < bytes, "the disk was full too late");
    let expected = (bytes - had + RESERVE).saturating_sub(free);
    require!(
        missing.abs_diff(expected) <= 4 * MIB,
        "{missing} bytes are said to be missing in the middle instead of {expected}"
    );
    figures::note("S55", format!("{} of {} MiB were there when the disk was full", had / MIB, bytes / MIB));
    require_same_game(&client, &source, "ggoo")?;
    untouched("taker-at-the-end")
}

fn await_verdict(peer: &Peer, since: Mark, game: &str) -> Outcome<VerifyFinished> {
    let (_, verdict) = peer.await_event(since, "the end of the verification", |event| match event {
        Event::VerifyFinished(v) if v.game_id == game => Some(v.clone()),
        _ => None,
    })?;
    Ok(verdict)
}

fn verify_and_repair(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 60, 8 * MIB)
        .file("readme.txt", Content::Bytes(b"read me".to_vec()))
        .file("whole.bin", Content::Seeded { seed: 61, len: MIB });
    let source = lab.peer("source")?.game(&game)?.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, since, "ggoo")?;
    require_same_game(&client, &source, "ggoo")?;
    let verify =
        || Ok::<_, crate::scenario::Failure>(Request::Verify { game_id: game_id("ggoo")?, repair: true });

    let since = client.mark();
    client.ask(&verify()?)?;
    let whole = await_verdict(&client, since, "ggoo")?;
    require_eq!((whole.broken_count, whole.repair), (0, Repair::NotNeeded), "the verdict on a whole game");

    let archive = client.game_dir("ggoo").join("ggoo.eti");
    rot(&archive, 5 * CHUNK)?;
    rot(&archive, 90 * CHUNK + CHUNK - 1)?;
    std::fs::remove_file(client.game_dir("ggoo").join("readme.txt"))?;
    let piece = |path: &str, offset, length| Piece { path: path.to_owned(), offset, length };
    let expected = BTreeSet::from([
        piece("ggoo.eti", 5 * CHUNK, CHUNK),
        piece("ggoo.eti", 90 * CHUNK, CHUNK),
        piece("readme.txt", 0, 7),
    ]);
    let since = client.mark();
    client.ask(&verify()?)?;
    let verdict = await_verdict(&client, since, "ggoo")?;
    let found: BTreeSet<Piece> = verdict.broken.iter().map(|b| piece(&b.path, b.offset, b.length)).collect();
    require_eq!(found, expected, "the parts that verify finds broken");
    require_eq!((verdict.broken_count, verdict.repair), (3, Repair::Started), "the verdict");
    let (_, totals): (Mark, Totals) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    // The rename of the sentinel is the commit, so its eight bytes are always written again, from the old copy.
    transfer.require_exactly(&expected)?;
    transfer.require_totals(&totals)?;
    require_same_game(&client, &source, "ggoo")?;
    client.await_served("ggoo")?;
    source.await_offered("ggoo", 1)?;

    source.kill();
    client.await_peers(&[])?;
    let witness = lab.peer("witness")?.start()?;
    witness.connect(&client)?;
    witness.await_offered("ggoo", 1)?;
    rot(&archive, 7 * CHUNK)?;
    let before = Manifest::of(&client.game_dir("ggoo"))?;
    let since = client.mark();
    client.ask(&verify()?)?;
    let verdict = await_verdict(&client, since, "ggoo")?;
    require_eq!(
        (verdict.broken_count, verdict.repair),
        (1, Repair::NoSource),
        "the verdict with nobody there"
    );
    client.await_idle()?;
    witness.await_withdrawn("ggoo")?;
    Manifest::of(&client.game_dir("ggoo"))?.require_equal(&before, "the copy that cannot be repaired")?;
    let kept = client.game("ggoo")?.is_some_and(|g| g.downloaded);
    require!(kept, "a copy that cannot be repaired no longer shows as downloaded");
    require_no_failure(&client, since, "ggoo")
}
