//! Checks the layer rule: which crate may depend on which, and that some crates never touch clock, disk or network.
//!
//! `types <- {core, proto, api} <- {store, net} <- peer <- {peer-cli, lanspread}`. Development dependencies are free.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate with the workspace crates that it may depend on. A new crate must be added here, or the test fails.
const MAY_USE: &[(&str, &[&str])] = &[
    ("lanspread-types", &[]),
    ("lanspread-core", &["lanspread-types"]),
    ("lanspread-proto", &["lanspread-types"]),
    ("lanspread-api", &["lanspread-types"]),
    ("lanspread-store", &["lanspread-types", "lanspread-core"]),
    ("lanspread-net", &["lanspread-types", "lanspread-proto"]),
    (
        "lanspread-peer",
        &[
            "lanspread-types",
            "lanspread-core",
            "lanspread-proto",
            "lanspread-store",
            "lanspread-net",
            "lanspread-api",
        ],
    ),
    ("lanspread-peer-cli", &["lanspread-types", "lanspread-peer", "lanspread-api"]),
    ("lanspread", &["lanspread-types", "lanspread-peer", "lanspread-api"]),
    // The simulator sizes its messages by the real encoding.
    ("lanspread-sim", &["lanspread-types", "lanspread-core", "lanspread-proto"]),
    // The benchmark stays outside of what it measures. Only its archives come from our packer, so that it needs no
    // other one.
    ("lanspread-bench", &["lanspread-types", "lanspread-store"]),
    (
        "lanspread-fuzz",
        &[
            "lanspread-types",
            "lanspread-core",
            "lanspread-proto",
            "lanspread-store",
            "lanspread-net",
            "lanspread-peer",
            "lanspread-api",
        ],
    ),
];

/// Crates that decide or encode and never act. Addresses are mere data to them, and no clock, disk or socket exists.
const WITHOUT_HANDS: &[&str] = &["lanspread-types", "lanspread-core", "lanspread-proto", "lanspread-api"];

/// Names that such a crate must not use.
const HANDS: &[&str] = &[
    "tokio",
    "std::fs",
    "fs::File",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant",
    "SystemTime",
    "OsRng",
    "thread_rng",
    "getrandom",
];

fn crates_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let folders = fs::read_dir(crates_dir()).unwrap().map(|entry| entry.unwrap().path());
    let manifests = folders.map(|folder| folder.join("Cargo.toml")).filter(|path| path.is_file());
    let read = |path: PathBuf| {
        let table: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
        (table["package"]["name"].as_str().unwrap().to_owned(), table)
    };
    manifests.map(read).collect()
}

/// Names of a manifest's dependencies, including those of single platforms and of build scripts.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let tables = [manifest].into_iter().chain(
        manifest
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table)),
    );
    let of = |table: &toml::Table| {
        let names =
            ["dependencies", "build-dependencies"].map(|key| table.get(key).and_then(toml::Value::as_table));
        names.into_iter().flatten().flat_map(|deps| deps.keys().cloned()).collect::<Vec<_>>()
    };
    tables.flat_map(of).collect()
}

/// Dependencies of one manifest that break the rule.
fn forbidden_arrows(name: &str, manifest: &toml::Table) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{name} has no place in the layer rule")];
    };
    let ours = |dependency: &String| MAY_USE.iter().any(|(known, _)| known == dependency);
    let used = dependencies(manifest).into_iter().filter(ours);
    used.filter(|used| !allowed.contains(&used.as_str())).map(|used| format!("{name} -> {used}")).collect()
}

/// Lines of a source that use a forbidden name outside a comment.
fn hands_in(source: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> =
            code.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':'))).collect();
        let names = |hand: &str| {
            words.iter().any(|word| {
                let tail = format!("::{hand}");
                *word == hand || word.ends_with(&tail) || word.contains(&format!("{hand}::"))
            })
        };
        found.extend(HANDS.iter().filter(|hand| names(hand)).map(|hand| (number + 1, *hand)));
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn crates_depend_only_downwards() {
    let manifests = manifests();
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    assert_eq!(found, known, "the rule speaks of other crates than there are");
    let wrong: Vec<String> = manifests.iter().flat_map(|(name, m)| forbidden_arrows(name, m)).collect();
    assert!(wrong.is_empty(), "these arrows break the layer rule: {}", wrong.join(", "));
}

#[test]
fn core_crates_touch_no_clock_disk_or_network() {
    let mut looked_at = 0;
    let mut wrong = Vec::new();
    for name in WITHOUT_HANDS {
        let mut files = Vec::new();
        sources(&crates_dir().join(name).join("src"), &mut files);
        looked_at += files.len();
        for file in files {
            // Faults for tests; no shipped build compiles this file.
            if file.ends_with("lanspread-types/src/sabotage.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for (line, hand) in hands_in(&text) {
                wrong.push(format!("{}:{line} uses {hand}", file.display()));
            }
        }
    }
    assert!(looked_at >= 10, "only {looked_at} sources were found");
    assert!(wrong.is_empty(), "time, disk, network and chance are inputs here:\n{}", wrong.join("\n"));
}

#[test]
fn forbidden_dependency_is_found() {
    let manifest = |text: &str| text.parse::<toml::Table>().unwrap();
    let arrow = manifest("[dependencies]\nlanspread-net.workspace = true\nlanspread-core.workspace = true");
    assert_eq!(forbidden_arrows("lanspread-store", &arrow), ["lanspread-store -> lanspread-net"]);
    let platform = manifest("[target.'cfg(windows)'.dependencies]\nlanspread-peer.workspace = true");
    assert_eq!(forbidden_arrows("lanspread-core", &platform), ["lanspread-core -> lanspread-peer"]);
    let development = manifest("[dev-dependencies]\nlanspread-peer.workspace = true");
    assert!(forbidden_arrows("lanspread-core", &development).is_empty());
    assert_eq!(forbidden_arrows("lanspread-new", &development).len(), 1);
}

#[test]
fn forbidden_names_are_found() {
    for bad in [
        "use std::fs;",
        "let f = std::fs::File::open(p);",
        "use std::time::{Duration, Instant};",
        "let t = SystemTime::now();",
        "tokio::spawn(x);",
        "use std::net::{SocketAddr, TcpStream};",
    ] {
        assert!(!hands_in(bad).is_empty(), "{bad}");
    }
    for good in
        ["use std::net::SocketAddr;", "// Instant", "let instant = Time::START;", "struct InstantNoodles;"]
    {
        assert!(hands_in(good).is_empty(), "{good}");
    }
}
