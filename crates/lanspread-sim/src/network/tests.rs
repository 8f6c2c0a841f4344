//! Tests of the fluid network: rates, hand-over, groups, stalls and shares.

use lanspread_core::swarm::Rng;

use super::*;

const LINK: LinkRate = LinkRate { up: 100.0, down: 100.0 };

fn transfer(from: usize, to: usize, bytes: u64, weight: f64, tag: usize) -> Transfer<usize> {
    Transfer { from, to, bytes, weight, tag }
}

/// Returns when each transfer ended and when it was handed over, in seconds.
fn play(links: Vec<LinkRate>, ahead: u64, transfers: Vec<Transfer<usize>>) -> Vec<(f64, f64)> {
    play_on(Network::new(links, ahead), transfers)
}

fn play_on(mut network: Network<usize>, transfers: Vec<Transfer<usize>>) -> Vec<(f64, f64)> {
    let mut times = vec![(0.0, 0.0); transfers.len()];
    for transfer in transfers {
        network.start(transfer, Time::START);
    }
    while let Some(at) = network.next_done() {
        let seconds = (at.since_start().as_secs_f64() * 10.0).round() / 10.0;
        for progress in network.advance(at) {
            match progress {
                Progress::HandedOver(transfer) => times[transfer.tag].1 = seconds,
                Progress::Ended(transfer) => times[transfer.tag].0 = seconds,
            }
        }
    }
    times
}

fn finish(links: Vec<LinkRate>, transfers: &[(usize, usize, u64)]) -> Vec<(usize, f64)> {
    finish_on(Network::new(links, 0), transfers)
}

fn finish_on(network: Network<usize>, transfers: &[(usize, usize, u64)]) -> Vec<(usize, f64)> {
    let all =
        transfers.iter().enumerate().map(|(tag, &(from, to, bytes))| transfer(from, to, bytes, 1.0, tag));
    play_on(network, all.collect()).into_iter().map(|(ended, _)| ended).enumerate().collect()
}

/// Returns two groups of two peers behind uplinks with these rates.
fn two_groups(first: LinkRate, second: LinkRate) -> Network<usize> {
    Network::new(vec![LINK; 4], 0).with_groups(vec![0, 0, 1, 1], &[first, second])
}

#[test]
fn flows_share_the_narrowest_end_fairly() {
    assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000)]), [(0, 10.0)]);
    assert_eq!(finish(vec![LINK; 3], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 20.0), (1, 20.0)]);
    // Full duplex: both directions at once.
    assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (1, 0, 1000)]), [(0, 10.0), (1, 10.0)]);
    // The slow receiver leaves part of the uplink to the other: 20 and 80, then 20 alone.
    let slow = LinkRate { up: 20.0, down: 20.0 };
    assert_eq!(finish(vec![LINK, slow, LINK], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 50.0), (1, 12.5)]);
}

#[test]
fn narrower_uplink_limits_flows_between_groups() {
    let (wide, narrow) = (LinkRate { up: 50.0, down: 25.0 }, LinkRate { up: 10.0, down: 20.0 });
    assert_eq!(finish_on(two_groups(wide, narrow), &[(0, 2, 1000)]), [(0, 50.0)]);
    assert_eq!(finish_on(two_groups(wide, narrow), &[(2, 0, 1000)]), [(0, 100.0)]);
    // Within a group no uplink counts.
    assert_eq!(finish_on(two_groups(wide, narrow), &[(0, 1, 1000)]), [(0, 10.0)]);
}

#[test]
fn flows_between_groups_share_the_uplink_fairly() {
    let uplink = LinkRate { up: 50.0, down: 50.0 };
    // Both cross the same uplink: 25 each. The rest of the first sender's link goes to its own group.
    let across = [(0, 2, 1000), (1, 3, 1000), (0, 1, 1500)];
    assert_eq!(finish_on(two_groups(uplink, uplink), &across), [(0, 40.0), (1, 40.0), (2, 20.0)]);
    // One flow in each direction: full duplex.
    let duplex = [(0, 2, 1000), (2, 0, 1000)];
    assert_eq!(finish_on(two_groups(uplink, uplink), &duplex), [(0, 20.0), (1, 20.0)]);
}

