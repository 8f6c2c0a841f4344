//! Tests of how a download reacts to news about its sources.

use lanspread_types::message::{ChunkRequest, Refusal};
use lanspread_types::{ChunkIndex, ChunkSet, PeerId};

use super::tests::{CHUNK, at, content, download, peer, picker, requests};
use super::{Failure, Picker, Tuning};

fn chunks(of: &[u32]) -> Vec<ChunkIndex> {
    of.iter().copied().map(ChunkIndex).collect()
}

fn set(all: u32, of: &[u32]) -> ChunkSet {
    let mut set = ChunkSet::empty(all);
    chunks(of).into_iter().for_each(|chunk| assert!(set.insert(chunk)));
    set
}

/// A download with a seed (peer 1) and `fellows` fellows (from peer 2 on) without chunks.
fn crowd(all: u32, fellows: u8) -> Picker {
    let mut download = download(all);
    download.add_source(peer(1), ChunkSet::full(all), at(0));
    (2..2 + fellows).for_each(|n| download.add_fellow(peer(n), at(0)));
    download
}

/// Returns the chunks that were asked of one source.
fn asked_of(asked: &[(PeerId, ChunkRequest)], n: u8) -> Vec<u32> {
    asked.iter().filter(|(source, _)| *source == peer(n)).map(|(_, request)| request.chunk.0).collect()
}

/// Two hundred guests announce every chunk to each other, so news that changes nothing must cost no search.
#[test]
fn only_useful_news_wakes_a_download() {
    let (mut download, mut ids) = (crowd(200, 2), 0);
    let first = requests(&mut download, at(0), &mut ids).remove(0).1;
    download.started(peer(1), first.id, first.chunk, at(1));
    let [one, other] = [1, 2].map(|n| (first.chunk.0 + n) % 96);
    let window = download.window_range();
    assert!(requests(&mut download, at(1), &mut ids).is_empty() && window.end < 150);
    for useless in [window.end, window.end + 1, first.chunk.0] {
        download.source_has(peer(2), &chunks(&[useless]), at(2));
        assert!(download.is_settled(at(2)), "{useless} is too far ahead, or on its way");
    }
    download.source_has(peer(2), &chunks(&[one, 150]), at(3));
    assert!(!download.is_settled(at(3)));
    let asked = requests(&mut download, at(3), &mut ids);
    assert_eq!((asked.len(), asked_of(&asked, 2)), (1, vec![one]));
    // It has one request already, and its rate is not known yet.
    download.source_has(peer(2), &chunks(&[other]), at(4));
    assert_eq!(requests(&mut download, at(4), &mut ids).len(), 0);
    download.source_has(peer(2), &chunks(&[other]), at(5));
    assert!(download.is_settled(at(5)), "it has been said before");
    download.stored(peer(1), first.id, first.chunk, at(6));
    requests(&mut download, at(6), &mut ids);
    download.source_has(peer(3), &[first.chunk], at(7));
    assert!(download.is_settled(at(7)), "it is here");
}

#[test]
fn enough_requests_to_fellows_delay_the_next() {
    let most = picker().swarm_requests as u8;
    let (mut download, mut ids) = (download(64), 0);
    (0..most).for_each(|n| download.add_source(peer(n), set(64, &[u32::from(n)]), at(0)));
    download.add_fellow(peer(most), at(0));
    let asked = requests(&mut download, at(0), &mut ids);
    assert_eq!(asked.len(), usize::from(most));
    download.source_has(peer(most), &chunks(&[40]), at(1));
    assert!(download.is_settled(at(1)));
    let (source, request) = &asked[0];
    download.stored(*source, request.id, request.chunk, at(2));
    let next = requests(&mut download, at(2), &mut ids);
    assert_eq!((next.len(), asked_of(&next, most)), (1, vec![40]));
}

#[test]
fn idle_download_is_woken_by_any_news() {
    let (mut download, mut ids) = (download(200), 0);
    download.add_fellow(peer(2), at(0));
    assert!(requests(&mut download, at(0), &mut ids).is_empty() && !download.is_fed());
    download.source_has(peer(2), &chunks(&[150]), at(1));
    assert!(!download.is_settled(at(1)) && download.is_fed(), "far ahead, but there is hope again");
}

