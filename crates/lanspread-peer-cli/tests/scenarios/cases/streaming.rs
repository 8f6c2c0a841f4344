//! Games that are unpacked while they arrive: a streamed install, which keeps nothing else, and a download with its
//! install.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lanspread_api::reply::{Availability, OperationKind};
use lanspread_api::{ErrorCode, Event, ReplyData, Request};

use super::flow::{
    MIB, await_chunks, await_chunks_from, await_finished, await_installed, await_operation,
    require_committed_once, require_no_trace, require_same_game,
};
use super::sources::{damage, require_rejected};
use crate::figures;
use crate::games::{Content, Game, damage_byte, fixture_game, fixture_payload, payload_manifest};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, chunk_bytes, pieces_of};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S39",
        title: "streamed install",
        claim: "`stream-install` installs a game without ever having its archive",
        setup: "client ← bravo: `cnctw` of the fixture, and a generated game of 48 MiB (1536 chunks); the client's library is watched all the time",
        expected: "`install-finished`; installed, not downloaded, `LocalOnly`; no archive and no sentinel at any moment, the window below `.lanspread/tmp` never larger than 128 chunks, and less than one beside it; payload hashes equal, exactly the archive's chunks were fetched; nothing of it left below `.lanspread/`, no outbound transfer at the source",
        sabotages: &[
            "stream-keeps-archive",
            "stream-writes-sentinel",
            "stream-archive-for-a-moment",
            "unpack-flip-byte",
            "leak-transfer",
            "stream-drops-nothing",
        ],
        labs: EVERYWHERE,
        body: Body::Run(streamed_install),
    },
    Scenario {
        id: "S40",
        title: "a streamed copy is no source",
        claim: "What was streamed is offered to nobody, not even after a restart",
        setup: "client has streamed a game from bravo, who advertises it; a third peer is connected to the client alone",
        expected: "the third peer sees no game at the client; its download is refused with `no-source`, nothing of it arrives; the same after the client was restarted",
        sabotages: &["offer-streamed", "stream-writes-sentinel"],
        labs: EVERYWHERE,
        body: Body::Run(streamed_copy_is_no_source),
    },
    Scenario {
        id: "S41",
        title: "solid archive",
        claim: "A solid archive installs byte-equal, streamed and not",
        setup: "the fixture's `cnctw`, whose main header says solid; one client streams it, one downloads it, uninstalls it and installs it again",
        expected: "all have under `local/` what another unpacker found, to the byte",
        sabotages: &["forget-solid-window", "unpack-flip-byte"],
        labs: EVERYWHERE,
        body: Body::Run(solid_archive),
    },
    Scenario {
        id: "S42",
        title: "streamed install outlives a source",
        claim: "A streamed install goes on from another source when one is killed, and when one cannot serve because its disk has rotted",
        setup: "two sources, 48 MiB, 8 MiB/s each; one is SIGKILLed after both have served and before the end; then another client, for which one of two sources has a flipped byte in every chunk behind an unchanged size and time stamp",
        expected: "`install-finished`, no failure; the survivor served after the kill; hashes equal, nothing left below `.lanspread/`; the rotten source is rejected once, with `corrupt-chunk`, and not one chunk of it is taken",
        sabotages: &["one-source-only", "forget-in-flight", "skip-verification"],
        labs: EVERYWHERE,
        body: Body::Run(streamed_outlives_a_source),
    },
    Scenario {
        id: "S43",
        title: "streamed install over an installed game",
        claim: "What is installed or downloaded is not streamed over",
        setup: "client has the game installed, with a save game of its own in it, once downloaded and once streamed; a third game is downloaded only",
        expected: "refused with `already-installed`, `already-downloaded` for the third; no event of an operation; every file has the same hash as before",
        sabotages: &["stream-over-installed", "stream-over-downloaded"],
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
            "leave-staging",
            "leave-spool",
            "commit-install-early",
            "skip-archive-checksum",
            "recover-nothing",
            "give-up-at-once",
        ],
        labs: EVERYWHERE,
        body: Body::Run(lost_in_mid_stream),
    },
    Scenario {
        id: "S46",
        title: "receiver cancels",
        claim: "A cancel frees the sender, is no failure and leaves no half install",
        setup: "48 MiB at 8 MiB/s; `cancel-download` with chunks there and others missing: while it is streamed, and while it is downloaded with its install",
        expected: "`download-cancelled`, neither `download-failed` nor `install-failed` in the whole window; the sender's outbound transfers back to none; no folder of the game, nothing unpacked below `.lanspread/`; both succeed afterwards, the download fetching only what was missing",
        sabotages: &["cancel-is-failure", "cancel-keeps-sending", "leave-staging", "restart-from-zero"],
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
            "unpack-unsorted",
            "install-unsorted",
            "stream-first-archive-only",
            "stream-keeps-root-files",
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
        sabotages: &["unpack-after-download", "commit-install-early", "unpack-flip-byte"],
        labs: EVERYWHERE,
        body: Body::Run(install_while_downloading),
    },
];

