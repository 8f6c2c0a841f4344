//! The sender's side of manifests: the queue of requests, and the choice of the next manifest to send.
//!
//! Requests wait as ids, a few for each connection. A bounded number of manifests is sent at once, one on each
//! connection. The bytes of distinct manifests are bounded, too, because each content is in memory once, however many
//! receivers it goes to. Addresses take turns. All addresses that had the same manifest a moment ago share one
//! stream, so repeated requests cost honest transfers little.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::limits::MANIFESTS_PER_SOURCE_MAX;
use lanspread_types::message::{Refusal, RequestId};
use lanspread_types::{ContentId, GameId, PeerId, failpoint};

use crate::io::LinkId;
use crate::limits::{
    MANIFEST_ANNOUNCE_TIME, MANIFEST_NOTES_MAX, MANIFEST_RATE_USUAL, MANIFEST_REFUSALS_MAX,
    MANIFEST_REPEAT_CREDIT_MAX, MANIFEST_REPEAT_WITHIN, MANIFEST_REPEATS_MAX, MANIFEST_SEND_BYTES_MAX,
    MANIFEST_SEND_PATIENCE, MANIFEST_SEND_RATE_MIN, MANIFEST_SENDS_MAX, MANIFEST_UNANNOUNCED_MAX,
    MANIFESTS_WAITING_MAX,
};
use crate::time::Time;

/// Address of a receiver; `None` if it has no control connection. Identities cost nothing, addresses do.
pub type Place = Option<IpAddr>;

/// A request for a manifest.
#[derive(Debug, Clone)]
pub struct ManifestRequest {
    /// Data connection of the request.
    pub link: LinkId,
    /// Number of the request.
    pub id: RequestId,
    /// Peer that made the request.
    pub peer: PeerId,
    /// Address of that peer.
    pub place: Place,
    /// Game that the request names.
    pub game: GameId,
    /// Content whose manifest is requested.
    pub content: ContentId,
    /// Upper bound of the encoded manifest's size, in bytes.
    pub bytes: u64,
}

/// What to do with a request or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestAction {
    /// Send the manifest, then call [`ManifestSends::ended`].
    Serve {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Game that the request names.
        game: GameId,
        /// Content whose manifest is sent.
        content: ContentId,
    },
    /// Refuse the request.
    Refuse {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// What the receiver is told.
        reason: Refusal,
    },
    /// Close the connection.
    Drop {
        /// Connection to close.
        link: LinkId,
        /// Receiver at its other end.
        peer: PeerId,
        /// What the owner is told.
        why: DropReason,
    },
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It requests manifests again and again.
    Floods,
    /// It takes too long for a manifest while other requests wait.
    TooSlow,
}

/// Queue of manifest requests, and the manifests being sent.
#[derive(Debug, Default)]
pub struct ManifestSends {
    waiting: VecDeque<ManifestRequest>,
    sending: BTreeMap<(LinkId, RequestId), Sending>,
    /// Refusals in a row on each connection, since its last answer.
    refusals: BTreeMap<LinkId, u32>,
    /// Connections that are being closed.
    dropped: BTreeSet<LinkId>,
    /// Receivers that were sent a manifest and have not announced the download yet, each with a deadline.
    unannounced: Vec<(PeerId, ContentId, Time)>,
    /// Until this time manifests go out without waiting for announcements, because a receiver missed its deadline.
    hasty_until: Time,
    /// When each address was last sent each manifest.
    sent: BTreeMap<(Place, ContentId), Time>,
    /// Bytes of sent chunks that no repeat has used up yet.
    chunk_credit: u64,
    answers: VecDeque<ManifestAction>,
}

#[derive(Debug)]
struct Sending {
    peer: PeerId,
    place: Place,
    content: ContentId,
    bytes: u64,
    repeat: bool,
    /// From then on the receiver is cut off if other requests wait.
    patience_ends: Time,
}

impl ManifestSends {
    /// Adds a request. [`Self::next`] returns the answer.
    pub fn enqueue(&mut self, request: ManifestRequest) {
        let ManifestRequest { link, id, peer, place, .. } = request;
        if failpoint!("unbounded-manifests") {
            let ManifestRequest { game, content, .. } = request;
            return self.answers.push_back(ManifestAction::Serve { link, id, game, content });
        }
        if self.dropped.contains(&link) {
            return;
        }
        let same_link = self.waiting.iter().filter(|waiting| waiting.link == link).count();
        let same_link = same_link + usize::from(self.is_sending_on(link));
        if same_link >= MANIFESTS_PER_SOURCE_MAX || !self.make_room(place) {
            return self.refuse(link, id, peer);
        }
        self.waiting.push_back(request);
    }

