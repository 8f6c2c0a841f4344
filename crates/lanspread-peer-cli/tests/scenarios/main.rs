//! The scenario suite: real `lanspread-peer-cli` processes, driven over JSON lines, each a host of its own.
//!
//! `cargo test -p lanspread-peer-cli --test scenarios` runs all of it, `-- S14` one scenario. What a scenario is stands
//! in [`scenario`], the scenarios themselves in [`cases`]; the rules that they keep, and the matrix of all claims, in
//! `PEER_CLI_SCENARIOS.md`, which is generated from them.

mod bare;
mod births;
mod cases;
mod conduct;
mod contract;
mod figures;
mod games;
mod lab;
mod log;
mod manifest;
mod matrix;
mod peer;
mod running;
mod scenario;
mod small_disk;
mod stranger;
mod teeth;
mod transfer;
mod unit;
mod wait;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use figures::RunLabel;
use lab::Lab;
use libtest_mimic::{Arguments, Failed, Trial};
use scenario::{Body, Failure, LabKind, Outcome, Scenario};
use teeth::{Bite, Sabotage, Verdict};

/// Scenarios at once for each core: most of a scenario is waiting for processes that wait for each other.
const SCENARIOS_PER_CORE: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(cores * SCENARIOS_PER_CORE));
    // `S1` means S1, not S10 to S19 as well.
    let is_id =
        |f: &str| f.strip_prefix('S').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    arguments.filter = arguments.filter.map(|f| if is_id(&f) { format!("{f} ") } else { f });

    let kind = match lab_kind() {
        Ok(kind) => kind,
        Err(wanted) => {
            print(&format!("LANSPREAD_LAB is {wanted:?}, but the labs are local, netns and container\n"));
            return ExitCode::from(2);
        }
    };
    let trials = if teeth::wanted() { teeth_trials(kind) } else { trials(kind) };
    let runs = |trial: &&Trial| {
        trial.kind() == SCENARIO && !arguments.is_filtered_out(trial) && !arguments.is_ignored(trial)
    };
    running::expect(trials.iter().filter(runs).count());

    let start = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let label = RunLabel::new(kind, start.elapsed());
        print(&format!("{}{}\n", figures::all(), contract::summary()));
        let written = if teeth::wanted() {
            print(&teeth::table());
            teeth::write_report(&label)
        } else {
            figures::log_run(&label, conclusion.num_passed, conclusion.num_failed, conclusion.num_ignored)
        };
        if let Err(error) = written {
            print(&format!("the report cannot be written: {error}\n"));
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

#[expect(clippy::print_stdout, reason = "this is a program, and its standard output is the test's report")]
fn print(text: &str) {
    print!("{text}");
}

/// Kind of the trials that are scenarios; shown by the runner before the name only where it is not empty, so it is.
const SCENARIO: &str = "";
/// Kind of the trials about the suite itself.
const SUITE: &str = "suite";

/// The lab that `LANSPREAD_LAB` names. What names none is no reason to run in another one.
fn lab_kind() -> Result<LabKind, String> {
    let wanted = std::env::var("LANSPREAD_LAB").unwrap_or_default();
    let named = LabKind::ALL.into_iter().find(|kind| kind.as_str() == wanted);
    let default = wanted.is_empty().then_some(LabKind::Local);
    named.or(default).ok_or(wanted)
}

fn trials(kind: LabKind) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for scenario in cases::all() {
        let here = matches!(scenario.body, Body::Run(_)) && scenario.labs.contains(&kind);
        let missing = missing_here(scenario.id).filter(|_| here);
        let runs = here && missing.is_none();
        let run = move || {
            let _ended = running::Ended;
            let Played { outcome, report, .. } = play(scenario, kind, None);
            outcome.map_err(|_| Failed::from(report))
        };
        let elsewhere = matches!(scenario.body, Body::Run(_)) && !here;
        let why = match missing {
            _ if elsewhere => " (not in this lab)".to_owned(),
            Some(missing) => format!(" (left out: {missing})"),
            None => String::new(),
        };
        let name = scenario.name() + &why;
        trials.push(Trial::test(name, run).with_ignored_flag(!runs));
    }
    let failed = |Failure(message)| Failed::from(message);
    let up_to_date = move || matrix::is_up_to_date(&cases::all()).map_err(failed);
    trials.push(Trial::test(matrix::TEST, up_to_date).with_kind(SUITE));
    let shipped = move || teeth::failpoints_are_where_they_belong(&cases::all()).map_err(failed);
    trials.push(Trial::test(teeth::TEST, shipped).with_kind(SUITE));
    // Last, because it waits for all others.
    let valid = move || contract::every_line_is_valid(kind).map_err(failed);
    trials.push(Trial::test(contract::TEST, valid).with_kind(SUITE));
    trials
}

