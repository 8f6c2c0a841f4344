//! The sender's side: one uplink per peer, for all games and all receivers.
//!
//! The uplink decides which request is answered next and which is refused. It sends nothing itself: the caller carries
//! out each [`UplinkAction`]. Queues have bounds for each receiver and for all together, so no receiver can keep the
//! others from their turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lanspread_types::limits::{AWAITED_PER_SOURCE_MAX, REQUESTS_PER_SOURCE_MAX};
use lanspread_types::message::{ChunkRequest, FollowRequest, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ContentId, GameId, PeerId, failpoint};

use super::limit::RateLimit;
use crate::border::net::LinkId;
use crate::time::Time;

/// Answers that are sent at the same time. All peers that send to a receiver share its downlink, so with few sends the
/// uplink idles although many requests wait. The *bound* is the time that one copy of the game takes at line rate: six
/// receivers take 1.99 × the bound with one send, 1.29 with two, 1.07 with four, 1.02 with eight. A large room needs
/// more: thirty-two receivers take 1.14 with six, 1.08 to 1.10 with eight, 1.06 with sixteen. With more sends each
/// chunk arrives later, and a chunk that is half there cannot be passed on.
const SENDS_MAX: usize = 16;
/// Sends at the same time to one receiver: the second is ready when the first ends.
const SENDS_PER_PEER_MAX: usize = 2;
/// Requests by name that wait here while several receivers ask; further ones are refused. When a new chunk appears, all
/// receivers want it at once. If all of them queued at its first holder, they would not ask the peers that get the
/// chunk next. Refused receivers find those peers, so the chunk spreads as a tree. With eight sends, thirty-two
/// receivers take 1.08 × the bound (see `SENDS_MAX`) if two requests may wait, 1.09 if four, 1.16 if eight. If all
/// requests could wait, sixteen receivers took 2.5 × the bound; they requested chunks at most 32 ahead of the first
/// missing one.
const CROWD_MAX: usize = 3;
/// A receiver that has asked within this time still downloads.
const STILL_ASKS: Duration = Duration::from_secs(1);
/// Most requests that wait, over all receivers: two hundred guests with a full pipeline of sixteen requests each fit.
const WAITING_MAX: usize = 4096;
/// Most chunks that followers await, over all receivers: sixteen times what one may await. A peer usually has one
/// follower.
const AWAITED_MAX: usize = 16 * AWAITED_PER_SOURCE_MAX;

/// Chunks sent to followers before one other request is served, while followers keep the uplink busy.
const PASSED_OVER_MAX: u32 = 32;
/// Longest time that a request by name waits for followers. A follower may hang, or read slowly on purpose.
const FOLLOWERS_FIRST_FOR: Duration = Duration::from_millis(250);

/// Decides which request is answered next.
#[derive(Debug, Default)]
pub struct Uplink {
    receivers: BTreeMap<PeerId, Receiver>,
    active: BTreeMap<(LinkId, RequestId), Active>,
    /// Requests by name that wait.
    waiting: usize,
    /// Chunks that followers await.
    awaited: usize,
    /// Chunks sent to followers while a request by name waited, since the last request by name was served.
    passed_over: u32,
    /// Requests to be refused by the next calls of `next`.
    refused: VecDeque<(LinkId, RequestId, Refusal)>,
    limit: RateLimit,
}

/// Next step for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkAction {
    /// Send this chunk, then call [`Uplink::served`].
    Serve {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Receiver of the chunk.
        peer: PeerId,
        /// Game that the content belongs to.
        game: GameId,
        /// Content of the chunk.
        content: ContentId,
        /// Chunk to send.
        chunk: ChunkIndex,
    },
    /// Refuse this request.
    Refuse {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Reason to send.
        reason: Refusal,
    },
}

/// Requests of one peer.
#[derive(Debug, Default)]
struct Receiver {
    queue: VecDeque<NamedRequest>,
    /// Chunks that the receiver awaits as a follower, in order.
    awaited: VecDeque<Awaited>,
    /// Connections on which it asks.
    links: BTreeSet<LinkId>,
    /// Chunks sent to the receiver. Of equally busy receivers the one with the lowest number is next.
    turn: u64,
    /// Chunks that are being sent to it.
    active: usize,
    /// How many of these it awaited.
    following: usize,
    /// Time of its last request.
    last_asked: Time,
}

impl Receiver {
    /// Returns the position of the first awaited chunk that can be sent now.
    fn ready(&self, have: impl Fn(&ContentId, ChunkIndex) -> bool) -> Option<usize> {
        self.awaited.iter().position(|awaited| have(&awaited.content, awaited.chunk))
    }
}

