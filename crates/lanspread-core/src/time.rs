//! Time as an input of the core.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, measured from the creation of the node. Only differences between moments have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(Duration);

impl Time {
    /// The creation of the node.
    pub const START: Self = Self(Duration::ZERO);
    /// A moment that never comes.
    pub const MAX: Self = Self(Duration::MAX);

    /// Returns the moment `elapsed` after the creation of the node.
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Returns the time since the creation of the node.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}
