//! Introductions: which peers to tell of which, and which already know each other.
//!
//! A peer introduces the peers to which it is connected, and only at an address at which it reached them: it dialled
//! them there, or probed the listener that they state. So an introduction is true when it is made, hearsay is never
//! passed on, and loops end by themselves. A peer is told of another peer at most once on one connection, and never
//! of a peer that it has named itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lanspread_types::PeerId;
use lanspread_types::limits::PEERS_MAX;
use lanspread_types::message::Introduction;

/// Introductions that one peer may make at once, and the number regained each second.
const ACCEPTED_BURST: u32 = 2 * PEERS_MAX as u32;
const ACCEPTED_PER_SECOND: u32 = 4;

/// Set of connected peers, one bit for each.
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

/// One connected peer.
#[derive(Debug)]
struct Entry {
    slot: usize,
    /// Address at which we reached it, if we did.
    reached: Option<SocketAddr>,
    /// Peers that it knows, because we or it named them.
    knows: Slots,
    /// Introductions that it may still make, as of `counted_at` in seconds since the start.
    budget: u32,
    counted_at: u64,
}

/// The connected peers, with what each was told.
#[derive(Debug, Default)]
pub struct Introductions {
    peers: BTreeMap<PeerId, Entry>,
    taken: Slots,
}

impl Introductions {
    /// Adds a peer that connected, with the address at which we dialled it, if we did. A peer that was connected
    /// before may have started anew and forgotten the others, so it is told of them again.
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

    /// Removes a peer whose connection ended.
    pub fn lost(&mut self, peer: &PeerId) {
        let Some(gone) = self.peers.remove(peer) else { return };
        self.taken.remove(gone.slot);
        for entry in self.peers.values_mut() {
            entry.knows.remove(gone.slot);
        }
    }

    /// Notes that we reached the peer at this address. Returns false if the peer is not connected.
    pub fn reached(&mut self, peer: &PeerId, addr: SocketAddr) -> bool {
        let Some(entry) = self.peers.get_mut(peer) else { return false };
        entry.reached = Some(addr);
        true
    }

    /// Returns true if we reached the peer at some address.
    pub fn is_reached(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.reached.is_some())
    }

    /// Notes that peer `by` named `other`. Returns whether that counts: a peer that names more than a room can hold
    /// is ignored.
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

    /// Returns all introductions to make now, by receiving peer. Each is returned once.
    pub fn take(&mut self) -> Vec<(PeerId, Vec<Introduction>)> {
        let reached: Vec<(PeerId, usize, SocketAddr)> =
            self.peers.iter().filter_map(|(peer, e)| Some((*peer, e.slot, e.reached?))).collect();
        let mut all = Vec::new();
        for (to, entry) in &mut self.peers {
            let mut peers = Vec::new();
            for &(peer, slot, addr) in &reached {
                // A loopback address reaches no peer on another machine.
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
    fn reached_peers_are_introduced_once() {
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
    fn peer_is_not_told_of_a_peer_it_named() {
        let mut all = Introductions::default();
        all.connected(id(1), Some(addr(1)), 0);
        all.connected(id(2), Some(addr(2)), 0);
        assert!(all.named(&id(1), &id(2), 0));
        assert_eq!(told(&mut all), [(id(2), vec![id(1)])]);
    }

    #[test]
    fn returning_peer_is_introduced_anew() {
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
    fn introductions_by_one_peer_are_limited() {
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
