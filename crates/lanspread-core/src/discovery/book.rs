//! The address book: all peers that we have heard of, and when to dial each.
//!
//! Holds one entry for each identity, with a few addresses. An identity has at most one dial attempt at a time, which
//! tries all its addresses, best first. Failed attempts are repeated after growing pauses with jitter. The book is
//! bounded, and so are the concurrent attempts: in all, for each introducer, and for each address of peers never
//! reached. So a liar who fills the book mostly delays its own lies, and better known peers replace hearsay.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lanspread_types::limits::{ADDRS_PER_PEER_MAX, PEERS_MAX, PROTOCOL_VERSION, REMEMBERED_MAX};
use lanspread_types::{KnownPeer, Means, PartyMismatch, PeerId, PeerName, Sighting, Subnet, failpoint};

use super::rank::{is_dialable, is_plausible, rank};
use crate::border::net::Connected;
use crate::budget::{Tokens, site_of};
use crate::limits::{
    ATTEMPTS_PER_SITE, HEARSAY_DIAL_EVERY, HEARSAY_DIALS, HEARSAY_DIALS_OWN, HEARSAY_DIALS_PER_SITE,
    OTHER_VERSION_NEWS, UNREACHED_PER_SITE,
};
use crate::swarm::Rng;
use crate::time::Time;

/// Identities in the book, including the connected ones.
const ENTRIES_MAX: usize = 2 * PEERS_MAX;
/// Identities dialled at once, and those among them that one introducer named.
const ATTEMPTS_MAX: usize = 32;
const ATTEMPTS_PER_INTRODUCER_MAX: usize = 8;
/// When two peers see each other at once, the one with the larger id waits this long for the other to dial.
const LEAVE_TO_THEM: Duration = Duration::from_millis(800);
/// First and longest pause before a peer is dialled again; each failure doubles the pause.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Failed attempts, over some ten minutes, after which a lost peer is taken to have gone home.
const TRIES_MAX_LOST: u32 = 25;
/// Failed attempts after which a peer that was only heard of is given up. Hearing of it again starts anew.
const TRIES_MAX_HEARD: u32 = 6;
/// Shortest rest of a peer that was given up, however often we hear of it.
const ANEW_AFTER: Duration = Duration::from_secs(30);
/// Pause before a peer of another version is dialled again; it may have been updated.
const OTHER_VERSION_AGAIN: Duration = Duration::from_secs(60);
/// Pause after a peer refused us because of too many wrong passphrases. The next attempt takes part in a draw there;
/// a drawn attempt is kept for 35 s, which must suffice for two attempts.
const TOO_MANY_TRIES_AGAIN: Duration = Duration::from_secs(15);
/// Time between two reports of peers of other versions, after a burst.
const OTHER_VERSION_NEWS_EVERY: Duration = Duration::from_secs(10);
/// Addresses without a known identity that are listed with what happened to them.
const STRANGERS_MAX: usize = 64;

/// A peer to dial now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Expected identity.
    pub peer: PeerId,
    /// Its addresses, best first.
    pub addrs: Vec<SocketAddr>,
}

/// Why a peer in the book is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// It is being dialled, or will be in a moment.
    Coming,
    /// It speaks another protocol version.
    OtherVersion {
        /// Protocol version that it states.
        theirs: u16,
    },
    /// The address is our own.
    Own,
    /// Every dial has failed so far, or the connection was lost.
    Unreachable {
        /// What happened at each address, for people to read.
        reason: String,
    },
    /// We refused it, or it refused us.
    TurnedAway {
        /// Why, for people to read.
        reason: String,
    },
    /// It said goodbye.
    Left,
}

/// A peer or address that is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its identity, if known.
    pub peer: Option<PeerId>,
    /// Its name, if known.
    pub name: Option<String>,
    /// Addresses at which it may listen.
    pub addrs: Vec<SocketAddr>,
    /// How it was found, in the order in which that happened.
    pub found_by: Vec<Means>,
    /// Why it is not connected.
    pub absence: Absence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Will be dialled at this time.
    Due(Time),
    Dialling,
    Connected,
    /// Not dialled until we hear of it again.
    Resting,
    /// Not dialled, however often we hear of it. The peer may connect by itself, or the owner may enter its address.
    Shut,
}

