//! Tests of the address book.

use lanspread_types::message::Hello;

use super::*;
use crate::border::net::ConnId;

const ME: PeerId = PeerId([5; 32]);
const LARGER: PeerId = PeerId([9; 32]);
const SMALLER: PeerId = PeerId([1; 32]);

fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, n], 24_930))
}

/// Returns an address that no other number has.
fn own_addr(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 7, (n >> 8) as u8, n as u8], 24_930))
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
        let connected = Connected { conn: ConnId(1), peer, hello, addr, local_ip: None, dialled: true };
        self.book.connected(&connected, false, at(ms));
    }

    /// Dials every due peer in this time, always in vain. Returns the times of the dials.
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
fn smaller_id_dials_first() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    seen.hear(0, SMALLER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(0), [LARGER], "we are the smaller one of these two");
    assert_eq!(seen.due(799), []);
    assert_eq!(seen.due(1000), [SMALLER], "but who cannot dial us is dialled in the end");
    assert_eq!(seen.due(1001), [], "one attempt at a time");
}

#[test]
fn address_in_shared_network_is_dialled_first() {
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
fn lost_peer_is_redialled_and_departed_peer_is_not() {
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
fn other_version_is_listed_and_not_dialled() {
    let mut seen = Seen::new();
    let other = Sighting { protocol: 77, ..sighting(LARGER, Means::Mdns, &[addr(1)]) };
    assert!(seen.book.heard(other.clone(), None, at(0), &mut seen.rng), "that is news");
    assert!(!seen.book.heard(other, None, at(1), &mut seen.rng), "that is none");
    assert_eq!(seen.due(1000), []);
    assert_eq!(seen.book.strangers()[0].absence, Absence::OtherVersion { theirs: 77 });
    seen.hear(2000, LARGER, Means::Mdns, &[addr(9)]);
    assert_eq!(seen.book.entries.all[&LARGER].name, None);
}

#[test]
fn lying_introducer_delays_only_its_own_entries() {
    let mut seen = Seen::new();
    let nobody = |n: usize| {
        let mut id = [6; 32];
        id[..8].copy_from_slice(&(n as u64 + (7 << 56)).to_be_bytes());
        PeerId(id)
    };
    (0..5 * ENTRIES_MAX).for_each(|n| seen.hear(0, nobody(n), Means::Introduced, &[addr(1)]));
    assert_eq!(seen.book.entries.all.len(), ENTRIES_MAX, "the book is bounded");
    assert_eq!(seen.due(2000).len(), ATTEMPTS_PER_INTRODUCER_MAX, "so are the attempts");
    seen.hear(2000, LARGER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(2001), [LARGER], "who was seen is dialled at once, in the place of hearsay");
    assert_eq!(seen.book.entries.all.len(), ENTRIES_MAX);
}

#[test]
fn own_id_is_not_in_the_book() {
    let mut seen = Seen::new();
    seen.hear(0, ME, Means::Mdns, &[addr(1)]);
    assert_eq!((seen.due(5000), seen.book.strangers()), (vec![], vec![]));
    seen.book.note_stranger(addr(1), Absence::Own);
    assert_eq!(seen.book.strangers()[0].absence, Absence::Own, "a typed one is shown as what it is");
}

#[test]
fn peer_of_another_party_is_not_redialled() {
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
fn peer_refusing_for_others_guesses_is_redialled() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(0), [LARGER]);
    seen.book.other_party(LARGER, addr(1), &PartyMismatch::TooManyTries, false, at(10));
    assert_eq!(seen.due(14_000), []);
    assert_eq!(seen.due(16_000), [LARGER]);
}

#[test]
fn no_peer_is_listed_twice() {
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

/// Returns an id larger than `ME`, so that peer is dialled at once.
fn numbered(n: usize) -> PeerId {
    let mut id = [6; 32];
    id[..8].copy_from_slice(&(n as u64 + (7 << 56)).to_be_bytes());
    PeerId(id)
}

#[test]
fn departed_peer_is_dialled_when_it_announces_itself() {
    let mut seen = Seen::new();
    seen.connect(0, LARGER, addr(1));
    seen.book.left(&LARGER, at(1000));
    seen.hear(2000, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(2000), [LARGER], "at its old address, a second later");
}

#[test]
fn abandoned_peer_heard_anew_dials_first() {
    let mut seen = Seen::new();
    seen.hear(0, SMALLER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.fail_from(0, 100_000).len(), TRIES_MAX_HEARD as usize);
    seen.hear(100_000, SMALLER, Means::Mdns, &[addr(2)]);
    assert_eq!(seen.due(100_799), [], "it dials, if it can");
    assert_eq!(seen.due(101_000), [SMALLER]);
}

#[test]
fn reached_address_comes_first() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1), addr(2), addr(3)]);
    seen.connect(0, LARGER, addr(2));
    assert_eq!(seen.book.to_remember()[0].addrs, [addr(2), addr(1), addr(3)]);
}

