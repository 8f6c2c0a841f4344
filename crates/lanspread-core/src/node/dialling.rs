//! Finding peers: dialling those that were heard of, probing their listeners, and introducing connected peers to each
//! other.
//!
//! The address book decides when to dial which peer. The node introduces only peers that it reached itself, at the
//! address where it reached them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::limits::{INTRODUCTIONS_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{Introduction, Message};
use lanspread_types::{Means, PeerId, Sighting, failpoint};

use super::Node;
use super::outbox::Outbox;
use crate::api::event::Event;
use crate::api::snapshot::{PeerSnapshot, PeersSnapshot};
use crate::discovery::{Absence, Book, DiscoverySettings, Due, Introductions};
use crate::io::{CloseReason, Connected, DialFailure, Output};
use crate::refusals::Refusals;
use crate::roster::{RemotePeer, Roster};
use crate::swarm::Rng;
use crate::time::Time;

/// Time for which introductions are collected, so that a room that fills up needs few messages.
const INTRODUCE_AFTER: Duration = Duration::from_millis(400);
/// A peer that connected to us is probed within this time at the address where it says that it listens.
const PROBE_WITHIN: Duration = Duration::from_millis(100);
/// Extra time for a probe per connected peer, so that two hundred handshakes need not happen in one second.
const PROBE_SPREAD_PER_PEER: Duration = Duration::from_millis(10);
/// Pause before a failed probe is repeated, times the number of probes so far. A firewall may still be asking its
/// owner.
const PROBE_AGAIN: Duration = Duration::from_secs(10);
/// Most probes of one listener.
const PROBES_MAX: u32 = 3;
/// Shortest interval between two writes of the peers to remember.
const REMEMBER_AFTER: Duration = Duration::from_secs(20);

/// What the node knows about the room beyond its roster.
#[derive(Debug)]
pub struct Dialling {
    /// The address book.
    pub(super) book: Book,
    settings: DiscoverySettings,
    /// Introductions to send, and what each peer has introduced.
    introductions: Introductions,
    /// When to send the collected introductions.
    introduce_due: Option<Time>,
    /// Listeners to probe, by peer.
    probes: BTreeMap<PeerId, Probe>,
    /// When to write down the peers to remember.
    remember_due: Option<Time>,
    /// Peers that were refused or dropped.
    pub(super) refusals: Refusals,
}

/// Attempts to reach the listener of a connected peer.
#[derive(Debug, Clone, Copy)]
struct Probe {
    addr: SocketAddr,
    due: Time,
    tries: u32,
}

impl Dialling {
    /// Creates the state of a node that has met no peer.
    pub fn new(me: PeerId) -> Self {
        Self {
            book: Book::new(me),
            settings: DiscoverySettings::default(),
            introductions: Introductions::default(),
            introduce_due: None,
            probes: BTreeMap::new(),
            remember_due: None,
            refusals: Refusals::default(),
        }
    }

    /// Returns the connected peers, and the others that were heard of.
    pub fn peer_list(&self, roster: &Roster) -> PeersSnapshot {
        PeersSnapshot {
            peers: roster
                .snapshots()
                .into_iter()
                .map(|peer| PeerSnapshot { found_by: self.book.found_by(&peer.peer), ..peer })
                .collect(),
            others: self.book.strangers(),
        }
    }

    /// Returns what is known about a connected peer.
    pub fn peer_snapshot(&self, peer: &RemotePeer, roster: &Roster) -> PeerSnapshot {
        PeerSnapshot { found_by: self.book.found_by(&peer.id), ..roster.snapshot(peer) }
    }

    /// Gives news of a peer to the address book, and reports a peer of another protocol version once.
    pub fn sighted(
        &mut self,
        now: Time,
        sighting: Sighting,
        introducer: Option<PeerId>,
        rng: &mut Rng,
        outbox: &mut Outbox,
    ) {
        let (addr, theirs) = (sighting.addrs.first().copied(), sighting.protocol);
        let news = self.book.heard(sighting, introducer, now, rng);
        if let (true, Some(addr)) = (news, addr) {
            outbox.event(Event::PeerIncompatible { addr, theirs, ours: PROTOCOL_VERSION });
        }
    }

    /// Notes a connection that was admitted. `typed` means that the owner entered its address.
    pub fn peer_connected(
        &mut self,
        now: Time,
        connected: &Connected,
        typed: bool,
        roster: &Roster,
        rng: &mut Rng,
    ) {
        let Connected { conn, peer, addr, dialled, .. } = connected;
        if roster.get(peer).is_none_or(|p| p.conn != *conn) {
            return;
        }
        self.book.connected(connected, typed, now);
        if self.settings.remember {
            self.remember_due.get_or_insert(now + REMEMBER_AFTER);
        }
        if !self.settings.introductions {
            return;
        }
        let reached = dialled.then_some(*addr);
        self.introductions.connected(*peer, reached, now.since_start().as_secs());
        if self.introductions.is_reached(peer) {
            self.probes.remove(peer);
        } else {
            let spread = PROBE_WITHIN + PROBE_SPREAD_PER_PEER * roster.len() as u32;
            let due = now + up_to(spread, rng);
            self.probes.insert(*peer, Probe { addr: *addr, due, tries: 0 });
        }
        self.introduce_soon(now, rng);
    }

