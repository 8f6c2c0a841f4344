//! Fields of a command: one reader for each kind of value.
//!
//! A reader gets the field's name and fails with the error code that fits the mistake. The table in [`crate::request`]
//! says which reader a field has.

use std::net::SocketAddr;

use lanspread_types::fingerprint::OrganiserError;
use lanspread_types::{ContentId, GameId, Organiser, failpoint};
use serde_json::{Map, Value};

use crate::error::{ErrorBody, ErrorCode};
use crate::kinds::Priority;

/// Longest part of a name or an address that an error repeats, in characters.
pub(crate) const ECHO_CHARS_MAX: usize = 64;

/// Longest player name or language that is written into a game, in characters.
pub(crate) const STAMP_CHARS_MAX: usize = 64;

/// Members of the JSON object that is a command.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    fn required(&self, name: &str) -> Result<&Value, ErrorBody> {
        self.0.get(name).ok_or_else(|| missing(name))
    }

    fn text(&self, name: &str) -> Result<&str, ErrorBody> {
        self.required(name)?.as_str().ok_or_else(|| invalid(name, "is not a string"))
    }

    /// Returns an optional field; `null` counts as absent.
    fn optional(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn optional_text(&self, name: &str) -> Result<Option<String>, ErrorBody> {
        let text =
            |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| invalid(name, "is not a string"));
        self.optional(name).map(text).transpose()
    }

    /// Returns an optional text that fits on one line of a game's file.
    pub(crate) fn stamp(&self, name: &str) -> Result<Option<String>, ErrorBody> {
        let text = self.optional_text(name)?;
        let fits = |t: &String| {
            !t.trim().is_empty() && t.chars().count() <= STAMP_CHARS_MAX && !t.chars().any(char::is_control)
        };
        match text {
            Some(text) if !fits(&text) => {
                Err(invalid(name, &format!("is not one line of 1 to {STAMP_CHARS_MAX} characters")))
            }
            text => Ok(text),
        }
    }

    pub(crate) fn game_id(&self, name: &str) -> Result<GameId, ErrorBody> {
        let text = self.text(name)?;
        let id = GameId::new(text);
        let id =
            id.or_else(|e| if failpoint!("accept-any-game-id") { GameId::new("anything") } else { Err(e) });
        id.map_err(|e| ErrorBody::new(ErrorCode::InvalidGameId, e.to_string()))
    }

    pub(crate) fn addr(&self, name: &str) -> Result<SocketAddr, ErrorBody> {
        let text = self.text(name)?;
        let refuse =
            |why: &str| ErrorBody::new(ErrorCode::InvalidAddress, format!("{:?} {why}", shorten(text)));
        let addr: SocketAddr = text.trim().parse().map_err(|_| refuse("is not an address with a port"))?;
        if addr.port() == 0 || addr.ip().is_unspecified() || addr.ip().is_multicast() {
            return Err(refuse("cannot be connected to"));
        }
        Ok(addr)
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ErrorBody> {
        match self.optional(name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| invalid(name, "is neither true nor false")),
        }
    }

    pub(crate) fn choice(&self, name: &str) -> Result<bool, ErrorBody> {
        self.required(name)?.as_bool().ok_or_else(|| invalid(name, "is neither true nor false"))
    }

    pub(crate) fn count(&self, name: &str) -> Result<u32, ErrorBody> {
        let count = whole(self.required(name)?).and_then(|n| u32::try_from(n).ok());
        count.ok_or_else(|| invalid(name, "is not a whole number from 0 to 4294967295"))
    }

    /// Returns a number from 0 to `max`, or `default` if the field is absent.
    pub(crate) fn number(&self, name: &str, default: u64, max: u64) -> Result<u64, ErrorBody> {
        let Some(value) = self.optional(name) else { return Ok(default) };
        let in_range = whole(value).filter(|&n| n <= max);
        in_range.ok_or_else(|| invalid(name, &format!("is not a whole number from 0 to {max}")))
    }

    /// Returns an optional number of bytes.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<u64>, ErrorBody> {
        let why = "is neither null nor a whole number of bytes";
        self.optional(name).map(|value| whole(value).ok_or_else(|| invalid(name, why))).transpose()
    }

    /// Returns an optional rate in bytes per second, at least 1; without one there is no limit.
    pub(crate) fn rate(&self, name: &str) -> Result<Option<u64>, ErrorBody> {
        let why = "must be null or a whole number of bytes per second, at least 1";
        let rate = |value: &Value| whole(value).filter(|&rate| rate > 0).ok_or_else(|| invalid(name, why));
        self.optional(name).map(rate).transpose()
    }

    /// Returns an optional content id in full.
    pub(crate) fn content(&self, name: &str) -> Result<Option<String>, ErrorBody> {
        let text = self.optional_text(name)?;
        content_id(text.clone()).map(|_| text)
    }

    pub(crate) fn priority(&self, name: &str) -> Result<Priority, ErrorBody> {
        let priority = Priority::from_name(self.text(name)?);
        priority.ok_or_else(|| invalid(name, "must be low, normal or high"))
    }

    pub(crate) fn organiser(&self, name: &str) -> Result<Organiser, ErrorBody> {
        let text = self.text(name)?;
        text.parse().map_err(|e: OrganiserError| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
    }

    pub(crate) fn path(&self, name: &str) -> Result<String, ErrorBody> {
        let path = self.text(name)?;
        if path.is_empty() || path.contains('\0') {
            return Err(invalid(name, "is not a path"));
        }
        Ok(path.to_owned())
    }
}

/// Parses the field `confirm_content`. Short ids are refused, because the first digits alone could be forged.
///
/// # Errors
///
/// Fails with `invalid-field` if the text is not a full content id.
pub fn content_id(text: Option<String>) -> Result<Option<ContentId>, ErrorBody> {
    let wrong = |_| invalid("confirm_content", "is no content id of 64 hexadecimal digits");
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

/// Returns a whole number that is not negative. JSON has one kind of numbers, so `2.0` and `2e0` are whole, too.
fn whole(value: &Value) -> Option<u64> {
    // 2^64
    const BELOW: f64 = 18_446_744_073_709_551_616.0;
    let exact = |n: f64| (n.fract() == 0.0 && (0.0..BELOW).contains(&n)).then_some(n as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(exact))
}

pub(crate) fn missing(name: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::MissingField, format!("the field '{name}' is missing"))
}

pub(crate) fn invalid(name: &str, why: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidField, format!("the field '{name}' {why}"))
}

pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}
