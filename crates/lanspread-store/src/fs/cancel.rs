//! Cancellation token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancellation token for a long operation. Clones share one state. Operations check it between reads and writes; it
/// cannot be reset.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Creates a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every operation that has this token or a clone of it to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether this token or a clone of it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
