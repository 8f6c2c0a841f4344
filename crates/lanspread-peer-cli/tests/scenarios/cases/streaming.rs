//! Games that are unpacked while they arrive: streamed installs, which keep nothing else, and downloads with install.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lanspread_api::event::RejectCode;
use lanspread_api::reply::{Availability, OperationKind};
use lanspread_api::{ErrorCode, Event, ReplyData, Request};

use super::flow::{
    MIB, await_chunks, await_finished, await_installed, await_operation, require_committed_once,
    require_no_trace, require_same_game,
};
use super::sources::damage;
use crate::figures;
use crate::games::{Content, Game, damage_byte, fixture_game, fixture_payload, payload_manifest};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::{Piece, Transfer, chunk_bytes, pieces_of};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S39",
        title: "streamed install",
        claim: "`stream-install` installs a game without storing its archive",
        setup: "client ← bravo: `cnctw` of the fixture, and a generated game of 48 MiB (1536 chunks); the client's library is watched all the time",
        expected: "`install-finished`; installed, not downloaded, `LocalOnly`; no archive and no sentinel at any moment, the window below `.lanspread/` never larger than 128 chunks, and less than one beside it; payload hashes equal, exactly the archive's chunks were fetched; nothing of it left below `.lanspread/`, no outbound transfer at the source",
        sabotages: &[
            Sabotage::new("stream-keeps-archive", &["client keeps files of cnctw beside local/"]),
            Sabotage::new("stream-writes-sentinel", &["client keeps files of cnctw beside local/"]),
            Sabotage::new(
                "stream-archive-for-a-moment",
                &["an archive or a sentinel was there for a moment"],
            ),
            Sabotage::new(
                "unpack-flip-byte",
                &["local/ of cnctw at client against the payload: the folders differ"],
            ),
            Sabotage::new("leak-transfer", &["bravo sends nothing"]),
            Sabotage::new("stream-drops-nothing", &["the window had"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(streamed_install),
    },
    Scenario {
        id: "S40",
        title: "a streamed copy is no source",
        claim: "A game that was installed by streaming is not offered to others, not even after a restart",
        setup: "client has streamed a game from bravo, who advertises it; a third peer is connected to the client alone",
        expected: "the third peer sees no game at the client; its download is refused with `no-source`, nothing of it arrives; the same after the client was restarted",
        sabotages: &[
            Sabotage::new("offer-streamed", &["the client offers its streamed copy"]),
            Sabotage::new(
                "stream-writes-sentinel",
                &["the client counts its streamed copy as downloaded", "the client offers its streamed copy"],
            ),
            Sabotage::new("lie-about-count", &["printed an offer, be it for a moment"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(streamed_copy_is_no_source),
    },
    Scenario {
        id: "S41",
        title: "solid archive",
        claim: "A solid archive is installed byte for byte, whether streamed or downloaded first",
        setup: "the fixture's `cnctw`, whose main header says solid; one client streams it, one downloads it, uninstalls it and installs it again",
        expected: "all have under `local/` what another unpacker found, to the byte",
        sabotages: &[
            Sabotage::new("forget-solid-window", &["streams did not install"]),
            Sabotage::new(
                "unpack-flip-byte",
                &["local/ of cnctw at streams against the payload: the folders differ"],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(solid_archive),
    },
    Scenario {
        id: "S42",
        title: "streamed install outlives a source",
        claim: "A streamed install goes on from another source when one is killed, and when one cannot serve because its disk has rotted",
        setup: "two sources, 48 MiB, 8 MiB/s each; one is SIGKILLed after both have served and before the end; then another client, for which one of two sources has a flipped byte in every chunk behind an unchanged size and time stamp",
        expected: "both have served before the kill and the survivor serves after it; `install-finished`, no failure; hashes equal, nothing left below `.lanspread/`; the rotten source is rejected once, with `corrupt-chunk`, and not one chunk of it is taken",
        sabotages: &[
            Sabotage::new(
                "one-source-only",
                &["the survivor served nothing after the kill", "client prints a chunk from the survivor"],
            ),
            Sabotage::new("forget-in-flight", &["the end of the install from the survivor"]),
            Sabotage::new(
                "skip-retry",
                &[
                    "client gave up the install, although the survivor was there",
                    "the survivor served nothing after the kill",
                ],
            ),
            Sabotage::new(
                "skip-verification",
                &[
                    "chunks that were taken from the rotten source",
                    "how often and why the rotten source was rejected",
                ],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(streamed_outlives_a_source),
    },
    Scenario {
        id: "S43",
        title: "streamed install over an installed game",
        claim: "A streamed install of a game that is installed or downloaded is refused",
        setup: "client has the game installed, with a save game of its own in it, once downloaded and once streamed; a third game is downloaded only",
        expected: "refused with `already-installed`, `already-downloaded` for the third; no event of an operation; every file has the same hash as before",
        sabotages: &[
            Sabotage::new("stream-over-installed", &["client streams over the game streamed"]),
            Sabotage::new("stream-over-downloaded", &["client streams over the game kept"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(streamed_over_installed),
    },
    Scenario {
        id: "S45",
        title: "sender or receiver lost in mid-stream",
        claim: "A streamed install that cannot go on is rolled back whole, and can be done again",
        setup: "48 MiB at 8 MiB/s: the only source is SIGKILLed in the middle; then, started again, the receiver is; then the archive is damaged inside its last entry before it is indexed",
        expected: "`download-peers-gone`, then, no sooner than 15 s later, `download-failed` with `sources-gone`; after a restart no trace; with the damaged archive `install-failed` with `bad-archive`; each time no folder of the game and nothing of it below `.lanspread/`; a retry then succeeds, hashes equal",
        sabotages: &[
            Sabotage::new(
                "leave-staging",
                &["client keeps files below .lanspread/staging after it lost its source"],
            ),
            Sabotage::new(
                "leave-spool",
                &["client keeps files below .lanspread/tmp after it lost its source"],
            ),
            Sabotage::new("commit-install-early", &["client installed a game that it had not got whole"]),
            Sabotage::new("skip-archive-checksum", &["client installed a damaged archive"]),
            Sabotage::new(
                "recover-nothing",
                &["client keeps files below .lanspread/staging after its restart"],
            ),
            Sabotage::new("give-up-at-once", &["client gave up too soon after it lost its source"]),
            Sabotage::new("skip-retry", &["client gave up too soon after it lost its source"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(lost_in_mid_stream),
    },
    Scenario {
        id: "S46",
        title: "receiver cancels",
        claim: "Cancelling frees the sender, does not count as a failure and leaves no partial install",
        setup: "48 MiB at 8 MiB/s; `cancel-download` with chunks there and others missing: by client while it downloads with its install, then by quitter while it streams; both are done again, and at the end the sender leaves",
        expected: "`download-cancelled`, neither `download-failed` nor `install-failed` until the sender has left; the sender's outbound transfers back to none; no folder of the game, nothing unpacked below `.lanspread/`, at once and when the other one has been served; both succeed afterwards, the download fetching only what was missing",
        sabotages: &[
            Sabotage::new("cancel-is-failure", &["client calls its cancel a failure"]),
            Sabotage::new("cancel-fails-later", &["printed a failure long after its cancel"]),
            Sabotage::new("cancel-keeps-sending", &["bravo sends nothing"]),
            Sabotage::new("leave-staging", &["keeps files below .lanspread/staging after its cancel"]),
            Sabotage::new(
                "restart-from-zero",
                &[
                    "the chunks before and after the cancel, each once",
                    "what was there and what was fetched then",
                ],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(receiver_cancels),
    },
    Scenario {
        id: "S47",
        title: "several archives",
        claim: "Archives unpack in sorted order, the later one wins, streamed and not",
        setup: "the fixture's `cnctw` of two archives with two files in common; one client streams it, one downloads it, uninstalls it and installs it again",
        expected: "all have under `local/` what another unpacker found; streamed, there is nothing beside `local/`",
        sabotages: &[
            Sabotage::new(
                "unpack-unsorted",
                &["local/ of cnctw at streams against the payload: the folders differ"],
            ),
            Sabotage::new(
                "install-unsorted",
                &["local/ of the install afterwards against the reference: the folders differ"],
            ),
            Sabotage::new(
                "stream-first-archive-only",
                &["local/ of cnctw at streams against the payload: the folders differ"],
            ),
            Sabotage::new("stream-keeps-root-files", &["streams keeps files of cnctw beside local/"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(several_archives),
    },
    Scenario {
        id: "S60",
        title: "install while downloading",
        claim: "A download is unpacked while it arrives, and shown only when it is complete",
        setup: "48 MiB at 8 MiB/s, download with install",
        expected: "`download-progress` says that archive bytes are unpacked before the download is complete; until `download-finished` no `local/`; then `install-begin` and `install-finished` in this order; at the end, archive and payload equal",
        sabotages: &[
            Sabotage::new(
                "unpack-after-download",
                &["client had unpacked nothing when its download was complete"],
            ),
            Sabotage::new(
                "commit-install-early",
                &["client has a folder of ggoo, which was never committed"],
            ),
            Sabotage::new("unpack-flip-byte", &["local/ against the payload: the folders differ"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(install_while_downloading),
    },
];

/// Rate of a source in scenarios that are interrupted in the middle, in bytes per second.
const SLOW: u64 = 8 * MIB;
/// Longest time that a download waits for a source to return, with some margin.
const STARVED: Duration = Duration::from_secs(60);
/// A download that fails sooner has not waited for its source.
const PATIENCE_MIN: Duration = Duration::from_secs(15);
/// Most bytes of files other than the window in the folder for temporary files.
const RECORDS_MAX: u64 = 64 << 10;
/// Most chunks that a streamed install keeps.
const WINDOW_CHUNKS: u64 = 128;

const PAYLOAD: &[(&str, u64, u64)] = &[
    ("data/first.bin", 391, 20 * MIB),
    ("data/second.bin", 392, 20 * MIB + 4321),
    ("readme.txt", 393, 100_000),
    ("data/third.bin", 394, 8 * MIB - 1),
];

fn large() -> Game {
    Game::packed("ggoo", PAYLOAD).file("manual.txt", Content::Seeded { seed: 39, len: 200_000 })
}

/// Starts a peer with one game and an upload limit.
fn source(lab: &Lab, name: &str, game: &Game, bytes_per_second: Option<u64>) -> Outcome<Peer> {
    let peer = lab.peer(name)?.game(game)?.start()?;
    peer.await_served(&game.id)?;
    peer.ask(&Request::SetLimits { upload: bytes_per_second, download: None })?;
    Ok(peer)
}

fn client_of(lab: &Lab, name: &str, sources: &[&Peer], game: &str) -> Outcome<Peer> {
    let client = lab.peer(name)?.start()?;
    for source in sources {
        client.connect(source)?;
    }
    client.await_offered(game, sources.len())?;
    Ok(client)
}

fn stream(peer: &Peer, game: &str) -> Outcome {
    match peer.ask(&Request::StreamInstall { game_id: game_id(game)?, max_unpacked_bytes: None })? {
        ReplyData::StreamInstall(reply) if !reply.already_there => Ok(()),
        other => fail!("stream-install of {game} answered {other:?}"),
    }
}

/// Requires that the game is installed and not downloaded, in the lists and on the disk.
fn require_only_installed(peer: &Peer, game: &str, payload: &Manifest) -> Outcome {
    peer.await_idle()?;
    // Checked before the lists: a sentinel that was left behind changes them too, and this failure names the file.
    let beside = Manifest::root_files(&peer.game_dir(game))?;
    require!(beside.0.is_empty(), "{} keeps files of {game} beside local/: {beside:?}", peer.name());
    let info = peer.await_game(game, "as here and not shared", |g| {
        g.installed && !g.downloaded && g.availability == Availability::LocalOnly
    })?;
    require_eq!(info.local_version, None, "the version that is downloaded");
    let local = Manifest::of(&peer.game_dir(game).join("local"))?;
    local.require_equal(payload, &format!("local/ of {game} at {} against the payload", peer.name()))?;
    require_nothing_of_ours(peer, "after its streamed install")
}

/// Requires that no staged, downloaded, replaced, journal or temporary file is left below `.lanspread/`. `when` is for
/// messages.
fn require_nothing_of_ours(peer: &Peer, when: &str) -> Outcome {
    let own = peer.games_dir().join(".lanspread");
    for folder in ["staging", "incoming", "trash", "journal", "tmp"] {
        let left = Manifest::of(&own.join(folder))?;
        let left: Vec<&String> = left.0.keys().filter(|file| *file != "clock").collect();
        require!(left.is_empty(), "{} keeps files below .lanspread/{folder} {when}: {left:?}", peer.name());
    }
    Ok(())
}

/// Waits until `count` of a game's chunks have arrived. Fails as soon as the download fails, or is committed without
/// all of its chunks; then the failure names the missing ones.
pub(super) fn await_middle(
    peer: &Peer,
    since: Mark,
    game: &str,
    all: &BTreeSet<Piece>,
    count: usize,
) -> Outcome {
    eventually(&format!("{} has {count} chunks of {game}", peer.name()), || {
        let ended = peer.find_event(since, |event| match event {
            Event::DownloadFinished { game_id, .. } => (game_id == game).then_some(None),
            Event::DownloadFailed { game_id, code, .. } => (game_id == game).then_some(Some(*code)),
            _ => None,
        });
        let transfer = Transfer::since(peer, since, game);
        match ended {
            Some((_, Some(code))) => fail!("{} did not finish {game}: {code:?}", peer.name()),
            Some((_, None)) => transfer.require_exactly(all)?,
            None => {}
        }
        let had = transfer.0.len();
        Ok(if had >= count { Ok(()) } else { Err(format!("{had} chunks")) })
    })
}

fn fails(event: &Event) -> bool {
    matches!(event, Event::DownloadFailed { .. } | Event::InstallFailed(_))
}

fn is_window(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "spool")
}

/// Thread that observes a library continuously.
struct Watched {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    watching: Option<JoinHandle<Seen>>,
}

/// What was observed in the library.
#[derive(Debug, Default)]
struct Seen {
    paths: BTreeSet<PathBuf>,
    /// Largest size of the window seen, in bytes.
    most_in_window: u64,
    /// Most bytes of other files in the folder for temporary files.
    most_beside_it: u64,
    most_unpacked: u64,
    looks: u64,
}

impl Watched {
    fn begin(library: PathBuf) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, counted) = (Arc::clone(&stop), Arc::clone(&looks));
        let watching = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !ended.load(Ordering::SeqCst) {
                let mut sizes = Vec::new();
                look(&library, &mut sizes);
                let below = |name: &str, counts: fn(&Path) -> bool| {
                    let folder = library.join(".lanspread").join(name);
                    let counted = |(path, _): &&(PathBuf, u64)| path.starts_with(&folder) && counts(path);
                    sizes.iter().filter(counted).map(|(_, size)| size).sum()
                };
                seen.most_in_window = seen.most_in_window.max(below("tmp", is_window));
                seen.most_beside_it = seen.most_beside_it.max(below("tmp", |path| !is_window(path)));
                seen.most_unpacked = seen.most_unpacked.max(below("staging", |_| true));
                seen.paths.extend(sizes.into_iter().map(|(path, _)| path));
                seen.looks = counted.fetch_add(1, Ordering::SeqCst) + 1;
                // A thousand scans a second are enough, and the peers need the processor.
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        Self { stop, looks, watching: Some(watching) }
    }

    fn end(mut self) -> Outcome<Seen> {
        self.stop.store(true, Ordering::SeqCst);
        let watching = self.watching.take().ok_or_else(|| Failure("watched twice".to_owned()))?;
        watching.join().map_err(|_| Failure("the watcher panicked".to_owned()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.looks.load(Ordering::SeqCst);
    }
}

/// Lists all files below a folder with their sizes. Files that disappear meanwhile are skipped.
fn look(folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => look(&entry.path(), found),
            Ok(metadata) => found.push((entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
}

fn streamed_install(lab: &Lab) -> Outcome {
    let bravo = lab.peer("bravo")?.fixture("bravo")?.game(&large().with_id("large"))?.start()?;
    bravo.await_served("cnctw")?;
    bravo.await_served("large")?;
    let client = client_of(lab, "client", &[&bravo], "large")?;

    let since = client.mark();
    stream(&client, "cnctw")?;
    await_installed(&client, since, "cnctw")?;
    require_only_installed(&client, "cnctw", &fixture_payload("bravo", "cnctw")?)?;

    // Slow enough to be observed, and many times as large as the window.
    bravo.ask(&Request::SetLimits { upload: Some(2 * SLOW), download: None })?;
    let watched = Watched::begin(client.games_dir());
    let since = client.mark();
    stream(&client, "large")?;
    await_operation(&client, "large", OperationKind::Streaming)?;
    await_installed(&client, since, "large")?;
    let seen = watched.end()?;
    require_only_installed(&client, "large", &payload_manifest(lab, PAYLOAD)?)?;
    client.require_none(since, "a failure, or the end of a download", |e| {
        fails(e) || matches!(e, Event::DownloadFinished { .. })
    })?;

    let is_archive = |path: &&PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("eti"));
    require!(seen.looks > 20 && seen.most_unpacked > 0, "the watcher has seen next to nothing: {seen:?}");
    let kept = seen.paths.iter().find(|p| is_archive(p) || p.ends_with("version.ini"));
    require!(kept.is_none(), "an archive or a sentinel was there for a moment: {kept:?}");
    let files = Manifest::root_files(&bravo.game_dir("large"))?;
    let window = WINDOW_CHUNKS * chunk_bytes(&files);
    let most = seen.most_in_window;
    require!(most > 0 && most <= window, "the window had {most} bytes of {window}");
    // Small records are written there, too, but no chunk.
    require!(seen.most_beside_it < RECORDS_MAX, "{} bytes were beside the window", seen.most_beside_it);
    figures::note(
        "S39",
        format!("window at most {} KiB of {} KiB, {} looks", most >> 10, window >> 10, seen.looks),
    );
    let mut archive = files.clone();
    archive.0.retain(|path, _| path.ends_with(".eti"));
    let all = pieces_of(&files).into_iter().filter(|piece| archive.0.contains_key(&piece.path)).collect();
    Transfer::since(&client, since, "large").require_exactly(&all)?;
    bravo.await_no_outbound()
}

fn streamed_copy_is_no_source(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), None)?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    await_installed(&client, since, "ggoo")?;
    client.await_idle()?;
    let offered =
        |event: &Event| matches!(event, Event::RemoteLibraryChanged { game_count, .. } if *game_count > 0);
    for attempt in ["right after", "after a restart"] {
        let third = lab.peer(&format!("third-{}", attempt.len()))?.start()?;
        third.connect(&client)?;
        // A connected peer may not have sent its library yet.
        third.await_event(Mark(0), "the client's library", |event| match event {
            Event::RemoteLibraryChanged { peer_id, .. } => (*peer_id == client.id()).then_some(()),
            _ => None,
        })?;
        let at_client = third.peers()?.into_iter().filter(|peer| peer.peer_id == client.id());
        let shown: usize = at_client.map(|peer| peer.games.len()).sum();
        require_eq!(shown, 0, "the client offers its streamed copy {attempt}, in games");
        third.await_peers(&[(&client, &[])])?;
        let since = third.mark();
        let request = Request::Download { game_id: game_id("ggoo")?, install: true, confirm_content: None };
        // Without a catalogue the third peer does not know the game.
        let refused = third.say(&request)?;
        let code = refused.err().map(|error| error.error.code);
        require_eq!(code, Some(ErrorCode::NoSource), "the refusal {attempt}");
        require!(Transfer::since(&third, since, "ggoo").0.is_empty(), "chunks came from a streamed copy");
        require_no_trace(&third, "ggoo")?;
        third.require_none(Mark(0), "an offer, be it for a moment", offered)?;
        third.shut_down()?;
        client.shut_down()?;
        client.restart()?;
        let info = client.await_game("ggoo", "as installed", |g| g.installed)?;
        require!(!info.downloaded, "the client counts its streamed copy as downloaded after a restart");
    }
    // A peer that was connected during the streamed install has seen no offer either.
    bravo.require_none(Mark(0), "an offer of the client, be it for a moment", offered)
}

/// Decodes the variable-length integers at the start of some bytes.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut bytes = bytes.iter();
    std::iter::from_fn(move || {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = *bytes.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    })
}

/// Returns whether the main header of a RAR 5 archive says that the archive is solid. The header holds: signature,
/// checksum, size, type, flags, size of the extra area if the flags say so, archive flags.
fn says_solid(archive: &Path) -> Outcome<bool> {
    let bytes = std::fs::read(archive)?;
    require!(bytes.starts_with(b"Rar!\x1a\x07\x01\x00"), "{} is no RAR 5 archive", archive.display());
    let header: Vec<u64> = numbers(&bytes[12..]).take(5).collect();
    require_eq!(header[1], 1, "the type of the first header");
    let archive_flags = if header[2] & 1 == 0 { header[3] } else { header[4] };
    Ok(archive_flags & 4 != 0)
}

/// Lets one client stream the fixture's `cnctw`, and another one download and install it.
fn both_ways(lab: &Lab, fixture: &str) -> Outcome<(Peer, Peer)> {
    let source = lab.peer(fixture)?.fixture(fixture)?.start()?;
    source.await_served("cnctw")?;
    let payload = fixture_payload(fixture, "cnctw")?;
    let streams = client_of(lab, "streams", &[&source], "cnctw")?;
    let since = streams.mark();
    stream(&streams, "cnctw")?;
    await_installed(&streams, since, "cnctw")?;
    require_only_installed(&streams, "cnctw", &payload)?;
    let downloads = client_of(lab, "downloads", &[&source], "cnctw")?;
    let since = downloads.mark();
    downloads.download("cnctw", true)?;
    await_installed(&downloads, since, "cnctw")?;
    let local = || Manifest::of(&downloads.game_dir("cnctw").join("local"));
    local()?.require_equal(&payload, "local/ of the download against the reference")?;
    require_same_game(&downloads, &source, "cnctw")?;

    // The first install unpacked while the game arrived. This one unpacks the archives on disk.
    let since = downloads.mark();
    downloads.await_idle()?;
    downloads.ask(&Request::Uninstall { game_id: game_id("cnctw")? })?;
    downloads.await_event(since, "uninstall-finished", |event| {
        matches!(event, Event::UninstallFinished { .. }).then_some(())
    })?;
    downloads.await_idle()?;
    require!(!downloads.game_dir("cnctw").join("local").exists(), "local/ is still there");
    downloads.ask(&Request::Install { game_id: game_id("cnctw")?, max_unpacked_bytes: None })?;
    await_installed(&downloads, since, "cnctw")?;
    local()?.require_equal(&payload, "local/ of the install afterwards against the reference")?;
    Ok((streams, downloads))
}

fn solid_archive(lab: &Lab) -> Outcome {
    let archives = archives_of("solid")?;
    require_eq!(archives.len(), 1, "the archives of the solid fixture");
    require!(says_solid(&archives[0])?, "the fixture is not solid");
    let ordinary = archives_of("bravo")?;
    require!(
        !says_solid(&ordinary[0])?,
        "the ordinary fixture is solid, so the look at the header proves nothing"
    );
    both_ways(lab, "solid").map(drop)
}

fn archives_of(fixture: &str) -> Outcome<Vec<PathBuf>> {
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(fixture_game(fixture, "cnctw"))? {
        let path = entry?.path();
        archives.extend(path.extension().is_some_and(|e| e == "eti").then_some(path));
    }
    archives.sort();
    Ok(archives)
}

fn several_archives(lab: &Lab) -> Outcome {
    require_eq!(archives_of("multi")?.len(), 2, "the archives of the fixture");
    both_ways(lab, "multi").map(drop)
}

fn streamed_outlives_a_source(lab: &Lab) -> Outcome {
    let sources = [source(lab, "alpha", &large(), Some(SLOW))?, source(lab, "bravo", &large(), Some(SLOW))?];
    let client = client_of(lab, "client", &[&sources[0], &sources[1]], "ggoo")?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    let before = await_both_or_many(&client, since, &sources)?;
    // Kill a source that has certainly served: the one that sent the first chunk.
    let first = before.0.first().map(|(_, peer)| peer.clone());
    let [one, other] = &sources;
    let (victim, survivor) = if first == Some(one.id()) { (one, other) } else { (other, one) };
    victim.kill();
    let at_kill = client.mark();
    client.require_none(since, "the end", |e| matches!(e, Event::InstallFinished { .. }))?;
    let (_, served) = client.await_event(at_kill, "a chunk from the survivor", |event| match event {
        Event::DownloadChunkFinished { peer_id, .. } => (*peer_id == survivor.id()).then_some(true),
        Event::DownloadPeersGone { .. } => Some(false),
        event if fails(event) => Some(false),
        _ => None,
    })?;
    require!(served, "the survivor served nothing after the kill");
    let (end, kind) = client.await_end(since, "the end of the install from the survivor", stream_end)?;
    require!(kind.is_ok(), "client gave up the install, although the survivor was there: {kind:?}");
    require!(end > at_kill, "the install was over before the kill");
    for source in &sources {
        let chunks = before.by_source().get(&source.id()).map_or(0, |(chunks, _)| *chunks);
        require!(chunks >= SERVED_MIN, "{} served {chunks} chunks before the kill", source.name());
    }
    client.require_none(since, "a failure", fails)?;
    require_only_installed(&client, "ggoo", &payload_manifest(lab, PAYLOAD)?)?;
    survivor.await_no_outbound()?;
    streamed_outlives_a_liar(lab, survivor)
}

/// Chunks that each source has served when one of them is killed.
const SERVED_MIN: u64 = 3;
/// A third of the large game's chunks. If only one source has served by then, the other one never will.
const MANY_CHUNKS: usize = 512;

/// Waits until both sources have served chunks, or one of them has served many. Returns the chunks.
fn await_both_or_many(client: &Peer, since: Mark, sources: &[Peer; 2]) -> Outcome<Transfer> {
    eventually(&format!("{} has chunks from both sources", client.name()), || {
        let transfer = Transfer::since(client, since, "ggoo");
        let served = transfer.by_source();
        let has_served =
            |source: &Peer| served.get(&source.id()).is_some_and(|(chunks, _)| *chunks >= SERVED_MIN);
        let enough = sources.iter().all(has_served) || transfer.0.len() >= MANY_CHUNKS;
        Ok(if enough { Ok(transfer) } else { Err(format!("{served:?}")) })
    })
}

/// Returns how a streamed install ended, if the event is its end.
fn stream_end(event: &Event) -> Option<Result<(), ErrorCode>> {
    match event {
        Event::InstallFinished { .. } => Some(Ok(())),
        Event::InstallFailed(failure) => Some(Err(failure.code)),
        Event::DownloadFailed { code, .. } => Some(Err(*code)),
        _ => None,
    }
}

/// Repeats the streamed install with a source whose file was corrupted on disk: none of its bytes are unpacked.
fn streamed_outlives_a_liar(lab: &Lab, honest: &Peer) -> Outcome {
    let liar = source(lab, "liar", &large(), None)?;
    liar.shut_down()?;
    let chunk = chunk_bytes(&Manifest::root_files(&liar.game_dir("ggoo"))?);
    damage(&liar.game_dir("ggoo").join("ggoo.eti"), chunk)?;
    liar.restart()?;
    honest.ask(&Request::SetLimits { upload: None, download: None })?;
    let client = client_of(lab, "deceived", &[&liar, honest], "ggoo")?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    let (_, end) = client.await_end(since, "the end of the install beside a rotten source", stream_end)?;
    // First the cause, then its effect on the install.
    let transfer = Transfer::since(&client, since, "ggoo");
    let taken = transfer.by_source().get(&liar.id()).map_or(0, |(chunks, _)| *chunks);
    require_eq!(taken, 0, "chunks that were taken from the rotten source");
    let rejected = |event: Event| match event {
        Event::SourceRejected { game_id, peer_id, code, .. } if game_id == "ggoo" => Some((peer_id, code)),
        _ => None,
    };
    let rejected: Vec<_> = client.events_since(since).into_iter().filter_map(rejected).collect();
    require_eq!(
        rejected,
        [(liar.id(), RejectCode::CorruptChunk)],
        "how often and why the rotten source was rejected"
    );
    require!(end.is_ok(), "deceived did not install, although one source was honest: {end:?}");
    transfer.require_sources(&[honest])?;
    client.require_none(since, "a failure", fails)?;
    require_only_installed(&client, "ggoo", &payload_manifest(lab, PAYLOAD)?)
}

fn streamed_over_installed(lab: &Lab) -> Outcome {
    let names = ["downloaded", "streamed", "kept"];
    let mut spec = lab.peer("bravo")?;
    for name in names {
        spec = spec.game(&Game::packed(name, &[("data/a.bin", 43, 300_000)]))?;
    }
    let bravo = spec.start()?;
    let client = client_of(lab, "client", &[&bravo], "kept")?;
    for name in names {
        client.await_offered(name, 1)?;
        let since = client.mark();
        match name {
            "streamed" => stream(&client, name)?,
            _ => client.download(name, name == "downloaded")?,
        }
        match name {
            "kept" => drop(await_finished(&client, since, name)?),
            _ => drop(await_installed(&client, since, name)?),
        }
    }
    client.await_idle()?;
    for name in ["downloaded", "streamed"] {
        std::fs::write(client.game_dir(name).join("local/save.dat"), b"the user's own")?;
    }
    let all = || names.iter().map(|name| Manifest::of(&client.game_dir(name))).collect::<Outcome<Vec<_>>>();
    let before = all()?;
    let since = client.mark();
    for (name, code) in [
        ("streamed", ErrorCode::AlreadyInstalled),
        ("downloaded", ErrorCode::AlreadyInstalled),
        ("kept", ErrorCode::AlreadyDownloaded),
    ] {
        let request = Request::StreamInstall { game_id: game_id(name)?, max_unpacked_bytes: None };
        let Err(line) = client.say(&request)? else { fail!("client streams over the game {name}") };
        require_eq!(line.error.code, code, "why client does not stream over the game {name}");
    }
    client.await_idle()?;
    client.require_none(since, "an event of an operation", |e| {
        matches!(e, Event::ActiveOperationsChanged { .. } | Event::GotGameFiles { .. }) || fails(e)
    })?;
    require_eq!(all()?, before, "the files of the games");
    require_nothing_of_ours(&client, "after the refusals")
}

/// Starts a streamed install and returns once chunks have arrived and some bytes are unpacked.
fn in_mid_stream(client: &Peer) -> Outcome<Mark> {
    let since = client.mark();
    stream(client, "ggoo")?;
    await_chunks(client, since, "ggoo", 40)?;
    let staging = client.games_dir().join(".lanspread/staging");
    eventually("something is unpacked", || {
        let mut found = Vec::new();
        look(&staging, &mut found);
        Ok(if found.iter().any(|(_, size)| *size > 0) { Ok(()) } else { Err(format!("{found:?}")) })
    })?;
    Ok(since)
}

fn lost_in_mid_stream(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;

    let since = in_mid_stream(&client)?;
    bravo.kill();
    let (gone, ()) = client.await_event(since, "download-peers-gone", |event| {
        matches!(event, Event::DownloadPeersGone { .. }).then_some(())
    })?;
    let failed = client.look(STARVED, "the streamed install fails", || {
        let ended = client.find_event(since, |event| match event {
            Event::DownloadFailed { code, .. } => Some(Some(*code)),
            Event::InstallFinished { .. } => Some(None),
            _ => None,
        });
        Ok(ended.ok_or_else(|| "no download-failed".to_owned()))
    })?;
    require!(failed.1.is_some(), "client installed a game that it had not got whole");
    require_eq!(failed.1, Some(ErrorCode::SourcesGone), "the code in download-failed");
    let at = |mark| client.log().at(mark).unwrap_or_default();
    let waited = at(failed.0).saturating_sub(at(gone));
    require!(waited >= PATIENCE_MIN, "client gave up too soon after it lost its source: {waited:?}");
    client.await_idle()?;
    client.require_none(since, "an end that is a success", |e| matches!(e, Event::InstallFinished { .. }))?;
    require_no_trace(&client, "ggoo")?;
    require_nothing_of_ours(&client, "after it lost its source")?;

    bravo.restart()?;
    bravo.await_served("ggoo")?;
    bravo.ask(&Request::SetLimits { upload: Some(SLOW), download: None })?;
    client.connect(&bravo)?;
    client.await_offered("ggoo", 1)?;
    in_mid_stream(&client)?;
    client.kill();
    let left = Manifest::of(&client.games_dir().join(".lanspread/staging"))?;
    require!(!left.0.is_empty(), "the kill came before anything was unpacked, which proves nothing");
    client.restart()?;
    require_no_trace(&client, "ggoo")?;
    require_nothing_of_ours(&client, "after its restart")?;

    // Another game with the same files, whose archive is damaged.
    let broken = lab.peer("broken")?.game(&large().with_id("broken"))?;
    let archive = broken.games_dir().join("broken/ggoo.eti");
    damage_byte(&archive, std::fs::metadata(&archive)?.len() - MIB)?;
    let broken = broken.start()?;
    client.connect(&broken)?;
    client.await_offered("broken", 1)?;
    let since = client.mark();
    stream(&client, "broken")?;
    let (_, failure) = client.await_event(since, "install-failed", |event| match event {
        Event::InstallFailed(failure) => Some(Some(failure.clone())),
        Event::InstallFinished { .. } => Some(None),
        _ => None,
    })?;
    let Some(failure) = failure else { fail!("client installed a damaged archive") };
    require_eq!(failure.code, ErrorCode::BadArchive, "the code in install-failed");
    let named = failure.reason.contains("ggoo.eti") && failure.reason.contains("data/third.bin");
    require!(named, "the reason names neither archive nor entry: {}", failure.reason);
    client.await_idle()?;
    require_no_trace(&client, "broken")?;
    require_nothing_of_ours(&client, "after it found a damaged archive")?;

    bravo.ask(&Request::SetLimits { upload: None, download: None })?;
    client.connect(&bravo)?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    await_installed(&client, since, "ggoo")?;
    require_only_installed(&client, "ggoo", &payload_manifest(lab, PAYLOAD)?)
}

/// Cancels the download and waits for its end, which must not be a failure.
fn cancel(client: &Peer, since: Mark) -> Outcome {
    client.ask(&Request::CancelDownload { game_id: game_id("ggoo")? })?;
    let (_, cancelled) = client.await_event(since, "download-cancelled", |event| match event {
        Event::DownloadCancelled { .. } => Some(true),
        event => fails(event).then_some(false),
    })?;
    require!(cancelled, "{} calls its cancel a failure", client.name());
    client.await_idle()?;
    client.require_none(since, "a failure, or an end that is a success", |e| {
        fails(e) || matches!(e, Event::InstallFinished { .. } | Event::DownloadFinished { .. })
    })
}

/// Requires that a cancelled download left nothing in the library and nothing unpacked. Its chunks may stay.
fn require_no_half_install(client: &Peer, when: &str) -> Outcome {
    require_no_trace(client, "ggoo")?;
    for folder in ["staging", "journal", "trash"] {
        let left = Manifest::of(&client.games_dir().join(".lanspread").join(folder))?;
        let empty = left.0.is_empty();
        require!(empty, "{} keeps files below .lanspread/{folder} {when}: {left:?}", client.name());
    }
    Ok(())
}

fn receiver_cancels(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;
    let quitter = client_of(lab, "quitter", &[&bravo], "ggoo")?;
    let files = Manifest::root_files(&bravo.game_dir("ggoo"))?;

    let since = client.mark();
    client.download("ggoo", true)?;
    await_middle(&client, since, "ggoo", &pieces_of(&files), 40)?;
    cancel(&client, since)?;
    bravo.await_no_outbound()?;
    require_no_half_install(&client, "after its cancel")?;

    let streamed = in_mid_stream(&quitter)?;
    cancel(&quitter, streamed)?;
    bravo.await_no_outbound()?;
    require_no_trace(&quitter, "ggoo")?;
    require_nothing_of_ours(&quitter, "after its cancel")?;

    require_no_half_install(&client, "long after its cancel")?;
    bravo.ask(&Request::SetLimits { upload: None, download: None })?;
    let again = client.mark();
    client.download("ggoo", true)?;
    await_installed(&client, again, "ggoo")?;
    let had = client.find_event(again, |event| match event {
        Event::DownloadBegin { had_bytes, .. } => Some(*had_bytes),
        _ => None,
    });
    let had = had.map_or(0, |(_, had)| had);
    let (all, rest) = (Transfer::since(&client, since, "ggoo"), Transfer::since(&client, again, "ggoo"));
    require_eq!(all.pieces().len(), all.0.len(), "the chunks before and after the cancel, each once");
    require!(had >= all.bytes() - rest.bytes(), "less is there than was reported before the cancel");
    require_eq!(had + rest.bytes(), files.bytes(), "what was there and what was fetched then");
    require!(all.pieces().is_subset(&pieces_of(&files)), "chunks that do not exist were fetched");
    require_same_game(&client, &bravo, "ggoo")?;
    let local = Manifest::of(&client.game_dir("ggoo").join("local"))?;
    local.require_equal(&payload_manifest(lab, PAYLOAD)?, "local/ against the payload")?;

    require_no_trace(&quitter, "ggoo")?;
    require_nothing_of_ours(&quitter, "long after its cancel")?;
    let retried = quitter.mark();
    stream(&quitter, "ggoo")?;
    await_installed(&quitter, retried, "ggoo")?;
    require_only_installed(&quitter, "ggoo", &payload_manifest(lab, PAYLOAD)?)?;

    // A download that was cancelled earlier must not fail when its source leaves.
    bravo.await_no_outbound()?;
    bravo.shut_down()?;
    for (peer, since) in [(&client, since), (&quitter, streamed)] {
        peer.await_event(since, "that bravo has left", |event| match event {
            Event::PeerLost { peer_id, .. } => (*peer_id == bravo.id()).then_some(()),
            _ => None,
        })?;
        // The peer answers this only after it has handled the loss, so a failure would have been printed by now.
        peer.await_idle()?;
        peer.require_none(since, "a failure long after its cancel", fails)?;
    }
    require_only_installed(&quitter, "ggoo", &payload_manifest(lab, PAYLOAD)?)
}

fn install_while_downloading(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;
    let since = client.mark();
    client.download("ggoo", true)?;
    // Progress is reported twice a second, and this download takes six seconds.
    let (_, unpacked) =
        client.await_event(since, "progress with something unpacked", |event| match event {
            Event::DownloadProgress(progress) => progress
                .unpacked_bytes
                .filter(|&unpacked| unpacked > 0 && progress.downloaded_bytes < progress.total_bytes)
                .map(Some),
            Event::DownloadFinished { .. } | Event::DownloadFailed { .. } => Some(None),
            _ => None,
        })?;
    let Some(unpacked) = unpacked else {
        await_finished(&client, since, "ggoo")?;
        let all = pieces_of(&Manifest::root_files(&bravo.game_dir("ggoo"))?);
        Transfer::since(&client, since, "ggoo").require_exactly(&all)?;
        require_same_game(&client, &bravo, "ggoo")?;
        fail!("client had unpacked nothing when its download was complete")
    };
    figures::note("S60", format!("{} KiB unpacked when first told", unpacked >> 10));
    require_no_trace(&client, "ggoo")?;
    let (finished, _) = await_finished(&client, since, "ggoo")?;
    let installed = await_installed(&client, since, "ggoo")?;
    let begun = client.find_event(since, |e| matches!(e, Event::InstallBegin { .. }).then_some(()));
    let begun = begun.map(|(mark, ())| mark);
    require!(Some(finished) < begun && begun < Some(installed), "finished, begun and installed out of order");
    client.await_idle()?;
    require_same_game(&client, &bravo, "ggoo")?;
    let local = Manifest::of(&client.game_dir("ggoo").join("local"))?;
    local.require_equal(&payload_manifest(lab, PAYLOAD)?, "local/ against the payload")?;
    require_nothing_of_ours(&client, "after its install")?;
    require_committed_once(&client, since, "ggoo")
}
