//! Tests of the picker: the order of the chunks, the share of each source, and which source helps.

use lanspread_types::message::{ChunkRequest, Refusal};
use lanspread_types::{ChunkIndex, ChunkSet, PeerId};

use super::tests::{at, content, download, peer, picker, requests};
use super::{Failure, Picker, Tuning};

/// A download with one source for each of these lists of chunks, from peer 2 on. `seed` is the seed of its random
/// choices.
fn knowing(seed: u64, tuning: Tuning, sources: &[&[u32]]) -> Picker {
    let mut download = Picker::new(content(32), ChunkSet::empty(32), seed, tuning);
    for (n, has) in sources.iter().enumerate() {
        let mut set = ChunkSet::empty(32);
        has.iter().for_each(|&chunk| assert!(set.insert(ChunkIndex(chunk))));
        download.add_source(peer(n as u8 + 2), set, at(0));
    }
    download
}

fn crowd(fellows: u8) -> Picker {
    let mut download = download(32);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    (2..2 + fellows).for_each(|n| download.add_fellow(peer(n), at(0)));
    download
}

fn first(asked: &[(PeerId, ChunkRequest)]) -> (PeerId, u32) {
    (asked[0].0, asked[0].1.chunk.0)
}

#[test]
fn lone_receiver_gets_chunks_in_order() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    let mut order = Vec::new();
    for step in 0..32 {
        let mut asked = requests(&mut download, at(step), &mut ids);
        order.extend(asked.iter().map(|(_, request)| request.chunk.0));
        assert_eq!(download.window_range().start, download.first_missing().unwrap().0);
        for (source, request) in asked.drain(..) {
            assert!(download.stored(source, request.id, request.chunk, at(step)).new);
        }
        if download.is_complete() {
            break;
        }
    }
    assert_eq!(order, (0..32).collect::<Vec<_>>());
}

/// Rarest first keeps the chunks of the room different; a quarter in order keeps the front from being left to the end.
#[test]
fn quarter_of_requests_to_fellows_are_in_order() {
    let in_order = |seed: u64| {
        let mut download = knowing(seed, picker(), &[&[0, 9], &[0]]);
        first(&requests(&mut download, at(0), &mut 0)).1 == 0
    };
    let times = (0..1000).filter(|&seed| in_order(seed)).count();
    assert!((200..300).contains(&times), "{times} of 1000");
}

#[test]
fn equally_rare_chunks_are_equally_likely() {
    let all: Vec<u32> = (0..16).collect();
    let mut times = [0; 16];
    for seed in 0..1600 {
        let tuning = Tuning { in_order_percent: 0, ..picker() };
        let mut download = knowing(seed, tuning, &[&all]);
        times[first(&requests(&mut download, at(0), &mut 0)).1 as usize] += 1;
    }
    assert!(times.iter().all(|n| (60..140).contains(n)), "{times:?}");
}

#[test]
fn requests_to_all_fellows_are_bounded() {
    let has: Vec<[u32; 1]> = (0..30).map(|chunk| [chunk]).collect();
    let has: Vec<&[u32]> = has.iter().map(|has| &has[..]).collect();
    let mut download = knowing(7, picker(), &has);
    assert_eq!(requests(&mut download, at(0), &mut 0).len(), picker().swarm_requests);
}

/// Fellows know nothing of each other's requests, and still rarely ask a seed for the same chunk. Each asks for one
/// chunk at first, so a liar costs one chunk.
#[test]
fn fellows_draw_different_chunks_from_a_seed() {
    let mut times = [0; 32];
    for seed in 0..1600 {
        let mut download = Picker::new(content(32), ChunkSet::empty(32), seed, picker());
        download.add_source(peer(1), ChunkSet::full(32), at(0));
        download.add_fellow(peer(2), at(0));
        let asked = requests(&mut download, at(0), &mut 0);
        assert_eq!(asked.len(), 1);
        times[first(&asked).1 as usize] += 1;
    }
    assert!(times.iter().all(|n| (25..80).contains(n)), "{times:?}");
}

/// The seed is asked for chunks that no fellow has, and for the rest once there is nothing else.
#[test]
fn seed_is_asked_first_for_what_no_fellow_has() {
    let (mut download, mut ids) = (crowd(1), 0);
    let all_but_two: Vec<ChunkIndex> = (0..30).map(ChunkIndex).collect();
    download.source_has(peer(2), &all_but_two, at(0));
    let mut of_seed = Vec::new();
    for step in 0..32 {
        for (source, request) in requests(&mut download, at(step), &mut ids) {
            if source == peer(1) {
                of_seed.push(request.chunk.0);
                download.stored(source, request.id, request.chunk, at(step));
            }
        }
    }
    of_seed[..2].sort_unstable();
    assert!(of_seed[..2] == [30, 31] && of_seed.len() == 31, "the fellow keeps one: {of_seed:?}");
}

