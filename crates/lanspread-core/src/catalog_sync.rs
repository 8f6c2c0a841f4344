//! Synchronisation of the organiser's catalogue: which edition is here, which peers offer a newer one, and how it is
//! fetched.
//!
//! Only offers signed by the trusted key with a higher serial number count. A catalogue is fetched part by part from
//! one peer at a time. Its signature is checked elsewhere, over the whole bytes, before any of them are interpreted.
//!
//! An open peer suggests the organisers of the room to its owner and fetches their catalogues to show what they
//! contain. That changes nothing by itself: only the owner makes a key trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::{CATALOG_BYTES_MAX, CATALOG_PART_BYTES_MAX, PEERS_MAX};
use lanspread_types::{CatalogKey, PeerId, failpoint};

use crate::catalog::SignedCatalog;
use crate::time::Time;

/// A peer that does not send the next part within this time is given up.
const PART_TIME_MAX: Duration = Duration::from_secs(10);
/// A peer that does not finish within this time is given up: 4 MiB take far less on any LAN.
const FETCH_TIME_MAX: Duration = Duration::from_secs(60);
/// Strikes after which a peer is not asked any more. Being late is one strike; a wrong catalogue is all of them.
const STRIKES_MAX: u32 = 3;

/// Organisers that are suggested at once; those whose catalogue most peers have are kept.
pub const SUGGESTED_KEYS_MAX: usize = 8;
/// Keys whose first offer is reported as an event, and keys whose catalogue is kept as looked at: a room has one
/// organiser, or a few that disagree.
pub const TOLD_KEYS_MAX: usize = 64;
/// Declined keys that are remembered; beyond that, one is forgotten for each new one.
pub const DECLINED_KEYS_MAX: usize = 256;

/// The trusted organiser and the edition that is here.
#[derive(Debug, Clone)]
pub struct TrustedCatalog {
    /// Key of the organiser.
    pub key: CatalogKey,
    /// The newest edition that arrived; `None` before the first one.
    pub held: Option<Arc<SignedCatalog>>,
}

/// State of the synchronisation.
#[derive(Debug, Default)]
pub struct CatalogSync {
    trust: Option<TrustedCatalog>,
    offers: BTreeMap<PeerId, Offer>,
    download: Option<Download>,
    /// Strikes of peers that were late or sent a catalogue that does not verify.
    strikes: BTreeMap<PeerId, u32>,
    /// Organisers about whom the owner does not want to be asked.
    declined: BTreeSet<CatalogKey>,
    /// Organisers that may be suggested; `None` if none may.
    strangers: Option<Strangers>,
}

/// Organisers that are not trusted.
#[derive(Debug, Default)]
struct Strangers {
    /// The organiser named by the invitation.
    invited: Option<CatalogKey>,
    /// Keys that an event reported.
    told: BTreeSet<CatalogKey>,
    /// Descriptions of the catalogues that were fetched and checked.
    looked_at: BTreeMap<CatalogKey, About>,
}

/// What a catalogue says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Serial number of the edition.
    pub serial: u64,
    /// Title of the catalogue.
    pub title: Option<String>,
    /// Number of games that it lists.
    pub games: usize,
}

/// An organiser that the owner could trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// Key of the organiser.
    pub key: CatalogKey,
    /// Whether the invitation of this peer names the organiser.
    pub invited: bool,
    /// Connected peers that offer the organiser's catalogue.
    pub peers: Vec<PeerId>,
    /// What the catalogue says about itself, once it was fetched and its signature checked.
    pub about: Option<About>,
}

#[derive(Debug, Clone, Copy)]
struct Offer {
    key: CatalogKey,
    serial: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Download {
    peer: PeerId,
    /// The key under which it is requested.
    key: CatalogKey,
    offer: Offer,
    got: Vec<u8>,
    end: Time,
    /// When the next part must be here; `None` while the whole catalogue is being checked.
    due: Option<Time>,
}

/// A request for one part of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Peer to ask.
    pub peer: PeerId,
    /// Key of the catalogue.
    pub key: CatalogKey,
    /// Serial number of the edition.
    pub serial: u64,
    /// Start of the part, in bytes.
    pub offset: u32,
}

