//! The organiser's catalogue: which one is held, who offers a newer one, and how it is fetched.
//!
//! Only offers signed by the one trusted key are looked at, and only those with a higher serial number. A catalogue is
//! fetched part by part from one peer at a time; that it is what it claims to be is checked elsewhere, on the whole of
//! its bytes, before anything of it is understood.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::{CATALOG_BYTES_MAX, CATALOG_PART_BYTES_MAX, PEERS_MAX};
use lanspread_types::{CatalogKey, PeerId, failpoint};

use crate::catalog::SignedCatalog;
use crate::time::Time;

/// A peer that does not send the next part in this time is given up.
const PART_TIME_MAX: Duration = Duration::from_secs(10);
/// And so is one that does not come to an end in this time: 4 MiB take far less on any LAN.
const FETCH_TIME_MAX: Duration = Duration::from_secs(60);
/// Who was late so often is not asked any more; who sent something wrong is not asked at all.
const STRIKES_MAX: u32 = 3;

/// Whose catalogue counts, and the one that is here.
#[derive(Debug, Clone)]
pub struct TrustedCatalog {
    pub key: CatalogKey,
    pub held: Option<Arc<SignedCatalog>>,
}

#[derive(Debug, Default)]
pub struct CatalogSync {
    trust: Option<TrustedCatalog>,
    offers: BTreeMap<PeerId, Offer>,
    fetch: Option<Fetch>,
    /// Who was late, or sent what does not verify.
    strikes: BTreeMap<PeerId, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Offer {
    serial: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Fetch {
    peer: PeerId,
    offer: Offer,
    got: Vec<u8>,
    end: Time,
    /// When the next part must be here; `None` while the whole is being checked.
    due: Option<Time>,
}

/// What to ask whom for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub peer: PeerId,
    pub key: CatalogKey,
    pub serial: u64,
    pub offset: u32,
}

/// Sabotage: every organiser is as good as the one that was named.
fn trusts_anybody() -> bool {
    failpoint!("trust-any-organiser")
}

/// What came of a part.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Nobody asked for it.
    Unasked,
    More(Ask),
    Whole(Vec<u8>),
}

/// A checked catalogue is not the one that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    #[error("its catalogue is signed by somebody else")]
    OtherKey,
    #[error("its catalogue has another serial number than it said")]
    OtherSerial,
    #[error("its catalogue is not newer than the one that is here")]
    NotNewer,
}

impl CatalogSync {
    pub fn new(trust: Option<TrustedCatalog>) -> Self {
        Self { trust, ..Self::default() }
    }

    pub fn trust(&self) -> Option<&TrustedCatalog> {
        self.trust.as_ref()
    }

    pub fn held(&self) -> Option<&Arc<SignedCatalog>> {
        self.trust.as_ref()?.held.as_ref()
    }

    fn newest(&self) -> u64 {
        self.held().map_or(0, |held| held.serial)
    }

    /// A peer says what it has.
    pub fn offered(&mut self, peer: PeerId, key: CatalogKey, serial: u64, bytes: u32) {
        let trusted = self.trust.as_ref().is_some_and(|trust| trust.key == key || trusts_anybody());
        let bytes = bytes as usize;
        let room = self.offers.len() < PEERS_MAX || self.offers.contains_key(&peer);
        if trusted && (1..=CATALOG_BYTES_MAX).contains(&bytes) && room {
            self.offers.insert(peer, Offer { serial, bytes });
        }
    }

    pub fn peer_gone(&mut self, peer: PeerId) {
        self.offers.remove(&peer);
        if self.fetch.as_ref().is_some_and(|fetch| fetch.peer == peer && fetch.due.is_some()) {
            self.fetch = None;
        }
    }

    /// Begins to fetch the newest that is offered, unless one is on its way.
    pub fn next(&mut self, now: Time) -> Option<Ask> {
        let key = self.trust.as_ref()?.key;
        if self.fetch.is_some() {
            return None;
        }
        let newest =
            if failpoint!("keep-first-edition") && self.held().is_some() { u64::MAX } else { self.newest() };
        let out = |peer: &PeerId| self.strikes.get(peer).is_some_and(|strikes| *strikes >= STRIKES_MAX);
        let wanted = |(peer, offer): &(&PeerId, &Offer)| offer.serial > newest && !out(peer);
        let (&peer, &offer) = self.offers.iter().filter(wanted).max_by_key(|(_, offer)| offer.serial)?;
        self.fetch = Some(Fetch {
            peer,
            offer,
            got: Vec::new(),
            end: now + FETCH_TIME_MAX,
            due: Some(now + PART_TIME_MAX),
        });
        Some(Ask { peer, key, serial: offer.serial, offset: 0 })
    }

    /// Takes a part in.
    pub fn part(&mut self, peer: PeerId, serial: u64, offset: u32, part: &[u8], now: Time) -> Part {
        let Some(key) = self.trust.as_ref().map(|trust| trust.key) else { return Part::Unasked };
        let Some(fetch) = self.fetch.as_mut().filter(|f| f.peer == peer && f.due.is_some()) else {
            return Part::Unasked;
        };
        let fits = fetch.offer.serial == serial
            && fetch.got.len() == offset as usize
            && fetch.got.len() + part.len() <= fetch.offer.bytes;
        if !fits {
            return Part::Unasked;
        }
        fetch.got.extend_from_slice(part);
        if fetch.got.len() == fetch.offer.bytes {
            fetch.due = None;
            return Part::Whole(std::mem::take(&mut fetch.got));
        }
        fetch.due = Some(fetch.end.min(now + PART_TIME_MAX));
        Part::More(Ask { peer, key, serial, offset: fetch.got.len() as u32 })
    }

