//! Two hundred guests start within ten seconds, find each other and exchange their libraries.
//!
//! The figures stand in docs/discovery.md. `cargo test -p lanspread-sim --test joining -- --nocapture` prints them.

use std::io::Write;
use std::time::Duration;

use lanspread_sim::joining::{Filled, Filling, Hearsay, fill};

fn room(hearsay: Hearsay, seed: u64) -> Filled {
    let filling = Filling { guests: 200, within: Duration::from_secs(10), games: 20, hearsay, seed };
    let filled = fill(filling).expect("the room comes together");
    let (middle, last) = (filled.sent.len() / 2, filled.sent.len() - 1);
    let _ = writeln!(
        std::io::stdout(),
        "{hearsay:?}, seed {seed}: together {:.2} s after the last start; control bytes sent by a guest: median {}, \
         most {} (introductions: median {}, most {}); {} connections for {} pairs; \
         units of one connection: {} in a second, {} in a burst",
        filled.converged.as_secs_f64(),
        filled.sent[middle],
        filled.sent[last],
        filled.introduced[middle],
        filled.introduced[last],
        filled.connections,
        filled.pairs,
        filled.spent.second,
        filled.spent.burst,
    );
    filled
}

#[test]
fn multicast_joins_the_room_within_three_seconds() {
    let filled = room(Hearsay::Multicast, 1);
    assert!(filled.converged <= Duration::from_secs(3), "{:?}", filled.converged);
    assert!(filled.sent.last().is_some_and(|&bytes| bytes < 3 << 20), "{:?}", filled.sent.last());
    assert!(filled.connections <= filled.pairs * 11 / 10, "{} for {}", filled.connections, filled.pairs);
}

#[test]
fn introductions_join_the_room_within_ten_seconds() {
    let filled = room(Hearsay::Introductions, 1);
    assert!(filled.converged <= Duration::from_secs(10), "{:?}", filled.converged);
    assert!(filled.sent.last().is_some_and(|&bytes| bytes < 3 << 20), "{:?}", filled.sent.last());
    assert!(filled.connections <= filled.pairs * 11 / 10, "{} for {}", filled.connections, filled.pairs);
}
