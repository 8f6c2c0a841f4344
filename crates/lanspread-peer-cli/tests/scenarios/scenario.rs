//! Definition of a scenario: a claim about behaviour, declared as data, and the function that tries to refute it.
//!
//! The matrix in `PEER_CLI_SCENARIOS.md` is generated from these declarations, so it lists exactly what runs.

use crate::lab::Lab;

/// Kind of lab in which the peers of a run live. A scenario's body does not depend on it.
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

/// Every lab: for scenarios that only need peers that reach each other.
pub const EVERYWHERE: &[LabKind] = &LabKind::ALL;

/// One claim and how it is tested.
pub struct Scenario {
    /// Id, such as `S14`.
    pub id: &'static str,
    /// A few words. The test's name is the id and the title.
    pub title: &'static str,
    /// What must be true, in one sentence.
    pub claim: &'static str,
    /// The peers, their games and what is done to them.
    pub setup: &'static str,
    /// What the scenario requires.
    pub expected: &'static str,
    /// Faults in the product, each of which must turn this scenario red for the claim that it names.
    pub sabotages: &'static [Sabotage],
    /// Labs in which the scenario can run.
    pub labs: &'static [LabKind],
    /// The test, or the reason why there is none yet.
    pub body: Body,
}

/// A deliberate fault in the product, and the claim that it must break.
#[derive(Debug, Clone, Copy)]
pub struct Sabotage {
    /// Name of the failpoint.
    pub fault: &'static str,
    /// Words of the assertion that the fault must break: the first line of the failure has one of them. A failure
    /// without them comes from another assertion, and shows nothing about the one that the fault is for.
    pub breaks: &'static [&'static str],
    /// Name of the only peer that has the fault. `None`: every peer has it.
    pub at: Option<&'static str>,
}

impl Sabotage {
    /// Creates a fault that every peer has.
    pub const fn new(fault: &'static str, breaks: &'static [&'static str]) -> Self {
        Self { fault, breaks, at: None }
    }

    /// Gives the fault to this peer only.
    pub const fn at(self, peer: &'static str) -> Self {
        Self { at: Some(peer), ..self }
    }

    /// Returns the fault's name if the peer of this name has the fault.
    pub fn in_peer(self, peer: &str) -> Option<&'static str> {
        self.at.is_none_or(|at| at == peer).then_some(self.fault)
    }

    /// Returns whether the first line of a failure is about a claim that the fault must break.
    pub fn explains(self, failure: &str) -> bool {
        self.breaks.iter().any(|words| failure.contains(words))
    }
}

/// Body of a scenario.
pub enum Body {
    /// The function that tests the claim.
    Run(fn(&Lab) -> Outcome),
    /// Not run yet; names what the scenario waits for.
    Pending(&'static str),
}

impl Scenario {
    /// Returns the test's name.
    pub fn name(&self) -> String {
        match self.body {
            Body::Run(_) => format!("{} {}", self.id, self.title),
            Body::Pending(subject) => format!("{} {} (pending: {subject})", self.id, self.title),
        }
    }
}

/// Result of a step of a scenario.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a claim does not hold, or could not be tested. Both are red.
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
        // A match, because clippy rejects `!(a < b)` for floats.
        match $condition {
            true => {}
            false => $crate::scenario::fail!($($message)+),
        }
    };
}

/// Ends the scenario unless both sides are equal. `what` describes the left side.
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
