//! Who is to be told of whom, and who knows whom already.
//!
//! A peer introduces those it is connected to, and only at an address where it reached them itself: it dialled them
//! there, or tried the listener that they state. So what is introduced is true at the moment, nothing is passed on from
//! hearsay, and loops end by themselves. Nobody is told of the same peer twice on one connection, nor of one that they
//! have named themselves.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lanspread_types::PeerId;
use lanspread_types::limits::PEERS_MAX;
use lanspread_types::message::Introduction;

/// Introductions that one peer may make at once, and how fast that grows again.
const ACCEPTED_BURST: u32 = 2 * PEERS_MAX as u32;
const ACCEPTED_PER_SECOND: u32 = 4;

/// A set of connected peers, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slots([u64; PEERS_MAX / 64]);

impl Slots {
    fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    fn contains(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn lowest_free(&self) -> Option<usize> {
        (0..PEERS_MAX).find(|&slot| !self.contains(slot))
    }
}

#[derive(Debug)]
struct Entry {
    slot: usize,
    /// Where we reached it.
    reached: Option<SocketAddr>,
    /// Whom it knows, by us or by its own word.
    knows: Slots,
    /// Introductions that it may still make, and when that was counted.
    budget: u32,
    counted_at: u64,
}

#[derive(Debug, Default)]
pub struct Introductions {
    peers: BTreeMap<PeerId, Entry>,
    taken: Slots,
}

impl Introductions {
    /// A peer is connected; one that was before has perhaps forgotten what it was told.
    pub fn connected(&mut self, peer: PeerId, dialled_at: Option<SocketAddr>, seconds: u64) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.knows = Slots::default();
            entry.reached = dialled_at.or(entry.reached);
            return;
        }
        // The roster lets no more in than there are slots.
        let Some(slot) = self.taken.lowest_free() else { return };
        self.taken.insert(slot);
        let knows = Slots::default();
        let entry = Entry { slot, reached: dialled_at, knows, budget: ACCEPTED_BURST, counted_at: seconds };
        self.peers.insert(peer, entry);
    }

    pub fn lost(&mut self, peer: &PeerId) {
        let Some(gone) = self.peers.remove(peer) else { return };
        self.taken.remove(gone.slot);
        for entry in self.peers.values_mut() {
            entry.knows.remove(gone.slot);
        }
    }

    /// We reached the peer there.
    pub fn reached(&mut self, peer: &PeerId, addr: SocketAddr) -> bool {
        let Some(entry) = self.peers.get_mut(peer) else { return false };
        entry.reached = Some(addr);
        true
    }

    pub fn is_reached(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.reached.is_some())
    }

    /// A peer has named another one. Returns whether it may: who names more than a room can hold is not listened to.
    pub fn named(&mut self, by: &PeerId, other: &PeerId, seconds: u64) -> bool {
        let slot = self.peers.get(other).map(|entry| entry.slot);
        let Some(entry) = self.peers.get_mut(by) else { return false };
        let passed = u32::try_from(seconds.saturating_sub(entry.counted_at)).unwrap_or(u32::MAX);
        let grown = passed.saturating_mul(ACCEPTED_PER_SECOND);
        (entry.budget, entry.counted_at) = (entry.budget.saturating_add(grown).min(ACCEPTED_BURST), seconds);
        let Some(left) = entry.budget.checked_sub(1) else { return false };
        entry.budget = left;
        if let Some(slot) = slot {
            entry.knows.insert(slot);
        }
        true
    }

    /// Everything that is to be told now, each thing once.
    pub fn take(&mut self) -> Vec<(PeerId, Vec<Introduction>)> {
        let reached: Vec<(PeerId, usize, SocketAddr)> =
            self.peers.iter().filter_map(|(peer, e)| Some((*peer, e.slot, e.reached?))).collect();
        let mut all = Vec::new();
        for (to, entry) in &mut self.peers {
            let mut peers = Vec::new();
            for &(peer, slot, addr) in &reached {
                // What is reached on this very machine is reached by nobody else.
                let here = |a: SocketAddr| a.ip().is_loopback();
                let useless = here(addr) && !entry.reached.is_some_and(here);
                if peer != *to && !entry.knows.contains(slot) && !useless {
                    entry.knows.insert(slot);
                    peers.push(Introduction { peer, addr });
                }
            }
            if !peers.is_empty() {
                all.push((*to, peers));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> PeerId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        PeerId(id)
    }

    fn addr(n: u16) -> SocketAddr {
        format!("10.0.{}.{}:24930", n / 256, n % 256).parse().unwrap()
    }

    fn told(introductions: &mut Introductions) -> Vec<(PeerId, Vec<PeerId>)> {
        let names = |list: Vec<Introduction>| list.iter().map(|i| i.peer).collect();
        introductions.take().into_iter().map(|(to, list)| (to, names(list))).collect()
    }

    #[test]
    fn everybody_is_told_once_of_everybody_who_was_reached() {
        let mut all = Introductions::default();
        all.connected(id(1), Some(addr(1)), 0);
        all.connected(id(2), None, 0);
        assert_eq!(told(&mut all), [(id(2), vec![id(1)])], "the second one is not reached yet");
        assert!(all.reached(&id(2), addr(2)));
        assert_eq!(told(&mut all), [(id(1), vec![id(2)])]);
        assert_eq!(told(&mut all), []);
        all.connected(id(3), Some(addr(3)), 0);
        assert_eq!(told(&mut all), [(id(1), vec![id(3)]), (id(2), vec![id(3)]), (id(3), vec![id(1), id(2)])]);
    }

    #[test]
    fn who_names_a_peer_is_not_told_of_it() {
        let mut all = Introductions::default();
        all.connected(id(1), Some(addr(1)), 0);
        all.connected(id(2), Some(addr(2)), 0);
        assert!(all.named(&id(1), &id(2), 0));
        assert_eq!(told(&mut all), [(id(2), vec![id(1)])]);
    }

    #[test]
    fn one_that_comes_back_is_told_anew_and_so_are_the_others() {
        let mut all = Introductions::default();
        all.connected(id(1), Some(addr(1)), 0);
        all.connected(id(2), Some(addr(2)), 0);
        told(&mut all);
        all.connected(id(2), None, 0);
        assert_eq!(told(&mut all), [(id(2), vec![id(1)])], "a new connection: it may have started anew");
        all.lost(&id(2));
        all.connected(id(2), Some(addr(9)), 0);
        assert_eq!(told(&mut all), [(id(1), vec![id(2)]), (id(2), vec![id(1)])]);
        all.lost(&id(1));
        all.lost(&id(2));
        assert_eq!((all.peers.len(), all.taken), (0, Slots::default()));
    }

    #[test]
    fn loopback_addresses_stay_on_the_machine() {
        let mut all = Introductions::default();
        let own: SocketAddr = "127.0.0.2:1".parse().unwrap();
        all.connected(id(1), Some(own), 0);
        all.connected(id(2), Some(addr(2)), 0);
        assert_eq!(told(&mut all), [(id(1), vec![id(2)])]);
    }

    #[test]
    fn who_names_too_many_is_not_listened_to_for_a_while() {
        let mut all = Introductions::default();
        all.connected(id(1), None, 0);
        let heard = |all: &mut Introductions, seconds| {
            (0..2000).filter(|&n| all.named(&id(1), &id(n), seconds)).count()
        };
        assert_eq!(heard(&mut all, 0), 2 * PEERS_MAX, "a full room, and once more when everybody came anew");
        assert_eq!(heard(&mut all, 10), 10 * ACCEPTED_PER_SECOND as usize);
        assert!(!all.named(&id(7), &id(1), 0), "who is not connected has no say");
    }
}
