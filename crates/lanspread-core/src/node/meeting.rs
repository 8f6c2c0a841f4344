//! Who else is in the room: dialling those who were heard of, and introducing those who are here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::limits::{INTRODUCTIONS_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{Introduction, Message};
use lanspread_types::{Means, PeerId, Sighting, failpoint};

use super::Node;
use crate::event::Event;
use crate::finding::{Absence, Book, Due, Finding, Introductions};
use crate::io::{CloseReason, ConnId, Connected, DialFailure, Output};
use crate::roster::RemotePeer;
use crate::snapshot::{PeerSnapshot, PeersSnapshot};
use crate::time::Time;

/// News for others are collected for so long, so that a room that fills up is told of in few messages.
const INTRODUCE_AFTER: Duration = Duration::from_millis(400);
/// Whoever connected to us is tried at the listener that it states within this time, and for each peer that is here
/// so much later: two hundred handshakes need not come in one second.
const PROBE_WITHIN: Duration = Duration::from_millis(100);
const PROBE_SPREAD_PER_PEER: Duration = Duration::from_millis(10);
/// A listener that did not answer is tried again, a few times: its firewall may still be asking its owner.
const PROBE_AGAIN: Duration = Duration::from_secs(10);
const PROBES_MAX: u32 = 3;
/// Those who are here are written down at most this often.
const REMEMBER_AFTER: Duration = Duration::from_secs(20);

/// What the node knows of the room beyond its roster.
#[derive(Debug)]
pub struct Meeting {
    pub(super) book: Book,
    finding: Finding,
    introductions: Introductions,
    introduce_due: Option<Time>,
    probes: BTreeMap<PeerId, Probe>,
    remember_due: Option<Time>,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    addr: SocketAddr,
    due: Time,
    tries: u32,
}

impl Meeting {
    pub fn new(me: PeerId) -> Self {
        Self {
            book: Book::new(me),
            finding: Finding::default(),
            introductions: Introductions::default(),
            introduce_due: None,
            probes: BTreeMap::new(),
            remember_due: None,
        }
    }
}

impl Node {
    /// Says how others are found, beyond what the node is told. To be called before anything else.
    pub fn find_peers(&mut self, now: Time, mut finding: Finding) {
        for known in std::mem::take(&mut finding.remembered) {
            let sighting = Sighting {
                peer: known.peer,
                name: known.name,
                protocol: PROTOCOL_VERSION,
                addrs: known.addrs,
                means: Means::Remembered,
            };
            self.sighted(now, sighting, None);
        }
        self.meeting.finding = finding;
        self.run_meeting_timers(now);
    }

    pub(super) fn peer_list(&self) -> PeersSnapshot {
        PeersSnapshot {
            peers: self
                .roster
                .snapshots()
                .into_iter()
                .map(|peer| PeerSnapshot { found_by: self.meeting.book.found_by(&peer.peer), ..peer })
                .collect(),
            others: self.meeting.book.strangers(),
        }
    }

    pub(super) fn peer_snapshot(&self, peer: &RemotePeer) -> PeerSnapshot {
        PeerSnapshot { found_by: self.meeting.book.found_by(&peer.id), ..self.roster.snapshot(peer) }
    }

    pub(super) fn sighted(&mut self, now: Time, sighting: Sighting, introducer: Option<PeerId>) {
        let (addr, theirs) = (sighting.addrs.first().copied(), sighting.protocol);
        let news = self.meeting.book.heard(sighting, introducer, now, &mut self.rng);
        if let (true, Some(addr)) = (news, addr) {
            self.event(Event::PeerIncompatible { addr, theirs, ours: PROTOCOL_VERSION });
        }
    }

    /// A connection was let in.
    pub(super) fn met(&mut self, now: Time, connected: &Connected) {
        let Connected { conn, peer, addr, dialled, .. } = connected;
        if self.roster.get(peer).is_none_or(|p| p.conn != *conn) {
            return;
        }
        let typed = *dialled && self.is_typed(*addr);
        self.meeting.book.connected(connected, typed, now);
        if self.meeting.finding.remember {
            self.meeting.remember_due.get_or_insert(now + REMEMBER_AFTER);
        }
        if !self.meeting.finding.introductions {
            return;
        }
        let reached = dialled.then_some(*addr);
        self.meeting.introductions.connected(*peer, reached, now.since_start().as_secs());
        if self.meeting.introductions.is_reached(peer) {
            self.meeting.probes.remove(peer);
        } else {
            let spread = PROBE_WITHIN + PROBE_SPREAD_PER_PEER * self.roster.len() as u32;
            let due = now + self.up_to(spread);
            self.meeting.probes.insert(*peer, Probe { addr: *addr, due, tries: 0 });
        }
        self.introduce_soon(now);
    }

    /// Whether somebody asked for this address and waits for what becomes of that.
    pub(super) fn is_typed(&self, addr: SocketAddr) -> bool {
        self.waiting.connects.iter().any(|(_, wanted)| *wanted == addr)
    }

