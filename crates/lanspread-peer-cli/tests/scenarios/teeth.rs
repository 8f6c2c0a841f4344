//! Teeth: each scenario against each of its sabotages, and every one must turn it red.
//!
//! A sabotage is a deliberate fault in the product, a failpoint that only a build with the feature `sabotage` has (see
//! `lanspread_types::sabotage`). A process commits the one that `LANSPREAD_SABOTAGE` names, and says on standard error
//! when it first does. So a fault that the scenario never reaches is told apart from one that was caught.
//!
//! Each scenario is run without any fault first: it must be green, or its red proves nothing. Then with those that it
//! declares, all of which must be reached and caught. Then with the [`GENERIC`] ones: those that it does not reach say
//! nothing about it, those that it reaches must be caught too, unless [`INDIFFERENT`] says why that cannot be asked.
//!
//! `just teeth` runs them all and writes `docs/teeth.md`; the usual filter chooses, such as `just teeth S14`, and then only
//! what was run is written anew.

mod report;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::figures::RunLabel;
use crate::scenario::{Failure, Outcome, Scenario, fail, require};

/// The name of a failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sabotage(pub &'static str);

/// Faults that every scenario is tried with.
const GENERIC: &[&str] = &[
    "drop-event",
    "duplicate-event",
    "lie-about-count",
    "skip-verification",
    "skip-retry",
    "one-source-only",
    "commit-early",
    "forget-goodbye",
    "leak-transfer",
    "off-by-one-range",
];

/// Where a generic fault is reached and makes no difference to the claim.
const INDIFFERENT: &[(&str, &str, &str)] = &[
    ("S25", "one-source-only", "each client may take everything from the one source that the claim is about"),
    ("S68", "one-source-only", "each game may come from the one source that is honest"),
];

/// A scenario under one fault, or under none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without a fault: must be green.
    Control,
    Declared,
    Generic,
}

/// What is tried with a scenario.
pub fn bites(scenario: &Scenario) -> Vec<(Kind, Option<Sabotage>)> {
    let declared = scenario.sabotages.iter().map(|name| (Kind::Declared, Some(Sabotage(name))));
    let generic = GENERIC.iter().filter(|name| !scenario.sabotages.contains(name));
    let generic = generic.map(|name| (Kind::Generic, Some(Sabotage(name))));
    [(Kind::Control, None)].into_iter().chain(declared).chain(generic).collect()
}

/// What became of a scenario under a sabotage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Green without a fault: as it should be.
    Green,
    /// Red without any fault.
    RedAnyway,
    /// Red: as it should be.
    Caught,
    /// Green although the product was sabotaged: the scenario proves nothing about it.
    Survived,
    /// The same, and why nothing else can be asked.
    Indifferent(&'static str),
    /// Nothing that the scenario does reaches the fault.
    NotReached,
    /// The programs have no failpoints at all.
    NotArmed,
}

impl Verdict {
    /// Judges by the scenario's end and by what its programs wrote to standard error.
    pub fn of(scenario: &str, sabotage: Option<Sabotage>, green: bool, stderr: &str) -> Self {
        let Some(Sabotage(name)) = sabotage else {
            return if green { Self::Green } else { Self::RedAnyway };
        };
        let said = |what: &str| stderr.contains(&format!("sabotage {name} {what}"));
        let excuse = INDIFFERENT.iter().find(|(id, fault, _)| *id == scenario && *fault == name);
        match (said("hit"), green, excuse) {
            (false, ..) if !said("armed") => Self::NotArmed,
            (false, ..) => Self::NotReached,
            (true, true, Some((_, _, why))) => Self::Indifferent(why),
            (true, true, None) => Self::Survived,
            (true, false, _) => Self::Caught,
        }
    }

    pub fn is_good(self, kind: Kind) -> bool {
        match self {
            Self::Green | Self::Caught | Self::Indifferent(_) => true,
            Self::NotReached => kind == Kind::Generic,
            Self::RedAnyway | Self::Survived | Self::NotArmed => false,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::RedAnyway => "RED WITHOUT A FAULT",
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::Indifferent(_) => "indifferent",
            Self::NotReached => "not reached",
            Self::NotArmed => "NOT ARMED",
        }
    }
}

/// One run of a scenario.
#[derive(Debug, Clone)]
pub struct Bite {
    pub scenario: &'static str,
    pub kind: Kind,
    pub sabotage: Option<Sabotage>,
    pub verdict: Verdict,
    /// What the scenario said when it turned red.
    pub said: String,
}

static TABLE: Mutex<Vec<Bite>> = Mutex::new(Vec::new());

pub fn record(bite: Bite) {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner).push(bite);
}

/// Whether this run is about teeth.
pub fn wanted() -> bool {
    std::env::var_os("LANSPREAD_TEETH").is_some_and(|v| !v.is_empty() && v != "0")
}

fn rows() -> Vec<Bite> {
    let mut rows = TABLE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    rows.sort_by_key(|bite| (crate::matrix::number(bite.scenario), bite.kind as u8, bite.sabotage));
    rows
}

/// The table scenario × sabotage, for the end of the run; those of the generic ones that are not reached left out.
pub fn table() -> String {
    let mut text = String::new();
    let shown = |bite: &&Bite| bite.verdict != Verdict::NotReached || bite.kind == Kind::Declared;
    for bite in rows().iter().filter(shown) {
        let name = bite.sabotage.map_or("(none)", |s| s.0);
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
         {} survived",
        scenarios.len(),
        count(&|b| b.kind == Kind::Declared),
        caught(Kind::Declared),
        caught(Kind::Generic),
        count(&|b| matches!(b.verdict, Verdict::Indifferent(_))),
        count(&|b| b.kind == Kind::Generic && b.verdict == Verdict::NotReached),
        count(&|b| !b.verdict.is_good(b.kind)),
    )
}

/// Writes the report to the file that `LANSPREAD_TEETH_REPORT` names, if it names one.
pub fn write_report(label: &RunLabel) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("LANSPREAD_TEETH_REPORT").map(PathBuf::from) else { return Ok(()) };
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(path, report::written_anew(&before, label, &rows()))
}

/// The test's name in the suite.
pub const TEST: &str = "failpoints are in this program exactly if it was built to have them";

/// A program that is shipped has no failpoint, not even their names; one that was built for teeth has all those that
/// scenarios declare.
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
    for name in declared.chain(GENERIC) {
        if has(name) != built_for_teeth {
            fail!("the failpoint {name} is {} the program", if built_for_teeth { "not in" } else { "in" });
        }
    }
    Ok(())
}

/// Scenarios without a peer: their failpoints stand in code that the linker may drop from the program.
const UNIT_ONLY: [&str; 2] = ["S12", "S28"];

/// What a failure says first, without the folder names and times below.
pub fn first_words(Failure(message): &Failure) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