#[test]
fn refused_peer_is_listed_and_rests() {
    let mut seen = Seen::new();
    seen.hear(0, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(0), [LARGER]);
    seen.book.turned_away(&LARGER, "too many peers".to_owned(), at(10));
    let reason = "too many peers".to_owned();
    assert_eq!(seen.book.strangers()[0].absence, Absence::TurnedAway { reason });
    seen.hear(20_000, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(20_000), []);
    seen.hear(30_010, LARGER, Means::Mdns, &[addr(1)]);
    assert_eq!(seen.due(30_010), [LARGER], "there may be room by now");
}

#[test]
fn full_room_leaves_places_for_sightings() {
    let mut seen = Seen::new();
    (0..PEERS_MAX).for_each(|n| seen.connect(0, numbered(n), addr(1)));
    (PEERS_MAX..2 * PEERS_MAX).for_each(|n| seen.hear(0, numbered(n), Means::Mdns, &[own_addr(n)]));
    assert_eq!((seen.book.to_remember().len(), seen.book.strangers().len()), (REMEMBERED_MAX, PEERS_MAX));
}

#[test]
fn inbound_other_version_is_redialled_in_a_minute() {
    let mut seen = Seen::new();
    seen.book.note_stranger(addr(1), Absence::Unreachable { reason: "nobody".to_owned() });
    seen.book.other_version(Some(LARGER), addr(1), 77, at(0));
    let strangers = seen.book.strangers();
    assert_eq!(strangers.len(), 1, "{strangers:?}");
    assert_eq!((strangers[0].peer, &strangers[0].found_by[..]), (Some(LARGER), &[Means::Inbound][..]));
    assert_eq!(strangers[0].absence, Absence::OtherVersion { theirs: 77 });
    assert_eq!(seen.due(59_999), []);
    assert_eq!(seen.due(60_000), [LARGER], "it may have been updated");

    // A peer without a proven identity, or one for which the book has no room, is known by its address.
    let mut seen = Seen::new();
    (0..ENTRIES_MAX).for_each(|n| seen.connect(0, numbered(n), addr(1)));
    seen.book.other_version(None, addr(2), 77, at(0));
    seen.book.other_version(Some(LARGER), addr(3), 78, at(0));
    let shown: Vec<_> = seen.book.strangers().into_iter().map(|s| (s.peer, s.addrs, s.absence)).collect();
    let nameless = |n, theirs| (None, vec![addr(n)], Absence::OtherVersion { theirs });
    assert_eq!(shown, [nameless(2, 77), nameless(3, 78)]);
}

#[test]
fn listed_addresses_are_bounded_and_unique() {
    let mut seen = Seen::new();
    let unreachable = |seen: &mut Seen, n: u8, why: &str| {
        seen.book.note_stranger(addr(n), Absence::Unreachable { reason: why.to_owned() });
        seen.book.strangers().len()
    };
    for n in 1..=STRANGERS_MAX as u8 {
        assert_eq!(unreachable(&mut seen, n, "nobody"), usize::from(n));
    }
    assert_eq!(unreachable(&mut seen, 9, "a wall"), STRANGERS_MAX);
    let strangers = seen.book.strangers();
    assert_eq!((&strangers[0].addrs[..], &strangers[8].addrs[..]), (&[addr(1)][..], &[addr(9)][..]));
    assert_eq!(strangers[8].absence, Absence::Unreachable { reason: "a wall".to_owned() });
    assert_eq!(unreachable(&mut seen, 200, "nobody"), STRANGERS_MAX);
    assert!(seen.book.strangers().iter().any(|s| s.addrs == [addr(200)]), "the newest is shown");
}

#[test]
fn attempts_are_bounded_and_an_end_starts_the_next() {
    let mut seen = Seen::new();
    (0..ATTEMPTS_MAX + 2).for_each(|n| seen.hear(0, numbered(n), Means::Mdns, &[own_addr(n)]));
    let first = seen.due(0);
    assert_eq!(first.len(), ATTEMPTS_MAX);
    assert_eq!(seen.book.next_due(at(0)), None, "who waits for a place waits for no time");
    assert_eq!((seen.due(1), seen.book.next_due(at(1))), (vec![], None));
    seen.book.failed(&first[0], "nobody".to_owned(), at(2), &mut seen.rng);
    assert_eq!(seen.due(2), [numbered(ATTEMPTS_MAX)]);
}

