//! A fuzz target under libFuzzer, which follows the code that each input reaches. `tools/fuzz` builds and runs it.
//!
//! `LANSPREAD_FUZZ_TARGET` names the target.

#![no_main]

use std::sync::LazyLock;

use lanspread_fuzz::{TARGETS, Target};
use libfuzzer_sys::{Corpus, fuzz_target};

static TARGET: LazyLock<Option<&Target>> = LazyLock::new(|| {
    let name = std::env::var("LANSPREAD_FUZZ_TARGET").ok()?;
    TARGETS.iter().find(|target| target.name == name)
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    assert!(TARGET.is_some(), "LANSPREAD_FUZZ_TARGET names no target");
    if let Some(target) = *TARGET {
        target.run(bytes);
    }
    Corpus::Keep
});
