//! The forward-only unpacker: same results and same checks as the unpacker that lists first.

use std::io::{self, Read};

use proptest::prelude::*;
use rars::{ArchiveVersion, Builder};

use super::lab::{Lab, game, noise};
use super::rar5::Rar5;
use crate::archive::unpack::forward::unpack_forward;
use crate::archive::unpack::staging::Staging;
use crate::{Cancel, RarUnpacker, UnpackError, UnpackLimits, UnpackSummary, Unpacker};

/// Source that yields a few bytes at a time and cannot seek.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.1);
        self.0.read(&mut bytes[..n])
    }
}

fn forward(lab: &Lab, archive: &[u8], limits: &UnpackLimits) -> Result<UnpackSummary, UnpackError> {
    let mut staging = Staging::new(lab.path("forward"), 0, None);
    unpack_forward(Trickle(archive, 1000), &mut staging, limits, &Cancel::new())
}

fn refused(archive: &[u8]) -> UnpackError {
    forward(&Lab::new(), archive, &UnpackLimits::default()).unwrap_err()
}

/// Checks that both unpackers give the same result.
fn same(archive: &[u8]) {
    let lab = Lab::new();
    let summary = forward(&lab, archive, &UnpackLimits::default()).unwrap();
    let mut staging = Staging::new(lab.path("listed"), 0, None);
    let source = Box::new(io::Cursor::new(archive.to_vec()));
    let listed = RarUnpacker.unpack(source, &mut staging, &UnpackLimits::default(), &Cancel::new());
    assert_eq!(summary, listed.unwrap());
    assert_eq!(lab.tree("forward"), lab.tree("listed"));
    assert_eq!(lab.tree("forward").len() as u64, summary.files);
}

fn built(version: ArchiveVersion, store: bool, solid: bool, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(version).store(store).solid(solid);
    for (name, content) in files {
        builder.add_bytes((*name).into(), content.clone(), None, None).unwrap();
    }
    builder.add_directory(b"saves".to_vec(), None, None).unwrap();
    builder.to_bytes().unwrap()
}

#[test]
fn both_unpackers_give_the_same_files() {
    let text = b"text that repeats, ".repeat(30_000);
    let files = [
        ("data/text.txt", text.clone()),
        ("data/again.txt", text),
        ("big.bin", noise(7, 300_000)),
        ("empty", vec![]),
    ];
    for version in [ArchiveVersion::Rar50, ArchiveVersion::Rar70] {
        for (store, solid) in [(true, false), (false, false), (false, true)] {
            same(&built(version, store, solid, &files));
        }
    }
    same(&Rar5::new().file("a", b"one").file("sub/b", b"two").finish());
}

#[test]
fn older_archives_are_refused() {
    let older = built(ArchiveVersion::Rar29, false, false, &[("a", noise(1, 1000))]);
    assert!(matches!(refused(&older), UnpackError::NotForward(_)));
    assert!(matches!(refused(b"no archive at all"), UnpackError::NotForward(_)));
    assert!(matches!(refused(b"short"), UnpackError::NotAnArchive(_)));
}

#[test]
fn entries_pass_the_same_checks() {
    for name in ["../evil", "/etc/evil", "C:\\evil", "file.txt:stream", "nul", ""] {
        let error = refused(&Rar5::new().file("fine", b"x").file(name, b"evil").finish());
        let by_name = matches!(error, UnpackError::Name { .. } | UnpackError::DamagedArchive(_));
        assert!(by_name, "{name:?}: {error}");
    }
    for (one, two) in [("a", "A"), ("a", "a/b"), ("Data/x", "data/y")] {
        let error = refused(&Rar5::new().file(one, b"1").file(two, b"2").finish());
        assert!(matches!(error, UnpackError::Name { .. }), "{one} {two}: {error}");
    }
    let link = Rar5::new().file("fine", b"x").link("door", "../..", 1).finish();
    assert!(matches!(refused(&link), UnpackError::Link(_)));
    assert!(matches!(refused(&Rar5::new().with_mode("device", 0o020_666).finish()), UnpackError::Special(_)));
    assert!(matches!(refused(&Rar5::new().finish()), UnpackError::Empty));
    assert!(matches!(refused(&Rar5::with_flags(1).file("a", b"x").finish()), UnpackError::Volume));
    assert!(matches!(refused(&Rar5::new().file("a", b"x").unfinished()), UnpackError::Truncated));
    let damaged = refused(&Rar5::new().file("fine", b"x").damaged("data/broken", b"content").finish());
    assert!(matches!(&damaged, UnpackError::Damaged { entry, .. } if entry == "data/broken"), "{damaged}");
    for headers in [false, true] {
        let mut builder =
            Builder::new(ArchiveVersion::Rar50).password(Some(b"secret".to_vec())).header_encryption(headers);
        builder.add_bytes(b"a".to_vec(), b"x".to_vec(), None, None).unwrap();
        assert!(matches!(refused(&builder.to_bytes().unwrap()), UnpackError::Encrypted(_)));
    }
}

