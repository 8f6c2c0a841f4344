//! A link: an inbound data connection. Requests come in; payloads go out one after the other, in the order in which the
//! endpoint's caller answers.
//!
//! Files are read off the async threads, one slice ahead of the socket. An answer whose first slice cannot be read
//! becomes a refusal; after a later failure the only way out is to end the connection.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::Decoder;
use lanspread_types::message::{Request, RequestId};
use lanspread_types::{LinkId, PeerId, RefusalCause, failpoint};
use tokio::time::Instant;

use crate::data::queue::{Queue, Step, id_and_len};
use crate::event::NetEvent;
use crate::inbox::{Inbox, lock};
use crate::limits::{LINK_IDLE_MAX, OUTGOING_LOW_BYTES, REQUEST_TIME_MAX, REQUESTS_PER_LINK_MAX};
use crate::shared::Shared;
use crate::shared::answer::{Answer, Body, LinkEnd};
use crate::tasks::{Stop, sleep_until};
use crate::tls::tls_stream::{StreamError, TlsStream};

/// Runs the connection until it ends. Every answer with a payload that was given before the end is reported as
/// `Served`, successful or not; `LinkClosed` comes last.
pub(crate) async fn run(
    shared: Arc<Shared>,
    peer: PeerId,
    from: SocketAddr,
    stream: TlsStream,
    rest: Vec<u8>,
) {
    let mut stop = shared.tasks.stop_signal();
    let key = LinkId(shared.next_key());
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
            shared.complain(from, Some(peer), how);
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

/// Returns the peer's offence if it is to blame for the end.
fn offence(end: &LinkEnd) -> Option<RefusalCause> {
    match end {
        LinkEnd::Decode(_) | LinkEnd::Requests => Some(RefusalCause::Protocol(end.to_string())),
        LinkEnd::Stream(StreamError::WriteStalled) => {
            Some(RefusalCause::TooSlow("it requests chunks and does not read them".to_owned()))
        }
        LinkEnd::HalfRequest => Some(RefusalCause::TooSlow("incomplete request".to_owned())),
        LinkEnd::Stream(_) | LinkEnd::Idle | LinkEnd::Read(_) | LinkEnd::Encode(_) | LinkEnd::Local => None,
    }
}

/// State of the connection's task.
struct Link<'a> {
    shared: &'a Shared,
    stop: Stop,
    key: LinkId,
    peer: PeerId,
    stream: TlsStream,
    decoder: Decoder<Request>,
    /// Ids that the caller has not answered yet.
    unanswered: HashSet<RequestId>,
    queue: Queue,
    /// When the last complete request arrived.
    heard: Instant,
    /// When the partially received request started.
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

    /// Returns the deadline for the peer's next move, and why the link ends if it passes.
    fn patience(&self) -> (Option<Instant>, LinkEnd) {
        match self.half_since {
            Some(since) => (Some(since + REQUEST_TIME_MAX), LinkEnd::HalfRequest),
            None if self.unanswered.is_empty() => (Some(self.heard + LINK_IDLE_MAX), LinkEnd::Idle),
            None => (None, LinkEnd::Idle),
        }
    }

    /// Decodes what has arrived and reports each request.
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
                Step::Queued => {
                    failpoint!(
                        "slow-under-attack",
                        crate::sabotage::wait_if(self.shared.complaints.is_any()).await
                    );
                }
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
