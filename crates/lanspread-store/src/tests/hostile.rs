//! A failing disk: the tests break every operation of every change, cut the power, and damage our own files everywhere.
//! The result is always the old or the new state, and nothing panics.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use lanspread_core::io::DiskError;
use proptest::prelude::*;

use super::lab::{CHUNK, Lab, Version, game, noise};
use super::rar5::Rar5;
use crate::fs::faulty::{Break, break_at, cut_power, mend};
use crate::{Cancel, RarUnpacker, Store};

type Tree = BTreeMap<String, Vec<u8>>;

const BREAKS: [Break; 5] = [
    Break::Once(ErrorKind::Other),
    Break::Once(ErrorKind::StorageFull),
    Break::FromThenOn(ErrorKind::Other),
    Break::FromThenOn(ErrorKind::StorageFull),
    Break::ShortWrite,
];

fn archive(text: &[u8]) -> Vec<u8> {
    Rar5::new().file("game.exe", text).file("data/a.bin", &noise(9, 3000)).finish()
}

fn old() -> Version {
    Version::new(
        "g",
        20_250_101,
        &[("a.eti", archive(b"old")), ("sub/b.txt", noise(1, 9)), ("same.bin", noise(5, 9))],
    )
}

fn new() -> Version {
    Version::new(
        "g",
        20_250_202,
        &[("a.eti", archive(b"new")), ("new/c.txt", noise(2, 9)), ("same.bin", noise(5, 9))],
    )
}

/// Returns a library with the game downloaded and installed, and a file of the user in it.
fn prepared() -> Lab {
    let lab = Lab::new();
    let store = lab.open();
    old().download(&store);
    let unpacked = store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {}));
    unpacked.unwrap();
    lab.put("g/local/save", b"played");
    lab
}

/// Breaks each operation of a change in each way, and checks the result after a restart. The change must work once the
/// disk does.
fn break_everywhere(change: &dyn Fn(&Store) -> bool) {
    let after = {
        let lab = prepared();
        assert!(change(&lab.open()), "it works on a disk that works");
        lab.tree("g")
    };
    for how in BREAKS {
        let mut failures = 0;
        for at in 0.. {
            let lab = prepared();
            let before = lab.tree("g");
            let store = lab.open();
            break_at(at, how);
            let done = change(&store);
            if !mend() {
                assert!(done, "nothing failed, and yet it failed: {how:?}");
                break;
            }
            failures += 1;
            drop(store);
            let store = lab.open();
            let left = lab.tree("g");
            assert!(
                left == before || left == after,
                "{how:?} at {at} leaves a third state: {:?}",
                left.keys()
            );
            assert!(left == after || !done, "{how:?} at {at} says that it is done, and it is not");
            assert!(store.scan().unwrap().ignored.is_empty(), "{how:?} at {at}");
            // The change can be made once the disk works again.
            if left == before {
                assert!(change(&store), "{how:?} at {at} cannot be repeated");
                assert_eq!(lab.tree("g"), after, "{how:?} at {at}, repeated");
            }
            cut_power();
        }
        assert!(failures > 0, "{how:?} never hit anything");
    }
}

/// Lets another program hold a file at each moment in turn. If it holds the file briefly, the change succeeds; if it
/// never lets go, nothing is left half done, and the change works once the file is closed.
fn hold_everywhere(change: &dyn Fn(&Store) -> bool) {
    let after = {
        let lab = prepared();
        assert!(change(&lab.open()), "it works on a disk that works");
        lab.tree("g")
    };
    for (how, for_good) in [(Break::Held(3), false), (Break::Held(usize::MAX), true)] {
        let mut held = 0;
        for at in 0.. {
            let lab = prepared();
            let before = lab.tree("g");
            let store = lab.open();
            break_at(at, how);
            let done = change(&store);
            if !mend() {
                break;
            }
            held += 1;
            let left = lab.tree("g");
            if !for_good {
                assert!(done, "held for a moment at {at}");
                assert_eq!(left, after, "held for a moment at {at}");
                continue;
            }
            drop(store);
            let store = lab.open();
            let left = lab.tree("g");
            assert!(left == before || left == after, "held at {at} leaves a third state: {:?}", left.keys());
            if left == before {
                assert!(change(&store), "held at {at} cannot be repeated");
                assert_eq!(lab.tree("g"), after, "held at {at}, repeated");
            }
        }
        assert!(held > 0, "{how:?} never hit anything");
    }
}

#[test]
fn changes_survive_held_files() {
    hold_everywhere(&update);
    hold_everywhere(&|store| store.uninstall(&game("g")).is_ok());
}

#[test]
fn held_file_is_reported_as_in_use() {
    let lab = prepared();
    let store = lab.open();
    break_at(0, Break::Held(usize::MAX));
    let refused = store.uninstall(&game("g")).map_err(DiskError::from);
    assert!(mend());
    let Err(DiskError::InUse(told)) = refused else { panic!("{refused:?}") };
    assert!(told.contains("another program has it open"), "{told}");
}

