//! Requests of one download that have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use lanspread_types::message::RequestId;
use lanspread_types::{ChunkIndex, PeerId};

use crate::time::Time;

/// Source and number of a request.
pub(super) type RequestKey = (PeerId, RequestId);

/// A request in flight.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The requested chunk.
    pub chunk: ChunkIndex,
    /// Expected bytes. 0 while a doubted source has not begun to send.
    pub bytes: u64,
    /// Time of the request.
    pub asked: Time,
    /// Time from which another source may be asked for the same chunk.
    pub late_at: Time,
    /// The bytes have begun to arrive.
    pub started: bool,
    /// The source sends the chunk as soon as it has it, which may take long.
    pub awaited: bool,
    /// The chunk is no longer wanted from this source; an answer may still arrive.
    pub dropped: bool,
}

/// All requests in flight, and how many of them will bring each chunk.
#[derive(Debug)]
pub(super) struct Requests {
    asked: BTreeMap<RequestKey, Asked>,
    /// Requests to be answered soon: all except awaited ones whose bytes have not begun to arrive.
    due: BTreeSet<RequestKey>,
    /// Number of wanted requests for each chunk.
    carriers: Vec<u8>,
}

impl Requests {
    /// Creates an empty table for a content of `chunks` chunks.
    pub fn new(chunks: u32) -> Self {
        Self { asked: BTreeMap::new(), due: BTreeSet::new(), carriers: vec![0; chunks as usize] }
    }

    /// Returns the number of wanted requests for a chunk.
    pub fn carriers(&self, chunk: ChunkIndex) -> u8 {
        self.carriers.get(chunk.as_usize()).copied().unwrap_or(0)
    }

    /// Returns the request with this key.
    pub fn get(&self, key: &RequestKey) -> Option<&Asked> {
        self.asked.get(key)
    }

    /// Adds a request.
    pub fn insert(&mut self, key: RequestKey, asked: Asked) {
        if !asked.dropped {
            self.carriers[asked.chunk.as_usize()] += 1;
        }
        if asked.started || !asked.awaited {
            self.due.insert(key);
        }
        self.asked.insert(key, asked);
    }

    /// Removes a request that has ended.
    pub fn remove(&mut self, key: &RequestKey) -> Option<Asked> {
        let asked = self.asked.remove(key)?;
        self.due.remove(key);
        if !asked.dropped {
            self.carriers[asked.chunk.as_usize()] -= 1;
        }
        Some(asked)
    }

    /// Sets the bytes that a request is expected to bring. Returns the previous number, or 0 for an unknown request.
    pub fn set_bytes(&mut self, key: &RequestKey, bytes: u64) -> u64 {
        self.asked.get_mut(key).map_or(0, |asked| std::mem::replace(&mut asked.bytes, bytes))
    }

    /// Returns the requests to be answered soon, dropped ones included. A follower awaits hundreds of chunks that its
    /// upstream may not have yet; they are left out until their bytes begin to arrive.
    pub fn due(&self) -> impl Iterator<Item = (&RequestKey, &Asked)> {
        self.due.iter().filter_map(|key| self.asked.get_key_value(key))
    }

    /// Returns the sources with requests, each once.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        let mut next = self.asked.keys().next();
        std::iter::from_fn(move || {
            let &(peer, _) = next?;
            let behind = Bound::Excluded((peer, RequestId(u64::MAX)));
            next = self.asked.range((behind, Bound::Unbounded)).next().map(|(key, _)| key);
            Some(peer)
        })
    }

    /// Notes that the bytes of a request begin to arrive.
    pub fn start(&mut self, key: &RequestKey, late_at: Time) {
        if let Some(asked) = self.asked.get_mut(key) {
            (asked.late_at, asked.started) = (late_at, true);
            self.due.insert(*key);
        }
    }

    /// Marks a request as no longer wanted. It stays in the table until it ends.
    pub fn drop_wanted(&mut self, key: &RequestKey) {
        let Some(asked) = self.asked.get_mut(key) else { return };
        if !std::mem::replace(&mut asked.dropped, true) {
            self.carriers[asked.chunk.as_usize()] -= 1;
        }
    }

    /// Returns the wanted requests for a chunk.
    pub fn bringing(&self, chunk: ChunkIndex) -> Vec<RequestKey> {
        let bringing = |(_, asked): &(_, &Asked)| asked.chunk == chunk && !asked.dropped;
        self.asked.iter().filter(bringing).map(|(key, _)| *key).collect()
    }

    /// Returns the requests at one source, dropped ones included.
    pub fn at(&self, peer: PeerId) -> Vec<RequestKey> {
        let all = (peer, RequestId(0))..=(peer, RequestId(u64::MAX));
        self.asked.range(all).map(|(key, _)| *key).collect()
    }

    /// Returns the requests that are wanted and to be answered soon.
    pub fn wanted(&self) -> impl Iterator<Item = (&RequestKey, &Asked)> {
        self.due().filter(|(_, asked)| !asked.dropped)
    }

    /// Returns the number of requests, dropped ones included.
    pub fn len(&self) -> usize {
        self.asked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awaited_requests_are_due_once_they_begin() {
        let mut requests = Requests::new(8);
        let [ada, ben] = [PeerId([1; 32]), PeerId([2; 32])];
        for (peer, id, awaited) in [(ada, 1, true), (ada, 2, true), (ben, 3, false)] {
            let chunk = ChunkIndex(id as u32);
            let (asked, late_at) = (Time::START, Time::MAX);
            let asked = Asked { chunk, bytes: 1, asked, late_at, started: false, awaited, dropped: false };
            requests.insert((peer, RequestId(id)), asked);
        }
        let due = |requests: &Requests| requests.due().map(|(key, _)| key.1.0).collect::<Vec<_>>();
        assert_eq!((due(&requests), requests.peers().collect::<Vec<_>>()), (vec![3], vec![ada, ben]));
        requests.start(&(ada, RequestId(2)), Time::START);
        assert_eq!(due(&requests), [2, 3]);
        requests.drop_wanted(&(ben, RequestId(3)));
        assert_eq!((requests.wanted().count(), requests.carriers(ChunkIndex(3))), (1, 0));
        assert!((1..3).all(|id| requests.remove(&(ada, RequestId(id))).is_some()));
        assert_eq!((due(&requests), requests.peers().collect::<Vec<_>>()), (vec![3], vec![ben]));
    }
}