/// How well an entry is known. A better known entry keeps its place in a full book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Familiarity {
    /// Another peer named it.
    Hearsay,
    /// It announced itself, or a forger did so in its name.
    Seen,
    /// The owner entered its address, or it was at the last party.
    Chosen,
    /// It has proven its identity.
    Reached,
}

/// The introducer or site behind an entry that was never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Introducer(PeerId),
    Site(IpAddr),
}

#[derive(Debug, Clone)]
struct Entry {
    /// Whether it was ever connected.
    reached: bool,
    name: Option<PeerName>,
    /// In the order of arrival; ranked when they are used.
    addrs: Vec<SocketAddr>,
    found_by: Vec<Means>,
    introducer: Option<PeerId>,
    stage: Stage,
    tries: u32,
    tries_max: u32,
    absence: Absence,
    changed_at: Time,
}

/// The entries, with the next due time cached. Most of what a node hears changes no entry and may arrive fast, so the
/// due time is computed once for each change, not for each message.
#[derive(Debug, Default)]
struct Entries {
    all: BTreeMap<PeerId, Entry>,
    /// Earliest due time; the outer `None` if it was not computed since the last change.
    next_due: Option<Option<Time>>,
}

impl Entries {
    fn change(&mut self) -> &mut BTreeMap<PeerId, Entry> {
        self.next_due = None;
        &mut self.all
    }

    /// Returns the cached due time, unless that has passed.
    fn foreseen(&self, now: Time) -> Option<Option<Time>> {
        self.next_due.filter(|next| next.is_none_or(|at| at > now))
    }

    /// Earliest due time after `now`.
    fn first_due_after(&self, now: Time) -> Option<Time> {
        let at = |e: &Entry| match e.stage {
            Stage::Due(at) => Some(at),
            _ => None,
        };
        self.all.values().filter_map(at).filter(|&at| at > now).min()
    }
}

/// Dials that introducers may still cause. Each site has some of its own, and draws further ones from a shared
/// budget. Liars can use up the shared budget and leave honest introducers their own dials.
#[derive(Debug)]
struct Hearsay {
    shared: Tokens,
    by_site: BTreeMap<Option<IpAddr>, (Tokens, Tokens)>,
}

impl Hearsay {
    fn new() -> Self {
        Self { shared: Tokens::new(HEARSAY_DIALS, HEARSAY_DIAL_EVERY, Time::START), by_site: BTreeMap::new() }
    }

    /// Spends one dial of the introducer at this site. Returns the time until which to wait if none is left.
    fn spend(&mut self, site: Option<IpAddr>, now: Time) -> Option<Time> {
        self.by_site.retain(|_, (own, all)| !(own.is_full(now) && all.is_full(now)));
        let (own, all) = self.by_site.entry(site).or_insert_with(|| {
            let tokens = |burst| Tokens::new(burst, HEARSAY_DIAL_EVERY, now);
            (tokens(HEARSAY_DIALS_OWN), tokens(HEARSAY_DIALS_PER_SITE))
        });
        if all.has(now) && (own.take(now) || self.shared.take(now)) {
            all.take(now);
            return None;
        }
        // The budget regains one dial in this time.
        Some(now + HEARSAY_DIAL_EVERY)
    }
}

/// All peers that we have heard of.
#[derive(Debug)]
pub struct Book {
    me: PeerId,
    entries: Entries,
    strangers: BTreeMap<SocketAddr, Stranger>,
    subnets: Vec<Subnet>,
    hearsay: Hearsay,
    /// Limits reports of peers of other versions.
    version_news: Tokens,
}

