//! Encoded manifests for other peers.
//!
//! While a manifest is being sent, it is in memory once, however many receivers it goes to. Manifests are encoded one
//! after the other on one thread. The node bounds how many are being sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lanspread_core::io::{Input, NetInput};
use lanspread_net::Endpoint;
use lanspread_types::message::{Refusal, RequestId, Response};
use lanspread_types::{ContentId, GameContent, LinkId, failpoint};

use crate::runtime::disk::Disk;
use crate::runtime::reports::Reports;

/// Largest encoded manifest, in bytes, that stays in memory when it is not being sent: that of a game of 80,000
/// files. It need not be encoded again for each of several receivers that come one by one.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// An encoded manifest.
type Encoded = Arc<Vec<u8>>;

/// Encodes manifests and hands them to the network.
#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    endpoint: Arc<Endpoint>,
    reports: Reports,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Manifests that are being sent.
    in_use: HashMap<ContentId, Weak<Vec<u8>>>,
    /// The manifest that was encoded last, if it is small enough to keep.
    kept: Option<Encoded>,
    /// Requests whose manifest is not encoded yet.
    waiting: VecDeque<(LinkId, RequestId, Arc<GameContent>)>,
    /// A thread is encoding, and will look at `waiting` again when it is done.
    encoding: bool,
}

/// Bytes that several answers share.
struct Shared(Encoded);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Manifests {
    /// Makes an empty store of manifests that answers through `endpoint`.
    pub fn new(endpoint: Arc<Endpoint>, reports: Reports) -> Self {
        Self { endpoint, reports, state: Arc::default() }
    }

    /// Answers a request, at once if the manifest is in memory. A manifest that cannot be encoded is refused and
    /// reported as a failed `Served`.
    pub fn serve(&self, disk: &Disk, link: LinkId, id: RequestId, content: Arc<GameContent>) {
        if failpoint!("unbounded-manifests") {
            let manifests = self.clone();
            return disk.spawn(move || manifests.send(link, id, encode(&content)));
        }
        let mut state = self.lock();
        if let Some(encoded) = state.in_use.get(&content.content_id()).and_then(Weak::upgrade) {
            drop(state);
            return self.send(link, id, Some(encoded));
        }
        state.waiting.push_back((link, id, content));
        if !std::mem::replace(&mut state.encoding, true) {
            let manifests = self.clone();
            disk.spawn(move || manifests.encode_waiting());
        }
    }

    /// Answers the waiting requests until none is left.
    fn encode_waiting(&self) {
        loop {
            let mut state = self.lock();
            let Some((link, id, content)) = state.waiting.pop_front() else {
                state.encoding = false;
                return;
            };
            let known = state.in_use.get(&content.content_id()).and_then(Weak::upgrade);
            drop(state);
            let encoded = known.or_else(|| self.encode(&content));
            self.send(link, id, encoded);
        }
    }

    /// Encodes a manifest and remembers it for further receivers.
    fn encode(&self, content: &GameContent) -> Option<Encoded> {
        let encoded = encode(content)?;
        let mut state = self.lock();
        state.in_use.retain(|_, encoded| encoded.strong_count() > 0);
        state.in_use.insert(content.content_id(), Arc::downgrade(&encoded));
        state.kept = (encoded.len() <= KEPT_BYTES_MAX).then(|| Arc::clone(&encoded));
        Some(encoded)
    }

    fn send(&self, link: LinkId, id: RequestId, encoded: Option<Encoded>) {
        let len = encoded.as_ref().and_then(|encoded| u32::try_from(encoded.len()).ok());
        if let (Some(encoded), Some(len)) = (encoded, len) {
            self.endpoint.serve_bytes(link, Response::Manifest { id, len }, Shared(encoded));
            return;
        }
        self.endpoint.refuse(link, id, Refusal::ReadFailed);
        // If this fails, the loop has ended and needs no report.
        let _ = self.reports.send(Input::Net(NetInput::Served { link, id, bytes: 0, ok: false }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(content: &GameContent) -> Option<Encoded> {
    lanspread_proto::manifest::encode(content).ok().map(Arc::new)
}
