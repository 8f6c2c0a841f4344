//! An outbound data connection: requests go out, payloads come in.
//!
//! Every accepted request ends exactly once: with its payload, or with `RequestFailed`. A chunk is received into one
//! pooled buffer; a manifest takes budget only for the bytes that have arrived. While the consumer does not keep up or
//! the pool is used up, the task does not read the socket, and TCP slows the source down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_types::message::{Request, RequestId, Response};
use lanspread_types::{PeerId, RefusalCause, RequestFailure};
use tokio::time::{Instant, timeout};

use crate::connect::handshake::dial_data;
use crate::event::{Asked, Context, NetEvent, Payload, PayloadKind};
use crate::inbox::{Inbox, lock};
use crate::limits::{
    HANDSHAKE_TIME_MAX, MANIFEST_RESERVE_BYTES, MANIFEST_UNCOUNTED_BYTES, OUTGOING_LOW_BYTES,
    READ_PROGRESS_BYTES, READ_STALL_MAX, SOURCE_IDLE_MAX,
};
use crate::pool::{Pool, PooledBuf, Reserved};
use crate::shared::Shared;
use crate::tasks::{Stop, sleep_until};
use crate::tls::tls_stream::{StreamError, TlsStream};

/// Why a data connection ended.
#[derive(Debug, thiserror::Error)]
enum SourceEnd {
    #[error("{0}")]
    Connect(String),
    #[error("no answer within the time limit")]
    TimedOut,
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("{0}")]
    Decode(#[from] lanspread_proto::DecodeError),
    /// An answer matches no open request.
    #[error("it sent what nobody asked for")]
    Unasked,
    /// A payload grew too slowly.
    #[error("it stopped in the middle of an answer")]
    Stalled,
    /// The budget for manifests is used up.
    #[error("the memory for manifests is used up")]
    Crowded,
    #[error("this peer closed it")]
    Local,
    /// No request was open for `SOURCE_IDLE_MAX`.
    #[error("idle timeout")]
    Idle,
    #[error(transparent)]
    Encode(#[from] lanspread_proto::EncodeError),
}

/// Runs the connection until it ends, then fails every request that is still open.
pub(crate) async fn run(shared: Arc<Shared>, peer: PeerId, addr: SocketAddr, inbox: Arc<Inbox<Asked>>) {
    let mut stop = shared.tasks.stop_signal();
    let mut open = Open::default();
    let end = tokio::select! {
        end = converse(&shared, &mut open, peer, addr, &inbox) => end,
        () = stop.stopped() => SourceEnd::Local,
    };
    let unsent = {
        let mut sources = lock(&shared.routes.sources);
        if sources.get(&peer).is_some_and(|current| Arc::ptr_eq(current, &inbox)) {
            sources.remove(&peer);
        }
        inbox.close()
    };
    tracing::debug!(%peer, %addr, %end, "data connection ended");
    if let Some(how) = offence(&end) {
        shared.complain(addr, Some(peer), how);
    }
    unsent.into_iter().for_each(|asked| open.insert(&asked.0, &asked.1));
    let mut ids: Vec<RequestId> = open.0.into_keys().collect();
    ids.sort_unstable();
    for id in ids {
        let failure = RequestFailure::Lost(end.to_string());
        shared.report(&mut stop, NetEvent::RequestFailed { peer, id, failure }).await;
    }
}

/// Returns the source's offence if it is to blame for the end.
fn offence(end: &SourceEnd) -> Option<RefusalCause> {
    match end {
        SourceEnd::Decode(_) | SourceEnd::Unasked => Some(RefusalCause::Protocol(end.to_string())),
        SourceEnd::Stalled => Some(RefusalCause::TooSlow("it stopped in the middle of an answer".to_owned())),
        _ => None,
    }
}

/// Connects to the source, then exchanges requests and answers until the connection ends.
async fn converse(
    shared: &Shared,
    open: &mut Open,
    peer: PeerId,
    addr: SocketAddr,
    inbox: &Inbox<Asked>,
) -> SourceEnd {
    let connect = async {
        let config = shared.local.tls.only_peer(peer).map_err(|error| error.to_string())?;
        dial_data(addr, shared.listen_ip, config).await
    };
    let stream = match timeout(HANDSHAKE_TIME_MAX, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(cause)) => return SourceEnd::Connect(cause),
        Err(_) => return SourceEnd::TimedOut,
    };
    let stop = shared.tasks.stop_signal();
    let mut fetch =
        SourceConn { shared, stop, peer, stream, open, plain: Vec::new(), filling: None, full: None };
    match fetch.run(inbox).await {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

/// Open requests: sent and not yet ended.
#[derive(Default)]
struct Open(HashMap<RequestId, (PayloadKind, Context)>);

impl Open {
    fn insert(&mut self, request: &Request, context: &Context) {
        let mut insert = |id, kind| {
            if self.0.insert(id, (kind, Arc::clone(context))).is_some() {
                tracing::error!(?id, "a request number was used twice");
            }
        };
        match request {
            Request::Manifest { id, .. } => insert(*id, PayloadKind::Manifest),
            Request::Chunk(request) => insert(request.id, PayloadKind::Chunk(request.chunk)),
            Request::Follow(request) => {
                request.each().for_each(|(id, chunk)| insert(id, PayloadKind::Chunk(chunk)));
            }
            Request::Cancel { .. } => {}
        }
    }

    /// Returns what an answer carries, and the context of the open request with its id, if the answer fits it.
    fn asked(&self, head: &Response) -> Option<(PayloadKind, Context)> {
        let (kind, context) = self.0.get(&head_id(head))?;
        let fits = match (head, kind) {
            (Response::Chunk { chunk, .. }, PayloadKind::Chunk(asked)) => asked == chunk,
            (Response::Manifest { .. }, PayloadKind::Manifest) => true,
            _ => false,
        };
        fits.then(|| (*kind, Arc::clone(context)))
    }
}

fn head_id(head: &Response) -> RequestId {
    match *head {
        Response::Chunk { id, .. } | Response::Manifest { id, .. } | Response::Refused { id, .. } => id,
    }
}

/// State of the connection's task.
struct SourceConn<'a> {
    shared: &'a Shared,
    stop: Stop,
    peer: PeerId,
    stream: TlsStream,
    open: &'a mut Open,
    /// Received bytes that are not yet decoded; at most one read.
    plain: Vec<u8>,
    /// The payload that is being received.
    filling: Option<Filling>,
    /// A complete payload that waits for its consumer.
    full: Option<Payload>,
}

/// A payload that is being received.
struct Filling {
    id: RequestId,
    what: PayloadKind,
    context: Context,
    buffer: PooledBuf,
    /// Length of the payload in bytes.
    len: usize,
    /// Budget taken for the bytes that have arrived, and its size in bytes; manifests only.
    reserved: (Option<Reserved>, usize),
    /// Bytes that were missing when progress was last noticed, and the deadline for the next progress.
    progress: (usize, Instant),
}

impl Filling {
    /// Returns when the source counts as stalled. Every `READ_PROGRESS_BYTES` that arrive move the deadline.
    fn deadline(&mut self) -> Instant {
        let missing = self.buffer.missing();
        if self.progress.0 - missing >= READ_PROGRESS_BYTES {
            self.progress = (missing, Instant::now() + READ_STALL_MAX);
        }
        self.progress.1
    }

    /// Takes budget for the bytes of a manifest that have arrived.
    fn reserve(&mut self, manifests: &Pool) -> Result<(), SourceEnd> {
        if !matches!(self.what, PayloadKind::Manifest) || self.len <= MANIFEST_UNCOUNTED_BYTES {
            return Ok(());
        }
        let arrived = self.len - self.buffer.missing();
        while self.reserved.1 < arrived {
            let more = manifests.try_reserve(MANIFEST_RESERVE_BYTES).ok_or(SourceEnd::Crowded)?;
            match &mut self.reserved.0 {
                Some(reserved) => reserved.merge(more),
                none => *none = Some(more),
            }
            self.reserved.1 += MANIFEST_RESERVE_BYTES;
        }
        Ok(())
    }
}

impl SourceConn<'_> {
    async fn run(&mut self, inbox: &Inbox<Asked>) -> Result<std::convert::Infallible, SourceEnd> {
        loop {
            self.take_requests(inbox)?;
            while self.full.is_none() && self.advance().await? {}
            let idle = self.open.0.is_empty().then(|| Instant::now() + SOURCE_IDLE_MAX);
            let stalled = self.filling.as_mut().map(Filling::deadline);
            let read = self.full.is_none();
            tokio::select! {
                driven = self.stream.drive_into(read, self.filling.as_mut().map(|filling| &mut filling.buffer)) => driven?,
                () = inbox.changed() => {}
                permit = self.shared.payloads.reserve(), if self.full.is_some() => {
                    let (Ok(permit), Some(payload)) = (permit, self.full.take()) else { return Err(SourceEnd::Local) };
                    self.open.0.remove(&payload.id);
                    permit.send(payload);
                }
                () = sleep_until(stalled), if read => return Err(SourceEnd::Stalled),
                () = sleep_until(idle) => return Err(SourceEnd::Idle),
            }
        }
    }

    /// Sends queued requests, unless the socket is behind.
    fn take_requests(&mut self, inbox: &Inbox<Asked>) -> Result<(), SourceEnd> {
        if self.stream.unsent() >= OUTGOING_LOW_BYTES {
            return Ok(());
        }
        let requests = inbox.take().ok_or(SourceEnd::Local)?;
        let mut frames = Vec::new();
        // All are recorded before the first is encoded, so that each fails if one cannot be encoded.
        for asked in &requests {
            self.open.insert(&asked.0, &asked.1);
        }
        for (request, _) in requests.iter().map(|asked| &**asked) {
            frames.extend_from_slice(&lanspread_proto::encode(request)?);
        }
        if !frames.is_empty() {
            self.stream.send(&frames);
        }
        Ok(())
    }

    /// Takes the next step with the bytes that have arrived. Returns false if more must arrive first.
    async fn advance(&mut self) -> Result<bool, SourceEnd> {
        if let Some(filling) = &mut self.filling {
            filling.reserve(&self.shared.manifests)?;
        }
        if let Some(filling) = self.filling.take_if(|filling| filling.buffer.missing() == 0) {
            let Filling { id, what, context, buffer, reserved, .. } = filling;
            let bytes = buffer.holding(reserved.0);
            self.full = Some(Payload { peer: self.peer, id, what, bytes, context });
            return Ok(true);
        }
        if self.filling.is_none()
            && let Some((head, used)) = lanspread_proto::split::<Response>(&self.plain)?
        {
            self.plain.drain(..used);
            self.begin(head).await?;
            return Ok(true);
        }
        // While a payload lacks bytes, `drive_into` puts received bytes into its buffer and none arrive here. The call
        // still reports that the connection has ended.
        let plain = &mut self.plain;
        Ok(self.stream.open(&mut |bytes| plain.extend_from_slice(bytes))?)
    }

    /// Begins to receive an answer, or ends its request if it is a refusal.
    async fn begin(&mut self, head: Response) -> Result<(), SourceEnd> {
        let (peer, id) = (self.peer, head_id(&head));
        if let Response::Refused { reason, .. } = head {
            self.open.0.remove(&id).ok_or(SourceEnd::Unasked)?;
            let failure = RequestFailure::Refused(reason);
            self.shared.report(&mut self.stop, NetEvent::RequestFailed { peer, id, failure }).await;
            return Ok(());
        }
        let (what, context) = self.open.asked(&head).ok_or(SourceEnd::Unasked)?;
        let (Response::Chunk { len, .. } | Response::Manifest { len, .. }) = head else { return Ok(()) };
        let missing = len as usize;
        let mut buffer = match what {
            PayloadKind::Chunk(chunk) => {
                self.shared.report(&mut self.stop, NetEvent::ChunkStarted { peer, id, chunk }).await;
                self.shared.pool.take(missing).await
            }
            PayloadKind::Manifest => {
                self.shared
                    .report(&mut self.stop, NetEvent::ManifestStarted { peer, id, bytes: len.into() })
                    .await;
                match lanspread_types::failpoint!("reserve-announced") {
                    true => self.shared.pool.take(missing).await,
                    false => PooledBuf::uncounted(missing),
                }
            }
        };
        let progress = (missing, Instant::now() + READ_STALL_MAX);
        let used = self.plain.len() - buffer.fill(&self.plain).len();
        self.plain.drain(..used);
        self.filling =
            Some(Filling { id, what, context, buffer, len: missing, reserved: (None, 0), progress });
        Ok(())
    }
}
