//! Updates as server-sent events (WHATWG HTML, section 9.2): one line of JSON each, with the update's number as the id.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use lanspread_api::page::Update;
use tokio::sync::mpsc;

/// Interval of comments on a silent stream; they reveal a reader that has gone away.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// Time that a browser waits before it reconnects.
const RETRY: Duration = Duration::from_secs(1);

/// An update, encoded once for all readers.
#[derive(Debug, Clone)]
pub struct Message {
    sequence: u64,
    json: Arc<str>,
}

impl Message {
    /// Encodes an update.
    pub fn new(update: &Update) -> Self {
        // The types are ours and have string keys, so encoding cannot fail.
        let json = serde_json::to_string(update).unwrap_or_else(|_| "null".to_owned());
        Self { sequence: update.sequence, json: json.into() }
    }
}

/// Answers with the stream of updates.
pub fn response(changes: mpsc::Receiver<Message>) -> Response<Body> {
    let comments = KeepAlive::new().interval(COMMENT_INTERVAL);
    let mut response = Sse::new(Messages(changes)).keep_alive(comments).into_response();
    // Without this, axum's `no-cache` would let a browser keep the updates on its disk.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Messages(mpsc::Receiver<Message>);

impl Stream for Messages {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = |m: Message| Ok(Event::default().retry(RETRY).id(m.sequence.to_string()).data(m.json));
        self.0.poll_recv(context).map(|change| change.map(event))
    }
}

#[cfg(test)]
mod tests {
    use lanspread_api::page::{Change, Rate};

    use super::*;

    #[tokio::test]
    async fn update_on_the_wire() {
        let (sender, changes) = mpsc::channel(1);
        let update = Update { sequence: 7, change: Change::Rate(Rate { at_ms: 1, down: 2, up: 3 }) };
        sender.try_send(Message::new(&update)).unwrap();
        drop(sender);
        let response = response(changes);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let expected = "retry: 1000\nid: 7\ndata: \
                        {\"sequence\":7,\"kind\":\"rate\",\"data\":{\"at_ms\":1,\"down\":2,\"up\":3}}\n\n";
        assert_eq!(body, expected);
    }
}
