//! The game that a simulated party downloads: a manifest with random hashes and no bytes behind them.
//!
//! The chunk hashes merge to the files' roots, so every check of the manifest passes.

use lanspread_core::swarm::Rng;
use lanspread_types::manifest::{FileEntry, SENTINEL};
use lanspread_types::tree::root_of;
use lanspread_types::{ChunkHash, ChunkSize, GameContent, GameId, GameVersion, Manifest, RelPath};

/// Returns the id of the game.
pub fn game_id() -> GameId {
    GameId::new("game").expect("a constant id")
}

/// Returns 32 random bytes, for a hash or a peer id.
pub fn random_32(rng: &mut Rng) -> [u8; 32] {
    std::array::from_fn(|_| rng.next_u64() as u8)
}

/// Returns a game of `bytes` bytes: one archive and its sentinel.
pub fn content_of(bytes: u64, rng: &mut Rng) -> GameContent {
    let sentinel = 8;
    let chunk = ChunkSize::for_game(bytes.max(sentinel));
    let mut files = Vec::new();
    let mut hashes = Vec::new();
    for (path, size) in [("game.eti", bytes.saturating_sub(sentinel)), (SENTINEL, sentinel)] {
        let of_file: Vec<_> = (0..chunk.chunks_in(size)).map(|_| ChunkHash(random_32(rng))).collect();
        let path = RelPath::new(path).expect("a constant path");
        let root = root_of(&of_file, chunk, size).expect("as many hashes as chunks");
        files.push(FileEntry { path, size, root });
        hashes.extend(of_file);
    }
    let version = GameVersion::new(20_250_101).expect("a constant version");
    let manifest = Manifest::new(game_id(), version, files).expect("a well-formed game");
    GameContent::new(manifest, hashes).expect("hashes that merge to the roots")
}
