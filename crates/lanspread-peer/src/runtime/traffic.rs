//! Bytes between network and disk: verifies and writes payloads, and reads and sends chunks, off the loop.
//!
//! A chunk is reported as arrived only after it was verified and written.
//! The network and the node bound how many bytes are on their way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::TrySendError;
use lanspread_core::io::{ChunkFault, DiskError, Input, ManifestFault, NetInput};
use lanspread_net::{Endpoint, Payload, PayloadKind, PayloadSource, PooledBuf};
use lanspread_store::{ChunkReader, Incoming, ReadError, Spool, Store, WriteError};
use lanspread_types::message::{Refusal, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, ContentId, GameContent, GameId, LinkId, failpoint};
use tokio::sync::{Semaphore, mpsc};

use crate::runtime::reports::Reports;

/// What the answer to a request must be. It travels with the request through the network layer.
#[derive(Debug)]
pub(crate) enum Expected {
    Chunk(ChunkTarget),
    Manifest(ContentId),
    /// A cancellation, which has no answer.
    Nothing,
}

impl Expected {
    /// Returns what will answer a request. `None` if the request is obsolete, because the download is given up.
    pub fn of(request: &Request, store: &Store) -> Option<Self> {
        match request {
            Request::Cancel { .. } => Some(Self::Nothing),
            Request::Manifest { content, .. } => Some(Self::Manifest(*content)),
            Request::Chunk(request) => {
                ChunkTarget::of(store, &request.game, request.content).map(Self::Chunk)
            }
            Request::Follow(request) => {
                ChunkTarget::of(store, &request.game, request.content).map(Self::Chunk)
            }
        }
    }
}

/// Where the chunks of a content are written.
#[derive(Debug)]
pub(crate) enum ChunkTarget {
    Download(Arc<Incoming>),
    Stream(Arc<Spool>),
}

impl ChunkTarget {
    /// Returns the open place of this content, or `None` if its download or streamed install is given up.
    fn of(store: &Store, game: &GameId, content: ContentId) -> Option<Self> {
        let download = || store.incoming(game).filter(|incoming| incoming.content().content_id() == content);
        let stream = store.spool(game).filter(|spool| spool.content().content_id() == content);
        stream.map(Self::Stream).or_else(|| download().map(Self::Download))
    }

    fn content(&self) -> ContentId {
        match self {
            Self::Download(incoming) => incoming.content().content_id(),
            Self::Stream(spool) => spool.content().content_id(),
        }
    }

    fn write_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        match self {
            Self::Download(incoming) => incoming.write_chunk(chunk, bytes),
            Self::Stream(spool) => spool.write_chunk(chunk, bytes),
        }
    }
}

/// Chunks that arrived a moment ago, which the workers put in and the loop serves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    recent: Arc<Mutex<Recent>>,
}

impl Traffic {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request with a chunk that has just arrived. Returns false if the chunk must be read from disk.
    pub fn serve_recent(
        &self,
        endpoint: &Endpoint,
        (link, id): (LinkId, RequestId),
        content: &GameContent,
        chunk: ChunkIndex,
    ) -> bool {
        // Both failpoints act where chunks are read from disk.
        if failpoint!("never-serve-incoming") {
            return false;
        }
        if failpoint!("serve-wrong-content") {
            return false;
        }
        let Some(bytes) = self.recent().get(content.content_id(), chunk) else { return false };
        endpoint.serve_bytes(
            link,
            Response::Chunk { id, chunk, len: bytes.len() as u32 },
            SharedBytes(bytes),
        );
        true
    }
}

/// Most bytes of verified chunks that are kept in memory: at least sixteen chunks of a game of up to 2 GiB.
const RECENT_BYTES_MAX: usize = 4 << 20;

/// Chunks that arrived last. A follower usually awaits each of them already, so they need not be read from disk.
#[derive(Debug, Default)]
struct Recent {
    chunks: VecDeque<(ContentId, ChunkIndex, Arc<PooledBuf>)>,
    bytes: usize,
}

