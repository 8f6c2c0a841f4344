//! A receiver that is killed again and again, at moments that a seed of randomness decides.

use std::collections::BTreeSet;
use std::time::Duration;

use lanspread_api::{Event, Request};

use super::flow::{CHUNK, KIB, MIB, await_chunks, require_same_game};
use crate::figures;
use crate::games::{Game, payload_manifest};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{Body, EVERYWHERE, LabKind, Outcome, Sabotage, Scenario, require, require_eq};
use crate::transfer::{Piece, Transfer, pieces_of};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S61",
    title: "twelve kills",
    claim: "However often the receiver is killed, in mid-download and in mid-install, it ends with the whole game, fetches at most what was in flight again, hashes nothing again, and shows no half game",
    setup: "one source, 32 MiB of one archive with 40 files; the client is SIGKILLed 12 times, each after a number of chunks or of install steps that the seed decides, and told to download again after each start; before that, once with half of another game of 32 MiB there",
    expected: "before and after every start the game's folder is absent or complete, and so is `local/`; at most 32 chunks that were reported come again per kill; neither client ever prints `index-progress`; with 16 MiB there, less than 4 MiB are read until the download goes on (not in containers); root files and `local/` equal in the end",
    sabotages: &[
        Sabotage::new("duplicate-event", &["of the bytes that had arrived were there after the kill"]),
        Sabotage::new("forget-incoming", &["chunks came a second time"]).at("client"),
        Sabotage::new("restart-from-zero", &["chunks came a second time"]),
        Sabotage::new("hash-again", &["bytes were read before the download went on"]),
        Sabotage::new("forget-index", &["client printed hashing of its own files"]).at("client"),
        Sabotage::new("commit-install-early", &["an install that shows after a kill: the folders differ"]),
    ],
    labs: EVERYWHERE,
    body: Body::Run(twelve_kills),
}];

const SEED: u64 = 61;
const KILLS: u64 = 12;
/// Most chunks that may come again after a kill: those in flight, whether reported in the last moment or not.
const REFETCHED_MAX: usize = 32;

/// Returns a random number below `below`, by SplitMix64 (Steele, Lea, Flood 2014).
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % below
}

/// Results of the kills.
#[derive(Default)]
struct Tally {
    in_download: u64,
    in_install: u64,
    /// Bytes that came a second time, for each kill.
    refetched: Vec<u64>,
}

/// Returns a number from an environment variable: `LANSPREAD_KILLS` sets the number of kills, `LANSPREAD_KILL_SEED`
/// their moments.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn twelve_kills(lab: &Lab) -> Outcome {
    let (seed, kills) = (setting("LANSPREAD_KILL_SEED", SEED), setting("LANSPREAD_KILLS", KILLS));
    let files: Vec<(String, u64, u64)> =
        (0..40).map(|n| (format!("data/{n}.bin"), n, 32 * MIB / 40 - KIB * n)).collect();
    let files: Vec<(&str, u64, u64)> = files.iter().map(|(p, seed, len)| (p.as_str(), *seed, *len)).collect();
    let game = Game::packed("ggoo", &files);
    let half = Game::blob("half", 61, 32 * MIB);
    let source = lab.peer("source")?.game(&game)?.game(&half)?.start()?;
    let upload = |limit| source.ask(&Request::SetLimits { upload: limit, download: None });
    let read_at_start = a_start_reads_nothing_again(lab, &source)?;
    upload(Some(24_000_000))?;
    let reference = payload_manifest(lab, &files)?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let client = lab.peer("client")?.start()?;
    let (mut state, mut tally) = (seed, Tally::default());
    let mut known: BTreeSet<Piece> = BTreeSet::new();
    for kill in 0..kills {
        let install = kill % 2 == 1 || client.game_dir("ggoo").join("version.ini").exists();
        let since = begin(&client, &source, install)?;
        let after = 1 + random(&mut state, all.len() as u64 / 4);
        let installing = await_some(&client, since, after as usize)?;
        // The moment is an input of the test, so this sleep does not wait for a state.
        std::thread::sleep(Duration::from_micros(random(&mut state, 40_000)));
        client.kill();
        if installing {
            tally.in_install += 1;
        } else {
            tally.in_download += 1;
        }
        let reported = Transfer::since(&client, since, "ggoo").0.into_iter().map(|(piece, _)| piece);
        let (again, new): (Vec<Piece>, Vec<Piece>) = reported.partition(|p| known.contains(p));
        require!(again.len() <= REFETCHED_MAX, "kill {kill}: {} chunks came a second time", again.len());
        tally.refetched.push(again.iter().map(|p| p.length).sum());
        known.extend(new);
        require_whole_or_absent(&client, &source, &reference)?;
        if client.game_dir("ggoo").join("local").exists() || (installing && random(&mut state, 4) == 0) {
            // One round is complete. The next kills start without the game again.
            std::fs::remove_dir_all(client.game_dir("ggoo"))?;
            known.clear();
        }
        client.restart()?;
        require_whole_or_absent(&client, &source, &reference)?;
        require_no_hashing(&client)?;
    }
    let since = begin(&client, &source, true)?;
    client.await_event(since, "install-finished", |event| match event {
        Event::InstallFinished { game_id } if game_id == "ggoo" => Some(()),
        _ => None,
    })?;
    require_no_hashing(&client)?;
    require_same_game(&client, &source, "ggoo")?;
    Manifest::of(&client.game_dir("ggoo").join("local"))?.require_equal(&reference, "what is installed")?;
    require!(tally.in_download > 0 && tally.in_install > 0, "the kills did not come into both parts");
    tally.refetched.sort_unstable();
    let (median, max) = (tally.refetched[tally.refetched.len() / 2], tally.refetched.last().copied());
    figures::note(
        "S61",
        format!(
            "seed {seed}: {} kills in the download and {} in the install; bytes fetched again per kill: median {median}, \
             most {}; {read_at_start} bytes read at a start; no half game seen",
            tally.in_download,
            tally.in_install,
            max.unwrap_or_default()
        ),
    );
    require_eq!(tally.in_download + tally.in_install, kills, "kills");
    Ok(())
}

