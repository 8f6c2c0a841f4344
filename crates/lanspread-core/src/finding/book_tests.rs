//! The address book, second by second.

use lanspread_types::message::Hello;

use super::*;
use crate::io::ConnId;

const ME: PeerId = PeerId([5; 32]);
const LARGER: PeerId = PeerId([9; 32]);
const SMALLER: PeerId = PeerId([1; 32]);

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, n], 24_930))
}

fn sighting(peer: PeerId, means: Means, addrs: &[SocketAddr]) -> Sighting {
    Sighting { peer, name: None, protocol: PROTOCOL_VERSION, addrs: addrs.to_vec(), means }
}

struct Seen {
    book: Book,
    rng: Rng,
}

impl Seen {
    fn new() -> Self {
        Self { book: Book::new(ME), rng: Rng::new(1) }
    }

    fn hear(&mut self, ms: u64, peer: PeerId, means: Means, addrs: &[SocketAddr]) {
        let by = (means == Means::Introduced).then_some(PeerId([77; 32]));
        self.book.heard(sighting(peer, means, addrs), by, at(ms), &mut self.rng);
    }

    fn connect(&mut self, ms: u64, peer: PeerId, addr: SocketAddr) {
        let name = PeerName::new("guest").unwrap();
        let hello = Hello { protocol: 1, name, listen_port: addr.port(), program: String::new() };
        let connected = Connected { conn: ConnId(1), peer, hello, addr, dialled: true };
        self.book.connected(&connected, false, at(ms));
    }

    /// Dials whatever is due from then on, always in vain; tells when.
    fn fail_from(&mut self, from: u64, until: u64) -> Vec<u64> {
        let mut dialled = Vec::new();
        for ms in from..until {
            for due in self.book.take_due(at(ms)) {
                dialled.push(ms);
                self.book.failed(&due.peer, "nobody".to_owned(), at(ms), &mut self.rng);
            }
        }
        dialled
    }

    fn due(&mut self, ms: u64) -> Vec<PeerId> {
        self.book.take_due(at(ms)).into_iter().map(|due| due.peer).collect()
    }
}

#[test]
fn of_two_that_see_each_other_the_smaller_id_dials() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    seen.hear(0, SMALLER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(0), [LARGER], "we are the smaller one of these two");
    assert_eq!(seen.due(799), []);
    assert_eq!(seen.due(1000), [SMALLER], "but who cannot dial us is dialled in the end");
    assert_eq!(seen.due(1001), [], "one attempt at a time");
}

#[test]
fn all_addresses_of_a_peer_are_dialled_the_shared_network_first() {
    let mut seen = Seen::new();
    let subnet = |ip: &str, adapter| Subnet { ip: ip.parse().unwrap(), prefix: 24, adapter };
    use lanspread_types::Adapter::{Physical, Virtual};
    seen.book.set_subnets(vec![subnet("172.17.0.1", Virtual), subnet("192.168.1.7", Physical)]);
    let docker: SocketAddr = "172.17.0.2:24930".parse().unwrap();
    let nowhere: SocketAddr = "10.9.9.9:24930".parse().unwrap();
    seen.hear(0, LARGER, Means::Mdns, &[docker, nowhere]);
    seen.hear(0, LARGER, Means::Broadcast, &[addr(1), "0.0.0.0:1".parse().unwrap()]);
    let due = seen.book.take_due(at(0));
    assert_eq!(due, [Due { peer: LARGER, addrs: vec![addr(1), nowhere, docker] }]);
    assert_eq!(seen.book.found_by(&LARGER), [Means::Mdns, Means::Broadcast]);
}

#[test]
fn pauses_grow_and_end() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    let dialled = seen.fail_from(0, 120_000);
    assert_eq!(dialled.len(), TRIES_MAX_HEARD as usize, "{dialled:?}");
    for (pause, pair) in [1000, 2000, 4000].into_iter().zip(dialled.windows(2)) {
        let took = pair[1] - pair[0];
        assert!((pause..=pause * 5 / 4 + 1).contains(&took), "{dialled:?}");
    }
    assert_eq!(seen.book.strangers()[0].absence, Absence::Unreachable { reason: "nobody".to_owned() });
    seen.hear(130_000, LARGER, Means::Broadcast, &[addr(1)]);
    assert_eq!(seen.due(130_000), [LARGER], "it is heard of again");
}

