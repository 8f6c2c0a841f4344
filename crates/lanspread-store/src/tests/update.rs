//! Updates, reinstalls, verification and the first start.

use std::fs;
use std::sync::Arc;

use lanspread_core::io::{DiskError, Play};
use lanspread_types::GameVersion;

use super::lab::{CHUNK, Lab, Version, bytes_for_larger_chunks, game, index, noise, rel, set_age};
use super::rar5::Rar5;
use crate::fs::layout::Layout;
use crate::library::index::GameIndex;
use crate::{Cancel, CommitError, IndexError, InstallError, RarUnpacker, Store};

/// Returns noise in which the chunks `other` differ.
fn changed(seed: u64, chunks: u64, other: &[u64]) -> Vec<u8> {
    let mut bytes = noise(seed, chunks * CHUNK);
    for at in other {
        let (from, to) = ((at * CHUNK) as usize, ((at + 1) * CHUNK) as usize);
        bytes[from..to].copy_from_slice(&noise(seed + 1000 + at, CHUNK));
    }
    bytes
}

fn missing(store: &Store, version: &Version) -> Vec<u32> {
    store.incoming(version.game()).unwrap().had().missing_from(0).map(|c| c.0).collect()
}

fn open(store: &Store, version: &Version) -> u64 {
    let mut last = (0, 0);
    let opened =
        store.open_download(&version.content, &Cancel::new(), &mut |done, total| last = (done, total));
    assert_eq!(last.0, last.1, "progress comes to its end");
    opened.unwrap().reused_bytes
}

fn finish(store: &Store, version: &Version) {
    let incoming = store.incoming(version.game()).unwrap();
    version.write(&incoming, missing(store, version));
    store.commit(&version.content).unwrap();
}

#[test]
fn update_fetches_only_changed_chunks() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new(
        "g",
        20_250_101,
        &[
            ("a.eti", changed(1, 20, &[])),
            ("same.eti", noise(2, 3 * CHUNK)),
            ("named.bin", noise(3, 3 * CHUNK)),
        ],
    );
    old.download(&store);
    let new = Version::new(
        "g",
        20_250_202,
        &[
            ("a.eti", changed(1, 20, &[4, 9])),
            ("same.eti", noise(2, 3 * CHUNK)),
            ("renamed.bin", noise(3, 3 * CHUNK)),
        ],
    );
    let inode = |path: &str| crate::library::walk::Look::at(&lab.path(path)).unwrap().identity;
    let before = inode("g/same.eti");
    assert_eq!(open(&store, &new), 18 * CHUNK + 3 * CHUNK + 3 * CHUNK);
    let places: Vec<(String, u64)> = missing(&store, &new)
        .into_iter()
        .map(|c| new.content.manifest().place(lanspread_types::ChunkIndex(c)).unwrap())
        .map(|p| (new.content.manifest().files()[p.file].path.to_string(), p.offset / CHUNK))
        .collect();
    let path = |p: &str, at| (p.to_owned(), at);
    assert_eq!(places, [path("a.eti", 4), path("a.eti", 9), path("version.ini", 0)]);
    assert_eq!(lab.tree("g"), old.files, "the old version is whole and in its place");
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files);
    assert_eq!(inode("g/same.eti"), before, "what both versions share was not even copied");
    assert_eq!(index(&store, "g"), (Arc::clone(&new.content), 0), "nothing is hashed again");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

#[test]
fn old_data_is_verified_before_reuse() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new("g", 20_250_101, &[("a.eti", changed(1, 8, &[])), ("b.eti", noise(2, 4 * CHUNK))]);
    old.download(&store);
    // One file rots without looking different; the user changes the other.
    let rotten = lab.path("g/a.eti");
    let time = fs::metadata(&rotten).unwrap().modified().unwrap();
    let mut bytes = fs::read(&rotten).unwrap();
    bytes[5 * CHUNK as usize] ^= 1;
    fs::write(&rotten, &bytes).unwrap();
    fs::File::options().write(true).open(&rotten).unwrap().set_modified(time).unwrap();
    lab.put("g/b.eti", &changed(2, 4, &[1]));
    let new =
        Version::new("g", 20_250_202, &[("a.eti", changed(1, 8, &[2])), ("b.eti", noise(2, 4 * CHUNK))]);
    assert_eq!(open(&store, &new), 6 * CHUNK + 3 * CHUNK);
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files, "byte for byte");
}

