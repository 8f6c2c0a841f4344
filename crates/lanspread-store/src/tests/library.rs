//! Scanning, hashing and watching.

use std::fs;

use lanspread_core::io::DiskError;
use lanspread_types::ChunkIndex;

use super::lab::{CHUNK, Lab, Version, bytes_for_larger_chunks, game, index, noise, set_age};
use crate::{Cancel, IndexError, OpenError, Store};

#[test]
fn library_opens_only_once() {
    let lab = Lab::new();
    let store = lab.open();
    assert!(matches!(Store::open(lab.dir.path()), Err(OpenError::InUse { .. })));
    drop(store);
    lab.open();
}

/// What a read-only disk would forbid is not tried.
#[test]
fn library_that_cannot_be_written_is_only_read() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &noise(1, CHUNK + 1));
    lab.put("g/local/x", b"x");
    let (before, id) = (lab.tree(""), game("g"));
    let aside = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |at: usize| Store::open_for_reading(lab.dir.path(), aside[at].path()).unwrap();
    let store = open(0);
    assert!(store.scan().unwrap().read_only);
    let (content, _) = index(&store, "g");
    assert!(
        matches!(store.verify(&id, &Cancel::new(), &mut |_, _| {}), Ok(verified) if verified.broken.is_empty())
    );
    assert!(store.chunk_reader(&content, false, ChunkIndex(0)).is_ok());
    let read_only = |error: DiskError| assert!(matches!(error, DiskError::ReadOnly(_)), "{error:?}");
    read_only(store.uninstall(&id).unwrap_err().into());
    read_only(store.remove(&id).unwrap_err().into());

    let beside = open(1);
    assert_eq!(beside.scan().unwrap().games.len(), 1, "others may read it, too");
    let again = Store::open_for_reading(lab.dir.path(), aside[0].path());
    assert!(matches!(again, Err(OpenError::InUse { .. })), "but not with the same folder aside");
    drop(store);
    let known = open(0);
    let mut hashed = 0;
    known.index(&id, &Cancel::new(), &mut |done, _| hashed = done).unwrap();
    assert_eq!(hashed, 0, "hashes are kept");
    assert_eq!(lab.tree(""), before, "nothing is written to the library");
}

#[test]
fn foreign_folder_is_left_alone() {
    let lab = Lab::new();
    lab.put(".lanspread/precious", b"x");
    assert!(matches!(Store::open(lab.dir.path()), Err(OpenError::NotOurs(_))));
    assert_eq!(lab.tree(".lanspread").len(), 1);
    let lab = Lab::new();
    lab.put(".lanspread/format", b"lanspread library 2\n");
    assert!(matches!(Store::open(lab.dir.path()), Err(OpenError::OtherFormat { .. })));
}

/// A folder in the place of a file cannot be read as a file, on any system and by any user.
#[test]
fn unreadable_is_not_missing() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/local/x", b"x");
    lab.put("other/version.ini", b"20250101");
    let store = lab.open();
    lab.put(".lanspread/installed/g/notes/x", b"x");
    let scan = store.scan().unwrap();
    let names: Vec<&str> = scan.games.iter().map(|g| g.game.as_str()).collect();
    assert_eq!(names, ["other"]);
    assert!(scan.unread.contains(&game("g")) && scan.fault.is_some());
    assert!(scan.ignored.iter().any(|folder| folder.name == "g"), "the owner is told");

    lab.put(".lanspread/index/other/x", b"x");
    let error = store.index(&game("other"), &Cancel::new(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, IndexError::Io(_)), "it is not hashed as if nothing were known of it: {error}");
    assert!(store.remove(&game("other")).is_err(), "nor deleted as if all of it were ours");
    assert!(lab.path("other/version.ini").is_file());
    drop(store);

    lab.put(".lanspread/journal/other/x", b"x");
    assert!(matches!(Store::open(lab.dir.path()), Err(OpenError::Io(_))), "an open record is not set aside");
    assert!(lab.path(".lanspread/journal/other/x").is_file());
}

