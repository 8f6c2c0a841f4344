//! Floods of control messages, and their effect on honest peers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lanspread_api::event::RefusalCode;
use lanspread_api::{Event, ReplyData, Request};
use lanspread_net::NetEvent;
use lanspread_types::message::{HaveMap, Message};
use lanspread_types::{ChunkIndex, ContentId, GameId};

use super::flow::MIB;
use super::hostile::{fetch, median, resident};
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::stranger::{Stranger, offer};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S71",
    title: "control floods",
    claim: "Floods of wishes, have maps, states and library updates are cut off and named; an organiser's wish still arrives, honest transfers keep half of their rate, and memory and lines stay bounded",
    setup: "seed with 64 MiB that sends 32 MB/s at most, client fetches it again and again, in peace before and after, and while four strangers at addresses of their own flood the seed, each with a new key whenever it is let go; meanwhile organiser wishes for another game",
    expected: "the seed names each of the four addresses by `peer-refused` with `protocol-error`; the organiser's wish is told of by `fetch-wanted`; of each stranger at most 8 wishes and, in a burst, 16 library changes are printed; the median of the transfers takes at most twice the peaceful time; the seed's memory grows by less than 64 MiB",
    sabotages: &[
        Sabotage::new("take-every-message", &["seed prints peer-refused for the flood of wishes"]),
        Sabotage::new("first-come-wishes", &["seed prints the organiser's wish"]),
        Sabotage::new("tell-every-library", &["library changes of"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(control_floods),
}];

const SIZE: u64 = 64 * MIB;
/// Upload limit of the seed. Attackers and peers share one machine, so without it the transfers would compete for the
/// processors.
const UPLOAD_LIMIT: u64 = 32_000_000;
/// Pause before a stranger returns with a new key. With it the four strangers begin 32 connections a second, as many
/// as admission takes from one machine; on loopback admission does not count them.
const BACK_AFTER: Duration = Duration::from_millis(125);
/// Most that the seed's resident memory may grow under the attack.
const GROWTH_MAX: u64 = 64 * MIB;
/// Number of downloads before, during and after the attack.
const TRANSFERS: usize = 3;
/// Limits that `docs/limits.md` states.
const WISHES_PER_PEER: usize = 8;
const LIBRARY_NEWS_BURST: usize = 16;
/// Longest stay of a stranger. It is usually dropped within about a second; on a busy machine it stays longer and
/// causes one more line a second.
const STAY_MAX_SECONDS: usize = 30;

fn control_floods(lab: &Lab) -> Outcome {
    let seed = lab.peer("seed")?.game(&Game::blob("ggoo", 71, SIZE))?.upload_limit(UPLOAD_LIMIT).start()?;
    let client = lab.peer("client")?.start()?;
    let organiser = lab.peer("organiser")?.start()?;
    seed.await_served("ggoo")?;
    client.connect(&seed)?;
    client.await_offered("ggoo", 1)?;
    organiser.connect(&seed)?;
    let mut in_peace = Vec::new();
    for _ in 0..TRANSFERS {
        in_peace.push(fetch(&client, &seed)?);
    }
    let before = resident(&seed)?;
    require!(before > 0, "this system does not tell how much memory a process has");

    let since = seed.mark();
    let floods: [(u8, &str, Flood); 4] = [
        (71, "wishes", wish),
        (72, "have maps", have_map),
        (73, "states", state),
        (74, "library updates", library),
    ];
    let attack = Attack::start(seed.addr()?, &floods);
    let mut under_attack = Vec::new();
    let mut peak = before;
    for _ in 0..TRANSFERS {
        under_attack.push(fetch(&client, &seed)?);
        peak = peak.max(resident(&seed)?);
    }
    for (host, what, _) in floods {
        let told = |event: &Event| match event {
            Event::PeerRefused { code: RefusalCode::ProtocolError, addr, reason, .. }
                if addr.ip() == address(host) =>
            {
                Some(reason.clone())
            }
            _ => None,
        };
        let (_, reason) = seed.await_event(since, &format!("peer-refused for the flood of {what}"), told)?;
        require!(
            reason.contains(&format!("the last ones: {what}")),
            "the flood of {what} is refused with {reason:?}"
        );
    }
    let wished = seed.mark();
    match organiser.ask(&Request::WantGame { game_id: GameId::new("evening")? })? {
        ReplyData::WantGame(_) => {}
        other => fail!("want-game answered {other:?}"),
    }
    seed.await_event(wished, "the organiser's wish", |event| match event {
        Event::DownloadWanted { game_id, .. } if game_id == "evening" => Some(()),
        _ => None,
    })?;
    let messages = attack.stop()?;
    require_few_lines(&seed, since)?;
    let after = resident(&seed)?;
    require!(
        peak.max(after) < before + GROWTH_MAX,
        "the seed's memory grew from {before} to {peak}, and was {after} at the end"
    );
    // Measured again after the attack, because the load of the machine may have changed.
    for _ in 0..TRANSFERS {
        in_peace.push(fetch(&client, &seed)?);
    }
    let (peaceful, attacked) = (median(&mut in_peace), median(&mut under_attack));
    figures::note(
        "S71",
        format!(
            "{} MiB in {} ms in peace, in {} ms while {messages} messages were sent (medians of {TRANSFERS}); the seed's \
             memory {} MiB before, {} MiB at the peak",
            SIZE / MIB,
            peaceful.as_millis(),
            attacked.as_millis(),
            before / MIB,
            peak / MIB
        ),
    );
    require!(
        attacked <= peaceful * 2,
        "under attack the transfer takes {attacked:?}, in peace {peaceful:?}: less than half of its rate is left"
    );
    Ok(())
}

/// Requires that each stranger causes few lines of output.
fn require_few_lines(seed: &Peer, since: crate::log::Mark) -> Outcome {
    let mut lines: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for event in seed.events_since(since) {
        let key = match event {
            Event::DownloadWanted { peer_id, .. } => (peer_id, "wishes"),
            Event::RemoteLibraryChanged { peer_id, .. } => (peer_id, "library changes"),
            _ => continue,
        };
        *lines.entry(key).or_default() += 1;
    }
    for ((peer, what), lines) in lines {
        let most = if what == "wishes" { WISHES_PER_PEER } else { LIBRARY_NEWS_BURST + STAY_MAX_SECONDS };
        require!(lines <= most, "{lines} {what} of {peer} were printed, {most} at most are allowed");
    }
    Ok(())
}

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 71, host).into()
}

