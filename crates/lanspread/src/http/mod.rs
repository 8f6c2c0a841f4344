//! The running peer's HTTP interface: what the commands use, and later the page.
//!
//! ```text
//! GET  /api/v1/status     GET /api/v1/peers     GET /api/v1/games
//! POST /api/v1/connect    {"addr": "192.168.0.7:24930"}
//! POST /api/v1/download   {"game_id": "ggoo", "install": true}
//! POST /api/v1/cancel     {"game_id": "ggoo"}          also install, uninstall, remove
//! POST /api/v1/limits     {"upload": 10000000, "download": null}
//! POST /api/v1/priority   {"game_id": "ggoo", "priority": "high"}
//! POST /api/v1/shutdown
//! GET  /api/v1/events     one JSON line for each event, for as long as the reader stays
//! ```
//!
//! Every answer is one line of the contract (`lanspread-api`): the same JSON that the scriptable peer prints. Who may
//! come in is [`guard`]'s concern. The interface listens on loopback only and speaks nothing but version 1.

mod events;
mod guard;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware;
use axum::routing::get;
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, Line, Request, parse_request, render};
use lanspread_peer::PeerHandle;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Most readers of events at once.
const EVENT_READERS_MAX: usize = 16;

/// What the last part of a path asks for: its name in the contract.
const READS: [(&str, &str); 3] = [("status", "status"), ("peers", "list-peers"), ("games", "list-games")];
const WRITES: [(&str, &str); 9] = [
    ("connect", "connect"),
    ("download", "download"),
    ("cancel", "cancel-download"),
    ("install", "install"),
    ("uninstall", "uninstall"),
    ("remove", "remove-download"),
    ("limits", "set-limits"),
    ("priority", "set-priority"),
    ("shutdown", "shutdown"),
];

/// What every request can reach.
#[derive(Debug)]
struct Interface {
    peer: PeerHandle,
    state_dir: PathBuf,
    /// BLAKE3 of the token: comparing hashes takes the same time for every guess.
    token: blake3::Hash,
    port: u16,
    event_readers: Arc<Semaphore>,
    /// Turns true when the interface ends.
    ending: watch::Receiver<bool>,
}

/// The interface's socket, open but not served yet.
pub async fn bind() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Serves until `ending` turns true, then lets what is being answered finish.
pub async fn serve(
    listener: TcpListener,
    peer: PeerHandle,
    state_dir: PathBuf,
    token: &str,
    ending: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let port = listener.local_addr()?.port();
    let interface = Interface {
        peer,
        state_dir,
        token: blake3::hash(token.as_bytes()),
        port,
        event_readers: Arc::new(Semaphore::new(EVENT_READERS_MAX)),
        ending: ending.clone(),
    };
    axum::serve(listener, router(Arc::new(interface))).with_graceful_shutdown(ended(ending)).await
}

/// Waits until `ending` turns true, or nobody is left who could turn it.
async fn ended(mut ending: watch::Receiver<bool>) {
    let _ = ending.wait_for(|end| *end).await;
}

fn router(interface: Arc<Interface>) -> Router {
    Router::new()
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/{what}", get(read).post(write))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(interface.clone(), guard::admit))
        .with_state(interface)
}

async fn read(State(interface): State<Arc<Interface>>, Path(what): Path<String>) -> Response<Body> {
    match name_in(&READS, &what) {
        Some(name) => answer(&interface, name, Map::new()).await,
        None => nothing_here().await,
    }
}

async fn write(
    State(interface): State<Arc<Interface>>,
    Path(what): Path<String>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response<Body> {
    let Some(name) = name_in(&WRITES, &what) else { return nothing_here().await };
    let Ok(body) = body else {
        let message = format!("a body has at most {BODY_BYTES_MAX} bytes");
        return refuse(ErrorBody::new(ErrorCode::LineTooLong, message));
    };
    match fields(&body) {
        Ok(fields) => answer(&interface, name, fields).await,
        Err(error) => refuse(error),
    }
}

fn name_in(names: &[(&str, &'static str)], what: &str) -> Option<&'static str> {
    names.iter().find(|(path, _)| *path == what).map(|(_, name)| *name)
}

/// The fields of a body; none of an empty one.
fn fields(body: &[u8]) -> Result<Map<String, Value>, ErrorBody> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ErrorBody::new(ErrorCode::NotAnObject, "the body is not a JSON object")),
        Err(e) => Err(ErrorBody::new(ErrorCode::MalformedJson, format!("the body is not JSON: {e}"))),
    }
}

/// Runs the command that the contract calls `name`.
async fn answer(interface: &Interface, name: &'static str, mut fields: Map<String, Value>) -> Response<Body> {
    fields.insert("cmd".to_owned(), Value::from(name));
    fields.remove("command");
    let line = match parse_request(Value::Object(fields).to_string().as_bytes()) {
        Err(rejected) => Line::Error(*rejected),
        Ok((id, request)) => match request.to_command() {
            Err(error) => Line::Error(ErrorLine { id, cmd: Some(name.to_owned()), error }),
            Ok(command) => {
                let result = interface.peer.command(command).await;
                render::answer(id, &request, result, &interface.state_dir)
            }
        },
    };
    respond(&line)
}

async fn nothing_here() -> Response<Body> {
    refuse(ErrorBody::new(ErrorCode::UnknownEndpoint, "there is nothing here under /api/v1"))
}

fn refuse(error: ErrorBody) -> Response<Body> {
    respond(&Line::Error(ErrorLine { id: None, cmd: None, error }))
}

/// One line of the contract, with the status that says the same.
fn respond(line: &Line) -> Response<Body> {
    let status = match line {
        Line::Error(line) if line.error.code == ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        Line::Error(line) => StatusCode::from_u16(line.error.exit().http_status()).unwrap_or_default(),
        Line::Event(_) | Line::Result(_) => StatusCode::OK,
    };
    let mut response = Response::new(Body::from(line.to_json() + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The path and fields under which the interface takes a request of the contract.
pub fn endpoint(request: &Request) -> Option<(&'static str, Option<Map<String, Value>>)> {
    let name = request.name().as_str();
    if let Some((path, _)) = READS.iter().find(|(_, known)| *known == name) {
        return Some((path, None));
    }
    let (path, _) = WRITES.iter().find(|(_, known)| *known == name)?;
    match serde_json::to_value(request) {
        Ok(Value::Object(fields)) => Some((path, Some(fields))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
