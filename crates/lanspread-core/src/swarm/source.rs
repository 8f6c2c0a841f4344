//! One source, as a download sees it: what it has, how fast it is, what it was asked for.

use std::time::Duration;

use lanspread_types::ChunkSet;

use super::contact::Contact;
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
    /// Of those, wishes that the source has not yet answered with a choice.
    pub wishes: usize,
    /// Not asked before this.
    pub rests_until: Time,
    /// Whether it answers at all.
    pub contact: Contact,
    rate: Option<f64>,
    latency: Option<f64>,
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
            wishes: 0,
            rests_until: Time::START,
            contact: Contact::default(),
            rate: None,
            latency: None,
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