/// Failpoint: every organiser counts as trusted.
fn trusts_anybody() -> bool {
    failpoint!("trust-any-organiser")
}

/// What follows from a part that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The part was not requested, and is ignored.
    Unasked,
    /// The next part is requested.
    More(Ask),
    /// The catalogue is complete; its bytes must be checked.
    Whole(Vec<u8>),
}

/// What becomes of a checked catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts from now on.
    Adopted,
    /// It is only described to the owner.
    LookedAt,
    /// It has no valid signature, or was not expected.
    Worthless,
}

/// Why a validly signed catalogue is not the offered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// Another key signed it.
    #[error("its catalogue is signed by somebody else")]
    OtherKey,
    /// Its serial number is not the offered one.
    #[error("its catalogue does not have the announced serial number")]
    OtherSerial,
    /// Its edition is not newer than the one that is here.
    #[error("its catalogue is not newer than the one that is here")]
    NotNewer,
}

impl CatalogSync {
    /// Starts with a trusted organiser, or with none.
    pub fn new(trust: Option<TrustedCatalog>) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Never suggests these organisers.
    #[must_use]
    pub fn without(self, declined: BTreeSet<CatalogKey>) -> Self {
        Self { declined, ..self }
    }

    /// Suggests the organisers of the room from now on, the one that the invitation names first.
    pub fn suggest(&mut self, invited: Option<CatalogKey>) {
        self.strangers = Some(Strangers { invited, ..Strangers::default() });
    }

    /// Trusts a key from now on. A catalogue of another key no longer counts.
    pub fn trust_key(&mut self, key: CatalogKey) {
        self.trust = Some(TrustedCatalog { key, held: None });
        self.download = None;
        self.declined.remove(&key);
    }

    /// Stops suggesting a key. Returns all declined keys.
    pub fn decline(&mut self, key: CatalogKey) -> BTreeSet<CatalogKey> {
        if self.declined.len() >= DECLINED_KEYS_MAX && !self.declined.contains(&key) {
            self.declined.pop_first();
        }
        self.declined.insert(key);
        self.declined.clone()
    }

    /// Returns the organisers that the owner may want to trust: the invitation's first, then those whose catalogue
    /// most peers have. Empty once one is trusted.
    pub fn suggestions(&self) -> Vec<Suggestion> {
        let Some(strangers) = self.strangers.as_ref().filter(|_| self.trust.is_none()) else {
            return Vec::new();
        };
        let mut by_key: BTreeMap<CatalogKey, Vec<PeerId>> = BTreeMap::new();
        by_key.extend(strangers.invited.map(|key| (key, Vec::new())));
        for (peer, offer) in &self.offers {
            by_key.entry(offer.key).or_default().push(*peer);
        }
        by_key.retain(|key, _| !self.declined.contains(key) || failpoint!("ask-again"));
        let suggestion = |(key, peers)| Suggestion {
            key,
            invited: strangers.invited == Some(key),
            peers,
            about: strangers.looked_at.get(&key).cloned(),
        };
        let mut all: Vec<Suggestion> = by_key.into_iter().map(suggestion).collect();
        all.sort_by_key(|s| (!s.invited, std::cmp::Reverse(s.peers.len()), s.key));
        all.truncate(SUGGESTED_KEYS_MAX);
        all
    }

    /// Returns true if a key that may be suggested is offered for the first time.
    pub fn is_news(&mut self, key: CatalogKey) -> bool {
        let Some(strangers) = self.strangers.as_mut().filter(|_| self.trust.is_none()) else { return false };
        let known = self.declined.contains(&key) || strangers.told.len() >= TOLD_KEYS_MAX;
        !known && (strangers.told.insert(key) || failpoint!("offer-every-time"))
    }

    /// Returns the trusted organiser.
    pub fn trust(&self) -> Option<&TrustedCatalog> {
        self.trust.as_ref()
    }