/// A request by name: it names one chunk, and is refused if this peer lacks that chunk when its turn comes. An
/// [`Awaited`] chunk is waited for instead.
#[derive(Debug)]
struct NamedRequest {
    link: LinkId,
    request: ChunkRequest,
    since: Time,
}

/// A chunk that is sent as soon as this peer has it.
#[derive(Debug)]
struct Awaited {
    link: LinkId,
    id: RequestId,
    game: GameId,
    content: ContentId,
    chunk: ChunkIndex,
}

/// An answer that is being sent.
#[derive(Debug)]
struct Active {
    peer: PeerId,
    game: GameId,
    /// The receiver awaited this chunk as our follower.
    follows: bool,
}

impl Uplink {
    /// Creates an uplink without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a request for a chunk of a content with `chunks` chunks. An error is the refusal to send at once.
    pub fn enqueue(
        &mut self,
        link: LinkId,
        peer: PeerId,
        request: ChunkRequest,
        chunks: u32,
        now: Time,
    ) -> Result<(), Refusal> {
        if request.chunk.0 >= chunks {
            return Err(Refusal::NoSuchChunk);
        }
        if self.is_crowded(&peer) && !self.make_place(&peer) {
            return Err(Refusal::TooMany);
        }
        if self.receivers.range(..peer).any(|(_, first)| now < first.last_asked + STILL_ASKS)
            && failpoint!("serve-one-at-a-time")
        {
            return Err(Refusal::TooMany);
        }
        let turn = self.earliest_turn();
        let receiver = self.receivers.entry(peer).or_default();
        if receiver.queue.len() >= REQUESTS_PER_SOURCE_MAX || self.waiting >= WAITING_MAX {
            return Err(Refusal::TooMany);
        }
        // Idle receivers accrue no credit.
        receiver.turn = receiver.turn.max(turn);
        receiver.links.insert(link);
        receiver.last_asked = now;
        receiver.queue.push_back(NamedRequest { link, request, since: now });
        self.waiting += 1;
        Ok(())
    }

    /// Queues the chunks that a follower awaits of a content with `chunks` chunks, or refuses them.
    pub fn follow(&mut self, link: LinkId, peer: PeerId, request: &FollowRequest, chunks: u32, now: Time) {
        let turn = self.earliest_turn();
        let receiver = self.receivers.entry(peer).or_default();
        receiver.turn = receiver.turn.max(turn);
        receiver.links.insert(link);
        receiver.last_asked = now;
        for (id, chunk) in request.each() {
            if chunk.0 >= chunks {
                self.refused.push_back((link, id, Refusal::NoSuchChunk));
            } else if !self.may_await(&peer) {
                self.refused.push_back((link, id, Refusal::TooMany));
            } else if let Some(receiver) = self.receivers.get_mut(&peer) {
                let (game, content) = (request.game.clone(), request.content);
                receiver.awaited.push_back(Awaited { link, id, game, content, chunk });
                self.awaited += 1;
            }
        }
    }

    /// Returns true if the peer may await one chunk more. When all places are taken, the peer that holds most of them
    /// loses one.
    fn may_await(&mut self, peer: &PeerId) -> bool {
        let own = self.receivers.get(peer).map_or(0, |receiver| receiver.awaited.len());
        if own >= AWAITED_PER_SOURCE_MAX || self.awaited < AWAITED_MAX {
            return own < AWAITED_PER_SOURCE_MAX;
        }
        let longest = self.receivers.values_mut().max_by_key(|receiver| receiver.awaited.len());
        let Some(longest) = longest.filter(|receiver| receiver.awaited.len() > own + 1) else { return false };
        if let Some(Awaited { link, id, .. }) = longest.awaited.pop_back() {
            self.awaited -= 1;
            self.refused.push_back((link, id, Refusal::TooMany));
        }
        true
    }

    /// Cancels a request that the receiver no longer needs. It is refused if it still waits; an answer that is being
    /// sent continues.
    pub fn cancel(&mut self, link: LinkId, id: RequestId) {
        self.refuse_where(Refusal::Cancelled, |of, number, _| of == link && number == id);
    }

