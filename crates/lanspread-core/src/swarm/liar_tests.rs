//! Tests with sources that claim chunks and never deliver, beside one honest seed, with and without a download limit.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_types::message::{ChunkRequest, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, PeerId};

use super::tests::{CHUNK, at, download, peer};
use super::{Failure, Picker, RateLimit};
use crate::time::Time;

const CHUNKS: u32 = 192;
const HONEST: u8 = 1;
/// Time that the honest source takes for a chunk.
const HONEST_TAKES: Duration = Duration::from_millis(15);
/// Time until a refusal arrives.
const REFUSAL_TAKES: Duration = Duration::from_millis(1);
const LIMIT: u64 = 30 * CHUNK;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    Silence,
    Refuses(Refusal),
    /// The liar refuses, and announces again that it has everything.
    Insists,
}

#[derive(Debug, Clone, Copy)]
struct Liars {
    count: u8,
    lie: Lie,
    /// The liars claim every chunk, like seeds. Otherwise they claim all but the last, like guests.
    seeds: bool,
    /// A new liar arrives every 100 ms. Otherwise all are there from the start.
    arriving: bool,
}

enum News {
    Stored(PeerId, RequestId, ChunkIndex),
    Failed(PeerId, RequestId, Refusal),
    Arrives(u8),
}

struct Room {
    download: Picker,
    limit: RateLimit,
    spent: BTreeMap<(PeerId, RequestId), u64>,
    news: BTreeMap<(Time, u64), News>,
    next: u64,
    liars: Liars,
    /// Time at which the honest source has answered all its requests.
    honest_free_at: Time,
    /// Number of requests to liars.
    wasted: usize,
}

impl Room {
    fn plan(&mut self, at: Time, news: News) {
        self.next += 1;
        self.news.insert((at, self.next), news);
    }

    fn claim(&mut self, liar: u8, now: Time) {
        let mut has = ChunkSet::full(CHUNKS);
        if !self.liars.seeds {
            has.remove(ChunkIndex(CHUNKS - 1));
        }
        self.download.add_source(peer(liar), has, now);
    }

    fn asked(&mut self, (source, request): (PeerId, ChunkRequest), now: Time) {
        if source == peer(HONEST) {
            self.honest_free_at = self.honest_free_at.max(now) + HONEST_TAKES;
            return self.plan(self.honest_free_at, News::Stored(source, request.id, request.chunk));
        }
        self.wasted += 1;
        match self.liars.lie {
            Lie::Silence => {}
            Lie::Refuses(why) => self.plan(now + REFUSAL_TAKES, News::Failed(source, request.id, why)),
            Lie::Insists => self.plan(now + REFUSAL_TAKES, News::Failed(source, request.id, Refusal::NotHad)),
        }
    }
}

/// Returns the seconds until the download is complete, or infinity after ten minutes.
fn seconds(liars: Liars, limit: Option<u64>) -> f64 {
    let mut room = Room {
        download: download(CHUNKS),
        limit: RateLimit::default(),
        spent: BTreeMap::new(),
        news: BTreeMap::new(),
        next: 0,
        liars,
        honest_free_at: Time::START,
        wasted: 0,
    };
    room.limit.set(limit, Time::START);
    room.download.add_source(peer(HONEST), ChunkSet::full(CHUNKS), Time::START);
    for n in 0..liars.count {
        let arrives = if liars.arriving { at(100 * u64::from(n)) } else { Time::START };
        room.plan(arrives, News::Arrives(HONEST + 1 + n));
    }
    let (mut now, mut ids) = (Time::START, 0);
    for _ in 0..2_000_000 {
        while room.limit.allows(now) {
            let next = room.download.next_request(now, &mut || {
                ids += 1;
                RequestId(ids)
            });
            let Some(ask) = next else { break };
            let bytes = if ask.1.chunk.0 == CHUNKS - 1 { 8 } else { CHUNK };
            room.limit.spend(bytes, now);
            room.spent.insert((ask.0, ask.1.id), bytes);
            room.asked(ask, now);
        }
        room.download.cancels().for_each(drop);
        if room.download.is_complete() {
            return now.since_start().as_secs_f64();
        }
        let woken = room.download.next_wakeup().into_iter().chain(room.limit.next_wakeup(now));
        let woken = woken.filter(|at| *at > now).min();
        let news = room.news.first_key_value().map(|((at, _), _)| *at);
        let Some(next) = woken.into_iter().chain(news).min() else { panic!("it waits for ever: {liars:?}") };
        now = next.max(now);
        if now.since_start() > Duration::from_secs(600) {
            return f64::INFINITY;
        }
        while let Some(entry) = room.news.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                News::Stored(source, id, chunk) => {
                    room.spent.remove(&(source, id));
                    room.download.started(source, id, chunk, now);
                    room.download.stored(source, id, chunk, now);
                }
                News::Failed(source, id, why) => {
                    if let Some(bytes) = room.spent.remove(&(source, id)) {
                        room.limit.refund(bytes);
                    }
                    room.download.failed(source, id, Failure::Refused(why), now);
                    if room.liars.lie == Lie::Insists {
                        room.claim(source.0[0], now);
                    }
                }
                News::Arrives(liar) => room.claim(liar, now),
            }
        }
    }
    panic!("there is no end to it: {liars:?}, {} requests to liars", room.wasted);
}

const LIES: [Lie; 6] = [
    Lie::Silence,
    Lie::Insists,
    Lie::Refuses(Refusal::NotHad),
    Lie::Refuses(Refusal::TooMany),
    Lie::Refuses(Refusal::Cancelled),
    Lie::Refuses(Refusal::ReadFailed),
];

/// Returns how many times as long a download takes among each kind of liars as without liars.
fn slowdowns(limit: Option<u64>) -> Vec<(Liars, f64)> {
    let none = Liars { count: 0, lie: Lie::Silence, seeds: false, arriving: false };
    let peace = seconds(none, limit);
    let mut all = Vec::new();
    for lie in LIES {
        for (count, arriving) in [(1, false), (30, false), (60, true)] {
            for seeds in [false, true] {
                let liars = Liars { count, lie, seeds, arriving };
                all.push((liars, seconds(liars, limit) / peace));
            }
        }
    }
    all
}

#[test]
fn limited_download_keeps_half_its_rate_among_liars() {
    for (liars, slower) in slowdowns(Some(LIMIT)) {
        assert!(slower <= 2.0, "{slower:.2} times as long with {liars:?}");
    }
}

#[test]
fn one_liar_stalls_no_unlimited_download() {
    for (liars, slower) in slowdowns(None).into_iter().filter(|(liars, _)| liars.count == 1) {
        assert!(slower <= 2.0, "{slower:.2} times as long with {liars:?}");
    }
}