    /// Returns the edition that is here.
    pub fn held(&self) -> Option<&Arc<SignedCatalog>> {
        self.trust.as_ref()?.held.as_ref()
    }

    fn newest(&self) -> u64 {
        self.held().map_or(0, |held| held.serial)
    }

    /// Notes that a peer offers an edition of this size in bytes.
    pub fn offered(&mut self, peer: PeerId, key: CatalogKey, serial: u64, bytes: u32) {
        let bytes = bytes as usize;
        let room = self.offers.len() < PEERS_MAX || self.offers.contains_key(&peer);
        if (1..=CATALOG_BYTES_MAX).contains(&bytes) && room {
            self.offers.insert(peer, Offer { key, serial, bytes });
        }
    }

    /// Forgets the offer of a peer that is gone, and the fetch from it unless that is complete.
    pub fn peer_gone(&mut self, peer: PeerId) {
        self.offers.remove(&peer);
        if self.download.as_ref().is_some_and(|download| download.peer == peer && download.due.is_some()) {
            self.download = None;
        }
    }

    /// Begins to fetch the newest offered edition, or a catalogue to look at, unless a fetch is under way. Returns
    /// the first request.
    pub fn next(&mut self, now: Time) -> Option<Ask> {
        if self.download.is_some() {
            return None;
        }
        let (key, newest) = match &self.trust {
            Some(_) if failpoint!("keep-first-edition") && self.held().is_some() => return None,
            Some(trust) => (trust.key, self.newest()),
            None => (self.not_looked_at()?, 0),
        };
        let out = |peer: &PeerId| self.strikes.get(peer).is_some_and(|strikes| *strikes >= STRIKES_MAX);
        let wanted = |(peer, offer): &(&PeerId, &Offer)| {
            offer.serial > newest && (offer.key == key || trusts_anybody()) && !out(peer)
        };
        let (&peer, &offer) = self.offers.iter().filter(wanted).max_by_key(|(_, offer)| offer.serial)?;
        self.download = Some(Download {
            peer,
            key,
            offer,
            got: Vec::new(),
            end: now + FETCH_TIME_MAX,
            due: Some(now + PART_TIME_MAX),
        });
        Some(Ask { peer, key, serial: offer.serial, offset: 0 })
    }

    /// Returns the first suggested organiser whose catalogue was not looked at and can be fetched from a peer.
    fn not_looked_at(&self) -> Option<CatalogKey> {
        let strangers = self.strangers.as_ref()?;
        let out = |peer: &PeerId| self.strikes.get(peer).is_some_and(|strikes| *strikes >= STRIKES_MAX);
        let open = |s: &Suggestion| !strangers.looked_at.contains_key(&s.key) && !s.peers.iter().all(out);
        self.suggestions().into_iter().find(open).map(|s| s.key)
    }

    /// Takes in a part of a catalogue.
    pub fn part(&mut self, peer: PeerId, serial: u64, offset: u32, part: &[u8], now: Time) -> Part {
        let Some(download) = self.download.as_mut().filter(|f| f.peer == peer && f.due.is_some()) else {
            return Part::Unasked;
        };
        let fits = download.offer.serial == serial
            && download.got.len() == offset as usize
            && download.got.len() + part.len() <= download.offer.bytes;
        if !fits {
            return Part::Unasked;
        }
        download.got.extend_from_slice(part);
        if download.got.len() == download.offer.bytes {
            download.due = None;
            return Part::Whole(std::mem::take(&mut download.got));
        }
        download.due = Some(download.end.min(now + PART_TIME_MAX));
        Part::More(Ask { peer, key: download.key, serial, offset: download.got.len() as u32 })
    }

