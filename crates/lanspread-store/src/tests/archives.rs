//! Installing from valid and from hostile archives.

use std::cell::RefCell;
use std::rc::Rc;

use rars::{ArchiveVersion, Builder};

use super::lab::{Lab, game, noise};
use super::rar5::Rar5;
use crate::{Cancel, InstallError, RarUnpacker, Store, UnpackError};

fn install(store: &Store) -> Result<(), InstallError> {
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {}))
}

fn lab_with(archives: &[(&str, Vec<u8>)]) -> Lab {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    archives.iter().for_each(|(name, bytes)| lab.put(&format!("g/{name}"), bytes));
    lab
}

fn refused(archive: Vec<u8>) -> UnpackError {
    let lab = lab_with(&[("a.eti", archive)]);
    let store = lab.open();
    let error = install(&store).unwrap_err();
    assert!(!lab.path("g/local").exists(), "{error}");
    assert!(lab.leftovers().is_empty(), "{error}: {:?}", lab.leftovers());
    assert_eq!(
        lab.tree("").keys().filter(|f| !f.starts_with(".lanspread") && !f.starts_with("g/")).count(),
        0
    );
    match error {
        InstallError::Archive { archive, error } => {
            assert_eq!(archive.as_str(), "a.eti");
            error
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_archive_kind_unpacks_to_its_input() {
    let (text, big) = (b"text ".repeat(30_000), noise(7, 300_000));
    for format in [ArchiveVersion::Rar29, ArchiveVersion::Rar50, ArchiveVersion::Rar70] {
        for (store, solid) in [(true, false), (false, false), (false, true)] {
            let mut builder = Builder::new(format).store(store).solid(solid);
            for (name, content) in [("data/text.txt", &text), ("data/big.bin", &big), ("empty", &vec![])] {
                builder.add_bytes(name.into(), content.clone(), None, None).unwrap();
            }
            builder.add_directory(b"saves".to_vec(), None, None).unwrap();
            let lab = lab_with(&[("a.eti", builder.to_bytes().unwrap())]);
            install(&lab.open()).unwrap_or_else(|e| panic!("{format} store {store} solid {solid}: {e}"));
            let local = lab.tree("g/local");
            assert_eq!(local.len(), 3);
            assert!(
                local["data/text.txt"] == text && local["data/big.bin"] == big && local["empty"].is_empty()
            );
            assert!(lab.path("g/local/saves").is_dir());
            assert!(lab.leftovers().is_empty());
        }
    }
}

#[test]
fn later_archive_wins_despite_other_case() {
    let base = Rar5::new().file("Data/a.txt", b"base").file("Data/b.txt", b"base").finish();
    let patch = Rar5::new().file("data/A.TXT", b"patch").file("data/c.txt", b"patch").finish();
    let lab = lab_with(&[("1.eti", base), ("2.ETI", patch), ("sub/3.eti", b"no direct child".to_vec())]);
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = Rc::clone(&told);
    let progress = Box::new(move |done, total| tell.borrow_mut().push((done, total)));
    lab.open().install(&game("g"), &RarUnpacker, &Cancel::new(), progress).unwrap();
    let local: Vec<(String, Vec<u8>)> = lab.tree("g/local").into_iter().collect();
    let file = |path: &str, content: &[u8]| (path.to_owned(), content.to_vec());
    assert_eq!(
        local,
        [file("Data/a.txt", b"patch"), file("Data/b.txt", b"base"), file("Data/c.txt", b"patch")]
    );
    assert_eq!(told.borrow().last(), Some(&(18, 18)));
}

#[test]
fn unsafe_names_are_refused() {
    let hostile = [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "\\evil",
        "..\\evil",
        "C:\\evil",
        "C:evil",
        "\\\\host\\share\\evil",
        "file.txt:stream",
        "nul",
        "trailing.",
        "a//b",
        "",
    ];
    for name in hostile {
        let error = refused(Rar5::new().file("fine", b"x").file(name, b"evil").finish());
        assert!(
            matches!(error, UnpackError::Name { .. } | UnpackError::DamagedArchive(_)),
            "{name:?}: {error}"
        );
    }
    for (one, two) in [("a", "A"), ("a", "a"), ("a", "a/b"), ("Data/x", "data/y")] {
        let error = refused(Rar5::new().file(one, b"1").file(two, b"2").finish());
        assert!(matches!(error, UnpackError::Name { .. }), "{one} {two}: {error}");
    }
}

#[test]
fn links_and_special_files_are_refused() {
    for kind in [1, 2, 3, 4, 5] {
        let error = refused(Rar5::new().file("fine", b"x").link("door", "../..", kind).finish());
        assert!(matches!(&error, UnpackError::Link(name) if name == "door"), "{kind}: {error}");
    }
    let error = refused(Rar5::new().with_mode("door", 0o120_777).finish());
    assert!(matches!(error, UnpackError::Link(_)), "{error}");
    for mode in [0o020_666, 0o060_666, 0o010_666, 0o140_666] {
        let error = refused(Rar5::new().with_mode("device", mode).finish());
        assert!(matches!(error, UnpackError::Special(_)), "{error}");
    }
}

#[test]
fn damage_error_names_archive_and_entry() {
    let error = refused(Rar5::new().file("fine", b"x").damaged("data/broken", b"content").finish());
    assert!(matches!(&error, UnpackError::Damaged { entry, .. } if entry == "data/broken"), "{error}");
}

#[test]
fn incomplete_and_foreign_archives_are_refused() {
    assert!(matches!(refused(b"no archive at all".to_vec()), UnpackError::NotAnArchive(_)));
    refused(Vec::new());
    assert!(matches!(refused(Rar5::new().finish()), UnpackError::Empty));
    assert!(matches!(refused(Rar5::with_flags(1).file("a", b"x").finish()), UnpackError::Volume));
    let whole = Rar5::new().file("a", b"first").file("b", b"second").finish();
    let unfinished = Rar5::new().file("a", b"first").unfinished();
    assert!(matches!(refused(unfinished), UnpackError::Truncated));
    for len in (0..whole.len()).step_by(3) {
        refused(whole[..len].to_vec());
    }
}

#[test]
fn encrypted_archives_are_refused() {
    for headers in [false, true] {
        let mut builder =
            Builder::new(ArchiveVersion::Rar50).password(Some(b"secret".to_vec())).header_encryption(headers);
        builder.add_bytes(b"a".to_vec(), b"x".to_vec(), None, None).unwrap();
        let error = refused(builder.to_bytes().unwrap());
        assert!(matches!(error, UnpackError::Encrypted(_)), "{error}");
    }
}

#[test]
fn limits_hold() {
    use crate::{UnpackLimits, Unpacker};
    let archive = Rar5::new().file("a", &[0; 100]).file("b", &[0; 100]).finish();
    let list = |limits: UnpackLimits| {
        RarUnpacker.list(Box::new(std::io::Cursor::new(archive.clone())), &limits, &Cancel::new())
    };
    let limits = UnpackLimits::default();
    assert_eq!(list(limits).unwrap().bytes, 200);
    for tight in [UnpackLimits { output_bytes: 199, ..limits }, UnpackLimits { entries: 1, ..limits }] {
        assert!(matches!(list(tight), Err(UnpackError::Limit(_) | UnpackError::Large { bytes: 200 })));
    }
}

#[test]
fn bomb_needs_the_owners_consent() {
    let half = 1 << 30;
    let archive = |name| Rar5::new().stating(name, half, b"zeros").finish();
    let lab = lab_with(&[("a.eti", archive("a")), ("b.eti", archive("b"))]);
    let store = lab.open();
    let refused = install(&store);
    assert!(matches!(refused, Err(InstallError::Large { packed: 1.., unpacked }) if unpacked == 2 * half));
    assert!(!lab.path("g/local").exists() && lab.leftovers().is_empty());
    store.allow_unpacked(&game("g"), 2 * half - 1);
    assert!(matches!(install(&store), Err(InstallError::Large { .. })));
    store.allow_unpacked(&game("g"), 2 * half);
    let tried = install(&store);
    let damaged = matches!(&tried, Err(InstallError::Archive { error: UnpackError::Damaged { .. }, .. }));
    assert!(damaged, "allowed, it is tried, and is found to have lied: {tried:?}");
    assert!(!lab.path("g/local").exists() && lab.leftovers().is_empty());
}

#[test]
fn unpacking_leaves_part_of_the_disk_free() {
    let free = fs4::available_space(std::env::temp_dir()).unwrap();
    let archive = Rar5::new().stating("large", free, b"x").finish();
    let lab = lab_with(&[("a.eti", archive)]);
    let store = lab.open();
    store.allow_unpacked(&game("g"), u64::MAX);
    let Err(InstallError::Full { missing }) = install(&store) else { panic!("it would fill the disk") };
    let reserve = crate::install::space::reserved_bytes(&std::env::temp_dir());
    assert!(reserve > 0 && missing.abs_diff(reserve) < 1 << 28, "{missing} are missing, {reserve} stay free");
    assert!(!lab.path("g/local").exists() && lab.leftovers().is_empty());
}

#[test]
fn cancelled_install_leaves_nothing() {
    let archive = Rar5::new().file("a", &noise(1, 4 << 20)).file("b", &noise(2, 4 << 20)).finish();
    let lab = lab_with(&[("a.eti", archive)]);
    let store = lab.open();
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let progress = Box::new(move |done, total| {
        if done * 2 > total {
            stop.cancel();
        }
    });
    let outcome = store.install(&game("g"), &RarUnpacker, &cancel, progress);
    assert!(matches!(outcome, Err(InstallError::Cancelled)), "{outcome:?}");
    assert!(!lab.path("g/local").exists());
    assert!(lab.leftovers().is_empty());
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local").len(), 2);
}

#[test]
fn failing_archive_undoes_the_whole_install() {
    let good = Rar5::new().file("a", b"x").finish();
    let lab = lab_with(&[("1.eti", good), ("2.eti", Rar5::new().damaged("b", b"x").finish())]);
    let error = install(&lab.open()).unwrap_err();
    assert!(error.to_string().contains("2.eti") && error.to_string().contains('b'), "{error}");
    assert!(!lab.path("g/local").exists() && lab.leftovers().is_empty());
}
