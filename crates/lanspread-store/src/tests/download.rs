//! Downloads: writing, resuming, committing, serving.

use std::fs;
use std::sync::Arc;

use lanspread_types::ChunkIndex;

use super::lab::{CHUNK, Lab, Version, index, noise};
use crate::{CommitError, Store, WriteError};

fn chunks(version: &Version) -> u32 {
    version.content.manifest().chunk_count()
}

#[test]
fn download_of_odd_sizes_is_byte_exact() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::of_odd_sizes(20_250_101);
    let incoming = store.open_incoming(&version.content).unwrap();
    assert!(incoming.had().is_empty());
    version.write(&incoming, (0..chunks(&version)).rev());
    let stamp = store.commit(&version.content).unwrap();
    assert_eq!(lab.tree("g"), version.files);
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    assert!(lab.tree(".lanspread/incoming").is_empty());
    assert!(store.incoming(version.game()).is_none());
    let scan = store.scan().unwrap();
    assert_eq!(scan.games[0].stamp, stamp);
    assert_eq!(index(&store, "g"), (Arc::clone(&version.content), 0), "what was downloaded is not hashed");
}

#[test]
fn several_threads_write_at_once() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, 40 * CHUNK + 7))]);
    let incoming = store.open_incoming(&version.content).unwrap();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (incoming, version) = (&incoming, &version);
            // The parts overlap on purpose: a chunk may arrive twice.
            scope.spawn(move || {
                version.write(incoming, (0..chunks(version)).filter(|c| c % 4 == part || c % 7 == 0));
            });
        }
    });
    store.commit(&version.content).unwrap();
    assert_eq!(lab.tree("g"), version.files);
}

#[test]
fn wrong_bytes_are_refused_and_not_written() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::of_odd_sizes(20_250_101);
    let incoming = store.open_incoming(&version.content).unwrap();
    let mut wrong = version.chunk(3);
    wrong[0] ^= 1;
    for bytes in [&wrong[..], &version.chunk(3)[1..], &[]] {
        assert!(matches!(incoming.write_chunk(ChunkIndex(3), bytes), Err(WriteError::Corrupt)));
    }
    assert!(matches!(incoming.write_chunk(ChunkIndex(u32::MAX), &[]), Err(WriteError::Corrupt)));
    assert!(incoming.had().is_empty());
    assert_eq!(lab.tree(".lanspread/incoming").len(), 1, "nothing but the journal");
    assert!(matches!(store.commit(&version.content), Err(CommitError::Incomplete { .. })));
}

#[test]
fn download_resumes_after_a_restart() {
    let lab = Lab::new();
    let version = Version::of_odd_sizes(20_250_101);
    {
        let store = lab.open();
        version.write(&store.open_incoming(&version.content).unwrap(), [1, 4, 5]);
    }
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    assert_eq!(incoming.had().iter().map(|c| c.0).collect::<Vec<_>>(), [1, 4, 5]);
    version.write(&incoming, incoming.had().missing_from(0).map(|c| c.0).collect::<Vec<_>>());
    store.commit(&version.content).unwrap();
    assert_eq!(lab.tree("g"), version.files);
}

/// Rewrites the journal of a download as if an earlier run of the system had written it, without a barrier.
pub fn reboot(lab: &Lab, version: &Version) {
    let path = lab
        .dir
        .path()
        .join(format!(".lanspread/incoming/g/{}/had", &version.content.content_id().to_string()[..16]));
    let id = version.content.content_id();
    let read = crate::download::have::read(&path, id).unwrap().unwrap();
    let mut image = crate::download::have::HaveJournal::image(id, Some([9; 16]), &read.chunks);
    image.truncate(image.len() - 8); // without the barrier
    fs::write(&path, image).unwrap();
}

