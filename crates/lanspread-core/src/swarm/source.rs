//! One source, as a download sees it: what it has, how fast it is, what it was asked for.

use std::time::Duration;

use lanspread_types::ChunkSet;

use super::contact::Contact;
use super::doubt::{Doubt, SILENCE_FACTOR, SILENCE_MIN};
use super::tuning::Tuning;
use crate::time::Time;

/// Weight of the newest sample in a moving average: half of it is the last two or three chunks, so a guest who walks
/// away from the access point is noticed within a few chunks, and one hiccup is not.
const NEWEST: f64 = 0.25;

/// How long a rate tells something after the last chunk came: many chunks' time, and little against a download. A slow
/// guest is asked for one chunk in vain so often.
const RATE_LASTS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Source {
    pub has: ChunkSet,
    /// It had everything when it was first seen.
    pub seed: bool,
    /// Requests without an answer, and their bytes.
    pub requests: usize,
    pub bytes_in_flight: u64,
    /// Not asked before this.
    pub rests_until: Time,
    /// Whether it answers at all.
    pub contact: Contact,
    /// Whether what it says is believed.
    pub doubt: Doubt,
    rate: Option<f64>,
    latency: Option<f64>,
    /// Seconds for which it refused before a chunk came.
    crowding: Option<f64>,
    last_stored: Time,
    pub chunks: u64,
    pub bytes: u64,
}

/// What a source has contributed so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceFigures {
    /// Chunks that it has.
    pub has: u32,
    /// Chunks and bytes that came from it, verified.
    pub chunks: u64,
    pub bytes: u64,
    /// Bytes per second while it was busy for us; 0 as long as nothing came.
    pub bytes_per_second: u64,
    pub requests: usize,
    pub bytes_in_flight: u64,
    /// When the last chunk came from it.
    pub last_stored: Time,
}

impl Source {
    pub fn new(has: ChunkSet) -> Self {
        Self {
            seed: has.is_full(),
            has,
            requests: 0,
            bytes_in_flight: 0,
            rests_until: Time::START,
            contact: Contact::default(),
            doubt: Doubt::default(),
            rate: None,
            latency: None,
            crowding: None,
            last_stored: Time::START,
            chunks: 0,
            bytes: 0,
        }
    }

    /// Notes a chunk that came. Time in which nothing was asked of the source says nothing about its rate.
    pub fn stored(&mut self, bytes: u64, asked: Time, now: Time) {
        let busy = now.since(asked.max(self.last_stored)).max(Duration::from_micros(1));
        average(&mut self.rate, bytes as f64 / busy.as_secs_f64());
        average(&mut self.latency, now.since(asked).as_secs_f64());
        average(&mut self.crowding, self.doubt.fruitless_for(now).as_secs_f64());
        self.last_stored = now;
        self.chunks += 1;
        self.bytes += bytes;
    }