#[test]
fn a_lost_peer_is_dialled_again_and_one_that_left_is_not() {
    let mut seen = Seen::new();
    seen.connect(0, LARGER, addr(1));
    assert_eq!(seen.due(10_000), [], "it is here");
    seen.book.lost(&LARGER, at(10_000), &mut seen.rng);
    assert_eq!(seen.due(10_400), []);
    assert_eq!(seen.due(10_700), [LARGER]);
    seen.connect(11_000, LARGER, addr(1));
    seen.book.left(&LARGER, at(12_000));
    assert_eq!(seen.fail_from(12_000, 30_000), Vec::<u64>::new());
    assert_eq!(seen.book.strangers(), [], "it is missed by nobody");
    seen.hear(30_000, LARGER, Means::Introduced, &[addr(1)]);
    assert_eq!(seen.due(30_000), [], "who introduces it has not heard of its leaving yet");
    seen.hear(31_000, LARGER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(31_000), [LARGER], "it is back, at another address");
    assert_eq!(seen.book.to_remember().len(), 1);
}

#[test]
fn another_version_is_shown_with_its_number_and_not_dialled() {
    let mut seen = Seen::new();
    let other = Sighting { protocol: 77, ..sighting(LARGER, Means::Mdns, &[addr(1)]) };
    assert!(seen.book.heard(other.clone(), None, at(0), &mut seen.rng), "that is news");
    assert!(!seen.book.heard(other, None, at(1), &mut seen.rng), "that is none");
    assert_eq!(seen.due(1000), []);
    assert_eq!(seen.book.strangers()[0].absence, Absence::OtherVersion { theirs: 77 });
    seen.hear(2000, LARGER, Means::Mdns, &[addr(9)]);
    assert_eq!(seen.book.entries[&LARGER].name, None);
}

#[test]
fn an_introducer_of_many_who_do_not_exist_delays_only_them() {
    let mut seen = Seen::new();
    let nobody = |n: usize| {
        let mut id = [6; 32];
        id[..8].copy_from_slice(&(n as u64 + (7 << 56)).to_be_bytes());
        PeerId(id)
    };
    (0..5 * ENTRIES_MAX).for_each(|n| seen.hear(0, nobody(n), Means::Introduced, &[addr(1)]));
    assert_eq!(seen.book.entries.len(), ENTRIES_MAX, "the book is bounded");
    assert_eq!(seen.due(2000).len(), ATTEMPTS_PER_INTRODUCER_MAX, "so are the attempts");
    seen.hear(2000, LARGER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(2001), [LARGER], "who was seen is dialled at once, in the place of hearsay");
    assert_eq!(seen.book.entries.len(), ENTRIES_MAX);
}

#[test]
fn we_are_not_in_our_own_book() {
    let mut seen = Seen::new();
    seen.hear(0, ME, Means::Mdns, &[addr(1)]);
    assert_eq!((seen.due(5000), seen.book.strangers()), (vec![], vec![]));
    seen.book.note_stranger(addr(1), Absence::Own);
    assert_eq!(seen.book.strangers()[0].absence, Absence::Own, "a typed one is shown as what it is");
}

#[test]
fn who_is_in_another_party_is_shown_with_the_reason_and_not_dialled_again() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(0), [LARGER]);
    seen.book.other_party(LARGER, addr(1), &PartyMismatch::WrongPassPhrase, false, at(10));
    let reason = PartyMismatch::WrongPassPhrase.to_string();
    assert_eq!(seen.book.strangers()[0].absence, Absence::TurnedAway { reason });
    for ms in [20_000, 40_000, 400_000] {
        seen.hear(ms, LARGER, Means::Broadcast, &[addr(ms as u8), addr(1)]);
        assert_eq!(seen.due(ms + 1000), [], "each try would be a guess");
    }
    seen.connect(500_000, LARGER, addr(1));
    assert_eq!(seen.book.strangers(), [], "it came by itself, with the right one");
    seen.book.other_party(LARGER, addr(1), &PartyMismatch::Open, false, at(500_001));
    assert_eq!(seen.book.strangers(), [], "what an address says does not end a connection");
}

#[test]
fn who_was_turned_away_for_what_others_did_is_tried_again() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(0), [LARGER]);
    seen.book.other_party(LARGER, addr(1), &PartyMismatch::TooManyTries, false, at(10));
    assert_eq!(seen.due(60_000), []);
    assert_eq!(seen.due(76_000), [LARGER]);
}

#[test]
fn nobody_is_listed_twice() {
    let mut seen = Seen::new();
    let unreachable = || Absence::Unreachable { reason: "nobody".to_owned() };
    seen.book.note_stranger(addr(1), unreachable());
    seen.book.other_party(SMALLER, addr(2), &PartyMismatch::Open, false, at(0));
    assert_eq!(seen.book.strangers().len(), 1, "nobody asked for the second one");
    seen.book.other_party(LARGER, addr(1), &PartyMismatch::Open, true, at(0));
    seen.book.note_stranger(addr(1), unreachable());
    let strangers = seen.book.strangers();
    assert_eq!(strangers.len(), 1, "{strangers:?}");
    assert_eq!((strangers[0].peer, &strangers[0].found_by[..]), (Some(LARGER), &[Means::Typed][..]));
}
