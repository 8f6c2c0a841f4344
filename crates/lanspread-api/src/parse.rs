//! From a line to a request: every way to get it wrong has its own code, and the `id` comes back wherever it could be
//! read, even from a line that breaks off after it.

use std::fmt;
use std::net::SocketAddr;

use lanspread_types::fingerprint::OrganiserError;
use lanspread_types::{GameId, Organiser, failpoint};
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{ErrorBody, ErrorCode};
use crate::line::{ErrorLine, Id};
use crate::request::{
    CommandName, Priority, Request, WAIT_PEERS_TIMEOUT_MS, WAIT_PEERS_TIMEOUT_MS_MAX, content,
};

/// Longest line that is read, in bytes, the line feed not included.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Longest part of an unknown command's name that is given back, in characters.
const ECHO_CHARS_MAX: usize = 64;

/// Longest name or language that is stamped into a game, in characters.
const STAMP_CHARS_MAX: usize = 64;

/// A line that is no command: what is printed about it.
pub type Rejected = Box<ErrorLine>;

/// Reads a command and its `id`.
pub fn parse_request(line: &[u8]) -> Result<(Option<Id>, Request), Rejected> {
    let mut fields = Fields::default();
    let read = read_fields(line, &mut fields);
    let id = fields.id();
    let parsed = match (read, &id) {
        (Err(error), _) => Err(error),
        (Ok(()), Err(error)) => Err(error.clone()),
        (Ok(()), Ok(_)) => fields.name().and_then(|name| command(name, &fields)),
    };
    let id = id.ok().flatten();
    match parsed {
        Ok(request) => Ok((id, request)),
        Err(error) => Err(Box::new(ErrorLine { id, cmd: fields.cmd_text(), error })),
    }
}

/// What is printed about a line that was too long; `start` is what was kept of it.
pub fn reject_long_line(start: &[u8]) -> ErrorLine {
    let mut fields = Fields::default();
    // The start breaks off somewhere, so that it cannot be read is no news.
    let _ = read_fields(start, &mut fields);
    let message = format!("a line has at most {LINE_BYTES_MAX} bytes");
    ErrorLine {
        id: fields.id().ok().flatten(),
        cmd: fields.cmd_text(),
        error: ErrorBody::new(ErrorCode::LineTooLong, message),
    }
}

/// The members of the object that were read before the first mistake.
#[derive(Debug, Default)]
struct Fields {
    members: Map<String, Value>,
    /// The first name that stood twice.
    twice: Option<String>,
    not_an_object: bool,
}

fn read_fields(line: &[u8], fields: &mut Fields) -> Result<(), ErrorBody> {
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
    let read = ReadFields(fields).deserialize(&mut json).and_then(|()| json.end());
    whole?;
    if fields.not_an_object {
        return Err(ErrorBody::new(ErrorCode::NotAnObject, "a command is a JSON object"));
    }
    read.map_err(|e| ErrorBody::new(ErrorCode::MalformedJson, format!("the line is not JSON: {e}")))?;
    match &fields.twice {
        Some(name) => Err(invalid(&shorten(name), "stands twice")),
        None => Ok(()),
    }
}

/// Reads an object member by member into `Fields`, so that what stands before a mistake is not lost.
struct ReadFields<'a>(&'a mut Fields);

impl<'de> DeserializeSeed<'de> for ReadFields<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadFields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            if self.0.members.insert(name.clone(), value).is_some() && self.0.twice.is_none() {
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

impl ReadFields<'_> {
    fn not_an_object<E>(self) -> Result<(), E> {
        self.0.not_an_object = true;
        Ok(())
    }
}

impl Fields {
    fn id(&self) -> Result<Option<Id>, ErrorBody> {
        let Some(value) = self.members.get("id") else { return Ok(None) };
        let refuse =
            || ErrorBody::new(ErrorCode::InvalidId, "an id is a string, a number, true, false or null");
        Id::from_json(value).map(Some).ok_or_else(refuse)
    }

    /// The command's name as it was given, for the answer.
    fn cmd_text(&self) -> Option<String> {
        let value = self.members.get("cmd").or_else(|| self.members.get("command"))?;
        value.as_str().map(shorten)
    }