#[test]
fn limits_hold_before_a_file_is_begun() {
    let archive = Rar5::new().file("a", &[0; 100]).file("b", &[0; 100]).finish();
    let limits = UnpackLimits::default();
    for tight in [UnpackLimits { output_bytes: 199, ..limits }, UnpackLimits { entries: 1, ..limits }] {
        let lab = Lab::new();
        let refused = forward(&lab, &archive, &tight);
        assert!(matches!(refused, Err(UnpackError::Limit(_) | UnpackError::Large { bytes: 200 })));
        assert_eq!(lab.tree("forward").len(), 1);
    }
    let packed = built(ArchiveVersion::Rar50, false, false, &[("a", b"text ".repeat(10_000))]);
    let small = UnpackLimits { dictionary_bytes: 1 << 10, ..limits };
    assert!(matches!(forward(&Lab::new(), &packed, &small), Err(UnpackError::Limit(_))));
}

#[test]
fn source_failure_is_not_archive_damage() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::HostUnreachable.into()) } else { self.0.read(bytes) }
        }
    }
    let archive = built(ArchiveVersion::Rar50, false, true, &[("a", noise(1, 400_000)), ("b", noise(2, 9))]);
    for cut in [3, 9, 40, archive.len() / 2, archive.len() - 3] {
        let lab = Lab::new();
        let mut staging = Staging::new(lab.path("forward"), 0, None);
        let (limits, cancel) = (UnpackLimits::default(), Cancel::new());
        let error = unpack_forward(Broken(&archive[..cut]), &mut staging, &limits, &cancel).unwrap_err();
        let UnpackError::Source(source) = &error else { panic!("{cut}: {error}") };
        assert_eq!(source.kind(), io::ErrorKind::HostUnreachable);
        cancel.cancel();
        let again = unpack_forward(Broken(&archive[..cut]), &mut staging, &limits, &cancel);
        assert!(matches!(again, Err(UnpackError::Cancelled)));
    }
}

#[test]
fn fixture_games_unpack_the_same() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../lanspread-peer-cli/fixtures");
    let mut tried = 0;
    for (fixture, name) in [("alpha", "ggoo"), ("alpha", "bf1942"), ("bravo", "cnctw"), ("solid", "cnctw")] {
        let folder = fixtures.join(format!("fixture-{fixture}")).join(game(name).as_str());
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().extension().is_some_and(|e| e == "eti") {
                same(&std::fs::read(entry.path()).unwrap());
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// After one changed byte, or with the rest cut off, unpacking fails or (where the byte does not matter) gives the
    /// same files. It never panics and never gives other content.
    #[test]
    fn damage_never_yields_other_files(at in 0.0..1.0f64, flip in 0u8..=255, kind in 0..3) {
        let files = [("a.txt", b"text that repeats, ".repeat(300)), ("b.bin", noise(3, 3000)), ("c", vec![])];
        let archive = built(ArchiveVersion::Rar50, kind == 0, kind == 1, &files);
        let at = (at * archive.len() as f64) as usize;
        let mut damaged = archive[..if flip == 0 { at } else { archive.len() }].to_vec();
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= flip;
        }
        let lab = Lab::new();
        if forward(&lab, &damaged, &UnpackLimits::default()).is_ok() {
            let expected: Vec<_> = files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect();
            prop_assert_eq!(lab.tree("forward").into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
