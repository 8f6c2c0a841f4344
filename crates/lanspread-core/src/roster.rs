//! The roster: all connected peers, what they announce and what they want to hear about.
//!
//! Owns one entry for each connected peer, the ban list, and the rule that decides which of two connections to one
//! peer stays. A peer has exactly one current connection. The roster does not know our own library or downloads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lanspread_types::limits::{GAMES_PER_PEER_MAX, PEERS_MAX};
use lanspread_types::message::{GameOffer, LibraryUpdate};
use lanspread_types::name::Look;
use lanspread_types::{ContentId, GameId, PeerId, failpoint};

use crate::api::snapshot::PeerSnapshot;
use crate::border::net::{ConnId, Connected};
use crate::budget::{Budget, News, Sites, Verdict, site_of};
use crate::limits::LISTED_OFFERS_MAX;
use crate::offers::{Noted, Offers, Slot};
use crate::time::Time;

/// Two connections established within this time of each other count as both sides dialling at once.
const SIMULTANEOUS: Duration = Duration::from_secs(3);
/// Most contents about which one peer may want announcements; a peer downloads no more than a handful at once.
const INTERESTS_MAX: usize = 64;

/// State of one connected peer.
#[derive(Debug, Clone)]
pub struct RemotePeer {
    /// Proven identity.
    pub id: PeerId,
    /// Name to show. Has the short key appended if another name looks like it.
    pub name: String,
    look: Look,
    /// Address on which it accepts connections.
    pub addr: SocketAddr,
    /// This peer's own address on the connection, if known.
    pub local_ip: Option<IpAddr>,
    /// Protocol version that it speaks.
    pub protocol: u16,
    /// Its current control connection.
    pub conn: ConnId,
    slot: Slot,
    dialled: bool,
    connected_at: Time,
    /// When its last message arrived.
    pub last_heard: Time,
    /// Whether it was pinged and has been silent since.
    pub pinged: bool,
    /// Budget of its control messages.
    pub budget: Budget,
    /// Limits how often changes of its library are reported.
    pub news: News,
    library: RemoteLibrary,
    interests: BTreeSet<ContentId>,
    /// Downloads in which it sent data that does not verify.
    pub strikes: u32,
}

/// How much of a peer's library is known.
#[derive(Debug, Clone, Copy, Default)]
struct RemoteLibrary {
    revision: u64,
    /// Whether the snapshot being received has changed something already.
    changed: bool,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The peer is new, and admitted.
    New,
    /// The connection replaces this older one to the same peer, which must be closed.
    Replaces(ConnId),
    /// The older connection to the same peer stays; the new one must be closed.
    Redundant,
    /// The roster is full.
    Full,
    /// The peer was banned for what it sent, and stays out until this peer restarts.
    Banned,
}

/// Why a library message was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LibraryFault {
    /// The message builds on revision `base`, but revision `have` is known.
    #[error("the update builds on revision {base}, but revision {have} is known")]
    MissedRevision {
        /// Revision of the library that is known here.
        have: u64,
        /// Revision that the message builds upon.
        base: u64,
    },
    /// The library is larger than allowed.
    #[error("more than {GAMES_PER_PEER_MAX} games")]
    TooManyGames,
}

/// All connected peers.
#[derive(Debug)]
pub struct Roster {
    me: PeerId,
    peers: BTreeMap<PeerId, RemotePeer>,
    by_conn: BTreeMap<ConnId, PeerId>,
    /// Look of our own name.
    own_look: Look,
    /// The peer in each slot of the offer table.
    slots: Vec<Option<PeerId>>,
    offers: Offers,
    banned: BTreeSet<PeerId>,
    /// Message budgets of the addresses of peers.
    sites: Sites,
}

impl Roster {
    /// Returns an empty roster for a peer with this id and name.
    pub fn new(me: PeerId, own_name: &str) -> Self {
        Self {
            me,
            peers: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            own_look: Look::of(own_name),
            slots: Vec::new(),
            offers: Offers::default(),
            banned: BTreeSet::new(),
            sites: Sites::default(),
        }
    }

