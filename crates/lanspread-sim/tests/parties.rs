//! Random parties with every kind of fault, and the named situations of a LAN party.

use std::time::{Duration, Instant};

use lanspread_sim::network::LinkRate;
use lanspread_sim::{Fault, Noise, Party, PeerSpec, Report, Spread, World};

const MIB: u64 = 1 << 20;

fn play(party: Party) -> Report {
    World::new(party).run().unwrap_or_else(|violation| panic!("{violation}"))
}

/// A failure names the seed; `Party::random(seed)` plays the party again.
#[test]
fn a_thousand_random_parties_break_no_rule() {
    let start = Instant::now();
    let (mut faults, mut delivered) = (0, 0);
    for seed in 0..1200 {
        let party = Party::random(seed);
        faults += party.faults.len();
        match World::new(party).run() {
            Ok(report) => delivered += report.delivered,
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(
        faults > 500 && delivered > 50_000,
        "{faults} faults, {delivered} chunks: these parties test nothing"
    );
    println!("1200 parties, {faults} faults, {delivered} chunks in {:?}", start.elapsed());
}

/// Random parties on worse links: behind two switches, with messages that wait behind bulk and PCs that stall.
#[test]
fn random_parties_on_unkind_links_break_no_rule() {
    for seed in 0..400 {
        let mut party = Party::random(seed);
        let half = party.peers[0].rate.up / 2.0;
        party = party.in_groups(2, LinkRate { up: half, down: half }, Spread::Interleaved);
        party.queue = Duration::from_millis(seed % 50);
        // These parties last for a second or two.
        party.noise = Some(Noise { stalls_every: Duration::from_millis(500), ..Noise::USUAL });
        play(party);
    }
}

/// Random parties that once broke a rule.
#[test]
fn earlier_failures_stay_fixed() {
    // 2: an answer came after its source was rejected. 43: a chunk that had arrived was considered late. 74: a guest
    // crashed twice.
    for seed in [2, 43, 74] {
        play(Party::random(seed));
    }
}

#[test]
fn the_same_seed_plays_the_same_party() {
    let play = |seed| World::new(Party::random(seed)).run().unwrap();
    for seed in 0..20 {
        assert_eq!(play(seed), play(seed));
    }
    assert_ne!(play(1).events, play(2).events);
}

#[test]
fn mass_start_stays_within_five_percent() {
    for seed in 0..3 {
        let report = play(Party::mass_start(6, 100.0, 64 * MIB, seed));
        assert!(report.makespan_ratio() <= 1.05, "{}", report.makespan_ratio());
        assert!(report.playable_ratio() <= 1.10, "{}", report.playable_ratio());
        assert!((1.0..=1.05).contains(&report.seed_copies), "{}", report.seed_copies);
    }
}

#[test]
fn mass_start_of_sixteen_stays_within_bounds() {
    let report = play(Party::mass_start(16, 100.0, 256 * MIB, 3));
    assert!(report.makespan_ratio() <= 1.05, "{}", report.makespan_ratio());
    assert!(report.playable_ratio() <= 1.10, "{}", report.playable_ratio());
    assert!((1.0..=1.05).contains(&report.seed_copies), "{}", report.seed_copies);
}

/// With so many receivers, each is refused again and again for seconds. When refusals made fellow receivers doubtful,
/// their copies did not count and the seed sent 1.16 to 1.19 copies.
#[test]
fn a_crowded_room_does_not_ask_the_seed_again() {
    let report = play(Party::mass_start(32, 25.0, 32 * MIB, 301));
    assert!((1.0..=1.08).contains(&report.seed_copies), "{}", report.seed_copies);
}

/// Answers that are late through no fault of their receiver are not sent again. When the seed had no news of
/// arrivals, this took 1.21 times the bound, with 1.15 copies.
#[test]
fn uneven_shares_of_the_links_cost_little() {
    let mut ratios: Vec<f64> = (30..35)
        .map(|seed| {
            let report = play(Party::mass_start(12, 100.0, 128 * MIB, seed).over_tcp());
            assert!((1.0..=1.05).contains(&report.seed_copies), "{}", report.seed_copies);
            report.makespan_ratio()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[2] <= 1.12, "median {} of {ratios:?}", ratios[2]);
}

/// A source with only false chunks costs each receiver that follows it one chunk.
#[test]
fn false_seed_costs_its_followers_one_chunk() {
    let mut party = Party::mass_start(6, 100.0, 64 * MIB, 19);
    let honest = party.peers[0].clone();
    party.peers.push(PeerSpec { lies: 1.0, ..honest });
    let report = play(party);
    // Only receivers that follow the false seed get anything from it.
    assert!((1..=6).contains(&report.rejected), "{}", report.rejected);
    assert!(report.corrupt <= report.rejected as u64, "{} chunks came in vain", report.corrupt);
    assert!(report.makespan_ratio() <= 1.03, "{}", report.makespan_ratio());
}

#[test]
fn one_receiver_gets_every_chunk_once() {
    let report = play(Party::mass_start(1, 100.0, 16 * MIB, 1));
    assert_eq!((report.duplicates, report.delivered), (0, 513), "512 chunks and the sentinel's");
    assert!(report.makespan_ratio() < 1.02, "{}", report.makespan_ratio());
}

/// The other receivers finish as soon as in a party of their own, the slow one as soon as its link allows. In some of
/// these parties somebody follows the slow guest at first, and has to find out.
#[test]
fn slow_guest_slows_nobody() {
    for seed in 1..=6 {
        let mut party = Party::mass_start(6, 100.0, 128 * MIB, seed);
        let rate = party.peers[6].rate.down * 0.2;
        party.peers[6].rate = LinkRate { up: rate, down: rate };
        let report = play(party);
        let ratio = |at: usize| {
            let peer = report.peers[at].as_ref().unwrap();
            peer.complete.as_secs_f64() / peer.bound.as_secs_f64()
        };
        for at in 1..6 {
            assert!(ratio(at) <= 1.06, "seed {seed}, peer {at}: {}", ratio(at));
        }
        assert!(ratio(6) <= 1.02, "seed {seed}, the slow one: {}", ratio(6));
    }
}

#[test]
fn guest_that_dies_at_half_time_costs_little() {
    let mut party = Party::mass_start(6, 100.0, 64 * MIB, 9);
    party.faults.push(Fault::Crash { peer: 3, at: party.bound() / 2, back_after: None });
    let report = play(party);
    assert!(report.peers[3].is_none() && report.peers.iter().flatten().count() == 5);
    assert!(report.makespan_ratio() <= 1.05, "{}", report.makespan_ratio());
}

/// A guest whose uplink takes 2 MB/s, as while it plays, but who says nothing of it, delays nobody for long.
#[test]
fn guest_with_a_slow_uplink_slows_nobody() {
    for seed in 1..=4 {
        let mut party = Party::mass_start(6, 100.0, 128 * MIB, seed);
        party.peers[3].rate.up = 2e6;
        let report = play(party);
        assert!(report.makespan_ratio() <= 1.06, "seed {seed}: {}", report.makespan_ratio());
    }
}

/// The seed and two guests die at the same moment. Somebody else has the whole game. In one of twelve such parties
/// (seed 3) six guests lose a second until the new placer has sorted them, which is more than the goal of 1.10.
#[test]
fn three_deaths_at_once_cost_little() {
    let mut ratios: Vec<f64> = (1..=5)
        .map(|seed| {
            let mut party = Party::mass_start(16, 100.0, 128 * MIB, seed);
            party.peers[16] = PeerSpec::seed(100.0);
            let at = party.bound().mul_f64(0.6);
            party.faults.extend([0, 5, 9].map(|peer| Fault::Crash { peer, at, back_after: None }));
            let report = play(party);
            assert_eq!(report.peers.iter().flatten().count(), 13, "seed {seed}");
            report.makespan_ratio()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[3] <= 1.06 && ratios[4] <= 1.15, "{ratios:?}");
}

#[test]
fn liar_costs_its_followers_one_chunk() {
    let mut party = Party::mass_start(6, 100.0, 64 * MIB, 11);
    party.peers[2].lies = 1.0;
    let report = play(party);
    // Only receivers that follow the liar get anything from it: one after the other, as it falls back.
    assert!((1..=5).contains(&report.rejected), "{}", report.rejected);
    assert_eq!(report.peers.iter().flatten().count(), 6);
    assert!(report.corrupt <= report.rejected as u64, "{} chunks came in vain", report.corrupt);
    assert!((1.0..=1.05).contains(&report.seed_copies), "{}", report.seed_copies);
    assert!(report.makespan_ratio() <= 1.08, "{}", report.makespan_ratio());
}

#[test]
fn late_guest_downloads_at_line_rate() {
    let mut party = Party::mass_start(6, 100.0, 64 * MIB, 13);
    party.peers[6].joins = Some(party.bound() / 2);
    let report = play(party);
    let late = report.peers[6].as_ref().unwrap();
    assert!(late.complete < late.bound.mul_f64(1.10), "{:?} of {:?}", late.complete, late.bound);
    assert!(report.seed_copies <= 1.05, "{}", report.seed_copies);
}

/// Returns a party of one seed in the first group and some receivers in the second, with an uplink of half a host's
/// rate.
fn behind_an_uplink(receivers: usize) -> Party {
    let mut party = Party::mass_start(receivers, 100.0, 16 * MIB, 17);
    party.peers[1..].iter_mut().for_each(|peer| peer.group = 1);
    let half = party.peers[0].rate.up / 2.0;
    party.uplinks.insert(1, LinkRate { up: half, down: half });
    party
}

#[test]
fn a_copy_that_crosses_an_uplink_is_counted_once() {
    let party = behind_an_uplink(1);
    let bound = party.bound();
    assert_eq!(bound, party.bound_of(1));
    let report = play(party);
    let crossed: Vec<_> =
        report.groups.iter().map(|group| (group.members, group.copies_in, group.copies_out)).collect();
    assert_eq!(crossed, [(1, 0.0, 1.0), (1, 1.0, 0.0)]);
    // The uplink is the bottleneck: twice the time of the receiver's own link.
    let alone = 16.0 * MIB as f64 / Party::mass_start(1, 100.0, MIB, 1).peers[0].rate.up;
    assert!((bound.as_secs_f64() / alone - 2.0).abs() < 1e-6, "{bound:?}");
    assert!((1.0..1.02).contains(&report.makespan_ratio()), "{}", report.makespan_ratio());
}

#[test]
fn aborted_transfer_counts_as_far_as_it_came() {
    let mut party = behind_an_uplink(1);
    let at = party.bound() / 2;
    party.faults.push(Fault::Crash { peer: 1, at, back_after: Some(Duration::from_millis(200)) });
    let report = play(party);
    // Requests under way are sent again. At most one chunk had crossed in part, and only chunks count.
    let over = (report.groups[1].copies_in - 1.0) * 16.0 * MIB as f64;
    assert!(over > 0.0 && over < 65536.0, "{over} bytes");
    assert_eq!(report.groups[0].copies_out, report.groups[1].copies_in);
}

#[test]
fn groups_on_uplinks_that_never_fill_are_one_room() {
    let party = Party::mass_start(6, 100.0, 64 * MIB, 3);
    let endless = LinkRate { up: f64::INFINITY, down: f64::INFINITY };
    let report = play(party.clone().in_groups(2, endless, Spread::Interleaved));
    let members: Vec<_> = report.groups.iter().map(|group| group.members).collect();
    assert_eq!((report.bound, members), (party.bound(), vec![4, 3]));
    assert!(report.groups[0].copies_out >= 1.0 && report.groups[1].copies_in >= 1.0);
    assert!(report.makespan_ratio() <= 1.05, "{}", report.makespan_ratio());
}

#[test]
fn noise_costs_time_and_no_byte() {
    let quiet = Party::mass_start(6, 100.0, 64 * MIB, 3);
    let noisy = Party { noise: Some(Noise::USUAL), ..quiet.clone() };
    let (quiet, noisy) = (play(quiet), play(noisy));
    // Stalls of a tenth of a second in a party of six seconds; the bound is the same.
    assert_eq!(noisy.bound, quiet.bound);
    assert!(noisy.makespan > quiet.makespan, "{:?}, {:?}", noisy.makespan, quiet.makespan);
    assert!(noisy.makespan_ratio() < 1.25, "{}", noisy.makespan_ratio());
    assert_eq!(noisy.delivered - noisy.duplicates, quiet.delivered - quiet.duplicates);
}

#[test]
fn a_crashed_guest_resumes_with_what_it_had() {
    let mut party = Party::mass_start(3, 100.0, 16 * MIB, 17);
    party.faults.push(Fault::Crash {
        peer: 1,
        at: party.bound() / 2,
        back_after: Some(Duration::from_millis(200)),
    });
    let report = play(party);
    assert!(report.peers[1].is_some());
    // Only chunks that were in flight are downloaded again.
    assert!(report.delivered <= 3 * 513 + 8, "{}", report.delivered);
}

/// With 96 MiB in flight there was no room for a request, but the time to look for work had come, so the node wanted
/// to be woken at once, for ever.
#[test]
fn full_buffers_let_no_node_spin() {
    play(Party::mass_start(16, 1000.0, 10 << 30, 901));
}

#[test]
fn guests_a_moment_apart_each_take_one_copy_time() {
    let mut party = Party::mass_start(5, 100.0, 64 * MIB, 21);
    for (at, peer) in party.peers.iter_mut().enumerate().skip(1) {
        peer.joins = Some(Duration::from_millis(1200) * (at as u32 - 1));
    }
    let report = play(party);
    for (at, peer) in report.peers.iter().enumerate().skip(1) {
        let peer = peer.as_ref().unwrap();
        let ratio = peer.complete.as_secs_f64() / peer.bound.as_secs_f64();
        assert!(ratio <= 1.05, "guest {at}: {ratio}");
    }
    assert!(report.seed_copies <= 1.03, "{}", report.seed_copies);
}

/// Guests of one switch are next to each other in the line whatever the order of the clicks, so each switch's uplink
/// carries each chunk once.
#[test]
fn each_uplink_carries_one_copy() {
    for seed in 0..3 {
        let party = Party::mass_start(12, 100.0, 64 * MIB, seed);
        let rate = party.peers[0].rate;
        let report = play(party.in_groups(3, rate, Spread::Interleaved));
        for group in &report.groups {
            assert!(group.copies_in <= 1.05 && group.copies_out <= 1.05, "{:?}", report.groups);
        }
        assert!(report.makespan_ratio() <= 1.06, "{}", report.makespan_ratio());
    }
}

/// The picker alone takes 1.08 here, with 1.02 copies (`relay_line: false`).
#[test]
fn seed_sends_one_copy_to_thirty_two() {
    let report = play(Party::mass_start(32, 100.0, 64 * MIB, 5));
    assert!(report.makespan_ratio() <= 1.06, "{}", report.makespan_ratio());
    assert!(report.playable_ratio() <= 1.07, "{}", report.playable_ratio());
    assert!(report.seed_copies <= 1.03, "{}", report.seed_copies);
}