    fn name(&self) -> Result<CommandName, ErrorBody> {
        let name = match (self.members.get("cmd"), self.members.get("command")) {
            (Some(cmd), Some(command)) if cmd != command => {
                return Err(invalid("command", "names another command than 'cmd'"));
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

    fn required(&self, name: &'static str) -> Result<&Value, ErrorBody> {
        self.members.get(name).ok_or_else(|| missing(name))
    }

    fn text(&self, name: &'static str) -> Result<&str, ErrorBody> {
        self.required(name)?.as_str().ok_or_else(|| invalid(name, "is not a string"))
    }

    /// An optional text; `null` counts as absent.
    fn optional_text(&self, name: &'static str) -> Result<Option<String>, ErrorBody> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_str().map(|s| Some(s.to_owned())).ok_or_else(|| invalid(name, "is not a string"))
            }
        }
    }

    /// A text that is written into one line of a game's file.
    fn stamp(&self, name: &'static str) -> Result<Option<String>, ErrorBody> {
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

    fn game_id(&self) -> Result<GameId, ErrorBody> {
        let text = self.text("game_id")?;
        let id = GameId::new(text);
        let id =
            id.or_else(|e| if failpoint!("accept-any-game-id") { GameId::new("anything") } else { Err(e) });
        id.map_err(|e| ErrorBody::new(ErrorCode::InvalidGameId, e.to_string()))
    }

    fn addr(&self) -> Result<SocketAddr, ErrorBody> {
        let text = self.text("addr")?;
        let refuse =
            |why: &str| ErrorBody::new(ErrorCode::InvalidAddress, format!("{:?} {why}", shorten(text)));
        let addr: SocketAddr = text.trim().parse().map_err(|_| refuse("is not an address with a port"))?;
        if addr.port() == 0 || addr.ip().is_unspecified() || addr.ip().is_multicast() {
            return Err(refuse("cannot be connected to"));
        }
        Ok(addr)
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, ErrorBody> {
        match self.members.get(name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| invalid(name, "is neither true nor false")),
        }
    }

    fn count(&self) -> Result<u32, ErrorBody> {
        let count = self.required("count")?.as_u64().and_then(|n| u32::try_from(n).ok());
        count.ok_or_else(|| invalid("count", "is not a whole number from 0 to 4294967295"))
    }

    fn timeout_ms(&self) -> Result<u64, ErrorBody> {
        let Some(value) = self.members.get("timeout_ms") else { return Ok(WAIT_PEERS_TIMEOUT_MS) };
        let in_range = value.as_u64().filter(|&ms| ms <= WAIT_PEERS_TIMEOUT_MS_MAX);
        in_range.ok_or_else(|| {
            invalid("timeout_ms", &format!("is not a whole number from 0 to {WAIT_PEERS_TIMEOUT_MS_MAX}"))
        })
    }

    /// A number of bytes; absent and `null` are none.
    fn bytes(&self, name: &'static str) -> Result<Option<u64>, ErrorBody> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let bytes = value.as_u64().map(Some);
                bytes.ok_or_else(|| invalid(name, "is neither null nor a whole number of bytes"))
            }
        }
    }

    /// A rate in bytes per second; absent and `null` are no limit.
    fn rate(&self, name: &'static str) -> Result<Option<u64>, ErrorBody> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(rate) if rate > 0 => Ok(Some(rate)),
                _ => Err(invalid(name, "is neither null nor a whole number of bytes per second from 1 on")),
            },
        }
    }

    fn confirm_content(&self) -> Result<Option<String>, ErrorBody> {
        let text = self.optional_text("confirm_content")?;
        content(text.clone()).map(|_| text)
    }

    fn priority(&self) -> Result<Priority, ErrorBody> {
        let priority = Priority::from_name(self.text("priority")?);
        priority.ok_or_else(|| invalid("priority", "is none of low, normal and high"))
    }

    fn organiser(&self) -> Result<Organiser, ErrorBody> {
        let text = self.text("key")?;
        text.parse().map_err(|e: OrganiserError| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
    }

    fn path(&self) -> Result<String, ErrorBody> {
        let path = self.text("path")?;
        if path.is_empty() || path.contains('\0') {
            return Err(invalid("path", "is not a path"));
        }
        Ok(path.to_owned())
    }
}

