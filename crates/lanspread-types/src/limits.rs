//! Bounds on everything that crosses a border: names, messages, manifests, libraries.
//!
//! A peer that exceeds one of them breaks the protocol. A bound that concerns a single crate stands in that crate
//! instead. The doc comments below are printed into `docs/limits.md`.

crate::limits! {
/// Version of the peer protocol. Peers with different numbers show each other, but exchange nothing.
pub const PROTOCOL_VERSION: u16 = 5;

/// Longest game id, in bytes.
pub const GAME_ID_BYTES_MAX: usize = 64;
/// Longest peer name, in bytes of UTF-8.
pub const PEER_NAME_BYTES_MAX: usize = 64;
/// Longest name of a closed party, in bytes of UTF-8.
pub const PARTY_NAME_BYTES_MAX: usize = 64;
/// Longest passphrase, in bytes of UTF-8.
pub const PASS_PHRASE_BYTES_MAX: usize = 256;
/// Shortest passphrase, in characters. Guesses are limited to some hundred an hour, so this is not about computing power.
pub const PASS_PHRASE_CHARS_MIN: usize = 8;
/// Fewest letters and digits of a new passphrase, without common words, the party's name and runs: eight digits make
/// 10^8 guesses, which is 38 years at 300 an hour.
pub const PASS_PHRASE_COUNTED_MIN: usize = 8;
/// Fewest different letters and digits among those that count in a new passphrase.
pub const PASS_PHRASE_DISTINCT_MIN: usize = 5;
/// Longest relative path, in bytes of UTF-8. Windows allows 32,767 UTF-16 units with the `\\?\` prefix.
pub const REL_PATH_BYTES_MAX: usize = 1024;
/// Longest path component: 255 is the limit of ext4 (bytes), NTFS and APFS (UTF-16 units).
pub const PATH_COMPONENT_BYTES_MAX: usize = 255;
/// Deepest path, in components.
pub const PATH_DEPTH_MAX: usize = 64;

/// Most games that one peer may announce.
pub const GAMES_PER_PEER_MAX: usize = 4096;
/// Most files in one game.
pub const FILES_PER_GAME_MAX: usize = 200_000;
/// Largest game, in bytes (4 TiB).
pub const GAME_BYTES_MAX: u64 = 4 << 40;
/// Most chunks in one game. A game has some 10,000 chunks, and small files share them; one of 128 GiB has 131,072, and a
/// larger one goes over that because a chunk is never larger than 8 MiB (4 TiB = 524,288 chunks).
pub const CHUNKS_PER_GAME_MAX: u32 = 1 << 20;
/// Most files in a run of small files that share a chunk: what one request may make a source open.
pub const RUN_FILES_MAX: usize = 256;
/// Bytes that a run may always have, even in games with smaller chunks: opening files costs more than sending them.
pub const RUN_BYTES_MIN: u64 = 64 << 10;
/// Largest run, in bytes. A source reads it into memory to send it.
pub const RUN_BYTES_MAX: u64 = 1 << 20;

/// Smallest chunk, in bytes.
pub const CHUNK_BYTES_MIN: u64 = 32 << 10;
/// Largest chunk, in bytes. Also the largest payload of a data connection, so also the largest buffer.
pub const CHUNK_BYTES_MAX: u64 = 8 << 20;

/// Largest control frame, header included, in bytes.
pub const CONTROL_FRAME_BYTES_MAX: usize = 64 << 10;
/// Most games in one library message; a larger library is sent in several.
pub const GAMES_PER_LIBRARY_MESSAGE_MAX: usize = 256;
/// Most chunk indices in one have message.
pub const CHUNKS_PER_HAVE_MAX: usize = 8192;
/// Most bytes of a bitmap in one have-map message; a larger map is sent in several parts.
pub const HAVE_MAP_BYTES_MAX: usize = 32 << 10;
/// Most requests that one receiver may have waiting at one source.
pub const REQUESTS_PER_SOURCE_MAX: usize = 64;
/// Most chunks in one request to follow.
pub const CHUNKS_PER_FOLLOW_MAX: usize = 64;
/// Most chunks that one receiver may await from one source: a quarter of a second at 1 Gbit/s in chunks of 128 KiB.
pub const AWAITED_PER_SOURCE_MAX: usize = 256;
/// Most upstreams of one place: the one to follow, and two to turn to.
pub const UPSTREAMS_MAX: usize = 3;
/// Most manifest requests that one receiver may have open at one source: more than anybody downloads at once.
pub const MANIFESTS_PER_SOURCE_MAX: usize = 8;
/// Largest encoded manifest (file list and chunk hashes), in bytes.
pub const MANIFEST_BYTES_MAX: usize = 96 << 20;
/// Largest signed catalogue, in bytes.
pub const CATALOG_BYTES_MAX: usize = 4 << 20;
/// Most bytes of a catalogue in one message.
pub const CATALOG_PART_BYTES_MAX: usize = 32 << 10;
/// Most groups that a catalogue may name.
pub const GROUPS_MAX: usize = 64;
/// Longest name of a group, in characters: half a line of a terminal.
pub const GROUP_NAME_CHARS_MAX: usize = 32;
/// Most networks of all groups of a catalogue together. Each is compared with an address whose group is looked up.
pub const GROUP_NETWORKS_MAX: usize = 256;
/// Most downloads in one state message.
pub const DOWNLOADS_PER_STATE_MAX: usize = 64;
/// Most addresses in one introduction message.
pub const INTRODUCTIONS_MAX: usize = 64;

/// Most peers that are kept connected.
pub const PEERS_MAX: usize = 512;

/// Most addresses that are kept for one peer.
pub const ADDRS_PER_PEER_MAX: usize = 8;
/// Most peers that are remembered for the next party.
pub const REMEMBERED_MAX: usize = 64;
/// Largest beacon, in bytes. Every IPv4 host takes a datagram of this size (RFC 791: 576 bytes, header included).
pub const BEACON_BYTES_MAX: usize = 256;
}
