//! Peers that announce as many games as the protocol allows, and what the view of the room costs then.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use lanspread_api::reply::Room;
use lanspread_api::{Event, ReplyData, Request};
use lanspread_types::limits::GAMES_PER_PEER_MAX;
use lanspread_types::message::Message;

use super::flow::MIB;
use super::hostile::{fetch, median, resident};
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::stranger::{Stranger, offer};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S70",
    title: "the room view stays cheap",
    claim: "Twenty strangers with 4,096 games each make neither the view of the room slow nor honest peers silent, and push no honest game out of it",
    setup: "seed with 64 MiB; client; twenty strangers at addresses of their own, each announcing 4,096 games that nobody else has; then newcomer joins with a game of its own, and client fetches from seed while `room` is asked for again and again",
    expected: "each view comes within three seconds, costs the seed less than 300 ms of processor time, and holds 1,024 games, seed's and newcomer's among them, with the number of those left out; the seed keeps 65,536 offers; a download of 64 MiB takes at most twice the peaceful time; the seed loses no honest peer; its memory grows by less than 96 MiB",
    sabotages: &[
        Sabotage::new("list-the-whole-room", &["games in the view"]),
        Sabotage::new("hoard-offers", &["the seed keeps more offers than are allowed"]),
        Sabotage::new("first-come-offers", &["a newcomer's game finds no place beside those of strangers"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(crowded_room),
}];

const STRANGERS: u8 = 20;
/// Limits that `docs/limits.md` states.
const ROOM_GAMES_MAX: usize = 1024;
const DISTINCT_OFFERS_MAX: usize = 65_536;
/// Longest time until a view that was asked for arrives. The seed begins at most one view in half a second, and then
/// waits up to 0.8 seconds for peers that do not answer; the rest is spare.
const VIEW_WITHIN: Duration = Duration::from_secs(3);
/// Longest processor time of the seed for a view. The node needs less than 20 ms of it (`docs/limits.md`); the rest
/// goes into building and writing the answer in a program that is not optimised. Before peers kept an index of offers,
/// a view took 7.9 s with sixteen strangers.
const VIEW_COST_MAX: Duration = Duration::from_millis(300);
/// Most that the seed's memory may grow: the offers, and answers to `list-peers` that hold all of them.
const GROWTH_MAX: u64 = 96 * MIB;

fn crowded_room(lab: &Lab) -> Outcome {
    let seed = lab.peer("seed")?.game(&Game::blob("ggoo", 70, 64 * MIB))?.start()?;
    let client = lab.peer("client")?.start()?;
    seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    let mut peaceful = (0..3).map(|_| fetch(&client, &seed)).collect::<Outcome<Vec<_>>>()?;
    let (since, before) = (seed.mark(), resident(&seed)?);

    let mut strangers = Vec::new();
    for n in 0..STRANGERS {
        let ip: IpAddr = Ipv4Addr::new(127, 0, 70, n + 1).into();
        let mut stranger = Stranger::enter(seed.addr()?, ip, &format!("mallory {n}"))?;
        let games =
            (0..GAMES_PER_PEER_MAX).map(|game| offer(&format!("s{n}-{game}"), 20_250_101, [n; 32], 1));
        stranger.announce(&games.collect::<Outcome<Vec<_>>>()?);
        strangers.push(stranger);
    }
    eventually("the seed knows what the strangers announce", || {
        keep_alive(&strangers);
        let kept = offers_of(&seed, "mallory")?;
        Ok(if kept >= DISTINCT_OFFERS_MAX - 1 { Ok(()) } else { Err(format!("{kept} offers")) })
    })?;
    let newcomer = lab.peer("newcomer")?.game(&Game::blob("late", 71, MIB))?.start()?;
    newcomer.await_served("late")?;
    keep_alive(&strangers);
    newcomer.connect(&seed)?;
    seed.await_offered("late", 1).map_err(|Failure(why)| {
        Failure(format!("a newcomer's game finds no place beside those of strangers: {why}"))
    })?;
    let kept: usize = seed.peers()?.iter().map(|peer| peer.games.len()).sum();
    require!(
        kept <= DISTINCT_OFFERS_MAX,
        "the seed keeps more offers than are allowed: {kept}, at most {DISTINCT_OFFERS_MAX}"
    );

    let (mut slowest, mut dearest, mut peak) = (Duration::ZERO, Duration::ZERO, before);
    let mut attacked = Vec::new();
    for _ in 0..5 {
        keep_alive(&strangers);
        let (began, spent) = (Instant::now(), processor_time(&seed)?);
        let room = view(&seed)?;
        slowest = slowest.max(began.elapsed());
        dearest = dearest.max(processor_time(&seed)?.saturating_sub(spent));
        require_eq!(room.games.len(), ROOM_GAMES_MAX, "games in the view");
        require!(room.games_left_out > 60_000, "{} games are said to be left out", room.games_left_out);
        require!(room.games.iter().any(|game| game.game_id == "ggoo"), "the own game is not in the view");
        // Another view is made and sent while the client downloads.
        let fetched = std::thread::scope(|scope| {
            let viewing = scope.spawn(|| view(&seed).map_err(|Failure(why)| why));
            let fetched = fetch(&client, &seed);
            match viewing.join() {
                Ok(Ok(_)) => fetched,
                Ok(Err(why)) => Err(Failure(why)),
                Err(_) => fail!("the view panicked"),
            }
        });
        attacked.push(fetched?);
        peak = peak.max(resident(&seed)?);
    }
    let (peace, attacked) = (median(&mut peaceful), median(&mut attacked));
    figures::note(
        "S70",
        format!(
            "64 MiB in {} ms in peace, in {} ms meanwhile; with {STRANGERS} x {GAMES_PER_PEER_MAX} games a view took {} ms at most and {} ms of the seed's processor time; its \
             memory {} MiB before, {} MiB at the peak",
            peace.as_millis(),
            attacked.as_millis(),
            slowest.as_millis(),
            dearest.as_millis(),
            before / MIB,
            peak / MIB
        ),
    );
    require!(slowest < VIEW_WITHIN, "a view of the room took {slowest:?}");
    require!(dearest < VIEW_COST_MAX, "a view of the room cost {dearest:?} of processor time");
    require!(peak < before + GROWTH_MAX, "the seed's memory grew from {before} to {peak}");
    require!(attacked <= peace * 2, "64 MiB took {attacked:?} beside the views and {peace:?} in peace");
    let honest = [client.id(), newcomer.id()];
    for event in seed.events_since(since) {
        if let Event::PeerLost { peer_id, code, .. } = &event {
            require!(!honest.contains(peer_id), "the seed lost an honest peer: {code:?}");
        }
    }
    Ok(())
}

/// Sends a message for each stranger, because a silent peer is dropped after fifteen seconds.
fn keep_alive(strangers: &[Stranger]) {
    strangers.iter().for_each(|stranger| stranger.say(&Message::Pong { nonce: 0 }));
}

fn view(peer: &Peer) -> Outcome<Room> {
    match peer.ask(&Request::Room)? {
        ReplyData::Room(room) => Ok(room),
        other => fail!("room answered {other:?}"),
    }
}

fn offers_of(peer: &Peer, name: &str) -> Outcome<usize> {
    Ok(peer.peers()?.iter().filter(|other| other.name.starts_with(name)).map(|other| other.games.len()).sum())
}

/// Returns the processor time that the peer's process has used.
fn processor_time(peer: &Peer) -> Outcome<Duration> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may contain any character. The fields after it begin with the state; the 12th and 13th of
    // them are user and system time (proc(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts 100 ticks a second on all systems that this runs on.
    Ok(Duration::from_millis(ticks * 10))
}
