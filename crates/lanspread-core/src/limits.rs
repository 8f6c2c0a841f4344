//! Bounds of the brain on what strangers can make it hold or do. What crosses the wire is bounded in
//! `lanspread_types::limits`.

use std::time::Duration;

use lanspread_types::limits::{GAMES_PER_PEER_MAX, PEERS_MAX};

lanspread_types::limits! {
/// Requests for manifests that wait, over all peers. Each is some 150 bytes; two guests' worth for each of 512 peers.
pub const MANIFESTS_WAITING_MAX: usize = 1024;
/// Manifests that are sent at once, over all peers. The link's buffer of each is some 640 KiB, so 10 MiB in all, and
/// as many streams as chunks are sent in (`swarm::uplink`), so that a crowd of newcomers does not crowd out downloads.
pub const MANIFEST_SENDS_MAX: usize = 16;
/// Receivers of one content's manifest that have not announced the download yet. Each passes the manifest on, so a room
/// has it sooner if a seed does not send it to everybody at once.
pub const MANIFEST_UNANNOUNCED_MAX: usize = 2;
/// Time in which a receiver should announce the download, beyond the time of the manifest at `MANIFEST_RATE_USUAL`.
pub const MANIFEST_ANNOUNCE_TIME: Duration = Duration::from_millis(250);
/// Bytes of the different manifests that are sent at once: the largest one, and room for usual ones beside it.
pub const MANIFEST_SEND_BYTES_MAX: u64 = 128 << 20;
/// Manifests that are sent at once to addresses that had the same one a moment ago. One stream among those of chunks
/// costs a download little, whoever asks again and again.
pub const MANIFEST_REPEATS_MAX: usize = 1;
/// Bytes of chunks that are remembered to be set against repeated manifests: while chunks wait, repeats get no more.
pub const MANIFEST_REPEAT_CREDIT_MAX: u64 = 8 << 20;
/// An address that had a manifest so recently gets it again only as a repeat: longer than a peer takes to restart.
pub const MANIFEST_REPEAT_WITHIN: Duration = Duration::from_secs(60);
/// Notes of which address was sent which manifest. Beyond them everything counts as a repeat.
pub const MANIFEST_NOTES_MAX: usize = 4096;
/// Requests for manifests on one connection that may be refused as too many in a row before it is closed. A peer keeps
/// to `MANIFESTS_PER_SOURCE_MAX` and waits after a refusal, so it never comes near this.
pub const MANIFEST_REFUSALS_MAX: u32 = 64;
/// Time that a receiver may take for a manifest while others wait, beside what `MANIFEST_SEND_RATE_MIN` takes.
pub const MANIFEST_SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Slowest rate at which a manifest is sent or received, per second: a slow wireless link shared by sixteen.
pub const MANIFEST_SEND_RATE_MIN: u64 = 64 << 10;

/// Sources that are asked for one manifest at once.
pub const MANIFEST_SOURCES_MAX: usize = 4;
/// Time after which another source is asked for a manifest beside the first, beyond what `MANIFEST_RATE_USUAL` takes:
/// longer than the round trips of a new connection on a bad wireless link.
pub const MANIFEST_HEDGE_MIN: Duration = Duration::from_secs(1);
/// Rate of a usual source of manifests, per second: a tenth of a 100 Mbit/s link.
pub const MANIFEST_RATE_USUAL: u64 = 1 << 20;
/// Time that a source may take to begin a manifest: it may have to serve two hundred others before.
pub const MANIFEST_ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Pause after a source said for the first time that too many requests wait; doubled each time.
pub const MANIFEST_BUSY_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause after a source said that too many requests wait: its places change hands in seconds.
pub const MANIFEST_BUSY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// Time after which a source that is still busy counts as one that does not help.
pub const MANIFEST_SEARCH_MAX: Duration = Duration::from_secs(300);
/// Addresses of which one search notes how often they were asked; more than there are peers.
pub const MANIFEST_PLACES_MAX: usize = 1024;
/// Time that a manifest which is no longer waited for may go on before the connection to its source is closed. A source
/// that is honest and was only late ends it, and is not torn out of its chunks.
pub const MANIFEST_LEFTOVER_MAX: Duration = Duration::from_secs(10);

/// Units that the control messages of one connection may cost per second. A unit is what takes one microsecond of the
/// node's thread (`budget::cost`); the simulated rooms of 200 need a quarter of it at most (docs/protocol.md).
pub const UNITS_PER_SECOND: u32 = 20_000;
/// Units that one connection may spend at once: a library of 4,096 games, a catalogue of 4 MiB and introductions to a full
/// room, and what a peer says in the fifteen seconds for which a busy receiver still counts as alive.
pub const UNITS_BURST: u32 = 150_000;
/// Units that one connection may owe, in messages that were not handled, before it is closed: one second's budget.
pub const UNITS_OWED_MAX: u32 = UNITS_PER_SECOND;
/// Connections whose budgets one address (IPv4) or /64 (IPv6) may use together, however many identities it has: a
/// machine runs one peer, a router with address translation has a few behind it.
pub const CONNECTIONS_PER_SITE: u32 = 4;
/// The same on a loopback address, where a whole party may run for trial.
pub const CONNECTIONS_PER_LOOPBACK_SITE: u32 = 64;
/// Wishes of one peer that are told and weighed within a minute: an organiser has the evening's games in mind.
pub const WISHES_PER_PEER: usize = 8;
/// The same for one address or /64, whatever its identities are: four peers behind one router.
pub const WISHES_PER_SITE: usize = 4 * WISHES_PER_PEER;
/// The same for everybody together, so also the lines of it that are printed in a minute. When they are used up, a peer of
/// an address that has made fewer of them still gets in.
pub const WISHES_MAX: usize = 256;
/// Changes of one peer's library that are told at once; beyond that they are told together.
pub const LIBRARY_NEWS_BURST: u32 = 16;
/// Changes of one peer's library that are told per second after that.
pub const LIBRARY_NEWS_PER_SECOND: u32 = 1;
/// Distinct offers that are kept over all peers: sixteen libraries of the largest size that share no game, or two hundred
/// that have 327 games each that nobody else has. An offer that several peers make counts once.
pub const DISTINCT_OFFERS_MAX: usize = 16 * GAMES_PER_PEER_MAX;
/// Offers that `list-peers` tells of, over all peers: two hundred libraries of 1,300 games. Beyond that each peer's list
/// is cut to its share.
pub const LISTED_OFFERS_MAX: usize = 1 << 18;
/// Games that `list-games` tells of that neither are here nor stand in the catalogue: those that most peers offer.
pub const LISTED_GAMES_MAX: usize = 4096;
/// Games in a view of the room: the catalogue's, those that are here or on their way, and those that most peers offer.
pub const ROOM_GAMES_MAX: usize = 1024;
/// Time between two views of the room, however many ask for one.
pub const ROOM_VIEW_EVERY: Duration = Duration::from_millis(500);
/// Identities in the address book that were seen at one address or /64 and never reached. A machine runs one peer; others
/// may be behind its address translation.
pub const UNREACHED_PER_SITE: usize = 8;
/// Identities of one address or /64 that are dialled at a time, of those that were never reached.
pub const ATTEMPTS_PER_SITE: usize = 4;
/// Dials that the introducers of one address or /64 cause at once: a full room.
pub const HEARSAY_DIALS_PER_SITE: u32 = PEERS_MAX as u32;
/// Those among them that nobody else can use up.
pub const HEARSAY_DIALS_OWN: u32 = 128;
/// Dials beyond the own ones that all introducers together cause at once: two may name a full room each.
pub const HEARSAY_DIALS: u32 = 2 * PEERS_MAX as u32;
/// Time in which each of these budgets gains one dial: sixty in a minute.
pub const HEARSAY_DIAL_EVERY: Duration = Duration::from_secs(1);
/// Lowest port at which somebody is dialled who did not say itself that it listens there. Below it are the services of
/// other programs.
pub const INTRODUCED_PORT_MIN: u16 = 1024;
/// Peers of other versions that are told of at once; one more in each ten seconds after that.
pub const OTHER_VERSION_NEWS: u32 = 64;
/// Addresses whose spending is remembered after their connections ended.
pub const SITES_MAX: usize = 2 * PEERS_MAX;

/// Most suppliers that are recorded of one content: enough to say whose it is, and a room of 200 stays a short file.
pub const SUPPLIERS_RECORDED_MAX: usize = 8;
/// Most contents of one game whose origin is recorded: the installed one, the downloaded one, and two before them.
pub const ORIGINS_PER_GAME_MAX: usize = 4;
/// Most contents of one game whose start was confirmed; the oldest is asked about again.
pub const CONFIRMED_STARTS_PER_GAME_MAX: usize = 16;
}
