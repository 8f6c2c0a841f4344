//! Tests of requests that change the whole peer.

use std::time::Duration;

use super::page::ask;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

async fn post(served: &Served, path: &'static str, body: &'static str) -> u16 {
    ask("POST", served.addr, path, &[bearer(TOKEN)], body).await.status
}

async fn upload(served: &Served) -> serde_json::Value {
    let answer = ask("GET", served.addr, "/api/v1/status", &[bearer(TOKEN)], "").await;
    let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    status["data"]["limits"]["upload"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_is_held_back_and_let_go() {
    let served = served().await;
    assert_eq!(post(&served, "/api/v1/quiet", "{\"on\":true}").await, 200);
    assert!(upload(&served).await.is_null(), "nobody said how much");
    assert_eq!(post(&served, "/api/v1/settings", "{\"quiet_upload\":500}").await, 200);

    assert_eq!(post(&served, "/api/v1/quiet", "{\"on\":true}").await, 200);
    assert_eq!(upload(&served).await, 500);
    assert_eq!(post(&served, "/api/v1/quiet", "{\"on\":false}").await, 200);
    assert!(upload(&served).await.is_null());

    assert_eq!(post(&served, "/api/v1/limits", "{\"upload\":9000}").await, 200);
    served.host.game_started("a".to_owned()).await.unwrap();
    assert_eq!(upload(&served).await, 500);
    served.host.game_ended("a", HOUR).await.unwrap();
    assert_eq!(upload(&served).await, 9000);

    served.host.game_started("a".to_owned()).await.unwrap();
    assert_eq!(post(&served, "/api/v1/limits", "{\"upload\":700}").await, 200);
    served.host.game_ended("a", HOUR).await.unwrap();
    assert_eq!(upload(&served).await, 700, "what the user says counts more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_party_and_no_catalogue_is_refused_and_nothing_changes() {
    let served = served().await;
    for (path, body) in [
        ("/api/v1/party", "{\"name\":\"friday\",\"phrase\":\"short\"}"),
        ("/api/v1/party", "{\"name\":\"friday\"}"),
        ("/api/v1/party", "{\"name\":\"friday\",\"phrase\":\"Friday 2026!\"}"),
        ("/api/v1/party", "{\"name\":\"\",\"phrase\":\"correct horse battery\"}"),
        ("/api/v1/catalog", "{\"key\":\"nonsense\"}"),
        ("/api/v1/catalog", "{\"file\":\"relative.toml\"}"),
        ("/api/v1/catalog", "{\"file\":\"/there/is/none.toml\"}"),
        ("/api/v1/quiet", "{}"),
    ] {
        assert!(post(&served, path, body).await >= 400, "{path} {body}");
    }
    let status = served.peer.handle.command(Command::Status).await;
    assert!(status.is_ok(), "the same peer still runs");
}

fn add_titled_game(served: &Served) {
    let game = served.games().join("mine");
    std::fs::create_dir(&game).unwrap();
    std::fs::write(game.join("mine.eti"), "x").unwrap();
    std::fs::write(game.join("lanspread.toml"), "title = \"My Own Game\"").unwrap();
    std::fs::write(game.join("version.ini"), "20250101").unwrap();
}

/// A command before the first page must not cost that page its titles and covers.
#[tokio::test(flavor = "multi_thread")]
async fn first_page_has_titles_whatever_came_before_it() {
    let served = served().await;
    add_titled_game(&served);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !ask("GET", served.addr, "/api/v1/games", &[bearer(TOKEN)], "").await.body.contains("Ready") {
        assert!(std::time::Instant::now() < end, "the game is never there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(post(&served, "/api/v1/limits", "{\"upload\":9000}").await, 200);
    let shown = ask("GET", served.addr, "/api/v1/snapshot", &[bearer(TOKEN)], "").await.body;
    assert!(shown.contains("My Own Game"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_called_what_its_folder_says() {
    let served = served().await;
    add_titled_game(&served);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let listed = ask("GET", served.addr, "/api/v1/games", &[bearer(TOKEN)], "").await.body;
        let shown = ask("GET", served.addr, "/api/v1/snapshot", &[bearer(TOKEN)], "").await.body;
        if listed.contains("My Own Game") && shown.contains("My Own Game") {
            return;
        }
        assert!(std::time::Instant::now() < end, "it is never called so: {listed}\n{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
