//! Checks that the project may ship every dependency under its licence.
//!
//! Looks at the build for this system and at crates that cargo has already fetched, so it needs no network. An SPDX
//! expression passes if some choice that it allows consists of permitted licences only.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::Value;

/// Licences that demand no more than passing on their text.
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

/// Packages that pass although their expression does not, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Returns whether an SPDX expression allows a choice of permitted licences only. `/` is the old form of `OR`.
fn passes(expression: &str) -> bool {
    let text = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut words = words.as_slice();
    any_of(&mut words) == Some(true) && words.is_empty()
}

/// Takes the next word if it equals `word`.
fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

/// Parses alternatives; `None` if the words are no expression.
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

/// All packages in the build for this system.
fn packages() -> Vec<Value> {
    metadata()["packages"].as_array().unwrap().clone()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Packages linked into the program, sorted: name, licence and repository.
#[cfg(target_os = "linux")]
fn linked() -> Vec<String> {
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = |id: &Value| packages.iter().find(|p| p["id"] == *id).unwrap();
    let mut open = vec![packages.iter().find(|p| p["name"] == env!("CARGO_PKG_NAME")).unwrap()["id"].clone()];
    let mut seen = Vec::new();
    while let Some(id) = open.pop() {
        if seen.contains(&id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        let normal =
            |dep: &&Value| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
        open.extend(node["deps"].as_array().unwrap().iter().filter(normal).map(|dep| dep["pkg"].clone()));
        seen.push(id);
    }
    let foreign = seen.iter().map(package).filter(|p| !p["source"].is_null());
    let line = |p: &Value| {
        let text = |key: &str| p[key].as_str().unwrap_or("-").to_owned();
        format!("{}: {} ({})", text("name"), text("license"), text("repository"))
    };
    let mut lines: Vec<String> = foreign.map(line).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// The page shows this file. `UPDATE_LICENCES=1 cargo test -p lanspread --test licences` rewrites it.
#[cfg(target_os = "linux")]
#[test]
fn licence_list_names_all_linked_packages() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/licences.txt");
    let head = "lanspread is under the MIT licence or the Apache licence 2.0, as you like.\n\n\
        It is built from these packages, each under its own licence, the text of which is in its source:\n\n";
    let lines = linked();
    assert!(lines.len() > 50, "only {} packages were found", lines.len());
    let current = format!("{head}{}\n", lines.join("\n"));
    if std::env::var_os("UPDATE_LICENCES").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == current, "ui/licences.txt is not current: run with UPDATE_LICENCES=1");
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
fn expressions_follow_spdx() {
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
