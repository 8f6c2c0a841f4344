//! Teeth: runs each scenario under each of its sabotages, every one of which must turn it red.
//!
//! A sabotage is a deliberate fault in the product: a failpoint that exists only in builds with the feature
//! `sabotage` (see `lanspread_types::sabotage`). A process applies the one that `LANSPREAD_SABOTAGE` names and
//! reports its first use on standard error. That tells a fault that the scenario never reaches from one that it
//! caught.
//!
//! Each scenario runs without a fault first and must be green, or its red would prove nothing. Then it runs with the
//! sabotages that it declares, all of which must be reached and caught. Then it runs with the [`GENERIC`] ones: those
//! that it reaches must be caught, too, unless [`INDIFFERENT`] gives a reason. A fault is caught if the failure is of an
//! assertion that the fault names ([`Sabotage::breaks`]); any other failure is no catch.
//!
//! `just teeth` runs all of them and writes `docs/testing/teeth-report.md`. A filter such as `just teeth S14` runs some,
//! and `just teeth due` those whose row is missing, bad, or older than the code that it depends on. Only their rows are
//! written again. Each run of the suite checks that no row is due.

mod report;
pub mod sources;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::figures::RunLabel;
use crate::scenario::{Body, Failure, Outcome, Sabotage, Scenario, fail, require};

pub use report::Report;

/// Faults that every scenario is run with.
///
/// A scenario that must notice one of them in another way declares it.
const GENERIC: &[Sabotage] = &[
    Sabotage::new(
        "drop-event",
        &[" prints ", "it was ready and did not say", "each once", "how often", " events of "],
    ),
    Sabotage::new(
        "duplicate-event",
        &[
            "was fetched twice",
            "it was ready and did not say",
            "each once",
            "how often",
            "the same event twice",
        ],
    ),
    Sabotage::new("lie-about-count", &["answers what its events have told", "totals"]),
    Sabotage::new("skip-verification", &["the folders differ"]),
    Sabotage::new("skip-retry", &["did not finish", "prints download-peers-gone"]),
    Sabotage::new("one-source-only", &["copies", " chunks from each of "]),
    Sabotage::new(
        "commit-early",
        &[
            "were never reported",
            "the folders differ",
            "before the game shows as downloaded",
            "is not downloaded",
        ],
    ),
    Sabotage::new("forget-goodbye", &["left in order, but "]),
    Sabotage::new("leak-transfer", &["answers what its events have told", " sends nothing"]),
    Sabotage::new(
        "off-by-one-range",
        &["the folders differ", "before the game shows as downloaded", "is not downloaded"],
    ),
];

/// Scenarios that reach a generic fault which makes no difference to their claim: scenario, fault and reason.
const INDIFFERENT: &[(&str, &str, &str)] = &[
    ("S25", "one-source-only", "each client may take everything from the one source that the claim is about"),
    ("S68", "one-source-only", "each game may come from the one source that is honest"),
];

/// Kind of a run of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without a fault. Must be green.
    Control,
    /// With a fault that the scenario declares. Must be reached and caught.
    Declared,
    /// With a generic fault. Must be caught if it is reached.
    Generic,
}

/// Returns the runs of a scenario.
pub fn bites(scenario: &Scenario) -> Vec<(Kind, Option<Sabotage>)> {
    let declared = scenario.sabotages.iter().map(|sabotage| (Kind::Declared, Some(*sabotage)));
    let is_declared = |fault| scenario.sabotages.iter().any(|sabotage| sabotage.fault == fault);
    let generic = GENERIC.iter().filter(|sabotage| !is_declared(sabotage.fault));
    let generic = generic.map(|sabotage| (Kind::Generic, Some(*sabotage)));
    [(Kind::Control, None)].into_iter().chain(declared).chain(generic).collect()
}