/// Function that sends the `n`-th message of a flood.
type Flood = fn(&mut Stranger, u64) -> Outcome;

fn wish(stranger: &mut Stranger, n: u64) -> Outcome {
    stranger.say(&Message::DownloadWanted { game: GameId::new(format!("wish-{n}"))? });
    Ok(())
}

fn have_map(stranger: &mut Stranger, _: u64) -> Outcome {
    let (content, bits) = (ContentId([7; 32]), vec![0xff; 32 << 10]);
    stranger.say(&Message::HaveMap(HaveMap::Part { content, first: ChunkIndex(0), bits }));
    Ok(())
}

fn state(stranger: &mut Stranger, _: u64) -> Outcome {
    stranger.say(&Message::StateWanted);
    Ok(())
}

fn library(stranger: &mut Stranger, n: u64) -> Outcome {
    stranger.announce(&[offer("flicker", 20_250_101, [7; 32], n)?]);
    Ok(())
}

/// Strangers that each flood the seed in one way until they are stopped.
struct Attack {
    over: Arc<AtomicBool>,
    messages: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Outcome>>,
}

impl Attack {
    fn start(seed: SocketAddr, floods: &[(u8, &str, Flood)]) -> Self {
        let (over, messages) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let spawn = |&(host, _, flood): &(u8, &str, Flood)| {
            let (over, messages) = (Arc::clone(&over), Arc::clone(&messages));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // A stranger that was dropped or not admitted returns with a new key.
                    let Ok(stranger) = Stranger::enter(seed, address(host), "mallory") else { continue };
                    pour(stranger, flood, &over, &messages)?;
                    std::thread::sleep(BACK_AFTER);
                }
                Ok(())
            })
        };
        let threads = floods.iter().map(spawn).collect();
        Self { over, messages, threads }
    }

    /// Ends the attack and returns the number of messages sent.
    fn stop(self) -> Outcome<u64> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| Failure("a part of the attack panicked".to_owned()))??;
        }
        Ok(self.messages.load(Ordering::Relaxed))
    }
}

/// Sends the same kind of message until the seed closes the connection.
fn pour(mut stranger: Stranger, flood: Flood, over: &AtomicBool, messages: &AtomicU64) -> Outcome {
    // Messages in each millisecond: 64 MB/s of have maps, half of what a gigabit link carries, or 2,000 small
    // messages a second, more than a room of 200 peers sends.
    const AT_ONCE: u64 = 2;
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            return Ok(());
        }
        for n in 0..AT_ONCE {
            flood(&mut stranger, round * AT_ONCE + n)?;
        }
        messages.fetch_add(AT_ONCE, Ordering::Relaxed);
        while let Some(event) = stranger.next(Duration::from_millis(1)) {
            if matches!(event, NetEvent::Closed { .. }) {
                return Ok(());
            }
        }
    }
    Ok(())
}
