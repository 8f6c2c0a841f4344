//! The running peer's HTTP interface, used by the commands and the page.
//!
//! ```text
//! GET  /                      the page; its other files stand beside it
//! GET  /api/v1/status         GET /api/v1/peers     GET /api/v1/games
//! POST /api/v1/connect        {"addr": "192.168.0.7:24930"}
//! POST /api/v1/download       {"game_id": "ggoo", "install": true}
//! POST /api/v1/cancel         {"game_id": "ggoo"}          also install, stream-install, uninstall, remove
//! POST /api/v1/verify         {"game_id": "ggoo", "repair": true}
//! POST /api/v1/play           {"game_id": "ggoo", "user_name": "Ada", "language": "german", "launch": true}
//! POST /api/v1/limits         {"upload": 10000000, "download": null}
//! POST /api/v1/priority       {"game_id": "ggoo", "priority": "high"}
//! POST /api/v1/trust-catalog  {"key": "4f3a-91c2-77de-0b12"}    or the whole key; also decline-catalog
//! POST /api/v1/shutdown
//! GET  /api/v1/doctor         what keeps PCs from finding each other; takes some seconds
//! GET  /api/v1/events         one JSON line for each event, for as long as the reader stays
//! GET  /api/v1/live           a snapshot, then ordered updates, as server-sent events: what the page shows
//! GET  /api/v1/openapi.json   all of this, for machines
//! GET  /metrics               for Prometheus
//! ```
//!
//! Every answer to a command is one line of the contract (`lanspread-api`), the same JSON that the scriptable peer
//! prints. [`guard`] decides which requests are admitted; [`assets`] serves the page's files, [`live`] its state, and
//! [`page`] what it needs beside commands. The interface speaks version 1 only.

mod assets;
mod covers;
mod events;
mod folders;
mod guard;
mod invite;
mod limits;
mod live;
mod metrics;
mod openapi;
mod page;
mod peer_settings;
mod serving;
mod titles;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use lanspread_api::{
    CommandName, ErrorBody, ErrorCode, ErrorLine, Line, ReplyData, Request, ResultLine, Route, parse_fields,
};
use lanspread_peer::command::{Command, Reply};
use lanspread_peer::{PeerHandle, contract};
use lanspread_types::GameId;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::host::Host;
use guard::Guard;
use limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, EVENT_READERS_MAX};
use serving::Bounds;

/// Preferred port of the page: below the dynamic range, next to the peers' own.
const PORT: u16 = 24_931;

/// State that every request can reach.
#[derive(Debug)]
struct Interface {
    host: Host,
    live: live::Live,
    event_readers: Arc<Semaphore>,
    /// Allows one folder to be packed at a time.
    packing: Arc<Semaphore>,
    inviting: invite::Inviting,
    /// Turns true when the interface ends.
    ending: watch::Receiver<bool>,
}

/// A listener that is bound but not served yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    /// Bound address, with the port that was taken.
    pub addr: SocketAddr,
    network: bool,
}

impl Door {
    fn bounds(&self) -> Bounds {
        let per_address = if self.network { CONNECTIONS_PER_ADDRESS_MAX } else { CONNECTIONS_MAX };
        Bounds::new(CONNECTIONS_MAX, per_address)
    }
}

/// Binds the listener for this machine; takes a free port if the preferred one is in use.
pub async fn door_for_here() -> std::io::Result<Door> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let addr = listener.local_addr()?;
    Ok(Door { listener, addr, network: false })
}

/// Binds the listener that the user opened to other machines.
pub async fn door_for(addr: SocketAddr) -> std::io::Result<Door> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    Ok(Door { listener, addr, network: !addr.ip().is_loopback() })
}

/// Serves all listeners until `ending` turns true, then lets pending answers finish.
pub async fn serve(doors: Vec<Door>, host: Host, token: &str, ending: watch::Receiver<bool>) {
    let interface = Arc::new(Interface {
        live: live::Live::start(host.clone(), ending.clone()),
        host,
        event_readers: Arc::new(Semaphore::new(EVENT_READERS_MAX)),
        packing: Arc::new(Semaphore::new(1)),
        inviting: invite::Inviting::default(),
        ending: ending.clone(),
    });
    let mut served = tokio::task::JoinSet::new();
    for door in doors {
        let guard = Arc::new(Guard::new(token, door.addr.port(), door.network));
        let router = router(interface.clone(), guard);
        let ending = ending.clone();
        served.spawn(async move {
            let bounds = door.bounds();
            serving::serve(door.listener, router, bounds, ended(ending)).await;
        });
    }
    while served.join_next().await.is_some() {}
}

