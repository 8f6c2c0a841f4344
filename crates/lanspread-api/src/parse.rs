//! Parser of commands: from a line to a [`Request`].
//!
//! Each kind of mistake has its own error code. The answer carries the command's `id` wherever the parser could read
//! it, even from a line that breaks off after it. Unknown fields are ignored; a name that is duplicated is refused.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{ErrorBody, ErrorCode};
use crate::fields::{Fields, invalid, missing, shorten};
use crate::line::{ErrorLine, Id};
use crate::request::{CommandName, Request};

/// Longest line that is read, in bytes, without the line feed.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Answer to a line that is not a valid command.
pub type Rejected = Box<ErrorLine>;

/// Parses a command and its `id`.
///
/// # Errors
///
/// Fails with the line to print.
pub fn parse_request(line: &[u8]) -> Result<(Option<Id>, Request), Rejected> {
    let mut object = Object::default();
    let read = object.read(line).and_then(|()| Request::read(object.name()?, &object.fields));
    match read {
        Ok(request) => Ok((object.id, request)),
        Err(error) => Err(object.reject(error)),
    }
}

/// Parses the fields of the command `name`, and its `id`. The members `cmd` and `command` do not count.
///
/// # Errors
///
/// Fails with the line to print.
pub fn parse_fields(
    name: CommandName,
    fields: Map<String, Value>,
) -> Result<(Option<Id>, Request), Rejected> {
    let id = fields.get("id").map(Id::from_json);
    match Request::read(name, &Fields(fields)) {
        Ok(request) => Ok((id, request)),
        Err(error) => Err(Box::new(ErrorLine { id, cmd: Some(name.as_str().to_owned()), error })),
    }
}

/// Returns the answer to a line that is too long. `start` is the part that was kept, to find `id` and `cmd` in.
pub fn reject_long_line(start: &[u8]) -> ErrorLine {
    let mut object = Object::default();
    // The start breaks off somewhere, so an error is expected here.
    let _ = object.read(start);
    let message = format!("a line has at most {LINE_BYTES_MAX} bytes");
    *object.reject(ErrorBody::new(ErrorCode::LineTooLong, message))
}

/// Members of the object that were read before the first mistake.
#[derive(Debug, Default)]
struct Object {
    id: Option<Id>,
    /// All members but `id`.
    fields: Fields,
    /// First name that is duplicated.
    twice: Option<String>,
    not_an_object: bool,
}

impl Object {
    fn read(&mut self, line: &[u8]) -> Result<(), ErrorBody> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let (text, whole) = match std::str::from_utf8(line) {
            Ok(text) => (text, Ok(())),
            Err(e) => {
                let message = format!("the line is not UTF-8 at byte {}", e.valid_up_to());
                let valid = std::str::from_utf8(&line[..e.valid_up_to()]).unwrap_or_default();
                (valid, Err(ErrorBody::new(ErrorCode::InvalidUtf8, message)))
            }
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = ReadObject(self).deserialize(&mut json).and_then(|()| json.end());
        whole?;
        if self.not_an_object {
            return Err(ErrorBody::new(ErrorCode::NotAnObject, "a command is a JSON object"));
        }
        read.map_err(|e| ErrorBody::new(ErrorCode::MalformedJson, format!("the line is not JSON: {e}")))?;
        match &self.twice {
            Some(name) => Err(invalid(&shorten(name), "is duplicated")),
            None => Ok(()),
        }
    }

    fn name(&self) -> Result<CommandName, ErrorBody> {
        let members = &self.fields.0;
        let name = match (members.get("cmd"), members.get("command")) {
            (Some(cmd), Some(command)) if cmd != command => {
                return Err(invalid("command", "and 'cmd' name different commands"));
            }
            (Some(Value::String(name)), _) | (None, Some(Value::String(name))) => name,
            (None, None) => return Err(missing("cmd")),
            (Some(_), _) => return Err(invalid("cmd", "is not a string")),
            (None, Some(_)) => return Err(invalid("command", "is not a string")),
        };
        CommandName::from_name(name).ok_or_else(|| {
            let known: Vec<_> = CommandName::ALL.iter().map(|c| c.as_str()).collect();
            let message = format!("there is no command {:?}", shorten(name));
            let hint = format!("the commands are {}", known.join(", "));
            ErrorBody { hint: Some(hint), ..ErrorBody::new(ErrorCode::UnknownCommand, message) }
        })
    }

    /// Returns the answer to a mistake, with `id` and `cmd` as they were given.
    fn reject(self, error: ErrorBody) -> Rejected {
        let members = &self.fields.0;
        let cmd = members.get("cmd").or_else(|| members.get("command")).and_then(Value::as_str).map(shorten);
        Box::new(ErrorLine { id: self.id, cmd, error })
    }
}

