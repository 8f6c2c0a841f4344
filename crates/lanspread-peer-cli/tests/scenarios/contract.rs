//! Validates every line that any peer prints in the whole run against the contract's JSON schema.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_api::CommandName;
use serde_json::{Value, json};

use crate::games::Game;
use crate::lab::Lab;
use crate::scenario::{LabKind, Outcome, require};
use crate::{running, wait};

static SCHEMA: LazyLock<Result<jsonschema::Validator, String>> = LazyLock::new(|| {
    jsonschema::validator_for(&lanspread_api::schema::contract_schema()).map_err(|e| e.to_string())
});

/// Lines of the run so far.
#[derive(Debug, Default)]
struct Tally {
    /// Number of lines by kind: `event download-begin`, `result status`, `error busy`.
    kinds: BTreeMap<String, u64>,
    faults: Vec<String>,
}

static TALLY: Mutex<Tally> = Mutex::new(Tally { kinds: BTreeMap::new(), faults: Vec::new() });

fn tally() -> MutexGuard<'static, Tally> {
    TALLY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Validates one line. A violation is recorded for [`every_line_is_valid`] and also returned, so that the scenario
/// fails in which it happened.
pub fn judge(line: &str) -> Result<(), String> {
    let verdict = validate(line);
    let mut tally = tally();
    match &verdict {
        Ok(kind) => *tally.kinds.entry(kind.clone()).or_default() += 1,
        Err(fault) => tally.faults.push(format!("{fault}: {line}")),
    }
    verdict.map(drop)
}

fn validate(line: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let schema = SCHEMA.as_ref().map_err(|e| format!("the schema is not valid: {e}"))?;
    schema.validate(&value).map_err(|e| format!("not by the schema: {e} at {}", e.instance_path()))?;
    let text = |key: &str| value[key].as_str().unwrap_or("?").to_owned();
    Ok(match text("type").as_str() {
        "event" => format!("event {}", text("event")),
        "result" => format!("result {}", text("cmd")),
        "error" => format!("error {}", text("code")),
        other => return Err(format!("a line of unknown type {other:?}")),
    })
}

/// Name of the test in the suite.
pub const TEST: &str = "contract every line that any peer printed is valid";

/// Makes a peer answer every command, waits for the end of all scenarios of this run, and requires that every line of
/// every peer obeyed the contract.
pub fn every_line_is_valid(kind: LabKind) -> Outcome {
    let lab = Lab::new(kind, "contract", None)?;
    let result = answer_everything(&lab);
    lab.close(result.is_err());
    result?;
    wait::within(Duration::from_secs(900), "the other scenarios end", || {
        let left = running::left();
        Ok(wait::seen_if(left == 0, || format!("{left} are running")))
    })?;
    let tally = tally();
    let lines: u64 = tally.kinds.values().sum();
    require!(lines > 0, "no line was printed at all");
    let shown: Vec<&String> = tally.faults.iter().take(5).collect();
    require!(
        shown.is_empty(),
        "{} lines are outside the contract, the first are {shown:#?}",
        tally.faults.len()
    );
    Ok(())
}

fn answer_everything(lab: &Lab) -> Outcome {
    let peer =
        lab.peer("talker")?.arg("--fixture").arg("cnc4").game(&Game::blob("ggoo", 1, 1000))?.start()?;
    for name in CommandName::ALL.iter().filter(|name| **name != CommandName::Shutdown) {
        let mut command = json!({ "cmd": name.as_str() });
        // The fields of all commands; a command ignores fields that it does not know.
        for (field, value) in [
            ("game_id", json!("ggoo")),
            ("count", json!(0)),
            ("timeout_ms", json!(1)),
            ("addr", json!(peer.addr()?)),
            ("path", json!(peer.games_dir())),
            ("user_name", json!("Ann")),
            ("language", json!("english")),
        ] {
            command[field] = value;
        }
        // The peer refuses some commands in this state. Either answer must be valid, which `judge` decides.
        let _ = peer.say_json(command)?;
    }
    for broken in ["{", "[]", "{}", "{\"cmd\":\"fly\"}", "{\"cmd\":\"connect\",\"addr\":\"nowhere\"}"] {
        peer.say_raw(format!("{broken}\n").as_bytes())?;
    }
    peer.status()?;
    peer.shut_down()?;
    lab.check_conduct()
}

/// Returns how many lines of how many kinds were validated, for the end of the run.
pub fn summary() -> String {
    let tally = tally();
    let lines: u64 = tally.kinds.values().sum();
    format!("{lines} lines of {} kinds judged by the contract's schema", tally.kinds.len())
}
