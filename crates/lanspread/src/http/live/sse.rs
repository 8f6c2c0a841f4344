//! Server-sent events (WHATWG HTML, section 9.2): one `data:` line of JSON for each update, its number as the id.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures_core::Stream;
use lanspread_api::page::Update;
use tokio::sync::mpsc;
use tokio::time::{Interval, interval_at};

/// After so long without a word comes a comment, so that a reader that has gone away is noticed.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// What a browser waits before it connects anew, in milliseconds.
const RETRY_MS: u32 = 1000;

pub fn message(update: &Update) -> Bytes {
    // Our own types with string keys: there is nothing to fail at. JSON text has no line feed.
    let data = serde_json::to_string(update).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("retry: {RETRY_MS}\nid: {}\ndata: {data}\n\n", update.sequence))
}

pub fn response(changes: mpsc::Receiver<Bytes>) -> Response<Body> {
    let comments = interval_at(tokio::time::Instant::now() + COMMENT_INTERVAL, COMMENT_INTERVAL);
    let mut response = Response::new(Body::from_stream(Messages { changes, comments }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

struct Messages {
    changes: mpsc::Receiver<Bytes>,
    comments: Interval,
}

impl Stream for Messages {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(change) = self.changes.poll_recv(context) {
            return Poll::Ready(change.map(Ok));
        }
        self.comments.poll_tick(context).map(|_| Some(Ok(Bytes::from_static(b":\n\n"))))
    }
}
