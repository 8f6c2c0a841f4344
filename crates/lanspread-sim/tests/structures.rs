//! The structure model against the figures of two independent programs, and the promises of each candidate.
//!
//! The reference figures are medians over seeds 1 to 7 (line) and 1 to 5 (cube). They come from a recurrence for
//! tandem queues and from a discrete model of a hypercube, both in Python, for 86 s at full rate with chunk times ±
//! 30 %.

use lanspread_sim::structure::cube::Choice;
use lanspread_sim::structure::figures::{Figures, Spread};
use lanspread_sim::structure::room::{MILLI, Room, SECOND, Stalls};
use lanspread_sim::structure::rows::{RowRules, layout, width};
use lanspread_sim::structure::{Candidate, play};

const GIB: u64 = 1 << 30;
const STALLS: Stalls = Stalls::PerTransfer { every: 10 * SECOND, length: 100 * MILLI };

fn median(runs: u64, play: impl Fn(u64) -> f64) -> f64 {
    Spread::of((1..=runs).map(play)).median
}

fn as_probe(receivers: usize, chunks: u64, jitter: f64, stalls: Stalls, candidate: &Candidate) -> f64 {
    let room = |seed| Room::mass_start(receivers, 1000.0, 10 * GIB, 10 * GIB / chunks, seed);
    median(5, |seed| play(room(seed).as_probes(jitter, stalls), candidate).complete())
}

#[test]
fn line_matches_the_tandem_recurrence() {
    for (receivers, chunks, ideal, jitter, stalls) in [
        (16, 1024, 1.015, 1.071, 1.093),
        (64, 1024, 1.062, 1.191, 1.213),
        (16, 4096, 1.004, 1.033, 1.053),
        (64, 4096, 1.015, 1.082, 1.112),
    ] {
        let cases = [(0.0, Stalls::None, ideal), (0.3, Stalls::None, jitter), (0.3, STALLS, stalls)];
        for (noise, stalls, reference) in cases {
            let ours = as_probe(receivers, chunks, noise, stalls, &Candidate::Line);
            println!("line {receivers} {chunks} {noise} {stalls:?}: {ours:.3}, reference {reference}");
            assert!(
                (ours - reference).abs() <= 0.01,
                "{receivers} {chunks} {noise} {stalls:?}: {ours} {reference}"
            );
        }
    }
}

#[test]
fn cube_matches_the_discrete_model() {
    let cases = [
        (15, Choice::Rarest, Stalls::None, 1.036),
        (15, Choice::Rarest, STALLS, 1.049),
        (15, Choice::Lowest, STALLS, 1.069),
        (63, Choice::Rarest, Stalls::None, 1.056),
        (63, Choice::Rarest, STALLS, 1.067),
        (63, Choice::Lowest, STALLS, 1.112),
    ];
    for (receivers, choice, stalls, reference) in cases {
        let ours = as_probe(receivers, 1024, 0.3, stalls, &Candidate::IdealCube(choice));
        println!("cube {receivers} {choice:?} {stalls:?}: {ours:.3}, reference {reference}");
        assert!((ours - reference).abs() <= 0.02, "{receivers} {choice:?} {stalls:?}: {ours} {reference}");
    }
}

fn rows(receivers: usize) -> Candidate {
    Candidate::Rows(width(receivers), RowRules::default())
}

fn noisy(receivers: usize, candidate: &Candidate) -> Figures {
    play(Room::mass_start(receivers, 1000.0, GIB, 256 << 10, 901).noisy(), candidate)
}

#[test]
fn same_seed_gives_the_same_figures() {
    for candidate in [Candidate::SkippingLine, Candidate::Cube(Choice::Rarest), rows(20)] {
        assert_eq!(noisy(20, &candidate), noisy(20, &candidate));
    }
}

#[test]
fn rows_hold_each_receiver_once_in_equal_sizes() {
    for receivers in 1..=500 {
        let rows = layout(receivers, width(receivers));
        let all: Vec<usize> = rows.iter().flatten().copied().collect();
        assert_eq!(all, (1..=receivers).collect::<Vec<_>>());
        let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
        let (last, others) = sizes.split_last().expect("a row");
        assert!(others.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
        if let Some(size) = others.first() {
            assert!(last * 2 >= *size && *last <= size * 2, "{sizes:?}");
        }
    }
}

#[test]
fn every_receiver_completes_in_rooms_of_any_size() {
    for receivers in [1, 2, 3, 5, 7, 13, 37] {
        for candidate in
            [Candidate::Line, Candidate::SkippingLine, Candidate::Cube(Choice::Rarest), rows(receivers)]
        {
            let complete = noisy(receivers, &candidate).complete();
            assert!(complete < 1.5, "{receivers} {candidate:?}: {complete}");
        }
    }
}

#[test]
fn seed_of_rows_sends_one_copy() {
    let figures = noisy(31, &rows(31));
    assert!(figures.seed_copies < 1.01, "{}", figures.seed_copies);
}