impl Book {
    /// Returns an empty book for a peer with this id.
    pub fn new(me: PeerId) -> Self {
        Self {
            me,
            entries: Entries::default(),
            strangers: BTreeMap::new(),
            subnets: Vec::new(),
            hearsay: Hearsay::new(),
            version_news: Tokens::new(OTHER_VERSION_NEWS, OTHER_VERSION_NEWS_EVERY, Time::START),
        }
    }

    /// Sets the networks that this machine is in.
    pub fn set_subnets(&mut self, subnets: Vec<Subnet>) {
        self.subnets = subnets;
    }

    /// Returns true if an address that a peer at `by` named is worth a dial.
    pub fn is_plausible(&self, addr: SocketAddr, by: IpAddr) -> bool {
        is_plausible(addr, Some(by), &self.subnets) || failpoint!("dial-any-introduction")
    }

    /// Notes a sighting of a peer. Returns true if it is news of a peer of another version, to be reported.
    pub fn heard(
        &mut self,
        sighting: Sighting,
        introducer: Option<PeerId>,
        now: Time,
        rng: &mut Rng,
    ) -> bool {
        let Sighting { peer, name, protocol, addrs, means } = sighting;
        let addrs: Vec<SocketAddr> = addrs.into_iter().filter(|&a| is_dialable(a)).collect();
        let Some(first) = addrs.first().filter(|_| peer != self.me) else { return false };
        let origin = introducer.map_or_else(|| Origin::Site(site_of(first.ip())), Origin::Introducer);
        if !self.has_room_for(&peer, means, Some(origin)) {
            return false;
        }
        let wait = if self.me < peer || means == Means::Remembered {
            Duration::ZERO
        } else {
            with_jitter(LEAVE_TO_THEM, rng)
        };
        let entry = self.entries.change().entry(peer).or_insert_with(|| Entry::new(now + wait));
        if name.is_some() {
            entry.name = name;
        }
        entry.note_means(means);
        let news = entry.add_addrs(&addrs);
        entry.introducer = entry.introducer.or(introducer).filter(|_| entry.found_by == [Means::Introduced]);
        let rested = now.since(entry.changed_at) >= ANEW_AFTER;
        // An introduction may be older than the goodbye; an announcement by the peer itself is not.
        let returns = entry.absence == Absence::Left && means != Means::Introduced;
        if entry.stage == Stage::Connected {
            return false;
        }
        if protocol != PROTOCOL_VERSION {
            let news = entry.absence != Absence::OtherVersion { theirs: protocol };
            entry.other_version(protocol, now);
            return news && self.version_news.take(now);
        }
        if entry.stage == Stage::Resting && (news || rested || returns) {
            entry.tries = 0;
            entry.set_stage(Stage::Due(now + wait), now);
            entry.absence = Absence::Coming;
        } else if let Stage::Due(at) = entry.stage
            && news
        {
            // A new address may be the right one, so the peer is not left waiting for a long pause.
            entry.stage = Stage::Due(at.min(now + wait + AGAIN_FIRST));
        }
        false
    }

    /// Notes that a peer is connected and has proven its identity. `typed` is true if the owner entered this address.
    pub fn connected(&mut self, connected: &Connected, typed: bool, now: Time) {
        let Connected { peer, hello, addr, .. } = connected;
        self.strangers.remove(addr);
        if !self.has_room_for(peer, Means::Inbound, None) {
            return;
        }
        let entry = self.entries.change().entry(*peer).or_insert_with(|| Entry::new(now));
        entry.reached = true;
        entry.name = Some(hello.name.clone());
        if typed {
            entry.note_means(Means::Typed);
        } else if entry.found_by.is_empty() {
            // A peer that was found in another way and merely dialled first keeps that way.
            entry.note_means(Means::Inbound);
        }
        entry.addrs.retain(|known| known != addr);
        entry.addrs.insert(0, *addr);
        entry.addrs.truncate(ADDRS_PER_PEER_MAX);
        (entry.tries, entry.introducer) = (0, None);
        entry.set_stage(Stage::Connected, now);
    }