/// Bytes per second of a source in scenarios that have to be interrupted in the middle.
const SLOW: u64 = 8 * MIB;
/// How long a download waits for a source to come back, and some more.
const STARVED: Duration = Duration::from_secs(60);
/// A download that gives up sooner has not waited for anybody.
const PATIENCE_MIN: Duration = Duration::from_secs(15);
/// Bytes of what is not the window in the folder for what is in the making.
const RECORDS_MAX: u64 = 64 << 10;
/// Chunks that a streamed install holds at most.
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

/// A peer that sends at most so much.
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

/// Installed and nothing else, in the lists and on the disk.
fn require_only_installed(peer: &Peer, game: &str, payload: &Manifest) -> Outcome {
    peer.await_idle()?;
    let info = peer.await_game(game, "as here and not shared", |g| {
        g.installed && !g.downloaded && g.availability == Availability::LocalOnly
    })?;
    require_eq!(info.local_version, None, "the version that is downloaded");
    let local = Manifest::of(&peer.game_dir(game).join("local"))?;
    local.require_equal(payload, &format!("local/ of {game} at {} against the payload", peer.name()))?;
    let beside = Manifest::root_files(&peer.game_dir(game))?;
    require!(beside.0.is_empty(), "{} keeps files of {game} beside local/: {beside:?}", peer.name());
    require_nothing_of_ours(peer)
}

/// Nothing that is unpacked, fetched, set aside or recorded is left below `.lanspread/`.
fn require_nothing_of_ours(peer: &Peer) -> Outcome {
    let own = peer.games_dir().join(".lanspread");
    for folder in ["staging", "incoming", "trash", "journal", "tmp"] {
        let left = Manifest::of(&own.join(folder))?;
        let left: Vec<&String> = left.0.keys().filter(|file| *file != "clock").collect();
        require!(left.is_empty(), "{} keeps {left:?} below .lanspread/{folder}", peer.name());
    }
    Ok(())
}

fn fails(event: &Event) -> bool {
    matches!(event, Event::DownloadFailed { .. } | Event::InstallFailed(_))
}

fn is_window(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "spool")
}

/// Looks at a library all the time.
struct Watched {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    watching: Option<JoinHandle<Seen>>,
}

/// What was seen in it.
#[derive(Debug, Default)]
struct Seen {
    paths: BTreeSet<PathBuf>,
    /// Bytes of the window, and of whatever else is in the folder for what is in the making.
    most_in_window: u64,
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
                // A thousand looks a second are enough, and the others need the processor.
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

/// Files come and go meanwhile: what is no longer there is passed over.
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

    // Slow enough to be looked at, and many times the window.
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
    require!(kept.is_none(), "{kept:?} was there for a moment");
    let files = Manifest::root_files(&bravo.game_dir("large"))?;
    let window = WINDOW_CHUNKS * chunk_bytes(&files);
    let most = seen.most_in_window;
    require!(most > 0 && most <= window, "the window had {most} bytes of {window}");
    // Records of some bytes are written there, too, but no chunk.
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
        // Who is connected has not said yet what there is.
        third.await_event(Mark(0), "the client's library", |event| match event {
            Event::RemoteLibraryChanged { peer_id, .. } => (*peer_id == client.id()).then_some(()),
            _ => None,
        })?;
        third.await_peers(&[(&client, &[])])?;
        let since = third.mark();
        let request = Request::Download { game_id: game_id("ggoo")?, install: true, confirm_content: None };
        // Without a catalogue nobody has even heard of it.
        let refused = third.say(&request)?;
        let code = refused.err().map(|error| error.error.code);
        require_eq!(code, Some(ErrorCode::NoSource), "the refusal {attempt}");
        require!(Transfer::since(&third, since, "ggoo").0.is_empty(), "chunks came from a streamed copy");
        require_no_trace(&third, "ggoo")?;
        third.require_none(Mark(0), "an offer, be it for a moment", offered)?;
        third.shut_down()?;
        client.shut_down()?;
        client.restart()?;
        client.await_game("ggoo", "as installed", |g| g.installed && !g.downloaded)?;
    }
    // Who was connected while it was streamed has heard of no offer either.
    bravo.require_none(Mark(0), "an offer of the client, be it for a moment", offered)
}

