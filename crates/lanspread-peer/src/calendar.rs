//! Today's date, if the system's clock is plausible.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanspread_core::trust::CalendarDate;

/// Earliest plausible time, counted from the Unix epoch: 2025-01-01, since this program is younger. A clock before it
/// has an empty battery or was never set.
pub const CLOCK_MIN: Duration = Duration::from_secs(1_735_689_600);

/// Returns today's date (UTC), or `None` while the clock is certainly wrong.
pub fn today() -> Option<CalendarDate> {
    date_at(SystemTime::now())
}

fn date_at(now: SystemTime) -> Option<CalendarDate> {
    let since = now.duration_since(UNIX_EPOCH).ok().filter(|since| *since >= CLOCK_MIN)?;
    Some(CalendarDate::from_unix_seconds(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implausible_clock_gives_no_date() {
        assert_eq!(date_at(UNIX_EPOCH), None);
        assert_eq!(date_at(UNIX_EPOCH + CLOCK_MIN).map(CalendarDate::stamp), Some(20_250_101));
    }
}