    /// Decides about a new connection, and enters it if it is admitted. A known peer keeps its library and interests,
    /// whatever its address.
    pub fn admit(&mut self, connected: &Connected, now: Time) -> Admission {
        let Connected { conn, peer: id, hello, addr, local_ip, dialled } = connected;
        if self.banned.contains(id) {
            return Admission::Banned;
        }
        let Some(known) = self.peers.get_mut(id) else {
            if self.peers.len() >= PEERS_MAX {
                return Admission::Full;
            }
            let at = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            if at == self.slots.len() {
                self.slots.push(None);
            }
            self.slots[at] = Some(*id);
            let slot = Slot(at as u16);
            self.offers.enter(slot, site_of(addr.ip()));
            let peer = RemotePeer {
                id: *id,
                name: hello.name.to_string(),
                look: Look::of(hello.name.as_str()),
                addr: *addr,
                local_ip: *local_ip,
                protocol: hello.protocol,
                conn: *conn,
                slot,
                dialled: *dialled,
                connected_at: now,
                last_heard: now,
                pinged: false,
                budget: Budget::new(1, now),
                news: News::new(now),
                library: RemoteLibrary::default(),
                interests: BTreeSet::new(),
                strikes: 0,
            };
            self.peers.insert(*id, peer);
            self.by_conn.insert(*conn, *id);
            self.tell_apart(id);
            return Admission::New;
        };
        // Both sides must keep the same connection: the one that the smaller id dialled. If they did not dial at
        // once, the newer connection is the live one, because the peer has just opened it.
        let at_once = known.dialled != *dialled && now.since(known.connected_at) < SIMULTANEOUS;
        if at_once && *dialled != (self.me < *id) {
            return Admission::Redundant;
        }
        let old = known.conn;
        (known.conn, known.dialled, known.connected_at) = (*conn, *dialled, now);
        let addr = if failpoint!("keep-old-address") { known.addr } else { *addr };
        (known.name, known.addr, known.protocol) = (hello.name.to_string(), addr, hello.protocol);
        known.local_ip = *local_ip;
        known.look = Look::of(hello.name.as_str());
        (known.last_heard, known.pinged) = (now, false);
        known.library = RemoteLibrary::default();
        if failpoint!("forget-known-library") {
            self.offers.leave(known.slot);
        }
        self.offers.enter(known.slot, site_of(known.addr.ip()));
        self.by_conn.remove(&old);
        self.by_conn.insert(*conn, *id);
        self.tell_apart(id);
        Admission::Replaces(old)
    }

    /// Appends the short key to the name of a peer, and to all names that look like it, unless it is unlike every
    /// other name and our own.
    fn tell_apart(&mut self, id: &PeerId) {
        let Some(look) = self.peers.get(id).map(|peer| peer.look.clone()) else { return };
        let alike: Vec<PeerId> =
            self.peers.values().filter(|peer| peer.look.is_like(&look)).map(|peer| peer.id).collect();
        if alike.len() < 2 && !look.is_like(&self.own_look) {
            return;
        }
        for id in alike {
            if let Some(peer) = self.peers.get_mut(&id)
                && !peer.name.ends_with(&format!(" ({})", id.short()))
            {
                peer.name = format!("{} ({})", peer.name, id.short());
            }
        }
    }

    /// Removes the peer whose connection ended. Returns `None` if this was not the peer's current connection.
    pub fn remove_conn(&mut self, conn: ConnId) -> Option<RemotePeer> {
        let id = self.by_conn.remove(&conn)?;
        let peer = self.peers.remove(&id)?;
        self.offers.leave(peer.slot);
        self.slots[usize::from(peer.slot.0)] = None;
        Some(peer)
    }

    /// Bans a peer. A room has a handful of liars at most, so beyond `PEERS_MAX` banned peers one is let back in.
    pub fn ban(&mut self, peer: PeerId) {
        if self.banned.len() >= PEERS_MAX {
            self.banned.pop_first();
        }
        self.banned.insert(peer);
    }

    /// Returns the peer whose current connection this is.
    pub fn by_conn(&self, conn: ConnId) -> Option<&RemotePeer> {
        self.peers.get(self.by_conn.get(&conn)?)
    }