    /// Notes that a connection broke without a goodbye. The peer is dialled again.
    pub fn lost(&mut self, peer: &PeerId, now: Time, rng: &mut Rng) {
        let Some(entry) = self.entries.change().get_mut(peer) else { return };
        (entry.tries, entry.tries_max) = (0, TRIES_MAX_LOST);
        entry.absence = Absence::Unreachable { reason: "the connection was lost".to_owned() };
        if failpoint!("never-redial") {
            return entry.set_stage(Stage::Resting, now);
        }
        entry.set_stage(Stage::Due(now + with_jitter(AGAIN_FIRST, rng)), now);
    }

    /// Notes that a peer said goodbye. It is not dialled until we hear of it again.
    pub fn left(&mut self, peer: &PeerId, now: Time) {
        let Some(entry) = self.entries.change().get_mut(peer) else { return };
        (entry.absence, entry.tries_max) = (Absence::Left, TRIES_MAX_LOST);
        entry.set_stage(Stage::Resting, now);
    }

    /// Notes that a peer was refused, or refused us. It is listed with the reason, and not dialled until we hear of
    /// it again.
    pub fn turned_away(&mut self, peer: &PeerId, reason: String, now: Time) {
        if let Some(entry) = self.entries.change().get_mut(peer) {
            entry.absence = Absence::TurnedAway { reason };
            entry.set_stage(Stage::Resting, now);
        }
    }

    /// Notes that a peer has proven its identity and belongs to another party, which ends the attempt to dial it.
    /// Another attempt would change nothing and look like guessing, unless the peer refused us for the wrong guesses
    /// of others.
    ///
    /// `typed` is true if the owner entered this address. A peer that is not in the book is added only then.
    pub fn other_party(
        &mut self,
        peer: PeerId,
        addr: SocketAddr,
        mismatch: &PartyMismatch,
        typed: bool,
        now: Time,
    ) {
        if typed && self.has_room_for(&peer, Means::Typed, None) {
            self.strangers.remove(&addr);
            let entry = self.entries.change().entry(peer).or_insert_with(|| Entry::new(now));
            entry.note_means(Means::Typed);
            entry.add_addrs(&[addr]);
        }
        let Some(entry) = self.entries.change().get_mut(&peer).filter(|e| e.stage != Stage::Connected) else {
            return;
        };
        entry.absence = Absence::TurnedAway { reason: mismatch.to_string() };
        let stage = match mismatch {
            PartyMismatch::TooManyTries => Stage::Due(now + TOO_MANY_TRIES_AGAIN),
            PartyMismatch::Closed(_) | PartyMismatch::Open | PartyMismatch::WrongPassPhrase => Stage::Shut,
        };
        entry.set_stage(stage, now);
    }

    /// Notes that a dial failed at all addresses of a peer.
    pub fn failed(&mut self, peer: &PeerId, reason: String, now: Time, rng: &mut Rng) {
        let Some(entry) = self.entries.change().get_mut(peer).filter(|e| e.stage == Stage::Dialling) else {
            return;
        };
        entry.tries += 1;
        entry.absence = Absence::Unreachable { reason };
        if entry.tries >= entry.tries_max {
            return entry.set_stage(Stage::Resting, now);
        }
        let pause = (AGAIN_FIRST * 2u32.saturating_pow(entry.tries.min(16))).min(AGAIN_MAX);
        entry.set_stage(Stage::Due(now + with_jitter(pause, rng)), now);
    }

    /// Notes that a peer speaks another version. `peer` is known if it proved its key before that.
    pub fn other_version(&mut self, peer: Option<PeerId>, addr: SocketAddr, theirs: u16, now: Time) {
        match peer {
            Some(peer) if self.has_room_for(&peer, Means::Inbound, None) => {
                self.strangers.remove(&addr);
                let entry = self.entries.change().entry(peer).or_insert_with(|| Entry::new(now));
                if entry.found_by.is_empty() {
                    entry.note_means(Means::Inbound);
                }
                entry.add_addrs(&[addr]);
                entry.other_version(theirs, now);
            }
            _ => self.note_stranger(addr, Absence::OtherVersion { theirs }),
        }
    }