    /// Takes in the result of a check; `None` stands for an invalid signature.
    ///
    /// # Errors
    ///
    /// Fails if the catalogue is valid and not the offered one. Its sender is not asked again.
    pub fn checked(
        &mut self,
        peer: PeerId,
        catalog: Option<Arc<SignedCatalog>>,
    ) -> Result<Verdict, Unwanted> {
        let Some(download) = self.download.take_if(|f| f.peer == peer && f.due.is_none()) else {
            return Ok(Verdict::Worthless);
        };
        let result = match catalog {
            Some(catalog) if self.trust.is_some() => self.adopt(&download, catalog),
            Some(catalog) => self.look_at(&download, &catalog),
            None => Ok(Verdict::Worthless),
        };
        if !matches!(result, Ok(Verdict::Adopted | Verdict::LookedAt)) {
            self.strike(peer, STRIKES_MAX);
        }
        result
    }

    fn look_at(&mut self, download: &Download, catalog: &SignedCatalog) -> Result<Verdict, Unwanted> {
        if catalog.key != download.key {
            return Err(Unwanted::OtherKey);
        }
        if catalog.serial != download.offer.serial {
            return Err(Unwanted::OtherSerial);
        }
        let looked_at = &mut self.strangers.get_or_insert_default().looked_at;
        if looked_at.len() >= TOLD_KEYS_MAX {
            looked_at.pop_first();
        }
        let (title, games) = (catalog.title.clone(), catalog.catalog.games().count());
        looked_at.insert(catalog.key, About { serial: catalog.serial, title, games });
        Ok(Verdict::LookedAt)
    }

    fn strike(&mut self, peer: PeerId, strikes: u32) {
        if self.strikes.len() >= PEERS_MAX && !self.strikes.contains_key(&peer) {
            self.strikes.pop_first();
        }
        *self.strikes.entry(peer).or_default() += strikes;
    }

    fn adopt(&mut self, download: &Download, catalog: Arc<SignedCatalog>) -> Result<Verdict, Unwanted> {
        let newest = self.newest();
        let Some(trust) = self.trust.as_mut() else { return Ok(Verdict::Worthless) };
        if catalog.key != trust.key && !trusts_anybody() {
            return Err(Unwanted::OtherKey);
        }
        if catalog.serial != download.offer.serial {
            return Err(Unwanted::OtherSerial);
        }
        if catalog.serial <= newest {
            return Err(Unwanted::NotNewer);
        }
        trust.held = Some(catalog);
        Ok(Verdict::Adopted)
    }

    /// Gives up a peer that is late with the next part, and returns it.
    pub fn give_up(&mut self, now: Time) -> Option<PeerId> {
        let late = self.download.take_if(|download| download.due.is_some_and(|due| now >= due))?;
        self.offers.remove(&late.peer);
        self.strike(late.peer, 1);
        Some(late.peer)
    }