#[test]
fn uplinks_that_never_fill_change_nothing() {
    let endless = LinkRate { up: f64::INFINITY, down: f64::INFINITY };
    let transfers = [(0, 2, 1000), (0, 3, 700), (1, 2, 500), (3, 0, 900)];
    let flat = Network::new(vec![LINK; 4], 0);
    assert_eq!(finish_on(two_groups(endless, endless), &transfers), finish_on(flat, &transfers));
}

#[test]
fn cut_returns_the_bytes_that_had_left() {
    let mut network = Network::new(vec![LINK; 2], 0);
    for tag in 0..2 {
        network.start(transfer(0, 1, 1000, 1.0, tag), Time::START);
    }
    let cut = network.cut(|from, _| from == 0, Time::from_start(Duration::from_secs(4)));
    assert_eq!(cut.into_iter().map(|(transfer, left)| (transfer.tag, left)).collect::<Vec<_>>(), [(0, 400)]);
    assert_eq!(network.next_done(), None);
}

/// Returns how long a message of peer 0 waits after `seconds`, at most four seconds.
fn backlog(mut network: Network<usize>, transfers: &[(usize, usize, u64)], seconds: u64) -> f64 {
    for (tag, &(from, to, bytes)) in transfers.iter().enumerate() {
        network.start(transfer(from, to, bytes, 1.0, tag), Time::START);
    }
    network.backlog(0, Duration::from_secs(4), Time::from_start(Duration::from_secs(seconds))).as_secs_f64()
}

#[test]
fn backlog_is_what_a_full_uplink_has_queued() {
    let three = |links: Vec<LinkRate>| Network::new(links, 0);
    // The first backlog is capped at four seconds. The other ones are the bytes that have not left yet, with transfers
    // that wait on the same connection, or run on another one.
    assert_eq!(backlog(three(vec![LINK; 3]), &[(0, 1, 1000)], 0), 4.0);
    assert_eq!(backlog(three(vec![LINK; 3]), &[(0, 1, 1000)], 8), 2.0);
    assert_eq!(backlog(three(vec![LINK; 3]), &[(0, 1, 100), (0, 1, 100)], 0), 2.0);
    assert_eq!(backlog(three(vec![LINK; 3]), &[(0, 1, 100), (0, 2, 200)], 0), 3.0);
}

#[test]
fn uplink_that_is_not_full_has_no_backlog() {
    let slow = LinkRate { up: 20.0, down: 20.0 };
    assert_eq!(backlog(Network::new(vec![LINK, LINK], 0), &[], 0), 0.0);
    assert_eq!(backlog(Network::new(vec![LINK, LINK], 0), &[(1, 0, 1000)], 0), 0.0);
    // The bottleneck is the receiver's downlink, or the uplink of the group.
    assert_eq!(backlog(Network::new(vec![LINK, slow], 0), &[(0, 1, 1000)], 0), 0.0);
    assert_eq!(backlog(two_groups(slow, LINK), &[(0, 2, 1000)], 0), 0.0);
}

#[test]
fn slow_pace_slows_only_its_sender() {
    let mut network = Network::new(vec![LINK; 3], 0);
    network.set_pace(0, 0.5, Time::START);
    // Both share the receiver's link. The half that the first sender does not use is not given to the second.
    let both = vec![transfer(0, 2, 1000, 1.0, 0), transfer(1, 2, 1000, 1.0, 1)];
    let ended: Vec<_> = play_on(network, both).into_iter().map(|(ended, _)| ended).collect();
    assert_eq!(ended, [30.0, 20.0]);
}

#[test]
fn new_pace_holds_from_then_on() {
    let mut network = Network::new(vec![LINK; 2], 0);
    network.start(transfer(0, 1, 1000, 1.0, 0), Time::START);
    network.set_pace(0, 0.25, Time::from_start(Duration::from_secs(5)));
    let done = network.next_done().map(|at| at.since_start().as_millis());
    assert_eq!(done, Some(25_000));
}

