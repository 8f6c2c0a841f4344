//! Unpacking of archives while they arrive: waiting for chunks, stopping, and what a failure leaves behind.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use lanspread_types::{ChunkIndex, ChunkSet};

use super::lab::{CHUNK, Lab, Version, game, noise};
use super::rar5::Rar5;
use crate::{Cancel, InstallError, RarUnpacker, ReleasedChunks, Store, UnpackAhead, UnpackError};

/// Generous: only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

fn install(store: &Store) -> Result<(), InstallError> {
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {}))
}

/// Size of a file whose archive takes seven chunks.
const PACKED_BYTES: u64 = 6 * CHUNK + CHUNK / 8;

/// Returns a game of two archives with a file in common, and a manual of two chunks before them.
fn two_archives() -> Version {
    let first = Rar5::new().file("a.bin", &noise(1, PACKED_BYTES)).file("both", b"first").finish();
    let second = Rar5::new().file("b.bin", &noise(2, PACKED_BYTES)).file("both", b"second").finish();
    let manual = ("a-manual.txt", noise(3, CHUNK + CHUNK / 2));
    Version::new("g", 20_250_101, &[manual, ("b.eti", first), ("c.ETI", second)])
}

fn damaged() -> Version {
    let archive = Rar5::new()
        .file("fine", &noise(1, PACKED_BYTES))
        .damaged("broken", &noise(2, CHUNK + CHUNK / 2))
        .finish();
    Version::new("g", 20_250_101, &[("a.eti", archive)])
}

/// Returns an unpacker's progress callback, and the receiver of its reports.
fn told() -> (ReleasedChunks, Receiver<u32>) {
    let (tell, told) = channel();
    let passed = move |chunk: ChunkIndex| {
        // A test that has dropped the receiver needs no further reports.
        let _ = tell.send(chunk.0);
    };
    (Box::new(passed), told)
}

/// Waits until the unpacker no longer needs the chunks below `chunk`.
fn await_passed(told: &Receiver<u32>, chunk: u32) {
    while told.recv_timeout(PATIENCE).expect("the unpacker comes so far") < chunk {}
}

/// Cancels when a test fails, which would otherwise wait forever for the unpacker's thread.
struct CancelOnDrop<'a>(&'a Cancel);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn chunks(version: &Version) -> u32 {
    version.content.manifest().chunk_count()
}

// ---- unpacking a download ahead

/// Opens a download, writes all of its chunks, and registers it for unpacking ahead.
fn arrived(store: &Store, version: &Version) -> UnpackAhead {
    let incoming = store.open_incoming(&version.content).unwrap();
    version.write(&incoming, 0..chunks(version));
    store.begin_ahead(&version.content, &Cancel::new()).unwrap()
}

#[test]
fn download_is_unpacked_as_it_arrives() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    let (passed, told) = told();
    thread::scope(|scope| {
        let run = store.begin_ahead(&version.content, &Cancel::new()).unwrap();
        scope.spawn(|| {
            let run = run;
            store.unpack_ahead(&run, passed);
        });
        // Chunks arrive out of order, and chunk 8 is missing: the unpacker must wait for it.
        version.write(&incoming, (0..8).rev());
        await_passed(&told, 8);
        version.write(&incoming, (9..chunks(&version)).rev());
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "chunk 8 is not there");
        version.write(&incoming, [8]);
        assert!(!lab.path("g").exists());
        store.commit(&version.content).unwrap();
        assert!(!lab.path("g/local").exists(), "shown by the install alone");
        install(&store).unwrap();
    });
    let local = lab.tree("g/local");
    assert_eq!(local.len(), 3);
    assert!(local["a.bin"] == noise(1, PACKED_BYTES) && local["b.bin"] == noise(2, PACKED_BYTES));
    assert_eq!(local["both"], b"second", "the later archive wins");
    assert_eq!(lab.leftovers(), [""; 0]);
}

#[test]
fn install_uses_files_unpacked_ahead() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    store.unpack_ahead(&arrived(&store, &version), told().0);
    std::fs::write(lab.path(".lanspread/staging/g/local/mark"), b"was here").unwrap();
    store.commit(&version.content).unwrap();
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local")["mark"], b"was here");
}

#[test]
fn commit_can_overtake_the_unpacker() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let run = arrived(&store, &version);
    store.commit(&version.content).unwrap();
    store.unpack_ahead(&run, told().0);
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local").len(), 3);
    assert!(!lab.path(".lanspread/incoming/g").exists(), "nothing was made where the download had been");
}

