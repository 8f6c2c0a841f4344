//! Number of scenarios of this run that have not ended.

use std::sync::atomic::{AtomicUsize, Ordering};

static LEFT: AtomicUsize = AtomicUsize::new(0);

pub fn expect(scenarios: usize) {
    LEFT.store(scenarios, Ordering::SeqCst);
}

pub fn left() -> usize {
    LEFT.load(Ordering::SeqCst)
}

/// Guard that counts one scenario as ended when it is dropped.
pub struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        LEFT.fetch_sub(1, Ordering::SeqCst);
    }
}
