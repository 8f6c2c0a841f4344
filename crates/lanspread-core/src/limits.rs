//! Bounds of the brain on what strangers can make it hold or do. What crosses the wire is bounded in
//! `lanspread_types::limits`.

use std::time::Duration;

/// Requests for manifests that wait, over all peers. Each is some 150 bytes; two guests' worth for each of 512 peers.
pub const MANIFESTS_WAITING_MAX: usize = 1024;
/// Manifests that are sent at once, over all peers. The link's buffer of each is some 640 KiB, so 10 MiB in all, and
/// as many streams as chunks are sent in (`swarm::uplink`), so that a crowd of newcomers does not crowd out downloads.
pub const MANIFEST_SENDS_MAX: usize = 16;
/// Bytes of the different manifests that are sent at once: the largest one, and room for usual ones beside it.
pub const MANIFEST_SEND_BYTES_MAX: u64 = 128 << 20;
/// Manifests that are sent at once to addresses that had the same one a moment ago. One stream among those of chunks
/// costs a download little, whoever asks again and again.
pub const MANIFEST_REPEATS_MAX: usize = 1;
/// An address that had a manifest so recently gets it again only as a repeat: longer than a peer takes to restart.
pub const MANIFEST_REPEAT_WITHIN: Duration = Duration::from_secs(60);
/// Notes of which address was sent which manifest. Beyond them everything counts as a repeat.
pub const MANIFEST_NOTES_MAX: usize = 4096;
/// Requests for manifests on one connection that may be refused as too many in a row before it is closed. A peer keeps
/// to `MANIFESTS_PER_SOURCE_MAX` and waits after a refusal, so it never comes near this.
pub const MANIFEST_REFUSALS_MAX: u32 = 64;
/// A receiver may take so long for a manifest while others wait, and besides as long as this rate takes: a slow wireless
/// link shared by sixteen.
pub const MANIFEST_SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes per second; see [`MANIFEST_SEND_PATIENCE`].
pub const MANIFEST_SEND_RATE_MIN: u64 = 64 << 10;
