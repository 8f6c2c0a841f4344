//! Generates `docs/limits.md` from the constants, and fails if the file differs.
//!
//! `UPDATE_DOCS=1 cargo test -p lanspread --test limits` rewrites it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lanspread_types::Limit;

// The programs have no library that could export their limits.
#[path = "../../lanspread-peer-cli/src/limits.rs"]
mod harness_limits;
#[path = "../src/http/limits.rs"]
mod http_limits;

const INTRODUCTION: &str = "# Limits

Everything that a stranger in the room can make grow has a bound. This page lists the bounds of each crate; it is
generated from the constants (`UPDATE_DOCS=1 cargo test -p lanspread --test limits`), so it cannot differ from them. How
the bounds work together against a hostile peer stands in [security.md](security.md).
";

/// Limits of one source file, with a sentence about them.
struct Section {
    source: &'static str,
    about: &'static str,
    limits: &'static [Limit],
}

const SECTIONS: &[Section] = &[
    Section {
        source: "crates/lanspread-types/src/limits.rs",
        about: "What crosses a border: names, messages, manifests, libraries. A peer that exceeds one of these breaks the protocol.",
        limits: lanspread_types::limits::TABLE,
    },
    Section {
        source: "crates/lanspread-net/src/limits.rs",
        about: "Connections: how many, how long, and how much memory they take.",
        limits: lanspread_net::LIMITS,
    },
    Section {
        source: "crates/lanspread-core/src/limits.rs",
        about: "What the brain holds and does for strangers.",
        limits: lanspread_core::limits::TABLE,
    },
    Section {
        source: "crates/lanspread-store/src/archive/unpack/gate.rs",
        about: "What archives may unpack to.",
        limits: lanspread_store::LIMITS,
    },
    Section {
        source: "crates/lanspread/src/http/limits.rs",
        about: "The HTTP interface, the page that it serves, and the invite page.",
        limits: http_limits::TABLE,
    },
    Section {
        source: "crates/lanspread-peer-cli/src/limits.rs",
        about: "The headless harness: what waits, and how long its end may take.",
        limits: harness_limits::TABLE,
    },
];

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Section { source, about, limits } in SECTIONS {
        writeln!(text, "\n## {source}\n\n{about}\n\n| limit | value | bounds |\n| --- | ---: | --- |")
            .unwrap();
        for limit in *limits {
            let doc = limit.doc.trim().replace('|', "\\|").replace("[`", "`").replace("`]", "`");
            assert!(!doc.is_empty(), "{} has no doc comment", limit.name);
            writeln!(text, "| `{}` | {} | {doc} |", limit.name, (limit.value)()).unwrap();
        }
    }
    text
}

#[test]
fn limits_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/limits.md");
    let current = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == current, "docs/limits.md is not current: run with UPDATE_DOCS=1");
}