impl Recent {
    fn put(&mut self, content: ContentId, chunk: ChunkIndex, bytes: PooledBuf) {
        self.bytes += bytes.len();
        self.chunks.push_back((content, chunk, Arc::new(bytes)));
        while self.bytes > RECENT_BYTES_MAX
            && let Some((.., oldest)) = self.chunks.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn get(&self, content: ContentId, chunk: ChunkIndex) -> Option<Arc<PooledBuf>> {
        let same = |(of, index, _): &&(ContentId, ChunkIndex, _)| (*of, *index) == (content, chunk);
        self.chunks.iter().rev().find(same).map(|(.., bytes)| Arc::clone(bytes))
    }
}

/// Bytes of a chunk that several answers share.
struct SharedBytes(Arc<PooledBuf>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Largest chunk, in bytes, that is read in one piece, which wakes one thread instead of two. Sixteen are sent at once:
/// 4 MiB.
const READ_AT_ONCE_BYTES: u64 = 256 << 10;

/// Most manifests that are decoded at once. A large one takes a second, and memory of three times its size.
const MANIFESTS_DECODED_MAX: usize = 1;

/// Takes in payloads until the endpoint is gone.
///
/// One thread receives each payload, and verifies and writes it itself, because waking another thread costs more than
/// hashing a small chunk. While more payloads wait, it hands payloads to idle threads. There are as many threads as
/// processors, and at least four, because some may wait for the disk.
pub(crate) async fn take_in(mut payloads: mpsc::Receiver<Payload>, traffic: Traffic, reports: Reports) {
    let at_once = std::thread::available_parallelism().map_or(4, |processors| processors.get().max(4));
    let worker = Worker {
        traffic,
        reports,
        decoding: Arc::new(Semaphore::new(MANIFESTS_DECODED_MAX)),
        runtime: tokio::runtime::Handle::current(),
    };
    // A channel of capacity zero hands a payload over only to an idle thread.
    let (handed, taken) = crossbeam_channel::bounded::<Payload>(0);
    let mut threads = tokio::task::JoinSet::new();
    for _ in 1..at_once {
        let (worker, taken) = (worker.clone(), taken.clone());
        threads.spawn_blocking(move || taken.iter().for_each(|payload| worker.take(payload)));
    }
    threads.spawn_blocking(move || {
        while let Some(payload) = payloads.blocking_recv() {
            let own = if payloads.is_empty() {
                Some(payload)
            } else {
                handed.try_send(payload).err().map(TrySendError::into_inner)
            };
            if let Some(payload) = own {
                worker.take(payload);
            }
        }
    });
    while threads.join_next().await.is_some() {}
}

/// What a thread needs to take in payloads.
#[derive(Clone)]
struct Worker {
    traffic: Traffic,
    reports: Reports,
    decoding: Arc<Semaphore>,
    runtime: tokio::runtime::Handle,
}

impl Worker {
    /// Verifies and writes a chunk, or has a manifest decoded, and reports the result.
    fn take(&self, payload: Payload) {
        // Every request of this program has a context of this type.
        let Ok(expected) = Arc::clone(&payload.context).downcast::<Expected>() else { return };
        if matches!(payload.what, PayloadKind::Manifest) {
            // The network's budget for manifests bounds how many wait.
            self.runtime.spawn(decode(payload, expected, self.reports.clone(), self.decoding.clone()));
        } else if let Some(input) = check(&payload, &expected) {
            if let NetInput::ChunkEnded { chunk, result: Ok(()), .. } = input
                && let Expected::Chunk(place) = &*expected
            {
                self.traffic.recent().put(place.content(), chunk, payload.bytes);
            }
            // If this fails, the loop has ended and needs no report.
            let _ = self.reports.send(Input::Net(input));
        }
    }
}

/// Decodes a manifest on a blocking thread when a permit is free, and reports it.
async fn decode(payload: Payload, expected: Arc<Expected>, reports: Reports, decoding: Arc<Semaphore>) {
    let Ok(permit) = decoding.acquire_owned().await else { return };
    tokio::task::spawn_blocking(move || {
        if let Some(input) = check(&payload, &expected) {
            let _ = reports.send(Input::Net(input));
        }
        drop(permit);
    });
}

/// Verifies a payload against what was expected; a chunk is written, too. Returns the input for the node.
fn check(payload: &Payload, expected: &Expected) -> Option<NetInput> {
    let Payload { peer, id, what, ref bytes, .. } = *payload;
    match (what, expected) {
        (PayloadKind::Chunk(chunk), Expected::Chunk(place)) => {
            let result = place.write_chunk(chunk, bytes).map_err(|error| match error {
                WriteError::Corrupt => ChunkFault::Corrupt,
                other => ChunkFault::Write(DiskError::from(other)),
            });
            Some(NetInput::ChunkEnded { peer, id, chunk, result })
        }
        (PayloadKind::Manifest, Expected::Manifest(content)) => {
            let decoded = lanspread_proto::manifest::decode(bytes).map_err(|e| e.to_string());
            let expected = decoded.and_then(|found| found.expect(*content).map_err(|e| e.to_string()));
            Some(NetInput::ManifestArrived {
                peer,
                id,
                result: expected.map(Arc::new).map_err(ManifestFault),
            })
        }
        // Cannot happen: the endpoint passes on only answers of the requested kind.
        _ => None,
    }
}

/// Answers a request for a chunk, on a blocking thread. A chunk that cannot be read is refused and reported as a failed
/// `Served`.
pub(crate) fn serve(
    endpoint: &Endpoint,
    store: &Store,
    reports: &Reports,
    (link, id): (LinkId, RequestId),
    (content, chunk, incoming): (&Arc<GameContent>, ChunkIndex, bool),
) {
    let begun = !(incoming && failpoint!("never-serve-incoming"))
        && serve_chunk(endpoint, store, (link, id), content, chunk, incoming);
    if !begun {
        endpoint.refuse(link, id, Refusal::ReadFailed);
        let _ = reports.send(Input::Net(NetInput::Served { link, id, bytes: 0, ok: false }));
    }
}

/// Gives the answer to the endpoint. Returns false if the chunk cannot be read.
fn serve_chunk(
    endpoint: &Endpoint,
    store: &Store,
    (link, id): (LinkId, RequestId),
    content: &Arc<GameContent>,
    chunk: ChunkIndex,
    incoming: bool,
) -> bool {
    let Some(place) = content.manifest().place(chunk) else { return false };
    let reader = match store.chunk_reader(content, incoming, chunk) {
        Ok(reader) => reader,
        // The chunk was dropped since it was chosen, because the window of a streamed install has moved on.
        Err(ReadError::NoSuchChunk(_)) => return false,
        Err(error) => {
            tracing::warn!(game = %content.manifest().game(), %chunk, %error, "a chunk cannot be read");
            return false;
        }
    };
    let head = Response::Chunk { id, chunk, len: place.len as u32 };
    let mut source = FromDisk(reader);
    if place.len > READ_AT_ONCE_BYTES {
        endpoint.serve_source(link, head, Box::new(source));
        return true;
    }
    let mut bytes = vec![0; place.len as usize];
    if let Err(error) = source.read_at(0, &mut bytes) {
        tracing::warn!(game = %content.manifest().game(), %chunk, %error, "a chunk cannot be read");
        return false;
    }
    endpoint.serve_bytes(link, head, bytes);
    true
}

/// A chunk on disk as the source of a payload.
struct FromDisk(ChunkReader);

impl PayloadSource for FromDisk {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buf).map_err(std::io::Error::other)?;
        if failpoint!("serve-wrong-content")
            && let Some(byte) = buf.first_mut()
        {
            *byte ^= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_chunks_are_kept_and_their_bytes_are_bounded() {
        let (mut recent, content) = (Recent::default(), ContentId([7; 32]));
        let quarter = RECENT_BYTES_MAX / 4;
        for chunk in 0..6 {
            recent.put(content, ChunkIndex(chunk), PooledBuf::unpooled(vec![chunk as u8; quarter]));
        }
        let kept = (0..6).filter(|&chunk| recent.get(content, ChunkIndex(chunk)).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(recent.get(content, ChunkIndex(5)).map(|bytes| bytes[0]), Some(5));
        assert!(recent.get(ContentId([8; 32]), ChunkIndex(5)).is_none());
        recent.put(content, ChunkIndex(6), PooledBuf::unpooled(vec![6; RECENT_BYTES_MAX + 1]));
        assert!(recent.chunks.is_empty() && recent.bytes == 0, "a chunk larger than the bound is not kept");
    }
}