#[test]
fn dropping_a_download_stops_the_unpacker() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    let (passed, told) = told();
    thread::scope(|scope| {
        let run = store.begin_ahead(&version.content, &Cancel::new()).unwrap();
        scope.spawn(|| {
            let run = run;
            store.unpack_ahead(&run, passed);
        });
        version.write(&incoming, 0..6);
        await_passed(&told, 6);
        store.drop_incoming(&game("g"), version.content.content_id(), false).unwrap();
        assert_eq!(lab.leftovers(), [""; 0], "already when the call returns");
    });
    assert!(!lab.path("g").exists());
    version.download(&store);
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local").len(), 3);
}

#[test]
fn crash_while_unpacking_ahead_keeps_the_chunks() {
    let (lab, version) = (Lab::new(), two_archives());
    {
        let store = lab.open();
        store.unpack_ahead(&arrived(&store, &version), told().0);
        assert!(!lab.leftovers().is_empty());
        // The store is dropped without ending the unpacker, as in a crash.
    }
    let store = lab.open();
    assert_eq!(lab.leftovers(), [""; 0]);
    let incoming = store.open_incoming(&version.content).unwrap();
    assert!(incoming.had().is_full(), "and the chunks are all there");
    let run = store.begin_ahead(&version.content, &Cancel::new()).unwrap();
    store.unpack_ahead(&run, told().0);
    store.commit(&version.content).unwrap();
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local").len(), 3);
}

#[test]
fn damaged_archive_fails_every_install_alike() {
    let (lab, version) = (Lab::new(), damaged());
    let store = lab.open();
    store.unpack_ahead(&arrived(&store, &version), told().0);
    store.commit(&version.content).unwrap();
    for attempt in ["from ahead", "anew"] {
        let error = install(&store).unwrap_err();
        let named = matches!(&error, InstallError::Archive { archive, error: UnpackError::Damaged { entry, .. } }
            if archive.as_str() == "a.eti" && entry == "broken");
        assert!(named, "{attempt}: {error}");
        assert!(!lab.path("g/local").exists());
        assert_eq!(lab.leftovers(), [""; 0], "{attempt}");
    }
    assert!(lab.path("g/a.eti").exists(), "the download stays");
}

#[test]
fn rar4_archive_is_unpacked_after_the_download() {
    let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar29);
    builder.add_bytes(b"old.bin".to_vec(), noise(4, 3 * CHUNK), None, None).unwrap();
    let version = Version::new("g", 20_250_101, &[("a.eti", builder.to_bytes().unwrap())]);
    let lab = Lab::new();
    let store = lab.open();
    store.unpack_ahead(&arrived(&store, &version), told().0);
    store.commit(&version.content).unwrap();
    install(&store).unwrap();
    assert_eq!(lab.tree("g/local")["old.bin"], noise(4, 3 * CHUNK));
}

#[test]
fn cancelled_install_stops_the_unpacker() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let run = arrived(&store, &version);
    store.commit(&version.content).unwrap();
    let (cancel, ahead_is_at) = (Cancel::new(), told());
    let outcome = thread::scope(|scope| {
        let job = scope.spawn(|| store.install(&game("g"), &RarUnpacker, &cancel, Box::new(|_, _| {})));
        // The unpacker's first report cancels the install.
        let stop = cancel.clone();
        let mut tell = ahead_is_at.0;
        let held = move |chunk| {
            stop.cancel();
            tell(chunk);
        };
        store.unpack_ahead(&run, Box::new(held));
        job.join().unwrap()
    });
    assert!(matches!(outcome, Err(InstallError::Cancelled)), "{outcome:?}");
    assert!(!lab.path("g/local").exists());
    assert_eq!(lab.leftovers(), [""; 0]);
    install(&store).unwrap();
}

// ---- streamed installs

/// Streams a version in order, dropping chunks that were unpacked. Returns the outcome, and the number of slots made.
fn stream(store: &Store, version: &Version, window: u32) -> (Result<(), InstallError>, u32) {
    stream_needed(store, version, window, &crate::Spool::unneeded(&version.content))
}

fn stream_needed(
    store: &Store,
    version: &Version,
    window: u32,
    unneeded: &ChunkSet,
) -> (Result<(), InstallError>, u32) {
    let spool = store.open_spool(&version.content).unwrap();
    let (passed, told) = told();
    let cancel = Cancel::new();
    let outcome = thread::scope(|scope| {
        let job = scope.spawn(|| store.stream_install(&spool, &cancel, passed));
        let mut below = 0;
        for chunk in unneeded.missing_from(0) {
            while chunk.0 >= below + window {
                let Ok(now) = told.recv_timeout(PATIENCE) else { break };
                below = now;
                spool.drop_below(ChunkIndex(below));
            }
            // Writing a chunk twice does no harm.
            spool.write_chunk(chunk, &version.chunk(chunk.0)).unwrap();
            spool.write_chunk(chunk, &version.chunk(chunk.0)).unwrap();
        }
        job.join().unwrap()
    });
    (outcome, spool.slots_made())
}