fn command(name: CommandName, fields: &Fields) -> Result<Request, ErrorBody> {
    Ok(match name {
        CommandName::Status => Request::Status,
        CommandName::WaitPeers => {
            Request::WaitPeers { count: fields.count()?, timeout_ms: fields.timeout_ms()? }
        }
        CommandName::Connect => Request::Connect { addr: fields.addr()? },
        CommandName::ListPeers => Request::ListPeers,
        CommandName::ListGames => Request::ListGames,
        CommandName::Download => {
            let (game_id, install) = (fields.game_id()?, fields.flag("install", true)?);
            Request::Download { game_id, install, confirm_content: fields.confirm_content()? }
        }
        CommandName::CancelDownload => Request::CancelDownload { game_id: fields.game_id()? },
        CommandName::Install => Request::Install {
            game_id: fields.game_id()?,
            max_unpacked_bytes: fields.bytes("max_unpacked_bytes")?,
        },
        CommandName::Uninstall => Request::Uninstall { game_id: fields.game_id()? },
        CommandName::RemoveDownload => Request::RemoveDownload { game_id: fields.game_id()? },
        CommandName::StreamInstall => Request::StreamInstall {
            game_id: fields.game_id()?,
            max_unpacked_bytes: fields.bytes("max_unpacked_bytes")?,
        },
        CommandName::Verify => {
            Request::Verify { game_id: fields.game_id()?, repair: fields.flag("repair", true)? }
        }
        CommandName::Play => Request::Play {
            game_id: fields.game_id()?,
            user_name: fields.stamp("user_name")?,
            language: fields.stamp("language")?,
            launch: fields.flag("launch", false)?,
            confirm_content: fields.confirm_content()?,
        },
        CommandName::SetLimits => {
            Request::SetLimits { upload: fields.rate("upload")?, download: fields.rate("download")? }
        }
        CommandName::SetPriority => {
            Request::SetPriority { game_id: fields.game_id()?, priority: fields.priority()? }
        }
        CommandName::Room => Request::Room,
        CommandName::WantGame => Request::WantGame { game_id: fields.game_id()? },
        CommandName::TrustCatalog => Request::TrustCatalog { key: fields.organiser()? },
        CommandName::DeclineCatalog => Request::DeclineCatalog { key: fields.organiser()? },
        CommandName::SetGameDir => Request::SetGameDir { path: fields.path()? },
        CommandName::Shutdown => Request::Shutdown,
    })
}

fn missing(name: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::MissingField, format!("the field '{name}' is missing"))
}

fn invalid(name: &str, why: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidField, format!("the field '{name}' {why}"))
}

fn shorten(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<(Option<Id>, Request), Rejected> {
        parse_request(line.as_bytes())
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
            (r#"{"cmd":"status","id":{}}"#, E::InvalidId),
            (r#"{"cmd":"status","id":[1]}"#, E::InvalidId),
            (r#"{"cmd":"wait-peers"}"#, E::MissingField),
            (r#"{"cmd":"wait-peers","count":-1}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":1.5}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":"1"}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":1,"timeout_ms":86400001}"#, E::InvalidField),
            (r#"{"cmd":"wait-peers","count":1,"timeout_ms":null}"#, E::InvalidField),
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
    fn the_id_comes_back_wherever_it_could_be_read() {
        let seven = Id::Number(7.into());
        for (line, id) in [
            (&br#"{"id":7,"cmd":"nonsense"}"#[..], Some(seven.clone())),
            (br#"{"id":7,"cmd":"download"}"#, Some(seven.clone())),
            (br#"{"id":7}"#, Some(seven.clone())),
            (br#"{"id":7,"cmd":"status""#, Some(seven.clone())),
            (br#"{"id":7,"cmd":nonsense"#, Some(seven.clone())),
            (b"{\"id\":7,\"cmd\":\"\xff\"}", Some(seven)),
            (br#"{"id":null,"cmd":"nonsense"}"#, Some(Id::Null(()))),
            (br#"{"id":[],"cmd":"nonsense"}"#, None),
            (br#"{"cmd":"nonsense"}"#, None),
            (b"nonsense", None),
        ] {
            let text = String::from_utf8_lossy(line);
            assert_eq!(parse_request(line).unwrap_err().id, id, "{text}");
        }
        let scalars = ["\"x\"", "true", "null", "-3", "1.25"];
        for scalar in scalars {
            let (id, _) = parse(&format!(r#"{{"cmd":"status","id":{scalar}}}"#)).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), scalar);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart_from_text_that_is_no_json() {
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
    fn a_long_line_keeps_its_id_if_that_stands_at_the_start() {
        let rejected = reject_long_line(br#"{"id":"a","cmd":"status","pad":"xxxxxxxx"#);
        assert_eq!((rejected.id, rejected.cmd.as_deref()), (Some(Id::Text("a".to_owned())), Some("status")));
        assert_eq!(rejected.error.code, ErrorCode::LineTooLong);
    }

    #[test]
    fn what_is_given_back_of_a_long_name_is_short() {
        let name = "ä".repeat(10_000);
        let rejected = parse(&format!(r#"{{"cmd":"{name}"}}"#)).unwrap_err();
        assert_eq!(rejected.cmd.unwrap().chars().count(), ECHO_CHARS_MAX);
        assert!(rejected.error.message.len() < 400);
    }

    proptest! {
        #[test]
        fn no_line_brings_the_parser_down(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&line);
        }

        #[test]
        fn no_cut_brings_the_parser_down_or_changes_the_id(at in 0usize..60) {
            let line = br#"{"id":"x-1","cmd":"download","game_id":"ggoo","install":true}"#;
            if let Err(rejected) = parse_request(&line[..at]) {
                prop_assert!(rejected.id.is_none_or(|id| id == Id::Text("x-1".to_owned())));
            }
        }
    }
}
