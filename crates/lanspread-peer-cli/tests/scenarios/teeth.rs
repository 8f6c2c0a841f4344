//! Teeth: each scenario against each of its sabotages, and every one must turn it red.
//!
//! A sabotage is a deliberate fault in the product, a failpoint that only a build with the feature `sabotage` has. The
//! program reads the name from `LANSPREAD_SABOTAGE` and says `sabotage NAME armed` on standard error when it knows it,
//! and `sabotage NAME hit` the first time that it acts. So a name that the product does not know, or a fault that the
//! scenario never reaches, is told apart from one that was caught.
//!
//! `LANSPREAD_TEETH=1 cargo test -p lanspread-peer-cli --features sabotage --test scenarios` runs them; one scenario or
//! one sabotage is chosen with the usual filter.

use std::sync::{Mutex, PoisonError};

/// The name of a failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sabotage(pub &'static str);

/// What became of a scenario under a sabotage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Red: as it should be.
    Caught,
    /// Green although the product was sabotaged: the scenario proves nothing about it.
    Survived,
    /// Red or green, but no peer knew the sabotage.
    NotArmed,
    /// The sabotage was known, but nothing that the scenario does reaches it.
    NotHit,
}

impl Verdict {
    /// Judges by the scenario's end and by what its peers wrote to standard error.
    pub fn of(green: bool, sabotage: Sabotage, stderr: &str) -> Self {
        let said = |what: &str| stderr.contains(&format!("sabotage {} {what}", sabotage.0));
        match (said("armed"), said("hit"), green) {
            (false, ..) => Self::NotArmed,
            (true, false, _) => Self::NotHit,
            (true, true, true) => Self::Survived,
            (true, true, false) => Self::Caught,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::NotArmed => "NOT ARMED",
            Self::NotHit => "NOT HIT",
        }
    }
}

static TABLE: Mutex<Vec<(&'static str, Sabotage, Verdict)>> = Mutex::new(Vec::new());

pub fn record(scenario: &'static str, sabotage: Sabotage, verdict: Verdict) {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner).push((scenario, sabotage, verdict));
}

/// Whether this run is about teeth.
pub fn wanted() -> bool {
    std::env::var_os("LANSPREAD_TEETH").is_some_and(|v| !v.is_empty() && v != "0")
}

/// The table scenario × sabotage.
pub fn table() -> String {
    let mut rows = TABLE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    rows.sort_by_key(|&(scenario, sabotage, _)| (crate::matrix::number(scenario), sabotage));
    let caught = rows.iter().filter(|(_, _, verdict)| *verdict == Verdict::Caught).count();
    let row = |(scenario, sabotage, verdict): &(&str, Sabotage, Verdict)| {
        format!("{scenario:<5} {:<28} {}\n", sabotage.0, verdict.as_str())
    };
    let lines: String = rows.iter().map(row).collect();
    format!("{lines}{caught} of {} sabotages caught\n", rows.len())
}
