//! Attacks with manifests: requests without end, and answers that are as slow as possible.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanspread_api::{Event, Request};
use lanspread_net::{NetEvent, PayloadSource};
use lanspread_types::limits::{FILES_PER_GAME_MAX, MANIFEST_BYTES_MAX};
use lanspread_types::message::{GameOffer, Message, Request as Asked, RequestId, Response};
use lanspread_types::{ContentId, GameId};

use super::flow::{MIB, await_finished, require_same_game};
use super::hostile::{fetch, median, parsed, resident};
use crate::figures;
use crate::games::{Content, Game};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::stranger::Stranger;
use crate::wait::{eventually, seen_if, within};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S67",
        title: "manifest requests cannot exhaust a seed",
        claim: "Whoever asks for a manifest a thousand times at once costs a seed a few megabytes and no threads; guests get theirs meanwhile, and transfers keep half their rate",
        setup: "seed with a game of 20,000 files and one of 64 MiB; client fetches the second three times in peace, then while three strangers at three addresses ask for the manifest of the first 1000 times at once on each of their connections, take nothing of it, and come back when they are dropped; three newcomers ask for the same manifest meanwhile",
        expected: "the seed's memory grows by less than 48 MiB and its threads by less than 24; the strangers are told of by `peer-refused`; every newcomer has the file list within five seconds; the median of the fetches under attack is at most twice that in peace",
        sabotages: &[Sabotage::new("unbounded-manifests", &["the seed's memory grew by"])],
        labs: &[LabKind::Local],
        body: Body::Run(flood),
    },
    Scenario {
        id: "S68",
        title: "slow manifests block nobody",
        claim: "Thirty identities of one address that announce the honest content and send its manifest as slowly as can be neither hold up that download nor any other",
        setup: "client in a room with thirty strangers at one address who announce four games with the honest content, state 96 MiB for the manifest, send a first piece and then nothing; first they are alone, then the honest seed joins; a second seed has games of its own",
        expected: "while the strangers hold up the first game, the second seed's game arrives within five seconds, and 64 MiB of another take at most twice the peaceful time; once the honest seed is there, the file list of the first game comes within five seconds; so do those of the three others, and all are byte-equal",
        sabotages: &[
            Sabotage::new("count-identities", &["comes from an honest seed"]),
            Sabotage::new("reserve-announced", &["comes from an honest seed"]),
            Sabotage::new("one-source-only", &["client prints the end of the download of held"]),
        ],
        labs: &[LabKind::Local],
        body: Body::Run(slow_manifests),
    },
];

/// Most that the seed's memory may grow: sixteen sends of some 640 KiB, the manifest once, and what allocators keep.
const GROWTH_MAX: u64 = 48 * MIB;
/// Most threads that the seed may gain: one for each of sixteen chunks, one that encodes, and some that end late.
const THREADS_MAX: u64 = 24;
const FILES: usize = 20_000;
const ASKED_AT_ONCE: u64 = 1000;
/// The downloads continue until this many requests were made.
const ASKED_WANTED: u64 = 6000;

