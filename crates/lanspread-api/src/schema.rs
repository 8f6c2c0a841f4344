//! JSON schema (draft 2020-12) of the lines that a peer prints and reads, generated from the types.
//!
//! The schema is strict: a printed line with a field that the contract does not name is not valid. Tests check the
//! output of the programs against it. A reader of that output should be tolerant instead and ignore unknown fields.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::line::{Id, Line};
use crate::page;
use crate::request::Request;
use crate::text::GameIdText;

/// Returns the schema of a printed line. Its definition `RequestLine` is the schema of a command.
pub fn contract_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let line = generator.subschema_for::<Line>();
    let mut definitions = generator.take_definitions(true);
    close(&mut definitions);

    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let (request, id) = (generator.subschema_for::<Request>(), generator.subschema_for::<Id>());
    definitions.extend(generator.take_definitions(true));
    definitions.values_mut().for_each(bound);
    let request_line = json!({
        "description": "A command, and what its answer is recognised by. `command` may stand for `cmd`.",
        "allOf": [request, { "properties": { "id": id } }],
    });
    definitions.insert("RequestLine".to_owned(), request_line);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lanspread contract, version 1",
        "description": "A line that a peer prints. What a peer reads is the definition RequestLine.",
        "$ref": line.get("$ref"),
        "$defs": definitions,
    })
}

/// Returns the definitions of the types that only the HTTP interface has, by name, with the types that they contain.
pub fn page_definitions() -> Map<String, Value> {
    let mut written = SchemaSettings::draft2020_12().for_serialize().into_generator();
    written.subschema_for::<page::Update>();
    written.subschema_for::<page::Offers>();
    written.subschema_for::<page::Folders>();
    written.subschema_for::<page::Packed>();
    written.subschema_for::<page::Invitation>();
    let mut definitions = written.take_definitions(true);
    let mut read = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    read.subschema_for::<page::Setup>();
    read.subschema_for::<page::Settings>();
    read.subschema_for::<page::Pack>();
    read.subschema_for::<page::InvitationOrder>();
    read.subschema_for::<page::PartyOrder>();
    read.subschema_for::<page::CatalogOrder>();
    read.subschema_for::<page::QuietOrder>();
    definitions.extend(read.take_definitions(true));
    definitions.values_mut().for_each(bound);
    definitions
}

/// Returns the schema of a game id.
pub fn game_id() -> Value {
    SchemaGenerator::default().subschema_for::<GameIdText>().to_value()
}

/// States the largest value of each whole number of 64 bits, for which `format` is only a hint.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("format").is_some_and(|format| format == "uint64") {
                object.entry("maximum").or_insert_with(|| u64::MAX.into());
            }
            object.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// Forbids fields that the contract does not name.
///
/// An object that is merged with other objects into one (by a `$ref` beside `properties`, as the tag `type` is)
/// cannot forbid unknown fields itself. The line that it is merged into forbids them.
fn close(definitions: &mut Map<String, Value>) {
    let mut merged = BTreeSet::new();
    definitions.values().for_each(|d| find_merged(d, &mut merged));
    for (name, definition) in definitions.iter_mut() {
        let Some(object) = definition.as_object_mut() else { continue };
        if object.get("type").is_some_and(|t| t == "object") && !merged.contains(&format!("#/$defs/{name}")) {
            object.insert("additionalProperties".to_owned(), false.into());
        }
    }
    let kinds =
        definitions.get_mut("Line").and_then(|line| line.get_mut("oneOf")).and_then(Value::as_array_mut);
    for kind in kinds.into_iter().flatten().filter_map(Value::as_object_mut) {
        kind.insert("unevaluatedProperties".to_owned(), false.into());
    }
}

/// Collects the targets of each `$ref` in an object that also has `properties`.
fn find_merged(schema: &Value, merged: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let (Some(Value::String(to)), true) = (object.get("$ref"), object.contains_key("properties")) {
                merged.insert(to.clone());
            }
            object.values().for_each(|s| find_merged(s, merged));
        }
        Value::Array(items) => items.iter().for_each(|s| find_merged(s, merged)),
        _ => {}
    }
}

/// Checks a printed line against the schema and reads it back, for tests.
///
/// # Errors
///
/// Fails with the faults and the line, as text.
#[cfg(feature = "validate")]
pub fn validate_line(text: &str) -> Result<Line, String> {
    use std::sync::LazyLock;
    static VALIDATOR: LazyLock<Result<jsonschema::Validator, String>> =
        LazyLock::new(|| jsonschema::validator_for(&contract_schema()).map_err(|e| e.to_string()));
    check(VALIDATOR.as_ref()?, text)?;
    serde_json::from_str(text).map_err(|e| format!("{e}: {text}"))
}

/// Checks a command line against the schema, for tests and documents.
///
/// # Errors
///
/// Fails with the faults and the line, as text.
#[cfg(feature = "validate")]
pub fn validate_request(text: &str) -> Result<(), String> {
    let mut schema = contract_schema();
    schema["$ref"] = "#/$defs/RequestLine".into();
    check(&jsonschema::validator_for(&schema).map_err(|e| e.to_string())?, text)
}

#[cfg(feature = "validate")]
fn check(validator: &jsonschema::Validator, text: &str) -> Result<(), String> {
    let value = serde_json::from_str(text).map_err(|e| format!("{e}: {text}"))?;
    let faults: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    if faults.is_empty() { Ok(()) } else { Err(format!("{}: {text}", faults.join("; "))) }
}