#[test]
fn streaming_leaves_only_the_installed_game() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let (outcome, slots) = stream(&store, &version, 4);
    outcome.unwrap();
    let files: Vec<String> = lab.tree("g").into_keys().collect();
    assert_eq!(files, ["local/a.bin", "local/b.bin", "local/both"]);
    assert_eq!(lab.tree("g/local")["both"], b"second");
    assert!(slots <= 6, "{slots} slots for a window of 4, one that is read and one that comes twice");
    assert_eq!(lab.leftovers(), [""; 0]);
    let scan = store.scan().unwrap();
    assert_eq!(scan.games.iter().map(|g| (g.installed, g.version)).collect::<Vec<_>>(), [(true, None)]);
}

#[test]
fn streamed_game_keeps_its_start_and_cover() {
    let archive = Rar5::new().file("go.sh", b"#!/bin/sh");
    let text = b"title = \"Great Game\"\nstart = \"go.sh\"\n";
    let picture = noise(4, 3 * CHUNK + CHUNK / 2);
    let files: [(&str, Vec<u8>); 5] = [
        ("cover.png", picture.clone()),
        ("g.eti", archive.finish()),
        ("extra/cover.png", picture.clone()),
        ("lanspread.toml", text.to_vec()),
        ("manual.txt", noise(5, 2 * CHUNK)),
    ];
    let version = Version::new("g", 20_250_101, &files);
    let lab = Lab::new();
    let store = lab.open();
    let unneeded = crate::unneeded_chunks(&version.content);
    assert!(!unneeded.is_empty(), "not every file is fetched");
    stream_needed(&store, &version, 4, &unneeded).0.unwrap();
    assert_eq!(lab.tree("g").into_keys().collect::<Vec<_>>(), ["local/go.sh"]);
    let kept = lab.tree(".lanspread/streamed/g");
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["cover.png", "lanspread.toml"]);
    assert!(kept["cover.png"] == picture && kept["lanspread.toml"] == text);
    assert!(store.program(&game("g"), None).unwrap().path.ends_with("g/local/go.sh"));

    store.uninstall(&game("g")).unwrap();
    assert!(!lab.path(".lanspread/streamed/g").exists(), "they go with the game");
}

#[test]
fn refused_stream_leaves_no_files_beside() {
    let damaged = Rar5::new().file("fine", b"one").damaged("broken", b"two").finish();
    let files: [(&str, Vec<u8>); 2] = [("cover.png", vec![7; 1000]), ("g.eti", damaged)];
    let version = Version::new("g", 20_250_101, &files);
    let lab = Lab::new();
    let store = lab.open();
    let unneeded = crate::unneeded_chunks(&version.content);
    stream_needed(&store, &version, 4, &unneeded).0.unwrap_err();
    assert!(!lab.path(".lanspread/streamed/g").exists());
}

#[test]
fn files_of_a_cut_off_stream_are_deleted_at_the_next_start() {
    let lab = Lab::new();
    drop(lab.open());
    lab.put(".lanspread/streamed/cut/cover.png", b"half");
    lab.put(".lanspread/streamed/here/cover.png", b"whole");
    lab.put("here/local/go.sh", b"#!/bin/sh");
    drop(lab.open());
    assert!(!lab.path(".lanspread/streamed/cut").exists());
    assert!(lab.path(".lanspread/streamed/here/cover.png").exists());
}

#[test]
fn streaming_deletes_an_earlier_download() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let incoming = store.open_incoming(&version.content).unwrap();
    version.write(&incoming, 0..5);
    drop(incoming);
    store.drop_incoming(&game("g"), version.content.content_id(), false).unwrap();
    assert!(lab.path(".lanspread/incoming/g").exists());
    stream(&store, &version, 50).0.unwrap();
    assert!(!lab.path(".lanspread/incoming/g").exists());
}

#[test]
fn damaged_archive_undoes_a_streamed_install() {
    let (lab, version) = (Lab::new(), damaged());
    let store = lab.open();
    let (outcome, _) = stream(&store, &version, 4);
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("a.eti") && error.to_string().contains("broken"), "{error}");
    assert!(!lab.path("g").exists());
    assert_eq!(lab.leftovers(), [""; 0]);
}

#[test]
fn bomb_is_not_streamed_without_consent() {
    let half = 1 << 30;
    let archive = Rar5::new().file("a", b"small").stating("b", half, b"zeros").stating("c", half, b"zeros");
    let version = Version::new("g", 20_250_101, &[("a.eti", archive.finish())]);
    let lab = Lab::new();
    let store = lab.open();
    let (streamed, _) = stream(&store, &version, 32);
    let refused = matches!(&streamed, Err(InstallError::Archive { error: UnpackError::Damaged { .. }, .. }));
    assert!(refused, "the first of them fits and lies: {streamed:?}");
    let archive = Rar5::new().file("a", b"small").stating("b", 2 * half, b"zeros");
    let version = Version::new("h", 20_250_101, &[("a.eti", archive.finish())]);
    let (streamed, _) = stream(&store, &version, 32);
    assert!(
        matches!(streamed, Err(InstallError::Large { packed: 1.., unpacked }) if unpacked == 2 * half + 5)
    );
    assert!(!lab.path("g/local").exists() && !lab.path("h/local").exists() && lab.leftovers().is_empty());
}