#[test]
fn chunk_is_asked_elsewhere_only_when_late() {
    let (mut download, mut ids) = (crowd(32, 1), 0);
    let first = requests(&mut download, at(0), &mut ids).remove(0).1;
    let chunk = first.chunk;
    download.started(peer(1), first.id, chunk, at(1));
    assert!(requests(&mut download, at(1), &mut ids).is_empty());
    download.source_has(peer(2), &[chunk], at(2));
    assert!(requests(&mut download, at(2), &mut ids).is_empty(), "it is on its way");
    assert!(download.next_wakeup().is_some_and(|late| late <= at(1000)), "{:?}", download.next_wakeup());
    let asked = requests(&mut download, at(1000), &mut ids);
    assert_eq!(asked_of(&asked, 2), [chunk.0]);
    assert!(download.stored(peer(2), asked[0].1.id, chunk, at(1001)).new);
    assert!(download.cancels().any(|cancel| cancel == (peer(1), first.id)));
    assert!(!download.stored(peer(1), first.id, chunk, at(1002)).new);
    assert_eq!(download.duplicates(), 1);
}

/// Thirty connections that drip unneeded bytes would hold all memory that there is for chunks.
#[test]
fn source_that_drips_unneeded_bytes_is_cut_off() {
    let (mut download, mut ids) = (download(8), 0);
    (1..=2).for_each(|n| download.add_source(peer(n), ChunkSet::full(8), at(0)));
    let asked = requests(&mut download, at(0), &mut ids);
    let (slow, request) = asked[0].clone();
    let chunk = request.chunk;
    download.started(slow, request.id, chunk, at(1));
    let helper = if slow == peer(1) { peer(2) } else { peer(1) };
    let mut next: Vec<_> = asked.into_iter().filter(|(source, _)| *source == helper).collect();
    while !download.had().contains(chunk) {
        for (_, request) in next.drain(..) {
            download.stored(helper, request.id, request.chunk, at(5010));
        }
        next = requests(&mut download, at(5010), &mut ids);
        next.retain(|(source, _)| *source == helper);
        assert!(!next.is_empty() || download.had().contains(chunk), "nobody else is asked for it");
    }
    assert!(download.stuck_sources(at(15_009)).is_empty());
    assert_eq!(download.stuck_sources(at(15_010)).into_iter().collect::<Vec<_>>(), [slow]);
    assert!(download.stuck_sources(at(60_000)).is_empty(), "once");
}

/// Seeds are asked first for chunks that no fellow has. If a copy still counted after its holder left, its chunk would
/// come last.
#[test]
fn lost_copy_is_asked_of_the_seed_again() {
    for leaves in [true, false] {
        let (mut download, mut ids) = (crowd(16, 2), 0);
        let all_but_three: Vec<u32> = (0..16).filter(|chunk| *chunk != 3).collect();
        download.add_source(peer(2), set(16, &[3]), at(0));
        download.add_source(peer(3), set(16, &all_but_three), at(0));
        let asked = requests(&mut download, at(0), &mut ids);
        assert_eq!(asked_of(&asked, 2), [3]);
        let (_, of_seed) = asked.iter().find(|(source, _)| *source == peer(1)).unwrap();
        if leaves {
            download.remove_source(peer(2));
        } else {
            let (_, request) = asked.iter().find(|(source, _)| *source == peer(2)).unwrap();
            download.failed(peer(2), request.id, Failure::Refused(Refusal::NotHad), at(1));
        }
        download.stored(peer(1), of_seed.id, of_seed.chunk, at(1));
        let asked = asked_of(&requests(&mut download, at(1), &mut ids), 1);
        assert_eq!(asked.first(), Some(&3), "{leaves}: {asked:?}");
    }
}

#[test]
fn repeated_announcements_count_once() {
    let tuning = Tuning { in_order_percent: 0, ..picker() };
    let mut download = Picker::new(content(32), ChunkSet::empty(32), 7, tuning);
    (2..5).for_each(|n| download.add_fellow(peer(n), at(0)));
    (0..5).for_each(|_| download.source_has(peer(2), &chunks(&[9]), at(1)));
    (2..5).for_each(|n| download.source_has(peer(n), &chunks(&[4]), at(1)));
    let first = requests(&mut download, at(2), &mut 0).remove(0);
    assert_eq!((first.0, first.1.chunk), (peer(2), ChunkIndex(9)));
}

#[test]
fn rejected_or_mismatched_peer_is_no_source() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    download.reject_source(peer(1));
    download.add_source(peer(1), ChunkSet::full(32), at(1));
    download.add_source(peer(2), ChunkSet::full(31), at(1));
    assert_eq!((download.source_count(), requests(&mut download, at(1), &mut ids).len()), (0, 0));
}

#[test]
fn seed_has_everything_when_first_seen() {
    let mut download = crowd(32, 2);
    download.add_fellow(peer(1), at(1));
    assert!(download.is_seed(peer(1)) && download.copies(ChunkIndex(3)) == 1, "what was known stays");
    download.add_source(peer(2), ChunkSet::full(32), at(2));
    assert!(download.is_seed(peer(2)), "connected first, heard of its chunks later");
    download.source_has(peer(3), &chunks(&[3]), at(2));
    download.add_source(peer(3), ChunkSet::full(32), at(3));
    assert!(!download.is_seed(peer(3)) && download.copies(ChunkIndex(3)) == 3, "it has got there with us");
    assert_eq!(download.source_count(), 3);
}

