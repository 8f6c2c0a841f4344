//! The address book: everybody who was heard of, and when to dial whom.
//!
//! One entry for each identity, with a few addresses. An identity is dialled by one attempt at a time, which takes all
//! its addresses, best first; attempts that fail come again after growing pauses with jitter. The book is bounded, and
//! so are the attempts at a time, in all, for those that one introducer named, and for those seen at one address: whoever
//! fills it with lies delays liars first, and what is known better takes the place of what is only said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lanspread_types::limits::{ADDRS_PER_PEER_MAX, PEERS_MAX, PROTOCOL_VERSION, REMEMBERED_MAX};
use lanspread_types::{KnownPeer, Means, PartyMismatch, PeerId, PeerName, Sighting, Subnet, failpoint};

use super::rank::{is_dialable, is_plausible, rank};
use crate::budget::{Tokens, site_of};
use crate::io::Connected;
use crate::limits::{
    ATTEMPTS_PER_SITE, HEARSAY_DIAL_EVERY, HEARSAY_DIALS, HEARSAY_DIALS_OWN, HEARSAY_DIALS_PER_SITE,
    OTHER_VERSION_NEWS, UNREACHED_PER_SITE,
};
use crate::swarm::Rng;
use crate::time::Time;

/// Identities that are kept, the connected ones among them.
const ENTRIES_MAX: usize = 2 * PEERS_MAX;
/// Identities that are dialled at a time, and those among them that one introducer named.
const ATTEMPTS_MAX: usize = 32;
const ATTEMPTS_PER_INTRODUCER_MAX: usize = 8;
/// Of two peers that see each other at once, the one with the larger id leaves the dialling to the other for so long.
const LEAVE_TO_THEM: Duration = Duration::from_millis(800);
/// First pause before a peer is dialled again; doubled each time.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// A peer that was here and has not come back after so many tries (some ten minutes) has gone home.
const TRIES_MAX_LOST: u32 = 25;
/// So often is tried who was only heard of. Hearing of it again starts anew.
const TRIES_MAX_HEARD: u32 = 6;
/// Who gave up on a peer starts anew at the earliest after this, however often it is heard of.
const ANEW_AFTER: Duration = Duration::from_secs(30);
/// A peer of another version may have been updated meanwhile.
const OTHER_VERSION_AGAIN: Duration = Duration::from_secs(60);
/// Too many wrong pass phrases came: whoever tries again takes part in the draw for the next one, and a try that was drawn is
/// kept for 35 s, which must suffice for two attempts.
const TOO_MANY_TRIES_AGAIN: Duration = Duration::from_secs(15);
/// Time between two peers of other versions that are told of, after a burst.
const OTHER_VERSION_NEWS_EVERY: Duration = Duration::from_secs(10);
/// Addresses without a known identity that are shown with what became of them.
const STRANGERS_MAX: usize = 64;

/// Somebody to dial now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub peer: PeerId,
    /// Best first.
    pub addrs: Vec<SocketAddr>,
}

/// Why somebody who was heard of is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// It is being dialled, or will be in a moment.
    Coming,
    OtherVersion {
        theirs: u16,
    },
    /// It is this very peer.
    Own,
    /// It was dialled, in vain.
    Unreachable {
        reason: String,
    },
    /// It was let in no further.
    TurnedAway {
        reason: String,
    },
    /// It said goodbye.
    Left,
}

/// Somebody who was heard of and is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    pub peer: Option<PeerId>,
    pub name: Option<String>,
    pub addrs: Vec<SocketAddr>,
    pub found_by: Vec<Means>,
    pub absence: Absence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be dialled then.
    Due(Time),
    Dialling,
    Connected,
    /// Not dialled until it is heard of again.
    Resting,
    /// Not dialled at all, however often it is heard of: it comes by itself, or somebody asks for it.
    Shut,
}

/// How well an entry is known; the better known one keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Somebody else named it.
    Hearsay,
    /// It, or somebody in its name, announced itself.
    Seen,
    /// An owner typed its address, or it was here the last time.
    Chosen,
    /// It has proven who it is.
    Reached,
}

/// Who is behind an entry that was never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Introducer(PeerId),
    Site(IpAddr),
}

#[derive(Debug, Clone)]
struct Entry {
    /// A connection to it once stood.
    reached: bool,
    name: Option<PeerName>,
    /// In the order in which they came; ordered by rank when they are used.
    addrs: Vec<SocketAddr>,
    found_by: Vec<Means>,
    introducer: Option<PeerId>,
    stage: Stage,
    tries: u32,
    tries_max: u32,
    absence: Absence,
    changed_at: Time,
}

/// Hardly anything that a node hears of changes them, and what it hears may come fast: whether somebody is due is worked
/// out once for each change, and not for each message.
#[derive(Debug, Default)]
struct Entries {
    all: BTreeMap<PeerId, Entry>,
    /// When the next one is due, where that was worked out since the last change.
    next_due: Option<Option<Time>>,
}