/// The variable-length integers at the beginning of some bytes.
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

/// Whether the main header of a RAR 5 archive says solid: signature, checksum, size, type, flags, the extra area's size
/// if the flags say so, archive flags.
fn says_solid(archive: &Path) -> Outcome<bool> {
    let bytes = std::fs::read(archive)?;
    require!(bytes.starts_with(b"Rar!\x1a\x07\x01\x00"), "{} is no RAR 5 archive", archive.display());
    let header: Vec<u64> = numbers(&bytes[12..]).take(5).collect();
    require_eq!(header[1], 1, "the type of the first header");
    let archive_flags = if header[2] & 1 == 0 { header[3] } else { header[4] };
    Ok(archive_flags & 4 != 0)
}

/// One client streams the fixture's `cnctw`, one downloads and installs it.
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

    // So far it was unpacked while it arrived. Now from the archives as they are here.
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
    let victim = source(lab, "victim", &large(), Some(SLOW))?;
    let survivor = source(lab, "survivor", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&victim, &survivor], "ggoo")?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    await_chunks_from(&client, since, "ggoo", &[&victim, &survivor], 3)?;
    victim.kill();
    let at_kill = client.mark();
    client.require_none(since, "the end", |e| matches!(e, Event::InstallFinished { .. }))?;
    await_installed(&client, since, "ggoo")?;
    let after = Transfer::since(&client, at_kill, "ggoo");
    require!(
        after.0.iter().any(|(_, peer)| *peer == survivor.id()),
        "the survivor served nothing after the kill"
    );
    client.require_none(since, "a failure", fails)?;
    require_only_installed(&client, "ggoo", &payload_manifest(lab, PAYLOAD)?)?;
    survivor.await_no_outbound()?;
    streamed_outlives_a_liar(lab, &survivor)
}

/// The same with a source whose disk has rotted behind its back: nothing of that is unpacked.
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
    await_installed(&client, since, "ggoo")?;
    require_rejected(&client, since, &liar)?;
    Transfer::since(&client, since, "ggoo").require_sources(&[honest])?;
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
        ("downloaded", ErrorCode::AlreadyInstalled),
        ("streamed", ErrorCode::AlreadyInstalled),
        ("kept", ErrorCode::AlreadyDownloaded),
    ] {
        client
            .refuses(&Request::StreamInstall { game_id: game_id(name)?, max_unpacked_bytes: None }, code)?;
    }
    client.await_idle()?;
    client.require_none(since, "an event of an operation", |e| {
        matches!(e, Event::ActiveOperationsChanged { .. } | Event::GotGameFiles { .. }) || fails(e)
    })?;
    require_eq!(all()?, before, "the files of the games");
    require_nothing_of_ours(&client)
}