#[test]
fn stalled_peer_neither_sends_nor_receives() {
    let mut network = Network::new(vec![LINK; 3], 0);
    network.set_stalled(1, true, Time::START);
    for (tag, (from, to)) in [(0, 1), (0, 2), (1, 2)].into_iter().enumerate() {
        network.start(transfer(from, to, 1000, 1.0, tag), Time::START);
    }
    network.next_done();
    let rates: Vec<_> = network.shares.rates().iter().map(|rate| rate.round()).collect();
    // One byte per second is the smallest share, so that no flow stops for ever.
    assert_eq!(rates, [1.0, 99.0, 1.0]);
    network.set_stalled(1, false, Time::from_start(Duration::from_secs(3)));
    network.next_done();
    assert_eq!(network.shares.rates(), [50.0, 50.0, 50.0]);
}

#[test]
fn transfers_of_one_connection_run_in_turn() {
    assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (0, 1, 1000)]), [(0, 10.0), (1, 20.0)]);
}

#[test]
fn larger_weight_gets_larger_share() {
    let both = vec![transfer(0, 1, 1000, 3.0, 0), transfer(0, 2, 1000, 1.0, 1)];
    let times = play(vec![LINK; 3], 0, both);
    assert_eq!(times, [(13.3, 13.3), (20.0, 20.0)]);
}

#[test]
fn buffered_bytes_are_handed_over_before_they_leave() {
    let three = (0..3).map(|tag| transfer(0, 1, 1000, 1.0, tag)).collect();
    let times = play(vec![LINK; 2], 1500, three);
    assert_eq!(times, [(10.0, 0.0), (20.0, 5.0), (30.0, 15.0)]);
}

/// Shares that are updated with each change equal the shares of a network that starts with all flows.
#[test]
fn incremental_shares_equal_a_full_computation() {
    let mut rng = Rng::new(5);
    let links: Vec<_> = (0..12).map(|n| LinkRate { up: 90.0 + f64::from(n), down: 100.0 }).collect();
    let uplink = LinkRate { up: 70.0, down: 110.0 };
    let mut network =
        Network::new(links, 300).with_groups((0..12).map(|peer| peer / 6).collect(), &[uplink, uplink]);
    let mut crossed = 0;
    for step in 0..20_000 {
        let now = network.now;
        // Three rooms of four peers with no flows between them. The second room lies on both sides of the uplinks.
        let a = rng.below(12) as usize;
        let b = a / 4 * 4 + rng.below(4) as usize;
        match rng.below(10) {
            0..6 if a != b => {
                let weight = 0.5 + rng.below(1000) as f64 / 997.0;
                network.start(transfer(a, b, 200 + rng.below(800), weight, step), now);
            }
            6 => {
                network.set_rate(a, LinkRate { up: 40.0 + rng.below(60) as f64, down: 100.0 }, now);
            }
            7 if step % 3 == 0 => network.set_stalled(a, step % 2 == 0, now),
            7 if step % 40 == 7 => drop(network.cut(|from, _| from == a, now)),
            _ => {
                if let Some(at) = network.next_done() {
                    network.advance(at);
                }
            }
        }
        network.next_done();
        let anew = network.shares.anew();
        assert_eq!(network.shares.rates(), anew.rates(), "step {step}");
        crossed += network.flows.iter().filter(|flow| flow.from / 6 != flow.to / 6).count();
    }
    assert!(crossed > 10_000, "{crossed}: this tests nothing");
}

/// Five hundred peers in a line each pass on what they get. The work grows with the transfers, not with the line.
#[test]
fn a_line_costs_what_its_transfers_cost() {
    const PEERS: usize = 500;
    const CHUNKS: usize = 40;
    let links = (0..=PEERS).map(|n| LinkRate { up: 100.0 + (n * 31 % 17) as f64, down: 200.0 }).collect();
    let mut network = Network::new(links, 0);
    for tag in 0..CHUNKS {
        network.start(transfer(0, 1, 100, 1.0, tag), Time::START);
    }
    let mut ended = 0;
    while let Some(at) = network.next_done() {
        for progress in network.advance(at) {
            let Progress::Ended(Transfer { to, bytes, tag, .. }) = progress else { continue };
            ended += 1;
            if to < PEERS {
                network.start(transfer(to, to + 1, bytes, 1.0, tag), at);
            }
        }
    }
    assert_eq!(ended, PEERS * CHUNKS);
    // One share is computed for each transfer that starts, and at most one more for each that ends: the last flow then
    // moves to the free index.
    assert!(network.shares.found <= 2 * ended as u64, "{} shares", network.shares.found);
}