#[test]
fn next_due_is_the_earliest_due_time() {
    let mut seen = Seen::new();
    assert_eq!(seen.book.next_due(at(0)), None);
    seen.hear(0, SMALLER, Means::Mdns, &[addr(1)]);
    let due = seen.book.next_due(at(0)).unwrap();
    assert!((at(800)..=at(1000)).contains(&due), "{due:?}");
    seen.hear(1, PeerId([2; 32]), Means::Mdns, &[addr(2)]);
    assert!(seen.book.next_due(at(1)).is_some_and(|next| next <= due), "the earliest counts");
    assert_eq!(seen.book.take_due(at(799)), []);
    assert_eq!(seen.due(1010).len(), 2);
    assert_eq!(seen.book.next_due(at(1010)), None, "both are being dialled");
}

#[test]
fn connected_peers_are_remembered_first() {
    let mut seen = Seen::new();
    for peer in [SMALLER, LARGER] {
        seen.connect(0, peer, addr(peer.0[0]));
    }
    seen.book.left(&SMALLER, at(1));
    seen.hear(2, numbered(0), Means::Mdns, &[addr(3)]);
    let remembered: Vec<PeerId> = seen.book.to_remember().iter().map(|known| known.peer).collect();
    assert_eq!(remembered, [LARGER, SMALLER], "and who never was here is not");
}

#[test]
fn in_a_full_book_only_hearsay_gives_way() {
    for (means, gives_way) in [(Means::Introduced, true), (Means::Mdns, false)] {
        let mut seen = Seen::new();
        (0..ENTRIES_MAX).for_each(|n| seen.hear(0, numbered(n), means, &[own_addr(n)]));
        let newcomer = |seen: &mut Seen, means| {
            seen.hear(1, LARGER, means, &[addr(2)]);
            seen.book.strangers().iter().any(|s| s.peer == Some(LARGER))
        };
        assert!(!newcomer(&mut seen, Means::Introduced), "{means:?}");
        assert_eq!(newcomer(&mut seen, Means::Mdns), gives_way, "{means:?}");
    }
}

#[test]
fn lost_room_is_not_redialled_in_step() {
    let mut seen = Seen::new();
    (0..20).for_each(|n| seen.connect(0, numbered(n), addr(1)));
    (0..20).for_each(|n| seen.book.lost(&numbered(n), at(1000), &mut seen.rng));
    let mut soon = 0;
    for ms in 1000..1562 {
        soon += seen.due(ms).len();
    }
    assert!((1..20).contains(&soon), "half of the time has passed: {soon}");
    assert_eq!(seen.due(1626).len(), 20 - soon, "a quarter more at most");
}

#[test]
fn cached_due_time_equals_computed_one() {
    let (mut seen, mut plain, mut dice) = (Seen::new(), Seen::new(), Rng::new(3));
    let (mut now, mut dialled) = (0, 0);
    for _ in 0..5000 {
        now += dice.below(400);
        let (what, n) = (dice.below(8), 1 + dice.below(60) as u8);
        let means = if n > 30 { Means::Introduced } else { Means::Mdns };
        let [due, expected] = [(&mut seen, false), (&mut plain, true)].map(|(one, forgets)| {
            if forgets {
                one.book.entries.next_due = None;
            }
            match what {
                0 => one.hear(now, PeerId([n; 32]), means, &[addr(n)]),
                1 => one.connect(now, PeerId([n; 32]), addr(n)),
                2 => one.book.lost(&PeerId([n; 32]), at(now), &mut one.rng),
                3 => one.book.failed(&PeerId([n; 32]), "nobody".to_owned(), at(now), &mut one.rng),
                _ => {}
            }
            let due = one.book.take_due(at(now));
            if forgets {
                one.book.entries.next_due = None;
            }
            let next = one.book.next_due(at(now));
            (due, next, next.map(|then| one.book.next_due(then)))
        });
        assert_eq!(due, expected, "at {now}");
        dialled += due.0.len();
    }
    assert!(dialled > 500, "{dialled}");
}

/// Returns an id that no other test peer has.
fn spoofed(n: usize) -> PeerId {
    numbered(100_000 + n)
}

#[test]
fn beacons_of_one_address_take_few_places() {
    let mut seen = Seen::new();
    (0..5000).for_each(|n| seen.hear(n as u64, spoofed(n), Means::Broadcast, &[addr(66)]));
    assert_eq!(seen.book.entries.all.len(), UNREACHED_PER_SITE);
    assert_eq!(seen.due(10_000).len(), ATTEMPTS_PER_SITE);
    seen.hear(10_000, LARGER, Means::Broadcast, &[addr(2)]);
    assert_eq!(seen.due(10_000), [LARGER]);
}