    /// Notes what happened to an address that the owner entered.
    pub fn note_stranger(&mut self, addr: SocketAddr, absence: Absence) {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(&addr) {
            self.strangers.pop_first();
        }
        let (addrs, found_by) = (vec![addr], vec![Means::Typed]);
        self.strangers.insert(addr, Stranger { peer: None, name: None, addrs, found_by, absence });
    }

    /// Returns the peers to dial now. They count as being dialled from now on.
    pub fn take_due(&mut self, now: Time) -> Vec<Due> {
        // Entries that wait for a free attempt are due again when an attempt ends, which is a change.
        if self.entries.foreseen(now).is_some() {
            return Vec::new();
        }
        let mut dialling: BTreeMap<Option<Origin>, usize> = BTreeMap::new();
        for entry in self.entries.all.values().filter(|e| e.stage == Stage::Dialling) {
            *dialling.entry(entry.origin()).or_default() += 1;
        }
        let mut free = ATTEMPTS_MAX.saturating_sub(dialling.values().sum());
        let mut ready: Vec<(bool, Time, PeerId)> = self
            .entries
            .all
            .iter()
            .filter_map(|(peer, e)| match e.stage {
                Stage::Due(at) if now >= at => Some((e.introducer.is_some(), at, *peer)),
                _ => None,
            })
            .collect();
        ready.sort_unstable_by_key(|&(_, at, peer)| (at, peer));
        // Hearsay comes after sightings, and origins take turns, so that many entries of one origin do not delay the
        // few of another.
        let mut turns = dialling.clone();
        let mut ready: Vec<(bool, usize, PeerId)> = ready
            .into_iter()
            .map(|(hearsay, _, peer)| {
                let origin = self.entries.all.get(&peer).and_then(Entry::origin);
                let turn = turns.entry(origin).or_default();
                *turn += usize::from(origin.is_some());
                (hearsay, *turn, peer)
            })
            .collect();
        ready.sort_by_key(|(hearsay, turn, _)| (*hearsay, *turn));
        let introducers: BTreeSet<PeerId> =
            ready.iter().filter_map(|(.., peer)| self.entries.all.get(peer)?.introducer).collect();
        let sites: BTreeMap<PeerId, IpAddr> =
            introducers.into_iter().filter_map(|by| Some((by, self.site(&by)?))).collect();
        let mut due = Vec::new();
        for (_, _, peer) in ready {
            let Some(entry) = self.entries.all.get_mut(&peer) else { continue };
            let origin = entry.origin();
            let already = dialling.entry(origin).or_default();
            let most = match origin {
                Some(Origin::Introducer(_)) => ATTEMPTS_PER_INTRODUCER_MAX,
                Some(Origin::Site(_)) => ATTEMPTS_PER_SITE,
                None => ATTEMPTS_MAX,
            };
            if free == 0 || *already >= most {
                continue;
            }
            if let Some(Origin::Introducer(by)) = origin
                && let Some(later) = self.hearsay.spend(sites.get(&by).copied(), now)
            {
                entry.stage = Stage::Due(later);
                continue;
            }
            free -= 1;
            *already += 1;
            entry.set_stage(Stage::Dialling, now);
            let mut addrs = entry.addrs.clone();
            // The sort is stable: of equal addresses, the one known first comes first.
            addrs.sort_by_key(|&addr| rank(addr, &self.subnets));
            due.push(Due { peer, addrs });
        }
        self.entries.next_due = Some(self.entries.first_due_after(now));
        due
    }