/// Reads an object member by member into `Object`, so that the members before a mistake are not lost.
struct ReadObject<'a>(&'a mut Object);

impl<'de> DeserializeSeed<'de> for ReadObject<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadObject<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let before = if name == "id" {
                self.0.id.replace(Id::from_raw(map.next_value()?)).is_some()
            } else {
                self.0.fields.0.insert(name.clone(), map.next_value()?).is_some()
            };
            if before && self.0.twice.is_none() {
                self.0.twice = Some(name);
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        self.not_an_object()
    }
}

impl ReadObject<'_> {
    fn not_an_object<E>(self) -> Result<(), E> {
        self.0.not_an_object = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::ECHO_CHARS_MAX;
    use crate::request::{Priority, WAIT_PEERS_TIMEOUT_MS};
    use lanspread_types::GameId;

    fn parse(line: &str) -> Result<(Option<Id>, Request), Rejected> {
        parse_request(line.as_bytes())
    }

    fn id(json: &str) -> Id {
        Id::from_json(&serde_json::from_str(json).unwrap())
    }

    fn game(id: &str) -> GameId {
        GameId::new(id).unwrap()
    }

    #[test]
    fn every_command_is_read() {
        let game_id = game("ggoo");
        let confirmed = "0a".repeat(32);
        for (line, request) in [
            (r#"{"cmd":"status"}"#, Request::Status),
            (r#"{"command":"status"}"#, Request::Status),
            (r#"{"cmd":"status","command":"status"}"#, Request::Status),
            (
                r#"{"cmd":"wait-peers","count":2}"#,
                Request::WaitPeers { count: 2, timeout_ms: WAIT_PEERS_TIMEOUT_MS },
            ),
            (
                r#"{"cmd":"wait-peers","count":2,"timeout_ms":null}"#,
                Request::WaitPeers { count: 2, timeout_ms: WAIT_PEERS_TIMEOUT_MS },
            ),
            (
                r#"{"cmd":"wait-peers","count":2.0,"timeout_ms":3e4}"#,
                Request::WaitPeers { count: 2, timeout_ms: WAIT_PEERS_TIMEOUT_MS },
            ),
            (
                r#"{"cmd":"wait-peers","count":0,"timeout_ms":5}"#,
                Request::WaitPeers { count: 0, timeout_ms: 5 },
            ),
            (
                r#"{"cmd":"connect","addr":"127.0.0.1:7"}"#,
                Request::Connect { addr: "127.0.0.1:7".parse().unwrap() },
            ),
            (r#"{"cmd":"connect","addr":"[::1]:7"}"#, Request::Connect { addr: "[::1]:7".parse().unwrap() }),
            (r#"{"cmd":"list-peers"}"#, Request::ListPeers),
            (r#"{"cmd":"list-games"}"#, Request::ListGames),
            (
                r#"{"cmd":"download","game_id":"ggoo"}"#,
                Request::Download { game_id: game_id.clone(), install: true, confirm_content: None },
            ),
            (
                r#"{"cmd":"download","game_id":"ggoo","install":null}"#,
                Request::Download { game_id: game_id.clone(), install: true, confirm_content: None },
            ),
            (
                r#"{"cmd":"download","game_id":"ggoo","install":false}"#,
                Request::Download { game_id: game_id.clone(), install: false, confirm_content: None },
            ),
            (
                &format!(r#"{{"cmd":"download","game_id":"ggoo","confirm_content":"{confirmed}"}}"#),
                Request::Download {
                    game_id: game_id.clone(),
                    install: true,
                    confirm_content: Some(confirmed.clone()),
                },
            ),
            (
                r#"{"cmd":"cancel-download","game_id":"ggoo"}"#,
                Request::CancelDownload { game_id: game_id.clone() },
            ),
            (
                r#"{"cmd":"install","game_id":"ggoo"}"#,
                Request::Install { game_id: game_id.clone(), max_unpacked_bytes: None },
            ),
            (
                r#"{"cmd":"install","game_id":"ggoo","max_unpacked_bytes":7}"#,
                Request::Install { game_id: game_id.clone(), max_unpacked_bytes: Some(7) },
            ),
            (r#"{"cmd":"uninstall","game_id":"ggoo"}"#, Request::Uninstall { game_id: game_id.clone() }),
            (
                r#"{"cmd":"remove-download","game_id":"ggoo"}"#,
                Request::RemoveDownload { game_id: game_id.clone() },
            ),
            (
                r#"{"cmd":"discard-download","game_id":"ggoo"}"#,
                Request::DiscardDownload { game_id: game_id.clone() },
            ),
            (
                r#"{"cmd":"stream-install","game_id":"ggoo"}"#,
                Request::StreamInstall { game_id: game_id.clone(), max_unpacked_bytes: None },
            ),
            (r#"{"cmd":"set-limits"}"#, Request::SetLimits { upload: None, download: None }),
            (
                r#"{"cmd":"set-limits","upload":1000,"download":null}"#,
                Request::SetLimits { upload: Some(1000), download: None },
            ),
            (
                r#"{"cmd":"set-priority","game_id":"ggoo","priority":"high"}"#,
                Request::SetPriority { game_id: game_id.clone(), priority: Priority::High },
            ),
            (
                r#"{"cmd":"set-sharing","game_id":"ggoo","shared":false}"#,
                Request::SetSharing { game_id: game_id.clone(), shared: false },
            ),
            (
                r#"{"cmd":"play","game_id":"ggoo","user_name":"Jo","language":null}"#,
                Request::Play {
                    game_id,
                    user_name: Some("Jo".to_owned()),
                    language: None,
                    launch: false,
                    confirm_content: None,
                },
            ),
            (r#"{"cmd":"set-game-dir","path":"/g"}"#, Request::SetGameDir { path: "/g".to_owned() }),
            (r#"{"cmd":"shutdown","unknown field":[1]}"#, Request::Shutdown),
        ] {
            assert_eq!(parse(line).unwrap(), (None, request.clone()), "{line}");
            let written = serde_json::to_string(&request).unwrap();
            assert_eq!(parse(&written).unwrap().1, request, "{written}");
            assert_eq!(serde_json::from_str::<Request>(&written).unwrap(), request);
        }
    }

    #[test]
    fn every_mistake_has_its_code() {
        use ErrorCode as E;
        let deep = format!(r#"{{"cmd":"status","x":{}"#, "[".repeat(5000));
        for (line, code) in [
            ("{", E::MalformedJson),
            ("nonsense", E::MalformedJson),
            (r#"{"cmd":"status"} {"cmd":"status"}"#, E::MalformedJson),
            (r#"{"cmd":"status",}"#, E::MalformedJson),
            (deep.as_str(), E::MalformedJson),
            ("[1,2]", E::NotAnObject),
            ("7", E::NotAnObject),
            ("-7", E::NotAnObject),
            ("1.5", E::NotAnObject),
            ("null", E::NotAnObject),
            ("true", E::NotAnObject),
            (r#""status""#, E::NotAnObject),
            ("{}", E::MissingField),
            (r#"{"cmd":7}"#, E::InvalidField),
            (r#"{"command":null}"#, E::InvalidField),
            (r#"{"cmd":"status","command":"shutdown"}"#, E::InvalidField),
            (r#"{"cmd":"status","cmd":"shutdown"}"#, E::InvalidField),
            (r#"{"cmd":"Status"}"#, E::UnknownCommand),
            (r#"{"cmd":""}"#, E::UnknownCommand),
            (r#"{"cmd":"status","id":1,"id":1}"#, E::InvalidField),
            (r#"{"cmd":"status","id":[1}"#, E::MalformedJson),
            (r#"{"cmd":"wait-peers"}"#, E::MissingField),
            (r#"{"cmd":"wait-peers","count":-1}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":1.5}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":"1"}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":1,"timeout_ms":86400001}"#, E::InvalidField),
            (r#"{"cmd":"connect"}"#, E::MissingField),
            (r#"{"cmd":"connect","addr":7}"#, E::InvalidField),
            (r#"{"cmd":"connect","addr":"127.0.0.1"}"#, E::InvalidAddress),
            (r#"{"cmd":"connect","addr":"127.0.0.1:0"}"#, E::InvalidAddress),
            (r#"{"cmd":"connect","addr":"0.0.0.0:7"}"#, E::InvalidAddress),
            (r#"{"cmd":"connect","addr":"host:7"}"#, E::InvalidAddress),
            (r#"{"cmd":"download"}"#, E::MissingField),
            (r#"{"cmd":"download","game_id":7}"#, E::InvalidField),
            (r#"{"cmd":"download","game_id":"a","install":"no"}"#, E::InvalidField),
            (r#"{"cmd":"download","game_id":"../../etc"}"#, E::InvalidGameId),
            (r#"{"cmd":"install","game_id":"/etc/passwd"}"#, E::InvalidGameId),
            (r#"{"cmd":"install","game_id":""}"#, E::InvalidGameId),
            (r#"{"cmd":"play","game_id":"a","user_name":1}"#, E::InvalidField),
            (r#"{"cmd":"play","game_id":"a","user_name":"a\nb"}"#, E::InvalidField),
            (r#"{"cmd":"play","game_id":"a","language":" "}"#, E::InvalidField),
            (r#"{"cmd":"verify","game_id":"a","repair":1}"#, E::InvalidField),
            (r#"{"cmd":"set-game-dir","path":""}"#, E::InvalidField),
            (r#"{"cmd":"set-game-dir","path":"a\u0000b"}"#, E::InvalidField),
        ] {
            let rejected = parse(line).unwrap_err();
            assert_eq!(
                rejected.error.code,
                code,
                "{}: {}",
                &line[..line.len().min(80)],
                rejected.error.message
            );
        }
    }

    #[test]
    fn id_comes_back_wherever_it_was_readable() {
        let seven = id("7");
        for (line, known) in [
            (&br#"{"id":7,"cmd":"nonsense"}"#[..], Some(seven.clone())),
            (br#"{"id":7,"cmd":"download"}"#, Some(seven.clone())),
            (br#"{"id":7}"#, Some(seven.clone())),
            (br#"{"id":7,"cmd":"status""#, Some(seven.clone())),
            (br#"{"id":7,"cmd":nonsense"#, Some(seven.clone())),
            (b"{\"id\":7,\"cmd\":\"\xff\"}", Some(seven)),
            (br#"{"id":null,"cmd":"nonsense"}"#, Some(id("null"))),
            (br#"{"id":[],"cmd":"nonsense"}"#, Some(id("[]"))),
            (br#"{"id":[,"cmd":"nonsense"}"#, None),
            (br#"{"cmd":"nonsense"}"#, None),
            (b"nonsense", None),
        ] {
            let text = String::from_utf8_lossy(line);
            assert_eq!(parse_request(line).unwrap_err().id, known, "{text}");
        }
        let digits = "123456789012345678901234567890";
        for written in [
            "\"x\"",
            "true",
            "null",
            "-3",
            "1.25",
            "1e2",
            "-0",
            digits,
            "{}",
            "[1, {\"a\":2}]",
            "\"\\u0041\"",
        ] {
            let (id, _) = parse(&format!(r#"{{"cmd":"status","id":{written}}}"#)).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), written);
        }
    }

    #[test]
    fn fields_need_no_name_of_their_own() {
        let parse = |json: &str| parse_fields(CommandName::WantGame, serde_json::from_str(json).unwrap());
        let request = Request::WantGame { game_id: game("ggoo") };
        let (known, parsed) = parse(r#"{"id":7,"game_id":"ggoo","cmd":"status","command":3}"#).unwrap();
        assert_eq!((known, parsed), (Some(id("7")), request));
        let rejected = parse(r#"{"id":7,"cmd":"status"}"#).unwrap_err();
        assert_eq!(
            (rejected.error.code, rejected.cmd.as_deref()),
            (ErrorCode::MissingField, Some("want-game"))
        );
        assert_eq!(rejected.id, Some(id("7")));
        assert_eq!(parse(r#"{"id":[],"game_id":"ggoo"}"#).unwrap().0, Some(id("[]")));
    }

    #[test]
    fn bad_utf8_and_bad_json_have_different_codes() {
        assert_eq!(parse_request(b"\xff\xfe").unwrap_err().error.code, ErrorCode::InvalidUtf8);
        assert_eq!(
            parse_request(b"{\"cmd\":\"status\"}\xc3").unwrap_err().error.code,
            ErrorCode::InvalidUtf8
        );
        let marked = b"\xef\xbb\xbf{\"cmd\":\"status\"}\r";
        assert_eq!(
            parse_request(marked).unwrap().1,
            Request::Status,
            "a byte order mark, as some shells write it"
        );
    }

    #[test]
    fn long_line_keeps_an_id_at_its_start() {
        let rejected = reject_long_line(br#"{"id":"a","cmd":"status","pad":"xxxxxxxx"#);
        assert_eq!((rejected.id, rejected.cmd.as_deref()), (Some(id("\"a\"")), Some("status")));
        assert_eq!(rejected.error.code, ErrorCode::LineTooLong);
    }

    #[test]
    fn long_names_are_shortened_in_answers() {
        let name = "ä".repeat(10_000);
        let rejected = parse(&format!(r#"{{"cmd":"{name}"}}"#)).unwrap_err();
        assert_eq!(rejected.cmd.unwrap().chars().count(), ECHO_CHARS_MAX);
        assert!(rejected.error.message.len() < 400);
    }

    proptest! {
        #[test]
        fn parser_survives_any_bytes(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&line);
        }

        #[test]
        fn cut_line_never_changes_the_id(at in 0usize..60) {
            let line = br#"{"id":"x-1","cmd":"download","game_id":"ggoo","install":true}"#;
            if let Err(rejected) = parse_request(&line[..at]) {
                prop_assert!(rejected.id.is_none_or(|id| id.as_json() == "\"x-1\""));
            }
        }
    }
}
