//! Answers on their way out of a link: which bytes are queued next, and which file is read ahead.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lanspread_proto::encode;
use lanspread_types::message::{Refusal, RequestId, Response};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::limits::{PORTION_BYTES, SLICE_BYTES};
use crate::link::{Answer, Body, LinkEnd, PayloadSource};
use crate::stream::TlsStream;

/// Slices that are read and not yet queued, or being read: one for the socket, one ahead.
const SLICES_AHEAD: usize = 2;

#[derive(Default)]
pub(crate) struct Queue {
    pending: VecDeque<Pending>,
    /// Reads the next slice off the async threads.
    reader: Option<JoinHandle<Slice>>,
    /// Answers that are queued and not yet written to the socket.
    queued: VecDeque<Queued>,
    last_serial: u64,
    /// Buffers for slices.
    spare: Vec<Vec<u8>>,
}

/// An answer that is not yet queued in full.
struct Pending {
    serial: u64,
    head: Response,
    len: u64,
    /// Bytes of payload that are queued.
    queued: u64,
    head_queued: bool,
    body: Body,
    /// Bytes of payload that are read or being read, from a source.
    asked: u64,
    slices: VecDeque<Vec<u8>>,
    failed: Option<io::Error>,
}

struct Queued {
    id: RequestId,
    bytes: u64,
    /// Where the answer ends in the stream of bytes on the wire.
    end: u64,
}

/// What a reader brings back.
pub(crate) struct Slice {
    serial: u64,
    source: Box<dyn PayloadSource>,
    bytes: Vec<u8>,
    result: io::Result<()>,
}

/// What came of sending.
pub(crate) enum Step {
    Queued,
    /// Nothing is there, or a slice is still being read.
    Wait,
    /// This answer could not be read and was turned into a refusal.
    Refused(RequestId),
}

pub(crate) fn id_and_len(head: &Response) -> (RequestId, u64) {
    match *head {
        Response::Chunk { id, len, .. } | Response::Manifest { id, len } => (id, u64::from(len)),
        Response::Refused { id, .. } => (id, 0),
    }
}

impl Queue {
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

    /// Queues the next portion.
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

    /// Starts the reader on the first slice that nobody has asked for, if there is room for it.
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

    /// Waits for the reader; for ever, if it has nothing to do. To be followed by [`Self::accept`].
    pub(crate) async fn reader_done(&mut self) -> Result<Slice, JoinError> {
        match &mut self.reader {
            Some(reader) => reader.await,
            None => std::future::pending().await,
        }
    }

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

    /// Answers that end before this position in the stream of bytes on the wire, with their bytes of payload.
    pub(crate) fn written(&mut self, position: u64) -> Vec<(RequestId, u64)> {
        let done = self.queued.partition_point(|queued| queued.end <= position);
        self.queued.drain(..done).map(|queued| (queued.id, queued.bytes)).collect()
    }

    /// Takes back buffers whose bytes are encrypted.
    pub(crate) fn reuse(&mut self, buffers: Vec<Vec<u8>>) {
        self.spare.extend(buffers);
        self.spare.truncate(SLICES_AHEAD + 1);
    }

    /// Gives back memory; for when nothing is to be sent.
    pub(crate) fn rest(&mut self) {
        if self.pending.is_empty() {
            self.spare = Vec::new();
        }
    }

    /// A read that has begun cannot be stopped, but no file shall stay open after the link's end if that can be helped.
    pub(crate) async fn wait_for_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            // A drive that hangs for longer than this is not waited for.
            let _ = timeout(Duration::from_secs(1), reader).await;
        }
    }

    /// Answers with a payload that did not get out in full.
    pub(crate) fn unfinished(self) -> Vec<RequestId> {
        let pending =
            self.pending.iter().filter(|pending| !matches!(pending.body, Body::None) || pending.asked > 0);
        let pending = pending.map(|pending| id_and_len(&pending.head).0);
        self.queued.iter().map(|queued| queued.id).chain(pending).collect()
    }
}

struct Job {
    slice: Slice,
    offset: u64,
}

impl Pending {
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

    /// The next slice to read; `None` if there is nothing to read or it is being read.
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