    /// Bytes per second while busy for us.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// How long an answer takes, from request to disk.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.map(Duration::from_secs_f64)
    }

    /// For how many seconds it refuses before a chunk comes.
    pub fn crowding(&self) -> Option<f64> {
        self.crowding
    }

    /// Whether its copies count: it is no seed, and what it says is believed.
    pub fn is_counted(&self) -> bool {
        !self.seed && self.doubt.is_credible()
    }

    /// Until when something should have come of a request. An unknown source counts as `usual`.
    pub fn silent_at(&self, asked: Time, usual: f64) -> Time {
        let expected = self.backlog(0, usual).max(self.latency.unwrap_or(0.0)).min(3600.0);
        let patience = Duration::from_secs_f64(expected) * SILENCE_FACTOR;
        asked.max(self.last_stored) + patience.max(SILENCE_MIN)
    }

    /// How many requests keep the source busy until the next can reach it.
    pub fn depth(&self, chunk_bytes: u64, tuning: &Tuning) -> usize {
        let ahead = self.rate.unwrap_or(0.0) * tuning.pipeline.as_secs_f64() / chunk_bytes.max(1) as f64;
        (ahead.ceil() as usize + 1).clamp(tuning.depth_min, tuning.depth_max)
    }

    /// How long what is in flight and `bytes` more will take, in seconds. An unknown source counts as `usual`.
    pub fn backlog(&self, bytes: u64, usual: f64) -> f64 {
        (self.bytes_in_flight + bytes) as f64 / self.rate.unwrap_or(usual).max(1.0)
    }

    /// The same for a choice among many. A source that nothing was asked of for a while is as good as unknown: judged for
    /// ever by what it was while everybody asked it, it would never be asked again, and its uplink would idle.
    pub fn backlog_as_seen(&self, bytes: u64, usual: f64, now: Time) -> f64 {
        let stale = self.requests == 0 && self.last_stored + RATE_LASTS <= now;
        if stale {
            bytes as f64 / self.rate.unwrap_or(usual).max(usual).max(1.0)
        } else {
            self.backlog(bytes, usual)
        }
    }

    /// When time alone changes what is made of the source.
    pub fn changes(&self) -> impl Iterator<Item = Time> {
        let hopeless = self.doubt.hopeless_at();
        self.contact.next_change().chain(hopeless).chain([self.rests_until])
    }

    pub fn figures(&self) -> SourceFigures {
        SourceFigures {
            has: self.has.count(),
            chunks: self.chunks,
            bytes: self.bytes,
            bytes_per_second: self.rate.unwrap_or(0.0) as u64,
            requests: self.requests,
            bytes_in_flight: self.bytes_in_flight,
            last_stored: self.last_stored,
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

    /// A source of which one chunk came, so many milliseconds after it was asked for.
    fn taking(ms: u64) -> Source {
        let mut source = source();
        source.stored(CHUNK, at(0), at(ms));
        source
    }

    fn near(seconds: f64, expected: f64) -> bool {
        (seconds - expected).abs() < 1e-9
    }

    #[test]
    fn only_the_time_in_which_a_source_was_busy_tells_its_rate() {
        let mut source = source();
        assert_eq!((source.rate(), source.latency()), (None, None));
        source.stored(CHUNK, at(0), at(100));
        // Asked for while the first was under way, and served after it.
        source.stored(CHUNK, at(50), at(200));
        assert_eq!(source.figures().bytes_per_second, 10 * CHUNK);
        assert_eq!(source.latency(), Some(Duration::from_micros(112_500)));
        // Nothing was asked of it for a while; then it is twice as fast.
        source.stored(CHUNK, at(1000), at(1050));
        let figures = source.figures();
        assert_eq!((figures.chunks, figures.bytes), (3, 3 * CHUNK));
        assert_eq!(
            figures.bytes_per_second,
            10 * CHUNK + 10 * CHUNK / 4,
            "one sample is a quarter of the truth"
        );
    }

    #[test]
    fn a_source_is_kept_busy_for_a_round_trip_and_not_much_longer() {
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
    fn a_backlog_is_what_is_on_its_way_and_what_would_be_asked() {
        let (usual, mut known, mut unknown) = (20.0 * CHUNK as f64, taking(100), source());
        (known.bytes_in_flight, unknown.bytes_in_flight) = (2 * CHUNK, 2 * CHUNK);
        assert!(near(known.backlog(CHUNK, usual), 0.3) && near(unknown.backlog(CHUNK, usual), 0.15));
    }

    #[test]
    fn who_was_slow_and_idle_for_a_second_gets_another_try() {
        let usual = 10.0 * CHUNK as f64;
        let mut slow = taking(1000);
        let seen = |slow: &Source, ms| slow.backlog_as_seen(CHUNK, usual, at(ms));
        assert!(near(seen(&slow, 1500), 1.0) && near(seen(&slow, 2000), 0.1));
        assert!(near(seen(&taking(50), 2000), 0.05), "who was fast is not taken for slower than he is");
        (slow.requests, slow.bytes_in_flight) = (1, CHUNK);
        assert!(near(seen(&slow, 5000), 2.0), "he is not idle");
    }
}