#[test]
fn scan_finds_games_and_explains_the_rest() {
    let lab = Lab::new();
    lab.put("good/version.ini", b"20250101");
    lab.put("good/a.eti", b"12345");
    lab.put("good/LOCAL/save", b"not counted");
    lab.put("played/local/x", b"x");
    lab.put("none/a.eti", b"x");
    lab.put("empty/version.ini", b"");
    lab.put("garbage/version.ini", b"hello");
    lab.put("garbage/local/x", b"x");
    lab.put("nested/inner/version.ini", b"20250101");
    lab.put("spelled/Version.INI", b"20250101");
    lab.put("bad name/version.ini", b"20250101");
    lab.put("file", b"a file is no folder");
    let scan = lab.open().scan().unwrap();
    let row = |g: &lanspread_core::io::ScannedGame| {
        (g.game.to_string(), g.version.is_some(), g.installed, g.files, g.bytes)
    };
    let games: Vec<_> = scan.games.iter().map(row).collect();
    let row = |id: &str, v, i, f, b| (id.to_owned(), v, i, f, b);
    assert_eq!(
        games,
        [row("garbage", false, true, 0, 0), row("good", true, true, 2, 13), row("played", false, true, 0, 0)]
    );
    let ignored: Vec<_> = scan.ignored.iter().map(|i| (i.name.as_str(), i.reason.as_str())).collect();
    let has = |name: &str, part: &str| ignored.iter().any(|(n, reason)| *n == name && reason.contains(part));
    assert!(has("none", "version.ini is missing"), "{ignored:?}");
    assert!(has("empty", "no version found"));
    assert!(has("garbage", "hello"));
    assert!(has("nested", "inner"));
    assert!(has("spelled", "Version.INI"));
    assert!(has("bad name", "ASCII"));
    assert_eq!(ignored.len(), 6);
}

#[cfg(unix)]
#[test]
fn links_are_never_followed() {
    use std::os::unix::fs::symlink;
    let lab = Lab::new();
    let elsewhere = Lab::new();
    elsewhere.put("version.ini", b"20250101");
    symlink(elsewhere.dir.path(), lab.path("linked")).unwrap();
    for (id, target) in [("file", "a.eti"), ("folder", "sub"), ("dangling", "x")] {
        lab.put(&format!("{id}/version.ini"), b"20250101");
        let to = if id == "folder" { elsewhere.path("") } else { elsewhere.path("version.ini") };
        symlink(if id == "dangling" { "/nowhere".into() } else { to }, lab.path(&format!("{id}/{target}")))
            .unwrap();
    }
    lab.put("local-link/version.ini", b"20250101");
    symlink(elsewhere.dir.path(), lab.path("local-link/local")).unwrap();
    let scan = lab.open().scan().unwrap();
    assert_eq!(scan.games.len(), 1, "{scan:?}");
    assert!(!scan.games[0].installed, "a link is no installed game");
    assert_eq!(scan.ignored.iter().filter(|i| i.reason.contains("link")).count(), 4);
}

#[cfg(unix)]
#[test]
fn nonportable_names_refuse_the_game() {
    let lab = Lab::new();
    for (id, name) in [("reserved", "aux.txt"), ("colon", "a:b"), ("case", "A"), ("nfd", "e\u{301}.txt")] {
        lab.put(&format!("{id}/version.ini"), b"20250101");
        lab.put(&format!("{id}/a"), b"x");
        lab.put(&format!("{id}/{name}"), b"x");
    }
    let scan = lab.open().scan().unwrap();
    assert_eq!((scan.games.len(), scan.ignored.len()), (0, 4), "{scan:?}");
}

#[test]
fn stamp_changes_with_name_and_time() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a", b"one");
    lab.put("g/local/x", b"x");
    let store = lab.open();
    let stamp = || store.scan().unwrap().games[0].stamp;
    let first = stamp();
    assert_eq!(first, stamp());
    fs::write(lab.path("g/local/x"), b"played").unwrap();
    assert_eq!(first, stamp(), "the installed game does not count");
    set_age(&lab.path("g/a"), 100);
    let touched = stamp();
    assert_ne!(first, touched);
    fs::rename(lab.path("g/a"), lab.path("g/b")).unwrap();
    assert_ne!(touched, stamp());
}

#[test]
fn hashes_match_files_of_all_sizes() {
    let lab = Lab::new();
    let version = Version::of_odd_sizes(20_250_101);
    version.files.iter().for_each(|(path, content)| lab.put(&format!("g/{path}"), content));
    let (content, hashed) = index(&lab.open(), "g");
    assert_eq!(content, version.content);
    assert_eq!(hashed as usize, content.hashes().len());
}

