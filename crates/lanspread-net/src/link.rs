//! A data connection on which another peer asks us: requests come in, payloads go out, one after the other in the
//! order in which they were handed in.
//!
//! Files are read off the async threads, one slice ahead of the socket. An answer whose first slice cannot be read is
//! refused; a later failure can only be shown by ending the connection.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::Decoder;
use lanspread_types::PeerId;
use lanspread_types::message::{Request, RequestId, Response};
use tokio::time::Instant;

use crate::complaints::complain;
use crate::control::sleep_until;
use crate::event::{LinkKey, Misbehaviour, NetEvent};
use crate::inbox::{Inbox, lock};
use crate::limits::{LINK_IDLE_MAX, OUTGOING_LOW_BYTES, REQUEST_TIME_MAX, REQUESTS_PER_LINK_MAX};
use crate::queue::{Queue, Step, id_and_len};
use crate::shared::Shared;
use crate::stream::{StreamError, TlsStream};
use crate::tasks::Stop;

/// Where the bytes of a payload are read from. The calls block; they come one after the other, with rising offsets.
pub trait PayloadSource: Send {
    /// Fills `buf` with the bytes from `offset` on, counted from the beginning of the payload.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// What follows a head.
pub(crate) enum Body {
    /// Nothing: a refusal.
    None,
    Bytes(Box<dyn AsRef<[u8]> + Send + Sync>),
    Source(Box<dyn PayloadSource>),
    /// The source is with the reader.
    Reading,
}

/// An answer as it is handed in.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response,
    pub(crate) body: Body,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", (**bytes).as_ref().len()),
            Self::Source(_) | Self::Reading => f.write_str("Source"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnd {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("{0}")]
    Decode(#[from] lanspread_proto::DecodeError),
    #[error("it asks too much at a time, or twice under one number")]
    Requests,
    #[error("it began a request and did not end it")]
    HalfRequest,
    #[error("nothing was asked for a long time")]
    Idle,
    #[error("a file could not be read: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Encode(#[from] lanspread_proto::EncodeError),
    #[error("this peer closed it")]
    Local,
}

/// Serves the connection until it ends. Every answer with a payload that is handed in before the end is reported as
/// served, well or not.
pub(crate) async fn run(
    shared: Arc<Shared>,
    peer: PeerId,
    from: SocketAddr,
    stream: TlsStream,
    rest: Vec<u8>,
) {
    let mut stop = shared.tasks.stop_signal();
    let key = LinkKey(shared.next_key());
    let inbox = Arc::new(Inbox::new(REQUESTS_PER_LINK_MAX));
    lock(&shared.routes.links).insert(key, Arc::clone(&inbox));
    let place = shared.routes.link_places.enter(peer, key, &inbox);
    let mut link = Link {
        shared: &shared,
        stop: stop.clone(),
        key,
        peer,
        stream,
        decoder: Decoder::new(),
        unanswered: HashSet::new(),
        queue: Queue::default(),
        heard: Instant::now(),
        half_since: None,
    };
    link.decoder.push(&rest);
    let end = tokio::select! {
        end = link.converse(&inbox) => end,
        () = stop.stopped() => Err(LinkEnd::Local),
    };
    if let Err(end) = end {
        tracing::debug!(%peer, %end, "link ended");
        if let Some(how) = offence(&end) {
            complain(&shared, from, Some(peer), how);
        }
    }
    let mut queue = link.queue;
    drop(link.stream);
    drop(place);
    queue.wait_for_reader().await;
    lock(&shared.routes.links).remove(&key);
    let late = inbox.close().into_iter().filter(|answer| !matches!(answer.body, Body::None));
    let late: Vec<_> = late.map(|answer| id_and_len(&answer.head).0).collect();
    for id in queue.unfinished().into_iter().chain(late) {
        shared.report(&mut stop, NetEvent::Served { link: key, id, bytes: 0, ok: false }).await;
    }
    shared.report(&mut stop, NetEvent::LinkClosed { link: key }).await;
}

/// What no peer does.
fn offence(end: &LinkEnd) -> Option<Misbehaviour> {
    match end {
        LinkEnd::Decode(_) | LinkEnd::Requests => Some(Misbehaviour::Protocol(end.to_string())),
        LinkEnd::Stream(StreamError::WriteStalled) => {
            Some(Misbehaviour::TooSlow("it asks for chunks and does not take them"))
        }
        LinkEnd::HalfRequest => Some(Misbehaviour::TooSlow("it began a request and did not end it")),
        LinkEnd::Stream(_) | LinkEnd::Idle | LinkEnd::Read(_) | LinkEnd::Encode(_) | LinkEnd::Local => None,
    }
}

struct Link<'a> {
    shared: &'a Shared,
    stop: Stop,
    key: LinkKey,
    peer: PeerId,
    stream: TlsStream,
    decoder: Decoder<Request>,
    unanswered: HashSet<RequestId>,
    queue: Queue,
    /// When the last whole request came.
    heard: Instant,
    /// When the request began of which some is here.
    half_since: Option<Instant>,
}

impl Link<'_> {
    async fn converse(&mut self, inbox: &Inbox<Answer>) -> Result<(), LinkEnd> {
        loop {
            self.pass_requests_on().await?;
            for answer in inbox.take().ok_or(LinkEnd::Local)? {
                if self.unanswered.remove(&id_and_len(&answer.head).0) {
                    self.queue.push(answer);
                } else {
                    tracing::error!(?answer, "an answer that nobody asked for");
                }
            }
            self.queue.reuse(self.stream.take_emptied());
            self.send().await?;
            let (deadline, end) = self.patience();
            tokio::select! {
                driven = self.stream.drive(true) => driven?,
                () = inbox.changed() => {}
                () = sleep_until(deadline) => return Err(end),
                read = self.queue.reader_done() => self.queue.accept(read)?,
            }
            for (id, bytes) in self.queue.written(self.stream.progress().1) {
                let event = NetEvent::Served { link: self.key, id, bytes, ok: true };
                self.shared.report(&mut self.stop, event).await;
            }
        }
    }