    /// Takes over what was checked: the new catalogue, or why it is none.
    pub fn checked(&mut self, peer: PeerId, catalog: Option<Arc<SignedCatalog>>) -> Result<bool, Unwanted> {
        let Some(fetch) = self.fetch.take_if(|f| f.peer == peer && f.due.is_none()) else { return Ok(false) };
        let result = self.adopt(&fetch, catalog);
        if result != Ok(true) {
            self.strike(peer, STRIKES_MAX);
        }
        result
    }

    fn strike(&mut self, peer: PeerId, strikes: u32) {
        if self.strikes.len() >= PEERS_MAX && !self.strikes.contains_key(&peer) {
            self.strikes.pop_first();
        }
        *self.strikes.entry(peer).or_default() += strikes;
    }

    fn adopt(&mut self, fetch: &Fetch, catalog: Option<Arc<SignedCatalog>>) -> Result<bool, Unwanted> {
        let newest = self.newest();
        let (Some(catalog), Some(trust)) = (catalog, self.trust.as_mut()) else { return Ok(false) };
        if catalog.key != trust.key && !trusts_anybody() {
            return Err(Unwanted::OtherKey);
        }
        if catalog.serial != fetch.offer.serial {
            return Err(Unwanted::OtherSerial);
        }
        if catalog.serial <= newest {
            return Err(Unwanted::NotNewer);
        }
        trust.held = Some(catalog);
        Ok(true)
    }

    /// Gives up a peer that keeps us waiting; says which one.
    pub fn give_up(&mut self, now: Time) -> Option<PeerId> {
        let late = self.fetch.take_if(|fetch| fetch.due.is_some_and(|due| now >= due))?;
        self.offers.remove(&late.peer);
        self.strike(late.peer, 1);
        Some(late.peer)
    }

    pub fn next_wakeup(&self) -> Option<Time> {
        self.fetch.as_ref()?.due
    }

    /// The part that somebody asks for; `None` if we do not have it.
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

    /// Fetches whatever is asked for from a peer that holds `from`, up to the check.
    fn fetch(to: &mut CatalogSync, from: &CatalogSync) -> Option<(PeerId, Vec<u8>)> {
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
    fn a_newer_catalogue_is_fetched_part_by_part() {
        let (mut ours, theirs) = (sync(Some(3)), sync(Some(5)));
        ours.offered(ANN, KEY, 5, 70_000);
        let (peer, bytes) = fetch(&mut ours, &theirs).unwrap();
        assert_eq!((peer, &bytes), (ANN, &theirs.held().unwrap().bytes));
        assert_eq!(ours.next(Time::START), None, "one at a time");
        assert_eq!(ours.checked(ANN, Some(signed(KEY, 5))), Ok(true));
        assert_eq!(ours.held().unwrap().serial, 5);
        assert_eq!(ours.next(Time::START), None, "nobody has a newer one");
    }

    #[test]
    fn an_older_one_another_key_and_one_too_large_are_not_even_asked_for() {
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
    fn what_does_not_verify_is_not_asked_for_again_from_the_same_peer() {
        let theirs = sync(Some(5));
        for wrong in [None, Some(signed(OTHER, 5)), Some(signed(KEY, 4)), Some(signed(KEY, 2))] {
            let mut ours = sync(Some(3));
            ours.offered(ANN, KEY, 5, 70_000);
            let (peer, _) = fetch(&mut ours, &theirs).unwrap();
            let verdict = ours.checked(peer, wrong.clone());
            assert_ne!(verdict, Ok(true), "{wrong:?}");
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
    fn offers_and_strikes_are_bounded_and_those_that_are_known_stay() {
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
    fn who_keeps_us_waiting_or_leaves_is_given_up() {
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
    fn who_else_leaves_or_is_checked_does_not_disturb_a_fetch() {
        let (mut ours, theirs) = (sync(None), sync(Some(5)));
        ours.offered(ANN, KEY, 5, 70_000);
        let ask = ours.next(Time::START).unwrap();
        ours.peer_gone(BOB);
        for peer in [ANN, BOB] {
            assert_eq!(ours.checked(peer, Some(signed(KEY, 5))), Ok(false), "nothing is there to be checked");
        }
        assert!(
            matches!(ours.part(ANN, 5, 0, &[5; 1000], Time::START), Part::More(next) if next.offset == 1000)
        );
        assert_eq!((ask.peer, ours.next(Time::START)), (ANN, None), "the fetch goes on");

        let mut ours = sync(None);
        ours.offered(ANN, KEY, 5, 70_000);
        fetch(&mut ours, &theirs).unwrap();
        assert_eq!(ours.checked(BOB, Some(signed(KEY, 5))), Ok(false), "it did not come from there");
        ours.peer_gone(ANN);
        assert_eq!(ours.checked(ANN, Some(signed(KEY, 5))), Ok(true), "what is here needs nobody any more");
    }

    #[test]
    fn dripping_does_not_hold_an_update_up_for_long() {
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
    fn parts_that_nobody_asked_for_are_passed_over() {
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
    fn what_is_not_here_is_not_served() {
        let ours = sync(Some(3));
        assert_eq!(ours.serve(KEY, 3, 0).unwrap().len(), CATALOG_PART_BYTES_MAX);
        for (key, serial, offset) in [(OTHER, 3, 0), (KEY, 4, 0), (KEY, 3, 70_000), (KEY, 3, u32::MAX)] {
            assert_eq!(ours.serve(key, serial, offset), None);
        }
    }
}
