//! The scenario suite: runs real `lanspread-peer-cli` processes as separate hosts and drives them over JSON lines.
//!
//! `cargo test -p lanspread-peer-cli --test scenarios` runs all scenarios, `-- S14` runs one. [`scenario`] defines a
//! scenario; [`cases`] holds the scenarios. `PEER_CLI_SCENARIOS.md` is generated from them and lists all claims.

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
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use figures::RunLabel;
use lab::Lab;
use libtest_mimic::{Arguments, Failed, Trial};
use scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario};
use teeth::{Bite, Verdict};

/// Scenarios that run at the same time, for each core. Most of a scenario is waiting between processes.
const SCENARIOS_PER_CORE: usize = 2;

/// Scenarios that compare a time under attack with one in peace, or that many strangers take part in. They run alone: a
/// neighbour that needs both cores during one of the two times would decide.
const ALONE: [&str; 6] = ["S56", "S67", "S68", "S69", "S70", "S71"];

/// Held for writing by a scenario that runs alone, and for reading by every other one.
static RUNNING: RwLock<()> = RwLock::new(());

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(cores * SCENARIOS_PER_CORE));
    let id = arguments.filter.as_deref().and_then(scenario_id);
    // The filter `S1` means S1 only, not S10 to S19.
    arguments.filter = id.as_ref().map(|id| format!("{id} ")).or(arguments.filter);

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
    let wanted = trials.iter().filter(runs).count();
    running::expect(wanted);
    if let Some(id) = id.filter(|_| wanted == 0 && !arguments.list) {
        print(&format!("{id} {}, so nothing was tested\n", why_not_run(&id, kind)));
        return ExitCode::from(2);
    }

    if wanted > 0
        && !arguments.list
        && let Err(Failure(reason)) = lab::try_out(kind)
    {
        print(&format!("{reason}\n"));
        return ExitCode::FAILURE;
    }

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

/// Kind of the trials that are scenarios. It is empty, because the runner prints a kind that is not empty before the
/// name.
const SCENARIO: &str = "";
/// Kind of the trials about the suite itself.
const SUITE: &str = "suite";

/// Returns the scenario id that a filter names, in any case; `None` for other filters.
fn scenario_id(filter: &str) -> Option<String> {
    let number = filter.strip_prefix(['S', 's'])?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("S{number}"))
}

/// Returns why a scenario does not run here.
fn why_not_run(id: &str, kind: LabKind) -> String {
    match cases::all().into_iter().find(|scenario| scenario.id == id) {
        None => "is not a scenario (PEER_CLI_SCENARIOS.md lists all)".to_owned(),
        Some(Scenario { body: Body::Pending(subject), .. }) => format!("is pending ({subject})"),
        Some(scenario) if !scenario.labs.contains(&kind) => {
            let labs: Vec<_> = scenario.labs.iter().map(|lab| lab.as_str()).collect();
            format!("does not run in the lab {}, only in {}", kind.as_str(), labs.join(" and "))
        }
        Some(_) => missing_here(id).map_or("was ignored".to_owned(), |m| format!("is left out: {}", m.what)),
    }
}

/// Returns the lab that `LANSPREAD_LAB` names, or the local lab if it is empty. An unknown name is returned as an
/// error, because another lab would not be what was asked for.
fn lab_kind() -> Result<LabKind, String> {
    let wanted = std::env::var("LANSPREAD_LAB").unwrap_or_default();
    let named = LabKind::ALL.into_iter().find(|kind| kind.as_str() == wanted);
    let default = wanted.is_empty().then_some(LabKind::Local);
    named.or(default).ok_or(wanted)
}

