//! The sender's side: one per peer, over all games and all who ask.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lanspread_types::limits::{AWAITED_PER_SOURCE_MAX, REQUESTS_PER_SOURCE_MAX};
use lanspread_types::message::{ChunkRequest, FollowRequest, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ContentId, GameId, PeerId, failpoint};

use super::limit::RateLimit;
use crate::io::LinkId;
use crate::time::Time;

/// Answers that are sent at once. A receiver's downlink is shared by all who send to it, so few sends leave the uplink
/// idle although many wait: with one, six receivers take 1.99 × the bound, with two 1.29, four 1.07, eight 1.02. A large
/// room needs more: thirty-two receivers take 1.14 with six, 1.08 to 1.10 with eight, 1.06 with sixteen. Each chunk
/// arrives later with more, and one that is half there cannot be passed on.
const SENDS_MAX: usize = 16;
/// Sends at once to one receiver: the second is there when the first ends.
const SENDS_PER_PEER_MAX: usize = 2;
/// Requests by name that wait while several receivers ask. A new chunk is wanted by everybody at once; whoever waited
/// for his turn at the first copy would not see the second. So the others are turned away, find the copies that come
/// up meanwhile, and the chunk spreads as a tree: thirty-two receivers take 1.08 × the bound with two places, 1.09 with
/// four, 1.16 with eight (eight sends); sixteen took 2.5 with a queue for all (window of 32).
const CROWD_MAX: usize = 3;
/// Who has asked within this time still downloads.
const STILL_ASKS: Duration = Duration::from_secs(1);
/// Requests that wait, over all receivers. Two hundred guests with a full pipeline of sixteen each.
const WAITING_MAX: usize = 4096;
/// Chunks that followers await, over all receivers: sixteen times what one may await. A peer usually has one follower.
const AWAITED_MAX: usize = 16 * AWAITED_PER_SOURCE_MAX;

/// While followers keep the uplink busy, one other request is served for each so many of their chunks.
const PASSED_OVER_MAX: u32 = 32;
/// A request by name does not wait longer than this for followers. One of them may hang, or read slowly on purpose.
const FOLLOWERS_FIRST_FOR: Duration = Duration::from_millis(250);

/// Decides which request is answered next.
#[derive(Debug, Default)]
pub struct Uplink {
    receivers: BTreeMap<PeerId, Receiver>,
    active: BTreeMap<(LinkId, RequestId), Active>,
    waiting: usize,
    /// Chunks that followers await.
    awaited: usize,
    /// Chunks sent to followers since the last other request was served, while one waited.
    passed_over: u32,
    /// Requests whose answer is a refusal, to be given out by `next`.
    refused: VecDeque<(LinkId, RequestId, Refusal)>,
    limit: RateLimit,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkAction {
    /// Send this chunk, then say so by [`Uplink::served`].
    Serve {
        link: LinkId,
        id: RequestId,
        peer: PeerId,
        game: GameId,
        content: ContentId,
        chunk: ChunkIndex,
    },
    Refuse {
        link: LinkId,
        id: RequestId,
        reason: Refusal,
    },
}

/// Somebody who asks.
#[derive(Debug, Default)]
struct Receiver {
    queue: VecDeque<Waiting>,
    /// Chunks that it awaits, in order.
    awaited: VecDeque<Awaited>,
    /// The connections that it asks on.
    links: BTreeSet<LinkId>,
    /// Chunks sent to it, as a measure of its turn.
    turn: u64,
    active: usize,
    /// How many of the active ones it awaited.
    following: usize,
    last_asked: Time,
}

impl Receiver {
    /// Position of the first awaited chunk that can be sent now.
    fn ready(&self, have: impl Fn(&ContentId, ChunkIndex) -> bool) -> Option<usize> {
        self.awaited.iter().position(|awaited| have(&awaited.content, awaited.chunk))
    }
}

#[derive(Debug)]
struct Waiting {
    link: LinkId,
    request: ChunkRequest,
    since: Time,
}

/// A chunk that is sent as soon as it is here.
#[derive(Debug)]
struct Awaited {
    link: LinkId,
    id: RequestId,
    game: GameId,
    content: ContentId,
    chunk: ChunkIndex,
}

#[derive(Debug)]
struct Active {
    peer: PeerId,
    game: GameId,
    /// Its receiver follows us.
    follows: bool,
}

impl Uplink {
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody asks for a chunk of a content that has `chunks` of them. An error is the answer to give at once.
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
        // Who had nothing to ask for does not save up turns.
        receiver.turn = receiver.turn.max(turn);
        receiver.links.insert(link);
        receiver.last_asked = now;
        receiver.queue.push_back(Waiting { link, request, since: now });
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

    /// Whether a peer may await one chunk more. When all places are taken, the peer that has most of them loses one.
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

