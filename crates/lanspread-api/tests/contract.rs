//! The schema refuses what the contract does not name; schema and documents are current.
//!
//! `UPDATE_CONTRACT=1 cargo test -p lanspread-api` rewrites the schema and the tables of `docs/contract.md`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use lanspread_api::schema::{contract_schema, validate_line, validate_request};
use lanspread_api::{ErrorCode, ExitCode};

#[test]
fn schema_refuses_unknown_lines_and_fields() {
    for bad in [
        r#"{"type":"event","event":"install-finished"}"#,
        r#"{"type":"event","event":"install-finished","game_id":"a","extra":1}"#,
        r#"{"type":"event","event":"install-done","game_id":"a"}"#,
        r#"{"type":"event","event":"install-finished","game_id":7}"#,
        r#"{"type":"result","cmd":"install","data":{"game_id":"a","extra":1}}"#,
        r#"{"type":"result","cmd":"install","data":{}}"#,
        r#"{"type":"result","cmd":"install","data":{"game_id":"a"},"extra":1}"#,
        r#"{"type":"error","code":"no-such-code","message":"m"}"#,
        r#"{"type":"other"}"#,
        "{}",
    ] {
        assert!(validate_line(bad).is_err(), "{bad}");
    }
}

#[test]
fn schema_knows_commands_and_ids() {
    validate_request(r#"{"cmd":"download","game_id":"a","id":"x"}"#).unwrap();
    validate_request(r#"{"cmd":"status","id":{"any":["value"]}}"#).unwrap();
    for bad in [r#"{"cmd":"download"}"#, r#"{"cmd":"other"}"#] {
        assert!(validate_request(bad).is_err(), "{bad}");
    }
}

#[test]
fn schema_file_is_current() {
    let schema = serde_json::to_string_pretty(&contract_schema()).unwrap() + "\n";
    golden(&manifest_dir().join("schema/contract.schema.json"), &schema);
}

#[test]
fn error_tables_in_the_document_are_current() {
    let path = manifest_dir().join("../../docs/contract.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let with = |document: &str, name: &str, table: &str| {
        let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- end of {name} -->"));
        let (head, rest) = document.split_once(&begin).expect("the mark of the table");
        let (_, tail) = rest.split_once(&end).expect("the end of the table");
        format!("{head}{begin}\n{table}\n{end}{tail}")
    };
    let current = with(&with(&document, "errors", &error_table()), "exit codes", &exit_table());
    golden(&path, &current);
}

fn error_table() -> String {
    let row = |c: &ErrorCode| {
        format!("| `{}` | {} | {} | {} |\n", c.as_str(), c.when(), c.hint().unwrap_or(""), c.exit().code())
    };
    let rows: String = ErrorCode::ALL.iter().map(row).collect();
    format!("| code | when | hint | exit |\n| --- | --- | --- | --- |\n{rows}")
}

fn exit_table() -> String {
    let row = |e: ExitCode| format!("| {} | {} |\n", e.code(), e.meaning());
    let rows: String = ExitCode::ALL.into_iter().map(row).collect();
    format!("| exit code | meaning |\n| --- | --- |\n{rows}")
}

fn manifest_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn golden(path: &Path, current: &str) {
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(path, current).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == current, "{} is not current: run with UPDATE_CONTRACT=1", path.display());
}
