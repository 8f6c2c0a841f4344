//! What a scenario is: a claim about behaviour, declared as data, and the function that tries to refute it.
//!
//! The matrix `PEER_CLI_SCENARIOS.md` is written from these declarations, so what stands there is what runs.

use crate::lab::Lab;

/// Where the peers of a run live. A scenario does not know which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabKind {
    /// Each peer is a process with its own loopback address.
    Local,
    /// Each peer is a process in its own network namespace.
    Netns,
    /// Each peer is a container.
    Container,
}

impl LabKind {
    pub const ALL: [Self; 3] = [Self::Local, Self::Netns, Self::Container];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Netns => "netns",
            Self::Container => "container",
        }
    }
}

/// Every lab: for what needs nothing but peers that reach each other.
pub const EVERYWHERE: &[LabKind] = &LabKind::ALL;

/// One claim.
pub struct Scenario {
    /// `S14`.
    pub id: &'static str,
    /// A few words: the test's name is the id and these.
    pub title: &'static str,
    /// What must be true, in a sentence.
    pub claim: &'static str,
    pub setup: &'static str,
    pub expected: &'static str,
    /// Faults in the product, by the name of their failpoint, each of which must turn this scenario red.
    pub sabotages: &'static [&'static str],
    pub labs: &'static [LabKind],
    pub body: Body,
}

pub enum Body {
    Run(fn(&Lab) -> Outcome),
    /// Not to be run yet: what it waits for.
    Pending(&'static str),
}

impl Scenario {
    /// The test's name.
    pub fn name(&self) -> String {
        match self.body {
            Body::Run(_) => format!("{} {}", self.id, self.title),
            Body::Pending(subject) => format!("{} {} (pending: {subject})", self.id, self.title),
        }
    }
}

pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a claim does not hold, or could not be tried: both are red.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Ends the scenario with a message.
macro_rules! fail {
    ($($message:tt)+) => {
        return Err($crate::scenario::Failure(format!($($message)+)))
    };
}

/// Ends the scenario unless the condition holds.
macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        // A match, because `!(a < b)` is frowned upon where a comparison of floats stands for the condition.
        match $condition {
            true => {}
            false => $crate::scenario::fail!($($message)+),
        }
    };
}

/// Ends the scenario unless both sides are equal; `what` says what the left side is.
macro_rules! require_eq {
    ($left:expr, $right:expr, $($what:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if *left != *right {
            let what = format!($($what)+);
            $crate::scenario::fail!("{what}\n     found: {left:?}\n  expected: {right:?}");
        }
    }};
}

pub(crate) use {fail, require, require_eq};
