//! Answers on their way out of a link: which bytes are queued next, and which file is read ahead.
//!
//! Answers leave in order, one after the other. At most one blocking read runs at a time, and at most two slices are in
//! memory ahead of the stream's own queue.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lanspread_proto::encode;
use lanspread_types::message::{Refusal, RequestId, Response};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::limits::{PORTION_BYTES, SLICE_BYTES};
use crate::shared::answer::{Answer, Body, LinkEnd, PayloadSource};
use crate::tls::tls_stream::TlsStream;

/// Most slices that are read and not yet queued: one for the socket, one ahead.
const SLICES_AHEAD: usize = 2;

/// Answers of one link that are not yet in the socket.
#[derive(Default)]
pub(crate) struct Queue {
    /// Answers that are not yet queued in full, in order.
    pending: VecDeque<Pending>,
    /// Reads the next slice off the async threads.
    reader: Option<JoinHandle<Slice>>,
    /// Answers that are queued in full and not yet written to the socket.
    queued: VecDeque<Queued>,
    last_serial: u64,
    /// Buffers for the next slices.
    spare: Vec<Vec<u8>>,
}

/// An answer that is not yet queued in full.
struct Pending {
    /// Number of the answer, which a slice on its way back from the reader names.
    serial: u64,
    head: Response,
    /// Length of the payload in bytes.
    len: u64,
    /// Bytes of payload that are queued.
    queued: u64,
    head_queued: bool,
    body: Body,
    /// Bytes of payload that are read from the source or being read.
    asked: u64,
    /// Slices that are read and not yet queued.
    slices: VecDeque<Vec<u8>>,
    /// Why the rest of the payload cannot be read.
    failed: Option<io::Error>,
}

/// An answer that is queued in full.
struct Queued {
    id: RequestId,
    /// Length of the payload in bytes.
    bytes: u64,
    /// Position of the answer's end among the bytes on the wire.
    end: u64,
}

/// A slice from the reader, with the source it came from.
pub(crate) struct Slice {
    serial: u64,
    source: Box<dyn PayloadSource>,
    bytes: Vec<u8>,
    result: io::Result<()>,
}

/// Outcome of [`Queue::send_next`].
pub(crate) enum Step {
    /// Bytes were queued.
    Queued,
    /// There is no answer, or its next slice is still being read.
    Wait,
    /// This answer could not be read and became a refusal.
    Refused(RequestId),
}

/// Returns the request's id and the length of the payload in bytes.
pub(crate) fn id_and_len(head: &Response) -> (RequestId, u64) {
    match *head {
        Response::Chunk { id, len, .. } | Response::Manifest { id, len } => (id, u64::from(len)),
        Response::Refused { id, .. } => (id, 0),
    }
}

impl Queue {
    /// Adds an answer. One whose bytes are not as many as its head states becomes a refusal.
    pub(crate) fn push(&mut self, Answer { head, body }: Answer) {
        let (_, len) = id_and_len(&head);
        let wrong = matches!(&body, Body::Bytes(bytes) if (**bytes).as_ref().len() as u64 != len);
        let failed = wrong.then(|| io::Error::other("the payload is not as long as its head says"));
        self.last_serial += 1;
        self.pending.push_back(Pending {
            serial: self.last_serial,
            head,
            len,
            queued: 0,
            head_queued: false,
            body,
            asked: 0,
            slices: VecDeque::new(),
            failed,
        });
        self.keep_reading();
    }

    /// Queues the next portion of the first answer. Fails if its payload cannot be read after its head has left.
    pub(crate) fn send_next(&mut self, stream: &mut TlsStream) -> Result<Step, LinkEnd> {
        let Some(front) = self.pending.front_mut() else { return Ok(Step::Wait) };
        if let Some(error) = front.failed.take_if(|_| front.slices.is_empty()) {
            if front.head_queued {
                return Err(LinkEnd::Read(error));
            }
            let (id, _) = id_and_len(&front.head);
            tracing::warn!(%error, "a payload could not be read");
            stream.send(&encode(&Response::Refused { id, reason: Refusal::ReadFailed })?);
            self.pending.pop_front();
            return Ok(Step::Refused(id));
        }
        let step = front.send(stream)?;
        if front.head_queued && front.queued == front.len {
            if !matches!(front.body, Body::None) {
                let (id, bytes) = id_and_len(&front.head);
                self.queued.push_back(Queued { id, bytes, end: stream.progress().0 });
            }
            self.pending.pop_front();
        }
        self.keep_reading();
        Ok(step)
    }