impl Entries {
    fn change(&mut self) -> &mut BTreeMap<PeerId, Entry> {
        self.next_due = None;
        &mut self.all
    }

    /// What was worked out since the last change, unless its time has come.
    fn foreseen(&self, now: Time) -> Option<Option<Time>> {
        self.next_due.filter(|next| next.is_none_or(|at| at > now))
    }

    /// Of those who are due after that.
    fn first_due_after(&self, now: Time) -> Option<Time> {
        let at = |e: &Entry| match e.stage {
            Stage::Due(at) => Some(at),
            _ => None,
        };
        self.all.values().filter_map(at).filter(|&at| at > now).min()
    }
}

/// Dials that introducers may still cause. Each machine has some of its own; whoever needs more draws on what all have
/// together, so that liars who use that up leave honest introducers their own.
#[derive(Debug)]
struct Hearsay {
    shared: Tokens,
    by_site: BTreeMap<Option<IpAddr>, (Tokens, Tokens)>,
}

impl Hearsay {
    fn new() -> Self {
        Self { shared: Tokens::new(HEARSAY_DIALS, HEARSAY_DIAL_EVERY, Time::START), by_site: BTreeMap::new() }
    }

    /// Spends one dial of the introducer at this address. Returns until when to wait if there is none left.
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
        // Not all at the same time.
        Some(now + HEARSAY_DIAL_EVERY)
    }
}

#[derive(Debug)]
pub struct Book {
    me: PeerId,
    entries: Entries,
    strangers: BTreeMap<SocketAddr, Stranger>,
    subnets: Vec<Subnet>,
    hearsay: Hearsay,
    /// News of peers of other versions that may still be told.
    version_news: Tokens,
}

impl Book {
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

    pub fn set_subnets(&mut self, subnets: Vec<Subnet>) {
        self.subnets = subnets;
    }

    /// Whether an address that a peer at `by` names is worth a dial.
    pub fn is_plausible(&self, addr: SocketAddr, by: IpAddr) -> bool {
        is_plausible(addr, Some(by), &self.subnets) || failpoint!("dial-any-introduction")
    }

