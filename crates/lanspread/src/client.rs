//! The other end of the HTTP interface: how a command talks to the peer that runs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use lanspread_api::page::{Invitation, InvitationOrder};
use lanspread_api::reply::{GameInfo, Status};
use lanspread_api::{ErrorBody, ErrorCode, Event, Line, ReplyData, Request};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::http::endpoint;
use crate::place::ApiFile;

/// It is this very machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer may take as long as connecting to a peer that is not there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes: 512 peers with 4,096 games each.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Longest line of the event stream, in bytes.
const EVENT_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Client {
    /// Whether a program answers for this state folder, be it with a peer or still without.
    pub fn answers(state_dir: &Path) -> bool {
        Self::find(state_dir).is_ok()
    }

    /// The peer that runs on this state folder.
    pub fn find(state_dir: &Path) -> Result<Self, ErrorBody> {
        let unreadable = |e| {
            let message = format!("the state folder {} cannot be read: {e}", state_dir.display());
            ErrorBody::new(ErrorCode::NotRunning, message)
        };
        let file = ApiFile::read(state_dir).map_err(unreadable)?.ok_or_else(|| not_running(state_dir))?;
        // What the environment says about proxies does not hold for this machine.
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        let base = format!("http://{}/api/v1", file.address);
        let client = Self { agent, base, authorization: format!("Bearer {}", file.token) };
        match client.ask(&Request::Status) {
            Ok(_) => Ok(client),
            // It is there, and says itself what it lacks.
            Err(error) if error.code == ErrorCode::NotSetUp => Ok(client),
            // A crash left the file behind, and the port is nobody's or somebody else's by now.
            Err(_) => Err(not_running(state_dir)),
        }
    }

    /// Runs a command; the answer as the contract's line.
    pub fn line(&self, request: &Request) -> Result<Line, ErrorBody> {
        let Some((path, fields)) = endpoint(request) else {
            let message = format!("the interface has no {}", request.name().as_str());
            return Err(ErrorBody::new(ErrorCode::UnknownEndpoint, message));
        };
        let url = format!("{}/{path}", self.base);
        let response = match fields {
            None => self.configured(self.agent.get(url)).call(),
            Some(fields) => self.configured(self.agent.post(url)).send_json(fields),
        };
        let mut response = response.map_err(broken)?;
        let text =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(broken)?;
        serde_json::from_str(&text).map_err(broken)
    }

    /// Runs a command; its reply, or why it was refused.
    pub fn ask(&self, request: &Request) -> Result<ReplyData, ErrorBody> {
        match self.line(request)? {
            Line::Result(result) => Ok(result.reply),
            Line::Error(line) => Err(line.error),
            Line::Event(event) => Err(unexpected(&event)),
        }
    }

    pub fn status(&self) -> Result<Status, ErrorBody> {
        match self.ask(&Request::Status)? {
            ReplyData::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens or closes the door for guests.
    pub fn invite(&self, open: bool) -> Result<Invitation, ErrorBody> {
        let url = format!("{}/invitation", self.base);
        let response = self.configured(self.agent.post(url)).send_json(InvitationOrder { open });
        let text = response.map_err(broken)?.body_mut().read_to_string().map_err(broken)?;
        match serde_json::from_str(&text) {
            Ok(Line::Error(line)) => Err(line.error),
            _ => serde_json::from_str(&text).map_err(broken),
        }
    }

    /// What the running peer's doctor finds.
    pub fn doctor(&self) -> Result<Line, ErrorBody> {
        let response = self.configured(self.agent.get(format!("{}/doctor", self.base))).call();
        let text = response.map_err(broken)?.body_mut().read_to_string().map_err(broken)?;
        serde_json::from_str(&text).map_err(broken)
    }

    pub fn games(&self) -> Result<Vec<GameInfo>, ErrorBody> {
        match self.ask(&Request::ListGames)? {
            ReplyData::ListGames(list) => Ok(list.games),
            other => Err(unexpected(&other)),
        }
    }

    /// All events from now on: what is commanded after this has returned is not missed.
    pub fn events(&self) -> Result<Events, ErrorBody> {
        let request =
            self.agent.get(format!("{}/events", self.base)).header("Authorization", &self.authorization);
        let response: Response<Body> = request.call().map_err(broken)?;
        if !response.status().is_success() {
            return Err(ErrorBody::new(ErrorCode::Busy, "the peer gives out no events"));
        }
        Ok(Events(BufReader::new(Box::new(response.into_body().into_reader()))))
    }

    fn configured<Kind>(&self, request: ureq::RequestBuilder<Kind>) -> ureq::RequestBuilder<Kind> {
        let request = request.header("Authorization", &self.authorization);
        request.config().timeout_global(Some(ANSWER_TIMEOUT)).build()
    }
}

/// Events as they come.
pub struct Events(BufReader<Box<dyn Read + Send>>);

impl Iterator for Events {
    type Item = Event;

    /// The next event; `None` when the peer has ended.
    fn next(&mut self) -> Option<Event> {
        let mut text = String::new();
        loop {
            text.clear();
            if (&mut self.0).take(EVENT_BYTES_MAX).read_line(&mut text).ok()? == 0 {
                return None;
            }
            // Events that this version does not know are passed over, and so are the empty lines.
            if let Ok(Line::Event(event)) = serde_json::from_str(&text) {
                return Some(event);
            }
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

fn not_running(state_dir: &Path) -> ErrorBody {
    let mut error = ErrorBody::new(
        ErrorCode::NotRunning,
        format!("no peer is running (looked in {})", state_dir.display()),
    );
    error.hint = Some("start one in another window: lanspread run --games-dir FOLDER".to_owned());
    error
}

fn broken(error: impl std::fmt::Display) -> ErrorBody {
    ErrorBody::new(ErrorCode::NotRunning, format!("the running peer did not answer: {error}"))
}

fn unexpected(what: &impl std::fmt::Debug) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("the running peer answered something else: {what:?}"))
}
