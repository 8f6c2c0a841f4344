//! Tests of downloads and uplinks: random histories, and the plans that scenarios rely on. Helpers for the other tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use lanspread_types::manifest::{FileEntry, SENTINEL};
use lanspread_types::message::{ChunkRequest, Refusal, RequestId};
use lanspread_types::tree::root_of;
use lanspread_types::{
    ChunkHash, ChunkIndex, ChunkSet, ChunkSize, GameContent, GameId, GameVersion, Manifest, PeerId, RelPath,
};

use super::{Failure, Picker, Rng, StartCheck, Tuning, Uplink, UplinkAction};
use crate::border::net::LinkId;
use crate::time::Time;

pub(super) const CHUNK: u64 = lanspread_types::limits::CHUNK_BYTES_MIN;

/// A game of `chunks` chunks; the last one is the sentinel.
pub(crate) fn content(chunks: u32) -> Arc<GameContent> {
    content_of(&[("game.eti", u64::from(chunks - 1) * CHUNK - 8), (SENTINEL, 8)])
}

/// A game of files with these sizes, in the order of their paths.
pub(crate) fn content_of(sizes: &[(&str, u64)]) -> Arc<GameContent> {
    let (mut files, mut hashes) = (Vec::new(), Vec::new());
    for &(path, size) in sizes {
        let chunk = ChunkSize::for_game(0);
        let list: Vec<_> = (0..chunk.chunks_in(size)).map(|i| ChunkHash([i as u8; 32])).collect();
        let root = root_of(&list, chunk, size).unwrap();
        files.push(FileEntry { path: RelPath::new(path).unwrap(), size, root });
        hashes.extend(list);
    }
    let game = GameId::new("game").unwrap();
    let manifest = Manifest::new(game, GameVersion::new(20_250_101).unwrap(), files).unwrap();
    Arc::new(GameContent::new(manifest, hashes).unwrap())
}

pub(super) fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

pub(super) fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

/// Constants of rooms without a relay line, in which the picker decides.
pub(super) fn picker() -> Tuning {
    Tuning { relay_line: false, ..Tuning::default() }
}

pub(super) fn download(chunks: u32) -> Picker {
    Picker::new(content(chunks), ChunkSet::empty(chunks), 7, picker())
}

/// Returns all requests that the download makes now.
pub(super) fn requests(download: &mut Picker, now: Time, ids: &mut u64) -> Vec<(PeerId, ChunkRequest)> {
    std::iter::from_fn(|| {
        download.next_request(now, &mut || {
            *ids += 1;
            RequestId(*ids)
        })
    })
    .collect()
}

#[test]
fn two_equal_sources_serve_exactly_half_each_and_no_chunk_twice() {
    let (mut download, mut ids) = (download(64), 0);
    (1..=2).for_each(|n| download.add_source(peer(n), ChunkSet::full(64), at(0)));
    let mut served: BTreeMap<PeerId, u32> = BTreeMap::new();
    for step in 0.. {
        if download.is_complete() {
            break;
        }
        assert!(step < 100, "no progress");
        for (source, request) in requests(&mut download, at(step), &mut ids) {
            *served.entry(source).or_default() += 1;
            assert!(download.stored(source, request.id, request.chunk, at(step + 1)).new);
        }
    }
    assert_eq!(served, BTreeMap::from([(peer(1), 32), (peer(2), 32)]));
    assert_eq!(download.duplicates(), 0);
}

/// A seed's disk cannot be read at one place. Its owner is not asked again for those chunks; the other seed is.
#[test]
fn unreadable_chunk_comes_from_another_seed() {
    for fellows in [false, true] {
        let (mut download, mut ids) = (download(16), 0);
        (1..=2).for_each(|n| download.add_source(peer(n), ChunkSet::full(16), at(0)));
        if fellows {
            (3..=8).for_each(|n| download.add_source(peer(n), ChunkSet::empty(16), at(0)));
        }
        let mut refused = Vec::new();
        for step in 0..100 {
            for (source, request) in requests(&mut download, at(step * 10), &mut ids) {
                let chunk = request.chunk;
                if source == peer(1) && chunk.0 < 8 {
                    refused.push(chunk);
                    let why = Failure::Refused(Refusal::ReadFailed);
                    download.failed(source, request.id, why, at(step * 10 + 1));
                } else {
                    download.stored(source, request.id, chunk, at(step * 10 + 1));
                }
            }
        }
        let times = refused.len();
        refused.sort_unstable();
        refused.dedup();
        assert!(times > 0 && times == refused.len(), "{times} refusals for {refused:?}");
        assert!(download.is_complete(), "{:?}", download.first_missing());
    }
}