    /// Somebody was heard of. Returns whether that is news of a peer with another version.
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
        // An introduction may be older than the goodbye; what the peer itself says is not.
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
            // It is at another address now, perhaps: no reason to sit a long pause out.
            entry.stage = Stage::Due(at.min(now + wait + AGAIN_FIRST));
        }
        false
    }

    /// A connection stands, and the peer has proven who it is.
    /// `typed` if somebody asked for this address.
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
            // Who was found otherwise and was a little quicker than we is not found by that.
            entry.note_means(Means::Inbound);
        }
        entry.addrs.retain(|known| known != addr);
        entry.addrs.insert(0, *addr);
        entry.addrs.truncate(ADDRS_PER_PEER_MAX);
        (entry.tries, entry.introducer) = (0, None);
        entry.set_stage(Stage::Connected, now);
    }

    /// The connection is gone without a word: it is dialled again.
    pub fn lost(&mut self, peer: &PeerId, now: Time, rng: &mut Rng) {
        let Some(entry) = self.entries.change().get_mut(peer) else { return };
        (entry.tries, entry.tries_max) = (0, TRIES_MAX_LOST);
        entry.absence = Absence::Unreachable { reason: "the connection was lost".to_owned() };
        if failpoint!("never-redial") {
            return entry.set_stage(Stage::Resting, now);
        }
        entry.set_stage(Stage::Due(now + with_jitter(AGAIN_FIRST, rng)), now);
    }

    /// It said goodbye: it comes back by itself, or is heard of again.
    pub fn left(&mut self, peer: &PeerId, now: Time) {
        let Some(entry) = self.entries.change().get_mut(peer) else { return };
        (entry.absence, entry.tries_max) = (Absence::Left, TRIES_MAX_LOST);
        entry.set_stage(Stage::Resting, now);
    }

    /// It is not wanted, or we are not: shown with the reason, and not dialled.
    pub fn turned_away(&mut self, peer: &PeerId, reason: String, now: Time) {
        if let Some(entry) = self.entries.change().get_mut(peer) {
            entry.absence = Absence::TurnedAway { reason };
            entry.set_stage(Stage::Resting, now);
        }
    }

    /// It has proven who it is, and is in another party: that is the end of an attempt to reach it. Trying again would
    /// change nothing and look like guessing, unless it was turned away for what others did before.
    /// `typed` if somebody asked for this address; who was not heard of otherwise is not noted down.
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

    /// An attempt on all its addresses has failed.
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

    /// It speaks another version. `peer` is known where it proved its key before it said so.
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

    /// What became of an address that was typed.
    pub fn note_stranger(&mut self, addr: SocketAddr, absence: Absence) {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(&addr) {
            self.strangers.pop_first();
        }
        let (addrs, found_by) = (vec![addr], vec![Means::Typed]);
        self.strangers.insert(addr, Stranger { peer: None, name: None, addrs, found_by, absence });
    }

    /// Those whose time has come. They count as being dialled from now on.
    pub fn take_due(&mut self, now: Time) -> Vec<Due> {
        // Who waits for a place comes with the end of an attempt, which is a change.
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
        // Hearsay comes after what was seen, and whoever is behind many of them does not come before those who are
        // behind few.
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
            // Stable: of equals, the one that was known first.
            addrs.sort_by_key(|&addr| rank(addr, &self.subnets));
            due.push(Due { peer, addrs });
        }
        self.entries.next_due = Some(self.entries.first_due_after(now));
        due
    }

    /// When the next one is due. Those that wait for a place come with the end of an attempt.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        self.entries.foreseen(now).unwrap_or_else(|| self.entries.first_due_after(now))
    }

    /// How a peer was found.
    pub fn found_by(&self, peer: &PeerId) -> Vec<Means> {
        self.entries.all.get(peer).map(|e| e.found_by.clone()).unwrap_or_default()
    }

    /// Everybody who was heard of and is not connected, but for those who said goodbye. Each once: what was typed is
    /// left out where it is known who is there.
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

    /// Whom to remember: those who are here, then those who were.
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

    /// Whether the peer is in the book or may come in. When the book is full, or when too many were seen at one address and
    /// never reached, an entry that is known less well gives way, or one of whoever is behind most of those that are known as
    /// little. Who is connected or being dialled stays.
    fn has_room_for(&mut self, peer: &PeerId, means: Means, origin: Option<Origin>) -> bool {
        if self.entries.all.contains_key(peer) {
            return true;
        }
        let full = self.entries.all.len() >= ENTRIES_MAX;
        let crowded = match origin {
            // What comes from outside does not come from there.
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
            let standing = Standing::of(means);
            let better =
                self.expendable(|e| e.standing() < standing || e.is_at_rest() && standing >= Standing::Seen);
            better.or_else(|| self.expendable_equal(standing, origin))
        };
        victim.is_some_and(|victim| self.entries.change().remove(&victim).is_some())
    }

    /// The machine of a peer that is or was connected.
    fn site(&self, peer: &PeerId) -> Option<IpAddr> {
        Some(site_of(self.entries.all.get(peer)?.addrs.first()?.ip()))
    }

    fn count_of(&self, origin: Origin) -> usize {
        self.entries.all.values().filter(|e| e.origin() == Some(origin)).count()
    }

    /// The least known of these entries, and of equals the one that was given up, or is the oldest.
    fn expendable(&self, which: impl Fn(&Entry) -> bool) -> Option<PeerId> {
        let held = |e: &Entry| matches!(e.stage, Stage::Connected | Stage::Dialling);
        let candidates = self.entries.all.iter().filter(|(_, e)| !held(e) && which(e));
        let least = candidates.min_by_key(|(peer, e)| (e.standing(), !e.is_at_rest(), e.changed_at, **peer));
        least.map(|(peer, _)| *peer)
    }

    /// An entry of this standing that was given up, or one of whoever is behind more of them than the newcomer's origin.
    fn expendable_equal(&self, standing: Standing, origin: Option<Origin>) -> Option<PeerId> {
        let given_up = self.expendable(|e| e.standing() <= standing && e.is_at_rest());
        given_up.or_else(|| {
            let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
            let of_standing = self.entries.all.values().filter(|e| e.standing() == standing);
            of_standing.filter_map(Entry::origin).for_each(|origin| *counts.entry(origin).or_default() += 1);
            let own = origin.and_then(|origin| counts.get(&origin).copied()).unwrap_or(0);
            let (greediest, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
            (most > own + 1).then(|| self.expendable(|e| e.origin() == Some(greediest)))?
        })
    }
}

impl Standing {
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

    fn standing(&self) -> Standing {
        if self.reached {
            return Standing::Reached;
        }
        self.found_by.iter().map(|&means| Standing::of(means)).max().unwrap_or(Standing::Hearsay)
    }

    /// Who is behind it; `None` once it is known better.
    fn origin(&self) -> Option<Origin> {
        match self.standing() {
            Standing::Hearsay => self.introducer.map(Origin::Introducer),
            Standing::Seen => self.addrs.first().map(|addr| Origin::Site(site_of(addr.ip()))),
            Standing::Chosen | Standing::Reached => None,
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

    /// Returns whether one was new. The oldest go when there are too many.
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

/// Up to a quarter more, so that a room that lost its switch does not dial in step.
fn with_jitter(pause: Duration, rng: &mut Rng) -> Duration {
    pause + Duration::from_micros(rng.below(pause.as_micros() as u64 / 4 + 1))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