    /// Returns the earliest due time. Entries that wait for a free attempt have none; the end of an attempt calls for
    /// another look.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        self.entries.foreseen(now).unwrap_or_else(|| self.entries.first_due_after(now))
    }

    /// Returns how a peer was found.
    pub fn found_by(&self, peer: &PeerId) -> Vec<Means> {
        self.entries.all.get(peer).map(|e| e.found_by.clone()).unwrap_or_default()
    }

    /// Returns all peers that are not connected, except those that said goodbye, and all entered addresses at which
    /// no listed peer is known.
    pub fn strangers(&self) -> Vec<Stranger> {
        let here = |e: &Entry| e.stage == Stage::Connected || e.absence == Absence::Left;
        let absent = self.entries.all.iter().filter(|(_, e)| !here(e));
        let mut all: Vec<Stranger> = absent
            .map(|(peer, e)| Stranger {
                peer: Some(*peer),
                name: e.name.as_ref().map(ToString::to_string),
                addrs: e.addrs.clone(),
                found_by: e.found_by.clone(),
                absence: e.absence.clone(),
            })
            .collect();
        let is_known = |addr: &SocketAddr| all.iter().any(|known| known.addrs.contains(addr));
        let nameless: Vec<Stranger> =
            self.strangers.iter().filter(|(addr, _)| !is_known(addr)).map(|(_, s)| s.clone()).collect();
        all.extend(nameless);
        all
    }

    /// Returns the peers to remember for the next party: the connected ones, then those that were connected.
    pub fn to_remember(&self) -> Vec<KnownPeer> {
        let mut worth: Vec<(bool, &PeerId, &Entry)> = self
            .entries
            .all
            .iter()
            .filter(|(_, e)| e.stage == Stage::Connected || e.tries_max == TRIES_MAX_LOST)
            .map(|(peer, e)| (e.stage != Stage::Connected, peer, e))
            .collect();
        worth.sort_by_key(|(absent, peer, _)| (*absent, **peer));
        worth.truncate(REMEMBERED_MAX);
        let known = |(_, peer, e): (bool, &PeerId, &Entry)| KnownPeer {
            peer: *peer,
            name: e.name.clone(),
            addrs: e.addrs.clone(),
        };
        worth.into_iter().map(known).collect()
    }

    /// Returns true if the peer is in the book or can be added.
    ///
    /// If the book is full, or too many peers were seen at one address and never reached, another entry is removed: a
    /// less well known one, or an equally known one of the origin with the most entries. Entries that are connected
    /// or being dialled stay.
    fn has_room_for(&mut self, peer: &PeerId, means: Means, origin: Option<Origin>) -> bool {
        if self.entries.all.contains_key(peer) {
            return true;
        }
        let full = self.entries.all.len() >= ENTRIES_MAX;
        let crowded = match origin {
            // Announcements from the network do not come from a loopback address.
            Some(Origin::Site(ip)) if means.is_announced() && !ip.is_loopback() => {
                self.count_of(Origin::Site(ip)) >= UNREACHED_PER_SITE
            }
            _ => false,
        };
        if !full && !crowded {
            return true;
        }
        if failpoint!("keep-every-entry") {
            return false;
        }
        let victim = if crowded {
            self.expendable(|e| e.origin() == origin)
        } else {
            let familiarity = Familiarity::of(means);
            let better = self.expendable(|e| {
                e.familiarity() < familiarity || e.is_at_rest() && familiarity >= Familiarity::Seen
            });
            better.or_else(|| self.expendable_equal(familiarity, origin))
        };
        victim.is_some_and(|victim| self.entries.change().remove(&victim).is_some())
    }

    /// Returns the site of a peer that is or was connected.
    fn site(&self, peer: &PeerId) -> Option<IpAddr> {
        Some(site_of(self.entries.all.get(peer)?.addrs.first()?.ip()))
    }

    fn count_of(&self, origin: Origin) -> usize {
        self.entries.all.values().filter(|e| e.origin() == Some(origin)).count()
    }

    /// Returns the least known of these entries. Of equals, an abandoned one comes first, then the oldest.
    fn expendable(&self, which: impl Fn(&Entry) -> bool) -> Option<PeerId> {
        let held = |e: &Entry| matches!(e.stage, Stage::Connected | Stage::Dialling);
        let candidates = self.entries.all.iter().filter(|(_, e)| !held(e) && which(e));
        let least =
            candidates.min_by_key(|(peer, e)| (e.familiarity(), !e.is_at_rest(), e.changed_at, **peer));
        least.map(|(peer, _)| *peer)
    }

    /// Returns an abandoned entry of at most this standing, or one of the origin that has more entries of this
    /// standing than `origin`.
    fn expendable_equal(&self, familiarity: Familiarity, origin: Option<Origin>) -> Option<PeerId> {
        let given_up = self.expendable(|e| e.familiarity() <= familiarity && e.is_at_rest());
        given_up.or_else(|| {
            let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
            let of_standing = self.entries.all.values().filter(|e| e.familiarity() == familiarity);
            of_standing.filter_map(Entry::origin).for_each(|origin| *counts.entry(origin).or_default() += 1);
            let own = origin.and_then(|origin| counts.get(&origin).copied()).unwrap_or(0);
            let (greediest, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
            (most > own + 1).then(|| self.expendable(|e| e.origin() == Some(greediest)))?
        })
    }
}

