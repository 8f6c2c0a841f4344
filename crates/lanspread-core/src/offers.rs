//! The games that connected peers offer, indexed by game.
//!
//! Each distinct offer is stored once, however many peers make it: a room of two hundred that share a thousand games
//! takes little more than the thousand. Distinct offers are bounded over all peers together. When the table is full,
//! a newcomer takes room from the address that pays for most of the offers, so only peers that fill the table lose by
//! it. Peers are known by slot numbers only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lanspread_types::message::GameOffer;
use lanspread_types::{GameId, failpoint};

use crate::limits::DISTINCT_OFFERS_MAX;

/// Number of a connected peer; reused after the peer has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// Number of a game's row.
type RowId = u32;

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The peer did not make this offer before.
    Changed,
    /// The peer made the same offer before.
    Same,
    /// The table is full, and no peer takes more of it than this one.
    LeftOut,
}

/// The offers of all connected peers.
#[derive(Debug, Default)]
pub struct Offers {
    rows: Vec<Option<Row>>,
    free: Vec<RowId>,
    by_game: BTreeMap<GameId, RowId>,
    libraries: BTreeMap<Slot, Library>,
    /// Slots from which a complete snapshot has arrived, so their offers count.
    known: Vec<bool>,
    distinct: usize,
}

/// The offers of one game.
#[derive(Debug)]
struct Row {
    variants: Vec<Variant>,
    /// Each peer's variant, by slot.
    holders: Vec<(Slot, u16)>,
}

/// An offer that one or more peers make.
#[derive(Debug)]
struct Variant {
    offer: GameOffer,
    holders: u16,
    /// Peer to whose share of the table the offer counts.
    payer: Slot,
}

/// The offers of one peer.
#[derive(Debug)]
struct Library {
    site: IpAddr,
    rows: BTreeSet<RowId>,
    /// Rows that the snapshot being received has named so far.
    named: Option<BTreeSet<RowId>>,
    /// Distinct offers that count to its share of the table.
    pays: usize,
    /// Offers since the beginning of the last snapshot that found no room.
    left_out: usize,
}

impl Offers {
    /// Adds a peer that connected; `site` is the address of its machine.
    pub fn enter(&mut self, slot: Slot, site: IpAddr) {
        let library = self.libraries.entry(slot).or_insert_with(|| Library {
            site,
            rows: BTreeSet::new(),
            named: None,
            pays: 0,
            left_out: 0,
        });
        (library.site, library.named) = (site, None);
        let slots = self.known.len().max(usize::from(slot.0) + 1);
        self.known.resize(slots, false);
    }

    /// Removes a peer and its offers.
    pub fn leave(&mut self, slot: Slot) {
        let rows = self.libraries.get(&slot).map(|library| library.rows.clone()).unwrap_or_default();
        rows.into_iter().for_each(|row| self.drop_holder(row, slot));
        self.libraries.remove(&slot);
        if let Some(known) = self.known.get_mut(usize::from(slot.0)) {
            *known = false;
        }
    }

    /// Starts a snapshot: the following offers of this peer belong to it, until it ends.
    pub fn begin_snapshot(&mut self, slot: Slot) {
        if let Some(library) = self.libraries.get_mut(&slot)
            && library.named.is_none()
        {
            library.named = Some(BTreeSet::new());
            library.left_out = 0;
        }
    }

    /// Discards the snapshot being received.
    pub fn abandon_snapshot(&mut self, slot: Slot) {
        if let Some(library) = self.libraries.get_mut(&slot) {
            library.named = None;
        }
    }

    /// Completes a snapshot, and withdraws the offers that it did not name. Returns true if there were any.
    pub fn end_snapshot(&mut self, slot: Slot) -> bool {
        let Some(library) = self.libraries.get_mut(&slot) else { return false };
        self.known[usize::from(slot.0)] = true;
        let named = library.named.take().unwrap_or_default();
        let gone: Vec<RowId> = library.rows.difference(&named).copied().collect();
        gone.iter().for_each(|&row| self.drop_holder(row, slot));
        !gone.is_empty()
    }