    /// Forgets a closed connection and all requests that were made on it.
    pub fn link_closed(&mut self, link: LinkId) {
        for receiver in self.receivers.values_mut() {
            let before = receiver.queue.len();
            receiver.queue.retain(|waiting| waiting.link != link);
            self.waiting -= before - receiver.queue.len();
            let before = receiver.awaited.len();
            receiver.awaited.retain(|awaited| awaited.link != link);
            self.awaited -= before - receiver.awaited.len();
            receiver.links.remove(&link);
        }
        self.refused.retain(|(refused, ..)| *refused != link);
        let lost: Vec<_> = self.active.keys().filter(|(active, _)| *active == link).copied().collect();
        for (link, id) in lost {
            self.finish(link, id);
        }
        self.receivers.retain(|_, r| !r.links.is_empty());
    }

    /// Refuses all requests for a content that is no longer here.
    pub fn content_gone(&mut self, content: &ContentId) {
        self.refuse_where(Refusal::NotDownloaded, |_, _, of| of == content);
    }

    /// Returns the next step, or `None` when nothing waits or enough is being sent. `have` tells which chunks are here.
    /// Call it until it returns `None`.
    pub fn next(&mut self, now: Time, have: impl Fn(&ContentId, ChunkIndex) -> bool) -> Option<UplinkAction> {
        if let Some((link, id, reason)) = self.refused.pop_front() {
            return Some(UplinkAction::Refuse { link, id, reason });
        }
        if self.active.len() >= SENDS_MAX || !self.limit.allows(now) {
            return None;
        }
        let (peer, follows) = self.next_receiver(&have, now)?;
        let receiver = self.receivers.get_mut(&peer)?;
        if follows {
            let ready = receiver.ready(&have)?;
            let Awaited { link, id, game, content, chunk } = receiver.awaited.remove(ready)?;
            receiver.following += 1;
            self.awaited -= 1;
            self.passed_over += u32::from(self.waiting > 0);
            self.start((link, id), Active { peer, game: game.clone(), follows });
            return Some(UplinkAction::Serve { link, id, peer, game, content, chunk });
        }
        self.passed_over = 0;
        let NamedRequest { link, request, .. } = receiver.queue.pop_front()?;
        self.waiting -= 1;
        let ChunkRequest { id, game, content, chunk } = request;
        if !have(&content, chunk) {
            return Some(UplinkAction::Refuse { link, id, reason: Refusal::NotHad });
        }
        self.start((link, id), Active { peer, game: game.clone(), follows });
        Some(UplinkAction::Serve { link, id, peer, game, content, chunk })
    }

    /// Notes that an answer was handed to the socket (`ok`), or that its connection failed, and charges its bytes to
    /// the limit. Returns true if it was a chunk that was sent to its end; the uplink does not know other answers.
    pub fn served(&mut self, link: LinkId, id: RequestId, bytes: u64, ok: bool, now: Time) -> bool {
        self.limit.spend(bytes, now);
        self.finish(link, id) && ok
    }

    /// Limits the rate to all receivers together; `None` lifts the limit.
    pub fn set_limit(&mut self, bytes_per_second: Option<u64>, now: Time) {
        self.limit.set(bytes_per_second, now);
    }