#[test]
fn limit_bounds_requested_chunks() {
    let (mut download, mut ids) = (crowd(2), 0);
    download.set_limit(10);
    for step in 0..10 {
        for (source, request) in requests(&mut download, at(step), &mut ids) {
            download.stored(source, request.id, request.chunk, at(step));
        }
    }
    assert_eq!((download.had().count(), download.have_below()), (10, ChunkIndex(10)));
}

#[test]
fn window_grows_with_downloading_peers() {
    let mut download = download(200);
    (2..18).for_each(|n| download.add_fellow(peer(n), at(0)));
    assert_eq!(download.window_range(), 0..98, "seventeen");
    let all: Vec<ChunkIndex> = (0..200).map(ChunkIndex).collect();
    download.source_has(peer(2), &all, at(1));
    assert_eq!(download.window_range(), 0..96, "sixteen");
}

#[test]
fn late_chunk_is_asked_only_of_its_holders() {
    let (mut download, mut ids) = (crowd(1), 0);
    let asked = requests(&mut download, at(0), &mut ids).remove(0).1;
    download.started(peer(1), asked.id, asked.chunk, at(1));
    assert_eq!(requests(&mut download, at(1), &mut ids).len(), 0);
    let late = download.next_wakeup().unwrap();
    assert_eq!(requests(&mut download, late, &mut ids).len(), 0, "the fellow has nothing");
    assert!(download.is_settled(late) && download.next_wakeup().is_none_or(|next| next > late));
    download.source_has(peer(2), &[asked.chunk], late);
    assert_eq!(first(&requests(&mut download, late, &mut ids)), (peer(2), asked.chunk.0));
}

/// Five slow sources are busy with two chunks each, and a fast one has brought all the rest.
#[test]
fn fast_source_helps_once_with_each_last_chunk() {
    let (mut download, mut ids) = (download(40), 0);
    (1..6).for_each(|n| download.add_source(peer(n), ChunkSet::full(40), at(0)));
    for (source, request) in requests(&mut download, at(0), &mut ids) {
        download.stored(source, request.id, request.chunk, at(1000));
    }
    let mut slow = requests(&mut download, at(1000), &mut ids);
    assert_eq!(slow.len(), 10);
    let fast = peer(6);
    download.add_source(fast, ChunkSet::full(40), at(1000));
    let mut asked = requests(&mut download, at(1000), &mut ids);
    for ms in 1001.. {
        if asked.is_empty() {
            break;
        }
        for (source, request) in std::mem::take(&mut asked) {
            assert_eq!(source, fast);
            download.stored(source, request.id, request.chunk, at(ms));
            asked.extend(requests(&mut download, at(ms), &mut ids));
        }
    }
    assert_eq!(40 - download.had().count(), 10, "nobody helps who is not needed");
    let mut now = 1000;
    let mut arrives = |download: &mut Picker, times| {
        for (source, request) in slow.drain(..times) {
            now += 300;
            download.stored(source, request.id, request.chunk, at(now));
        }
        requests(download, at(now), &mut ids)
    };
    assert_eq!(arrives(&mut download, 5), []);
    let mut helped = arrives(&mut download, 1);
    helped.sort_by_key(|(_, request)| request.chunk);
    assert!(helped.iter().all(|(source, _)| *source == fast));
    let chunks: Vec<ChunkIndex> = helped.iter().map(|(_, request)| request.chunk).collect();
    assert_eq!(chunks, download.had().missing_from(0).collect::<Vec<_>>());
}

#[test]
fn failed_source_is_tried_with_one_chunk() {
    let tried_again = |download: &mut Picker, n: u8| {
        let mut ids = 0;
        let mut asked = requests(download, at(0), &mut ids);
        asked.retain(|(source, _)| *source == peer(n));
        download.failed(peer(n), asked[0].1.id, Failure::Lost, at(0));
        let mut asked = requests(download, at(1000), &mut ids);
        asked.retain(|(source, _)| *source == peer(n));
        asked.len()
    };
    assert_eq!(tried_again(&mut crowd(0), 1), 1);
    assert_eq!(tried_again(&mut crowd(2), 1), 1);
    let mut fellow = crowd(2);
    fellow.source_has(peer(2), &[ChunkIndex(3)], at(0));
    assert_eq!(tried_again(&mut fellow, 2), 1);
}