fn trials(kind: LabKind) -> Vec<Trial> {
    let is_ci = std::env::var_os("CI").is_some();
    let mut trials: Vec<Trial> = Vec::new();
    for scenario in cases::all() {
        let here = matches!(scenario.body, Body::Run(_)) && scenario.labs.contains(&kind);
        let missing = missing_here(scenario.id).filter(|_| here);
        // What CI can provide must not be left out there.
        let demanded = missing.as_ref().filter(|missing| !missing.allowed_in_ci && is_ci).map(|m| m.what);
        let runs = here && (missing.is_none() || demanded.is_some());
        let run = move || {
            let _ended = running::Ended;
            if let Some(what) = demanded {
                return Err(Failed::from(format!("{} must run in CI, but it {what}", scenario.id)));
            }
            let alone = ALONE.contains(&scenario.id);
            let _alone = alone.then(|| RUNNING.write().unwrap_or_else(PoisonError::into_inner));
            let _beside = (!alone).then(|| RUNNING.read().unwrap_or_else(PoisonError::into_inner));
            let Played { outcome, report, .. } = play(scenario, kind, None);
            outcome.map_err(|_| Failed::from(report))
        };
        let elsewhere = matches!(scenario.body, Body::Run(_)) && !here;
        let why = match missing {
            _ if elsewhere => " (not in this lab)".to_owned(),
            Some(missing) => format!(" (left out: {})", missing.what),
            None => String::new(),
        };
        let name = scenario.name() + &why;
        trials.push(Trial::test(name, run).with_ignored_flag(!runs));
    }
    let failed = |Failure(message)| Failed::from(message);
    let up_to_date = move || matrix::is_up_to_date(&cases::all()).map_err(failed);
    trials.push(Trial::test(matrix::TEST, up_to_date).with_kind(SUITE));
    let in_the_code = move || matrix::words_are_in_the_code(&cases::all()).map_err(failed);
    trials.push(Trial::test(matrix::WORDS_TEST, in_the_code).with_kind(SUITE));
    let shipped = move || teeth::failpoints_are_where_they_belong(&cases::all()).map_err(failed);
    trials.push(Trial::test(teeth::TEST, shipped).with_kind(SUITE));
    let complete = move || teeth::report_is_complete(&cases::all()).map_err(failed);
    trials.push(Trial::test(teeth::REPORT_TEST, complete).with_kind(SUITE));
    // Last, because this trial waits for all scenarios.
    let valid = move || contract::every_line_is_valid(kind).map_err(failed);
    trials.push(Trial::test(contract::TEST, valid).with_kind(SUITE));
    trials
}

/// What a scenario needs and this machine lacks.
struct Missing {
    what: &'static str,
    /// The scenario may be left out in CI, too: the system cannot provide it.
    allowed_in_ci: bool,
}

/// Returns what a scenario needs and this machine lacks.
fn missing_here(id: &str) -> Option<Missing> {
    let no_linux = !cfg!(target_os = "linux");
    let (what, allowed_in_ci) = if small_disk::NEEDED_BY.contains(&id) && !small_disk::can_be_had() {
        ("needs root", no_linux)
    } else if unit::NEEDED_BY.contains(&id) && !unit::can_be_had() {
        ("needs cargo, which is another system's", true)
    } else if id == "S56" && no_linux {
        ("needs to be told how much memory and how many files a process has", true)
    } else if id == "S75" && no_linux {
        ("needs to lower how many files a process may open", true)
    } else if births::NEEDED_BY.contains(&id) && !births::are_kept() {
        ("needs a file system that keeps times of creation", true)
    } else {
        return None;
    };
    Some(Missing { what, allowed_in_ci })
}

/// Returns a trial for each scenario under each of its sabotages.
fn teeth_trials(kind: LabKind) -> Vec<Trial> {
    let mut trials = Vec::new();
    let known = teeth::Report::of_the_repository();
    let all = !teeth::only_what_is_due();
    let runs = |s: &&Scenario| matches!(s.body, Body::Run(_)) && s.labs.contains(&kind);
    for scenario in cases::all().into_iter().filter(runs) {
        for (bite_kind, sabotage) in teeth::bites(scenario) {
            if !all && known.due(scenario, bite_kind, sabotage).is_none() {
                continue;
            }
            let fault = sabotage.map_or("nothing", |s| s.fault);
            let run = move || {
                let _ended = running::Ended;
                let Played { outcome, report, stderr } = play(scenario, kind, sabotage);
                let said = outcome.err().as_ref().map(teeth::first_words);
                let verdict = Verdict::of(scenario.id, sabotage, said.as_deref(), &stderr);
                let said = said.unwrap_or_default();
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

/// Result of one run of a scenario.
struct Played {
    outcome: Outcome,
    /// Report of a failure, for people; empty without a failure.
    report: String,
    /// Standard error of its programs.
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

/// Returns the report of a failure, for people.
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