    /// Cancels a request that still waits. One that is being sent is sent to its end.
    pub fn cancel(&mut self, link: LinkId, id: RequestId) {
        let cancelled = |waiting: &ManifestRequest| waiting.link == link && waiting.id == id;
        if let Some(at) = self.waiting.iter().position(cancelled) {
            self.waiting.remove(at);
            self.answers.push_back(ManifestAction::Refuse { link, id, reason: Refusal::Cancelled });
        }
    }

    /// Notes that an answer was handed over or failed. Returns false if it was not a manifest.
    pub fn ended(&mut self, link: LinkId, id: RequestId) -> bool {
        self.refusals.remove(&link);
        self.sending.remove(&(link, id)).is_some()
    }

    /// Forgets a connection that ended.
    pub fn link_closed(&mut self, link: LinkId) {
        self.waiting.retain(|waiting| waiting.link != link);
        self.sending.retain(|(sending, _), _| *sending != link);
        self.refusals.remove(&link);
        self.dropped.remove(&link);
    }

    /// Notes that a chunk was sent. While chunks wait, repeats get no more bytes than chunks.
    pub fn chunk_sent(&mut self, bytes: u64) {
        self.chunk_credit = self.chunk_credit.saturating_add(bytes).min(MANIFEST_REPEAT_CREDIT_MAX);
    }

