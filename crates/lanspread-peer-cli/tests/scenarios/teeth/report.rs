//! `docs/teeth.md`: what is known of each scenario under each fault. A run replaces what it has tried; the rest stays as an
//! earlier run found it, each row with the commit that it is of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Bite, Kind, Verdict, bites};
use crate::figures::RunLabel;
use crate::scenario::{Body, LabKind};

/// What a run found.
#[derive(Debug)]
struct Found {
    verdict: String,
    said: String,
    run: String,
}

/// By scenario and fault.
type Known = BTreeMap<(String, String), Found>;

/// In the place of a fault: none.
const CONTROL: &str = "none";
const NOT_RUN: &str = "NOT RUN";

/// The text, given the one before and what this run has tried.
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
        let fault = bite.sabotage.map_or(CONTROL, |s| s.0);
        let found = Found { verdict: bite.verdict.as_str().to_owned(), said, run: run.clone() };
        known.insert((bite.scenario.to_owned(), fault.to_owned()), found);
    }
    write(&known, label)
}

/// Reads what [`write`] has written.
fn read(text: &str) -> Known {
    let mut known = Known::new();
    for line in text.lines() {
        let cells = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        let cells: Vec<&str> = cells.map(|cells| cells.split(" | ").collect()).unwrap_or_default();
        if let [scenario, fault, verdict, said, run] = cells[..]
            && scenario.starts_with('S')
        {
            let fault = fault.trim_end_matches(" (generic)").trim_matches('`');
            let found =
                Found { verdict: verdict.to_owned(), said: said.trim().to_owned(), run: run.to_owned() };
            known.insert((scenario.to_owned(), fault.to_owned()), found);
        }
        if let Some((scenario, faults)) = line.strip_prefix("- S").and_then(|line| line.split_once(": ")) {
            for fault in faults.split(", ") {
                let verdict = Verdict::NotReached.as_str().to_owned();
                let found = Found { verdict, said: String::new(), run: String::new() };
                known.insert((format!("S{scenario}"), fault.trim_matches('`').to_owned()), found);
            }
        }
    }
    known
}

fn write(known: &Known, label: &RunLabel) -> String {
    let (mut table, mut missed, mut sums) = (String::new(), String::new(), Sums::default());
    for scenario in crate::cases::all().into_iter().filter(|s| matches!(s.body, Body::Run(_))) {
        sums.scenarios += 1;
        let mut not_reached = Vec::new();
        for (kind, sabotage) in bites(scenario) {
            let fault = sabotage.map_or(CONTROL, |s| s.0);
            let found = known.get(&(scenario.id.to_owned(), fault.to_owned()));
            let verdict = found.map_or(NOT_RUN, |found| found.verdict.as_str());
            sums.count(kind, verdict);
            match (kind, verdict) {
                (Kind::Control, "green" | NOT_RUN) => continue,
                (Kind::Generic, "not reached") => {
                    not_reached.push(format!("`{fault}`"));
                    continue;
                }
                _ => {}
            }
            let generic = if kind == Kind::Generic { " (generic)" } else { "" };
            let (said, run) = found.map_or(("", ""), |found| (found.said.as_str(), found.run.as_str()));
            let _ = writeln!(table, "| {} | `{fault}`{generic} | {verdict} | {said} | {run} |", scenario.id);
        }
        if !not_reached.is_empty() {
            let _ = writeln!(missed, "- {}: {}", scenario.id, not_reached.join(", "));
        }
    }
    format!(
        "# Teeth\n\n<!-- Written by `just teeth`. Do not edit by hand. -->\n\nEach scenario was run without a fault (green), with \
         each fault that it declares, and with the generic ones. *caught*: it turned red, and what it said stands beside, and \
         the commit that it was tried with (`+`: with changes). *not reached*: nothing that it does comes by the fault, which is allowed for \
         generic ones only. *indifferent*: why it makes no difference stands beside.\n\nLast run: {label}\n\n{sums}\n\n\
         | scenario | sabotage | verdict | what it said | commit |\n| --- | --- | --- | --- | --- |\n{table}\n\
         Generic sabotages that were not reached, by scenario:\n\n{missed}",
        sums = sums.sentence()
    )
}

#[derive(Debug, Default)]
struct Sums {
    scenarios: usize,
    declared: usize,
    declared_caught: usize,
    generic_caught: usize,
    indifferent: usize,
    not_reached: usize,
    not_run: usize,
    bad: usize,
}

impl Sums {
    fn count(&mut self, kind: Kind, verdict: &str) {
        self.declared += usize::from(kind == Kind::Declared);
        let sum = match (kind, verdict) {
            (Kind::Control, "green" | NOT_RUN) => return,
            (_, NOT_RUN) => &mut self.not_run,
            (_, "indifferent") => &mut self.indifferent,
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
             reached; {} survived, {} were not run.",
            self.scenarios,
            self.declared,
            self.declared_caught,
            self.generic_caught,
            self.indifferent,
            self.not_reached,
            self.bad,
            self.not_run
        )
    }
}

/// One line that fits a cell.
fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let short: String = line.chars().take(140).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