#[test]
fn unchanged_files_are_not_hashed_again() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &noise(1, 300_000));
    lab.put("g/b.eti", &noise(2, 100));
    let (first, hashed) = index(&lab.open(), "g");
    assert!(hashed > 0);
    let (again, hashed) = index(&lab.open(), "g");
    assert_eq!((again, hashed), (first.clone(), 0), "known after a restart");
    lab.put("g/b.eti", &noise(3, 100));
    set_age(&lab.path("g/b.eti"), 60);
    let (changed, hashed) = index(&lab.open(), "g");
    assert_ne!(changed, first);
    assert_eq!(hashed, 1, "only the changed file");
}

#[test]
fn new_chunk_size_keeps_file_roots() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &noise(1, 3 * CHUNK + 1));
    let store = lab.open();
    let (small, _) = index(&store, "g");
    // The file is sparse and takes no space.
    fs::File::create(lab.path("g/big")).unwrap().set_len(bytes_for_larger_chunks()).unwrap();
    set_age(&lab.path("g/big"), 60);
    let (big, _) = index(&store, "g");
    assert!(big.manifest().chunk_size() > small.manifest().chunk_size());
    assert_eq!(big.manifest().files()[0].root, small.manifest().files()[0].root);
}

#[test]
fn file_changed_just_now_is_not_remembered() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", b"first");
    let store = lab.open();
    // The time is in the future, so that no waiting makes the file old enough.
    let file = fs::File::options().write(true).open(lab.path("g/a.eti")).unwrap();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    file.set_modified(soon).unwrap();
    let (first, _) = index(&store, "g");
    fs::write(lab.path("g/a.eti"), b"other").unwrap();
    file.set_modified(soon).unwrap();
    let (other, _) = index(&store, "g");
    assert_ne!(first, other, "same size, same time, other content");
}

#[test]
fn damaged_index_is_set_aside_and_made_anew() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    let (content, _) = index(&lab.open(), "g");
    let path = lab.path(".lanspread/index/g");
    let whole = fs::read(&path).unwrap();
    for damaged in [Vec::new(), whole[..whole.len() - 1].to_vec(), vec![0xff; whole.len()]] {
        fs::write(&path, &damaged).unwrap();
        let (again, hashed) = index(&lab.open(), "g");
        assert_eq!(again, content);
        assert!(hashed > 0);
        assert_eq!(fs::read(lab.path(".lanspread/broken/index-g")).unwrap(), damaged);
    }
}

#[test]
fn cancelled_hashing_resumes_later() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &noise(1, 3 * CHUNK + 1));
    lab.put("g/b.eti", &noise(2, 3 * CHUNK + 1));
    let store = lab.open();
    let cancel = Cancel::new();
    let mut chunks = 0;
    let outcome = store.index(&game("g"), &cancel, &mut |_, _| {
        chunks += 1;
        if chunks == 5 {
            cancel.cancel();
        }
    });
    assert!(matches!(outcome, Err(IndexError::Cancelled)));
    assert_eq!(chunks, 5, "four of the first file, one of the second");
    let mut rest = 0;
    store.index(&game("g"), &Cancel::new(), &mut |_, _| rest += 1).unwrap();
    assert_eq!(rest, 5, "the second file and the sentinel");
}

#[test]
fn file_changing_during_hashing_is_an_error() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20250101");
    lab.put("g/a.eti", &noise(1, 3 * CHUNK + 1));
    let store = lab.open();
    let path = lab.path("g/a.eti");
    let outcome = store.index(&game("g"), &Cancel::new(), &mut |_, _| set_age(&path, 50));
    assert!(matches!(outcome, Err(IndexError::Changed { .. })), "{outcome:?}");
}

#[test]
fn watch_reports_changes() {
    let lab = Lab::new();
    let store = lab.open();
    let (tell, told) = std::sync::mpsc::channel();
    let watch = store.watch(move || tell.send(()).unwrap_or_default()).unwrap();
    let wait = || told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    lab.put("g/a.eti", b"x");
    wait();
    // The new folder is watched too, or this would go unnoticed.
    lab.put("g/version.ini", b"20250101");
    wait();
    drop(watch);
    assert!(told.recv().is_err() || told.recv().is_err(), "nothing comes after the watch is gone");
}