/// Lets a fellow deliver one chunk in `ms` milliseconds.
fn delivers(download: &mut Picker, n: u8, chunk: u32, ms: u64, ids: &mut u64) {
    download.source_has(peer(n), &[ChunkIndex(chunk)], at(0));
    let asked = requests(download, at(0), ids);
    assert_eq!(first(&asked), (peer(n), chunk));
    download.stored(peer(n), asked[0].1.id, ChunkIndex(chunk), at(ms));
}

#[test]
fn faster_fellow_is_asked() {
    for chunk in 2..18 {
        let (mut download, mut ids) = (knowing(7, picker(), &[&[], &[]]), 0);
        delivers(&mut download, 2, 0, 500, &mut ids);
        delivers(&mut download, 3, 1, 50, &mut ids);
        [2, 3].iter().for_each(|&n| download.source_has(peer(n), &[ChunkIndex(chunk)], at(500)));
        assert_eq!(first(&requests(&mut download, at(500), &mut ids)), (peer(3), chunk));
    }
}

#[test]
fn equally_fast_fellows_are_asked_equally_often() {
    for chunk in [0, 21] {
        let mut times = [0; 4];
        for ms in 1..=400 {
            let has: &[u32] = &[chunk];
            let mut download = knowing(7, picker(), &[has, has, has, has]);
            let (fellow, _) = first(&requests(&mut download, at(ms), &mut 0));
            times[usize::from(fellow.0[0]) - 2] += 1;
        }
        assert!(times.iter().all(|n| (60..140).contains(n)), "{times:?}");
    }
}

#[test]
fn failed_fellow_is_tried_with_one_chunk() {
    let (mut download, mut ids) = (knowing(7, picker(), &[&[]]), 0);
    delivers(&mut download, 2, 0, 10, &mut ids);
    let more: Vec<ChunkIndex> = (1..20).map(ChunkIndex).collect();
    download.source_has(peer(2), &more, at(10));
    let asked = requests(&mut download, at(10), &mut ids);
    assert!(asked.len() > 1, "he is known");
    asked.iter().for_each(|(_, request)| download.failed(peer(2), request.id, Failure::Lost, at(11)));
    assert_eq!(requests(&mut download, at(1010), &mut ids).len(), 0);
    assert_eq!(requests(&mut download, at(1011), &mut ids).len(), 1);
}

/// Two seeds share the chunks. Seed 1 sends ten a second, and has two in flight and `to_go` of its share left. Seed 2
/// sends five a second, and has sent its share. Returns the download at that moment, its open requests, and the time in
/// milliseconds.
fn one_is_done(to_go: u32, ids: &mut u64) -> (Picker, Vec<(PeerId, ChunkRequest)>, u64) {
    let late_min = std::time::Duration::from_secs(60);
    let tuning = Tuning { late_min, endgame_chunks: 0, ..picker() };
    let mut download = Picker::new(content(64), ChunkSet::empty(64), 7, tuning);
    (1..3).for_each(|n| download.add_source(peer(n), ChunkSet::full(64), at(0)));
    download.set_limit(2);
    for (source, request) in requests(&mut download, at(0), ids) {
        download.stored(source, request.id, request.chunk, at(100 * u64::from(source.0[0])));
    }
    download.set_limit(2 + 2 * (2 + to_go));
    let (mut now, mut open) = (200, Vec::new());
    for _ in 0..2 + to_go {
        open.extend(requests(&mut download, at(now), ids));
        now += 200;
        let next = open.iter().position(|(source, _)| *source == peer(2)).unwrap();
        let (source, request) = open.remove(next);
        download.stored(source, request.id, request.chunk, at(now));
    }
    (download, open, now)
}

#[test]
fn idle_seed_takes_over_if_much_sooner() {
    for (to_go, taken) in [(1, 0), (3, 1), (15, 2)] {
        let mut ids = 0;
        let (mut download, mut open, now) = one_is_done(to_go, &mut ids);
        open.extend(requests(&mut download, at(now), &mut ids));
        let at_it = |n| open.iter().filter(|(source, _)| *source == peer(n)).count();
        assert_eq!((at_it(1), at_it(2)), (2, taken), "{to_go} to go");
    }
}

#[test]
fn idle_seed_takes_over_from_a_crowded_one() {
    let mut ids = 0;
    let (mut download, open, now) = one_is_done(1, &mut ids);
    assert!(open.iter().all(|(source, _)| *source == peer(1)));
    download.failed(peer(1), open[0].1.id, Failure::Refused(Refusal::TooMany), at(now));
    let asked = requests(&mut download, at(now), &mut ids);
    assert_eq!((first(&asked).0, asked.len()), (peer(2), 2));
}
