//! Constants of the swarm, each with its reason. Change them only on evidence from the simulation (`docs/swarm.md`).

use std::time::Duration;

use lanspread_types::limits::REQUESTS_PER_SOURCE_MAX;

/// The constants of a [`super::Picker`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Receivers form a relay line while more than one peer receives. If false, all receivers exchange chunks with each
    /// other.
    pub relay_line: bool,
    /// Width of the window, in chunks from the first missing one, while at most sixteen peers download.
    pub window_base: u32,
    /// Chunks that the window gains each time the number of downloading peers doubles beyond sixteen. Twice as many
    /// peers need one more generation of copies of each chunk, and all of them must have the chunk before the window
    /// can move on.
    pub window_per_doubling: u32,
    /// Fewest requests in flight to one source. With one, the source idles for a round trip after each chunk.
    pub depth_min: usize,
    /// Most requests in flight to one source.
    pub depth_max: usize,
    /// Time for which the requests in flight should keep a source busy: longer than a round trip over a loaded receiver
    /// (disk, hash, scheduler), and much shorter than a person notices.
    pub pipeline: Duration,
    /// Requests in flight to all fellows together at which the picker requests no further new chunk from a fellow. (A
    /// fellow is a source that is not a seed.) Each request waits in its source's queue. With too few requests the
    /// downlink runs dry; with too many the picker chooses chunks too early, before it knows what other receivers have
    /// meanwhile. Simulated time for thirty-two receivers, as a multiple of the shortest possible time: if each peer
    /// sends eight chunks at once, 1.27 with six requests, 1.19 with eight and 1.10 with twelve; if each peer sends
    /// sixteen chunks at once, 1.06 with twenty-four requests.
    pub swarm_requests: usize,
    /// Percentage of requests to fellows that ask for the first chunk that any fellow has, instead of the rarest one.
    /// Rarest first alone leaves common chunks at the front of the window until the end, which delays unpacking: the
    /// last of 32 receivers can play after 1.18 times the shortest possible time with 0 %, and after 1.12 times with
    /// 25 % or 50 %.
    pub in_order_percent: u64,
    /// Most bytes in flight over all sources, which is what a receiver may have to buffer.
    pub in_flight_bytes: u64,
    /// Requests that may be in flight whatever the size of their chunks: one arriving and one behind it, for each of
    /// two sources.
    pub in_flight_chunks_min: usize,
    /// A request is late after this multiple of its expected duration, but not before `late_min`.
    pub late_factor: u32,
    /// Shortest time after which a request is late. Before that, a busy disk is a likelier reason than a dead source.
    pub late_min: Duration,
    /// Pause after a crowded source has refused a request (`TooMany`), as a multiple of the time that a typical source
    /// takes to send a chunk. After about this pause the source finishes one of its current answers. A shorter pause
    /// only costs messages; a longer one leaves the link idle.
    pub busy_pause_chunks: f64,
    /// Pause after a refusal that concerns neither a crowded source nor a single chunk.
    pub refused_pause: Duration,
    /// Shortest interval between two announcements of new chunks; chunks that arrive in between are announced together.
    /// A chunk takes some 20 ms on a 100 Mbit/s link, so this costs less than one chunk's time, and a peer receives at
    /// most fifty messages a second from each other peer.
    pub have_interval: Duration,
    /// Number of missing chunks at which the endgame begins. In the endgame a second source may be asked although no
    /// request is late.
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