#[test]
fn power_failure_keeps_only_matching_chunks() {
    let lab = Lab::new();
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, 4 * CHUNK))]);
    version.write(&lab.open().open_incoming(&version.content).unwrap(), [0, 1, 2]);
    reboot(&lab, &version);
    let files =
        lab.path(&format!(".lanspread/incoming/g/{}/files", &version.content.content_id().to_string()[..16]));
    let mut bytes = fs::read(files.join("a.eti")).unwrap();
    bytes[CHUNK as usize..2 * CHUNK as usize].fill(0);
    fs::write(files.join("a.eti"), bytes).unwrap();
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    assert_eq!(incoming.had().iter().map(|c| c.0).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn chunks_of_a_deleted_file_are_forgotten() {
    let lab = Lab::new();
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, CHUNK)), ("b.eti", noise(2, CHUNK))]);
    version.write(&lab.open().open_incoming(&version.content).unwrap(), 0..3);
    fs::remove_file(lab.path(&format!(
        ".lanspread/incoming/g/{}/files/a.eti",
        &version.content.content_id().to_string()[..16]
    )))
    .unwrap();
    let incoming = lab.open().open_incoming(&version.content).unwrap();
    assert_eq!(incoming.had().iter().map(|c| c.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn dropped_download_is_kept_unless_discarded() {
    let lab = Lab::new();
    let version = Version::of_odd_sizes(20_250_101);
    let store = lab.open();
    let id = version.content.content_id();
    version.write(&store.open_incoming(&version.content).unwrap(), [2]);
    store.drop_incoming(version.game(), id, false).unwrap();
    assert!(store.incoming(version.game()).is_none());
    assert_eq!(store.open_incoming(&version.content).unwrap().had().count(), 1);
    store.drop_incoming(version.game(), id, true).unwrap();
    assert!(lab.tree(".lanspread/incoming").is_empty());
    assert!(store.open_incoming(&version.content).unwrap().had().is_empty());
}

fn read_all(store: &Store, version: &Version, incoming: bool, chunk: u32) -> Option<Vec<u8>> {
    let mut reader = store.chunk_reader(&version.content, incoming, ChunkIndex(chunk)).ok()?;
    let mut bytes = vec![0; reader.len() as usize];
    // Read two pieces, the second one first.
    let middle = bytes.len() / 2;
    let (left, right) = bytes.split_at_mut(middle);
    reader.read_at(middle as u64, right).unwrap();
    reader.read_at(0, left).unwrap();
    assert!(reader.read_at(1, &mut vec![0; reader.len() as usize]).is_err(), "beyond the end of the chunk");
    Some(bytes)
}

#[test]
fn chunks_are_served_during_and_after_download() {
    let lab = Lab::new();
    let store = lab.open();
    let version = Version::of_odd_sizes(20_250_101);
    let incoming = store.open_incoming(&version.content).unwrap();
    version.write(&incoming, [0, 4]);
    assert_eq!(read_all(&store, &version, true, 4), Some(version.chunk(4)));
    assert_eq!(read_all(&store, &version, true, 3), None, "not there yet");
    version.write(&incoming, 0..chunks(&version));
    let mut early = store.chunk_reader(&version.content, true, ChunkIndex(5)).unwrap();
    store.commit(&version.content).unwrap();
    for chunk in 0..chunks(&version) {
        for incoming in [true, false] {
            assert_eq!(read_all(&store, &version, incoming, chunk), Some(version.chunk(chunk)));
        }
    }
    let mut bytes = vec![0; early.len() as usize];
    early.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, version.chunk(5), "a reader outlives the commit");
    fs::write(lab.path("g/sub1/f1"), b"longer now").unwrap();
    store.scan().unwrap();
    assert_eq!(read_all(&store, &version, false, 0), None, "a file of another size is not served");
}

#[test]
fn update_keeps_the_users_files() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new(
        "g",
        20_250_101,
        &[("a.eti", noise(1, 9)), ("old/x", noise(2, 9)), ("b/c", noise(3, 9))],
    );
    old.download(&store);
    lab.put("g/local/save", b"played");
    lab.put("g/notes.txt", b"mine");
    let new =
        Version::new("g", 20_250_202, &[("a.eti", noise(4, 9)), ("b", noise(5, 9)), ("new/x", noise(6, 9))]);
    new.download(&store);
    let mut expected = new.files.clone();
    expected.insert("local/save".to_owned(), b"played".to_vec());
    expected.insert("notes.txt".to_owned(), b"mine".to_vec());
    assert_eq!(lab.tree("g"), expected);
    assert!(!lab.path("g/old").exists(), "an empty folder goes too");
    assert_eq!(index(&store, "g"), (Arc::clone(&new.content), 0), "the user's notes are no part of the game");
}

#[test]
fn blocked_commit_is_rolled_back() {
    let lab = Lab::new();
    let store = lab.open();
    let old = Version::new("g", 20_250_101, &[("a.eti", noise(1, 9)), ("b.eti", noise(2, 9))]);
    old.download(&store);
    // A folder of the user is in the place of a file of the new version.
    lab.put("g/z/mine", b"mine");
    let before = lab.tree("g");
    let new = Version::new("g", 20_250_202, &[("a.eti", noise(4, 9)), ("z", noise(5, 9))]);
    let incoming = store.open_incoming(&new.content).unwrap();
    new.write(&incoming, 0..chunks(&new));
    assert!(matches!(store.commit(&new.content), Err(CommitError::Io(_))));
    assert_eq!(lab.tree("g"), before, "old version whole");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    fs::remove_dir_all(lab.path("g/z")).unwrap();
    store.commit(&new.content).unwrap();
    assert_eq!(lab.tree("g"), new.files);
}

#[test]
fn update_removes_unknown_archives() {
    let lab = Lab::new();
    lab.put("g/version.ini", b"20240101");
    lab.put("g/stale.eti", b"would be installed");
    lab.put("g/readme.txt", b"stays");
    let version = Version::new("g", 20_250_101, &[("a.eti", noise(1, 9))]);
    version.download(&lab.open());
    let names: Vec<String> = lab.tree("g").into_keys().collect();
    assert_eq!(names, ["a.eti", "readme.txt", "version.ini"]);
    assert_eq!(fs::read(lab.path("g/version.ini")).unwrap(), b"20250101");
}

#[test]
fn other_downloads_of_the_game_are_kept() {
    let lab = Lab::new();
    let store = lab.open();
    let (one, two) = (Version::of_odd_sizes(20_250_101), Version::of_odd_sizes(20_250_202));
    one.write(&store.open_incoming(&one.content).unwrap(), [1]);
    two.write(&store.open_incoming(&two.content).unwrap(), [2, 3]);
    assert_eq!(store.open_incoming(&one.content).unwrap().had().count(), 1);
    assert_eq!(store.open_incoming(&two.content).unwrap().had().count(), 2);
}