/// Streams, and comes back when chunks are there and something is unpacked.
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
        let failed = client.find_event(since, |event| match event {
            Event::DownloadFailed { code, .. } => Some(*code),
            _ => None,
        });
        Ok(failed.ok_or_else(|| "no download-failed".to_owned()))
    })?;
    require_eq!(failed.1, ErrorCode::SourcesGone, "the code in download-failed");
    let at = |mark| client.log().at(mark).unwrap_or_default();
    let waited = at(failed.0).saturating_sub(at(gone));
    require!(waited >= PATIENCE_MIN, "it waited {waited:?} for a source to come back");
    client.require_none(since, "an end that is a success", |e| matches!(e, Event::InstallFinished { .. }))?;
    client.await_idle()?;
    require_no_trace(&client, "ggoo")?;
    require_nothing_of_ours(&client)?;

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
    require_nothing_of_ours(&client)?;

    // The same game in another version, whose archive is broken.
    let broken = lab.peer("broken")?.game(&large().with_id("broken"))?;
    let archive = broken.games_dir().join("broken/ggoo.eti");
    damage_byte(&archive, std::fs::metadata(&archive)?.len() - MIB)?;
    let broken = broken.start()?;
    client.connect(&broken)?;
    client.await_offered("broken", 1)?;
    let since = client.mark();
    stream(&client, "broken")?;
    let (_, failure) = client.await_event(since, "install-failed", |event| match event {
        Event::InstallFailed(failure) => Some(failure.clone()),
        _ => None,
    })?;
    require_eq!(failure.code, ErrorCode::BadArchive, "the code in install-failed");
    let named = failure.reason.contains("ggoo.eti") && failure.reason.contains("data/third.bin");
    require!(named, "the reason names neither archive nor entry: {}", failure.reason);
    client.await_idle()?;
    require_no_trace(&client, "broken")?;
    require_nothing_of_ours(&client)?;

    bravo.ask(&Request::SetLimits { upload: None, download: None })?;
    client.connect(&bravo)?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    stream(&client, "ggoo")?;
    await_installed(&client, since, "ggoo")?;
    require_only_installed(&client, "ggoo", &payload_manifest(lab, PAYLOAD)?)
}

/// Cancels, and waits for the end that is no failure.
fn cancel(client: &Peer, since: Mark) -> Outcome {
    client.ask(&Request::CancelDownload { game_id: game_id("ggoo")? })?;
    client.await_event(since, "download-cancelled", |event| {
        matches!(event, Event::DownloadCancelled { .. }).then_some(())
    })?;
    client.await_idle()?;
    client.require_none(since, "a failure, or an end that is a success", |e| {
        fails(e) || matches!(e, Event::InstallFinished { .. } | Event::DownloadFinished { .. })
    })
}

fn receiver_cancels(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;
    let files = Manifest::root_files(&bravo.game_dir("ggoo"))?;

    let since = in_mid_stream(&client)?;
    cancel(&client, since)?;
    bravo.await_no_outbound()?;
    require_no_trace(&client, "ggoo")?;
    require_nothing_of_ours(&client)?;

    let since = client.mark();
    client.download("ggoo", true)?;
    await_chunks(&client, since, "ggoo", 40)?;
    cancel(&client, since)?;
    bravo.await_no_outbound()?;
    require_no_trace(&client, "ggoo")?;
    for folder in ["staging", "journal", "trash"] {
        let left = Manifest::of(&client.games_dir().join(".lanspread").join(folder))?;
        require!(left.0.is_empty(), "a half install below .lanspread/{folder}: {left:?}");
    }

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
    require!(had >= all.bytes() - rest.bytes(), "less is there than was reported before the cancel");
    require_eq!(had + rest.bytes(), files.bytes(), "what was there and what was fetched then");
    let pieces: BTreeSet<_> = all.0.iter().map(|(piece, _)| piece.clone()).collect();
    require_eq!(pieces.len(), all.0.len(), "different chunks among those that were fetched");
    require!(pieces.is_subset(&pieces_of(&files)), "chunks that do not exist were fetched");
    require_same_game(&client, &bravo, "ggoo")?;
    let local = Manifest::of(&client.game_dir("ggoo").join("local"))?;
    local.require_equal(&payload_manifest(lab, PAYLOAD)?, "local/ against the payload")?;

    let again = client_of(lab, "again", &[&bravo], "ggoo")?;
    let since = again.mark();
    stream(&again, "ggoo")?;
    await_installed(&again, since, "ggoo")?;
    require_only_installed(&again, "ggoo", &payload_manifest(lab, PAYLOAD)?)
}

fn install_while_downloading(lab: &Lab) -> Outcome {
    let bravo = source(lab, "bravo", &large(), Some(SLOW))?;
    let client = client_of(lab, "client", &[&bravo], "ggoo")?;
    let since = client.mark();
    client.download("ggoo", true)?;
    // Progress is told twice a second, and this takes six.
    let (_, unpacked) =
        client.await_event(since, "progress with something unpacked", |event| match event {
            Event::DownloadProgress(progress) => progress
                .unpacked_bytes
                .filter(|&unpacked| unpacked > 0 && progress.downloaded_bytes < progress.total_bytes),
            _ => None,
        })?;
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
    require_nothing_of_ours(&client)?;
    require_committed_once(&client, since, "ggoo")
}
