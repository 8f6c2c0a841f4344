//! Fuzz targets for every decoder that bytes from outside reach, and for sequences of operations on the whole node.
//!
//! A target takes bytes. It must not panic, hang or take much memory, and it returns how far the bytes came, so that
//! the driver can keep inputs that reached something new. The driver in [`drive`] runs in CI over a committed corpus,
//! for a bounded time. `examples/guided.rs` runs the same targets under libFuzzer, which sees the code that an input
//! reaches. See `docs/testing/fuzzing.md`.

pub mod decoders;
pub mod drive;
pub mod files;
pub mod operations;
pub mod seeds;
pub mod strangers;

use peak_alloc::PeakAlloc;

/// Counts what an input makes the code allocate.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that one input may allocate at the same time. Inputs have a few kilobytes; the most that is allowed by
/// design is the 64 MiB in which a closed party stretches its passphrase.
const MEMORY_MAX: usize = 96 << 20;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, and of its folder in the corpus.
    pub name: &'static str,
    /// Runs the target on one input; panics on a finding.
    pub run: fn(&[u8]) -> Reached,
    /// Makes inputs to begin with, besides the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Runs the target on one input; panics on a finding. Too much memory is a finding, too.
    pub fn run(&self, input: &[u8]) -> Reached {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let reached = (self.run)(input);
        let grown = MEMORY.peak_usage().saturating_sub(before);
        assert!(grown <= MEMORY_MAX, "the input took {grown} bytes of memory");
        reached
    }
}

/// How far an input came. Inputs with the same value reached much the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reached(pub u64);

impl Reached {
    /// Makes a value from the words of an outcome's debug text. Digits are left out, so numbers do not count, and
    /// neither does the text after 60 characters.
    pub fn of(outcome: &impl std::fmt::Debug) -> Self {
        let text: String = format!("{outcome:?}").chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
        Self::hash(text.as_bytes())
    }

    /// Makes a value from bytes that describe an outcome.
    pub fn hash(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        Self(hash.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: decoders::frames, seeds: seeds::frames },
    Target { name: "messages", run: decoders::messages, seeds: seeds::messages },
    Target { name: "hello", run: decoders::hello, seeds: seeds::hello },
    Target { name: "beacon", run: decoders::beacon, seeds: seeds::beacon },
    Target { name: "manifest", run: decoders::manifest, seeds: seeds::manifest },
    Target { name: "catalogue", run: decoders::catalogue, seeds: seeds::catalogue },
    Target { name: "jsonl", run: decoders::jsonl, seeds: seeds::jsonl },
    Target { name: "version-ini", run: decoders::version_ini, seeds: seeds::version_ini },
    Target { name: "paths", run: decoders::paths, seeds: seeds::paths },
    Target { name: "journal", run: files::journal, seeds: seeds::journal },
    Target { name: "index", run: files::index, seeds: seeds::index },
    Target { name: "have-journal", run: files::have_journal, seeds: seeds::have_journal },
    Target { name: "peers", run: files::peers, seeds: seeds::peers },
    Target { name: "archive", run: files::archive, seeds: seeds::archive },
    Target { name: "node", run: operations::node, seeds: seeds::operations },
    Target { name: "strangers", run: strangers::strangers, seeds: seeds::strangers },
];