    /// Returns when the next part is due.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.download.as_ref()?.due
    }

    /// Returns the part that a peer requests, or `None` if the edition is not here.
    pub fn serve(&self, key: CatalogKey, serial: u64, offset: u32) -> Option<Vec<u8>> {
        let ours = |held: &&Arc<SignedCatalog>| held.key == key || trusts_anybody();
        let held = self.held().filter(|held| ours(held) && held.serial == serial)?;
        let rest = held.bytes.get(offset as usize..).filter(|rest| !rest.is_empty())?;
        Some(rest[..rest.len().min(CATALOG_PART_BYTES_MAX)].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    const KEY: CatalogKey = CatalogKey([9; 32]);
    const OTHER: CatalogKey = CatalogKey([8; 32]);
    const ANN: PeerId = PeerId([1; 32]);
    const BOB: PeerId = PeerId([2; 32]);

    fn signed(key: CatalogKey, serial: u64) -> Arc<SignedCatalog> {
        Arc::new(SignedCatalog {
            key,
            serial,
            title: None,
            catalog: Catalog::empty(),
            bytes: vec![serial as u8; 70_000],
        })
    }

    fn sync(serial: Option<u64>) -> CatalogSync {
        CatalogSync::new(Some(TrustedCatalog { key: KEY, held: serial.map(|serial| signed(KEY, serial)) }))
    }

    /// Fetches all parts from a peer that holds `from`, up to the check.
    fn download(to: &mut CatalogSync, from: &CatalogSync) -> Option<(PeerId, Vec<u8>)> {
        let mut ask = to.next(Time::START)?;
        loop {
            let part = from.serve(ask.key, ask.serial, ask.offset)?;
            match to.part(ask.peer, ask.serial, ask.offset, &part, Time::START) {
                Part::More(next) => ask = next,
                Part::Whole(bytes) => return Some((ask.peer, bytes)),
                Part::Unasked => panic!("{ask:?}"),
            }
        }
    }

    #[test]
    fn newer_catalogue_is_fetched_part_by_part() {
        let (mut ours, theirs) = (sync(Some(3)), sync(Some(5)));
        ours.offered(ANN, KEY, 5, 70_000);
        let (peer, bytes) = download(&mut ours, &theirs).unwrap();
        assert_eq!((peer, &bytes), (ANN, &theirs.held().unwrap().bytes));
        assert_eq!(ours.next(Time::START), None, "one at a time");
        assert_eq!(ours.checked(ANN, Some(signed(KEY, 5))), Ok(Verdict::Adopted));
        assert_eq!(ours.held().unwrap().serial, 5);
        assert_eq!(ours.next(Time::START), None, "nobody has a newer one");
    }

    #[test]
    fn unusable_offers_are_not_asked_for() {
        let mut ours = sync(Some(3));
        ours.offered(ANN, KEY, 3, 100);
        ours.offered(BOB, OTHER, 9, 100);
        assert_eq!(ours.next(Time::START), None);
        ours.offered(ANN, KEY, 9, CATALOG_BYTES_MAX as u32 + 1);
        ours.offered(BOB, KEY, 9, 0);
        assert_eq!(ours.next(Time::START), None);
        let mut open = CatalogSync::new(None);
        open.offered(ANN, KEY, 9, 100);
        assert_eq!(open.next(Time::START), None, "who trusts nobody takes nothing");
    }

    #[test]
    fn sender_of_wrong_catalogue_is_not_asked_again() {
        let theirs = sync(Some(5));
        for wrong in [None, Some(signed(OTHER, 5)), Some(signed(KEY, 4)), Some(signed(KEY, 2))] {
            let mut ours = sync(Some(3));
            ours.offered(ANN, KEY, 5, 70_000);
            let (peer, _) = download(&mut ours, &theirs).unwrap();
            let verdict = ours.checked(peer, wrong.clone());
            assert_ne!(verdict, Ok(Verdict::Adopted), "{wrong:?}");
            assert_eq!(ours.held().unwrap().serial, 3);
            assert_eq!(ours.next(Time::START), None);
            ours.offered(ANN, KEY, 6, 70_000);
            assert_eq!(ours.next(Time::START), None, "a liar is not asked for anything else either");
            ours.offered(BOB, KEY, 5, 70_000);
            assert_eq!(
                ours.next(Time::START).map(|ask| ask.peer),
                Some(BOB),
                "others may have the right one"
            );
        }
    }

    #[test]
    fn offers_and_strikes_are_bounded() {
        let peer = |n: usize| PeerId(std::array::from_fn(|at| n.to_be_bytes().get(at).copied().unwrap_or(0)));
        let mut ours = sync(None);
        (0..=PEERS_MAX).for_each(|n| ours.offered(peer(n), KEY, 5, 100));
        assert_eq!((ours.offers.len(), ours.offers.contains_key(&peer(PEERS_MAX))), (PEERS_MAX, false));
        ours.offered(peer(7), KEY, 6, 100);
        assert_eq!(ours.next(Time::START).map(|ask| (ask.peer, ask.serial)), Some((peer(7), 6)));

        (0..PEERS_MAX).for_each(|n| ours.strike(peer(n), 1));
        ours.strike(peer(7), 1);
        assert_eq!((ours.strikes.len(), ours.strikes[&peer(0)], ours.strikes[&peer(7)]), (PEERS_MAX, 1, 2));
        ours.strike(peer(PEERS_MAX), 1);
        assert_eq!((ours.strikes.len(), ours.strikes[&peer(PEERS_MAX)]), (PEERS_MAX, 1));
        assert!(!ours.strikes.contains_key(&peer(0)), "one is forgotten for the new one");
    }

    #[test]
    fn late_or_lost_peer_is_given_up() {
        let mut ours = sync(None);
        ours.offered(ANN, KEY, 5, 70_000);
        ours.offered(BOB, KEY, 5, 70_000);
        let first = ours.next(Time::START).unwrap().peer;
        assert_eq!(ours.give_up(Time::START), None);
        let late = ours.next_wakeup().unwrap();
        assert_eq!(ours.give_up(late), Some(first));
        let second = ours.next(late).unwrap().peer;
        assert_ne!(first, second);
        ours.peer_gone(second);
        assert_eq!((ours.next(late), ours.next_wakeup()), (None, None));
    }

    #[test]
    fn other_peers_do_not_disturb_a_fetch() {
        let (mut ours, theirs) = (sync(None), sync(Some(5)));
        ours.offered(ANN, KEY, 5, 70_000);
        let ask = ours.next(Time::START).unwrap();
        ours.peer_gone(BOB);
        for peer in [ANN, BOB] {
            assert_eq!(
                ours.checked(peer, Some(signed(KEY, 5))),
                Ok(Verdict::Worthless),
                "nothing is there to be checked"
            );
        }
        assert!(
            matches!(ours.part(ANN, 5, 0, &[5; 1000], Time::START), Part::More(next) if next.offset == 1000)
        );
        assert_eq!((ask.peer, ours.next(Time::START)), (ANN, None), "the fetch goes on");

        let mut ours = sync(None);
        ours.offered(ANN, KEY, 5, 70_000);
        download(&mut ours, &theirs).unwrap();
        assert_eq!(
            ours.checked(BOB, Some(signed(KEY, 5))),
            Ok(Verdict::Worthless),
            "it did not come from there"
        );
        ours.peer_gone(ANN);
        assert_eq!(
            ours.checked(ANN, Some(signed(KEY, 5))),
            Ok(Verdict::Adopted),
            "what is here needs nobody any more"
        );
    }

    #[test]
    fn dripping_source_is_given_up() {
        let mut ours = sync(None);
        ours.offered(ANN, KEY, 5, 70_000);
        ours.next(Time::START).unwrap();
        let mut now = Time::START;
        for offset in 0.. {
            if ours.give_up(now).is_some() {
                break;
            }
            assert_ne!(ours.part(ANN, 5, offset, &[0], now), Part::Unasked);
            now = now + PART_TIME_MAX / 2;
        }
        assert_eq!(now.since(Time::START), FETCH_TIME_MAX);
    }

    #[test]
    fn unrequested_parts_are_ignored() {
        let mut ours = sync(None);
        ours.offered(ANN, KEY, 5, 100);
        assert_eq!(ours.part(ANN, 5, 0, &[1], Time::START), Part::Unasked);
        ours.next(Time::START).unwrap();
        for (peer, serial, offset, len) in [(BOB, 5, 0, 1), (ANN, 6, 0, 1), (ANN, 5, 1, 1), (ANN, 5, 0, 101)]
        {
            assert_eq!(ours.part(peer, serial, offset, &vec![0; len], Time::START), Part::Unasked);
        }
        assert_eq!(ours.part(ANN, 5, 0, &[7; 100], Time::START), Part::Whole(vec![7; 100]));
        assert_eq!(ours.part(ANN, 5, 0, &[7; 100], Time::START), Part::Unasked, "it is being checked");
    }

    #[test]
    fn other_editions_are_not_served() {
        let ours = sync(Some(3));
        assert_eq!(ours.serve(KEY, 3, 0).unwrap().len(), CATALOG_PART_BYTES_MAX);
        for (key, serial, offset) in [(OTHER, 3, 0), (KEY, 4, 0), (KEY, 3, 70_000), (KEY, 3, u32::MAX)] {
            assert_eq!(ours.serve(key, serial, offset), None);
        }
    }

    /// Returns an open peer that suggests organisers.
    fn open(invited: Option<CatalogKey>, declined: &[CatalogKey]) -> CatalogSync {
        let mut open = CatalogSync::new(None).without(declined.iter().copied().collect());
        open.suggest(invited);
        open
    }

    fn suggested(sync: &CatalogSync) -> Vec<CatalogKey> {
        sync.suggestions().into_iter().map(|s| s.key).collect()
    }

    #[test]
    fn organisers_of_the_room_are_suggested() {
        let mut ours = open(None, &[]);
        assert_eq!(suggested(&ours), []);
        ours.offered(ANN, OTHER, 5, 70_000);
        ours.offered(BOB, KEY, 5, 70_000);
        ours.offered(PeerId([3; 32]), KEY, 4, 70_000);
        assert_eq!(suggested(&ours), [KEY, OTHER], "first the one that most peers go by");
        assert!(ours.is_news(KEY) && !ours.is_news(KEY), "told once");
        ours.peer_gone(ANN);
        assert_eq!(suggested(&ours), [KEY]);
        ours.trust_key(KEY);
        assert_eq!((suggested(&ours).len(), ours.is_news(OTHER)), (0, false), "nobody is suggested any more");
        assert_eq!(ours.next(Time::START).map(|ask| ask.peer), Some(BOB), "the offer was kept");
    }

    #[test]
    fn suggested_catalogue_is_looked_at_and_not_adopted() {
        let (mut ours, theirs) = (open(None, &[]), sync(Some(5)));
        ours.offered(ANN, KEY, 5, 70_000);
        download(&mut ours, &theirs).unwrap();
        assert_eq!(ours.checked(ANN, Some(signed(KEY, 5))), Ok(Verdict::LookedAt));
        let about = ours.suggestions()[0].about.clone();
        assert_eq!(about, Some(About { serial: 5, title: None, games: 0 }));
        assert!(ours.held().is_none() && ours.serve(KEY, 5, 0).is_none());
        assert_eq!(ours.next(Time::START), None, "once is enough");
        ours.offered(BOB, OTHER, 5, 70_000);
        download(&mut ours, &theirs);
        let mut liar = open(None, &[]);
        liar.offered(ANN, KEY, 5, 70_000);
        download(&mut liar, &theirs).unwrap();
        assert_eq!(liar.checked(ANN, Some(signed(OTHER, 5))), Err(Unwanted::OtherKey));
        assert_eq!((liar.next(Time::START), liar.suggestions()[0].about.clone()), (None, None));
    }

    #[test]
    fn declined_organiser_is_not_suggested_again() {
        let mut ours = open(None, &[OTHER]);
        ours.offered(ANN, OTHER, 5, 70_000);
        ours.offered(BOB, KEY, 5, 70_000);
        assert_eq!((suggested(&ours), ours.is_news(OTHER)), (vec![KEY], false));
        assert_eq!(ours.decline(KEY), BTreeSet::from([KEY, OTHER]));
        assert_eq!((suggested(&ours).len(), ours.next(Time::START)), (0, None), "nor is it looked at");
        let keys =
            |n: usize| CatalogKey(std::array::from_fn(|at| n.to_be_bytes().get(at).copied().unwrap_or(0)));
        let all = (0..2 * DECLINED_KEYS_MAX).map(|n| ours.decline(keys(n)).len()).max();
        assert_eq!(all, Some(DECLINED_KEYS_MAX));
    }

    #[test]
    fn invitation_comes_first_and_suggestions_are_bounded() {
        let mut ours = open(Some(KEY), &[]);
        let of = |n: u8| (PeerId([n; 32]), CatalogKey([100 + n; 32]));
        for (peer, key) in (1..100).map(of) {
            ours.offered(peer, key, 5, 70_000);
            ours.is_news(key);
        }
        let first = ours.suggestions();
        assert_eq!((first.len(), first[0].key, first[0].invited), (SUGGESTED_KEYS_MAX, KEY, true));
        assert!(first[0].peers.is_empty() && !first[1].invited);
        assert!(!ours.is_news(OTHER), "events are bounded, too");
    }
}