    /// Notes that the connection of a peer ended.
    pub fn peer_disconnected(&mut self, now: Time, peer: &PeerId, reason: CloseReason, rng: &mut Rng) {
        self.introductions.lost(peer);
        self.probes.remove(peer);
        match reason {
            CloseReason::Lost | CloseReason::Silent => self.book.lost(peer, now, rng),
            CloseReason::Goodbye | CloseReason::Leaving => self.book.left(peer, now),
            CloseReason::Replaced | CloseReason::ProtocolError | CloseReason::TooManyPeers => {
                self.book.turned_away(peer, reason.to_string(), now);
            }
        }
    }

    /// Lists an address that the owner typed and that was not reached.
    pub fn typed_dial_failed(&mut self, addr: SocketAddr, failure: &DialFailure) {
        let absence = match failure {
            DialFailure::OwnAddress => Absence::Own,
            other => Absence::Unreachable { reason: other.to_string() },
        };
        self.book.note_stranger(addr, absence);
    }

    /// Handles introductions: a peer names others, with addresses at which it claims to have reached them.
    pub fn introduced(
        &mut self,
        now: Time,
        by: PeerId,
        peers: &[Introduction],
        roster: &Roster,
        rng: &mut Rng,
        outbox: &mut Outbox,
    ) {
        if !self.settings.introductions {
            return;
        }
        let Some(by_ip) = roster.get(&by).map(|p| p.addr.ip()) else { return };
        for Introduction { peer, addr } in peers {
            if !self.introductions.named(&by, peer, now.since_start().as_secs()) {
                return;
            }
            if roster.get(peer).is_some() || !self.book.is_plausible(*addr, by_ip) {
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
                self.sighted(now, sighting, Some(by), rng, outbox);
            }
        }
    }

    /// Notes that the listener of a peer answered, so that the peer can be introduced.
    pub fn reached(&mut self, now: Time, peer: PeerId, addr: SocketAddr, rng: &mut Rng) {
        self.probes.remove(&peer);
        if self.introductions.reached(&peer, addr) {
            self.introduce_soon(now, rng);
        }
    }

    fn introduce_soon(&mut self, now: Time, rng: &mut Rng) {
        if self.introduce_due.is_none() {
            let due = now + INTRODUCE_AFTER + up_to(INTRODUCE_AFTER, rng);
            self.introduce_due = Some(due);
        }
    }

    /// Returns when something is to be done even if nothing happens.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let probe = self.probes.values().map(|probe| probe.due).min();
        [self.book.next_due(now), self.introduce_due, probe, self.remember_due].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn run_timers(&mut self, now: Time, roster: &Roster, outbox: &mut Outbox) {
        for Due { peer, addrs } in self.book.take_due(now) {
            outbox.push(Output::DialPeer { peer, addrs });
        }
        self.probe_due(now, outbox);
        if self.introduce_due.is_some_and(|due| now >= due) {
            self.introduce_due = None;
            self.introduce(roster, outbox);
        }
        if self.remember_due.is_some_and(|due| now >= due) {
            self.remember_now(false, outbox);
        }
    }

    fn probe_due(&mut self, now: Time, outbox: &mut Outbox) {
        let due = |probe: &Probe| now >= probe.due;
        let ready: Vec<PeerId> = self.probes.iter().filter(|(_, p)| due(p)).map(|(peer, _)| *peer).collect();
        for peer in ready {
            let Some(probe) = self.probes.get_mut(&peer) else { continue };
            probe.tries += 1;
            probe.due = now + PROBE_AGAIN * probe.tries;
            let Probe { addr, tries, .. } = *probe;
            if tries >= PROBES_MAX {
                self.probes.remove(&peer);
            }
            outbox.push(Output::Probe { peer, addr });
        }
    }

    fn introduce(&mut self, roster: &Roster, outbox: &mut Outbox) {
        for (to, peers) in self.introductions.take() {
            for part in peers.chunks(INTRODUCTIONS_MAX) {
                if failpoint!("forget-introductions") {
                    continue;
                }
                outbox.send_to(roster, &to, Message::Introduce { peers: part.to_vec() });
            }
        }
    }

    /// Writes down the peers that are or were here, if that is wanted and there are any. Unless it is the `last` time,
    /// they are written only if they have changed.
    pub fn remember_now(&mut self, last: bool, outbox: &mut Outbox) {
        let pending = self.remember_due.take().is_some();
        let peers = self.book.to_remember();
        if self.settings.remember && (pending || last) && !peers.is_empty() {
            outbox.push(Output::Remember(peers));
        }
    }
}

/// Returns a random time up to this one.
fn up_to(time: Duration, rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.below(time.as_micros() as u64 + 1))
}

impl Node {
    /// Sets how peers are found, beyond the node's inputs. Call it before anything else.
    pub fn find_peers(&mut self, now: Time, mut finding: DiscoverySettings) {
        for known in std::mem::take(&mut finding.remembered) {
            let sighting = Sighting {
                peer: known.peer,
                name: known.name,
                protocol: PROTOCOL_VERSION,
                addrs: known.addrs,
                means: Means::Remembered,
            };
            self.dialling.sighted(now, sighting, None, &mut self.rng, &mut self.outbox);
        }
        self.dialling.settings = finding;
        self.dialling.run_timers(now, &self.roster, &mut self.outbox);
    }
}
