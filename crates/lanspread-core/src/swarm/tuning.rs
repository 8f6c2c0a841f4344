//! Every constant of the swarm, with its reason. Changed only on evidence from the simulation (`docs/swarm.md`).

use std::time::Duration;

use lanspread_types::limits::REQUESTS_PER_SOURCE_MAX;

/// The constants of a [`super::Download`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Receivers form a relay line while more than one receives. Without it, everybody exchanges chunks with everybody.
    pub relay_line: bool,
    /// Chunks from the first missing one on that may be asked for while up to sixteen people download.
    pub window_base: u32,
    /// What each doubling of the downloaders beyond sixteen adds to the window. A chunk needs one more generation of
    /// copies to reach twice as many, and must reach them all before the window can move on.
    pub window_per_doubling: u32,
    /// Requests in flight to one source at the least. With one, the source idles for a round trip after each chunk.
    pub depth_min: usize,
    /// Requests in flight to one source at the most.
    pub depth_max: usize,
    /// How long the requests in flight to one source should keep it busy: longer than a round trip over a loaded
    /// receiver (disk, hash, scheduler), much shorter than a person notices.
    pub pipeline: Duration,
    /// Specific requests to fellow downloaders, over all of them, in flight at the least. Each waits at its source for
    /// its turn, so with too few the downlink runs dry; with too many the choice is made too early, on old news. With
    /// eight sends at each peer, thirty-two receivers take 1.27 with six, 1.19 with eight, 1.10 with twelve; with sixteen
    /// sends and twenty-four requests 1.06.
    pub swarm_requests: usize,
    /// How many of a hundred requests to fellows take the first chunk that somebody has instead of the rarest one. Rarest
    /// first alone leaves common chunks at the front of the window to the end: at N = 32 the last guest can play at 1.18
    /// times the bound with none, 1.12 with 25 or 50.
    pub in_order_percent: u64,
    /// Bytes in flight at the most, over all sources: what a receiver may have to buffer.
    pub in_flight_bytes: u64,
    /// Chunks that may be in flight however large they are: one arriving, one behind it, for each of two sources.
    pub in_flight_chunks_min: usize,
    /// A request is late after this many times the time it was expected to take ...
    pub late_factor: u32,
    /// ... but not before this: below, a late answer is more likely a busy disk than a dead source.
    pub late_min: Duration,
    /// How long a source that turns us away is left alone, in times that a chunk takes from a typical source: about
    /// when one of the answers that it is sending ends. Asking sooner only costs messages, later leaves gaps.
    pub busy_pause_chunks: f64,
    /// How long a source that refuses for another reason is left alone.
    pub refused_pause: Duration,
    /// Haves are said at once when nothing was said for this long, and together otherwise: a chunk takes some 20 ms on a
    /// 100 Mbit/s link, so this costs less than one chunk's time, and a peer hears at most fifty messages a second from
    /// each other one.
    pub have_interval: Duration,
    /// Missing chunks at the end that may be asked from a second source although nobody is late.
    pub endgame_chunks: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            relay_line: true,
            window_base: 96,
            window_per_doubling: 16,
            depth_min: 2,
            depth_max: REQUESTS_PER_SOURCE_MAX,
            pipeline: Duration::from_millis(25),
            swarm_requests: 24,
            in_order_percent: 25,
            in_flight_bytes: 96 << 20,
            in_flight_chunks_min: 4,
            late_factor: 4,
            late_min: Duration::from_millis(500),
            busy_pause_chunks: 0.5,
            refused_pause: Duration::from_secs(1),
            have_interval: Duration::from_millis(20),
            endgame_chunks: 4,
        }
    }
}