#[test]
fn many_beacons_leave_room_for_an_honest_peer() {
    let mut seen = Seen::new();
    for n in 0..4 * ENTRIES_MAX {
        seen.hear(0, spoofed(n), Means::Broadcast, &[own_addr(n % 254)]);
    }
    assert_eq!(seen.book.entries.all.len(), ENTRIES_MAX);
    seen.hear(1, LARGER, Means::Broadcast, &[addr(2)]);
    assert!(seen.book.entries.all.contains_key(&LARGER), "the address behind most of them gives way");
    seen.connect(2, SMALLER, addr(3));
    assert!(seen.book.entries.all.contains_key(&SMALLER), "and so it does for one that was reached");
}

#[test]
fn reached_peers_stay_in_a_flooded_book() {
    let mut seen = Seen::new();
    for n in 0..PEERS_MAX {
        seen.connect(0, numbered(n), own_addr(n));
        seen.book.lost(&numbered(n), at(0), &mut seen.rng);
    }
    for n in 0..4 * ENTRIES_MAX {
        let means = [Means::Broadcast, Means::Introduced, Means::Mdns][n % 3];
        seen.hear(1, spoofed(n), means, &[own_addr(n)]);
    }
    let kept = (0..PEERS_MAX).filter(|n| seen.book.entries.all.contains_key(&numbered(*n))).count();
    assert_eq!((kept, seen.book.entries.all.len()), (PEERS_MAX, ENTRIES_MAX));
}

#[test]
fn lies_give_way_to_honest_introductions() {
    let mut seen = Seen::new();
    (0..2 * ENTRIES_MAX).for_each(|n| seen.hear(0, spoofed(n), Means::Introduced, &[own_addr(n)]));
    let by = Some(PeerId([78; 32]));
    for n in 0..200 {
        let honest = sighting(numbered(n), Means::Introduced, &[addr(n as u8)]);
        seen.book.heard(honest, by, at(1), &mut seen.rng);
    }
    assert!((0..200).all(|n| seen.book.entries.all.contains_key(&numbered(n))));
}

#[test]
fn introducer_causes_a_room_of_dials_then_one_a_second() {
    let mut seen = Seen::new();
    (0..ENTRIES_MAX).for_each(|n| seen.hear(0, spoofed(n), Means::Introduced, &[own_addr(n)]));
    let dialled = seen.fail_from(2000, 62_000).len();
    let most = HEARSAY_DIALS_PER_SITE as usize + 60;
    assert!((most - 10..=most + 1).contains(&dialled), "{dialled}");
}

#[test]
fn news_of_other_versions_are_bounded() {
    let mut seen = Seen::new();
    let told = (0..1000).filter(|&n| {
        let mut other = sighting(spoofed(n), Means::Broadcast, &[own_addr(n)]);
        other.protocol = 77;
        seen.book.heard(other, None, at(n as u64), &mut seen.rng)
    });
    assert_eq!(told.count(), OTHER_VERSION_NEWS as usize);
}

#[test]
fn liars_leave_an_honest_introducer_its_dials() {
    let mut seen = Seen::new();
    for liar in 0..8 {
        seen.connect(0, numbered(liar), own_addr(liar));
        for n in 0..ENTRIES_MAX / 8 {
            let lie = sighting(spoofed(liar * ENTRIES_MAX + n), Means::Introduced, &[own_addr(n)]);
            seen.book.heard(lie, Some(numbered(liar)), at(0), &mut seen.rng);
        }
    }
    seen.fail_from(2000, 40_000);
    seen.connect(40_000, numbered(8), own_addr(8));
    for n in 0..50 {
        let honest = sighting(numbered(1000 + n), Means::Introduced, &[addr(n as u8)]);
        seen.book.heard(honest, Some(numbered(8)), at(40_000), &mut seen.rng);
    }
    let mut met = BTreeSet::new();
    for ms in (41_000..45_000).step_by(10) {
        for due in seen.book.take_due(at(ms)) {
            if (1000..1050).any(|n| numbered(n) == due.peer) {
                met.insert(due.peer);
                seen.connect(ms, due.peer, due.addrs[0]);
            } else {
                seen.book.failed(&due.peer, "nobody".to_owned(), at(ms), &mut seen.rng);
            }
        }
    }
    assert_eq!(met.len(), 50);
}
