//! The requests of one download that have no answer yet.

use std::collections::BTreeMap;

use lanspread_types::message::RequestId;
use lanspread_types::{ChunkIndex, PeerId};

use crate::time::Time;

pub(super) type RequestKey = (PeerId, RequestId);

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub chunk: ChunkIndex,
    /// Bytes to expect.
    pub bytes: u64,
    pub asked: Time,
    /// When another source may be asked for the same chunk.
    pub late_at: Time,
    /// Its bytes are coming.
    pub started: bool,
    /// The source sends it as soon as it has it, which may take its time.
    pub awaited: bool,
    /// No longer wanted; an answer may come all the same.
    pub dropped: bool,
}

/// All requests in flight, and for each chunk how many of them will bring it.
#[derive(Debug)]
pub(super) struct Requests {
    asked: BTreeMap<RequestKey, Asked>,
    carriers: Vec<u8>,
}

impl Requests {
    pub fn new(chunks: u32) -> Self {
        Self { asked: BTreeMap::new(), carriers: vec![0; chunks as usize] }
    }

    /// Requests that are wanted and will bring this chunk.
    pub fn carriers(&self, chunk: ChunkIndex) -> u8 {
        self.carriers.get(chunk.as_usize()).copied().unwrap_or(0)
    }

    pub fn get(&self, key: &RequestKey) -> Option<&Asked> {
        self.asked.get(key)
    }

    pub fn insert(&mut self, key: RequestKey, asked: Asked) {
        if !asked.dropped {
            self.carriers[asked.chunk.as_usize()] += 1;
        }
        self.asked.insert(key, asked);
    }

    pub fn remove(&mut self, key: &RequestKey) -> Option<Asked> {
        let asked = self.asked.remove(key)?;
        if !asked.dropped {
            self.carriers[asked.chunk.as_usize()] -= 1;
        }
        Some(asked)
    }

    /// Changes how many bytes a request is expected to bring; returns what was expected before.
    pub fn set_bytes(&mut self, key: &RequestKey, bytes: u64) -> u64 {
        self.asked.get_mut(key).map_or(0, |asked| std::mem::replace(&mut asked.bytes, bytes))
    }

    /// All requests, dropped ones included.
    pub fn all(&self) -> impl Iterator<Item = (&RequestKey, &Asked)> {
        self.asked.iter()
    }

    /// The bytes begin to come.
    pub fn start(&mut self, key: &RequestKey, late_at: Time) {
        if let Some(asked) = self.asked.get_mut(key) {
            (asked.late_at, asked.started) = (late_at, true);
        }
    }

    /// Takes a request out of account, without forgetting that an answer may come.
    pub fn drop_wanted(&mut self, key: &RequestKey) {
        let Some(asked) = self.asked.get_mut(key) else { return };
        if !std::mem::replace(&mut asked.dropped, true) {
            self.carriers[asked.chunk.as_usize()] -= 1;
        }
    }

    /// The wanted requests that will bring this chunk.
    pub fn bringing(&self, chunk: ChunkIndex) -> Vec<RequestKey> {
        let bringing = |(_, asked): &(_, &Asked)| asked.chunk == chunk && !asked.dropped;
        self.asked.iter().filter(bringing).map(|(key, _)| *key).collect()
    }

    /// The requests at one source, dropped ones included.
    pub fn at(&self, peer: PeerId) -> Vec<RequestKey> {
        let all = (peer, RequestId(0))..=(peer, RequestId(u64::MAX));
        self.asked.range(all).map(|(key, _)| *key).collect()
    }

    /// The requests that are still wanted.
    pub fn wanted(&self) -> impl Iterator<Item = (&RequestKey, &Asked)> {
        self.asked.iter().filter(|(_, asked)| !asked.dropped)
    }

    /// All requests, dropped ones included.
    pub fn len(&self) -> usize {
        self.asked.len()
    }
}
