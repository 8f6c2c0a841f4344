//! The lines that a peer prints: an event, a result or an error each.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

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
    #[serde(flatten)]
    pub error: ErrorBody,
}

impl Line {
    /// The line as it is printed, without the line feed. JSON text never contains one.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with string keys only: serialisation has nothing to fail at. Should it ever, a
        // reader still gets a line of the contract.
        serde_json::to_string(self).unwrap_or_else(|e| {
            let message = serde_json::Value::from(format!("a line could not be written: {e}"));
            format!(r#"{{"type":"error","code":"internal","message":{message}}}"#)
        })
    }
}

/// What a script chooses to recognise its answer by: any JSON scalar. It comes back as the same JSON value; a number
/// that is neither a 64-bit integer nor exact as a double comes back as the nearest double.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Id {
    Null(()),
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
}

impl Id {
    /// `None` for an object or an array.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Null => Some(Self::Null(())),
            serde_json::Value::Bool(b) => Some(Self::Bool(*b)),
            serde_json::Value::Number(n) => Some(Self::Number(n.clone())),
            serde_json::Value::String(s) => Some(Self::Text(s.clone())),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        }
    }
}

/// Reads a field that is there, `null` included, which plain `Option` would take for an absent one.
pub(crate) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Id>, D::Error> {
    Id::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_comes_back_as_it_was() {
        for id in ["null", "true", "7", "-7", "18446744073709551615", "1.5", "\"a\\nb\"", "\"\""] {
            let text = format!(r#"{{"type":"error","id":{id},"code":"internal","message":"m"}}"#);
            let line: Line = serde_json::from_str(&text).unwrap();
            assert_eq!(line.to_json(), text);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        let error = ErrorBody::new(crate::ErrorCode::Internal, "two\nlines\r\u{2028}");
        let line = Line::Error(ErrorLine { id: None, cmd: None, error });
        assert!(!line.to_json().contains(['\n', '\r']));
    }
}