    /// Until when the other side should have said something, and what it is if it has not.
    fn patience(&self) -> (Option<Instant>, LinkEnd) {
        match self.half_since {
            Some(since) => (Some(since + REQUEST_TIME_MAX), LinkEnd::HalfRequest),
            None if self.unanswered.is_empty() => (Some(self.heard + LINK_IDLE_MAX), LinkEnd::Idle),
            None => (None, LinkEnd::Idle),
        }
    }

    async fn pass_requests_on(&mut self) -> Result<(), LinkEnd> {
        loop {
            while let Some(request) = self.decoder.next()? {
                (self.heard, self.half_since) = (Instant::now(), None);
                let fresh = request.ids().into_iter().all(|id| self.unanswered.insert(id));
                if !fresh || self.unanswered.len() > REQUESTS_PER_LINK_MAX {
                    return Err(LinkEnd::Requests);
                }
                let event = NetEvent::Requested { link: self.key, peer: self.peer, request };
                self.shared.report(&mut self.stop, event).await;
            }
            let decoder = &mut self.decoder;
            if !self.stream.open(&mut |plain| decoder.push(plain))? {
                if self.decoder.buffered() > 0 {
                    self.half_since.get_or_insert_with(Instant::now);
                }
                return Ok(());
            }
        }
    }

    /// Queues as much as the socket needs to stay busy.
    async fn send(&mut self) -> Result<(), LinkEnd> {
        while self.stream.unsent() < OUTGOING_LOW_BYTES {
            match self.queue.send_next(&mut self.stream)? {
                Step::Queued => {}
                Step::Wait => break,
                Step::Refused(id) => {
                    let event = NetEvent::Served { link: self.key, id, bytes: 0, ok: false };
                    self.shared.report(&mut self.stop, event).await;
                }
            }
        }
        if self.stream.unsent() == 0 {
            self.queue.rest();
        }
        Ok(())
    }
}