/// Waits until `ending` turns true or its sender is gone.
async fn ended(mut ending: watch::Receiver<bool>) {
    let _ = ending.wait_for(|end| *end).await;
}

fn router(interface: Arc<Interface>, guard: Arc<Guard>) -> Router {
    let inside = Router::new()
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/doctor", get(doctor))
        .route("/api/v1/live", get(live::stream))
        .route("/api/v1/snapshot", get(page::snapshot))
        .route("/api/v1/offers/{game}", get(page::offers))
        .route("/api/v1/room/{game}", get(page::room))
        .route("/api/v1/cover/{game}", get(covers::cover))
        .route("/api/v1/folders", get(folders::list))
        .route("/api/v1/setup", post(page::set_up))
        .route("/api/v1/settings", post(page::change_settings))
        .route("/api/v1/party", post(peer_settings::party))
        .route("/api/v1/catalog", post(peer_settings::catalog))
        .route("/api/v1/quiet", post(peer_settings::upload_hold))
        .route("/api/v1/open-folder", post(page::open_folder))
        .route("/api/v1/pack", post(page::pack))
        .route("/api/v1/invitation", get(invite::show).post(invite::change))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::text))
        .merge(commands())
        .layer(from_fn_with_state(guard.clone(), guard::admit))
        .with_state(interface);
    let page = Router::new()
        .route("/", get(assets::index))
        .fallback(assets::file)
        .layer(from_fn_with_state(guard.clone(), guard::admit_by_name))
        .with_state(guard);
    inside
        .merge(page)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(assets::keep_to_itself))
}

/// `GET /api/v1/doctor`: examines this machine from within the running peer.
async fn doctor(State(interface): State<Arc<Interface>>) -> Response<Body> {
    let patient = crate::doctor::patient(&interface.host).await;
    let diagnosis = contract::diagnosis(&lanspread_peer::doctor::examine(patient).await);
    respond(&Line::Result(ResultLine { id: None, reply: ReplyData::Doctor(diagnosis) }))
}

/// Returns the routes of the commands. Each has its own, so that a wrong method is told from a wrong path.
fn commands() -> Router<Arc<Interface>> {
    let mut commands = Router::new();
    for &name in CommandName::ALL {
        let at = |path: &str| format!("/api/v1/{path}");
        commands = match name.route() {
            Some(Route::Get(path)) => commands.route(&at(path), get(move |interface| read(interface, name))),
            Some(Route::Post(path)) => {
                commands.route(&at(path), post(move |interface, body| write(interface, name, body)))
            }
            None => commands,
        };
    }
    commands
}

async fn read(State(interface): State<Arc<Interface>>, name: CommandName) -> Response<Body> {
    answer(&interface, name, Map::new()).await
}

async fn write(
    State(interface): State<Arc<Interface>>,
    name: CommandName,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    match body.map_err(|_| too_large()).and_then(|body| fields(&body)) {
        Ok(fields) => answer(&interface, name, fields).await,
        Err(error) => refuse(error),
    }
}

fn too_large() -> ErrorBody {
    ErrorBody::new(ErrorCode::LineTooLong, format!("a body has at most {BODY_BYTES_MAX} bytes"))
}

/// Parses a body's fields; an empty body has none.
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

/// Runs a command.
async fn answer(interface: &Interface, name: CommandName, fields: Map<String, Value>) -> Response<Body> {
    let mut line = match parse_fields(name, fields) {
        Err(rejected) => Line::Error(*rejected),
        Ok((id, request)) => match ask(interface, &request).await {
            Err(error) => Line::Error(ErrorLine { id, cmd: Some(name.as_str().to_owned()), error }),
            Ok(result) => contract::answer(id, &request, result, interface.host.state_dir()),
        },
    };
    if let Line::Result(result) = &mut line {
        if let ReplyData::ListGames(list) = &mut result.reply {
            titles::fill(&interface.host, &mut list.games).await;
        }
        follow_up(&interface.host, &result.reply).await;
        interface.live.answered(&result.reply);
    }
    respond(&line)
}

