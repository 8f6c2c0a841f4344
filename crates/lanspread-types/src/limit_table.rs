//! Bounds as a table for the documentation.
//!
//! [`limits!`](crate::limits!) declares constants and lists them in a `TABLE`; `docs/limits.md` is generated from
//! these tables. A bound that is declared with the macro cannot be missing from the document or differ from it.

use std::time::Duration;

/// One bound, as `docs/limits.md` shows it.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Name of the constant.
    pub name: &'static str,
    /// Formats the value of the constant with its unit.
    pub value: fn() -> String,
    /// What the constant bounds and why: its doc comment.
    pub doc: &'static str,
}

/// Declares constants and a `TABLE: &[Limit]` that lists all of them.
#[macro_export]
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $vis:vis const $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ $vis const $name: $type = $value;)*

        /// Every bound of this module, in order of declaration.
        pub const TABLE: &[$crate::Limit] = &[$($crate::Limit {
            name: stringify!($name),
            value: || $crate::LimitValue::show(&$name, stringify!($name)),
            doc: concat!($($doc),+),
        }),*];
    };
}

/// Value of a bound: a number or a duration.
pub trait LimitValue {
    /// Formats the value with its unit. A number counts bytes if the constant's name contains `BYTES`.
    fn show(&self, name: &str) -> String;
}

macro_rules! numbers {
    ($($type:ty)*) => { $(impl LimitValue for $type {
        fn show(&self, name: &str) -> String {
            let value = u64::from(*self);
            if name.contains("BYTES") { bytes(value) } else { grouped(value) }
        }
    })* };
}

numbers!(u16 u32 u64);

impl LimitValue for usize {
    fn show(&self, name: &str) -> String {
        (*self as u64).show(name)
    }
}

impl LimitValue for Duration {
    fn show(&self, _name: &str) -> String {
        let millis = self.as_millis();
        match (millis % 1000, self.as_secs()) {
            (0, seconds) if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
            (0, seconds) => format!("{seconds} s"),
            _ => format!("{millis} ms"),
        }
    }
}

/// Formats a number of bytes in the largest binary unit that divides it.
fn bytes(value: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units.into_iter().find(|(shift, _)| value >> shift > 0 && (value >> shift) << shift == value);
    match fits {
        Some((shift, unit)) => format!("{} {unit}", grouped(value >> shift)),
        None => format!("{} bytes", grouped(value)),
    }
}

/// Formats a number with commas between its thousands.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let comma = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    digits
        .char_indices()
        .flat_map(|(at, digit)| comma(at).then_some(',').into_iter().chain([digit]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    mod sample {
        crate::limits! {
            /// Largest thing,
            /// in bytes.
            pub const THING_BYTES_MAX: usize = 3 << 20;
            /// Time to wait.
            pub const PATIENCE: std::time::Duration = std::time::Duration::from_millis(250);
        }
    }

    #[test]
    fn table_lists_every_constant() {
        let rows: Vec<_> = sample::TABLE.iter().map(|l| (l.name, (l.value)(), l.doc.trim())).collect();
        assert_eq!(sample::THING_BYTES_MAX, 3 << 20);
        assert_eq!(
            rows,
            [
                ("THING_BYTES_MAX", "3 MiB".to_owned(), "Largest thing, in bytes."),
                ("PATIENCE", "250 ms".to_owned(), "Time to wait."),
            ]
        );
    }

    #[test]
    fn values_have_readable_units() {
        assert_eq!(4096_u32.show("GAMES_MAX"), "4,096");
        assert_eq!(1_048_576_u64.show("CHUNKS_MAX"), "1,048,576");
        assert_eq!(255_usize.show("NAME_BYTES_MAX"), "255 bytes");
        assert_eq!((36_usize << 10).show("READ_BYTES"), "36 KiB");
        assert_eq!(Duration::from_secs(660).show("IDLE_MAX"), "11 min");
        assert_eq!(Duration::from_secs(90).show("IDLE_MAX"), "90 s");
    }
}
