//! The report `docs/testing/teeth-report.md`: the verdict on each scenario under each fault.
//!
//! A run replaces the rows that it has tried. Other rows stay as an earlier run found them, each with its commit and
//! with the hash of the code that its verdict depends on ([`sources`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Bite, Kind, Verdict, bites, sources};
use crate::figures::RunLabel;
use crate::scenario::{Body, LabKind, Sabotage, Scenario};

/// Finding of a run.
#[derive(Debug)]
struct Found {
    verdict: String,
    said: String,
    run: String,
    /// Hash of the code.
    code: String,
}

/// Findings by scenario and fault.
type Known = BTreeMap<(String, String), Found>;

/// The rows of a report.
pub struct Report(Known);

impl Report {
    /// Reads the report of this repository.
    pub fn of_the_repository() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing/teeth-report.md");
        Self(read(&std::fs::read_to_string(file).unwrap_or_default()))
    }

    /// Returns why a scenario must be run with a fault, or without one: no run has tried it, its verdict was bad, or
    /// the code has changed since. Returns `None` if its row is good.
    pub fn due(&self, scenario: &Scenario, kind: Kind, sabotage: Option<Sabotage>) -> Option<String> {
        let fault = sabotage.map_or(CONTROL, |s| s.fault);
        let Some(found) = self.0.get(&(scenario.id.to_owned(), fault.to_owned())) else {
            return Some(NOT_RUN.to_owned());
        };
        if !Verdict::read(&found.verdict).is_some_and(|verdict| verdict.is_good(kind)) {
            return Some(found.verdict.clone());
        }
        let changed = found.code != sources::hash(scenario, kind, sabotage);
        changed.then(|| format!("the code has changed since {}", found.run))
    }
}

/// Name of the run without a fault.
const CONTROL: &str = "none";
const NOT_RUN: &str = "NOT RUN";

/// Returns the new text, given the text before and the runs that were tried.
pub fn written_anew(before: &str, label: &RunLabel, tried: &[Bite]) -> String {
    let mut known = read(before);
    let commit = label.commit.replace(" with changes", "+");
    let run = match label.lab {
        LabKind::Local => commit,
        lab => format!("{commit}, {}", lab.as_str()),
    };
    for bite in tried {
        let said = match bite.verdict {
            Verdict::Indifferent(why) => why.to_owned(),
            _ => shorten(&bite.said),
        };
        let Some(scenario) = crate::cases::all().into_iter().find(|s| s.id == bite.scenario) else {
            continue;
        };
        let fault = bite.sabotage.map_or(CONTROL, |s| s.fault);
        let verdict = bite.verdict.as_str().to_owned();
        let code = sources::hash(scenario, bite.kind, bite.sabotage);
        let found = Found { verdict, said, run: run.clone(), code };
        known.insert((bite.scenario.to_owned(), fault.to_owned()), found);
    }
    write(known, label)
}

/// Parses a text of [`write`].
fn read(text: &str) -> Known {
    let mut known = Known::new();
    for line in text.lines() {
        let cells = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        let cells: Vec<&str> = cells.map(|cells| cells.split(" | ").collect()).unwrap_or_default();
        if let [scenario, fault, verdict, said, run, code] = cells[..]
            && scenario.starts_with('S')
        {
            let fault = fault.trim_end_matches(" (generic)").trim_matches('`');
            let found = Found {
                verdict: verdict.to_owned(),
                said: said.trim().to_owned(),
                run: run.to_owned(),
                code: code.to_owned(),
            };
            known.insert((scenario.to_owned(), fault.to_owned()), found);
        }
    }
    known
}

fn write(known: Known, label: &RunLabel) -> String {
    let (mut table, mut missed, mut sums) = (String::new(), String::new(), Sums::default());
    let known = Report(known);
    for scenario in crate::cases::all().into_iter().filter(|s| matches!(s.body, Body::Run(_))) {
        sums.scenarios += 1;
        for (kind, sabotage) in bites(scenario) {
            let fault = sabotage.map_or(CONTROL, |s| s.fault);
            let found = known.0.get(&(scenario.id.to_owned(), fault.to_owned()));
            let verdict = found.map_or(NOT_RUN, |found| found.verdict.as_str());
            sums.count(kind, verdict);
            sums.due += usize::from(known.due(scenario, kind, sabotage).is_some());
            let quiet = kind == Kind::Control || verdict == Verdict::NotReached.as_str();
            let rows = if quiet { &mut missed } else { &mut table };
            let generic = if kind == Kind::Generic { " (generic)" } else { "" };
            let [said, run, code] =
                found.map_or([""; 3], |found| [found.said.as_str(), found.run.as_str(), found.code.as_str()]);
            let _ = writeln!(
                rows,
                "| {} | `{fault}`{generic} | {verdict} | {said} | {run} | {code} |",
                scenario.id
            );
        }
    }
    format!(
        "# Teeth\n\n<!-- Written by `just teeth`. Do not edit by hand. -->\n\nEach scenario was run without a fault (green), with \
         each fault that it declares, and with the generic ones. *caught*: it turned red for the claim \
         that the fault must break, and what it said stands beside. *CAUGHT OTHERWISE*: it turned red for another \
         reason, which proves nothing about the claim. The commit is that of the run (`+`: with changes), and the last column the \
         hash of the code that the verdict depends on: if that code changes, the row is due again. *not reached*: nothing that it does comes by the fault, which is allowed for \
         generic ones only. *indifferent*: why it makes no difference stands beside.\n\nLast run: {label}\n\n{sums}\n\n\
         {HEAD}{table}\nRuns without a fault, and generic sabotages that were not reached:\n\n{HEAD}{missed}",
        sums = sums.sentence()
    )
}

const HEAD: &str = "| scenario | sabotage | verdict | what it said | commit | code |\n| --- | --- | --- | --- | --- | --- |\n";

#[derive(Debug, Default)]
struct Sums {
    scenarios: usize,
    declared: usize,
    declared_caught: usize,
    generic_caught: usize,
    indifferent: usize,
    not_reached: usize,
    otherwise: usize,
    not_run: usize,
    bad: usize,
    /// Rows that are missing, bad or older than the code that they depend on.
    due: usize,
}

impl Sums {
    fn count(&mut self, kind: Kind, verdict: &str) {
        self.declared += usize::from(kind == Kind::Declared);
        let sum = match (kind, verdict) {
            (Kind::Control, "green") => return,
            (_, NOT_RUN) => &mut self.not_run,
            (_, "indifferent") => &mut self.indifferent,
            (_, "CAUGHT OTHERWISE") => &mut self.otherwise,
            (Kind::Declared, "caught") => &mut self.declared_caught,
            (Kind::Generic, "caught") => &mut self.generic_caught,
            (Kind::Generic, "not reached") => &mut self.not_reached,
            _ => &mut self.bad,
        };
        *sum += 1;
    }

    fn sentence(&self) -> String {
        format!(
            "{} scenarios; of {} declared sabotages {} were caught; generic ones: {} caught, {} without a bearing, {} not \
             reached. {} were caught otherwise, {} bad in another way, {} not run; {} rows are due.",
            self.scenarios,
            self.declared,
            self.declared_caught,
            self.generic_caught,
            self.indifferent,
            self.not_reached,
            self.otherwise,
            self.bad,
            self.not_run,
            self.due
        )
    }
}

/// Shortens a text to one line that fits a table cell.
fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let short: String = line.chars().take(140).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