/// Does what the program adds to a command that the peer carried out.
async fn follow_up(host: &Host, reply: &ReplyData) {
    match reply {
        ReplyData::SetLimits(limits) => {
            host.upload_hold().release();
            if let Err(error) = host.keep_limits(limits.upload, limits.download) {
                tracing::warn!("the limits hold until the end only: {error}");
            }
        }
        ReplyData::SetSharing(sharing) => {
            if let Err(error) = host.keep_sharing(&sharing.game_id, sharing.shared) {
                tracing::warn!("{} is private or shared until the end only: {error}", sharing.game_id);
            }
        }
        ReplyData::TrustCatalog(organiser) => {
            if let Ok(key) = organiser.key.parse() {
                host.trusts(key);
            }
        }
        ReplyData::Play(play) if play.launched => {
            if let Err(error) = host.game_started(play.game_id.clone()).await {
                tracing::warn!("sending is not held back: {error}");
            }
        }
        _ => {}
    }
}

type Answered = Result<Reply, lanspread_peer::command::CommandError>;

async fn ask(interface: &Interface, request: &Request) -> Result<Answered, ErrorBody> {
    if matches!(request, Request::Shutdown) {
        // The program must end even without a peer to ask.
        let peer = interface.host.peer();
        interface.host.want_stop();
        let Ok(peer) = peer else { return Ok(Ok(Reply::Done)) };
        return Ok(peer.command(contract::to_command(request)?).await);
    }
    let command = contract::to_command(request)?;
    if let Request::Download { game_id, install, .. } = request {
        interface.host.unfinished(|list| list.asked_for(game_id, *install));
    }
    let peer = interface.host.peer_soon().await?;
    match request {
        Request::Play { game_id, launch: true, .. } => play(&interface.host, &peer, game_id, command).await,
        _ => Ok(peer.command(command).await),
    }
}

/// Starts a game, unless its program runs already.
async fn play(
    host: &Host,
    peer: &PeerHandle,
    game: &GameId,
    command: Command,
) -> Result<Answered, ErrorBody> {
    if !host.running_games(|running| running.begin(game.as_str())) {
        return Err(ErrorBody::new(ErrorCode::OperationInProgress, format!("{game} is running already")));
    }
    let answer = peer.command(command).await;
    let launched = matches!(&answer, Ok(Reply::Played(stamped)) if stamped.launched);
    if !launched {
        host.running_games(|running| running.not_started(game.as_str()));
    }
    Ok(answer)
}

fn nothing_here() -> Response<Body> {
    refuse(ErrorBody::new(ErrorCode::UnknownEndpoint, "there is nothing here under this path"))
}

/// Answers a request whose path exists for other methods only. The router adds which.
async fn method_not_allowed() -> Response<Body> {
    refuse(ErrorBody::new(ErrorCode::MethodNotAllowed, "this path is for another method"))
}

fn refuse(error: ErrorBody) -> Response<Body> {
    respond(&Line::Error(ErrorLine { id: None, cmd: None, error }))
}

/// Answers with one line of the contract and the matching status.
fn respond(line: &Line) -> Response<Body> {
    let status = match line {
        Line::Error(line) if line.error.code == ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        Line::Error(line) if line.error.code == ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Line::Error(line) => StatusCode::from_u16(line.error.exit().http_status()).unwrap_or_default(),
        Line::Event(_) | Line::Result(_) => StatusCode::OK,
    };
    json(status, line.to_json() + "\n")
}

/// Answers with a type of the page, which is no line of the contract.
fn give<T: Serialize>(result: Result<T, ErrorBody>) -> Response<Body> {
    match result.map(|value| serde_json::to_string(&value)) {
        Ok(Ok(text)) => json(StatusCode::OK, text),
        Ok(Err(e)) => {
            refuse(ErrorBody::new(ErrorCode::Internal, format!("an answer could not be written: {e}")))
        }
        Err(error) => refuse(error),
    }
}

fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
