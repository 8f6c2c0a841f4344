//! The README names every flag, command, event and field that the program has.

use std::collections::BTreeSet;
use std::process::Command;

use lanspread_api::CommandName;
use lanspread_api::schema::contract_schema;
use serde_json::Value;

const README: &str = include_str!("../README.md");

/// Types whose fields the tables list.
const LISTED: [&str; 13] = [
    "Event",
    "DownloadProgress",
    "VerifyFinished",
    "Status",
    "Swarm",
    "Traffic",
    "RefusedPeer",
    "PeerInfo",
    "OtherPeer",
    "GameInfo",
    "Guest",
    "RoomGroup",
    "RoomGame",
];

/// Returns the words in the README's spans of code, outside its blocks.
fn words() -> BTreeSet<&'static str> {
    let outside_blocks = README.split("```").step_by(2);
    let spans = outside_blocks.flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.flat_map(|span| span.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))).collect()
}

fn require(words: &BTreeSet<&str>, kind: &str, names: impl IntoIterator<Item = impl AsRef<str>>) {
    let missing: Vec<String> = names
        .into_iter()
        .filter(|name| !words.contains(name.as_ref()))
        .map(|name| name.as_ref().to_owned())
        .collect();
    assert!(missing.is_empty(), "README.md lacks these {kind}: {}", missing.join(", "));
}

#[test]
fn flags_are_listed() {
    let help = Command::new(env!("CARGO_BIN_EXE_lanspread-peer-cli")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: BTreeSet<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|flag| !["--help", "--version"].contains(flag))
        .collect();
    assert!(flags.len() > 10, "{help}");
    require(&words(), "flags", flags);
}

#[test]
fn commands_are_listed() {
    require(&words(), "commands", CommandName::ALL.iter().map(|name| name.as_str()));
}

#[test]
fn events_and_fields_are_listed() {
    let schema = contract_schema();
    let events = schema["$defs"]["Event"]["oneOf"].as_array().unwrap();
    let names: Vec<&str> =
        events.iter().map(|e| e["properties"]["event"]["const"].as_str().unwrap()).collect();
    assert!(names.len() > 30, "{names:?}");
    require(&words(), "events", names);

    let mut fields = BTreeSet::new();
    for name in LISTED {
        let definition = &schema["$defs"][name];
        assert!(definition.is_object(), "the contract has no type {name}");
        collect(definition, &mut fields);
    }
    // The tag of every line of an event.
    fields.remove("event");
    require(&words(), "fields", fields);
}

/// Collects the names of all properties.
fn collect(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                into.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}