    /// Notes that a peer offers a game.
    pub fn note(&mut self, slot: Slot, offer: GameOffer) -> Noted {
        let known =
            self.by_game.get(&offer.game).and_then(|&id| Some((id, self.rows[id as usize].as_ref()?)));
        let is_new = known.is_none_or(|(_, row)| row.variants.iter().all(|variant| variant.offer != offer));
        if let Some((id, row)) = known
            && !is_new
            && row.held_by(slot).is_some_and(|held| row.variants[held as usize].offer == offer)
        {
            self.name_row(slot, id);
            return Noted::Same;
        }
        if is_new && self.distinct >= DISTINCT_OFFERS_MAX && !self.make_room(slot) {
            self.withdraw(slot, &offer.game);
            if let Some(library) = self.libraries.get_mut(&slot) {
                library.left_out += 1;
            }
            return Noted::LeftOut;
        }
        self.withdraw(slot, &offer.game);
        self.insert(slot, offer);
        Noted::Changed
    }

    /// Withdraws a peer's offer of a game. Returns true if there was one.
    pub fn withdraw(&mut self, slot: Slot, game: &GameId) -> bool {
        let Some(&row) = self.by_game.get(game) else { return false };
        let offered = self.libraries.get(&slot).is_some_and(|library| library.rows.contains(&row));
        if offered {
            self.drop_holder(row, slot);
        }
        offered
    }

    /// Returns the number of games that a peer offers.
    pub fn count(&self, slot: Slot) -> usize {
        self.libraries.get(&slot).filter(|_| self.is_known(slot)).map_or(0, |library| library.rows.len())
    }

    /// Returns the number of games in the snapshot being received or, without one, in the library, including those
    /// left out.
    pub fn announced(&self, slot: Slot) -> usize {
        let Some(library) = self.libraries.get(&slot) else { return 0 };
        library.named.as_ref().unwrap_or(&library.rows).len() + library.left_out
    }

    /// Returns the number of a peer's offers that found no room.
    pub fn left_out(&self, slot: Slot) -> usize {
        self.libraries.get(&slot).map_or(0, |library| library.left_out)
    }

    /// Returns a peer's offer of a game.
    pub fn of(&self, slot: Slot, game: &GameId) -> Option<&GameOffer> {
        let row = self.row(game).filter(|_| self.is_known(slot))?;
        row.held_by(slot).map(|held| &row.variants[held as usize].offer)
    }

    /// Returns the peers that offer a game, with their offers, by slot.
    pub fn holders(&self, game: &GameId) -> impl Iterator<Item = (Slot, &GameOffer)> {
        self.row(game).into_iter().flat_map(move |row| {
            let known = row.holders.iter().filter(|(slot, _)| self.is_known(*slot));
            known.map(|&(slot, held)| (slot, &row.variants[held as usize].offer))
        })
    }