impl Familiarity {
    fn of(means: Means) -> Self {
        match means {
            Means::Introduced => Self::Hearsay,
            Means::Mdns | Means::Broadcast => Self::Seen,
            Means::Typed | Means::Remembered => Self::Chosen,
            Means::Inbound => Self::Reached,
        }
    }
}

impl Entry {
    fn new(due: Time) -> Self {
        Self {
            reached: false,
            name: None,
            addrs: Vec::new(),
            found_by: Vec::new(),
            introducer: None,
            stage: Stage::Due(due),
            tries: 0,
            tries_max: TRIES_MAX_HEARD,
            absence: Absence::Coming,
            changed_at: due,
        }
    }

    fn familiarity(&self) -> Familiarity {
        if self.reached {
            return Familiarity::Reached;
        }
        self.found_by.iter().map(|&means| Familiarity::of(means)).max().unwrap_or(Familiarity::Hearsay)
    }

    /// Returns the introducer or site behind the entry, or `None` if the entry is known better.
    fn origin(&self) -> Option<Origin> {
        match self.familiarity() {
            Familiarity::Hearsay => self.introducer.map(Origin::Introducer),
            Familiarity::Seen => self.addrs.first().map(|addr| Origin::Site(site_of(addr.ip()))),
            Familiarity::Chosen | Familiarity::Reached => None,
        }
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.stage, Stage::Resting | Stage::Shut)
    }

    fn set_stage(&mut self, stage: Stage, now: Time) {
        (self.stage, self.changed_at) = (stage, now);
    }

    fn note_means(&mut self, means: Means) {
        if !self.found_by.contains(&means) {
            self.found_by.push(means);
        }
    }

    /// Adds addresses, and drops the oldest ones if there are too many. Returns true if one was new.
    fn add_addrs(&mut self, addrs: &[SocketAddr]) -> bool {
        let mut news = false;
        for addr in addrs.iter().take(ADDRS_PER_PEER_MAX) {
            if !self.addrs.contains(addr) {
                news = true;
                self.addrs.push(*addr);
            }
        }
        let surplus = self.addrs.len().saturating_sub(ADDRS_PER_PEER_MAX);
        self.addrs.drain(..surplus);
        news
    }

    fn other_version(&mut self, theirs: u16, now: Time) {
        self.absence = Absence::OtherVersion { theirs };
        self.set_stage(Stage::Due(now + OTHER_VERSION_AGAIN), now);
    }
}

/// Lengthens a pause by up to a quarter, so that a room that lost its switch does not dial in step.
fn with_jitter(pause: Duration, rng: &mut Rng) -> Duration {
    pause + Duration::from_micros(rng.below(pause.as_micros() as u64 / 4 + 1))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
