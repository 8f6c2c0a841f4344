//! The sender's side of manifests: who waits for one, and which is sent next.
//!
//! Requests wait as ids, a few for each connection. A bounded number of manifests is on its way at once, one on each
//! connection, bounded also by the bytes of those that differ, because each content is in memory once however many
//! receivers it goes to. Addresses take turns. An address that had the same manifest a moment ago shares one stream with
//! all others of that kind, so that asking again and again costs honest transfers little.

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

/// Where a receiver is; `None` when it has no control connection. Identities cost nothing, addresses do.
pub type Place = Option<IpAddr>;

/// A request for a manifest.
#[derive(Debug, Clone)]
pub struct ManifestRequest {
    pub link: LinkId,
    pub id: RequestId,
    pub peer: PeerId,
    pub place: Place,
    pub game: GameId,
    pub content: ContentId,
    /// Most bytes of the encoded manifest.
    pub bytes: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestAction {
    /// Send it, then say so by [`ManifestSends::ended`].
    Serve {
        link: LinkId,
        id: RequestId,
        game: GameId,
        content: ContentId,
    },
    Refuse {
        link: LinkId,
        id: RequestId,
        reason: Refusal,
    },
    /// Close the connection: its peer asks too much, or takes too long while others wait.
    Drop {
        link: LinkId,
        peer: PeerId,
        why: DropReason,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    Floods,
    TooSlow,
}

/// Decides which manifest is sent next, and to whom.
#[derive(Debug, Default)]
pub struct ManifestSends {
    waiting: VecDeque<ManifestRequest>,
    sending: BTreeMap<(LinkId, RequestId), Sending>,
    /// Refusals in a row on each connection that had one.
    refusals: BTreeMap<LinkId, u32>,
    /// Connections that are being closed.
    dropped: BTreeSet<LinkId>,
    /// Receivers that were sent a manifest and have not announced the download yet, with a deadline for each.
    unannounced: Vec<(PeerId, ContentId, Time)>,
    /// A receiver missed its deadline, so manifests go out without waiting for announcements until this time.
    hasty_until: Time,
    /// When an address was last sent a manifest.
    sent: BTreeMap<(Place, ContentId), Time>,
    /// Bytes of chunks that were sent and have not been set against a repeat.
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
    /// When its receiver may be cut off if others wait.
    patience_ends: Time,
}

impl ManifestSends {
    /// Takes a request in. The answer comes from [`Self::next`].
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

    /// The receiver no longer needs the answer. Refused if it still waits; too late if it is being sent.
    pub fn cancel(&mut self, link: LinkId, id: RequestId) {
        let cancelled = |waiting: &ManifestRequest| waiting.link == link && waiting.id == id;
        if let Some(at) = self.waiting.iter().position(cancelled) {
            self.waiting.remove(at);
            self.answers.push_back(ManifestAction::Refuse { link, id, reason: Refusal::Cancelled });
        }
    }

    /// An answer has been handed over or has failed. False if it was no manifest.
    pub fn ended(&mut self, link: LinkId, id: RequestId) -> bool {
        self.refusals.remove(&link);
        self.sending.remove(&(link, id)).is_some()
    }

    pub fn link_closed(&mut self, link: LinkId) {
        self.waiting.retain(|waiting| waiting.link != link);
        self.sending.retain(|(sending, _), _| *sending != link);
        self.refusals.remove(&link);
        self.dropped.remove(&link);
    }

    /// A chunk was sent. While chunks wait, repeats get no more bytes than chunks do.
    pub fn chunk_sent(&mut self, bytes: u64) {
        self.chunk_credit = self.chunk_credit.saturating_add(bytes).min(MANIFEST_REPEAT_CREDIT_MAX);
    }

    /// What to do next; `None` when nothing waits or enough is being sent. To be called until it returns `None`.
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

    /// When to call `next` although nothing has happened.
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

    /// Makes room for a request from a place. When too many wait, the place that waits for most loses one.
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

    /// The request that is answered next: of those that may be, first what is no repeat, then the address that gets least
    /// at present, then the one that has waited longest since it last got one.
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