/// The only seed cannot read a chunk. That chunk is not requested again and again, and all others arrive.
#[test]
fn chunk_that_no_seed_can_read_is_asked_for_once() {
    for fellows in [0, 5] {
        let (mut download, mut ids) = (download(8), 0);
        download.add_source(peer(1), ChunkSet::full(8), at(0));
        (2..2 + fellows).for_each(|n| download.add_source(peer(n), ChunkSet::empty(8), at(0)));
        let mut refused = 0;
        for step in 0..100 {
            for (source, request) in requests(&mut download, at(step * 100), &mut ids) {
                if request.chunk == ChunkIndex(2) {
                    refused += 1;
                    let why = Failure::Refused(Refusal::ReadFailed);
                    download.failed(source, request.id, why, at(step * 100));
                } else {
                    download.stored(source, request.id, request.chunk, at(step * 100));
                }
            }
        }
        assert_eq!(refused, 1, "times in vain");
        assert_eq!((download.had().count(), download.first_missing()), (7, Some(ChunkIndex(2))));
    }
}

#[test]
fn fellow_is_asked_for_announced_chunks() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    download.add_source(peer(2), ChunkSet::empty(32), at(0));
    let asked = requests(&mut download, at(0), &mut ids);
    assert!(asked.len() == 1 && asked[0].0 == peer(1), "{asked:?}");
    let (id, chunk) = (asked[0].1.id, asked[0].1.chunk);
    let other = ChunkIndex((chunk.0 + 1) % 32);
    assert_eq!(download.started(peer(1), id, other, at(1)), StartCheck::Breach);
    assert_eq!(download.started(peer(1), id, chunk, at(1)), StartCheck::Wanted);
    download.source_has(peer(2), &[other], at(2));
    let asked = requests(&mut download, at(2), &mut ids);
    assert!(asked.iter().any(|(source, r)| *source == peer(2) && r.chunk == other), "{asked:?}");
}

#[test]
fn helper_brings_late_chunk_and_cancels_slow_answer() {
    let (mut download, mut ids) = (download(16), 0);
    download.add_source(peer(1), ChunkSet::full(16), at(0));
    let first = requests(&mut download, at(0), &mut ids);
    download.add_source(peer(2), ChunkSet::full(16), at(1));
    let late = download.next_wakeup().unwrap();
    assert!(late >= at(500), "{late:?}");
    let chunk = first[0].1.chunk;
    let helped = loop {
        // The second source delivers its own share first; then it is free to help.
        let asked = requests(&mut download, late, &mut ids);
        if let Some(found) = asked.iter().find(|(_, r)| r.chunk == chunk) {
            break found.clone();
        }
        assert!(!asked.is_empty(), "nobody helps");
        for (source, request) in asked {
            download.stored(source, request.id, request.chunk, late);
        }
    };
    assert_eq!(helped.0, peer(2));
    download.stored(peer(2), helped.1.id, chunk, late);
    assert!(download.cancels().any(|cancel| cancel == (peer(1), first[0].1.id)));
}

/// A request for a chunk of a game that has `all` chunks.
pub(super) fn request_of(all: u32, id: u64, chunk: u32) -> ChunkRequest {
    let content = content(all);
    ChunkRequest {
        id: RequestId(id),
        game: content.manifest().game().clone(),
        content: content.content_id(),
        chunk: ChunkIndex(chunk),
    }
}

fn request(id: u64, chunk: u32) -> ChunkRequest {
    request_of(8, id, chunk)
}

fn serves(uplink: &mut Uplink) -> Vec<(PeerId, u32)> {
    std::iter::from_fn(|| uplink.next(at(0), |_, _| true))
        .filter_map(|action| match action {
            UplinkAction::Serve { peer, chunk, .. } => Some((peer, chunk.0)),
            UplinkAction::Refuse { .. } => None,
        })
        .collect()
}

