//! Bounds of this crate: times, memory and numbers. Bounds of what crosses the wire are in `lanspread_types::limits`.
//!
//! `docs/limits.md` is generated from these constants and their doc comments.

use std::time::Duration;

use lanspread_types::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, PEERS_MAX};

lanspread_types::limits! {
/// Longest handshake, from the first packet to both hellos, on either side.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Inbound handshakes at a time.
pub(crate) const HANDSHAKES_MAX: usize = 64;
/// Inbound handshakes of one address at a time.
pub(crate) const HANDSHAKES_PER_IP_MAX: usize = 16;
/// Inbound connections that one address may open at once. A handshake costs some hundred microseconds of CPU.
pub(crate) const BEGINNINGS_PER_IP_BURST: u32 = 64;
/// Inbound connections that one address may open each second after that.
pub(crate) const BEGINNINGS_PER_IP_PER_SECOND: u32 = 32;
/// Addresses whose inbound connections, or whose reports of misbehaviour, are counted.
pub(crate) const ADDRESSES_COUNTED_MAX: usize = 4096;
/// Reports of misbehaviour each second, about all addresses.
pub(crate) const REPORTS_PER_SECOND: u32 = 10;
/// Time between two reports of the same misbehaviour of one address.
pub(crate) const REPORT_PAUSE: Duration = Duration::from_secs(5);
/// Inbound connections at a time: a control and a data connection for each peer.
pub(crate) const CONNECTIONS_MAX: usize = 2 * PEERS_MAX;
/// Inbound connections of one address at a time.
pub(crate) const CONNECTIONS_PER_IP_MAX: usize = 64;
/// Inbound connections at a time from one IPv6 /64, which otherwise counts as one address. All peers of a party without
/// IPv4 share one /64, so this is a quarter of all connections: enough for two connections of each of 128 dialling
/// peers, while three quarters remain for other addresses.
pub(crate) const CONNECTIONS_PER_NETWORK_MAX: usize = CONNECTIONS_MAX / 4;
/// File descriptors that inbound connections leave to files, outbound connections and the page. If the limit of the
/// process is below twice this number, half of the limit.
pub(crate) const DESCRIPTORS_RESERVED: usize = 512;
/// Inbound data connections of one key at a time; a further one ends the oldest. One is in use, and the others may be
/// dead without our having noticed.
pub(crate) const LINKS_PER_KEY_MAX: usize = 4;
/// Time that an address is given before the next one of the same peer is tried beside it (RFC 8305, section 5).
pub(crate) const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Dials at a time; further ones wait.
pub(crate) const DIALS_MAX: usize = 64;

/// Guests of a closed party that are remembered: far more than are ever let in at once.
pub(crate) const GUESTS_MAX: usize = 4096;
/// Time in which all peers of a closed party together check one more wrong passphrase of a stranger: 240 an hour. Each
/// peer takes its share, by the number of guests that it knows.
pub(crate) const GUESSES_BACK_PER_PARTY: Duration = Duration::from_secs(15);
/// Wrong passphrases of strangers that all peers of a closed party together check at once, as far as the bounds of
/// each peer allow.
pub(crate) const GUESSES_BURST_PER_PARTY: u32 = 60;
/// Fewest wrong passphrases of strangers that one peer checks at once: one for a typing mistake, one for that of
/// another guest, and one that is kept from addresses that have been wrong before.
pub(crate) const GUESSES_BURST_MIN: u32 = 3;
/// Most wrong passphrases of strangers that one peer checks at once.
pub(crate) const GUESSES_BURST_MAX: u32 = 6;
/// As `GUESSES_BACK_PER_PARTY`, for peers that were dialled because another peer or discovery named them: 60 an hour.
pub(crate) const GUESSES_DIALLED_BACK_PER_PARTY: Duration = Duration::from_secs(60);
/// As `GUESSES_BURST_PER_PARTY`, for peers that were dialled.
pub(crate) const GUESSES_DIALLED_BURST_PER_PARTY: u32 = 30;
/// As `GUESSES_BURST_MIN`, for peers that were dialled.
pub(crate) const GUESSES_DIALLED_BURST_MIN: u32 = 1;
/// As `GUESSES_BURST_MAX`, for peers that were dialled; also proofs that are shown to unknown peers at a time.
pub(crate) const GUESSES_DIALLED_BURST_MAX: u32 = 3;
/// Time after which one wrong passphrase of an address is forgotten.
pub(crate) const GUESSES_FORGIVEN_AFTER: Duration = Duration::from_secs(3600);
/// Addresses whose wrong passphrases are counted. The address that has not tried for longest is forgotten first.
pub(crate) const GUESSERS_COUNTED_MAX: usize = 1024;
/// Time for which an address that was turned away for lack of tries takes part in the draw: four of its own attempts.
pub(crate) const KNOCKING_TIME: Duration = Duration::from_secs(60);
/// Time for which a try stays reserved for the address that has drawn it: two of its own attempts, and a little.
pub(crate) const RESERVED_TIME: Duration = Duration::from_secs(35);
/// Wrong passphrases of a guest's key that are checked at once: the guest may have been given a new passphrase.
pub(crate) const GUEST_GUESSES_MAX: u32 = 6;
/// Time in which a guest's key gets one wrong passphrase back.
pub(crate) const GUEST_GUESSES_BACK: Duration = Duration::from_secs(20);

/// Memory that stretching a passphrase takes, in KiB (RFC 9106, section 4, second recommended option: 64 MiB).
pub(crate) const STRETCH_MEMORY_KIB: u32 = 64 << 10;
/// Passes over that memory.
pub(crate) const STRETCH_PASSES: u32 = 3;
/// Lanes of that memory.
pub(crate) const STRETCH_LANES: u32 = 4;

/// Unsent bytes of control messages for one peer.
pub(crate) const OUTBOX_BYTES_MAX: usize = 1 << 20;
/// Requests of one peer that wait for an answer, and answers that wait to be sent. Far more than a peer may have by
/// `REQUESTS_PER_SOURCE_MAX`, so that the node decides which requests are politely refused.
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
/// Time after which an inbound data connection without requests is closed: a little later than its dialler closes it.
pub(crate) const LINK_IDLE_MAX: Duration = Duration::from_secs(660);
/// Time after which an outbound data connection without open requests is closed.
pub(crate) const SOURCE_IDLE_MAX: Duration = Duration::from_secs(600);
/// Time for which queued bytes may still be sent after a close.
pub(crate) const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// Time that tasks have to end by themselves at shutdown.
pub(crate) const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(4);

/// One read from a payload source, in bytes.
pub(crate) const SLICE_BYTES: usize = 1 << 20;
/// Bytes of an answer from memory that are queued at once. They are in memory anyway, so no more than the socket needs.
pub(crate) const PORTION_BYTES: usize = 128 << 10;
/// Queued bytes below which more are queued: enough to keep the socket busy while the next slice is prepared.
pub(crate) const OUTGOING_LOW_BYTES: usize = 512 << 10;
/// Bytes that are encrypted before the socket takes them, plus at most one record. Large writes cost less, and
/// encrypted bytes should still be in the processor's cache when the system copies them.
pub(crate) const ENCRYPTED_AHEAD_BYTES: usize = 256 << 10;
/// One read into a payload, in bytes. Large reads halve the cost per byte, and the bytes should still be in the cache
/// when they are decrypted. Each thread of the runtime has one buffer of this size.
pub(crate) const PAYLOAD_READ_BYTES: usize = 256 << 10;
/// One read of anything but a payload, in bytes: two TLS records.
pub(crate) const MESSAGE_READ_BYTES: usize = 36 << 10;

/// Bytes of chunks that are on their way or not yet consumed: what a receiver asks for at once (`swarm::tuning`), and
/// the one chunk that each of eight downloads may ask for beyond that.
pub(crate) const POOL_BYTES_MAX: usize = (96 << 20) + 8 * CHUNK_BYTES_MAX as usize;
/// Bytes of manifests that have arrived and are not yet consumed: the largest manifest, and room for others beside it.
pub(crate) const MANIFEST_POOL_BYTES_MAX: usize = MANIFEST_BYTES_MAX + (32 << 20);
/// Step in which a manifest takes budget as its bytes arrive. A manifest that is only announced takes none.
pub(crate) const MANIFEST_RESERVE_BYTES: usize = 1 << 20;
/// Largest manifest that takes no budget, so that large manifests cannot keep small ones out. A download asks for
/// four at most.
pub(crate) const MANIFEST_UNCOUNTED_BYTES: usize = 1 << 20;
/// Bytes of freed buffers that are kept for the next payload.
pub(crate) const POOL_KEPT_BYTES_MAX: usize = 64 << 20;
}
