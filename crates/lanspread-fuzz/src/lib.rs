//! Fuzz targets: every decoder that bytes from outside reach, and sequences of operations on the whole node.
//!
//! A target takes bytes and must neither panic nor hang, nor take much memory; what it returns tells apart how far the
//! bytes came, so that the driver can keep those that came somewhere new. The driver is
//! here ([`drive`]), which needs a stable compiler only and runs in CI for a bounded time over a committed corpus; another,
//! guided by coverage, needs one line for each. See `docs/fuzzing.md`.

pub mod decoders;
pub mod drive;
pub mod files;
pub mod operations;
pub mod seeds;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> Reached,
    /// What to begin with, besides the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// How far an input came: two inputs with the same value are much alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reached(pub u64);

impl Reached {
    /// The kind of an outcome: digits and names are left out, so that only the words count.
    pub fn of(outcome: &impl std::fmt::Debug) -> Self {
        let text: String = format!("{outcome:?}").chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
        Self::hash(text.as_bytes())
    }

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
];
