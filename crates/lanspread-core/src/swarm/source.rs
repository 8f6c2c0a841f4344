//! One source as a download sees it: its chunks, its rate and the requests at it.

use std::time::Duration;

use lanspread_types::ChunkSet;

use super::contact::Contact;
use super::doubt::{Doubt, SILENCE_FACTOR, SILENCE_MIN};
use super::tuning::Tuning;
use crate::time::Time;

/// Weight of the newest sample in a moving average. Two or three chunks make up half of the average, so a guest who
/// walks away from the access point is noticed within a few chunks, and one hiccup changes little.
const NEWEST: f64 = 0.25;

/// Chunks that come within this time are one sample of the rate. The runtime hands chunks over in batches, so two of
/// them may come at the same instant however slow the source is.
const SAMPLE_MIN: Duration = Duration::from_millis(10);

/// Time after its last chunk for which the rate of an idle source is valid: many chunk times, but short against a
/// download. A slow source gets at most one needless request per such interval.
const RATE_LASTS: Duration = Duration::from_secs(1);

/// State of one source.
#[derive(Debug)]
pub(super) struct Source {
    /// Chunks that the source is known to have.
    pub has: ChunkSet,
    /// The source had everything when it was first seen.
    pub seed: bool,
    /// Requests at the source that have not ended.
    pub requests: usize,
    /// Expected bytes of these requests.
    pub bytes_in_flight: u64,
    /// No request is made before this time.
    pub rests_until: Time,
    /// Whether the source answers at all.
    pub contact: Contact,
    /// Whether the source's claims are believed.
    pub doubt: Doubt,
    /// Rate while the source was busy for us.
    rate: Rate,
    /// Moving average of seconds from request to disk.
    latency: Option<f64>,
    /// Moving average of seconds for which the source refused before it delivered a chunk.
    crowding: Option<f64>,
    /// Time of the source's last chunk.
    last_stored: Time,
    /// Verified chunks from the source.
    pub chunks: u64,
    /// Verified bytes from the source.
    pub bytes: u64,
}

/// What one source has contributed to a download so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceFigures {
    /// Number of chunks that the source has.
    pub has: u32,
    /// Verified chunks from the source.
    pub chunks: u64,
    /// Verified bytes from the source.
    pub bytes: u64,
    /// Requests at the source that have not ended.
    pub requests: usize,
    /// Expected bytes of these requests.
    pub bytes_in_flight: u64,
    /// Time of the last chunk from the source; [`Time::START`] before the first.
    pub last_stored: Time,
}

impl Source {
    /// Creates a source with these chunks. It is a seed if these are all chunks.
    pub fn new(has: ChunkSet) -> Self {
        Self {
            seed: has.is_full(),
            has,
            requests: 0,
            bytes_in_flight: 0,
            rests_until: Time::START,
            contact: Contact::default(),
            doubt: Doubt::default(),
            rate: Rate::default(),
            latency: None,
            crowding: None,
            last_stored: Time::START,
            chunks: 0,
            bytes: 0,
        }
    }

    /// Notes a verified chunk. Time without a request at the source does not count towards its rate.
    pub fn stored(&mut self, bytes: u64, asked: Time, now: Time) {
        self.rate.add(bytes, now.since(asked.max(self.last_stored)));
        average(&mut self.latency, now.since(asked).as_secs_f64());
        average(&mut self.crowding, self.doubt.fruitless_for(now).as_secs_f64());
        self.last_stored = now;
        self.chunks += 1;
        self.bytes += bytes;
    }

    /// Returns the bytes per second while the source is busy for us; `None` before its first chunk.
    pub fn rate(&self) -> Option<f64> {
        self.rate.average
    }

    /// Returns the mean time from request to disk.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.map(Duration::from_secs_f64)
    }

    /// Returns the mean seconds for which the source refuses before it delivers a chunk.
    pub fn crowding(&self) -> Option<f64> {
        self.crowding
    }

    /// Returns true if the source's copies count: it is a fellow and its claims are believed.
    pub fn is_counted(&self) -> bool {
        !self.seed && self.doubt.is_credible()
    }

    /// Returns when a source that still owes an answer to the request of time `asked` counts as silent. A source of
    /// unknown rate counts as `usual`, in bytes per second.
    pub fn silent_at(&self, asked: Time, usual: f64) -> Time {
        let expected = self.backlog(0, usual).max(self.latency.unwrap_or(0.0)).min(3600.0);
        let patience = Duration::from_secs_f64(expected) * SILENCE_FACTOR;
        asked.max(self.last_stored) + patience.max(SILENCE_MIN)
    }

    /// Returns how many requests keep the source busy until the next one can reach it.
    pub fn depth(&self, chunk_bytes: u64, tuning: &Tuning) -> usize {
        let ahead = self.rate().unwrap_or(0.0) * tuning.pipeline.as_secs_f64() / chunk_bytes.max(1) as f64;
        (ahead.ceil() as usize + 1).clamp(tuning.depth_min, tuning.depth_max)
    }

    /// Returns the seconds that the bytes in flight and `bytes` more will take. A source of unknown rate counts as
    /// `usual`, in bytes per second.
    pub fn backlog(&self, bytes: u64, usual: f64) -> f64 {
        (self.bytes_in_flight + bytes) as f64 / self.rate().unwrap_or(usual).max(1.0)
    }

    /// Returns the backlog for a choice among many sources, in seconds. A source that has been idle for a while counts
    /// as at least as fast as `usual`. Otherwise a rate from a time when all receivers asked that source would keep it
    /// from ever being asked again, and its uplink would idle.
    pub fn backlog_as_seen(&self, bytes: u64, usual: f64, now: Time) -> f64 {
        let stale = self.requests == 0 && self.last_stored + RATE_LASTS <= now;
        if stale {
            bytes as f64 / self.rate().unwrap_or(usual).max(usual).max(1.0)
        } else {
            self.backlog(bytes, usual)
        }
    }

    /// Returns the times at which the source's state changes without input.
    pub fn changes(&self) -> impl Iterator<Item = Time> {
        let hopeless = self.doubt.hopeless_at();
        self.contact.next_change().chain(hopeless).chain([self.rests_until])
    }

    /// Returns the figures to show to people.
    pub fn figures(&self) -> SourceFigures {
        SourceFigures {
            has: self.has.count(),
            chunks: self.chunks,
            bytes: self.bytes,
            requests: self.requests,
            bytes_in_flight: self.bytes_in_flight,
            last_stored: self.last_stored,
        }
    }
}