    /// Starts the reader on the next unread slice, if it is idle and there is room for a slice.
    fn keep_reading(&mut self) {
        let ready: usize = self.pending.iter().take(SLICES_AHEAD).map(|pending| pending.slices.len()).sum();
        if self.reader.is_some() || ready >= SLICES_AHEAD {
            return;
        }
        let spare = &mut self.spare;
        let job = self.pending.iter_mut().take(SLICES_AHEAD).find_map(|pending| pending.next_read(spare));
        self.reader = job.map(|mut job| {
            tokio::task::spawn_blocking(move || {
                let Slice { source, bytes, result, .. } = &mut job.slice;
                *result = source.read_at(job.offset, bytes);
                job.slice
            })
        });
    }

    /// Waits for the reader, or forever if it is idle. The result goes to [`Self::accept`].
    pub(crate) async fn reader_done(&mut self) -> Result<Slice, JoinError> {
        match &mut self.reader {
            Some(reader) => reader.await,
            None => std::future::pending().await,
        }
    }

    /// Takes in what the reader returned. Fails only if the reader panicked.
    pub(crate) fn accept(&mut self, read: Result<Slice, JoinError>) -> Result<(), LinkEnd> {
        self.reader = None;
        let slice = read.map_err(|error| LinkEnd::Read(io::Error::other(error)))?;
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.serial == slice.serial) {
            pending.body = Body::Source(slice.source);
            match slice.result {
                Ok(()) => pending.slices.push_back(slice.bytes),
                Err(error) => pending.failed = Some(error),
            }
        }
        self.keep_reading();
        Ok(())
    }

    /// Removes the answers that end at or before this position on the wire, and returns their ids and payload lengths.
    pub(crate) fn written(&mut self, position: u64) -> Vec<(RequestId, u64)> {
        let done = self.queued.partition_point(|queued| queued.end <= position);
        self.queued.drain(..done).map(|queued| (queued.id, queued.bytes)).collect()
    }

    /// Takes buffers back whose bytes have been encrypted.
    pub(crate) fn reuse(&mut self, buffers: Vec<Vec<u8>>) {
        self.spare.extend(buffers);
        self.spare.truncate(SLICES_AHEAD + 1);
    }

    /// Frees the spare buffers if no answer is pending.
    pub(crate) fn rest(&mut self) {
        if self.pending.is_empty() {
            self.spare = Vec::new();
        }
    }

    /// Waits a second for a running read, which cannot be stopped, so that its file is closed when the link has ended.
    pub(crate) async fn wait_for_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            // A drive may hang for longer than this; the link does not wait for it.
            let _ = timeout(Duration::from_secs(1), reader).await;
        }
    }

    /// Returns the ids of answers with a payload that were not sent in full.
    pub(crate) fn unfinished(self) -> Vec<RequestId> {
        let pending =
            self.pending.iter().filter(|pending| !matches!(pending.body, Body::None) || pending.asked > 0);
        let pending = pending.map(|pending| id_and_len(&pending.head).0);
        self.queued.iter().map(|queued| queued.id).chain(pending).collect()
    }
}

/// A slice to read.
struct Job {
    slice: Slice,
    offset: u64,
}

impl Pending {
    /// Queues the head, if it is not yet queued, and the next portion of the payload.
    fn send(&mut self, stream: &mut TlsStream) -> Result<Step, LinkEnd> {
        let slice = match &self.body {
            Body::None => None,
            Body::Bytes(_) => None,
            Body::Source(_) | Body::Reading => match self.slices.pop_front() {
                Some(slice) => Some(slice),
                None => return Ok(Step::Wait),
            },
        };
        if !self.head_queued {
            stream.send(&encode(&self.head)?);
            self.head_queued = true;
        }
        match (&self.body, slice) {
            (_, Some(slice)) => {
                self.queued += slice.len() as u64;
                stream.send_owned(slice);
            }
            (Body::Bytes(bytes), None) => {
                let (start, bytes) = (self.queued as usize, (**bytes).as_ref());
                let portion = &bytes[start..bytes.len().min(start + PORTION_BYTES)];
                self.queued += portion.len() as u64;
                stream.send(portion);
            }
            _ => {}
        }
        Ok(Step::Queued)
    }

    /// Takes the next slice to read; `None` if there is none or the source is being read.
    fn next_read(&mut self, spare: &mut Vec<Vec<u8>>) -> Option<Job> {
        let offset = self.asked;
        if self.failed.is_some() || offset >= self.len || !matches!(self.body, Body::Source(_)) {
            return None;
        }
        let Body::Source(source) = std::mem::replace(&mut self.body, Body::Reading) else { return None };
        let len = (self.len - offset).min(SLICE_BYTES as u64);
        self.asked += len;
        let mut bytes = spare.pop().unwrap_or_default();
        bytes.resize(len as usize, 0);
        Some(Job { slice: Slice { serial: self.serial, source, bytes, result: Ok(()) }, offset })
    }
}