    /// A peer's connection ended.
    pub(super) fn parted(&mut self, now: Time, peer: &PeerId, reason: CloseReason) {
        self.meeting.introductions.lost(peer);
        self.meeting.probes.remove(peer);
        match reason {
            CloseReason::Lost | CloseReason::Silent => self.meeting.book.lost(peer, now, &mut self.rng),
            CloseReason::Goodbye | CloseReason::Leaving => self.meeting.book.left(peer, now),
            CloseReason::Replaced | CloseReason::ProtocolError | CloseReason::TooManyPeers => {
                self.meeting.book.turned_away(peer, reason.to_string(), now);
            }
        }
    }

    pub(super) fn turn_away(&mut self, now: Time, peer: PeerId, conn: ConnId, reason: CloseReason) {
        self.meeting.book.turned_away(&peer, reason.to_string(), now);
        self.close(conn, reason);
    }

    pub(super) fn typed_dial_failed(&mut self, addr: SocketAddr, failure: &DialFailure) {
        let absence = match failure {
            DialFailure::OwnAddress => Absence::Own,
            other => Absence::Unreachable { reason: other.to_string() },
        };
        self.meeting.book.note_stranger(addr, absence);
    }

    /// A peer names others, at addresses where it says that it reached them.
    pub(super) fn introduced(&mut self, now: Time, by: PeerId, peers: &[Introduction]) {
        if !self.meeting.finding.introductions {
            return;
        }
        let Some(by_ip) = self.roster.get(&by).map(|p| p.addr.ip()) else { return };
        for Introduction { peer, addr } in peers {
            if !self.meeting.introductions.named(&by, peer, now.since_start().as_secs()) {
                return;
            }
            if self.roster.get(peer).is_some() || !self.meeting.book.is_plausible(*addr, by_ip) {
                continue;
            }
            let sighting = Sighting {
                peer: *peer,
                name: None,
                protocol: PROTOCOL_VERSION,
                addrs: vec![*addr],
                means: Means::Introduced,
            };
            if !failpoint!("ignore-introductions") {
                self.sighted(now, sighting, Some(by));
            }
        }
    }

    pub(super) fn reached(&mut self, now: Time, peer: PeerId, addr: SocketAddr) {
        self.meeting.probes.remove(&peer);
        if self.meeting.introductions.reached(&peer, addr) {
            self.introduce_soon(now);
        }
    }

    fn introduce_soon(&mut self, now: Time) {
        if self.meeting.introduce_due.is_none() {
            let due = now + INTRODUCE_AFTER + self.up_to(INTRODUCE_AFTER);
            self.meeting.introduce_due = Some(due);
        }
    }

    fn up_to(&mut self, time: Duration) -> Duration {
        Duration::from_micros(self.rng.below(time.as_micros() as u64 + 1))
    }

    pub(super) fn meeting_wakeup(&self, now: Time) -> Option<Time> {
        if self.is_stopping() {
            return None;
        }
        let Meeting { book, introduce_due, probes, remember_due, .. } = &self.meeting;
        let probe = probes.values().map(|probe| probe.due).min();
        [book.next_due(now), *introduce_due, probe, *remember_due].into_iter().flatten().min()
    }

    pub(super) fn run_meeting_timers(&mut self, now: Time) {
        if self.is_stopping() {
            return;
        }
        for Due { peer, addrs } in self.meeting.book.take_due(now) {
            self.outbox.push_back(Output::DialPeer { peer, addrs });
        }
        self.probe_due(now);
        if self.meeting.introduce_due.is_some_and(|due| now >= due) {
            self.meeting.introduce_due = None;
            self.introduce();
        }
        if self.meeting.remember_due.is_some_and(|due| now >= due) {
            self.remember_now();
        }
    }

    fn probe_due(&mut self, now: Time) {
        let due = |probe: &Probe| now >= probe.due;
        let ready: Vec<PeerId> =
            self.meeting.probes.iter().filter(|(_, p)| due(p)).map(|(peer, _)| *peer).collect();
        for peer in ready {
            let Some(probe) = self.meeting.probes.get_mut(&peer) else { continue };
            probe.tries += 1;
            probe.due = now + PROBE_AGAIN * probe.tries;
            let Probe { addr, tries, .. } = *probe;
            if tries >= PROBES_MAX {
                self.meeting.probes.remove(&peer);
            }
            self.outbox.push_back(Output::Probe { peer, addr });
        }
    }

    fn introduce(&mut self) {
        for (to, peers) in self.meeting.introductions.take() {
            let Some(conn) = self.roster.get(&to).map(|p| p.conn) else { continue };
            for part in peers.chunks(INTRODUCTIONS_MAX) {
                if failpoint!("forget-introductions") {
                    continue;
                }
                self.send(conn, Message::Introduce { peers: part.to_vec() });
            }
        }
    }

    /// Has those who are or were here written down, if that is wanted and there was anybody.
    pub(super) fn remember_now(&mut self) {
        let pending = self.meeting.remember_due.take().is_some();
        let peers = self.meeting.book.to_remember();
        if self.meeting.finding.remember && (pending || self.is_stopping()) && !peers.is_empty() {
            self.outbox.push_back(Output::Remember(peers));
        }
    }
}