    /// Notes a message on the current connection of a peer, and charges it to the peer and to its address. Returns the
    /// peer, and what to do with the message.
    pub fn heard(&mut self, conn: ConnId, units: u32, now: Time) -> Option<(PeerId, Verdict)> {
        let peer = self.peers.get_mut(self.by_conn.get(&conn)?)?;
        (peer.last_heard, peer.pinged) = (now, false);
        let own = peer.budget.charge(units, now);
        Some((peer.id, self.sites.charge(peer.addr.ip(), units, now).max(own)))
    }

    /// Returns a connected peer.
    pub fn get(&self, peer: &PeerId) -> Option<&RemotePeer> {
        self.peers.get(peer)
    }

    /// The same, mutable.
    pub fn get_mut(&mut self, peer: &PeerId) -> Option<&mut RemotePeer> {
        self.peers.get_mut(peer)
    }

    /// Returns all connected peers, by id.
    pub fn iter(&self) -> impl Iterator<Item = &RemotePeer> {
        self.peers.values()
    }

    /// The same, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut RemotePeer> {
        self.peers.values_mut()
    }

    /// Returns the number of connected peers.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Returns true if no peer is connected.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Returns the peer that accepts connections at this address.
    pub fn at_addr(&self, addr: SocketAddr) -> Option<&RemotePeer> {
        self.peers.values().find(|p| p.addr == addr)
    }

    /// Returns the peers that announce a game, by id, with their offers.
    pub fn offers<'a>(
        &'a self,
        game: &GameId,
    ) -> impl Iterator<Item = (&'a RemotePeer, &'a GameOffer)> + use<'a> {
        let holder = |(Slot(slot), offer)| {
            let peer = self.slots[usize::from(slot)].as_ref()?;
            Some((self.peers.get(peer)?, offer))
        };
        let mut all: Vec<_> = self.offers.holders(game).filter_map(holder).collect();
        all.sort_unstable_by_key(|(peer, _)| peer.id);
        all.into_iter()
    }

    /// Returns the offers of all peers, indexed by game.
    pub fn offer_table(&self) -> &Offers {
        &self.offers
    }

    /// Returns the peer's offer of a game.
    pub fn offer(&self, peer: &RemotePeer, game: &GameId) -> Option<&GameOffer> {
        self.offers.of(peer.slot, game)
    }

    /// Returns true if the peer announces this content of the game.
    pub fn offers_content(&self, peer: &RemotePeer, game: &GameId, content: ContentId) -> bool {
        self.offer(peer, game).is_some_and(|offer| offer.content == content || failpoint!("mix-contents"))
    }

    /// Returns the peers that announce this content, by id.
    pub fn sources<'a>(
        &'a self,
        game: &GameId,
        content: ContentId,
    ) -> impl Iterator<Item = &'a RemotePeer> + use<'a> {
        let has_it = move |offer: &GameOffer| offer.content == content || failpoint!("mix-contents");
        self.offers(game).filter(move |(_, offer)| has_it(offer)).map(|(peer, _)| peer)
    }

    /// Returns the number of games that the peer offers.
    pub fn game_count(&self, peer: &RemotePeer) -> usize {
        self.offers.count(peer.slot)
    }

    /// Applies a library message. Returns true if the library is now complete and has changed.
    ///
    /// # Errors
    ///
    /// Fails if the message does not follow the last one, or if the library is too large.
    pub fn update_library(&mut self, id: &PeerId, update: LibraryUpdate) -> Result<bool, LibraryFault> {
        let Some(peer) = self.peers.get_mut(id) else { return Ok(false) };
        let (slot, library, offers) = (peer.slot, &mut peer.library, &mut self.offers);
        let is_snapshot = update.base == 0;
        if is_snapshot {
            offers.begin_snapshot(slot);
        } else if update.base != library.revision {
            return Err(LibraryFault::MissedRevision { have: library.revision, base: update.base });
        }
        for game in &update.removed {
            library.changed |= offers.withdraw(slot, game);
        }
        for offer in update.games {
            library.changed |= offers.note(slot, offer) == Noted::Changed;
            if offers.announced(slot) > GAMES_PER_PEER_MAX {
                offers.abandon_snapshot(slot);
                return Err(LibraryFault::TooManyGames);
            }
        }
        if update.more {
            return Ok(false);
        }
        if is_snapshot {
            library.changed |= offers.end_snapshot(slot);
            // A first snapshot is a change, even if it is empty.
            library.changed |= library.revision == 0;
        }
        library.revision = update.revision;
        Ok(std::mem::take(&mut library.changed) || !is_snapshot)
    }

    /// Returns the state of a peer for the owner. The caller adds how the peer was found.
    pub fn snapshot(&self, peer: &RemotePeer) -> PeerSnapshot {
        self.snapshot_with(peer, self.offers.library(peer.slot))
    }

    /// Returns the state of all peers for the owner. If they offer more than [`LISTED_OFFERS_MAX`] games, each list
    /// is cut to its share.
    pub fn snapshots(&self) -> Vec<PeerSnapshot> {
        let most = if self.offers.total() <= LISTED_OFFERS_MAX {
            GAMES_PER_PEER_MAX
        } else {
            LISTED_OFFERS_MAX / self.peers.len().max(1)
        };
        let mut by_peer = self.offers.by_peer(most);
        let mut snapshot =
            |peer: &RemotePeer| self.snapshot_with(peer, by_peer.remove(&peer.slot).unwrap_or_default());
        self.peers.values().map(&mut snapshot).collect()
    }

    fn snapshot_with(&self, peer: &RemotePeer, games: Vec<GameOffer>) -> PeerSnapshot {
        let left_out = self.offers.count(peer.slot) - games.len() + self.offers.left_out(peer.slot);
        PeerSnapshot {
            peer: peer.id,
            name: peer.name.clone(),
            addr: peer.addr,
            protocol: peer.protocol,
            found_by: Vec::new(),
            games,
            games_left_out: left_out,
        }
    }

    /// Returns the name to show for a peer, or its short id if it is not connected.
    pub fn name_of(&self, peer: &PeerId) -> String {
        self.peers.get(peer).map_or_else(|| peer.short(), |p| p.name.clone())
    }
}

