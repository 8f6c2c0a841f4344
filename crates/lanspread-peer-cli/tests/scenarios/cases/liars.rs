//! Peers that claim chunks and do not send them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanspread_api::{Event, Request};
use lanspread_net::NetEvent;
use lanspread_types::ChunkIndex;
use lanspread_types::message::{HaveMap, Message, Refusal, Request as Asked};

use super::flow::{CHUNK, MIB, require_committed_once, require_same_game};
use super::hostile::fetch;
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, require};
use crate::stranger::Stranger;
use crate::transfer::Transfer;
use crate::wait::{seen_if, within};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S69",
    title: "a liar about chunks costs a limited download little",
    claim: "Guests who announce nearly every chunk and give none, in silence or with refusals, cost a download with a limit at most a third of its rate",
    setup: "seed with 16 MiB, client with a download limit of 2 MB/s fetches it in peace, then with one stranger in the room that announces all chunks but one and is silent when it is asked, then with fifty that refuse each request at once because too many wait",
    expected: "the strangers are asked; each fetch takes at most one and a half times the time of the first, and is byte-equal",
    sabotages: &[
        Sabotage::new("believe-everybody", &["MiB arrive at two thirds of the peaceful rate among liars"]),
        Sabotage::new("one-source-only", &["strangers were asked 0 times for chunks"]),
        Sabotage::new("keep-spent-limit", &["MiB arrive at two thirds of the peaceful rate among liars"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(liars),
}];

const SIZE: u64 = 16 * MIB;
const LIMIT: u64 = 2_000_000;
/// All chunks except the sentinel.
const CLAIMED: usize = (SIZE / CHUNK) as usize;
const REFUSING: u8 = 50;

fn liars(lab: &Lab) -> Outcome {
    let seed = lab.peer("seed")?.game(&Game::blob("ggoo", 69, SIZE))?.start()?;
    let client = lab.peer("client")?.arg("--download-limit").arg(&LIMIT.to_string()).start()?;
    seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    let peace = fetch(&client, &seed)?;
    let (silent, asked_silent) = fetch_among(&client, &seed, peace * 3 / 2, 1, None)?;
    let refusal = Some(Refusal::TooMany);
    let (refusing, asked_refusing) = fetch_among(&client, &seed, peace * 3 / 2, REFUSING, refusal)?;
    let rate = |time: Duration| SIZE as f64 / time.as_secs_f64() / 1e6;
    figures::note(
        "S69",
        format!(
            "{:.2} MB/s in peace at a limit of {:.1} MB/s; {:.2} MB/s with a silent liar, asked {asked_silent} times; {:.2} \
             MB/s with {REFUSING} that refuse, asked {asked_refusing} times",
            rate(peace),
            LIMIT as f64 / 1e6,
            rate(silent),
            rate(refusing)
        ),
    );
    Ok(())
}

/// Downloads the game among strangers that claim nearly every chunk. Returns the time that it took and the number of
/// chunk requests that the strangers got.
fn fetch_among(
    client: &Peer,
    seed: &Peer,
    limit: Duration,
    strangers: u8,
    answer: Option<Refusal>,
) -> Outcome<(Duration, u64)> {
    let mut entered = Vec::new();
    for n in 0..strangers {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 69, 0, 1));
        entered.push(Stranger::enter(client.addr()?, ip, &format!("mallory {n}"))?);
    }
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let took = std::thread::scope(|scope| {
        let attacks: Vec<_> =
            entered.iter_mut().map(|stranger| scope.spawn(|| lie(stranger, answer, &over, &asked))).collect();
        let took = fetch_within(client, seed, limit);
        over.store(true, Ordering::Relaxed);
        for attack in attacks {
            attack.join().map_err(|_| Failure("a stranger panicked".to_owned()))?;
        }
        took
    })?;
    let asked = asked.into_inner();
    require!(asked >= u64::from(strangers), "{strangers} strangers were asked {asked} times for chunks");
    Ok((took, asked))
}

/// Downloads the game, compares it, and removes it again. Fails if the download takes longer than the limit.
fn fetch_within(client: &Peer, seed: &Peer, limit: Duration) -> Outcome<Duration> {
    let (since, began) = (client.mark(), Instant::now());
    client.download("ggoo", false)?;
    within(limit, "16 MiB arrive at two thirds of the peaceful rate among liars", || {
        let finished = |event: &Event| matches!(event, Event::DownloadFinished { .. }).then_some(());
        let arrived = Transfer::since(client, since, "ggoo").0.len();
        Ok(seen_if(client.find_event(since, finished).is_some(), || format!("{arrived} chunks are there")))
    })?;
    let took = began.elapsed();
    require_committed_once(client, since, "ggoo")?;
    require_same_game(client, seed, "ggoo")?;
    client.ask(&Request::RemoveDownload { game_id: game_id("ggoo")? })?;
    client.await_event(since, "the removal", |event| {
        matches!(event, Event::RemoveFinished { .. }).then_some(())
    })?;
    Ok(took)
}

/// Announces nearly every chunk of any game that the victim downloads, and sends none.
fn lie(stranger: &mut Stranger, answer: Option<Refusal>, over: &AtomicBool, asked: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        match stranger.next(Duration::from_millis(50)) {
            Some(NetEvent::Message { message: Message::Interested { game, content }, .. }) => {
                stranger.say(&Message::Interested { game, content });
                let bits = vec![0xff; CLAIMED / 8];
                stranger.say(&Message::HaveMap(HaveMap::Part { content, first: ChunkIndex(0), bits }));
            }
            Some(NetEvent::Requested { link, request: Asked::Chunk(request), .. }) => {
                asked.fetch_add(1, Ordering::Relaxed);
                if let Some(reason) = answer {
                    stranger.endpoint().refuse(link, request.id, reason);
                }
            }
            Some(NetEvent::Message { message: Message::Ping { nonce }, .. }) => {
                stranger.say(&Message::Pong { nonce });
            }
            _ => {}
        }
    }
}
