//! Provenance records: they survive restarts and belong to one installed folder.

use lanspread_core::trust::{Origin, Supplier, Support};
use lanspread_types::{ContentId, PeerId};

use super::lab::{Lab, Version, game, noise};
use super::rar5::Rar5;
use crate::{Cancel, RarUnpacker, Store};

/// Returns a game whose archive holds the program that its `lanspread.toml` names.
fn version(stamp: u32, seed: u64) -> Version {
    let archive = Rar5::new().file("go", &noise(seed, 1000)).finish();
    Version::new(
        "g",
        stamp,
        &[("a.eti", archive), ("lanspread.toml", b"start = \"go\"\nargs = [\"x\"]".to_vec())],
    )
}

fn origin(version: &Version) -> Origin {
    let supplier = Supplier { peer: PeerId([9; 32]), name: "Eve".to_owned() };
    let manifest = version.content.manifest();
    Origin::new(version.content.content_id(), manifest.version(), Support::Single, vec![supplier])
}

fn install(store: &Store) {
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).unwrap();
}

/// Downloads a version with Eve as its recorded source, and installs it.
fn brought(store: &Store, version: &Version) {
    store.note_origin(version.game(), &origin(version)).unwrap();
    version.download(store);
    install(store);
}

#[test]
fn start_knows_its_program_and_origin() {
    let (lab, version) = (Lab::new(), version(20_250_101, 1));
    let content = version.content.content_id();
    brought(&lab.open(), &version);
    let store = lab.open();
    let info = store.look_at_start(&game("g"), None).unwrap();
    assert_eq!((info.installed, info.downloaded), (Some(content), Some(content)));
    assert!(info.program.ends_with("go") && info.from_game_file && info.noted);
    assert_eq!(info.args, ["x"]);
    assert_eq!(info.provenance.origin(content), Some(&origin(&version)));
    assert!(!info.provenance.is_confirmed(content));
    assert_eq!(store.scan().unwrap().games[0].recorded, Some(content));

    store.confirm_start(&game("g"), content).unwrap();
    drop(store);
    let info = lab.open().look_at_start(&game("g"), None).unwrap();
    assert!(info.provenance.is_confirmed(content));
    assert_eq!(lab.leftovers(), [""; 0]);
}

#[test]
fn folder_made_by_the_owner_has_no_origin() {
    let (lab, version) = (Lab::new(), version(20_250_101, 1));
    let store = lab.open();
    brought(&store, &version);
    std::fs::rename(lab.path("g/local"), lab.path("away")).unwrap();
    std::fs::create_dir(lab.path("g/local")).unwrap();
    std::fs::write(lab.path("g/local/go"), b"my own").unwrap();
    let info = store.look_at_start(&game("g"), None).unwrap();
    assert_eq!((info.installed, info.noted), (None, false));
    assert_eq!(info.downloaded, Some(version.content.content_id()), "which still names the program");
}

#[test]
fn unreadable_origin_is_set_aside() {
    let (lab, version) = (Lab::new(), version(20_250_101, 1));
    brought(&lab.open(), &version);
    std::fs::write(lab.path(".lanspread/origins/g"), b"garbage").unwrap();
    let store = lab.open();
    assert_eq!(store.look_at_start(&game("g"), None).unwrap().installed, None);
    assert_eq!(std::fs::read(lab.path(".lanspread/broken/origin-g")).unwrap(), b"garbage");
    store.confirm_start(&game("g"), ContentId([1; 32])).unwrap();
    assert!(store.look_at_start(&game("g"), None).unwrap().provenance.is_confirmed(ContentId([1; 32])));
}

#[test]
fn failed_download_leaves_no_origin() {
    let (lab, first, second) = (Lab::new(), version(20_250_101, 1), version(20_250_101, 2));
    let store = lab.open();
    brought(&store, &first);
    store.note_origin(second.game(), &origin(&second)).unwrap();
    store.forget_origin(second.game(), second.content.content_id());
    assert_eq!(store.scan().unwrap().games[0].recorded, Some(first.content.content_id()));
}
