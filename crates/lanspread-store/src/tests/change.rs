//! Installing, uninstalling and removing, and recovery from crashes in between.

use std::collections::BTreeMap;
use std::fs;

use lanspread_core::install::{
    Intent, Plan, Record, plan_commit, plan_install, plan_reinstall, plan_remove, plan_uninstall,
};
use lanspread_types::RelPath;

use super::lab::{Lab, Version, game, noise, rel};
use super::rar5::Rar5;
use crate::change::execute::Executor;
use crate::fs::fault::Fault;
use crate::fs::layout::Layout;
use crate::{Cancel, InstallError, RarUnpacker, RemoveError, Store, UninstallError};

type Tree = BTreeMap<String, Vec<u8>>;

pub fn downloaded() -> (Lab, Version) {
    let lab = Lab::new();
    let archive = Rar5::new().file("game.exe", b"exe").finish();
    let version = Version::new("g", 20_250_101, &[("a.eti", archive), ("sub/b.txt", noise(1, 9))]);
    version.download(&lab.open());
    (lab, version)
}

fn install(store: &Store) -> Result<(), InstallError> {
    store.install(&game("g"), &RarUnpacker, &Cancel::new(), Box::new(|_, _| {}))
}

#[test]
fn changes_keep_files_that_are_not_theirs() {
    let (lab, version) = downloaded();
    let store = lab.open();
    lab.put("g/mine.txt", b"mine");
    install(&store).unwrap();
    assert!(matches!(install(&store), Err(InstallError::AlreadyInstalled(_))));
    assert_eq!(lab.tree("g/local").len(), 1);
    store.uninstall(&game("g")).unwrap();
    assert!(!lab.path("g/local").exists());
    assert!(matches!(store.uninstall(&game("g")), Err(UninstallError::NotInstalled(_))));
    let files = lab.tree("g");
    assert!(version.files.iter().all(|(path, content)| files.get(path) == Some(content)));
    install(&store).unwrap();
    store.remove(&game("g")).unwrap();
    let names: Vec<String> = lab.tree("g").into_keys().collect();
    assert_eq!(names, ["local/game.exe", "mine.txt"], "the installed game and the user's file stay");
    assert!(matches!(store.remove(&game("g")), Err(RemoveError::NotDownloaded(_))));
    assert!(matches!(install(&store), Err(InstallError::NotDownloaded(_))));
    fs::remove_file(lab.path("g/mine.txt")).unwrap();
    store.uninstall(&game("g")).unwrap();
    assert!(!lab.path("g").exists(), "an empty folder goes too");
    assert!(lab.leftovers().is_empty());
}

#[test]
fn file_named_local_blocks_the_install() {
    let (lab, _) = downloaded();
    lab.put("g/Local", b"a file");
    assert!(matches!(install(&lab.open()), Err(InstallError::Blocked { .. })));
}

#[test]
fn game_without_archives_cannot_be_installed() {
    let lab = Lab::new();
    Version::new("g", 20_250_101, &[]).download(&lab.open());
    assert!(matches!(install(&lab.open()), Err(InstallError::NoArchives(_))));
    assert!(lab.leftovers().is_empty());
}

/// Crashes behind each step of a plan, restarts, and checks that the game's folder is in the old or the new state.
fn crash_everywhere(prepare: &dyn Fn() -> Lab, record: &Record, plan: &Plan) {
    let before = prepare().tree("g");
    let mut after: Option<Tree> = None;
    for count in (0..=plan.steps.len()).rev() {
        let lab = prepare();
        let layout = Layout::new(lab.dir.path());
        let executor = Executor::new(&layout, record);
        for step in &plan.steps[..count] {
            // Repeating a step changes nothing.
            for _ in 0..2 {
                let mut unpack = |staging: &std::path::Path| {
                    fs::create_dir_all(staging.join("local")).unwrap();
                    fs::write(staging.join("local/game.exe"), b"exe").unwrap();
                    Ok::<(), Fault>(())
                };
                executor.step(step, &mut unpack).unwrap();
            }
        }
        let store = lab.open();
        let now = lab.tree("g");
        assert!(lab.leftovers().is_empty(), "after {count} steps: {:?}", lab.leftovers());
        assert!(store.scan().unwrap().ignored.is_empty());
        let after = after.get_or_insert(now.clone());
        let visible = plan.commit.is_some_and(|commit| count > commit);
        assert!(
            now == *after || (now == before && !visible),
            "a third state after {count} steps: {:?}",
            now.keys()
        );
    }
    assert_ne!(after, Some(before));
}