#[test]
fn changed_shared_file_stops_the_commit() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new("g", 20_250_101, &[("a.eti", noise(1, 9)), ("same.eti", noise(2, 2 * CHUNK))]);
    old.download(&store);
    let new = Version::new("g", 20_250_202, &[("a.eti", noise(3, 9)), ("same.eti", noise(2, 2 * CHUNK))]);
    open(&store, &new);
    let incoming = store.incoming(&game("g")).unwrap();
    new.write(&incoming, missing(&store, &new));
    lab.put("g/same.eti", b"mine now");
    let before = lab.tree("g");
    assert!(matches!(store.commit(&new.content), Err(CommitError::Io(_))));
    assert_eq!(lab.tree("g"), before);
    // The next attempt sees the changed file and fetches it.
    store.drop_incoming(&game("g"), new.content.content_id(), false).unwrap();
    open(&store, &new);
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files);
}

#[test]
fn chunks_are_reused_across_chunk_sizes() {
    let lab = Lab::new();
    let store = lab.open();
    let big = noise(7, 40 * CHUNK);
    let old = Version::new("g", 20_250_101, &[("a.eti", big.clone()), ("b.bin", noise(8, 3 * CHUNK))]);
    old.download(&store);
    let bulk = vec![7; bytes_for_larger_chunks() as usize];
    let new =
        Version::new("g", 20_250_202, &[("a.eti", big), ("bulk.bin", bulk), ("c.bin", noise(8, 3 * CHUNK))]);
    assert_ne!(old.content.manifest().chunk_size(), new.content.manifest().chunk_size());
    assert_eq!(open(&store, &new), 43 * CHUNK, "the same name, and the same root under another one");
}

#[test]
fn cancelling_stops_the_takeover() {
    let lab = Lab::new();
    let store = lab.open();
    Version::new("g", 20_250_101, &[("a.eti", noise(1, 9 * CHUNK))]).download(&store);
    let new = Version::new("g", 20_250_202, &[("b.eti", noise(1, 9 * CHUNK))]);
    let cancel = Cancel::new();
    let mut calls = 0;
    let stop = cancel.clone();
    let opened = store.open_download(&new.content, &cancel, &mut |_, _| {
        calls += 1;
        if calls == 3 {
            stop.cancel();
        }
    });
    assert!(matches!(opened, Err(crate::IncomingError::Cancelled)));
    assert!(store.incoming(&game("g")).is_none());
    // Three chunks were taken over before the cancellation and are kept.
    assert_eq!(open(&store, &new), 6 * CHUNK);
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files);
}

// ---- reinstalling

fn with_archive(stamp: u32, files: &[(&str, &[u8])]) -> Version {
    let archive = files.iter().fold(Rar5::new(), |rar, (path, content)| rar.file(path, content)).finish();
    Version::new("g", stamp, &[("a.eti", archive)])
}

fn install(store: &Store) {
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {})).unwrap();
}

fn reinstall(store: &Store) -> Result<lanspread_core::io::KeptFiles, InstallError> {
    store.reinstall(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {}))
}