    /// Returns when to call `next` even if nothing has happened.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.waiting + self.awaited == 0 {
            return None;
        }
        let overdue = self.overdue_at().filter(|at| now < *at && self.is_feeding());
        self.limit.next_wakeup(now).or(overdue)
    }

    /// Returns true if some peer other than `peer` follows us.
    pub fn feeds_another(&self, peer: &PeerId) -> bool {
        self.receivers.iter().any(|(other, r)| other != peer && (r.following > 0 || !r.awaited.is_empty()))
    }

    /// Returns true if no request by name waits and no chunk is being sent.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.active.is_empty()
    }

    /// Returns the number of chunks that wait or are being sent, by game.
    pub fn active_per_game(&self) -> BTreeMap<GameId, usize> {
        let mut games = BTreeMap::new();
        let queued = self.receivers.values().flat_map(|r| &r.queue).map(|waiting| &waiting.request.game);
        let awaited = self.receivers.values().flat_map(|r| &r.awaited).map(|awaited| &awaited.game);
        for game in queued.chain(awaited).chain(self.active.values().map(|active| &active.game)) {
            *games.entry(game.clone()).or_insert(0) += 1;
        }
        games
    }

    /// Returns the receiver whose turn it is, and whether it gets an awaited chunk. Of the receivers that qualify, the
    /// least busy one is next; of equally busy ones, the one that got fewest chunks.
    fn next_receiver(
        &self,
        have: &impl Fn(&ContentId, ChunkIndex) -> bool,
        now: Time,
    ) -> Option<(PeerId, bool)> {
        let least = |may: &dyn Fn(&Receiver) -> bool| {
            let may = self.receivers.iter().filter(|(_, r)| r.active < SENDS_PER_PEER_MAX && may(r));
            may.min_by_key(|(_, r)| (r.active, r.turn)).map(|(peer, _)| *peer)
        };
        let follower = || least(&|r| r.ready(have).is_some()).map(|peer| (peer, true));
        let other = || least(&|r| !r.queue.is_empty()).map(|peer| (peer, false));
        let either = || {
            let peer = least(&|r| !r.queue.is_empty() || r.ready(have).is_some())?;
            Some((peer, self.receivers[&peer].queue.is_empty()))
        };
        if self.is_overdue(now) || self.passed_over >= PASSED_OVER_MAX {
            either()
        } else if self.is_feeding() {
            follower()
        } else {
            follower().or_else(other)
        }
    }

    /// Returns true if a request by name has waited for followers long enough.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.waiting > 0 && self.overdue_at().is_some_and(|at| at <= now)
    }

    /// Returns true if a chunk is being sent to a follower.
    fn is_feeding(&self) -> bool {
        self.receivers.values().any(|r| r.following > 0)
    }

    /// Returns when the oldest request by name will have waited for followers long enough.
    fn overdue_at(&self) -> Option<Time> {
        let oldest =
            self.receivers.values().filter_map(|r| r.queue.front()).map(|waiting| waiting.since).min();
        oldest.map(|since| since + FOLLOWERS_FIRST_FOR)
    }

    fn start(&mut self, key: (LinkId, RequestId), active: Active) {
        if let Some(receiver) = self.receivers.get_mut(&active.peer) {
            receiver.active += 1;
            receiver.turn += 1;
        }
        self.active.insert(key, active);
    }

    /// Ends an answer. Returns false if no such answer was being sent.
    fn finish(&mut self, link: LinkId, id: RequestId) -> bool {
        let Some(active) = self.active.remove(&(link, id)) else { return false };
        if let Some(receiver) = self.receivers.get_mut(&active.peer) {
            receiver.active -= 1;
            receiver.following -= usize::from(active.follows);
        }
        true
    }

    fn refuse_where(&mut self, reason: Refusal, which: impl Fn(LinkId, RequestId, &ContentId) -> bool) {
        for receiver in self.receivers.values_mut() {
            receiver.queue.retain(|waiting| {
                let refuse = which(waiting.link, waiting.request.id, &waiting.request.content);
                if refuse {
                    self.refused.push_back((waiting.link, waiting.request.id, reason));
                    self.waiting -= 1;
                }
                !refuse
            });
            receiver.awaited.retain(|awaited| {
                let refuse = which(awaited.link, awaited.id, &awaited.content);
                if refuse {
                    self.refused.push_back((awaited.link, awaited.id, reason));
                    self.awaited -= 1;
                }
                !refuse
            });
        }
    }

    /// Returns true if enough requests wait that this peer had better ask another source. Never true for the only peer
    /// with requests.
    fn is_crowded(&self, peer: &PeerId) -> bool {
        let own = self.receivers.get(peer).map_or(0, |receiver| receiver.queue.len());
        self.waiting >= CROWD_MAX && self.waiting > own
    }

    /// Makes room for `peer` by refusing the newest request of the peer with the longest queue. Returns false if no
    /// queue is long enough. Without this, the first receiver would keep all places until its download is done: it may
    /// fill the queue while it is the only one, and later it replaces each served request at once.
    fn make_place(&mut self, peer: &PeerId) -> bool {
        let own = self.receivers.get(peer).map_or(0, |receiver| receiver.queue.len());
        let others = self.receivers.values_mut();
        let takes_all = |r: &&mut Receiver| r.queue.len() >= CROWD_MAX && r.queue.len() > own + 1;
        let Some(longest) = others.max_by_key(|r| r.queue.len()).filter(takes_all) else { return false };
        let Some(NamedRequest { link, request, .. }) = longest.queue.pop_back() else { return false };
        self.waiting -= 1;
        self.refused.push_back((link, request.id, Refusal::TooMany));
        true
    }

    /// Returns the turn with which a receiver starts to ask: the lowest turn of the receivers that ask now, or the
    /// highest of all if none asks.
    fn earliest_turn(&self) -> u64 {
        let asks = |r: &&Receiver| !r.queue.is_empty() || !r.awaited.is_empty() || r.active > 0;
        let asking = self.receivers.values().filter(asks);
        asking
            .map(|r| r.turn)
            .min()
            .unwrap_or_else(|| self.receivers.values().map(|r| r.turn).max().unwrap_or(0))
    }
}
