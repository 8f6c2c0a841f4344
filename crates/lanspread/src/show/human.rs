//! Figures as people read them. Binary units: a MiB is 2^20 bytes.

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// `1.5 GiB`: three significant digits at most.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded up to 1024 is told in the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
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

/// `118 MiB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// `943 Mbit/s`, as switches and cables are labelled.
pub fn line_rate(mbit_per_s: f64) -> String {
    if mbit_per_s >= 1000.0 {
        format!("{:.1} Gbit/s", mbit_per_s / 1000.0)
    } else {
        format!("{mbit_per_s:.0} Mbit/s")
    }
}

/// `850 ms`, `4.2 s`, `3 min 5 s`.
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

/// Whole seconds.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Whole percent, rounded down: 100 only when everything is there.
pub fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { (u128::from(done.min(total)) * 100 / u128::from(total)) as u64 }
}

/// `49.9 %`: a part of a whole, rounded.
pub fn share(part: u64, whole: u64) -> String {
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{share:.1} %")
}

/// `1 peer`, `2 peers`.
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
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            ((3 << 20) + 190, "3 MiB"),
            (10 * 1024, "10 KiB"),
            (100 << 10, "100 KiB"),
            (100 * 1024 + 512, "100 KiB"),
            (1024 * 1024 - 1, "1 MiB"),
            (12_345_678, "11.8 MiB"),
            (128 << 20, "128 MiB"),
            (4 << 40, "4 TiB"),
            (u64::MAX, "16384 PiB"),
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
