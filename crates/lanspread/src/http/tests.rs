//! Tests of the interface from outside, in front of a real peer.

mod page;
mod peer_settings;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use lanspread_api::{ErrorCode, Event, Line, ReplyData};
use lanspread_peer::catalog::Catalog;
use lanspread_peer::command::Command;
use lanspread_peer::{PeerConfig, RunningPeer};
use tempfile::TempDir;
use ureq::Agent;

use super::*;

const TOKEN: &str = "the-token";

struct Served {
    peer: RunningPeer,
    host: Host,
    addr: SocketAddr,
    _folders: TempDir,
    _end: watch::Sender<bool>,
}

impl Served {
    fn games(&self) -> std::path::PathBuf {
        self._folders.path().join("games")
    }
}

async fn served() -> Served {
    let folders = tempfile::tempdir().unwrap();
    let games_dir = folders.path().join("games");
    std::fs::create_dir(&games_dir).unwrap();
    let state_dir = folders.path().join("state");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = PeerConfig {
        find: lanspread_peer::Find::NOBODY,
        games_dir,
        state_dir: state_dir.clone(),
        listen,
        port_fallback: false,
        name: None,
        catalog: Catalog::Open.into(),
        invited: None,
        accept_wants: false,
        private: BTreeSet::new(),
        party: None,
        limits: lanspread_peer::command::RateLimits::default(),
    };
    let peer = lanspread_peer::start(config).await.unwrap();
    let given = crate::host::Given { games_dir: Some(folders.path().join("games")), ..Default::default() };
    let host = Host::new(&state_dir, given).unwrap();
    host.now_running(Some(peer.handle.clone()));
    let door = door_for("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = door.addr;
    let (end, ending) = watch::channel(false);
    let serving = host.clone();
    tokio::spawn(async move { serve(vec![door], serving, TOKEN, ending).await });
    Served { peer, host, addr, _folders: folders, _end: end }
}

/// Sends one request and returns the status and the line of the answer.
async fn send(
    method: &'static str,
    addr: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> (u16, Line) {
    let (url, headers) = (format!("http://{addr}{path}"), headers.to_vec());
    tokio::task::spawn_blocking(move || {
        let agent: Agent = Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    })
    .await
    .unwrap()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

fn code(line: &Line) -> ErrorCode {
    match line {
        Line::Error(line) => line.error.code,
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_token_and_is_here_gets_in() {
    let served = served().await;
    let ask = |headers: Vec<(&'static str, String)>| async move {
        send("GET", served.addr, "/api/v1/status", &headers, vec![]).await
    };
    let port = served.addr.port();
    for good in [
        vec![],
        vec![("origin", format!("http://127.0.0.1:{port}"))],
        vec![("host", format!("localhost:{port}"))],
    ] {
        let (status, line) = ask([good, vec![bearer(TOKEN)]].concat()).await;
        assert!(matches!(line, Line::Result(ref r) if matches!(r.reply, ReplyData::Status(_))), "{line:?}");
        assert_eq!(status, 200);
    }
    for bad in [
        vec![],
        vec![bearer("another-token")],
        vec![bearer("")],
        vec![("authorization", TOKEN.to_owned())],
        vec![bearer(TOKEN), ("host", format!("evil.example:{port}"))],
        vec![bearer(TOKEN), ("origin", "http://evil.example".to_owned())],
        vec![bearer(TOKEN), ("origin", "null".to_owned())],
    ] {
        let (status, line) = ask(bad.clone()).await;
        assert_eq!((status, code(&line)), (401, ErrorCode::Unauthorized), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_code() {
    let served = served().await;
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    for (method, path, body, status, expected) in [
        ("POST", "/api/v1/download", &br#"{"game_id":"ggoo"}"#[..], 404, ErrorCode::NoSource),
        ("POST", "/api/v1/download", br#"{"game_id":"../x"}"#, 400, ErrorCode::InvalidGameId),
        ("POST", "/api/v1/download", b"{}", 400, ErrorCode::MissingField),
        ("POST", "/api/v1/download", b"[1]", 400, ErrorCode::NotAnObject),
        ("POST", "/api/v1/download", b"{", 400, ErrorCode::MalformedJson),
        ("POST", "/api/v1/download", &large, 400, ErrorCode::LineTooLong),
        (
            "POST",
            "/api/v1/cancel",
            br#"{"game_id":"ggoo","cmd":"shutdown"}"#,
            409,
            ErrorCode::NothingToCancel,
        ),
        ("POST", "/api/v1/status", b"", 405, ErrorCode::MethodNotAllowed),
        ("GET", "/api/v1/shutdown", b"", 405, ErrorCode::MethodNotAllowed),
        ("DELETE", "/api/v1/games", b"", 405, ErrorCode::MethodNotAllowed),
        ("GET", "/api/v1/setup", b"", 405, ErrorCode::MethodNotAllowed),
        ("GET", "/api/v1/nothing", b"", 404, ErrorCode::UnknownEndpoint),
        ("POST", "/api/v1/nothing", b"", 404, ErrorCode::UnknownEndpoint),
        ("GET", "/nothing.js", b"", 404, ErrorCode::UnknownEndpoint),
        ("GET", "/../Cargo.toml", b"", 404, ErrorCode::UnknownEndpoint),
        ("POST", "/", b"", 405, ErrorCode::MethodNotAllowed),
        ("GET", "/api/v2/status", b"", 404, ErrorCode::UnknownEndpoint),
    ] {
        let (found, line) = send(method, served.addr, path, &[bearer(TOKEN)], body.to_vec()).await;
        assert_eq!((found, code(&line)), (status, expected), "{method} {path}");
    }
    let again = served.peer.handle.command(Command::Status).await;
    assert!(again.is_ok(), "no body can say another command than its path");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_begin_with_the_contract_and_end_with_the_peer() {
    let served = served().await;
    let url = format!("http://{}/api/v1/events", served.addr);
    let reading = tokio::task::spawn_blocking(move || {
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let response = agent.get(url).header("authorization", format!("Bearer {TOKEN}")).call().unwrap();
        let lines = BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap);
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect::<Vec<Line>>()
    });
    let handle = served.peer.handle.clone();
    handle.command(Command::Shutdown).await.unwrap();
    served.peer.ended().await;
    let lines = reading.await.unwrap();
    assert!(matches!(lines.first(), Some(Line::Event(Event::Contract(_)))), "{lines:?}");
}