#[test]
fn refused_request_is_repeated_after_half_a_chunk() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    let first = requests(&mut download, at(0), &mut ids).remove(0).1;
    download.stored(peer(1), first.id, first.chunk, at(100));
    let next = requests(&mut download, at(100), &mut ids).remove(0).1;
    download.failed(peer(1), next.id, Failure::Refused(Refusal::TooMany), at(100));
    assert!(requests(&mut download, at(149), &mut ids).is_empty());
    assert_eq!(download.next_wakeup(), Some(at(150)));
    assert_eq!(asked_of(&requests(&mut download, at(150), &mut ids), 1).len(), 1);
}

#[test]
fn silent_source_loses_its_requests() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    let first = requests(&mut download, at(0), &mut ids).remove(0).1;
    assert!(requests(&mut download, at(60_000), &mut ids).is_empty());
    assert_eq!(download.cancels().collect::<Vec<_>>(), [(peer(1), first.id)]);
    download.add_source(peer(2), ChunkSet::full(32), at(60_001));
    let asked = requests(&mut download, at(60_001), &mut ids);
    assert_eq!(asked_of(&asked, 2), [first.chunk.0]);
}

#[test]
fn copies_in_room_follow_the_rarest_chunk() {
    let mut download = Picker::new(content(32), set(32, &[0, 1]), 7, picker());
    assert!((download.copies_in_room() - 2.0 / 32.0).abs() < 1e-9, "ours");
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    download.add_source(peer(2), set(32, &[1, 2, 3, 4, 5, 6]), at(0));
    assert!((download.copies_in_room() - 1.0 - 7.0 / 32.0).abs() < 1e-9, "{}", download.copies_in_room());
}

#[test]
fn bytes_in_flight_are_exact_and_bounded() {
    let tuning = Tuning { in_flight_bytes: 0, in_flight_chunks_min: 3, ..picker() };
    let (mut download, mut ids) = (Picker::new(content(32), ChunkSet::empty(32), 7, tuning), 0);
    (1..5).for_each(|n| download.add_source(peer(n), ChunkSet::full(32), at(0)));
    let asked = requests(&mut download, at(0), &mut ids);
    assert_eq!((asked.len(), download.bytes_in_flight()), (3, 3 * CHUNK));
    for (left, (source, request)) in (0..3).rev().zip(&asked) {
        download.stored(*source, request.id, request.chunk, at(1));
        assert_eq!(download.bytes_in_flight(), left * CHUNK);
    }
}

#[test]
fn request_in_flight_feeds_a_download() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    let asked = requests(&mut download, at(0), &mut ids);
    download.add_source(peer(1), ChunkSet::empty(32), at(1));
    assert!(download.is_fed());
    for (source, request) in asked {
        download.failed(source, request.id, Failure::Refused(Refusal::NotHad), at(2));
    }
    assert!(!download.is_fed());
}

#[test]
fn patience_counts_from_the_last_answer() {
    let (mut download, mut ids) = (download(32), 0);
    download.add_source(peer(1), ChunkSet::full(32), at(0));
    let first = requests(&mut download, at(0), &mut ids).remove(0).1;
    download.stored(peer(1), first.id, ChunkIndex(0), at(1));
    download.set_limit(3);
    let two = requests(&mut download, at(1), &mut ids);
    assert_eq!(asked_of(&two, 1), [1, 2]);
    download.stored(peer(1), two[0].1.id, ChunkIndex(1), at(2));
    assert_eq!((requests(&mut download, at(60_001), &mut ids).len(), download.cancels().count()), (0, 0));
    requests(&mut download, at(60_002), &mut ids);
    assert_eq!(download.cancels().collect::<Vec<_>>(), [(peer(1), two[1].1.id)]);
}

#[test]
fn chunk_missing_at_a_seed_comes_from_a_fellow() {
    let (mut download, mut ids) = (Picker::new(content(4), set(4, &[0, 1, 2]), 7, picker()), 0);
    download.add_source(peer(1), ChunkSet::full(4), at(0));
    let asked = requests(&mut download, at(0), &mut ids).remove(0).1;
    download.add_source(peer(2), set(4, &[3]), at(1));
    download.failed(peer(1), asked.id, Failure::Refused(Refusal::NotHad), at(2));
    assert_eq!(asked_of(&requests(&mut download, at(2), &mut ids), 2), [3]);
}
