//! How jobs and workers report to the loop.

use std::time::{Duration, Instant};

use lanspread_core::io::{DiskReport, Input};
use tokio::sync::mpsc;

/// Shortest time between two reports of a job's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Channel by which jobs report to the loop.
pub(crate) type Reports = mpsc::UnboundedSender<Input>;

/// Sends a report to the loop.
pub(crate) fn report(reports: &Reports, report: DiskReport) {
    // If this fails, the loop has ended and needs no report.
    let _ = reports.send(Input::Disk(report));
}

/// Passes on progress at most every [`PROGRESS_INTERVAL`], and always the last figure.
pub(crate) struct Throttled<F: FnMut(u64, u64)> {
    tell: F,
    /// When progress was last passed on; at first, when the job began.
    told: Option<Instant>,
}

impl<F: FnMut(u64, u64)> Throttled<F> {
    /// Passes progress to `tell`, for the first time after one interval.
    pub fn new(tell: F) -> Self {
        Self { tell, told: Some(Instant::now()) }
    }

    /// Takes a figure, which is passed on if it is the last or the interval is over.
    pub fn tell(&mut self, done: u64, total: u64) {
        if done == total || self.told.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            self.told = Some(Instant::now());
            (self.tell)(done, total);
        }
    }
}
