//! HTTP client for the commands: talks to the running peer's interface on loopback.
//!
//! It finds the peer through the file that the peer leaves in its state folder, and turns every answer into the
//! contract's types or an error.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use lanspread_api::page::{Invitation, InvitationOrder};
use lanspread_api::reply::{GameInfo, Status};
use lanspread_api::{ErrorBody, ErrorCode, Event, Line, ReplyData, Request, Route};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::state_dir::ApiFile;

/// Limit for connecting, which never leaves this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for one answer: connecting to an absent peer may take this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes: 512 peers with 4,096 games each.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Longest line of the event stream, in bytes.
const EVENT_BYTES_MAX: u64 = 16 << 20;

/// Connection to the running peer: its address and the token that admits this caller.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Client {
    /// Returns whether a program answers for this state folder, with a peer or before one was set up.
    pub fn answers(state_dir: &Path) -> bool {
        Self::find(state_dir).is_ok()
    }

    /// Finds the peer that runs on this state folder. Fails with [`ErrorCode::NotRunning`] if none answers.
    pub fn find(state_dir: &Path) -> Result<Self, ErrorBody> {
        let unreadable = |e| {
            let message = format!("the state folder {} cannot be read: {e}", state_dir.display());
            ErrorBody::new(ErrorCode::NotRunning, message)
        };
        let file = ApiFile::read(state_dir).map_err(unreadable)?.ok_or_else(|| not_running(state_dir))?;
        // Proxy settings in the environment do not apply to this machine.
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
            // The program runs and reports itself what it lacks.
            Err(error) if error.code == ErrorCode::NotSetUp => Ok(client),
            // A crash left the file behind, and by now the port is unused or belongs to another program.
            Err(_) => Err(not_running(state_dir)),
        }
    }

    /// Runs a command and returns the answer as a line of the contract.
    pub fn line(&self, request: &Request) -> Result<Line, ErrorBody> {
        let url = |path| format!("{}/{path}", self.base);
        let response = match request.name().route() {
            Some(Route::Get(path)) => self.configured(self.agent.get(url(path))).call(),
            Some(Route::Post(path)) => self.configured(self.agent.post(url(path))).send_json(request),
            None => {
                let message = format!("the interface has no {}", request.name().as_str());
                return Err(ErrorBody::new(ErrorCode::UnknownEndpoint, message));
            }
        };
        let mut response = response.map_err(broken)?;
        let text =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(broken)?;
        serde_json::from_str(&text).map_err(broken)
    }

    /// Runs a command and returns its reply, or the error that refused it.
    pub fn ask(&self, request: &Request) -> Result<ReplyData, ErrorBody> {
        match self.line(request)? {
            Line::Result(result) => Ok(result.reply),
            Line::Error(line) => Err(line.error),
            Line::Event(event) => Err(unexpected(&event)),
        }
    }

    /// Returns the running peer's status.
    pub fn status(&self) -> Result<Status, ErrorBody> {
        match self.ask(&Request::Status)? {
            ReplyData::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Starts or stops handing the program out to guests.
    pub fn invite(&self, open: bool) -> Result<Invitation, ErrorBody> {
        let url = format!("{}/invitation", self.base);
        let response = self.configured(self.agent.post(url)).send_json(InvitationOrder { open });
        let text = response.map_err(broken)?.body_mut().read_to_string().map_err(broken)?;
        match serde_json::from_str(&text) {
            Ok(Line::Error(line)) => Err(line.error),
            _ => serde_json::from_str(&text).map_err(broken),
        }
    }

    /// Returns the diagnosis of the running peer's doctor.
    pub fn doctor(&self) -> Result<Line, ErrorBody> {
        let response = self.configured(self.agent.get(format!("{}/doctor", self.base))).call();
        let text = response.map_err(broken)?.body_mut().read_to_string().map_err(broken)?;
        serde_json::from_str(&text).map_err(broken)
    }

    /// Returns the games of the room, as this peer sees them.
    pub fn games(&self) -> Result<Vec<GameInfo>, ErrorBody> {
        match self.ask(&Request::ListGames)? {
            ReplyData::ListGames(list) => Ok(list.games),
            other => Err(unexpected(&other)),
        }
    }

    /// Subscribes to all events from now on. Events of a command sent after this returns are not missed.
    pub fn events(&self) -> Result<Events, ErrorBody> {
        let request =
            self.agent.get(format!("{}/events", self.base)).header("Authorization", &self.authorization);
        let response: Response<Body> = request.call().map_err(broken)?;
        if !response.status().is_success() {
            return Err(ErrorBody::new(
                ErrorCode::Busy,
                "the peer refused the event stream: too many readers",
            ));
        }
        Ok(Events(BufReader::new(Box::new(response.into_body().into_reader()))))
    }

    fn configured<Kind>(&self, request: ureq::RequestBuilder<Kind>) -> ureq::RequestBuilder<Kind> {
        let request = request.header("Authorization", &self.authorization);
        request.config().timeout_global(Some(ANSWER_TIMEOUT)).build()
    }
}

/// Events in the order in which the peer sends them.
pub struct Events(BufReader<Box<dyn Read + Send>>);

impl Iterator for Events {
    type Item = Event;

    /// Waits for the next event; `None` once the peer has ended.
    fn next(&mut self) -> Option<Event> {
        let mut text = String::new();
        loop {
            text.clear();
            if (&mut self.0).take(EVENT_BYTES_MAX).read_line(&mut text).ok()? == 0 {
                return None;
            }
            // Skips events that this version does not know, and empty lines.
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
