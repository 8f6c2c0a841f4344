//! The stream of events for scripts: one JSON line each, the contract's version first.
//!
//! A reader that is too slow loses events and learns how many; it never delays the peer. Regular empty lines
//! reveal a reader that has gone away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use futures_core::Stream;
use lanspread_api::{ErrorBody, ErrorCode, Event, Line};
use lanspread_peer::EventStream;
use lanspread_peer::contract::ToContract;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::limits::EVENT_LINES_MAX;
use super::{Interface, ended, refuse};

const EMPTY_LINE_INTERVAL: Duration = Duration::from_secs(15);

/// `GET /api/v1/events`. The subscription exists before the answer's head is sent, so a reader misses no event of a
/// command that it sends afterwards.
pub async fn stream(State(interface): State<Arc<Interface>>) -> Response<Body> {
    let Ok(permit) = interface.event_readers.clone().try_acquire_owned() else {
        return refuse(ErrorBody::new(ErrorCode::Busy, "too many event readers are connected"));
    };
    let peer = match interface.host.peer_soon().await {
        Ok(peer) => peer,
        Err(error) => return refuse(error),
    };
    let (sender, lines) = mpsc::channel(EVENT_LINES_MAX);
    tokio::spawn(forward(peer.subscribe(), sender, ended(interface.ending.clone()), permit));
    let mut response = Response::new(Body::from_stream(Lines(lines)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Forwards events until the peer ends, the reader is gone, or the interface ends.
async fn forward(
    mut events: EventStream,
    lines: mpsc::Sender<Bytes>,
    ended: impl Future<Output = ()>,
    _permit: OwnedSemaphorePermit,
) {
    let contract = Event::contract(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let mut ended = std::pin::pin!(ended);
    let mut next = Some(line(contract));
    while let Some(bytes) = next {
        if lines.send(bytes).await.is_err() {
            return;
        }
        next = tokio::select! {
            event = events.next() => event.map(|event| line(event.to_contract())),
            () = tokio::time::sleep(EMPTY_LINE_INTERVAL) => Some(Bytes::from_static(b"\n")),
            () = &mut ended => None,
        };
    }
}

fn line(event: Event) -> Bytes {
    Bytes::from(Line::Event(event).to_json() + "\n")
}

/// The receiving end as a stream for a response body.
struct Lines(mpsc::Receiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|line| line.map(Ok))
    }
}