/// Moving average of a rate in bytes per second.
#[derive(Debug, Default)]
struct Rate {
    average: Option<f64>,
    /// Bytes and time of the sample that is not long enough yet.
    open: (u64, Duration),
}

impl Rate {
    fn add(&mut self, bytes: u64, busy: Duration) {
        self.open.0 += bytes;
        self.open.1 += busy;
        if self.average.is_none() || self.open.1 >= SAMPLE_MIN {
            let (bytes, busy) = std::mem::take(&mut self.open);
            average(&mut self.average, bytes as f64 / busy.max(Duration::from_micros(1)).as_secs_f64());
        }
    }
}

fn average(slot: &mut Option<f64>, sample: f64) {
    *slot = Some(slot.map_or(sample, |old| old + NEWEST * (sample - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = lanspread_types::limits::CHUNK_BYTES_MIN;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn source() -> Source {
        Source::new(ChunkSet::full(8))
    }

    /// A source that sent one chunk, `ms` milliseconds after the request.
    fn taking(ms: u64) -> Source {
        let mut source = source();
        source.stored(CHUNK, at(0), at(ms));
        source
    }

    fn near(seconds: f64, expected: f64) -> bool {
        (seconds - expected).abs() < 1e-9
    }

    #[test]
    fn only_busy_time_counts_for_the_rate() {
        let mut source = source();
        assert_eq!((source.rate(), source.latency()), (None, None));
        source.stored(CHUNK, at(0), at(100));
        // Requested while the first was under way, and served after it.
        source.stored(CHUNK, at(50), at(200));
        assert_eq!(source.rate(), Some((10 * CHUNK) as f64));
        assert_eq!(source.latency(), Some(Duration::from_micros(112_500)));
        // The source was idle for a while; then it is twice as fast.
        source.stored(CHUNK, at(1000), at(1050));
        let figures = source.figures();
        assert_eq!((figures.chunks, figures.bytes), (3, 3 * CHUNK));
        let rate = source.rate().unwrap() / CHUNK as f64;
        assert!(near(rate, 12.5), "one sample is a quarter of the truth: {rate}");
    }

    /// A source sends a chunk every 50 ms, and the runtime hands over two at a time.
    #[test]
    fn batches_do_not_make_a_source_fast() {
        let mut source = source();
        for pair in 1..20 {
            source.stored(CHUNK, at(0), at(100 * pair));
            source.stored(CHUNK, at(0), at(100 * pair));
            let rate = source.rate().unwrap() / CHUNK as f64;
            assert!((9.0..=20.5).contains(&rate), "{rate} chunks a second after {pair} pairs");
        }
    }

    #[test]
    fn depth_keeps_source_busy_for_a_round_trip() {
        let tuning = Tuning::default();
        let depth = |source: Source| source.depth(CHUNK, &tuning);
        assert_eq!(
            depth(taking(5)),
            6,
            "five in the time that a request takes to get there, and one that is coming"
        );
        assert_eq!((depth(source()), depth(taking(1000))), (tuning.depth_min, tuning.depth_min));
        assert_eq!(depth(taking(0)), tuning.depth_max);
    }

    #[test]
    fn backlog_counts_bytes_in_flight_and_the_new_ones() {
        let (usual, mut known, mut unknown) = (20.0 * CHUNK as f64, taking(100), source());
        (known.bytes_in_flight, unknown.bytes_in_flight) = (2 * CHUNK, 2 * CHUNK);
        assert!(near(known.backlog(CHUNK, usual), 0.3) && near(unknown.backlog(CHUNK, usual), 0.15));
    }

    #[test]
    fn slow_source_is_tried_again_after_an_idle_second() {
        let usual = 10.0 * CHUNK as f64;
        let mut slow = taking(1000);
        let seen = |slow: &Source, ms| slow.backlog_as_seen(CHUNK, usual, at(ms));
        assert!(near(seen(&slow, 1500), 1.0) && near(seen(&slow, 2000), 0.1));
        assert!(near(seen(&taking(50), 2000), 0.05), "who was fast is not taken for slower than he is");
        (slow.requests, slow.bytes_in_flight) = (1, CHUNK);
        assert!(near(seen(&slow, 5000), 2.0), "he is not idle");
    }
}
