//! Checks that the shipped program has no failpoints: only a feature compiles them in, and nothing turns it on by
//! default.

use std::fs;
use std::path::Path;

const FEATURE: &str = "sabotage";

#[test]
fn program_has_no_failpoints() {
    let program = fs::read(env!("CARGO_BIN_EXE_lanspread")).unwrap();
    let has = |text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("LANSPREAD") || has("lanspread"), "this is not the program");
    // The switch, and some of the faults.
    for name in ["LANSPREAD_SABOTAGE", "one-source-only", "commit-early", "serve-wrong-content", "drop-event"]
    {
        assert!(!has(name), "the program has {name} in it");
    }
}

#[test]
fn no_manifest_turns_failpoints_on() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut with_feature = 0;
    for folder in fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let manifest: toml::Table = text.parse().unwrap();
        let features = manifest.get("features").and_then(toml::Value::as_table);
        with_feature += usize::from(features.is_some_and(|features| features.contains_key(FEATURE)));
        for (feature, implied) in features.into_iter().flatten() {
            let turns_on = implied.to_string().contains(FEATURE);
            assert!(feature == FEATURE || !turns_on, "{feature} of {} turns failpoints on", folder.display());
        }
        let dependencies =
            ["dependencies", "dev-dependencies"].map(|key| manifest.get(key).map(ToString::to_string));
        for dependencies in dependencies.into_iter().flatten() {
            assert!(!dependencies.contains(FEATURE), "{} depends on failpoints", folder.display());
        }
    }
    assert!(with_feature >= 3, "the feature has another name now, so this test looks for nothing");
}
