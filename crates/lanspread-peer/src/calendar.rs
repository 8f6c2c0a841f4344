//! The date, as far as the system's clock can be believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanspread_core::trust::CalendarDate;

/// A clock before 2025-01-01 is wrong, since this program is younger: its battery is empty, or nobody has set it.
pub const CLOCK_MIN: Duration = Duration::from_secs(1_735_689_600);

/// Today's date; `None` while the clock is certainly wrong.
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
    fn a_clock_that_is_certainly_wrong_gives_no_date() {
        assert_eq!(date_at(UNIX_EPOCH), None);
        assert_eq!(date_at(UNIX_EPOCH + CLOCK_MIN).map(CalendarDate::stamp), Some(20_250_101));
    }
}
