//! Driver without instrumentation: changes inputs, runs a target on them, and keeps those that reach something new.
//!
//! The same seed gives the same inputs, except that the time limit decides how many of them run.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::Target;

/// Longest input that the driver makes, in bytes.
const BYTES_MAX: usize = 8 << 10;
/// Most inputs that are kept because they reached something new.
const KEPT_MAX: usize = 2048;

/// Result of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Number of inputs.
    pub executions: u64,
    /// Number of different outcomes.
    pub reached: usize,
    /// Longest time of one input.
    pub slowest: Duration,
    /// First input on which the target panicked; the run ends with it.
    pub finding: Option<Finding>,
}

/// An input on which a target panicked.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// Text of the panic.
    pub message: String,
}

/// Runs a target on the corpus and on its seeds, then on changed copies of them until `time` is over, but on at least
/// `executions_min` inputs.
pub fn drive(target: Target, corpus: Vec<Vec<u8>>, seed: u64, time: Duration, executions_min: u64) -> Report {
    let mut report = Report { executions: 0, reached: 0, slowest: Duration::ZERO, finding: None };
    let mut reached = BTreeSet::new();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for input in corpus.into_iter().chain((target.seeds)()).chain([Vec::new()]) {
        if !run(target, &input, &mut report, &mut reached) && report.finding.is_some() {
            return report;
        }
        kept.push(input);
    }
    let (mut dice, began) = (Dice(seed | 1), Instant::now());
    while report.executions < executions_min || began.elapsed() < time {
        let input = dice.changed(&kept);
        let new = run(target, &input, &mut report, &mut reached);
        if report.finding.is_some() {
            break;
        }
        if new && kept.len() < KEPT_MAX {
            kept.push(input);
        }
    }
    report
}

/// Runs the target on one input and returns true if it reached something new.
fn run(target: Target, input: &[u8], report: &mut Report, reached: &mut BTreeSet<crate::Reached>) -> bool {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    report.executions += 1;
    report.slowest = report.slowest.max(began.elapsed());
    match outcome {
        Ok(outcome) => {
            let new = reached.insert(outcome);
            report.reached = reached.len();
            new
        }
        Err(panic) => {
            report.finding = Some(Finding { input: input.to_vec(), message: text_of(panic.as_ref()) });
            false
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

/// Random numbers by xorshift64* (Vigna, 2016). Any generator will do if the same seed gives the same inputs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }

    /// Returns a copy of one of the inputs, changed in a few places.
    fn changed(&mut self, kept: &[Vec<u8>]) -> Vec<u8> {
        let mut input = kept[self.below(kept.len())].clone();
        for _ in 0..=self.below(5) {
            self.change(&mut input, kept);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, kept: &[Vec<u8>]) {
        const INTERESTING: [u8; 10] = [0, 1, 2, 7, 0x7f, 0x80, 0xfe, 0xff, b'"', b'/'];
        let at = self.below(input.len() + 1);
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = INTERESTING[self.below(INTERESTING.len())],
            2 if at < input.len() => input[at] = self.next() as u8,
            3 => input.insert(at, INTERESTING[self.below(INTERESTING.len())]),
            4 => {
                let end = (at + 1 + self.below(8)).min(input.len());
                input.drain(at.min(end)..end);
            }
            5 => input.truncate(at),
            6 => {
                let end = (at + 1 + self.below(32)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            7 => {
                let other = &kept[self.below(kept.len())];
                let from = self.below(other.len() + 1);
                let piece = &other[from..(from + self.below(64)).min(other.len())];
                input.splice(at..at, piece.iter().copied());
            }
            _ if at + 4 <= input.len() => {
                let value: u32 = match self.below(4) {
                    0 => u32::MAX,
                    1 => i32::MAX as u32,
                    2 => 1 << self.below(32),
                    _ => self.next() as u32,
                };
                input[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            _ => input.push(self.next() as u8),
        }
    }
}