pub fn with_users_files(lab: &Lab) {
    lab.put("g/local/save", b"played");
}

#[test]
fn crash_in_update_leaves_one_whole_version() {
    let new =
        Version::new("g", 20_250_202, &[("a.eti", noise(4, 9)), ("new/x", noise(5, 9)), ("zero", vec![])]);
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        let store = lab.open();
        let incoming = store.open_incoming(&new.content).unwrap();
        new.write(&incoming, 0..new.content.manifest().chunk_count());
        incoming.finish().unwrap();
        lab
    };
    let names = |version: &Version| version.files.keys().map(|p| rel(p)).collect::<Vec<RelPath>>();
    let (new_files, old_files) = (names(&new), names(&downloaded().1));
    let intent =
        Intent::Commit { content: new.content.content_id(), new: new_files.clone(), old: old_files.clone() };
    crash_everywhere(&prepare, &Record { game: game("g"), intent }, &plan_commit(&new_files, &old_files));
}

#[test]
fn crash_in_install_leaves_all_or_nothing() {
    let record = Record { game: game("g"), intent: Intent::Install };
    crash_everywhere(&|| downloaded().0, &record, &plan_install());
}

#[test]
fn crash_in_uninstall_leaves_all_or_nothing() {
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        lab
    };
    let record = Record { game: game("g"), intent: Intent::Uninstall { folder: rel("local") } };
    crash_everywhere(&prepare, &record, &plan_uninstall(&rel("local")));
}

#[test]
fn crash_in_removal_leaves_all_or_nothing() {
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        lab
    };
    let files: Vec<RelPath> = downloaded().1.files.keys().map(|p| rel(p)).collect();
    let record = Record { game: game("g"), intent: Intent::Remove { files: files.clone() } };
    crash_everywhere(&prepare, &record, &plan_remove(&files));
}

#[test]
fn crash_in_reinstall_leaves_one_whole_folder() {
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        lab
    };
    let record = Record { game: game("g"), intent: Intent::Reinstall { folder: rel("local") } };
    crash_everywhere(&prepare, &record, &plan_reinstall(&rel("local")));
}

#[test]
fn unreadable_record_is_set_aside() {
    let (lab, version) = downloaded();
    lab.put(".lanspread/journal/g", b"garbage");
    lab.put(".lanspread/staging/g/local/x", b"left");
    let store = lab.open();
    assert_eq!(lab.tree("g"), version.files);
    assert!(lab.path(".lanspread/broken/journal-g").exists());
    assert!(!lab.path(".lanspread/staging/g").exists());
    install(&store).unwrap();
}

#[cfg(unix)]
#[test]
fn commit_never_follows_a_link() {
    let lab = Lab::new();
    let elsewhere = Lab::new();
    let store = lab.open();
    fs::create_dir(lab.path("g")).unwrap();
    std::os::unix::fs::symlink(elsewhere.dir.path(), lab.path("g/sub")).unwrap();
    let version = Version::new("g", 20_250_101, &[("sub/x", noise(1, 9))]);
    let incoming = store.open_incoming(&version.content).unwrap();
    version.write(&incoming, 0..version.content.manifest().chunk_count());
    store.commit(&version.content).unwrap_err();
    assert!(elsewhere.tree("").is_empty());
    assert!(lab.leftovers().is_empty());
}
