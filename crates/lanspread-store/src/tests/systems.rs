//! Archives made on one system and unpacked on another: names, times, attributes.

use std::fs;
use std::io::Cursor;
use std::time::{Duration, SystemTime};

use rars::{ArchiveVersion, Builder};

use super::lab::{Lab, game};
use super::rar5::{Changed, Host, Rar5};
use crate::archive::unpack::forward::unpack_forward;
use crate::archive::unpack::staging::Staging;
use crate::{Cancel, RarUnpacker, UnpackLimits, Unpacker};

/// 2021-03-04 05:06:07 UTC.
const SECONDS: u32 = 1_614_834_367;
/// Seconds from 1601 to 1970.
const SINCE_1601: u64 = 11_644_473_600;

const READ_ONLY: u64 = 0x01;
const HIDDEN: u64 = 0x02;
const SYSTEM: u64 = 0x04;
const FOLDER: u64 = 0x10;
const ARCHIVE: u64 = 0x20;

fn file_time(nanos: u64) -> Changed {
    Changed::FileTime((u64::from(SECONDS) + SINCE_1601) * 10_000_000 + nanos / 100)
}

/// Unpacks with both unpackers, each into its own folder.
fn unpack_twice(archive: &[u8]) -> Lab {
    let lab = Lab::new();
    let mut staging = Staging::new(lab.path("forward"), 0, None);
    unpack_forward(archive, &mut staging, &UnpackLimits::default(), &Cancel::new()).unwrap();
    let mut staging = Staging::new(lab.path("listed"), 0, None);
    let source = Box::new(Cursor::new(archive.to_vec()));
    RarUnpacker.unpack(source, &mut staging, &UnpackLimits::default(), &Cancel::new()).unwrap();
    lab
}

fn changed(lab: &Lab, file: &str) -> Duration {
    let time = fs::metadata(lab.path(file)).unwrap().modified().unwrap();
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn windows_names_times_and_attributes_unpack() {
    let archive = Rar5::new()
        .written_by(Host::Windows(FOLDER), "Spiel", file_time(0), None)
        .written_by(
            Host::Windows(READ_ONLY | ARCHIVE),
            "Spiel/größe.ini",
            file_time(123_456_700),
            Some(b"[a]\r\n"),
        )
        .written_by(Host::Windows(HIDDEN | SYSTEM), "Spiel/игра.dat", Changed::Seconds(SECONDS), Some(b"x"))
        .finish();
    let lab = unpack_twice(&archive);
    for reader in ["forward", "listed"] {
        let tree = lab.tree(reader);
        assert_eq!(tree.keys().collect::<Vec<_>>(), ["Spiel/größe.ini", "Spiel/игра.dat"], "{reader}");
        assert_eq!(tree["Spiel/größe.ini"], b"[a]\r\n");
        let precise = Duration::new(SECONDS.into(), 123_456_700);
        assert_eq!(changed(&lab, &format!("{reader}/Spiel/größe.ini")), precise, "{reader}");
        assert_eq!(changed(&lab, &format!("{reader}/Spiel/игра.dat")).as_secs(), SECONDS.into(), "{reader}");
    }
}

#[test]
fn unix_names_times_and_modes_unpack() {
    let archive = Rar5::new()
        .written_by(Host::Unix(0o040_555), "bin", Changed::Seconds(SECONDS), None)
        .written_by(Host::Unix(0o100_444), "bin/read only", Changed::Seconds(SECONDS), Some(b"a"))
        .written_by(Host::Unix(0o100_755), "bin/go", Changed::Nanoseconds(SECONDS, 500_000_000), Some(b"#!"))
        // A Mac stores the accent as a character of its own.
        .written_by(Host::Unix(0o100_600), "bin/cafe\u{301}", Changed::Seconds(SECONDS), Some(b"c"))
        .finish();
    let lab = unpack_twice(&archive);
    for reader in ["forward", "listed"] {
        let tree = lab.tree(reader);
        assert_eq!(tree.keys().collect::<Vec<_>>(), ["bin/café", "bin/go", "bin/read only"], "{reader}");
        let precise = Duration::new(SECONDS.into(), 500_000_000);
        assert_eq!(changed(&lab, &format!("{reader}/bin/go")), precise, "{reader}");
    }
}

/// A game must be able to write its settings, and an update or uninstall must not fail over a read-only flag that came
/// from a CD.
#[test]
fn installed_files_are_writable() {
    let archive = Rar5::new()
        .written_by(Host::Windows(READ_ONLY), "settings.ini", file_time(0), Some(b"a"))
        .written_by(Host::Unix(0o040_555), "data", Changed::Seconds(SECONDS), None)
        .written_by(Host::Unix(0o100_444), "data/a.bin", Changed::Seconds(SECONDS), Some(b"b"))
        .finish();
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &archive);
    let store = lab.open();
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).unwrap();
    for file in ["settings.ini", "data/a.bin"] {
        fs::write(lab.path("g/local").join(file), b"changed").unwrap();
    }
    store.uninstall(&game("g")).unwrap();
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

/// The user, or another program, may set the flag later.
#[test]
fn read_only_files_can_be_deleted() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &Rar5::new().file("data/a.bin", b"a").finish());
    let store = lab.open();
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).unwrap();
    for file in ["g/local/data/a.bin", "g/a.eti", "g/version.ini"] {
        let path = lab.path(file);
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
    }
    store.uninstall(&game("g")).unwrap();
    assert!(!lab.path("g/local").exists());
    store.index(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap();
    store.remove(&game("g")).unwrap();
    assert!(lab.tree("g").is_empty(), "{:?}", lab.tree("g").keys());
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

/// Before RAR 5, archives used Windows' separator, and names in a code page.
#[test]
fn rar4_names_follow_windows_conventions() {
    let mut builder = Builder::new(ArchiveVersion::Rar29).store(true);
    builder.add_bytes(b"Data\\Maps\\gr\x94\xe1e.map".to_vec(), b"map".to_vec(), None, None).unwrap();
    let archive = builder.to_bytes().unwrap();
    let lab = Lab::new();
    let mut staging = Staging::new(lab.path("listed"), 0, None);
    let source = Box::new(Cursor::new(archive));
    RarUnpacker.unpack(source, &mut staging, &UnpackLimits::default(), &Cancel::new()).unwrap();
    assert_eq!(lab.tree("listed").keys().collect::<Vec<_>>(), ["Data/Maps/größe.map"]);
}
