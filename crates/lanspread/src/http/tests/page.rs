//! Tests of how a user gets to the page, and of what the page reads.

use std::io::Read;

use lanspread_api::page::{Change, Snapshot, Update};

use super::*;

pub(super) struct Answer {
    pub status: u16,
    headers: ureq::http::HeaderMap,
    pub body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) async fn ask(
    method: &'static str,
    addr: SocketAddr,
    path: &str,
    headers: &[(&'static str, String)],
    body: &str,
) -> Answer {
    let (url, headers, body) = (format!("http://{addr}{path}"), headers.to_vec(), body.to_owned());
    tokio::task::spawn_blocking(move || {
        let agent: Agent =
            Agent::config_builder().proxy(None).http_status_as_error(false).max_redirects(0).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
    })
    .await
    .unwrap()
}

async fn cookie(addr: SocketAddr) -> (&'static str, String) {
    let answer = ask("GET", addr, &format!("/?token={TOKEN}"), &[], "").await;
    ("cookie", answer.header("set-cookie").split(';').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_with_what_keeps_it_to_itself() {
    let served = served().await;
    for path in ["/", "/app.js", "/styles/page.css", "/api/v1/status"] {
        let answer = ask("GET", served.addr, path, &[bearer(TOKEN)], "").await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy");
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"]
        {
            assert!(policy.contains(part), "{path} lacks {part}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "nobody else may read {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_once() {
    let served = served().await;
    let first = ask("GET", served.addr, "/app.js", &[], "").await;
    let tag = ("if-none-match", first.header("etag").to_owned());
    let again = ask("GET", served.addr, "/app.js", &[tag], "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = ask("GET", served.addr, "/app.js", &[("if-none-match", "\"x\"".to_owned())], "").await;
    assert_eq!(other.body, first.body);
    assert!(!first.body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_in_the_address_becomes_a_cookie_and_goes() {
    let served = served().await;
    let way_in = ask("GET", served.addr, &format!("/?token={TOKEN}"), &[], "").await;
    assert_eq!((way_in.status, way_in.header("location")), (303, "/"));
    let cookie = cookie(served.addr).await;
    assert_eq!(ask("GET", served.addr, "/api/v1/status", &[cookie], "").await.status, 200);

    let wrong = ask("GET", served.addr, "/?token=wrong", &[], "").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_changes_nothing_with_the_users_cookie() {
    let served = served().await;
    let cookie = cookie(served.addr).await;
    let own = ("origin", format!("http://{}", served.addr));
    let limits = |headers: Vec<(&'static str, String)>| async move {
        ask("POST", served.addr, "/api/v1/limits", &headers, "{\"upload\":5}").await.status
    };
    for bad in [
        vec![],
        vec![("origin", "http://evil.example".to_owned())],
        vec![("origin", "http://127.0.0.1:1".to_owned())],
        vec![own.clone(), ("sec-fetch-site", "cross-site".to_owned())],
        vec![own.clone(), ("host", "evil.example".to_owned())],
    ] {
        let headers = [vec![cookie.clone()], bad.clone()].concat();
        assert_eq!(limits(headers).await, 401, "{bad:?}");
    }
    assert_eq!(limits(vec![cookie, own]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_but_the_pages_files() {
    let served = served().await;
    let inside = [
        "events",
        "live",
        "snapshot",
        "offers/x",
        "cover/x",
        "room/x",
        "folders",
        "openapi.json",
        "status",
        "games",
    ];
    let paths = inside.iter().map(|path| format!("/api/v1/{path}")).chain(["/metrics".to_owned()]);
    for path in paths {
        assert_eq!(ask("GET", served.addr, &path, &[], "").await.status, 401, "{path}");
    }
    for path in ["setup", "settings", "party", "catalog", "quiet", "open-folder", "pack", "shutdown"] {
        let path = format!("/api/v1/{path}");
        assert_eq!(ask("POST", served.addr, &path, &[], "{}").await.status, 401, "{path}");
    }
    let rebound = ask("GET", served.addr, "/", &[("host", "evil.example:80".to_owned())], "").await;
    assert_eq!(rebound.status, 401, "not even those under a foreign name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_a_snapshot_then_numbered_changes() {
    let served = served().await;
    let url = format!("http://{}/api/v1/live", served.addr);
    let (sender, mut updates) = tokio::sync::mpsc::unbounded_channel();
    tokio::task::spawn_blocking(move || {
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let response = agent.get(url).header("authorization", format!("Bearer {TOKEN}")).call().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        for line in BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok) {
            if let Some(data) = line.strip_prefix("data: ")
                && sender.send(serde_json::from_str::<Update>(data).unwrap()).is_err()
            {
                return;
            }
        }
    });
    let first = updates.recv().await.unwrap();
    let Change::Snapshot(snapshot) = first.change else { panic!("{first:?}") };
    assert!(snapshot.room.is_some_and(|room| room.games.is_empty()));
    let game = served.games().join("new");
    std::fs::create_dir(&game).unwrap();
    std::fs::write(game.join("new.eti"), "x").unwrap();
    std::fs::write(game.join("cover.png"), "\x1b").unwrap();
    std::fs::write(game.join("version.ini"), "20250101").unwrap();
    let mut last = first.sequence;
    let seen = async {
        while let Some(update) = updates.recv().await {
            assert_eq!(update.sequence, last + 1, "no gap");
            last = update.sequence;
            if let Change::Patch(patch) = update.change
                && let Some(row) = patch.games.iter().find(|row| row.game.game_id == "new")
                && row.cover.is_some()
            {
                return;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), seen).await.expect("the game never showed");
    let cover = ask("GET", served.addr, "/api/v1/cover/new", &[bearer(TOKEN)], "").await;
    assert_eq!(cover.status, 404, "that was no picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_choice_there_is_a_page_but_no_peer() {
    let folders = tempfile::tempdir().unwrap();
    let host = Host::new(folders.path(), crate::host::Given::default()).unwrap();
    let door = door_for("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = door.addr;
    let (_end, ending) = watch::channel(false);
    tokio::spawn(async move { serve(vec![door], host, TOKEN, ending).await });
    let snapshot = ask("GET", addr, "/api/v1/snapshot", &[bearer(TOKEN)], "").await;
    let snapshot: Snapshot = serde_json::from_str(&snapshot.body).unwrap();
    assert!(snapshot.room.is_none() && snapshot.suggestion.is_some());
    let (status, line) = send("GET", addr, "/api/v1/games", &[bearer(TOKEN)], vec![]).await;
    assert_eq!((status, code(&line)), (409, ErrorCode::NotSetUp));
    let games = folders.path().join("chosen");
    let body = serde_json::json!({ "games_dir": games, "name": "ada" }).to_string();
    assert_eq!(ask("POST", addr, "/api/v1/setup", &[bearer(TOKEN)], &body).await.status, 200);
    assert!(games.is_dir());
}

#[tokio::test]
async fn first_snapshot_has_the_peer_that_runs_already() {
    let served = served().await;
    let (_end, ending) = watch::channel(false);
    // On one thread, the task finds the peer and the question at the same moment.
    for _ in 0..32 {
        let live = crate::http::live::Live::start(served.host.clone(), ending.clone());
        assert!(live.snapshot().await.unwrap().room.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_there_for_prometheus() {
    let served = served().await;
    let answer = ask("GET", served.addr, "/metrics", &[bearer(TOKEN)], "").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    for name in ["up 1", "bytes_total{direction=\"sent\"} 0", "peers 0", "operations{kind=\"downloading\"} 0"]
    {
        assert!(
            answer.body.contains(&format!("lanspread_{name}\n")),
            "{name} is missing in\n{}",
            answer.body
        );
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_a_game_from_the_page() {
    let served = served().await;
    let source = served._folders.path().join("installed");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("game.exe"), "MZ").unwrap();
    let pack = |body: serde_json::Value| async move {
        ask("POST", served.addr, "/api/v1/pack", &[bearer(TOKEN)], &body.to_string()).await
    };
    let whole = serde_json::json!({ "folder": source, "game_id": "mine", "version": "20260101" });
    assert_eq!(pack(whole.clone()).await.status, 200);
    assert!(served.games().join("mine/version.ini").exists());
    for (field, bad) in [("folder", "relative"), ("game_id", "../mine"), ("version", "yesterday")] {
        let mut order = whole.clone();
        order[field] = bad.into();
        let answer = pack(order).await;
        assert!(answer.status >= 400, "{field}: {}", answer.body);
    }
    let mut file = std::fs::File::open(served.games().join("mine/mine.eti")).unwrap();
    let mut head = [0; 4];
    file.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"Rar!");
}
