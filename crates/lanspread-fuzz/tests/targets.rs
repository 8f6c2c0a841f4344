//! Runs every target for a bounded time over the committed corpus.
//!
//! `LANSPREAD_FUZZ_SECONDS` sets the time of each target (4 by default: a minute for all), `LANSPREAD_FUZZ_SEED` the
//! seed of the changes, `LANSPREAD_FUZZ_TARGET` the only target to run. `LANSPREAD_FUZZ_CORPUS=write` writes the seeds
//! into the corpus.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lanspread_fuzz::drive::drive;
use lanspread_fuzz::{Reached, TARGETS, Target};

/// Fewest inputs of each target, even on a busy machine: fewer would prove nothing.
const EXECUTIONS_MIN: u64 = 300;
/// Longest time of one input. A slower input is a hang.
const SLOWEST_MAX: Duration = Duration::from_secs(10);

fn corpus_dir(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let dir = corpus_dir(target.name);
    if std::env::var("LANSPREAD_FUZZ_CORPUS").is_ok_and(|wish| wish == "write") {
        fs::create_dir_all(&dir).unwrap();
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(dir.join(format!("seed-{number:02}")), seed).unwrap();
        }
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn number(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_target_panics_or_hangs() {
    let time = Duration::from_secs_f64(number("LANSPREAD_FUZZ_SECONDS", 4.0));
    let seed = number("LANSPREAD_FUZZ_SEED", 1.0) as u64;
    let only = std::env::var("LANSPREAD_FUZZ_TARGET").ok();
    for &target in TARGETS.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)) {
        let report = drive(target, corpus(target), seed.wrapping_mul(0x9e37_79b9), time, EXECUTIONS_MIN);
        println!(
            "{:<14} {:>9} executions, {:>4} outcomes, slowest {:?}",
            target.name, report.executions, report.reached, report.slowest
        );
        if let Some(finding) = report.finding {
            let hex: String = finding.input.iter().map(|byte| format!("{byte:02x}")).collect();
            let path = std::env::temp_dir().join(format!("lanspread-fuzz-{}", target.name));
            fs::write(&path, &finding.input).unwrap();
            panic!("{}: {}\ninput ({}): {hex}", target.name, finding.message, path.display());
        }
        assert!(report.slowest < SLOWEST_MAX, "{}: an input took {:?}", target.name, report.slowest);
    }
}

/// A driver that finds nothing in a target with a fault would find nothing in any other target.
#[test]
fn a_fault_is_found() {
    fn faulty(bytes: &[u8]) -> Reached {
        match bytes {
            [b'l', b'a', rest @ ..] => {
                assert_ne!(rest.first(), Some(&0xff), "found");
                Reached(2)
            }
            _ => Reached(bytes.len() as u64 % 3),
        }
    }
    let target = Target { name: "faulty", run: faulty, seeds: || vec![b"lan".to_vec()] };
    let report = drive(target, Vec::new(), 1, Duration::ZERO, 100_000);
    assert_eq!(report.finding.map(|finding| finding.message.contains("found")), Some(true));
}

#[test]
fn every_target_has_valid_seeds() {
    for target in TARGETS {
        assert!(!(target.seeds)().is_empty(), "{} has no seeds", target.name);
    }
    let manifests = lanspread_fuzz::seeds::manifest();
    assert!(manifests.iter().all(|seed| lanspread_proto::manifest::decode(seed).is_ok()));
    assert!(lanspread_fuzz::seeds::messages().len() > 20);
}