fn flood(lab: &Lab) -> Outcome {
    let mut many = Game::new("many");
    for at in 0..FILES {
        let path = format!("textures/set {:03}/some texture {at:05}.tex", at / 100);
        many = many.file(&path, Content::Bytes(at.to_string().into_bytes()));
    }
    let seed = lab.peer("seed")?.game(&many)?.game(&Game::blob("ggoo", 67, 64 * MIB))?.start()?;
    let client = lab.peer("client")?.start()?;
    let content: ContentId = parsed(&seed.await_served("many")?.content_id.unwrap_or_default())?;
    seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    let mut peaceful = Vec::new();
    for _ in 0..3 {
        peaceful.push(fetch(&client, &seed)?);
    }
    let before = (resident(&seed)?, threads(&seed)?);
    require!(before.0 > 0, "this system does not tell how much memory a process has");

    let since = seed.mark();
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut under_attack, mut peak, mut waited) = (Vec::new(), before, Vec::new());
    let addr = seed.addr()?;
    let outcome = std::thread::scope(|scope| {
        let attacks: Vec<_> = (0..3u8)
            .map(|n| {
                let (over, asked) = (&over, &asked);
                scope.spawn(move || {
                    let ip = IpAddr::V4(Ipv4Addr::new(127, 67, 0, n + 1));
                    let mut stranger = Stranger::enter(addr, ip, &format!("mallory {n}"))?;
                    ask_again_and_again(&mut stranger, content, over, asked)
                })
            })
            .collect();
        let mut meanwhile = || -> Outcome {
            eventually("the strangers ask", || {
                let asked = asked.load(Ordering::Relaxed);
                Ok(seen_if(asked >= 3 * ASKED_AT_ONCE, || format!("{asked} requests")))
            })?;
            while under_attack.len() < 5 || asked.load(Ordering::Relaxed) < ASKED_WANTED {
                under_attack.push(fetch(&client, &seed)?);
                let now = (resident(&seed)?, threads(&seed)?);
                peak = (peak.0.max(now.0), peak.1.max(now.1));
                require!(under_attack.len() < 60, "only {asked:?} requests were made");
            }
            for n in 0..3 {
                let newcomer = lab.peer(&format!("newcomer{n}"))?.start()?;
                newcomer.connect(&seed)?;
                newcomer.await_offered("many", 1)?;
                let began = Instant::now();
                let since = newcomer.mark();
                newcomer.download("many", false)?;
                await_file_list(&newcomer, since, "many")?;
                waited.push(began.elapsed());
                newcomer.ask(&Request::CancelDownload { game_id: game_id("many")? })?;
                newcomer.shut_down()?;
            }
            let now = (resident(&seed)?, threads(&seed)?);
            peak = (peak.0.max(now.0), peak.1.max(now.1));
            Ok(())
        };
        let outcome = meanwhile();
        over.store(true, Ordering::Relaxed);
        for attack in attacks {
            attack.join().map_err(|_| Failure("a stranger panicked".to_owned()))??;
        }
        outcome
    });
    let grown = peak.0.saturating_sub(before.0);
    require!(grown < GROWTH_MAX, "the seed's memory grew by {} MiB", grown / MIB);
    let more = peak.1.saturating_sub(before.1);
    require!(more < THREADS_MAX, "the seed has {more} threads more than in peace");
    outcome?;
    let refused = |event: &Event| matches!(event, Event::PeerRefused { reason, .. } if reason.contains("requests manifests too often"));
    let told = seed.events_since(since).iter().filter(|event| refused(event)).count();
    require!(told > 0, "the seed does not tell of those who ask again and again");
    let slowest = waited.iter().max().copied().unwrap_or_default();
    let (peace, attacked) = (median(&mut peaceful), median(&mut under_attack));
    require!(attacked <= peace * 2, "64 MiB took {attacked:?} under attack and {peace:?} in peace");
    figures::note(
        "S67",
        format!(
            "64 MiB in {} ms in peace, in {} ms (median of {}) while {} manifests of {FILES} files were asked for; the \
             seed's memory {} MiB before, {} MiB at the peak; its threads {} and {}; newcomers waited {} ms at most",
            peace.as_millis(),
            attacked.as_millis(),
            under_attack.len(),
            asked.load(Ordering::Relaxed),
            before.0 / MIB,
            peak.0 / MIB,
            before.1,
            peak.1,
            slowest.as_millis()
        ),
    );
    Ok(())
}

