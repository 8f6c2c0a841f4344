//! Lines that a peer prints: an event, a result or an error each.
//!
//! Each line is one JSON object. The `id` of a result or an error tells which command it answers: it is the same JSON
//! value as that command's `id`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::ErrorBody;
use crate::event::Event;
use crate::reply::ReplyData;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line {
    /// Something happened.
    Event(Event),
    /// A command succeeded, or has started what events will tell the end of.
    Result(ResultLine),
    /// A command was refused or failed.
    Error(ErrorLine),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultLine {
    /// The command's `id`, if it had one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// `cmd` and `data`.
    #[serde(flatten)]
    pub reply: ReplyData,
}

/// The refusal of a command, or of a line that is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorLine {
    /// The command's `id`, if it had one and it could be read.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// The command's name, if it could be read; of an unknown one the first 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// `code`, `message`, and what else belongs to the error.
    #[serde(flatten)]
    pub error: ErrorBody,
}

impl Line {
    /// Returns the line as text, without the line feed. JSON text never contains one.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with string keys cannot fail to serialise. If they ever do, the reader still gets
        // a line of the contract.
        serde_json::to_string(self).unwrap_or_else(|e| {
            let message = serde_json::Value::from(format!("a line could not be written: {e}"));
            format!(r#"{{"type":"error","code":"internal","message":{message}}}"#)
        })
    }
}

/// What a script chooses to recognise its answer by: any JSON value. It comes back as it was written, so a number keeps
/// all its digits and its notation.
///
/// [`Line`] keeps the value and not its text when it is deserialised, so a program that compares such ids compares
/// values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// Takes the text of a JSON value.
    pub fn from_raw(text: &RawValue) -> Self {
        Self(text.get().to_owned())
    }

    /// Makes an id from a JSON value.
    pub fn from_json(value: &Value) -> Self {
        Self(value.to_string())
    }

    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(|value| Self::from_json(&value))
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any JSON value, as the command had it." })
    }
}

/// Deserialises a field that is present, `null` included. A plain `Option` would take `null` for an absent field.
pub(crate) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Id>, D::Error> {
    Id::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_values_of_any_kind() {
        for id in
            ["null", "true", "7", "-7", "18446744073709551615", "1.5", "\"a\\nb\"", "\"\"", "{\"a\":[]}"]
        {
            let text = format!(r#"{{"type":"error","id":{id},"code":"internal","message":"m"}}"#);
            let line: Line = serde_json::from_str(&text).unwrap();
            assert_eq!(line.to_json(), text);
        }
    }

    #[test]
    fn printed_line_has_no_line_break() {
        let error = ErrorBody::new(crate::ErrorCode::Internal, "two\nlines\r\u{2028}");
        let line = Line::Error(ErrorLine { id: None, cmd: None, error });
        assert!(!line.to_json().contains(['\n', '\r']));
    }
}