/// What a scenario needs and this machine does not have.
fn missing_here(id: &str) -> Option<&'static str> {
    if small_disk::NEEDED_BY.contains(&id) && !small_disk::can_be_had() {
        return Some("needs root");
    }
    if unit::NEEDED_BY.contains(&id) && !unit::can_be_had() {
        return Some("needs cargo, which is another system's");
    }
    if id == "S56" && !cfg!(target_os = "linux") {
        return Some("needs to be told how much memory and how many files a process has");
    }
    if id == "S75" && !cfg!(target_os = "linux") {
        return Some("needs to lower how many files a process may open");
    }
    if births::NEEDED_BY.contains(&id) && !births::are_kept() {
        return Some("this system does not keep times of creation");
    }
    None
}

/// Each scenario against each of its sabotages.
fn teeth_trials(kind: LabKind) -> Vec<Trial> {
    let mut trials = Vec::new();
    let runs = |s: &&Scenario| matches!(s.body, Body::Run(_)) && s.labs.contains(&kind);
    for scenario in cases::all().into_iter().filter(runs) {
        for (bite_kind, sabotage) in teeth::bites(scenario) {
            let fault = sabotage.map_or("nothing", |s| s.0);
            let run = move || {
                let _ended = running::Ended;
                let Played { outcome, report, stderr } = play(scenario, kind, sabotage);
                let verdict = Verdict::of(scenario.id, sabotage, outcome.is_ok(), &stderr);
                let said = outcome.err().as_ref().map(teeth::first_words).unwrap_or_default();
                let (scenario, kind) = (scenario.id, bite_kind);
                teeth::record(Bite { scenario, kind, sabotage, verdict, said });
                if verdict.is_good(kind) {
                    return Ok(());
                }
                Err(Failed::from(format!("{scenario} under {fault}: {}\n{report}", verdict.as_str())))
            };
            trials.push(Trial::test(format!("{} × {fault}", scenario.id), run));
        }
    }
    let failed = |Failure(message)| Failed::from(message);
    let built_in = move || teeth::failpoints_are_where_they_belong(&cases::all()).map_err(failed);
    trials.push(Trial::test(teeth::TEST, built_in).with_kind(SUITE));
    trials
}

/// What came of one run of a scenario.
struct Played {
    outcome: Outcome,
    /// All that is needed to understand a failure; empty without one.
    report: String,
    /// What its programs wrote to standard error.
    stderr: String,
}

/// Runs one scenario in a lab of its own.
fn play(scenario: &Scenario, kind: LabKind, sabotage: Option<Sabotage>) -> Played {
    let failed =
        |failure: Failure| Played { report: failure.0.clone(), outcome: Err(failure), stderr: String::new() };
    let Body::Run(body) = scenario.body else {
        return failed(Failure(format!("{} is pending", scenario.id)));
    };
    let lab = match Lab::new(kind, scenario.id, sabotage) {
        Ok(lab) => lab,
        Err(failure) => return failed(failure),
    };
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| body(&lab)));
    let played =
        played.unwrap_or_else(|_| Err(Failure("the scenario itself panicked, see above".to_owned())));
    let outcome = played.and_then(|()| lab.check_conduct());
    let report = outcome.as_ref().err().map(|failure| report(scenario, &lab, failure)).unwrap_or_default();
    let stderr = lab.stderr();
    lab.close(outcome.is_err() && sabotage.is_none());
    Played { outcome, report, stderr }
}

/// All that is needed to understand a failure.
fn report(scenario: &Scenario, lab: &Lab, Failure(failure): &Failure) -> String {
    let lab_kind = lab.kind();
    let switch = if lab_kind == LabKind::Local {
        String::new()
    } else {
        format!("LANSPREAD_LAB={} ", lab_kind.as_str())
    };
    format!(
        "{} {}\n  claim: {}\n\n  {failure}\n\n{}  again: {switch}cargo test -p lanspread-peer-cli --test scenarios -- {}\n",
        scenario.id,
        scenario.title,
        scenario.claim,
        lab.report(),
        scenario.id
    )
}