#[test]
fn receivers_take_turns_and_a_crowd_is_refused() {
    let mut uplink = Uplink::new();
    for id in 0..8 {
        uplink.enqueue(LinkId(1), peer(1), request(id, id as u32), 8, at(0)).unwrap();
    }
    let ask = |uplink: &mut Uplink, n: u8, id, chunk| {
        uplink.enqueue(LinkId(u64::from(n)), peer(n), request(id, chunk), 8, at(0))
    };
    // A lone receiver may fill the queue, but must give way.
    assert_eq!(ask(&mut uplink, 2, 20, 0), Ok(()));
    assert_eq!(ask(&mut uplink, 1, 8, 7), Err(Refusal::TooMany), "there is a crowd now");
    let refused = uplink.next(at(0), |_, _| true);
    let (link, id, reason) = (LinkId(1), RequestId(7), Refusal::TooMany);
    assert_eq!(refused, Some(UplinkAction::Refuse { link, id, reason }), "the last one of who has most");
    assert_eq!(
        serves(&mut uplink),
        [(peer(1), 0), (peer(2), 0), (peer(1), 1)],
        "two at once to each at the most"
    );
}

/// Number of waiting requests, while nothing is being sent.
fn waiting(uplink: &Uplink) -> usize {
    uplink.active_per_game().values().sum()
}

#[test]
fn no_receiver_keeps_all_places() {
    let mut uplink = Uplink::new();
    uplink.set_limit(Some(1), at(0));
    let mut ask = |n: u8, id| {
        let asked = uplink.enqueue(LinkId(u64::from(n)), peer(n), request(id, 0), 8, at(0));
        (asked.is_ok(), waiting(&uplink))
    };
    assert_eq!((ask(1, 0), ask(1, 1), ask(1, 2)), ((true, 1), (true, 2), (true, 3)));
    assert_eq!(ask(2, 3), (true, 3), "nobody keeps them all");
    assert_eq!((ask(3, 4), ask(2, 5), ask(1, 6)), ((false, 3), (false, 3), (false, 3)), "they ask elsewhere");
}

proptest! {
    /// Random answers, failures and departures, with one source that has everything and stays: no source is asked for a
    /// chunk that it lacks, no chunk counts twice, bounds hold, and the download completes.
    #[test]
    fn random_histories_complete(seed in any::<u64>(), chunks in 2u32..80, sources in 1u8..6) {
        let mut rng = Rng::new(seed);
        let tuning = Tuning { in_flight_bytes: 8 * CHUNK, ..picker() };
        let mut download = Picker::new(content(chunks), ChunkSet::empty(chunks), seed, tuning.clone());
        let mut has: BTreeMap<PeerId, ChunkSet> = BTreeMap::new();
        has.insert(peer(0), ChunkSet::full(chunks));
        (1..sources).for_each(|n| { has.insert(peer(n), ChunkSet::empty(chunks)); });
        has.iter().for_each(|(peer, set)| download.add_source(*peer, set.clone(), at(0)));
        let (mut ids, mut now, mut stored) = (0, 0, 0);
        let mut open: Vec<(PeerId, ChunkRequest)> = Vec::new();
        for _ in 0..20_000 {
            if download.is_complete() {
                break;
            }
            now += 1 + rng.below(20);
            for (source, request) in requests(&mut download, at(now), &mut ids) {
                prop_assert!(has[&source].contains(request.chunk));
                prop_assert!(!download.had().contains(request.chunk));
                open.push((source, request));
            }
            prop_assert!(download.bytes_in_flight() <= 8 * CHUNK);
            prop_assert_eq!(download.requests_in_flight(), open.len());
            let other = peer(1 + rng.below(u64::from(sources)) as u8);
            match rng.below(10) {
                0 if has.contains_key(&other) => {
                    download.remove_source(other);
                    open.retain(|(source, _)| *source != other);
                    download.add_source(other, has[&other].clone(), at(now));
                }
                1..=4 if has.contains_key(&other) => {
                    let chunk = ChunkIndex(rng.below(u64::from(chunks)) as u32);
                    if let Some(set) = has.get_mut(&other) { set.insert(chunk); }
                    download.source_has(other, &[chunk], at(now));
                }
                _ => {}
            }
            if open.is_empty() {
                continue;
            }
            let (source, request) = open.swap_remove(rng.below(open.len() as u64) as usize);
            let chunk = request.chunk;
            match rng.below(6) {
                0 => download.failed(source, request.id, Failure::Lost, at(now)),
                1 => download.failed(source, request.id, Failure::Refused(Refusal::TooMany), at(now)),
                _ => {
                    prop_assert_ne!(download.started(source, request.id, chunk, at(now)), StartCheck::Breach);
                    let new = !download.had().contains(chunk);
                    prop_assert_eq!(download.stored(source, request.id, chunk, at(now)).new, new);
                    stored += u32::from(new);
                }
            }
            download.cancels().for_each(drop);
        }
        prop_assert!(download.is_complete(), "{download:?}");
        prop_assert_eq!(stored, chunks);
    }
}