    /// The receiver no longer needs the answer. Refused if it still waits; too late if it is being sent.
    pub fn cancel(&mut self, link: LinkId, id: RequestId) {
        self.refuse_where(Refusal::Cancelled, |of, number, _| of == link && number == id);
    }

    /// The connection is gone, with all that was asked on it.
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

    /// The content is no longer here.
    pub fn content_gone(&mut self, content: &ContentId) {
        self.refuse_where(Refusal::NotDownloaded, |_, _, of| of == content);
    }

    /// What to do next; `None` when nothing waits or enough is being sent. To be called until it returns `None`.
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
        let Waiting { link, request, .. } = receiver.queue.pop_front()?;
        self.waiting -= 1;
        let ChunkRequest { id, game, content, chunk } = request;
        if !have(&content, chunk) {
            return Some(UplinkAction::Refuse { link, id, reason: Refusal::NotHad });
        }
        self.start((link, id), Active { peer, game: game.clone(), follows });
        Some(UplinkAction::Serve { link, id, peer, game, content, chunk })
    }

    /// An answer is in the socket's hands (`ok`), or its connection failed. True if it was a chunk that was sent to its
    /// end: other answers are none of the uplink's.
    pub fn served(&mut self, link: LinkId, id: RequestId, bytes: u64, ok: bool, now: Time) -> bool {
        self.limit.spend(bytes, now);
        self.finish(link, id) && ok
    }

    /// Limits what is sent to all together; `None` lifts the limit.
    pub fn set_limit(&mut self, bytes_per_second: Option<u64>, now: Time) {
        self.limit.set(bytes_per_second, now);
    }

    /// When to call `next` although nothing has happened.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.waiting + self.awaited == 0 {
            return None;
        }
        let overdue = self.overdue_at().filter(|at| now < *at && self.is_feeding());
        self.limit.next_wakeup(now).or(overdue)
    }

    /// Whether a peer other than this one follows us.
    pub fn feeds_another(&self, peer: &PeerId) -> bool {
        self.receivers.iter().any(|(other, r)| other != peer && (r.following > 0 || !r.awaited.is_empty()))
    }

    /// Whether no chunk waits and none is being sent.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.active.is_empty()
    }

    /// Chunks queued or on their way, by game.
    pub fn active_per_game(&self) -> BTreeMap<GameId, usize> {
        let mut games = BTreeMap::new();
        let queued = self.receivers.values().flat_map(|r| &r.queue).map(|waiting| &waiting.request.game);
        let awaited = self.receivers.values().flat_map(|r| &r.awaited).map(|awaited| &awaited.game);
        for game in queued.chain(awaited).chain(self.active.values().map(|active| &active.game)) {
            *games.entry(game.clone()).or_insert(0) += 1;
        }
        games
    }

    /// Whose turn it is, and whether that peer gets an awaited chunk. Among equals, the one that got least so far.
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

    /// Whether a request by name has waited for followers long enough.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.waiting > 0 && self.overdue_at().is_some_and(|at| at <= now)
    }

    /// Whether a follower is being sent a chunk.
    fn is_feeding(&self) -> bool {
        self.receivers.values().any(|r| r.following > 0)
    }

    /// When a request by name will have waited for followers long enough.
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

    /// Whether there was such an answer.
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

    /// Whether so many wait that this one had better ask elsewhere. Never, when it is the only one who asks.
    fn is_crowded(&self, peer: &PeerId) -> bool {
        let own = self.receivers.get(peer).map_or(0, |receiver| receiver.queue.len());
        self.waiting >= CROWD_MAX && self.waiting > own
    }

    /// Takes a place from somebody who has them all. Otherwise the first to ask would keep them until he is done: alone he
    /// may fill the queue, and what is served he asks for anew at once.
    fn make_place(&mut self, peer: &PeerId) -> bool {
        let own = self.receivers.get(peer).map_or(0, |receiver| receiver.queue.len());
        let others = self.receivers.values_mut();
        let takes_all = |r: &&mut Receiver| r.queue.len() >= CROWD_MAX && r.queue.len() > own + 1;
        let Some(longest) = others.max_by_key(|r| r.queue.len()).filter(takes_all) else { return false };
        let Some(Waiting { link, request, .. }) = longest.queue.pop_back() else { return false };
        self.waiting -= 1;
        self.refused.push_back((link, request.id, Refusal::TooMany));
        true
    }

    fn earliest_turn(&self) -> u64 {
        let asks = |r: &&Receiver| !r.queue.is_empty() || !r.awaited.is_empty() || r.active > 0;
        let asking = self.receivers.values().filter(asks);
        asking
            .map(|r| r.turn)
            .min()
            .unwrap_or_else(|| self.receivers.values().map(|r| r.turn).max().unwrap_or(0))
    }
}