    /// Returns what to do next; `None` if nothing waits or enough is being sent. Call it until it returns `None`.
    pub fn next(&mut self, chunks_wait: bool, now: Time) -> Option<ManifestAction> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if self.waiting.is_empty() {
            return None;
        }
        let before = self.unannounced.len();
        self.unannounced.retain(|(.., until)| now < *until);
        if self.unannounced.len() < before {
            self.hasty_until = now + MANIFEST_REPEAT_WITHIN;
        }
        if let Some(at) = self.choose(chunks_wait, now) {
            let request = self.waiting.remove(at)?;
            return Some(self.start(request, now));
        }
        let late = self.sending.iter().filter(|(_, sending)| sending.patience_ends <= now);
        let mut late = late.map(|((link, _), sending)| (*link, sending.peer));
        let (link, peer) = late.find(|(link, _)| !self.dropped.contains(link))?;
        self.dropped.insert(link);
        Some(ManifestAction::Drop { link, peer, why: DropReason::TooSlow })
    }

    /// Notes that a peer has announced the download of a content, so it can pass the manifest on.
    pub fn has_manifest(&mut self, peer: &PeerId, content: &ContentId) {
        self.unannounced.retain(|(to, of, _)| to != peer || of != content);
    }

    /// Returns when to call [`Self::next`] although nothing has happened.
    pub fn next_wakeup(&self) -> Option<Time> {
        if self.waiting.is_empty() {
            return None;
        }
        let kept = self.sending.iter().filter(|((link, _), _)| !self.dropped.contains(link));
        let deadlines = self.unannounced.iter().map(|(.., until)| *until);
        kept.map(|(_, sending)| sending.patience_ends).chain(deadlines).min()
    }

    fn is_sending_on(&self, link: LinkId) -> bool {
        self.sending.range((link, RequestId(0))..=(link, RequestId(u64::MAX))).next().is_some()
    }

    fn refuse(&mut self, link: LinkId, id: RequestId, peer: PeerId) {
        let refusals = self.refusals.entry(link).or_default();
        *refusals += 1;
        if *refusals > MANIFEST_REFUSALS_MAX {
            self.waiting.retain(|waiting| waiting.link != link);
            self.dropped.insert(link);
            self.answers.push_back(ManifestAction::Drop { link, peer, why: DropReason::Floods });
        } else {
            self.answers.push_back(ManifestAction::Refuse { link, id, reason: Refusal::TooMany });
        }
    }

    /// Makes room in the queue for a request from an address. If the queue is full, the address with the most waiting
    /// requests loses one.
    fn make_room(&mut self, place: Place) -> bool {
        if self.waiting.len() < MANIFESTS_WAITING_MAX {
            return true;
        }
        let mut counts: BTreeMap<Place, usize> = BTreeMap::new();
        self.waiting.iter().for_each(|waiting| *counts.entry(waiting.place).or_default() += 1);
        let own = counts.get(&place).copied().unwrap_or(0);
        let Some((greediest, most)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return true };
        if most <= own + 1 {
            return false;
        }
        let last = self.waiting.iter().rposition(|waiting| waiting.place == greediest);
        if let Some(lost) = last.and_then(|at| self.waiting.remove(at)) {
            let reason = Refusal::TooMany;
            self.answers.push_back(ManifestAction::Refuse { link: lost.link, id: lost.id, reason });
        }
        true
    }

    /// Chooses the next request to answer. Of the admissible ones, a first request comes before a repeat, then the
    /// address that is being sent the fewest manifests, then the address that has waited longest since its last one.
    fn choose(&self, chunks_wait: bool, now: Time) -> Option<usize> {
        if self.sending.len() >= MANIFEST_SENDS_MAX {
            return None;
        }
        let mut different: BTreeMap<ContentId, u64> = BTreeMap::new();
        let mut at_place: BTreeMap<Place, usize> = BTreeMap::new();
        let mut repeats = 0;
        for sending in self.sending.values() {
            different.insert(sending.content, sending.bytes);
            *at_place.entry(sending.place).or_default() += 1;
            repeats += usize::from(sending.repeat);
        }
        let in_memory: u64 = different.values().sum();
        let fits = |waiting: &ManifestRequest| {
            different.is_empty()
                || different.contains_key(&waiting.content)
                || in_memory + waiting.bytes <= MANIFEST_SEND_BYTES_MAX
        };
        let rank = |(at, waiting): (usize, &ManifestRequest)| {
            let repeat = self.is_repeat(waiting, now);
            let earned = !chunks_wait || self.chunk_credit >= waiting.bytes.min(MANIFEST_REPEAT_CREDIT_MAX);
            let unannounced = self.unannounced.iter().filter(|(_, of, _)| *of == waiting.content).count();
            let may = (unannounced < MANIFEST_UNANNOUNCED_MAX || now < self.hasty_until)
                && (!repeat || (repeats < MANIFEST_REPEATS_MAX && earned))
                && fits(waiting)
                && !self.is_sending_on(waiting.link);
            let served = at_place.get(&waiting.place).copied().unwrap_or(0);
            may.then(|| ((repeat, served, self.last_sent(waiting.place), at), at))
        };
        self.waiting.iter().enumerate().filter_map(rank).min().map(|(_, at)| at)
    }

    fn start(&mut self, request: ManifestRequest, now: Time) -> ManifestAction {
        let repeat = self.is_repeat(&request, now);
        let ManifestRequest { link, id, peer, place, game, content, bytes } = request;
        if repeat {
            self.chunk_credit = self.chunk_credit.saturating_sub(bytes);
        }
        self.sent.retain(|_, at| now < *at + MANIFEST_REPEAT_WITHIN);
        if self.sent.len() < MANIFEST_NOTES_MAX {
            self.sent.insert((place, content), now);
        }
        let usual = Duration::from_secs_f64(bytes as f64 / MANIFEST_RATE_USUAL as f64);
        if !repeat && self.hasty_until <= now {
            self.unannounced.push((peer, content, now + MANIFEST_ANNOUNCE_TIME + usual));
        }
        let at_worst = Duration::from_secs(bytes / MANIFEST_SEND_RATE_MIN);
        let patience_ends = now + MANIFEST_SEND_PATIENCE + at_worst;
        self.sending.insert((link, id), Sending { peer, place, content, bytes, repeat, patience_ends });
        ManifestAction::Serve { link, id, game, content }
    }

    fn is_repeat(&self, request: &ManifestRequest, now: Time) -> bool {
        let noted = self.sent.get(&(request.place, request.content));
        noted.map_or(self.sent.len() >= MANIFEST_NOTES_MAX, |&at| now < at + MANIFEST_REPEAT_WITHIN)
    }

    fn last_sent(&self, place: Place) -> Time {
        let all = (place, ContentId([0; 32]))..=(place, ContentId([0xff; 32]));
        self.sent.range(all).map(|(_, at)| *at).max().unwrap_or(Time::START)
    }
}

#[cfg(test)]
mod tests;
