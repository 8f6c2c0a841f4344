//! The licence of every dependency is one that the project may ship with.
//!
//! Looks at what is built for this system, with what cargo has already fetched, so it needs no network. A licence
//! expression (SPDX) passes if some choice that it leaves consists of allowed licences only.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::Value;

/// Licences that demand no more than that their text is passed on.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "WTFPL",
    "Zlib",
];

/// Packages that pass although their expression does not, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Whether an SPDX expression leaves a choice of allowed licences only. `/` is the old way to write `OR`.
fn passes(expression: &str) -> bool {
    let text = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut words = words.as_slice();
    any_of(&mut words) == Some(true) && words.is_empty()
}

/// Takes the next word if it is this one.
fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

/// `None` if this is no expression.
fn any_of(words: &mut &[&str]) -> Option<bool> {
    let mut ok = all_of(words)?;
    while take(words, "OR") {
        ok |= all_of(words)?;
    }
    Some(ok)
}

fn all_of(words: &mut &[&str]) -> Option<bool> {
    let mut ok = one(words)?;
    while take(words, "AND") {
        ok &= one(words)?;
    }
    Some(ok)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    if take(words, "(") {
        let ok = any_of(words)?;
        return take(words, ")").then_some(ok);
    }
    let (licence, rest) = words.split_first()?;
    *words = rest;
    if !take(words, "WITH") {
        return Some(ALLOWED.contains(licence));
    }
    let (exception, rest) = words.split_first()?;
    *words = rest;
    Some(ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()))
}

fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Every package in the build of this system.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn every_dependency_may_be_shipped() {
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages were found", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let expression = package["license"].as_str().unwrap_or("no licence stated");
        if !passes(expression) && !EXCEPTIONS.iter().any(|(excepted, _)| *excepted == name) {
            wrong.push(format!("{name} {}: {expression}", package["version"]));
        }
    }
    assert!(wrong.is_empty(), "these are neither allowed nor excepted:\n{}", wrong.join("\n"));
    for (excepted, reason) in EXCEPTIONS {
        assert!(
            packages.iter().any(|p| p["name"] == *excepted),
            "{excepted} ({reason}) is not used any more"
        );
    }
}

#[test]
fn expressions_are_read_as_spdx_says() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "GPL-2.0-only OR (MIT AND ISC)",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
    ] {
        assert!(passes(good), "{good}");
    }
    for bad in [
        "",
        "no licence stated",
        "GPL-3.0-only",
        "MIT AND MPL-2.0",
        "MIT OR",
        "(MIT",
        "MIT MIT",
        "MIT WITH X",
    ] {
        assert!(!passes(bad), "{bad}");
    }
}