fn update(store: &Store) -> bool {
    let version = new();
    let Ok(incoming) = store.open_incoming(&version.content) else { return false };
    for chunk in 0..version.content.manifest().chunk_count() {
        if incoming.write_chunk(lanspread_types::ChunkIndex(chunk), &version.chunk(chunk)).is_err() {
            let _ = store.drop_incoming(&game("g"), version.content.content_id(), false);
            return false;
        }
    }
    store.commit(&version.content).is_ok()
}

#[test]
fn update_survives_a_failing_disk() {
    break_everywhere(&update);
}

#[test]
fn uninstall_survives_a_failing_disk() {
    break_everywhere(&|store| store.uninstall(&game("g")).is_ok());
}

#[test]
fn reinstall_survives_a_failing_disk() {
    break_everywhere(&|store| {
        store.reinstall(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).is_ok()
    });
}

/// Cuts the power after each change, which loses all bytes that were not synced.
#[test]
fn visible_files_are_durable() {
    let lab = prepared();
    let store = lab.open();
    cut_power();
    assert!(update(&store));
    cut_power();
    let mut expected: Tree = new().files;
    let local = lab.tree("g/local");
    expected.extend(local.into_iter().map(|(path, content)| (format!("local/{path}"), content)));
    assert_eq!(lab.tree("g"), expected, "a committed version");
    store.uninstall(&game("g")).unwrap();
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).unwrap();
    cut_power();
    assert_eq!(lab.tree("g/local")["game.exe"], b"new", "an installed game");
    assert_eq!(lab.tree("g/local")["data/a.bin"], noise(9, 3000));
}

/// The journal is from before the power failure, and the bytes of its chunks are gone.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "the seam learns the name of an open file from /proc")]
fn lost_chunks_are_fetched_again() {
    let lab = Lab::new();
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, 9 * CHUNK))]);
    {
        let store = lab.open();
        version.write(&store.open_incoming(&version.content).unwrap(), 0..5);
        // The journal itself survives, which is the worst case.
        super::download::reboot(&lab, &version);
    }
    cut_power();
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    assert!(incoming.had().is_empty(), "what is lost is not believed to be there");
    version.write(&incoming, 0..10);
    store.commit(&version.content).unwrap();
    assert_eq!(lab.tree("g"), version.files);
}

/// Our own small files, below `.lanspread`. The library must work without any of them.
const OWN: [&str; 3] = ["index/g", "installed/g/notes", "installed/g/20250101"];

#[test]
fn cut_off_own_files_are_made_anew() {
    let lab = prepared();
    let before = lab.tree("g");
    for own in OWN {
        let path = lab.path(&format!(".lanspread/{own}"));
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            look_at_everything(&lab);
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(lab.tree("g"), before);
}

/// Opens the library and runs everything that reads our own files.
fn look_at_everything(lab: &Lab) {
    let store = lab.open();
    let scan = store.scan().unwrap();
    assert!(scan.ignored.is_empty() && scan.games.len() == 1, "{:?}", scan.ignored);
    let (_, content) = store.index(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap();
    assert_eq!(content, old().content);
    assert!(store.verify(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap().broken.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bytes_in_own_files_are_harmless(
        which in 0..OWN.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let lab = prepared();
        let path = lab.path(&format!(".lanspread/{}", OWN[which]));
        let mut bytes = fs::read(&path).unwrap();
        for (at, mask) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        fs::write(&path, &bytes).unwrap();
        look_at_everything(&lab);
    }

    #[test]
    fn garbage_journal_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let lab = prepared();
        let before = lab.tree("g");
        fs::write(lab.path(".lanspread/journal/g"), &bytes).unwrap();
        look_at_everything(&lab);
        prop_assert_eq!(lab.tree("g"), before);
        prop_assert!(!lab.path(".lanspread/journal/g").exists());
    }
}

/// A damaged record was never completely written, so its plan never began.
#[test]
fn damaged_record_changes_nothing() {
    use lanspread_core::install::{Intent, Record};
    let lab = prepared();
    let before = lab.tree("g");
    let layout = crate::fs::layout::Layout::new(lab.dir.path());
    let files = old().files.keys().map(|p| super::lab::rel(p)).collect();
    crate::change::journal::write(&layout, &Record { game: game("g"), intent: Intent::Remove { files } })
        .unwrap();
    let path = lab.path(".lanspread/journal/g");
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        for bytes in [&whole[..at], &flipped] {
            fs::write(&path, bytes).unwrap();
            drop(lab.open());
            assert!(!path.exists(), "byte {at}");
        }
    }
    assert_eq!(lab.tree("g"), before);
}