    /// Returns the distinct offers of a game, with the number of peers that make each.
    pub fn variants(&self, game: &GameId) -> Vec<(&GameOffer, usize)> {
        let Some(row) = self.row(game) else { return Vec::new() };
        let mut counts = vec![0; row.variants.len()];
        for (slot, held) in &row.holders {
            counts[*held as usize] += usize::from(self.is_known(*slot));
        }
        let counted = row.variants.iter().map(|variant| &variant.offer).zip(counts);
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// Returns all offered games, with the number of peers that offer each.
    pub fn games(&self) -> impl Iterator<Item = (&GameId, usize)> {
        self.by_game.iter().filter_map(|(game, &row)| {
            let row = self.rows[row as usize].as_ref()?;
            let count = row.holders.iter().filter(|(slot, _)| self.is_known(*slot)).count();
            (count > 0).then_some((game, count))
        })
    }

    /// Returns the offers of each peer, sorted by game and cut to `most` for each peer.
    pub fn by_peer(&self, most: usize) -> BTreeMap<Slot, Vec<GameOffer>> {
        let mut all: BTreeMap<Slot, Vec<GameOffer>> = BTreeMap::new();
        for row in self.by_game.values().filter_map(|&row| self.rows[row as usize].as_ref()) {
            for (slot, held) in row.holders.iter().filter(|(slot, _)| self.is_known(*slot)) {
                let offers = all.entry(*slot).or_default();
                if offers.len() < most {
                    offers.push(row.variants[*held as usize].offer.clone());
                }
            }
        }
        all
    }

    /// Returns the offers of one peer, sorted by game.
    pub fn library(&self, slot: Slot) -> Vec<GameOffer> {
        let Some(library) = self.libraries.get(&slot).filter(|_| self.is_known(slot)) else {
            return Vec::new();
        };
        let rows = library.rows.iter().filter_map(|&row| self.rows[row as usize].as_ref());
        let offer = |row: &Row| Some(row.variants[row.held_by(slot)? as usize].offer.clone());
        let mut offers: Vec<GameOffer> = rows.filter_map(offer).collect();
        offers.sort_unstable_by(|a, b| a.game.cmp(&b.game));
        offers
    }

    /// Returns the number of distinct offers over all peers.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// Returns the number of offers over all peers, counted once for each peer that makes them.
    pub fn total(&self) -> usize {
        self.libraries.values().map(|library| library.rows.len()).sum()
    }

    fn row(&self, game: &GameId) -> Option<&Row> {
        self.rows[*self.by_game.get(game)? as usize].as_ref()
    }

    fn is_known(&self, slot: Slot) -> bool {
        self.known.get(usize::from(slot.0)).is_some_and(|known| *known)
    }

    fn name_row(&mut self, slot: Slot, row: RowId) {
        if let Some(named) = self.libraries.get_mut(&slot).and_then(|library| library.named.as_mut()) {
            named.insert(row);
        }
    }

    fn insert(&mut self, slot: Slot, mut offer: GameOffer) {
        let id = match self.by_game.get_key_value(&offer.game) {
            Some((game, &id)) => {
                // All offers of a game share one copy of its id.
                offer.game = game.clone();
                id
            }
            None => {
                let row = Row { variants: Vec::with_capacity(1), holders: Vec::with_capacity(1) };
                let id = self.free.pop().unwrap_or_else(|| {
                    self.rows.push(None);
                    (self.rows.len() - 1) as RowId
                });
                self.rows[id as usize] = Some(row);
                self.by_game.insert(offer.game.clone(), id);
                id
            }
        };
        let (Some(row), Some(library)) = (self.rows[id as usize].as_mut(), self.libraries.get_mut(&slot))
        else {
            return;
        };
        let held = row.variants.iter().position(|variant| variant.offer == offer).unwrap_or_else(|| {
            row.variants.push(Variant { offer, holders: 0, payer: slot });
            self.distinct += 1;
            library.pays += 1;
            row.variants.len() - 1
        });
        row.variants[held].holders += 1;
        let at = row.holders.partition_point(|(other, _)| *other < slot);
        row.holders.insert(at, (slot, held as u16));
        library.rows.insert(id);
        self.name_row(slot, id);
    }

    /// Removes a peer's offer from a row, and with it a variant or a row that no peer offers any more.
    fn drop_holder(&mut self, id: RowId, slot: Slot) {
        if let Some(library) = self.libraries.get_mut(&slot) {
            library.rows.remove(&id);
            library.named.as_mut().map(|named| named.remove(&id));
        }
        let Some(row) = self.rows[id as usize].as_mut() else { return };
        let Ok(at) = row.holders.binary_search_by_key(&slot, |(other, _)| *other) else { return };
        let (_, held) = row.holders.remove(at);
        let variant = &mut row.variants[held as usize];
        variant.holders -= 1;
        let payer = variant.payer;
        if variant.holders == 0 {
            // The last variant moves into the freed position.
            let last = (row.variants.len() - 1) as u16;
            let gone = row.variants.swap_remove(held as usize);
            row.holders.iter_mut().filter(|(_, other)| *other == last).for_each(|(_, other)| *other = held);
            self.distinct -= 1;
            if row.variants.is_empty() {
                self.by_game.remove(&gone.offer.game);
                self.rows[id as usize] = None;
                self.free.push(id);
            }
        } else if payer == slot
            && let Some(&(next, _)) = row.holders.iter().find(|(_, other)| *other == held)
        {
            row.variants[held as usize].payer = next;
            if let Some(library) = self.libraries.get_mut(&next) {
                library.pays += 1;
            }
        }
        if payer == slot
            && let Some(library) = self.libraries.get_mut(&slot)
        {
            library.pays -= 1;
        }
    }

    /// Returns a row of the peer that the snapshot being received has not named.
    fn stale_row(&self, slot: Slot) -> Option<RowId> {
        let library = self.libraries.get(&slot)?;
        library.rows.difference(library.named.as_ref()?).next().copied()
    }

    /// Frees a place for one more distinct offer of this peer, at the expense of the address that takes the most, and
    /// there of the identity that takes the most. Returns true if there is a place.
    fn make_room(&mut self, slot: Slot) -> bool {
        if failpoint!("hoard-offers") {
            return true;
        }
        if failpoint!("first-come-offers") {
            return false;
        }
        // Offers that the snapshot has not named so far will most likely be withdrawn at its end.
        while let Some(stale) = self.stale_row(slot) {
            self.drop_holder(stale, slot);
            if self.distinct < DISTINCT_OFFERS_MAX {
                return true;
            }
        }
        let Some(own) = self.libraries.get(&slot) else { return false };
        let mut by_site: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.libraries.values().for_each(|library| *by_site.entry(library.site).or_default() += library.pays);
        let own_site = by_site.get(&own.site).copied().unwrap_or(0);
        let greediest =
            by_site.iter().max_by_key(|(_, pays)| **pays).filter(|(_, pays)| **pays > own_site + 1);
        // If no other address takes more, the same rule applies among the identities of this one.
        let (site, most) = greediest.map_or((own.site, own.pays + 1), |(site, _)| (*site, 0));
        let of_site = self.libraries.iter().filter(|(_, library)| library.site == site);
        let victim =
            of_site.max_by_key(|(_, library)| library.pays).filter(|(_, library)| library.pays > most);
        let Some((&victim, _)) = victim else { return false };
        while self.distinct >= DISTINCT_OFFERS_MAX {
            let last = self.libraries.get_mut(&victim).and_then(|library| {
                library.left_out += 1;
                library.rows.last().copied()
            });
            let Some(row) = last else { return false };
            self.drop_holder(row, victim);
        }
        true
    }
}

impl Row {
    fn held_by(&self, slot: Slot) -> Option<u16> {
        let at = self.holders.binary_search_by_key(&slot, |(other, _)| *other).ok()?;
        Some(self.holders[at].1)
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::limits::GAMES_PER_PEER_MAX;
    use lanspread_types::{ContentId, GameVersion};
    use proptest::prelude::*;

    use super::*;

    fn offer(game: &str, content: u8) -> GameOffer {
        GameOffer {
            game: GameId::new(game).unwrap(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: ContentId([content; 32]),
            bytes: 1,
            files: 1,
        }
    }

    fn site(n: u16) -> IpAddr {
        IpAddr::from([10, 0, (n >> 8) as u8, n as u8])
    }

    /// Adds a peer at this address that offers `games` games no other peer has.
    fn with_own_games(offers: &mut Offers, slot: u16, address: u16, games: usize) {
        offers.enter(Slot(slot), site(address));
        offers.begin_snapshot(Slot(slot));
        for n in 0..games {
            offers.note(Slot(slot), offer(&format!("p{slot}-g{n}"), 1));
        }
        offers.end_snapshot(Slot(slot));
    }

    #[test]
    fn shared_games_take_no_more_room_than_one_library() {
        let mut offers = Offers::default();
        for slot in 0..200 {
            offers.enter(Slot(slot), site(slot));
            offers.begin_snapshot(Slot(slot));
            (0..1000).for_each(|n| {
                offers.note(Slot(slot), offer(&format!("g{n}"), 1));
            });
            offers.end_snapshot(Slot(slot));
        }
        assert_eq!((offers.distinct(), offers.total()), (1000, 200_000));
        assert_eq!(offers.games().next(), Some((&GameId::new("g0").unwrap(), 200)));
        (0..200).for_each(|slot| offers.leave(Slot(slot)));
        assert_eq!((offers.distinct(), offers.total(), offers.games().count()), (0, 0, 0));
    }

    #[test]
    fn newcomer_takes_room_from_the_largest_libraries() {
        let mut offers = Offers::default();
        for slot in 0..16 {
            with_own_games(&mut offers, slot, slot, GAMES_PER_PEER_MAX);
        }
        assert_eq!(offers.distinct(), DISTINCT_OFFERS_MAX);
        with_own_games(&mut offers, 16, 16, 1000);
        assert_eq!(offers.distinct(), DISTINCT_OFFERS_MAX);
        assert_eq!((offers.count(Slot(16)), offers.left_out(Slot(16))), (1000, 0));
        let fewest = (0..16).map(|slot| offers.count(Slot(slot))).min();
        assert!(fewest >= Some(GAMES_PER_PEER_MAX - 64), "the loss is spread: {fewest:?}");
    }

    #[test]
    fn identities_of_one_address_share_its_part() {
        let mut offers = Offers::default();
        for slot in 0..100 {
            with_own_games(&mut offers, slot, 1, GAMES_PER_PEER_MAX);
        }
        assert_eq!(offers.distinct(), DISTINCT_OFFERS_MAX);
        for slot in 100..110 {
            with_own_games(&mut offers, slot, slot, 1000);
            assert_eq!(offers.left_out(Slot(slot)), 0, "whoever has an address of its own finds room");
        }
        assert_eq!(offers.distinct(), DISTINCT_OFFERS_MAX);
    }

    #[test]
    fn replaced_library_makes_room_for_itself() {
        let mut offers = Offers::default();
        for slot in 0..16 {
            with_own_games(&mut offers, slot, 1, GAMES_PER_PEER_MAX);
        }
        offers.begin_snapshot(Slot(3));
        (0..GAMES_PER_PEER_MAX).for_each(|n| {
            assert_eq!(offers.note(Slot(3), offer(&format!("new-{n}"), 1)), Noted::Changed);
        });
        assert!(!offers.end_snapshot(Slot(3)), "the last ones made room for the first ones");
        assert_eq!((offers.count(Slot(3)), offers.left_out(Slot(3))), (GAMES_PER_PEER_MAX, 0));
        assert!((0..16).all(|slot| offers.count(Slot(slot)) == GAMES_PER_PEER_MAX), "nobody else lost any");
    }

    #[test]
    fn offers_that_go_make_room_again() {
        let mut offers = Offers::default();
        for slot in 0..17 {
            with_own_games(&mut offers, slot, 1, GAMES_PER_PEER_MAX);
        }
        assert!(offers.left_out(Slot(16)) > 0);
        offers.leave(Slot(0));
        with_own_games(&mut offers, 16, 1, GAMES_PER_PEER_MAX);
        assert_eq!((offers.left_out(Slot(16)), offers.count(Slot(16))), (0, GAMES_PER_PEER_MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever peers announce in whatever order, the index equals the sum of their libraries.
        #[test]
        fn index_agrees_with_the_libraries(
            steps in proptest::collection::vec((0u8..5, 0u16..6, 0u8..8, 0u8..3), 1..200)
        ) {
            let mut offers = Offers::default();
            let mut told: BTreeMap<u16, BTreeMap<String, u8>> = BTreeMap::new();
            for (what, slot, game, content) in steps {
                let name = format!("g{game}");
                match what {
                    0 => {
                        offers.leave(Slot(slot));
                        told.remove(&slot);
                    }
                    1 => {
                        offers.withdraw(Slot(slot), &GameId::new(name.clone()).unwrap());
                        told.get_mut(&slot).map(|library| library.remove(&name));
                    }
                    _ => {
                        if !told.contains_key(&slot) {
                            offers.enter(Slot(slot), site(slot));
                            offers.begin_snapshot(Slot(slot));
                            offers.end_snapshot(Slot(slot));
                        }
                        offers.note(Slot(slot), offer(&name, content));
                        told.entry(slot).or_default().insert(name, content);
                    }
                }
                let distinct: BTreeSet<(&String, u8)> =
                    told.values().flatten().map(|(game, content)| (game, *content)).collect();
                prop_assert_eq!(offers.distinct(), distinct.len());
                prop_assert_eq!(offers.libraries.values().map(|l| l.pays).sum::<usize>(), distinct.len());
                for (slot, library) in &told {
                    let found: BTreeMap<String, u8> = offers
                        .library(Slot(*slot))
                        .into_iter()
                        .map(|o| (o.game.to_string(), o.content.0[0]))
                        .collect();
                    prop_assert_eq!(&found, library);
                }
                let holders: usize = offers.games().map(|(_, count)| count).sum();
                prop_assert_eq!(holders, told.values().map(BTreeMap::len).sum::<usize>());
            }
        }
    }
}
