//! Bounds on the state and the work that other peers can cause in the core.
//!
//! Bounds on what crosses the wire are in `lanspread_types::limits`.

use std::time::Duration;

use lanspread_types::limits::{GAMES_PER_PEER_MAX, PEERS_MAX};

lanspread_types::limits! {
/// Queued manifest requests over all peers, some 150 bytes each: two for each of 512 peers.
pub const MANIFESTS_WAITING_MAX: usize = 1024;
/// Manifests being sent at once, over all peers. Each takes a link buffer of some 640 KiB, so 10 MiB in all. Equal to
/// the number of chunk streams (`swarm::uplink`), so that a crowd of newcomers does not crowd out downloads.
pub const MANIFEST_SENDS_MAX: usize = 16;
/// Receivers of one content's manifest that have not announced the download yet. Each receiver passes the manifest
/// on, so the room has it sooner if a seed does not send it to everybody at once.
pub const MANIFEST_UNANNOUNCED_MAX: usize = 2;
/// Time in which a receiver should announce the download, on top of the transfer time at `MANIFEST_RATE_USUAL`.
pub const MANIFEST_ANNOUNCE_TIME: Duration = Duration::from_millis(250);
/// Total size of the distinct manifests being sent at once, in bytes: the largest one and some usual ones beside it.
pub const MANIFEST_SEND_BYTES_MAX: u64 = 128 << 20;
/// Manifests being sent at once to addresses that received the same manifest a moment ago. One stream beside the
/// chunk streams costs a download little, however often an address asks.
pub const MANIFEST_REPEATS_MAX: usize = 1;
/// Bytes of sent chunks that count as credit for repeated manifests. While chunks wait, repeats get no more bytes
/// than chunks.
pub const MANIFEST_REPEAT_CREDIT_MAX: u64 = 8 << 20;
/// Time during which a second request for the same manifest from one address is a repeat: longer than a peer takes to
/// restart.
pub const MANIFEST_REPEAT_WITHIN: Duration = Duration::from_secs(60);
/// Records of which address received which manifest. While the table is full, a request without a record counts as a
/// repeat.
pub const MANIFEST_NOTES_MAX: usize = 4096;
/// Manifest requests in a row that one connection may have refused as too many before it is closed. A peer keeps to
/// `MANIFESTS_PER_SOURCE_MAX` and waits after a refusal, so it never comes near this.
pub const MANIFEST_REFUSALS_MAX: u32 = 64;
/// Time that a receiver may take for a manifest while other requests wait, on top of the transfer time at
/// `MANIFEST_SEND_RATE_MIN`. A receiver grants its source the same.
pub const MANIFEST_SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Slowest acceptable rate of a manifest, in bytes per second: a slow wireless link shared by sixteen.
pub const MANIFEST_SEND_RATE_MIN: u64 = 64 << 10;

/// Sources asked for one manifest at once.
pub const MANIFEST_SOURCES_MAX: usize = 4;
/// Time after which a second source is asked beside the first, on top of the transfer time at `MANIFEST_RATE_USUAL`:
/// longer than the round trips of a new connection on a bad wireless link.
pub const MANIFEST_HEDGE_MIN: Duration = Duration::from_secs(1);
/// Rate of a usual source of manifests, in bytes per second: a tenth of a 100 Mbit/s link.
pub const MANIFEST_RATE_USUAL: u64 = 1 << 20;
/// Time that a source may take to begin a manifest: it may have to serve two hundred other peers first.
pub const MANIFEST_ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Pause after a source's first answer that too many requests wait; doubled each time.
pub const MANIFEST_BUSY_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause after a source answered that too many requests wait: its places change hands in seconds.
pub const MANIFEST_BUSY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// Age of a search from which on a busy source is given up.
pub const MANIFEST_SEARCH_MAX: Duration = Duration::from_secs(300);
/// Addresses for which one search counts how often they were asked; more than there are peers.
pub const MANIFEST_PLACES_MAX: usize = 1024;
/// Time that an abandoned manifest may still take before the connection to its source is closed. An honest source
/// that was only late finishes in this time and keeps its connection, and with it our chunk requests.
pub const MANIFEST_LEFTOVER_MAX: Duration = Duration::from_secs(10);

/// Units that the control messages of one connection may cost per second. A unit is one microsecond of the node's
/// thread (`budget::cost`); the simulated rooms of 200 peers need a quarter of this at most (docs/protocol.md).
pub const UNITS_PER_SECOND: u32 = 20_000;
/// Units that one connection may spend at once: a library of 4,096 games, a catalogue of 4 MiB, introductions to a
/// full room, and all messages of the fifteen seconds for which a busy receiver still counts as alive.
pub const UNITS_BURST: u32 = 150_000;
/// Units that one connection may owe for messages that were not handled before it is closed: one second's budget.
pub const UNITS_OWED_MAX: u32 = UNITS_PER_SECOND;
/// Connection budgets that one address (IPv4) or /64 (IPv6) may use, however many identities it has: a machine runs
/// one peer, and a router with address translation has a few behind it.
pub const CONNECTIONS_PER_SITE: u32 = 4;
/// The same for a loopback address, where a whole party may run for trial.
pub const CONNECTIONS_PER_LOOPBACK_SITE: u32 = 64;
/// Wishes of one peer that are considered and reported within a minute: an organiser has the evening's games in mind.
pub const WISHES_PER_PEER: usize = 8;
/// The same for one address or /64, whatever its identities are: four peers behind one router.
pub const WISHES_PER_SITE: usize = 4 * WISHES_PER_PEER;
/// The same over all peers, so also the lines about wishes printed in a minute. Once they are used up, a peer at an
/// address with fewer wishes still gets in.
pub const WISHES_MAX: usize = 256;
/// Changes of one peer's library that are reported one by one; after that several are reported as one.
pub const LIBRARY_NEWS_BURST: u32 = 16;
/// Reports per second about one peer's library after the burst.
pub const LIBRARY_NEWS_PER_SECOND: u32 = 1;
/// Distinct offers kept over all peers: sixteen libraries of the largest size that share no game, or two hundred with
/// 327 games each that no other peer has. An offer that several peers make counts once.
pub const DISTINCT_OFFERS_MAX: usize = 16 * GAMES_PER_PEER_MAX;
/// Offers in an answer to `list-peers`, over all peers: two hundred libraries of 1,300 games. Beyond that each peer's
/// list is cut to its share.
pub const LISTED_OFFERS_MAX: usize = 1 << 18;
/// Games in an answer to `list-games` that are neither here nor in the catalogue; those that most peers offer are
/// kept.
pub const LISTED_GAMES_MAX: usize = 4096;
/// Games in a view of the room: the catalogue's, those that are here or being downloaded, and those that most peers
/// offer.
pub const ROOM_GAMES_MAX: usize = 1024;
/// Shortest time between two views of the room, however many commands ask for one.
pub const ROOM_VIEW_EVERY: Duration = Duration::from_millis(500);
/// Identities in the address book that were seen at one address or /64 and never reached. A machine runs one peer,
/// and a few more may be behind its address translation.
pub const UNREACHED_PER_SITE: usize = 8;
/// Identities of one address or /64 dialled at once, among those that were never reached.
pub const ATTEMPTS_PER_SITE: usize = 4;
/// Dials that the introducers at one address or /64 may cause at once: a full room.
pub const HEARSAY_DIALS_PER_SITE: u32 = PEERS_MAX as u32;
/// Dials among them that introducers at other addresses cannot use up.
pub const HEARSAY_DIALS_OWN: u32 = 128;
/// Dials beyond their own that all introducers together may cause at once: two may name a full room each.
pub const HEARSAY_DIALS: u32 = 2 * PEERS_MAX as u32;
/// Time in which each of these budgets regains one dial: sixty in a minute.
pub const HEARSAY_DIAL_EVERY: Duration = Duration::from_secs(1);
/// Lowest port at which an introduced peer is dialled. Lower ports belong to the services of other programs.
pub const INTRODUCED_PORT_MIN: u16 = 1024;
/// Peers of other versions that are reported at once; after that, one more every ten seconds.
pub const OTHER_VERSION_NEWS: u32 = 64;
/// Addresses whose spending is remembered after their connections ended.
pub const SITES_MAX: usize = 2 * PEERS_MAX;

/// Suppliers recorded for one content: enough to say where it came from, and the file stays short in a room of 200.
pub const SUPPLIERS_RECORDED_MAX: usize = 8;
/// Contents of one game whose origin is recorded: the installed one, the downloaded one, and two before them.
pub const ORIGINS_PER_GAME_MAX: usize = 4;
/// Contents of one game whose start is recorded as confirmed. The oldest record is dropped, and its content is asked
/// about again.
pub const CONFIRMED_STARTS_PER_GAME_MAX: usize = 16;
}