fn installed_version(store: &Store) -> Option<u32> {
    store.scan().unwrap().games[0].installed_version.map(GameVersion::stamp)
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine tells the time of change for that of creation; on Windows run it with --ignored"
)]
fn reinstall_keeps_the_users_files() {
    let lab = Lab::new();
    let store = lab.open();
    let old: [(&str, &[u8]); 6] = [
        ("game.exe", b"old exe"),
        ("gone.dll", b"old dll"),
        ("options.ini", b"defaults"),
        ("keys.ini", b"old keys"),
        ("sub/same.dat", b"data"),
        ("touched.txt", b"as it was"),
    ];
    with_archive(20_250_101, &old).download(&store);
    install(&store);
    assert_eq!(installed_version(&store), Some(20_250_101));
    lab.put("g/local/saves/one.sav", b"played for hours");
    lab.put("g/local/options.ini", b"my options");
    lab.put("g/local/keys.ini", b"my keys");
    set_age(&lab.path("g/local/touched.txt"), 7);
    let new: [(&str, &[u8]); 6] = [
        ("game.exe", b"new exe"),
        ("options.ini", b"defaults"),
        ("keys.ini", b"new keys"),
        ("sub/same.dat", b"data"),
        ("new.dll", b"new dll"),
        ("touched.txt", b"new text"),
    ];
    with_archive(20_250_202, &new).download(&store);
    assert_eq!(lab.tree("g/local")["game.exe"], b"old exe", "the download leaves what is installed as it is");
    assert_eq!(installed_version(&store), Some(20_250_101));
    let kept = reinstall(&store).unwrap();
    assert_eq!((kept.kept, kept.beside), (3, vec![rel("keys.ini.new")]));
    let after = lab.tree("g/local");
    let expected: [(&str, &[u8]); 8] = [
        ("game.exe", b"new exe"),
        ("keys.ini", b"my keys"),
        ("keys.ini.new", b"new keys"),
        ("new.dll", b"new dll"),
        ("options.ini", b"my options"),
        ("saves/one.sav", b"played for hours"),
        ("sub/same.dat", b"data"),
        ("touched.txt", b"new text"),
    ];
    assert_eq!(after, expected.map(|(p, c)| (p.to_owned(), c.to_vec())).into());
    assert_eq!(installed_version(&store), Some(20_250_202));
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    // The next update keeps the same files.
    with_archive(20_250_303, &new).download(&store);
    reinstall(&store).unwrap();
    assert_eq!(lab.tree("g/local").keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert_eq!(lab.tree("g/local")["keys.ini"], b"my keys");
}

#[test]
fn reinstall_of_an_unknown_install_loses_nothing() {
    let lab = Lab::new();
    let store = lab.open();
    lab.put("g/local/game.exe", b"old exe");
    lab.put("g/local/saves/one.sav", b"played");
    with_archive(20_250_202, &[("game.exe", b"new exe")]).download(&store);
    assert_eq!(installed_version(&store), None);
    let kept = reinstall(&store).unwrap();
    assert_eq!(kept.beside, [rel("before-update/game.exe")]);
    let expected: [(&str, &[u8]); 3] =
        [("before-update/game.exe", b"old exe"), ("game.exe", b"new exe"), ("saves/one.sav", b"played")];
    assert_eq!(lab.tree("g/local"), expected.map(|(p, c)| (p.to_owned(), c.to_vec())).into());
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine tells the time of change for that of creation; on Windows run it with --ignored"
)]
fn failed_reinstall_keeps_the_installed_game() {
    let lab = Lab::new();
    let store = lab.open();
    with_archive(20_250_101, &[("game.exe", b"old exe")]).download(&store);
    install(&store);
    lab.put("g/local/save", b"played");
    let before = lab.tree("g/local");
    Version::new("g", 20_250_202, &[("a.eti", b"not an archive".to_vec())]).download(&store);
    assert!(matches!(reinstall(&store), Err(InstallError::Archive { .. })));
    assert_eq!(lab.tree("g/local"), before);
    assert_eq!(installed_version(&store), Some(20_250_101));
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

// ---- verification

#[test]
fn changed_small_file_is_fetched_with_its_chunk() {
    let lab = Lab::new();
    let mut store = lab.open();
    let files = |b: u64| {
        let names = ["a.txt", "b.txt", "c.txt", "sub/d.txt"];
        names.map(|name| (name, noise(if name == "b.txt" { b } else { 7 }, 5000)))
    };
    let old = Version::new("g", 20_250_101, &files(1));
    old.download(&store);
    let new = Version::new("g", 20_250_202, &files(2));
    let inode = |path: &str| crate::library::walk::Look::at(&lab.path(path)).unwrap().identity;
    let before = inode("g/a.txt");
    assert_eq!(open(&store, &new), 0);
    assert_eq!(missing(&store, &new), [0, 1], "the run and the sentinel");
    new.write(&store.incoming(new.game()).unwrap(), [0]);
    // The chunk that was fetched is still there after a restart, although the kept files are elsewhere.
    drop(store);
    store = lab.open();
    open(&store, &new);
    assert_eq!(missing(&store, &new), [1]);
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files);
    assert_eq!(inode("g/a.txt"), before, "what stays was not written");
}

#[test]
fn renamed_small_files_are_reused() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new("g", 20_250_101, &[("a.txt", noise(1, 5000)), ("b.txt", noise(2, 6000))]);
    old.download(&store);
    let new = Version::new("g", 20_250_202, &[("x.txt", noise(2, 6000)), ("y.txt", noise(1, 5000))]);
    assert_eq!(open(&store, &new), 11_000);
    // The sentinel comes before them and is in a chunk of its own.
    assert_eq!(missing(&store, &new), [0]);
    finish(&store, &new);
    assert_eq!(lab.tree("g"), new.files);
}

#[test]
fn repair_fetches_only_broken_chunks() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::new(
        "g",
        20_250_101,
        &[("a.eti", noise(1, 9 * CHUNK)), ("b.txt", noise(2, 9)), ("c.txt", noise(3, 9))],
    );
    version.download(&store);
    let verify = |store: &Store| store.verify(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap();
    assert_eq!(verify(&store).broken, []);
    let path = lab.path("g/a.eti");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4 * CHUNK as usize + 9] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    fs::remove_file(lab.path("g/b.txt")).unwrap();
    let found = verify(&store);
    let parts: Vec<_> = found.broken.iter().map(|b| (b.path.as_str(), b.offset, b.length)).collect();
    assert_eq!(parts, [("a.eti", 4 * CHUNK, CHUNK), ("b.txt", 0, 9)]);
    assert_eq!(found.content, version.content, "what it should be is still known");
    // Even after a restart it is not taken for another content.
    drop(store);
    let store = lab.open();
    let refused = store.index(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, IndexError::Damaged { .. }), "{refused}");
    assert!(matches!(DiskError::from(refused), DiskError::Damaged(_)));
    assert_eq!(verify(&store).broken.len(), 2);
    open(&store, &version);
    assert_eq!(missing(&store, &version).len(), 2, "one chunk and the file that went");
    finish(&store, &version);
    assert_eq!(lab.tree("g"), version.files);
    assert_eq!(verify(&store).broken, []);
    assert_eq!(index(&store, "g"), (Arc::clone(&version.content), 0));
}

