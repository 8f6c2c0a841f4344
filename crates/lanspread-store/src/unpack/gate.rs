//! How much an archive may unpack to without its owner's word, and what of the disk unpacking never takes.

use lanspread_types::limits::GAME_BYTES_MAX;

lanspread_types::limits! {
/// Times their own size that archives may unpack to without the owner's word. Games are packed media and programs, 1:1 to
/// 1:10; text and tables reach 1:20, padded images of discs some more. A bomb has 1:1000 and above.
pub const UNPACK_RATIO_MAX: u64 = 50;
/// Bytes beyond their own size that archives may unpack to whatever the ratio: small archives with a large empty file in
/// them are no danger to a disk that games are played from.
pub const UNPACK_EXCESS_BYTES_MAX: u64 = 1 << 30;
/// Most of a disk that unpacking leaves free: room for the system's own files, saved games and what else runs.
pub const UNPACK_RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Part of a smaller disk that unpacking leaves free: one in so many bytes.
pub const UNPACK_RESERVE_PART: u64 = 50;
}

/// Bytes that archives of `packed` bytes may unpack to if their owner has allowed `consent` bytes.
pub fn allowed(packed: u64, consent: u64) -> u64 {
    let by_size = packed.saturating_mul(UNPACK_RATIO_MAX);
    by_size.max(packed.saturating_add(UNPACK_EXCESS_BYTES_MAX)).max(consent).min(GAME_BYTES_MAX)
}

/// Bytes of a disk of `total` bytes that unpacking leaves free.
pub fn reserve(total: u64) -> u64 {
    (total / UNPACK_RESERVE_PART).min(UNPACK_RESERVE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn honest_games_pass_and_bombs_do_not() {
        for (packed, unpacked) in [(64 << 10, 900 << 20), (100 << 20, 4 * GIB), (40 * GIB, 400 * GIB)] {
            assert!(unpacked <= allowed(packed, 0), "{packed} to {unpacked}");
        }
        assert!(2 * GIB > allowed(65_000, 0), "65 KB to 2 GiB");
        assert!(2 * GIB <= allowed(65_000, 2 * GIB), "its owner allows it");
        assert_eq!(allowed(u64::MAX, 0), GAME_BYTES_MAX);
    }

    #[test]
    fn a_small_disk_keeps_a_part_and_a_large_one_a_gibibyte() {
        assert_eq!([reserve(100 << 20), reserve(4000 * GIB)], [2 << 20, GIB]);
    }
}