/// Verdict on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Green without a fault, as it should be.
    Green,
    /// Red without any fault.
    RedAnyway,
    /// Red with a fault, and for the claim that the fault is for.
    Caught,
    /// Red with a fault, but another assertion failed than the one that the fault is for.
    CaughtOtherwise,
    /// Green although the fault was reached. The scenario proves nothing about it.
    Survived,
    /// Green although the fault was reached, with the reason why that is acceptable.
    Indifferent(&'static str),
    /// The scenario does not reach the fault.
    NotReached,
    /// The programs were built without failpoints.
    NotArmed,
}

impl Verdict {
    /// Derives the verdict from the scenario's result and its programs' standard error.
    ///
    /// `failure` is the first line of the scenario's failure.
    pub fn of(scenario: &str, sabotage: Option<Sabotage>, failure: Option<&str>, stderr: &str) -> Self {
        let Some(sabotage) = sabotage else {
            return failure.map_or(Self::Green, |_| Self::RedAnyway);
        };
        let name = sabotage.fault;
        let reported = |what: &str| stderr.contains(&format!("sabotage {name} {what}"));
        let excuse = INDIFFERENT.iter().find(|(id, fault, _)| *id == scenario && *fault == name);
        match (reported("hit"), failure, excuse) {
            (false, ..) if !reported("armed") => Self::NotArmed,
            (false, ..) => Self::NotReached,
            (true, None, Some((_, _, why))) => Self::Indifferent(why),
            (true, None, None) => Self::Survived,
            (true, Some(failure), _) if sabotage.explains(failure) => Self::Caught,
            (true, Some(_), _) => Self::CaughtOtherwise,
        }
    }

    pub fn is_good(self, kind: Kind) -> bool {
        match self {
            Self::Green | Self::Caught | Self::Indifferent(_) => true,
            Self::NotReached => kind == Kind::Generic,
            Self::RedAnyway | Self::CaughtOtherwise | Self::Survived | Self::NotArmed => false,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::RedAnyway => "RED WITHOUT A FAULT",
            Self::Caught => "caught",
            Self::CaughtOtherwise => "CAUGHT OTHERWISE",
            Self::Survived => "SURVIVED",
            Self::Indifferent(_) => "indifferent",
            Self::NotReached => "not reached",
            Self::NotArmed => "NOT ARMED",
        }
    }

    /// Parses a text of [`Verdict::as_str`]. The reason of an indifferent one is lost.
    fn read(text: &str) -> Option<Self> {
        let all = [
            Self::Green,
            Self::RedAnyway,
            Self::Caught,
            Self::CaughtOtherwise,
            Self::Survived,
            Self::Indifferent(""),
            Self::NotReached,
            Self::NotArmed,
        ];
        all.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// One run of a scenario with its verdict.
#[derive(Debug, Clone)]
pub struct Bite {
    pub scenario: &'static str,
    pub kind: Kind,
    pub sabotage: Option<Sabotage>,
    pub verdict: Verdict,
    /// First line of the scenario's failure; empty if it was green.
    pub said: String,
}

static TABLE: Mutex<Vec<Bite>> = Mutex::new(Vec::new());

pub fn record(bite: Bite) {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner).push(bite);
}

/// Returns whether this run tests the scenarios' teeth.
pub fn wanted() -> bool {
    std::env::var_os("LANSPREAD_TEETH").is_some_and(|v| !v.is_empty() && v != "0")
}

fn rows() -> Vec<Bite> {
    let mut rows = TABLE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    rows.sort_by_key(|bite| {
        (crate::matrix::number(bite.scenario), bite.kind as u8, bite.sabotage.map(|s| s.fault))
    });
    rows
}

/// Returns the table of scenarios and sabotages, for the end of the run, without generic sabotages that were not
/// reached.
pub fn table() -> String {
    let mut text = String::new();
    let shown = |bite: &&Bite| bite.verdict != Verdict::NotReached || bite.kind == Kind::Declared;
    for bite in rows().iter().filter(shown) {
        let name = bite.sabotage.map_or("(none)", |s| s.fault);
        let _ = writeln!(text, "{:<5} {name:<28} {}", bite.scenario, bite.verdict.as_str());
    }
    text + &sums(&rows()) + "\n"
}

fn sums(rows: &[Bite]) -> String {
    let count = |which: &dyn Fn(&Bite) -> bool| rows.iter().filter(|bite| which(bite)).count();
    let caught = |kind: Kind| count(&|b| b.kind == kind && b.verdict == Verdict::Caught);
    let scenarios: std::collections::BTreeSet<&str> = rows.iter().map(|b| b.scenario).collect();
    format!(
        "{} scenarios; of {} declared sabotages {} were caught; generic ones: {} caught, {} without a bearing, {} not reached; \
         {} bad",
        scenarios.len(),
        count(&|b| b.kind == Kind::Declared),
        caught(Kind::Declared),
        caught(Kind::Generic),
        count(&|b| matches!(b.verdict, Verdict::Indifferent(_))),
        count(&|b| b.kind == Kind::Generic && b.verdict == Verdict::NotReached),
        count(&|b| !b.verdict.is_good(b.kind)),
    )
}

/// Returns whether only those runs are wanted whose row in the report is due.
pub fn only_what_is_due() -> bool {
    std::env::var_os("LANSPREAD_TEETH").is_some_and(|v| v == "due")
}

/// Writes the report to the file that `LANSPREAD_TEETH_REPORT` names, if it is set.
pub fn write_report(label: &RunLabel) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("LANSPREAD_TEETH_REPORT").map(PathBuf::from) else { return Ok(()) };
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(path, report::written_anew(&before, label, &rows()))
}

