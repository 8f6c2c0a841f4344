//! Limits on unpacking: how much an archive may unpack to without the owner's consent, and how much of the disk stays
//! free.

use lanspread_types::limits::GAME_BYTES_MAX;

lanspread_types::limits! {
/// How many times their own size archives may unpack to without the owner's consent. Games are packed media and
/// programs, which unpack to 1 to 10 times the size of the archive. Text and tables reach 20 times, padded images of
/// discs somewhat more. A bomb unpacks to 1000 times its size or more.
pub const UNPACK_RATIO_MAX: u64 = 50;
/// How many bytes more than their own size archives may unpack to, whatever the ratio. A small archive may hold a
/// large empty file, and this many bytes do not fill a disk that games are played from.
pub const UNPACK_EXCESS_BYTES_MAX: u64 = 1 << 30;
/// Most bytes that unpacking keeps free on a disk, for the system's own files, saved games and other programs.
pub const UNPACK_RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Divisor of the disk's size: unpacking keeps the quotient free, at most `UNPACK_RESERVE_BYTES_MAX`.
pub const UNPACK_RESERVE_PART: u64 = 50;
}

/// Returns the bytes that archives of `packed` bytes may unpack to, if the owner has allowed `consent` bytes (0 for
/// none).
pub fn allowed(packed: u64, consent: u64) -> u64 {
    let by_size = packed.saturating_mul(UNPACK_RATIO_MAX);
    by_size.max(packed.saturating_add(UNPACK_EXCESS_BYTES_MAX)).max(consent).min(GAME_BYTES_MAX)
}

/// Returns the bytes that unpacking leaves free on a disk of `total` bytes.
pub fn reserve(total: u64) -> u64 {
    (total / UNPACK_RESERVE_PART).min(UNPACK_RESERVE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn games_pass_and_bombs_do_not() {
        for (packed, unpacked) in [(64 << 10, 900 << 20), (100 << 20, 4 * GIB), (40 * GIB, 400 * GIB)] {
            assert!(unpacked <= allowed(packed, 0), "{packed} to {unpacked}");
        }
        assert!(2 * GIB > allowed(65_000, 0), "65 KB to 2 GiB");
        assert!(2 * GIB <= allowed(65_000, 2 * GIB), "its owner allows it");
        assert_eq!(allowed(u64::MAX, 0), GAME_BYTES_MAX);
    }

    #[test]
    fn reserve_is_a_share_of_at_most_one_gibibyte() {
        assert_eq!([reserve(100 << 20), reserve(4000 * GIB)], [2 << 20, GIB]);
    }
}