#[test]
fn overlong_file_is_broken_until_replaced() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, CHUNK))]);
    version.download(&store);
    let mut longer = noise(1, CHUNK);
    longer.push(0);
    lab.put("g/a.eti", &longer);
    let found = store.verify(&game("g"), &Cancel::new(), &mut |_, _| {}).unwrap();
    assert_eq!(found.broken.iter().map(|b| (b.offset, b.length)).collect::<Vec<_>>(), [(CHUNK, 0)]);
    lab.put("g/a.eti", &noise(1, CHUNK));
    set_age(&lab.path("g/a.eti"), 1800);
    assert_eq!(index(&store, "g").0, version.content, "put right by hand");
}

// ---- the first start

#[test]
fn playing_stamps_once_per_install() {
    let lab = Lab::new();
    let store = lab.open();
    let ini: &[u8] = b"[SSE]\r\nPersonaName = Nobody\r\nLanguage = x\r\n";
    let files: [(&str, &[u8]); 3] = [
        ("bin/account_name.txt", b"Nobody\r\n"),
        ("bin/language.txt", b"german"),
        ("bin/SmartSteamEmu.ini", ini),
    ];
    with_archive(20_250_101, &files).download(&store);
    install(&store);
    let play =
        |name: &str| Play { user_name: name.to_owned(), language: "english".to_owned(), ..Play::default() };
    let stamped = store.stamp(&game("g"), &play("Jo")).unwrap();
    assert_eq!(stamped.wrote.len(), 3);
    let read = |path: &str| fs::read(lab.path(&format!("g/local/{path}"))).unwrap();
    assert_eq!(read("bin/account_name.txt"), b"Jo\r\n");
    assert_eq!(read("bin/language.txt"), b"english");
    assert_eq!(read("bin/SmartSteamEmu.ini"), b"[SSE]\r\nPersonaName = Jo\r\nLanguage = x\r\n");
    let before = lab.tree("g/local");
    let again = store.stamp(&game("g"), &play("Other")).unwrap();
    assert!(again.already_applied && again.wrote.is_empty());
    assert_eq!(lab.tree("g/local"), before);
    // A restart does not stamp again; another install does.
    drop(store);
    let store = lab.open();
    assert!(store.stamp(&game("g"), &play("Other")).unwrap().already_applied);
    store.uninstall(&game("g")).unwrap();
    install(&store);
    assert_eq!(store.stamp(&game("g"), &play("Other")).unwrap().wrote.len(), 3);
    assert_eq!(read("bin/account_name.txt"), b"Other\r\n");
}

#[test]
fn game_file_names_a_program_below_local() {
    let lab = Lab::new();
    let store = lab.open();
    with_archive(20_250_101, &[("bin/go.exe", b"MZ")]).download(&store);
    install(&store);
    let program = || store.program(&game("g"), None);
    assert!(matches!(program(), Err(crate::PlayError::NoStart(_))));
    lab.put("g/lanspread.toml", b"start = \"bin/go.exe\"\nargs = [\"-x\"]\n");
    let found = program().unwrap();
    assert_eq!((found.path, found.args), (lab.path("g/local/bin/go.exe"), vec!["-x".to_owned()]));
    for bad in [
        "start = \"../a.eti\"",
        "start = \"/bin/sh\"",
        "start = \"bin\"",
        "start = \"bin/none.exe\"",
        "run = 1",
    ] {
        lab.put("g/lanspread.toml", bad.as_bytes());
        assert!(matches!(program(), Err(crate::PlayError::BadStart { .. })), "{bad}");
    }
}

#[test]
fn unreadable_notes_are_set_aside() {
    let lab = Lab::new();
    let store = lab.open();
    with_archive(20_250_101, &[("game.exe", b"exe")]).download(&store);
    install(&store);
    let notes = lab.path(".lanspread/installed/g/notes");
    let whole = fs::read(&notes).unwrap();
    for len in 0..whole.len() {
        fs::write(&notes, &whole[..len]).unwrap();
        assert_eq!(installed_version(&store), None, "{len} bytes");
    }
    assert!(lab.path(".lanspread/broken/installed-g-notes").exists());
    fs::write(&notes, &whole).unwrap();
    assert_eq!(installed_version(&store), Some(20_250_101));
    let layout = Layout::new(lab.dir.path());
    assert!(!GameIndex::load(&layout, &game("g")).unwrap().files.is_empty());
}