/// Requests the manifest as often as a connection allows, and again whenever the connection was closed.
fn ask_again_and_again(
    stranger: &mut Stranger,
    content: ContentId,
    over: &AtomicBool,
    asked: &AtomicU64,
) -> Outcome {
    let game = GameId::new("many")?;
    let (mut id, mut open) = (0, 0u64);
    while !over.load(Ordering::Relaxed) {
        while open < ASKED_AT_ONCE {
            id += 1;
            open += 1;
            asked.fetch_add(1, Ordering::Relaxed);
            stranger.ask(Asked::Manifest { id: RequestId(id), game: game.clone(), content });
        }
        while let Some(event) = stranger.next(Duration::from_millis(50)) {
            match event {
                NetEvent::RequestFailed { .. } => open = open.saturating_sub(1),
                NetEvent::Message { message: Message::Ping { nonce }, .. } => {
                    stranger.say(&Message::Pong { nonce });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns the number of threads of the peer's process, or 0 if the system does not tell.
fn threads(peer: &Peer) -> Outcome<u64> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap_or("0");
    Ok(line.trim().parse().unwrap_or(0))
}

fn await_file_list(peer: &Peer, since: Mark, game: &str) -> Outcome {
    let got =
        |event: &Event| matches!(event, Event::GotGameFiles { game_id, .. } if game_id == game).then_some(());
    within(LIST_PATIENCE, &format!("the file list of {game} comes from an honest seed"), || {
        Ok(seen_if(peer.find_event(since, got).is_some(), || "it has not come".to_owned()))
    })
}

/// Longest time for a file list that an honest peer offers.
const LIST_PATIENCE: Duration = Duration::from_secs(5);
const STRANGERS: u8 = 30;
const HELD_UP: [&str; 4] = ["held0", "held1", "held2", "held3"];

fn slow_manifests(lab: &Lab) -> Outcome {
    let mut seed = lab.peer("seed")?;
    for (at, game) in HELD_UP.iter().enumerate() {
        seed = seed.game(&Game::blob(game, at as u64, 2 * MIB))?;
    }
    let seed = seed.start()?;
    let unrelated = Game::blob("unrelated", 68, 2 * MIB);
    let other = lab.peer("other")?.game(&unrelated)?.game(&Game::blob("ggoo", 69, 64 * MIB))?.start()?;
    let client = lab.peer("client")?.start()?;
    let mut offers = Vec::new();
    for game in HELD_UP {
        let info = seed.await_served(game)?;
        offers.push(GameOffer {
            game: GameId::new(game)?,
            version: parsed(&info.local_version.unwrap_or_default())?,
            content: parsed(&info.content_id.unwrap_or_default())?,
            bytes: info.size,
            // More files than there are, so that a manifest of 96 MiB is plausible.
            files: FILES_PER_GAME_MAX as u32,
        });
    }
    other.await_served("unrelated")?;
    other.await_served("ggoo")?;
    client.connect(&other)?;
    client.await_offered("ggoo", 1)?;
    let mut peaceful = fetch_three_times(&client, &other)?;
    let mut strangers = Vec::new();
    for n in 0..STRANGERS {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 68, 0, 1));
        let mut stranger = Stranger::enter(client.addr()?, ip, &format!("mallory {n}"))?;
        stranger.announce(&offers);
        strangers.push(stranger);
    }
    client.await_offered("unrelated", 1)?;
    for game in HELD_UP {
        client.await_offered(game, STRANGERS.into())?;
    }

    let over = Arc::new(AtomicBool::new(false));
    let begun = AtomicU64::new(0);
    let outcome = std::thread::scope(|scope| {
        let attacks: Vec<_> =
            strangers.iter_mut().map(|stranger| scope.spawn(|| dawdle(stranger, &over, &begun))).collect();
        let outcome = among_dawdlers(&client, &seed, &other, &begun);
        over.store(true, Ordering::Relaxed);
        for attack in attacks {
            attack.join().map_err(|_| Failure("a stranger panicked".to_owned()))?;
        }
        outcome
    })?;
    let (mut attacked, peace) = (outcome.attacked, median(&mut peaceful));
    let attacked = median(&mut attacked);
    require!(attacked <= peace * 2, "64 MiB took {attacked:?} beside them and {peace:?} in peace");
    figures::note(
        "S68",
        format!(
            "beside {STRANGERS} identities that dawdle: 64 MiB in {} ms, {} ms in peace; an unrelated game of 2 MiB in {} ms; the file list {} ms after the \
             honest seed joined, and in {} ms at most where it was there",
            attacked.as_millis(),
            peace.as_millis(),
            outcome.unrelated.as_millis(),
            outcome.late.as_millis(),
            outcome.others.as_millis()
        ),
    );
    Ok(())
}

fn fetch_three_times(client: &Peer, source: &Peer) -> Outcome<Vec<Duration>> {
    (0..3).map(|_| fetch(client, source)).collect()
}

struct Waited {
    unrelated: Duration,
    /// Times of the downloads of 64 MiB.
    attacked: Vec<Duration>,
    late: Duration,
    others: Duration,
}

fn among_dawdlers(client: &Peer, seed: &Peer, other: &Peer, begun: &AtomicU64) -> Outcome<Waited> {
    let since = client.mark();
    client.download(HELD_UP[0], false)?;
    eventually("strangers begin to send a manifest", || {
        let begun = begun.load(Ordering::Relaxed);
        Ok(seen_if(begun > 0, || "none does".to_owned()))
    })?;
    let began = Instant::now();
    client.download("unrelated", false)?;
    let finished =
        |event: &Event| matches!(event, Event::DownloadFinished { game_id, .. } if game_id == "unrelated");
    within(LIST_PATIENCE, "an unrelated game arrives while others dawdle", || {
        let finished = client.find_event(since, |event| finished(event).then_some(()));
        Ok(seen_if(finished.is_some(), || "it has not".to_owned()))
    })?;
    let unrelated = began.elapsed();
    require_same_game(client, other, "unrelated")?;
    let attacked = fetch_three_times(client, other)?;
    let got = client.find_event(since, |event| match event {
        Event::GotGameFiles { game_id, .. } if game_id == HELD_UP[0] => Some(()),
        _ => None,
    });
    require!(got.is_none(), "the file list came from nobody who has it");

    let began = Instant::now();
    client.connect(seed)?;
    await_file_list(client, since, HELD_UP[0])?;
    let late = began.elapsed();
    await_finished(client, since, HELD_UP[0])?;
    let mut others = Duration::ZERO;
    for game in &HELD_UP[1..] {
        let (since, began) = (client.mark(), Instant::now());
        client.download(game, false)?;
        await_file_list(client, since, game)?;
        others = others.max(began.elapsed());
        await_finished(client, since, game)?;
    }
    for game in HELD_UP {
        require_same_game(client, seed, game)?;
    }
    Ok(Waited { unrelated, attacked, late, others })
}

/// Answers every request for a manifest with the beginning of 96 MiB, and other messages only as far as needed to
/// stay connected.
fn dawdle(stranger: &mut Stranger, over: &Arc<AtomicBool>, begun: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        match stranger.next(Duration::from_millis(50)) {
            Some(NetEvent::Requested { link, request: Asked::Manifest { id, .. }, .. }) => {
                begun.fetch_add(1, Ordering::Relaxed);
                let head = Response::Manifest { id, len: MANIFEST_BYTES_MAX as u32 };
                stranger.endpoint().serve_source(link, head, Box::new(Dawdling(Arc::clone(over))));
            }
            Some(NetEvent::Message { message: Message::Ping { nonce }, .. }) => {
                stranger.say(&Message::Pong { nonce });
            }
            _ => {}
        }
    }
}

/// Payload that delivers a first piece and then blocks until the attack is over.
struct Dawdling(Arc<AtomicBool>);

impl PayloadSource for Dawdling {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(0);
        while offset > 0 && !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
