//! Formats figures for people, in decimal units, as limits are given and as the page shows them: a MB is 10^6 bytes.

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Formats a number of bytes with at most three significant digits: `1.5 GB`.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    // A value that rounds to 1000 belongs to the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let figure = format!("{value:.digits$}");
    let figure = if digits > 0 { figure.trim_end_matches('0').trim_end_matches('.') } else { &figure };
    format!("{figure} {}", UNITS[unit])
}

/// Formats a rate: `118 MB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// Formats a line rate as switches and cables are labelled: `943 Mbit/s`.
pub fn line_rate(mbit_per_s: f64) -> String {
    if mbit_per_s >= 1000.0 {
        format!("{:.1} Gbit/s", mbit_per_s / 1000.0)
    } else {
        format!("{mbit_per_s:.0} Mbit/s")
    }
}

/// Formats milliseconds: `850 ms`, `4.2 s`, `3 min 5 s`.
pub fn millis(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=59_949 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => {
            let seconds = (ms + 500) / 1000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// Formats whole seconds: `42 s`, `3 min 5 s`, `2 h 10 min`.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns whole percent, rounded down, so that 100 means complete.
pub fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { (u128::from(done.min(total)) * 100 / u128::from(total)) as u64 }
}

/// Formats a part of a whole, rounded: `49.9 %`.
pub fn share(part: u64, whole: u64) -> String {
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{share:.1} %")
}

/// Formats a number with its noun: `1 peer`, `2 peers`.
pub fn count(number: usize, one: &str) -> String {
    let ending = match number {
        1 => "",
        _ => "s",
    };
    format!("{number} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_most() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1500, "1.5 kB"),
            (3_000_190, "3 MB"),
            (10_000, "10 kB"),
            (100_000, "100 kB"),
            (100_400, "100 kB"),
            (999_999, "1 MB"),
            (12_345_678, "12.3 MB"),
            (128 << 20, "134 MB"),
            (4_000_000_000_000, "4 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn other_figures() {
        assert_eq!(millis(59_949), "59.9 s");
        assert_eq!(millis(59_950), "1 min 0 s");
        assert_eq!(line_rate(942.7), "943 Mbit/s");
        assert_eq!(line_rate(2345.0), "2.3 Gbit/s");
        assert_eq!((percent(999, 1000), percent(0, 0), percent(u64::MAX, u64::MAX)), (99, 100, 100));
        assert_eq!((share(1, 3), share(0, 0)), ("33.3 %".to_owned(), "0.0 %".to_owned()));
        assert_eq!((count(1, "peer"), count(0, "peer")), ("1 peer".to_owned(), "0 peers".to_owned()));
    }
}
