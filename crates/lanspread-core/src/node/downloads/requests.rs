//! The open requests of all downloads: for which game each was made, and what it was charged.
//!
//! A request stays in the table until its answer has ended or its download has cancelled it, so a late answer finds
//! either its request or nothing. Which chunk was requested is known to the picker of the download.

use std::collections::BTreeMap;

use lanspread_types::message::RequestId;
use lanspread_types::{GameId, PeerId};

use crate::limits::MANIFEST_LEFTOVER_MAX;
use crate::node::outbox::Outbox;
use crate::time::Time;

/// Source and number of a request.
pub type RequestKey = (PeerId, RequestId);

/// A request whose answer has not ended.
#[derive(Debug, Default)]
pub struct OpenRequest {
    /// The game for which it was made; `None` once its answer is no longer needed.
    pub game: Option<GameId>,
    /// Bytes that the download limit was charged; 0 without a limit and once the answer has begun.
    pub charged: u64,
    /// When the connection is closed unless the answer has ended. Set for manifests that are no longer needed.
    deadline: Option<Time>,
}

/// All open requests.
#[derive(Debug, Default)]
pub struct RequestTable {
    open: BTreeMap<RequestKey, OpenRequest>,
    /// Number of the latest request.
    latest: u64,
    /// The earliest deadline in the table.
    next_deadline: Option<Time>,
}

impl RequestTable {
    /// Returns a number for a new request.
    pub fn next_id(&mut self) -> RequestId {
        self.latest += 1;
        RequestId(self.latest)
    }

    /// Adds a request.
    pub fn insert(&mut self, key: RequestKey, game: &GameId, charged: u64) {
        self.open.insert(key, OpenRequest { game: Some(game.clone()), charged, deadline: None });
    }

    /// Returns the game for which a request was made, if its answer is still needed.
    pub fn game(&self, key: &RequestKey) -> Option<&GameId> {
        self.open.get(key)?.game.as_ref()
    }

    /// Notes that the bytes of a chunk begin to arrive. The charge stays, whatever becomes of them.
    pub fn started(&mut self, key: &RequestKey) {
        if let Some(request) = self.open.get_mut(key) {
            request.charged = 0;
        }
    }

    /// Removes a request whose answer has ended.
    pub fn end(&mut self, key: &RequestKey) -> Option<OpenRequest> {
        let request = self.open.remove(key)?;
        if request.deadline.is_some() {
            self.find_next_deadline();
        }
        Some(request)
    }

    /// Cancels a request for a manifest. Its answer must end soon, or the connection is closed.
    pub fn give_up(&mut self, now: Time, key: RequestKey, outbox: &mut Outbox) {
        self.open.remove(&key);
        self.must_end_soon(now, key);
        outbox.cancel(key);
    }

    /// Sets a deadline for an answer that no download needs, unless it has one.
    pub fn must_end_soon(&mut self, now: Time, key: RequestKey) {
        self.open.entry(key).or_default().deadline.get_or_insert(now + MANIFEST_LEFTOVER_MAX);
        self.find_next_deadline();
    }

    /// Cancels all requests of a game. Those that might still be refunded stay until they end.
    pub fn cancel_all(&mut self, game: &GameId, outbox: &mut Outbox) {
        self.open.retain(|&key, request| {
            if request.game.as_ref() != Some(game) {
                return true;
            }
            outbox.cancel(key);
            request.game = None;
            request.charged > 0
        });
    }

    /// Forgets the deadlines of a peer that has left the room.
    pub fn peer_left(&mut self, peer: PeerId) {
        self.open.retain(|(of, _), request| *of != peer || request.deadline.is_none());
        self.find_next_deadline();
    }

    /// Returns the earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.next_deadline
    }

    /// Returns a source with an answer past its deadline, and forgets its deadlines.
    pub fn late_source(&mut self, now: Time) -> Option<PeerId> {
        self.next_deadline.filter(|deadline| *deadline <= now)?;
        let late = |request: &OpenRequest| request.deadline.is_some_and(|deadline| deadline <= now);
        let peer = self.open.iter().find(|(_, request)| late(request)).map(|((peer, _), _)| *peer)?;
        self.peer_left(peer);
        Some(peer)
    }

    fn find_next_deadline(&mut self) {
        self.next_deadline = self.open.values().filter_map(|request| request.deadline).min();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ADA: PeerId = PeerId([1; 32]);
    const BEN: PeerId = PeerId([2; 32]);

    #[test]
    fn cancelled_request_keeps_its_charge() {
        let (mut table, mut outbox) = (RequestTable::default(), Outbox::default());
        let game = GameId::new("game").unwrap();
        let [free, charged, begun] = std::array::from_fn(|_| (ADA, table.next_id()));
        for (key, bytes) in [(free, 0), (charged, 7), (begun, 7)] {
            table.insert(key, &game, bytes);
        }
        table.started(&begun);
        table.cancel_all(&game, &mut outbox);
        assert_eq!(std::iter::from_fn(|| outbox.pop()).count(), 3);
        assert!(table.game(&charged).is_none());
        assert_eq!(table.end(&charged).map(|request| request.charged), Some(7));
        assert!([free, charged, begun].iter().all(|key| table.end(key).is_none()));
    }

    #[test]
    fn late_manifest_closes_its_source_once() {
        let (mut table, mut outbox) = (RequestTable::default(), Outbox::default());
        let start = Time::START;
        let keys = [(BEN, RequestId(1)), (ADA, RequestId(2)), (ADA, RequestId(3))];
        for (key, seconds) in keys.into_iter().zip([0, 1, 2]) {
            table.give_up(start + Duration::from_secs(seconds), key, &mut outbox);
        }
        let due = start + MANIFEST_LEFTOVER_MAX;
        assert_eq!(table.next_deadline(), Some(due));
        assert!(table.end(&keys[0]).is_some(), "this answer ended in time");
        assert_eq!(
            (table.late_source(due), table.next_deadline()),
            (None, Some(due + Duration::from_secs(1)))
        );
        let late = due + Duration::from_secs(1);
        assert_eq!((table.late_source(late), table.late_source(late)), (Some(ADA), None));
        assert_eq!(table.next_deadline(), None);
    }
}
