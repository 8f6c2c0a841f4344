//! Bounds of this crate: time, memory and numbers. What crosses the wire is bounded in `lanspread_types::limits`.

use std::time::Duration;

use lanspread_types::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, PEERS_MAX};

lanspread_types::limits! {
/// A handshake, from the first packet to both hellos, on either side.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Inbound handshakes at a time.
pub(crate) const HANDSHAKES_MAX: usize = 64;
/// Inbound handshakes of one address at a time.
pub(crate) const HANDSHAKES_PER_IP_MAX: usize = 16;
/// Inbound connections that one address may begin at once. A handshake costs some hundred microseconds of CPU.
pub(crate) const BEGINNINGS_PER_IP_BURST: u32 = 64;
/// Inbound connections that one address may begin each second after that.
pub(crate) const BEGINNINGS_PER_IP_PER_SECOND: u32 = 32;
/// Addresses whose beginnings are counted.
pub(crate) const ADDRESSES_COUNTED_MAX: usize = 4096;
/// Reports about misbehaving strangers each second.
pub(crate) const REPORTS_PER_SECOND: u32 = 10;
/// Time between two reports about one address.
pub(crate) const REPORT_PAUSE: Duration = Duration::from_secs(5);
/// Inbound connections at a time: one of each role for each peer.
pub(crate) const CONNECTIONS_MAX: usize = 2 * PEERS_MAX;
/// Inbound connections of one address at a time.
pub(crate) const CONNECTIONS_PER_IP_MAX: usize = 64;
/// Inbound connections at a time from one IPv6 /64, which counts as one address otherwise. All peers of a party without
/// IPv4 share one, so that it is a quarter of all: enough for two connections of each of 128 dialling peers, and three
/// quarters stay for everybody else.
pub(crate) const CONNECTIONS_PER_NETWORK_MAX: usize = CONNECTIONS_MAX / 4;
/// File descriptors that inbound connections leave to files, outbound connections and the page; of a limit below twice as
/// many, half.
pub(crate) const DESCRIPTORS_RESERVED: usize = 512;
/// Data connections of one key to us at a time; of more, the oldest ends. One is in use, the others may be dead without
/// our having noticed.
pub(crate) const LINKS_PER_KEY_MAX: usize = 4;
/// How long an address is given before the next one of the same peer is tried beside it (RFC 8305, section 5).
pub(crate) const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Dials at a time; further ones wait.
pub(crate) const DIALS_MAX: usize = 64;

/// Guests of a closed party that are remembered, far more than are ever let in at once.
pub(crate) const GUESTS_MAX: usize = 4096;
/// Wrong pass phrases of strangers that all peers of a closed party answer together: one in each such time, 240 an hour.
/// Each peer answers its part, by the number of guests that it knows.
pub(crate) const GUESSES_BACK_PER_PARTY: Duration = Duration::from_secs(15);
/// Wrong pass phrases of strangers that all peers of a closed party together answer at once, as far as the bounds of one
/// peer allow.
pub(crate) const GUESSES_BURST_PER_PARTY: u32 = 60;
/// The fewest wrong pass phrases of strangers that one peer answers at once: one for a slip of the hand, one for another
/// guest's, and one that nobody takes who has been wrong before.
pub(crate) const GUESSES_BURST_MIN: u32 = 3;
/// The most wrong pass phrases of strangers that one peer answers at once.
pub(crate) const GUESSES_BURST_MAX: u32 = 6;
/// As `GUESSES_BACK_PER_PARTY`, for peers that were dialled because they are said to be there: 60 an hour.
pub(crate) const GUESSES_DIALLED_BACK_PER_PARTY: Duration = Duration::from_secs(60);
/// As `GUESSES_BURST_PER_PARTY`, for peers that were dialled.
pub(crate) const GUESSES_DIALLED_BURST_PER_PARTY: u32 = 30;
/// As `GUESSES_BURST_MIN`, for peers that were dialled.
pub(crate) const GUESSES_DIALLED_BURST_MIN: u32 = 1;
/// As `GUESSES_BURST_MAX`, for peers that were dialled; also proofs that are shown to unknown peers at a time.
pub(crate) const GUESSES_DIALLED_BURST_MAX: u32 = 3;
/// One wrong pass phrase of an address is forgotten after this time.
pub(crate) const GUESSES_FORGIVEN_AFTER: Duration = Duration::from_secs(3600);
/// Addresses whose wrong pass phrases are counted; the one that was heard of least recently is forgotten.
pub(crate) const GUESSERS_COUNTED_MAX: usize = 1024;
/// Whoever was turned away for lack of tries takes part in the draw for this long: four of its own attempts.
pub(crate) const KNOCKING_TIME: Duration = Duration::from_secs(60);
/// A try is kept for whoever has drawn it for this long: two of its own attempts, and a little.
pub(crate) const RESERVED_TIME: Duration = Duration::from_secs(35);
/// Wrong pass phrases of the key of a guest: it may have been given a new one.
pub(crate) const GUEST_GUESSES_MAX: u32 = 6;
/// A guest's key gets one wrong pass phrase back in this time.
pub(crate) const GUEST_GUESSES_BACK: Duration = Duration::from_secs(20);

/// Memory that stretching a pass phrase takes, in KiB (RFC 9106, section 4, second recommended option: 64 MiB).
pub(crate) const STRETCH_MEMORY_KIB: u32 = 64 << 10;
/// Passes over that memory.
pub(crate) const STRETCH_PASSES: u32 = 3;
/// Lanes of that memory.
pub(crate) const STRETCH_LANES: u32 = 4;

/// Unsent bytes of control messages for one peer.
pub(crate) const OUTBOX_BYTES_MAX: usize = 1 << 20;
/// Requests of one peer that wait for an answer, and answers that wait to be sent. Far more than a peer may have by
/// `REQUESTS_PER_SOURCE_MAX`, so that the decision about polite refusals stays above.
pub(crate) const REQUESTS_PER_LINK_MAX: usize = 1024;

/// A connection that has bytes to write must send this many, or all of them, in each `WRITE_STALL_MAX`.
pub(crate) const WRITE_PROGRESS_BYTES: u64 = 64 << 10;
/// Time in which `WRITE_PROGRESS_BYTES` must leave.
pub(crate) const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// A payload that has begun must grow by this much, or end, in each `READ_STALL_MAX`.
pub(crate) const READ_PROGRESS_BYTES: usize = 64 << 10;
/// Time in which `READ_PROGRESS_BYTES` must arrive.
pub(crate) const READ_STALL_MAX: Duration = Duration::from_secs(20);
/// A request that has begun must be whole in this time.
pub(crate) const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
/// A data connection on which nobody asks us for anything is closed after this time: a little later than its dialler
/// closes it.
pub(crate) const LINK_IDLE_MAX: Duration = Duration::from_secs(660);
/// A data connection of ours without any open request is closed after this time.
pub(crate) const SOURCE_IDLE_MAX: Duration = Duration::from_secs(600);
/// What is queued may still be sent for this long after a close.
pub(crate) const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// Tasks have this long to end by themselves at shutdown.
pub(crate) const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(4);

/// One read from a payload source.
pub(crate) const SLICE_BYTES: usize = 1 << 20;
/// Bytes of an answer from memory that are queued at once: they are there anyway, so no more than the socket needs.
pub(crate) const PORTION_BYTES: usize = 128 << 10;
/// Queued bytes below which more are queued: enough to keep the socket busy while the next slice is prepared.
pub(crate) const OUTGOING_LOW_BYTES: usize = 512 << 10;
/// Bytes that are encrypted before the socket is asked to take them, to which at most one record is added: large writes
/// cost less, and what is encrypted should still be in the processor's cache when the system copies it.
pub(crate) const ENCRYPTED_AHEAD_BYTES: usize = 256 << 10;
/// One read into a payload, in bytes: large reads halve the cost per byte, and what was read should still be in the cache
/// when it is decrypted. Each thread of the runtime has one buffer of this size.
pub(crate) const PAYLOAD_READ_BYTES: usize = 256 << 10;
/// One read of everything that is no payload, in bytes: two TLS records.
pub(crate) const MESSAGE_READ_BYTES: usize = 36 << 10;

/// Chunks on their way or not yet consumed: what a receiver asks for at once (`swarm::tuning`), and the one chunk that
/// each of eight downloads may ask for beyond that.
pub(crate) const POOL_BYTES_MAX: usize = (96 << 20) + 8 * CHUNK_BYTES_MAX as usize;
/// Bytes of manifests that have arrived and are not yet consumed: the largest one, and room for others beside it.
pub(crate) const MANIFEST_POOL_BYTES_MAX: usize = MANIFEST_BYTES_MAX + (32 << 20);
/// Budget for a manifest is taken in such steps as its bytes arrive: what is only announced takes nothing.
pub(crate) const MANIFEST_RESERVE_BYTES: usize = 1 << 20;
/// Manifests up to this size take no budget, so that large ones cannot keep them out. A download asks for four at most.
pub(crate) const MANIFEST_UNCOUNTED_BYTES: usize = 1 << 20;
/// Freed buffers kept for the next payload.
pub(crate) const POOL_KEPT_BYTES_MAX: usize = 64 << 20;
}
