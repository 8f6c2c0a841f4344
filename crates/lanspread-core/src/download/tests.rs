//! Tests of what people see of a download: bytes, rates and sources.

use super::*;
use crate::swarm::Tuning;
use crate::swarm::tests::{content, content_of};

const CHUNK: u64 = lanspread_types::limits::CHUNK_BYTES_MIN;
/// Chunks of the downloaded game; the last one is the sentinel of eight bytes.
const CHUNKS: u32 = 8;
const TOTAL: u64 = (CHUNKS as u64 - 1) * CHUNK;

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn set(chunks: impl IntoIterator<Item = u32>) -> ChunkSet {
    let mut set = ChunkSet::empty(CHUNKS);
    chunks.into_iter().for_each(|chunk| assert!(set.insert(ChunkIndex(chunk))));
    set
}

fn picker(had: ChunkSet) -> Picker {
    Picker::new(content(CHUNKS), had, 7, Tuning::default())
}

/// Returns a download that starts with these chunks.
fn transfer(had: impl IntoIterator<Item = u32>) -> Transfer {
    Transfer::new(content(CHUNKS), picker(set(had)), Duration::from_millis(100), at(0))
}

fn download(transfer: Transfer) -> Download {
    let content = content(CHUNKS);
    let (game, version) = (content.manifest().game().clone(), content.manifest().version());
    let mut download = Download::new(game, version, content.content_id(), true, at(0));
    download.phase = Phase::Transfer(Box::new(transfer));
    download
}

/// Returns what people see at a time.
fn progress(download: &mut Download, now: Time) -> DownloadProgress {
    let (game, started) = (download.game.clone(), download.started());
    download.transfer_mut().unwrap().progress(&game, started, now)
}

#[test]
fn present_chunks_count_as_done_not_as_received() {
    let mut download = download(transfer([0, 7]));
    assert_eq!(download.transfer().unwrap().total_bytes(), TOTAL);
    assert_eq!(download.transfer().unwrap().had_bytes(), CHUNK + 8);
    download.credit(peer(1), || "ann".to_owned(), 1, CHUNK, at(500));
    let seen = progress(&mut download, at(500));
    assert_eq!((seen.downloaded_bytes, seen.total_bytes), (2 * CHUNK + 8, TOTAL));
    let totals = download.totals(at(1000));
    assert_eq!((totals.bytes, totals.chunks, totals.duration), (CHUNK, 1, Duration::from_secs(1)));
}

#[test]
fn streamed_install_counts_only_needed_chunks() {
    let unneeded = set([0, 7]);
    let streamed =
        Transfer::streamed(content(CHUNKS), picker(set([0, 7])), unneeded, Duration::from_millis(100), at(0));
    assert_eq!((streamed.total_bytes(), streamed.had_bytes()), (TOTAL - CHUNK - 8, 0));
    assert!(!streamed.holds(ChunkIndex(0)), "it was never fetched");
    assert_eq!(streamed.held().count(), 0);
}

#[test]
fn only_arrived_chunks_can_be_served() {
    let transfer = transfer([2, 5]);
    assert!(transfer.holds(ChunkIndex(2)) && !transfer.holds(ChunkIndex(3)));
    assert_eq!(transfer.held(), set([2, 5]));
}

#[test]
fn rate_covers_the_last_two_seconds() {
    let mut download = download(transfer([]));
    download.credit(peer(1), || "ann".to_owned(), 1, CHUNK, at(1000));
    download.credit(peer(2), || "bob".to_owned(), 1, CHUNK, at(3000));
    let seen = progress(&mut download, at(3000));
    assert_eq!((seen.bytes_per_second, seen.active_peer_count), (CHUNK, 2), "two chunks in two seconds");
    let seen = progress(&mut download, at(3001));
    assert_eq!((seen.bytes_per_second, seen.active_peer_count), (CHUNK / 2, 1), "ann's is too long ago");
    assert_eq!(download.transfer().unwrap().rate(at(0), at(3001)), CHUNK / 2);
    assert_eq!(download.transfer().unwrap().rate(at(0), at(5001)), 0, "a look in between forgets as well");
    let seen = progress(&mut download, at(5001));
    assert_eq!((seen.bytes_per_second, seen.active_peer_count, seen.downloaded_bytes), (0, 0, 2 * CHUNK));
}