/// Name of the test in the suite.
pub const TEST: &str = "failpoints are in this program exactly if it was built to have them";

/// Checks that a program for users contains no failpoint, not even a name, and that a program built for teeth
/// contains all that scenarios declare.
pub fn failpoints_are_where_they_belong(scenarios: &[&Scenario]) -> Outcome {
    let program = std::fs::read(env!("CARGO_BIN_EXE_lanspread-peer-cli"))?;
    let has = |name: &str| memchr::memmem::find(&program, name.as_bytes()).is_some();
    let built_for_teeth = cfg!(feature = "sabotage");
    require!(
        has("LANSPREAD_SABOTAGE") == built_for_teeth,
        "the switch LANSPREAD_SABOTAGE is {} the program",
        if built_for_teeth { "not in" } else { "in" }
    );
    let unit_only = |s: &&&Scenario| UNIT_ONLY.contains(&s.id);
    let declared = scenarios.iter().filter(|s| !unit_only(s)).flat_map(|s| s.sabotages);
    for name in declared.chain(GENERIC).map(|sabotage| sabotage.fault) {
        if has(name) != built_for_teeth {
            fail!("the failpoint {name} is {} the program", if built_for_teeth { "not in" } else { "in" });
        }
    }
    Ok(())
}

/// Name of the test of the report.
pub const REPORT_TEST: &str = "docs/testing/teeth-report.md is complete and of this code";

/// Checks that the report has a good row for each pair of a scenario and a fault, and that neither has changed since.
pub fn report_is_complete(scenarios: &[&Scenario]) -> Outcome {
    let known = Report::of_the_repository();
    let mut due = Vec::new();
    for scenario in scenarios.iter().filter(|s| matches!(s.body, Body::Run(_))) {
        for (kind, sabotage) in bites(scenario) {
            let fault = sabotage.map_or("no fault", |s| s.fault);
            due.extend(
                known.due(scenario, kind, sabotage).map(|why| format!("{} × {fault}: {why}", scenario.id)),
            );
        }
    }
    let shown = due.iter().take(20).fold(String::new(), |text, row| text + "\n  " + row);
    require!(due.is_empty(), "{} rows of the report are due; run `just teeth due`{shown}", due.len());
    Ok(())
}

/// Scenarios without a peer. The linker may drop the code of their failpoints from the program.
const UNIT_ONLY: [&str; 2] = ["S12", "S28"];

/// Returns the first line of a failure, without the folder names and times below it.
pub fn first_words(Failure(message): &Failure) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