/// Unpacking ahead does not fill the disk either; the install then reports the unpacked size.
#[test]
fn bomb_is_not_unpacked_ahead() {
    let archive = Rar5::new().stating("zeros", 3 << 30, b"zeros").finish();
    let version = Version::new("g", 20_250_101, &[("a.eti", archive)]);
    let lab = Lab::new();
    let store = lab.open();
    store.unpack_ahead(&arrived(&store, &version), told().0);
    assert_eq!(lab.leftovers(), [""; 0]);
    store.commit(&version.content).unwrap();
    let refused = install(&store);
    assert!(matches!(refused, Err(InstallError::Large { packed: 1.., unpacked }) if unpacked == 3 << 30));
    assert!(!lab.path("g/local").exists() && lab.path("g/a.eti").exists());
}

#[test]
fn cancelled_stream_can_be_repeated() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let spool = store.open_spool(&version.content).unwrap();
    let (cancel, (passed, told)) = (Cancel::new(), told());
    let outcome = thread::scope(|scope| {
        let job = scope.spawn(|| store.stream_install(&spool, &cancel, passed));
        let _ended = CancelOnDrop(&cancel);
        (0..6).for_each(|c| spool.write_chunk(ChunkIndex(c), &version.chunk(c)).unwrap());
        await_passed(&told, 6);
        cancel.cancel();
        job.join().unwrap()
    });
    assert!(matches!(outcome, Err(InstallError::Cancelled)), "{outcome:?}");
    drop(spool);
    assert!(!lab.path("g").exists());
    assert_eq!(lab.leftovers(), [""; 0]);
    stream(&store, &version, 8).0.unwrap();
}

#[test]
fn crash_while_streaming_is_undone_at_the_start() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let spool = store.open_spool(&version.content).unwrap();
    let (cancel, (passed, told)) = (Cancel::new(), told());
    thread::scope(|scope| {
        scope.spawn(|| store.stream_install(&spool, &cancel, passed));
        let _ended = CancelOnDrop(&cancel);
        (0..6).for_each(|c| spool.write_chunk(ChunkIndex(c), &version.chunk(c)).unwrap());
        await_passed(&told, 6);
        // A killed process would leave the record, the staging folder and the spool.
        let copy = Lab::new();
        copy_tree(&lab, &copy);
        assert!(copy.leftovers().len() >= 3, "{:?}", copy.leftovers());
        let reopened = copy.open();
        assert!(!copy.path("g").exists());
        assert_eq!(copy.leftovers(), [""; 0]);
        stream(&reopened, &version, 8).0.unwrap();
    });
}

fn copy_tree(from: &Lab, to: &Lab) {
    for (path, content) in from.tree("").into_iter().filter(|(path, _)| !path.ends_with("/lock")) {
        to.put(&path, &content);
    }
}

#[test]
fn installed_game_is_not_streamed_over() {
    let (lab, version) = (Lab::new(), two_archives());
    lab.put("g/local/save.dat", b"the user's");
    let store = lab.open();
    let spool = store.open_spool(&version.content).unwrap();
    let refused = store.stream_install(&spool, &Cancel::new(), told().0);
    assert!(matches!(refused, Err(InstallError::AlreadyInstalled(_))), "{refused:?}");
    assert_eq!(
        lab.tree("g").into_iter().collect::<Vec<_>>(),
        [("local/save.dat".to_owned(), b"the user's".to_vec())]
    );
}

#[test]
fn served_chunk_keeps_its_slot() {
    let (lab, version) = (Lab::new(), two_archives());
    let store = lab.open();
    let spool = store.open_spool(&version.content).unwrap();
    let put = |c: u32| spool.write_chunk(ChunkIndex(c), &version.chunk(c)).unwrap();
    (2..5).for_each(put);
    let mut reader = store.chunk_reader(&version.content, true, ChunkIndex(3)).unwrap();
    spool.drop_below(ChunkIndex(5));
    assert!(store.chunk_reader(&version.content, true, ChunkIndex(3)).is_err());
    (5..9).for_each(put);
    assert_eq!(spool.slots_made(), 5, "two places were used again, the one that is read was not");
    let mut bytes = vec![0; reader.len() as usize];
    reader.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, version.chunk(3));
    drop(reader);
    put(9);
    assert_eq!(spool.slots_made(), 5);
    assert!(spool.write_chunk(ChunkIndex(10), b"not the chunk").is_err());
}
