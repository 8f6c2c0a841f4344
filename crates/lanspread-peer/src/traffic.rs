//! Bytes between network and disk: payloads are verified and written, chunks are read and sent, off the loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lanspread_core::io::{ChunkFault, DiskError, Input, ManifestFault, NetInput};
use lanspread_net::{Endpoint, LinkKey, Payload, PayloadKind, PayloadSource};
use lanspread_store::{ChunkReader, Incoming, ReadError, Spool, Store, WriteError};
use lanspread_types::message::{Refusal, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, ContentId, GameContent, GameId, PeerId, failpoint};
use tokio::sync::{Semaphore, mpsc};

use crate::disk::Reports;

/// What the answer to a request will be held against.
#[derive(Debug, Clone)]
enum Expected {
    Chunk(Place),
    Manifest(ContentId),
}

/// Where the chunks of a content go.
#[derive(Debug, Clone)]
enum Place {
    Download(Arc<Incoming>),
    Stream(Arc<Spool>),
}

impl Place {
    fn of(store: &Store, game: &GameId, content: ContentId) -> Option<Self> {
        let download = || store.incoming(game).filter(|incoming| incoming.content().content_id() == content);
        let stream = store.spool(game).filter(|spool| spool.content().content_id() == content);
        stream.map(Self::Stream).or_else(|| download().map(Self::Download))
    }

    fn write_chunk(&self, chunk: ChunkIndex, bytes: &[u8]) -> Result<(), WriteError> {
        match self {
            Self::Download(incoming) => incoming.write_chunk(chunk, bytes),
            Self::Stream(spool) => spool.write_chunk(chunk, bytes),
        }
    }
}

/// Which answers are expected. Shared between the loop, which asks, and the workers, which take the answers in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectations(Arc<Mutex<HashMap<(PeerId, RequestId), Expected>>>);

impl Expectations {
    /// Notes a request before it goes out. `false` when it makes no sense any more: the download is given up.
    pub fn note(&self, peer: PeerId, request: &Request, store: &Store) -> bool {
        let (game, content) = match request {
            Request::Cancel { .. } => return true,
            Request::Manifest { id, content, .. } => {
                self.lock().insert((peer, *id), Expected::Manifest(*content));
                return true;
            }
            Request::Chunk(request) => (&request.game, request.content),
            Request::Follow(request) => (&request.game, request.content),
        };
        let Some(place) = Place::of(store, game, content) else { return false };
        let expected = request.ids().into_iter().map(|id| ((peer, id), Expected::Chunk(place.clone())));
        self.lock().extend(expected);
        true
    }

    pub fn forget(&self, peer: PeerId, id: RequestId) {
        self.lock().remove(&(peer, id));
    }

    fn take(&self, peer: PeerId, id: RequestId) -> Option<Expected> {
        self.lock().remove(&(peer, id))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(PeerId, RequestId), Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chunks up to this size are read in one piece, which wakes one thread instead of two. Sixteen are sent at once: 4 MiB.
const READ_AT_ONCE_BYTES: u64 = 256 << 10;

/// Manifests that are decoded at once: a large one takes a second and three times its bytes.
const MANIFESTS_DECODED_MAX: usize = 1;

/// Takes payloads in until the endpoint is gone, a few at a time: one for each processor, and not less than four, so
/// that a thread that waits for the disk to sync does not leave a processor without hashing. Each thread takes the next
/// payload itself: with small chunks, waking threads costs more than hashing.
pub(crate) async fn take_in(payloads: mpsc::Receiver<Payload>, expectations: Expectations, reports: Reports) {
    let at_once = std::thread::available_parallelism().map_or(4, |processors| processors.get().max(4));
    let payloads = Arc::new(Mutex::new(payloads));
    let decoding = Arc::new(Semaphore::new(MANIFESTS_DECODED_MAX));
    let runtime = tokio::runtime::Handle::current();
    let worker = || {
        let (payloads, expectations, reports) = (payloads.clone(), expectations.clone(), reports.clone());
        let (decoding, runtime) = (decoding.clone(), runtime.clone());
        move || {
            loop {
                let next = payloads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let Some(payload) = next else { return };
                let Some(expected) = expectations.take(payload.peer, payload.id) else { continue };
                if matches!(payload.what, PayloadKind::Manifest) {
                    // How many wait is bounded by the network's budget for manifests.
                    runtime.spawn(decode(payload, expected, reports.clone(), decoding.clone()));
                } else if let Some(input) = check(&payload, &expected) {
                    // The loop has ended: nobody wants to know.
                    let _ = reports.send(Input::Net(input));
                }
            }
        }
    };
    let mut workers = tokio::task::JoinSet::new();
    (0..at_once).for_each(|_| drop(workers.spawn_blocking(worker())));
    while workers.join_next().await.is_some() {}
}

async fn decode(payload: Payload, expected: Expected, reports: Reports, decoding: Arc<Semaphore>) {
    let Ok(permit) = decoding.acquire_owned().await else { return };
    tokio::task::spawn_blocking(move || {
        if let Some(input) = check(&payload, &expected) {
            let _ = reports.send(Input::Net(input));
        }
        drop(permit);
    });
}

fn check(payload: &Payload, expected: &Expected) -> Option<NetInput> {
    let Payload { peer, id, what, ref bytes } = *payload;
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
        // The endpoint lets no answer of another kind than the request's through.
        _ => None,
    }
}

/// Answers a request for a chunk, on a blocking thread. An answer that is not even begun is refused and reported as served
/// in vain.
pub(crate) fn serve(
    endpoint: &Endpoint,
    store: &Store,
    reports: &Reports,
    (link, id): (LinkKey, RequestId),
    (content, chunk, incoming): (&Arc<GameContent>, ChunkIndex, bool),
) {
    let begun = !(incoming && failpoint!("never-serve-incoming"))
        && serve_chunk(endpoint, store, (link, id), content, chunk, incoming);
    if !begun {
        endpoint.refuse(link, id, Refusal::ReadFailed);
        let link = lanspread_core::io::LinkId(link.0);
        let _ = reports.send(Input::Net(NetInput::Served { link, id, bytes: 0, ok: false }));
    }
}

fn serve_chunk(
    endpoint: &Endpoint,
    store: &Store,
    (link, id): (LinkKey, RequestId),
    content: &Arc<GameContent>,
    chunk: ChunkIndex,
    incoming: bool,
) -> bool {
    let Some(place) = content.manifest().place(chunk) else { return false };
    let reader = match store.chunk_reader(content, incoming, chunk) {
        Ok(reader) => reader,
        // Given up since it was chosen: a window has moved on.
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
