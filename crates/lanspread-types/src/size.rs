//! Sizes in error messages, as people read them.

use std::fmt;

/// A number of bytes that is displayed in a decimal unit with at most three digits, such as `42.3 MB`. Rounds up, so
/// that freeing the stated room is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000_000_u64, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        let Some((unit, name)) = units.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} bytes", self.0);
        };
        let tenths = u128::from(self.0).saturating_mul(10).div_ceil(u128::from(unit));
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, _) if whole >= 100 => write!(f, "{} {name}", whole + 1),
            (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_never_too_small() {
        for (bytes, text) in [
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (42_236_545, "42.3 MB"),
            (100_000_001, "101 MB"),
            (1_140_850_688, "1.2 GB"),
            (4 << 40, "4.4 TB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