/// Most bytes that a start may read before the download continues: settings, journals and system files.
const READ_AT_START_MAX: u64 = 4 * MIB;

/// Kills a client that has half of a game and starts it again. Returns the bytes that the process read until the
/// download continued.
///
/// If the client hashed that half again, it would show in this number.
fn a_start_reads_nothing_again(lab: &Lab, source: &Peer) -> Outcome<u64> {
    source.ask(&Request::SetLimits { upload: Some(8_000_000), download: None })?;
    let client = lab.peer("halfway")?.start()?;
    client.connect(source)?;
    client.await_offered("half", 1)?;
    let since = client.mark();
    client.download("half", false)?;
    await_chunks(&client, since, "half", (16 * MIB / CHUNK) as usize)?;
    client.kill();
    client.restart()?;
    client.connect(source)?;
    client.await_offered("half", 1)?;
    let since = client.mark();
    client.download("half", false)?;
    let (_, (had, total)) = client.await_event(since, "download-begin", |event| match event {
        Event::DownloadBegin { had_bytes, total_bytes, .. } => Some((*had_bytes, *total_bytes)),
        _ => None,
    })?;
    require!(had >= 16 * MIB, "only {had} of the bytes that had arrived were there after the kill");
    require!(had < total, "all {total} bytes were there, which proves nothing");
    // In a container the process is a child of the engine.
    let read = client.bytes_read().filter(|_| lab.kind() != LabKind::Container).unwrap_or_default();
    // Bytes from the source were read from a socket, not from files.
    let read = read.saturating_sub(Transfer::since(&client, since, "half").bytes());
    require!(read < READ_AT_START_MAX, "{read} bytes were read before the download went on");
    require_no_hashing(&client)?;
    client.kill();
    Ok(read)
}

/// Requires that the client has hashed nothing of its own since its first start, with an empty library.
///
/// A start hashes after `local-peer-ready`, at its own time, so the check covers the whole log each time.
fn require_no_hashing(client: &Peer) -> Outcome {
    client.require_none(Mark(0), "hashing of its own files", |e| matches!(e, Event::IndexProgress { .. }))
}

/// Connects the client and tells it to download and perhaps install the game, whatever it already has.
fn begin(client: &Peer, source: &Peer, install: bool) -> Outcome<Mark> {
    client.connect(source)?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    let request =
        Request::Download { game_id: crate::peer::game_id("ggoo")?, install, confirm_content: None };
    client.ask(&request)?;
    Ok(since)
}

/// Waits until `count` chunks or install steps were reported. Returns whether the install has begun.
fn await_some(client: &Peer, since: Mark, count: usize) -> Outcome<bool> {
    eventually("the client has made some progress", || {
        let events = client.events_since(since);
        let steps = events
            .iter()
            .filter(|e| {
                matches!(
                    e,
                    Event::DownloadChunkFinished { .. }
                        | Event::InstallBegin { .. }
                        | Event::InstallProgress { .. }
                        | Event::InstallFinished { .. }
                )
            })
            .count();
        let installing = events.iter().any(|e| matches!(e, Event::InstallBegin { .. }));
        let over = events.iter().any(|e| matches!(e, Event::DownloadFinished { .. }));
        Ok(if steps >= count || over || installing { Ok(installing) } else { Err(format!("{steps} steps")) })
    })
}

/// Requires that the game is absent or complete, and that the same holds for its install.
fn require_whole_or_absent(client: &Peer, source: &Peer, installed: &Manifest) -> Outcome {
    let folder = client.game_dir("ggoo");
    if !folder.exists() {
        return Ok(());
    }
    let (files, whole) = (Manifest::root_files(&folder)?, Manifest::root_files(&source.game_dir("ggoo"))?);
    // The sentinel marks a complete game. Before it is there, a commit may have moved some of the files.
    if folder.join("version.ini").exists() {
        files.require_equal(&whole, "a game that shows after a kill")?;
    }
    if client.is_running() {
        require!(
            files.0.is_empty() || files.0.contains_key("version.ini"),
            "half a game after a start: {files:?}"
        );
    }
    let local = folder.join("local");
    if local.exists() {
        Manifest::of(&local)?.require_equal(installed, "an install that shows after a kill")?;
    }
    Ok(())
}