#[test]
fn each_source_has_its_own_rate() {
    let mut download = download(transfer([]));
    for ms in (0..6000).step_by(100) {
        let bursts = if ms % 1000 == 0 { 10 } else { 0 };
        download.credit(peer(1), || "ann".to_owned(), 1, CHUNK, at(ms));
        download.credit(peer(2), || "bob".to_owned(), bursts, bursts * CHUNK / 100, at(ms));
    }
    let rates = download.transfer().unwrap().rates(at(0), at(5999));
    let expected = [(peer(1), 10 * CHUNK), (peer(2), CHUNK / 10)];
    assert_eq!(rates, expected.into(), "what a source sends in bursts counts over the whole time");
}

#[test]
fn estimate_is_steady_at_a_steady_rate() {
    let mut estimate = Estimate::default();
    let mut arrived = 0;
    // 1 MB/s in pieces of 0.4 s, of which every third is late.
    let mut pieces = (0..).map(|n| n * 400 + if n % 3 == 2 { 300 } else { 0 }).peekable();
    for now in (0..30_000).step_by(100) {
        while pieces.next_if(|at| *at <= now).is_some() {
            estimate.add(400_000, at(now));
            arrived += 400_000;
        }
        if now >= 2000 {
            let left = estimate.seconds_left(60_000_000 - arrived, at(now)).unwrap() as f64;
            // What 0.3 s more or less mean for a rate that is measured over the last ten seconds at most.
            let error = 60.0 * 0.3 / ((now as f64 / 1000.0).min(10.0) - 0.3) + 1.0;
            let end = now as f64 / 1000.0 + left;
            assert!((end - 60.0).abs() <= error, "after {now} ms the end is said to be at {end} s");
        }
    }
}

#[test]
fn estimate_waits_for_two_seconds_and_forgets_a_pause() {
    let mut estimate = Estimate::default();
    assert_eq!(estimate.seconds_left(100, at(0)), None);
    estimate.add(10, at(0));
    assert_eq!(estimate.seconds_left(100, at(1999)), None);
    estimate.add(10, at(2000));
    assert_eq!(estimate.seconds_left(100, at(2000)), Some(20));
    assert_eq!(estimate.seconds_left(100, at(4001)), None, "nothing arrives");
    for ms in (60_000..=64_000).step_by(500) {
        estimate.add(100, at(ms));
    }
    assert_eq!(estimate.seconds_left(400, at(64_000)), Some(2), "the minute without bytes does not count");
}

#[test]
fn meter_holds_no_more_than_its_window() {
    let mut download = download(transfer([]));
    for ms in 0..10_000 {
        download.credit(peer(1), || "ann".to_owned(), 1, 1, at(ms));
    }
    assert_eq!(download.transfer().unwrap().meter.recent.len(), 2001);
}

#[test]
fn young_download_is_measured_since_its_start() {
    let mut download = download(transfer([]));
    download.credit(peer(1), || "ann".to_owned(), 1, CHUNK, at(500));
    assert_eq!(progress(&mut download, at(500)).bytes_per_second, 2 * CHUNK);
    assert_eq!(per_second(1000, Duration::ZERO), 1_000_000, "no division by nothing");
}

#[test]
fn download_is_fed_while_a_source_has_missing_chunks() {
    let mut waiting = transfer([]);
    assert!(waiting.is_fed());
    waiting.starving_since = Some(at(0));
    assert!(!waiting.is_fed());
    assert!(!transfer(0..CHUNKS).is_fed(), "nothing is missing");
}

#[test]
fn streamed_install_does_not_install_again() {
    let streamed = download(transfer([])).streamed();
    assert!(streamed.stream && !streamed.install);
}

#[test]
fn archive_bytes_below_a_chunk_are_counted() {
    let content = content(CHUNKS);
    let archive = TOTAL - 8;
    for (below, bytes) in [(0, 0), (1, CHUNK), (6, 6 * CHUNK), (7, archive), (8, archive), (99, archive)] {
        assert_eq!(archive_bytes_below(&content, ChunkIndex(below)), bytes, "{below}");
    }
    let two =
        content_of(&[("a.eti", 2 * CHUNK), ("between.txt", CHUNK), ("c.eti", CHUNK + 5), ("version.ini", 8)]);
    for (below, bytes) in [(2, 2), (3, 2), (4, 3)].map(|(below, chunks)| (below, chunks * CHUNK)) {
        assert_eq!(archive_bytes_below(&two, ChunkIndex(below)), bytes, "{below}");
    }
    assert_eq!(archive_bytes_below(&two, ChunkIndex(5)), 3 * CHUNK + 5);
}

#[test]
fn duration_counts_from_the_command() {
    let content = content(CHUNKS);
    let (game, version) = (content.manifest().game().clone(), content.manifest().version());
    let download = Download::new(game, version, content.content_id(), true, at(700));
    assert_eq!(
        (download.started(), download.totals(at(900)).duration),
        (at(700), Duration::from_millis(200))
    );
}
