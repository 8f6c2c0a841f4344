//! `GET /metrics`: the peer's state for Prometheus (text exposition format 0.0.4). `docs/page.md` explains each
//! figure.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use lanspread_api::page::{LogEntry, Snapshot};
use lanspread_api::reply::OperationKind;

use super::{Interface, refuse};

/// `GET /metrics`.
pub async fn text(State(interface): State<Arc<Interface>>) -> Response<Body> {
    match interface.live.snapshot().await {
        Err(error) => refuse(error),
        Ok(snapshot) => {
            let mut response = Response::new(Body::from(metrics(&snapshot)));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    }
}

/// Text of the answer, one metric family after the other.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP lanspread_{name} {help}\n# TYPE lanspread_{name} {kind}");
    }

    fn point(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "lanspread_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.point(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn metrics(snapshot: &Snapshot) -> String {
    let mut page = Page::default();
    page.family("info", "gauge", "The program that runs.");
    page.point("info", &[("version", &snapshot.program_version)], 1);
    page.single(
        "up",
        "gauge",
        "1 if a peer runs, 0 before the first choice.",
        u8::from(snapshot.room.is_some()),
    );
    let Some(room) = &snapshot.room else { return page.0 };
    let status = &room.status;
    let traffic = status.traffic;

    page.family("bytes_total", "counter", "Chunk data since the start.");
    page.point("bytes_total", &[("direction", "received")], traffic.received_bytes);
    page.point("bytes_total", &[("direction", "sent")], traffic.sent_bytes);
    page.family("chunks_total", "counter", "Chunks since the start.");
    page.point("chunks_total", &[("direction", "received")], traffic.received_chunks);
    page.point("chunks_total", &[("direction", "sent")], traffic.sent_chunks);
    page.family("messages_total", "counter", "Messages to other peers since the start, chunks apart.");
    page.point("messages_total", &[("kind", "control")], traffic.sent_messages);
    page.point("messages_total", &[("kind", "request")], traffic.sent_requests);
    let last = snapshot.rates.last().copied().unwrap_or_default();
    page.family("bytes_per_second", "gauge", "Chunk data in the last second.");
    page.point("bytes_per_second", &[("direction", "received")], last.down);
    page.point("bytes_per_second", &[("direction", "sent")], last.up);
    page.single(
        "rejected_sources_total",
        "counter",
        "Sources that sent what does not verify, each once for each game.",
        traffic.rejected_sources,
    );

    page.single("peers", "gauge", "Connected peers.", status.peer_count);
    page.family("games", "gauge", "Games, by how they stand.");
    let count = |of: &dyn Fn(&lanspread_api::reply::GameInfo) -> bool| {
        room.games.iter().filter(|row| of(&row.game)).count()
    };
    page.point("games", &[("state", "seen")], room.games.len());
    page.point("games", &[("state", "downloaded")], count(&|game| game.downloaded));
    page.point("games", &[("state", "installed")], count(&|game| game.installed));

    page.family("operations", "gauge", "Operations that run.");
    for kind in operation_kinds(&status.active_operations.iter().map(|o| o.kind).collect::<Vec<_>>()) {
        page.point("operations", &[("kind", &kind.0)], kind.1);
    }
    page.family("download_chunks", "gauge", "Chunks of a download.");
    for swarm in &status.swarms {
        page.point("download_chunks", &[("game", &swarm.game_id), ("state", "had")], swarm.chunks_had);
        page.point("download_chunks", &[("game", &swarm.game_id), ("state", "total")], swarm.chunks_total);
    }
    page.family("download_copies", "gauge", "Complete copies of a download in the room.");
    for swarm in &status.swarms {
        page.point("download_copies", &[("game", &swarm.game_id)], swarm.copies);
    }
    page.family("outbound_chunks", "gauge", "Chunks queued or on their way to others.");
    for (game, chunks) in &status.active_outbound_transfers {
        page.point("outbound_chunks", &[("game", game)], chunks);
    }
    page.family("recent_errors", "gauge", "Failures among the last events, by code.");
    for (code, count) in errors(&snapshot.log) {
        page.point("recent_errors", &[("code", code)], count);
    }
    if let Some(free) = room.disk.free_bytes {
        page.single("disk_free_bytes", "gauge", "Room on the disk of the games folder.", free);
    }
    page.0
}

/// Number of running operations of each kind. Common kinds appear with 0, so that a plot starts at 0.
fn operation_kinds(running: &[OperationKind]) -> BTreeMap<String, usize> {
    let name = |kind: &OperationKind| format!("{kind:?}").to_lowercase();
    let mut kinds: BTreeMap<String, usize> =
        ["downloading", "installing", "uninstalling", "removing"].map(|kind| (kind.to_owned(), 0)).into();
    for kind in running {
        *kinds.entry(name(kind)).or_default() += 1;
    }
    kinds
}

/// Counts failures in the log by error code.
fn errors(log: &[LogEntry]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for code in log.iter().filter_map(|entry| entry.event.failure()) {
        *counts.entry(code.as_str()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanspread_api::event::GameFailure;
    use lanspread_api::{ErrorCode, Event};

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.point("x", &[("game", "a\"b\\c\nd")], 1);
        assert_eq!(page.0, "lanspread_x{game=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn failures_are_counted_by_code() {
        let failure = GameFailure {
            game_id: "a".to_owned(),
            code: ErrorCode::DiskFull,
            reason: String::new(),
            missing_bytes: None,
            unpacked_bytes: None,
        };
        let entry = |event| LogEntry { at_ms: 0, event };
        let log = [
            entry(Event::InstallFailed(failure.clone())),
            entry(Event::RemoveFailed(failure)),
            entry(Event::InstallFinished { game_id: "a".to_owned() }),
        ];
        assert_eq!(errors(&log), BTreeMap::from([("disk-full", 2)]));
    }
}