impl RemotePeer {
    /// Records whether the peer wants to hear which chunks of a content we have. Ignores interests beyond
    /// `INTERESTS_MAX`.
    pub fn set_interested(&mut self, content: ContentId, interested: bool) {
        if !interested {
            self.interests.remove(&content);
        } else if self.interests.len() < INTERESTS_MAX {
            self.interests.insert(content);
        }
    }

    /// Returns true if the peer wants to hear which chunks of this content we have.
    pub fn is_interested(&self, content: ContentId) -> bool {
        self.interests.contains(&content)
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::message::Hello;
    use lanspread_types::{GameVersion, PeerName};

    use super::*;

    const ME: PeerId = PeerId([5; 32]);
    const LARGER: PeerId = PeerId([9; 32]);
    const SMALLER: PeerId = PeerId([1; 32]);

    fn connected(conn: u64, peer: PeerId, port: u16, dialled: bool) -> Connected {
        let name = PeerName::new("guest").unwrap();
        let hello = Hello { protocol: 1, name, listen_port: port, program: String::new() };
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        Connected { conn: ConnId(conn), peer, hello, addr, local_ip: None, dialled }
    }

    fn at(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    fn offer(game: &str) -> GameOffer {
        GameOffer {
            game: GameId::new(game).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([7; 32]),
            bytes: 1,
            files: 1,
        }
    }

    fn update(base: u64, revision: u64, more: bool, games: &[&str], removed: &[&str]) -> LibraryUpdate {
        let removed = removed.iter().map(|g| GameId::new(*g).unwrap()).collect();
        LibraryUpdate { revision, base, more, games: games.iter().map(|g| offer(g)).collect(), removed }
    }

    fn games(roster: &Roster, peer: PeerId) -> Vec<String> {
        let peer = roster.get(&peer).unwrap();
        roster.snapshot(peer).games.iter().map(|o| o.game.to_string()).collect()
    }

    #[test]
    fn a_known_identity_at_a_new_address_keeps_its_library() {
        let mut roster = Roster::new(ME, "me");
        assert!(roster.is_empty());
        assert_eq!(roster.admit(&connected(1, LARGER, 4000, true), at(0)), Admission::New);
        roster.update_library(&LARGER, update(0, 3, false, &["ggoo"], &[])).unwrap();
        assert_eq!(roster.admit(&connected(2, LARGER, 5000, true), at(60)), Admission::Replaces(ConnId(1)));
        assert_eq!(roster.len(), 1);
        let peer = roster.get(&LARGER).unwrap();
        assert_eq!((peer.addr.port(), games(&roster, LARGER)), (5000, vec!["ggoo".to_owned()]));
        assert!(
            roster.remove_conn(ConnId(1)).is_none(),
            "the end of the old connection is not the end of the peer"
        );
        assert!(!roster.is_empty());
        assert_eq!(roster.remove_conn(ConnId(2)).map(|p| p.id), Some(LARGER));
        assert!(roster.is_empty());
    }

    #[test]
    fn crossed_dials_keep_the_smaller_ids_connection() {
        for (other, ours_stays) in [(LARGER, true), (SMALLER, false)] {
            for ours_first in [true, false] {
                let mut roster = Roster::new(ME, "me");
                roster.admit(&connected(1, other, 1, ours_first), at(0));
                let second = roster.admit(&connected(2, other, 1, !ours_first), at(0));
                let first_stays = ours_first == ours_stays;
                assert_eq!(
                    second,
                    if first_stays { Admission::Redundant } else { Admission::Replaces(ConnId(1)) }
                );
            }
        }
    }

    #[test]
    fn later_connection_replaces_a_stale_one() {
        for later in [3, 60] {
            let mut roster = Roster::new(ME, "me");
            roster.admit(&connected(1, LARGER, 1, true), at(0));
            let admission = roster.admit(&connected(2, LARGER, 1, false), at(later));
            assert_eq!(admission, Admission::Replaces(ConnId(1)), "{later} s");
        }
    }

    #[test]
    fn banned_peers_stay_out_and_are_bounded() {
        let mut roster = Roster::new(ME, "me");
        let admit = |roster: &mut Roster, peer| roster.admit(&connected(1, peer, 1, true), at(0));
        roster.ban(SMALLER);
        roster.ban(LARGER);
        assert_eq!([SMALLER, LARGER].map(|peer| admit(&mut roster, peer)), [Admission::Banned; 2]);
        for n in 0..PEERS_MAX as u64 {
            let mut id = [10; 32];
            id[..8].copy_from_slice(&(n + (10 << 56)).to_be_bytes());
            roster.ban(PeerId(id));
            assert_eq!(admit(&mut roster, PeerId(id)), Admission::Banned);
        }
        assert_eq!(roster.banned.len(), PEERS_MAX);
        assert_eq!(admit(&mut roster, SMALLER), Admission::New, "somebody is let back in for them");
    }

    #[test]
    fn peer_is_found_by_connection_and_address() {
        let mut roster = Roster::new(ME, "me");
        roster.admit(&connected(1, LARGER, 4000, true), at(0));
        roster.admit(&connected(2, SMALLER, 5000, true), at(0));
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(roster.by_conn(ConnId(2)).map(|p| p.id), Some(SMALLER));
        assert_eq!(roster.heard(ConnId(1), 1, at(0)).map(|(peer, _)| peer), Some(LARGER));
        assert_eq!(roster.at_addr(addr(4000)).map(|p| p.id), Some(LARGER));
        assert!(roster.by_conn(ConnId(3)).is_none() && roster.at_addr(addr(6000)).is_none());
    }

    #[test]
    fn repeated_library_is_no_change() {
        let mut roster = Roster::new(ME, "me");
        roster.admit(&connected(1, LARGER, 1, true), at(0));
        assert_eq!(
            roster.update_library(&LARGER, update(0, 1, false, &[], &[])),
            Ok(true),
            "it is known now"
        );
        assert_eq!(roster.update_library(&LARGER, update(0, 2, false, &[], &[])), Ok(false));
        assert_eq!(roster.update_library(&LARGER, update(0, 3, false, &["a"], &[])), Ok(true));
        assert_eq!(roster.update_library(&LARGER, update(0, 4, false, &["a"], &[])), Ok(false));
    }

    #[test]
    fn the_games_of_a_peer_are_bounded() {
        let mut roster = Roster::new(ME, "me");
        roster.admit(&connected(1, LARGER, 1, true), at(0));
        let names: Vec<String> = (0..GAMES_PER_PEER_MAX + 2).map(|n| format!("g{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for more in [1, 2] {
            let too_many = update(0, 1, false, &names[..GAMES_PER_PEER_MAX + more], &[]);
            assert_eq!(roster.update_library(&LARGER, too_many), Err(LibraryFault::TooManyGames));
        }
        assert_eq!(
            roster.update_library(&LARGER, update(0, 1, false, &names[..GAMES_PER_PEER_MAX], &[])),
            Ok(true)
        );
        assert_eq!(roster.game_count(roster.get(&LARGER).unwrap()), GAMES_PER_PEER_MAX);
        let exchanged = update(1, 1, false, &names[..1], &names[..1]);
        assert_eq!(roster.update_library(&LARGER, exchanged), Ok(true), "one for another");
        let one_more = update(1, 2, false, &names[GAMES_PER_PEER_MAX..=GAMES_PER_PEER_MAX], &[]);
        assert_eq!(roster.update_library(&LARGER, one_more), Err(LibraryFault::TooManyGames));
    }

    #[test]
    fn libraries_come_as_snapshot_and_changes() {
        let mut roster = Roster::new(ME, "me");
        roster.admit(&connected(1, LARGER, 1, true), at(0));
        assert_eq!(roster.update_library(&LARGER, update(0, 4, true, &["a", "b"], &[])), Ok(false));
        assert_eq!(games(&roster, LARGER), Vec::<String>::new(), "half a snapshot shows nothing");
        assert_eq!(roster.update_library(&LARGER, update(0, 4, false, &["c"], &[])), Ok(true));
        assert_eq!(games(&roster, LARGER), ["a", "b", "c"]);
        assert_eq!(roster.update_library(&LARGER, update(4, 5, false, &["d"], &["a"])), Ok(true));
        assert_eq!(games(&roster, LARGER), ["b", "c", "d"]);
        let missed = roster.update_library(&LARGER, update(6, 7, false, &["e"], &[]));
        assert_eq!(missed, Err(LibraryFault::MissedRevision { have: 5, base: 6 }));
        assert_eq!(games(&roster, LARGER), ["b", "c", "d"]);
    }

    #[test]
    fn peers_and_interests_are_bounded() {
        let mut roster = Roster::new(ME, "me");
        for n in 0..PEERS_MAX as u64 + 1 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_le_bytes());
            let admission = roster.admit(&connected(n, PeerId(id), 1, true), at(0));
            assert_eq!(admission, if n < PEERS_MAX as u64 { Admission::New } else { Admission::Full });
        }
        let peer = roster.iter_mut().next().unwrap();
        (0..=u8::MAX).for_each(|n| peer.set_interested(ContentId([n; 32]), true));
        assert_eq!(peer.interests.len(), INTERESTS_MAX);
        assert!(peer.is_interested(ContentId([0; 32])) && !peer.is_interested(ContentId([u8::MAX; 32])));
        peer.set_interested(ContentId([0; 32]), false);
        assert!(!peer.is_interested(ContentId([0; 32])));
    }

    #[test]
    fn names_that_look_alike_show_the_key() {
        let mut roster = Roster::new(ME, "Ada");
        let admit = |roster: &mut Roster, conn, peer, name: &str| {
            let mut connected = connected(conn, peer, 1, true);
            connected.hello.name = PeerName::new(name).unwrap();
            roster.admit(&connected, at(0));
        };
        let names = |roster: &Roster| roster.iter().map(|peer| peer.name.clone()).collect::<Vec<_>>();
        admit(&mut roster, 1, SMALLER, "Bob");
        assert_eq!(names(&roster), ["Bob"]);
        admit(&mut roster, 2, LARGER, "Воb");
        assert_eq!(names(&roster), ["Bob (01010101)", "Воb (09090909)"], "with Cyrillic letters");
        admit(&mut roster, 3, LARGER, "Аda");
        assert!(names(&roster).contains(&"Аda (09090909)".to_owned()), "it looks like our own name");
    }
}
