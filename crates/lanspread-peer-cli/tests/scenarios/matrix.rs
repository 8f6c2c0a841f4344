//! Generates the matrix of claims in `PEER_CLI_SCENARIOS.md` from the scenarios' declarations.
//!
//! Everything above the run log is generated; the run log is kept. `LANSPREAD_UPDATE_MATRIX=1` writes the file.
//! Without it the test fails if the file differs from the declarations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::scenario::{Body, Outcome, Sabotage, Scenario, fail, require};
use crate::teeth::sources;

/// Name of the test in the suite.
pub const TEST: &str = "matrix PEER_CLI_SCENARIOS.md is up to date";

/// Heading that ends the generated part.
const RUN_LOG: &str = "## Run log\n";

const HEAD: &str = "# The peer scenarios

<!-- Generated from the declarations in tests/scenarios/cases down to the run log. Do not edit by hand:
     LANSPREAD_UPDATE_MATRIX=1 cargo test -p lanspread-peer-cli --test scenarios -- matrix -->

The contract of the whole product, seen from outside: real `lanspread-peer-cli` processes, driven over JSON lines.

```sh
cargo test -p lanspread-peer-cli --test scenarios               # all of them
cargo test -p lanspread-peer-cli --test scenarios -- S14        # one of them
```

Each scenario is a claim about behaviour. It names the faults in the product (*sabotages*) that must turn it red, each
with words of the assertion that must fail; what no sabotage reaches is not yet an assertion. `just teeth` tries them all
(`docs/testing/teeth.md`). CHUNK is the chunk size in force; `client` is a peer with an empty library.

";

/// Name of the test that compares rows with code.
pub const WORDS_TEST: &str = "what a row of the matrix expects is looked at by its scenario";

/// Words of the contract whose name in code is another one.
const NAMES_IN_CODE: &[(&str, &str)] = &[("fetch-wanted", "DownloadWanted")];

/// Checks that a scenario's code has each word that its row gives as code: an event, a command, an error, a field or a
/// file.
pub fn words_are_in_the_code(scenarios: &[&Scenario]) -> Outcome {
    let mut missing = Vec::new();
    for scenario in scenarios.iter().filter(|s| matches!(s.body, Body::Run(_))) {
        let code = sources::code_of(scenario);
        let words =
            scenario.expected.split('`').skip(1).step_by(2).filter_map(|word| word.split([' ', ':']).next());
        for word in words.map(|word| word.trim_matches('/')) {
            let named = NAMES_IN_CODE.iter().find(|(contract, _)| *contract == word).map(|(_, name)| *name);
            let forms = [word.to_owned(), word.replace('-', "_"), camel_case(word)];
            if !forms.iter().map(String::as_str).chain(named).any(|form| code.contains(form)) {
                missing.push(format!("{}: `{word}`", scenario.id));
            }
        }
    }
    require!(missing.is_empty(), "rows expect what no code of their scenarios names: {}", missing.join(", "));
    Ok(())
}

/// Returns a name such as `no-source` as Rust writes it: `NoSource`.
fn camel_case(word: &str) -> String {
    let capitalised =
        |part: &str| part.chars().next().map(|c| c.to_uppercase().chain(part.chars().skip(1)).collect());
    word.split('-').filter_map(|part| capitalised(part).map(|part: String| part)).collect()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("PEER_CLI_SCENARIOS.md")
}

/// Returns the number of an id such as `S14`, for sorting.
pub fn number(id: &str) -> u32 {
    id.trim_start_matches('S').parse().unwrap_or(u32::MAX)
}

pub fn is_up_to_date(scenarios: &[&Scenario]) -> Outcome {
    let path = file();
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let log = old.split_once(RUN_LOG).map_or("", |(_, log)| log);
    let new = format!("{HEAD}{}{RUN_LOG}{log}", table(scenarios));
    if new == old {
        return Ok(());
    }
    if std::env::var_os("LANSPREAD_UPDATE_MATRIX").is_some() {
        std::fs::write(&path, new)?;
        return Ok(());
    }
    fail!(
        "PEER_CLI_SCENARIOS.md differs from the declarations; write it anew with\n  \
         LANSPREAD_UPDATE_MATRIX=1 cargo test -p lanspread-peer-cli --test scenarios -- matrix"
    )
}

/// Returns a fault, where it is, and the words of the assertions that it must break.
fn fault_and_claim(sabotage: &Sabotage) -> String {
    let at = sabotage.at.map_or(String::new(), |peer| format!(" at {peer}"));
    let claims: Vec<String> = sabotage.breaks.iter().map(|words| format!("“{}”", words.trim())).collect();
    format!("`{}`{at}: {}", sabotage.fault, claims.join(" or ")).replace('|', "\\|")
}

fn table(scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    let (ready, pending): (Vec<&&Scenario>, Vec<_>) =
        scenarios.iter().partition(|s| matches!(s.body, Body::Run(_)));
    let _ = writeln!(text, "## The matrix: {} scenarios\n", ready.len());
    let _ = writeln!(text, "| id | title | claim | setup | expected | sabotages | labs |");
    let _ = writeln!(text, "| --- | --- | --- | --- | --- | --- | --- |");
    for s in ready {
        let sabotages: Vec<String> = s.sabotages.iter().map(fault_and_claim).collect();
        let labs: Vec<&str> = s.labs.iter().map(|lab| lab.as_str()).collect();
        let (sabotages, labs) = (sabotages.join("; "), labs.join(", "));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {sabotages} | {labs} |",
            s.id, s.title, s.claim, s.setup, s.expected
        );
    }
    let _ = writeln!(text, "\n## Pending: {} scenarios\n", pending.len());
    let _ = writeln!(text, "Listed as ignored by every run, never silently skipped.\n");
    let _ = writeln!(text, "| id | title | claim | waits for |");
    let _ = writeln!(text, "| --- | --- | --- | --- |");
    for s in pending {
        if let Body::Pending(subject) = s.body {
            let _ = writeln!(text, "| {} | {} | {} | {subject} |", s.id, s.title, s.claim);
        }
    }
    text.push('\n');
    text
}
