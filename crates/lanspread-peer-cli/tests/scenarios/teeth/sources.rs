//! The code that a row of the report depends on, as a short hash: the scenario's definition and the functions beside it,
//! the declaration of the fault, the files in which the program commits it, and for generic faults the rules for all
//! scenarios.
//!
//! Comments, blank lines and the sentences of the matrix are left out, so that new words in them do not make a row due.
//! So are the other scenarios of the same file, and the other faults of the scenario.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::Kind;
use crate::scenario::{Sabotage, Scenario};

/// Digits of a hash in the report.
const DIGITS: usize = 8;
/// Fields of a scenario that only the matrix shows.
const SENTENCES: &[&str] = &["title:", "claim:", "setup:", "expected:"];

/// Code of the workspace's crates and of the scenarios.
static CODE: LazyLock<Code> = LazyLock::new(Code::of_the_repository);

#[derive(Debug, Default)]
struct Code {
    /// Code of the crates' `src` folders by path.
    product: BTreeMap<PathBuf, String>,
    /// Code of `cases/` by path.
    cases: BTreeMap<PathBuf, String>,
    /// Code of `conduct.rs`.
    conduct: String,
    /// Code of the harness and of the helpers in `cases/flow.rs`.
    shared: String,
}

/// Returns the hash of the code that the verdict on a scenario under a fault depends on.
pub fn hash(scenario: &Scenario, kind: Kind, sabotage: Option<Sabotage>) -> String {
    let mut hasher = blake3::Hasher::new();
    let id = format!("id: \"{}\",", scenario.id);
    for text in CODE.cases.values().filter(|text| text.contains(&id)) {
        hasher.update(without_other_scenarios(text, &id).as_bytes());
    }
    if let Some(Sabotage { fault, breaks, at }) = sabotage {
        let named = format!("\"{fault}\"");
        let commits = |text: &&String| text.contains("failpoint!(") && text.contains(&named);
        for text in CODE.product.values().filter(commits) {
            hasher.update(text.as_bytes());
        }
        let of_its_own = match kind {
            Kind::Generic => CODE.conduct.clone(),
            Kind::Control | Kind::Declared => format!("{breaks:?} {at:?}"),
        };
        hasher.update(of_its_own.as_bytes());
    }
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

/// Returns the code of a scenario: its definition without sentences and faults, the functions beside it, and what all
/// scenarios share.
pub fn code_of(scenario: &Scenario) -> String {
    let id = format!("id: \"{}\",", scenario.id);
    let own = CODE.cases.values().filter(|text| text.contains(&id));
    let own: String = own.map(|text| without_other_scenarios(text, &id)).collect();
    own + &CODE.shared
}

/// Returns the code of a file of scenarios without the definitions of other scenarios, lists of faults and sentences.
fn without_other_scenarios(text: &str, id: &str) -> String {
    let (mut kept, mut definition, mut faults) = (String::new(), None, None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (code, depth) = (line.trim(), line.len() - line.trim_start().len());
        match code {
            _ if SENTENCES.iter().any(|field| code.starts_with(field)) => {
                if code.ends_with(':') {
                    lines.next();
                }
            }
            "Scenario {" => definition = Some((depth, String::new())),
            "sabotages: &[" => faults = Some(depth),
            "]," if faults == Some(depth) => faults = None,
            _ if faults.is_some() => {}
            "}," if definition.as_ref().is_some_and(|(start, _)| *start == depth) => {
                let (_, own) = definition.take().unwrap_or_default();
                kept += if own.contains(id) { &own } else { "" };
            }
            _ => {
                let into = definition.as_mut().map_or(&mut kept, |(_, own)| own);
                into.extend([code, "\n"]);
            }
        }
    }
    kept
}

impl Code {
    fn of_the_repository() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scenarios = package.join("tests/scenarios");
        let mut code = Self::default();
        read(&scenarios.join("cases"), &mut code.cases);
        code.conduct = without_comments(&scenarios.join("conduct.rs"));
        let harness = scenarios.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        let shared = harness.filter(|path| path.is_file()).chain([scenarios.join("cases/flow.rs")]);
        code.shared = shared.map(|path| without_comments(&path)).collect();
        for crate_folder in
            package.parent().and_then(|crates| crates.read_dir().ok()).into_iter().flatten().flatten()
        {
            read(&crate_folder.path().join("src"), &mut code.product);
        }
        code
    }
}

fn read(folder: &Path, into: &mut BTreeMap<PathBuf, String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.insert(path.clone(), without_comments(&path));
        }
    }
}

fn without_comments(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = text.lines().filter(is_code);
    lines.flat_map(|line| [line, "\n"]).collect()
}
