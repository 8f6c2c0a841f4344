//! Installing, uninstalling and removing, and what a crash leaves.

use std::collections::BTreeMap;
use std::fs;

use lanspread_core::install::{
    Intent, Plan, Record, plan_commit, plan_install, plan_reinstall, plan_remove, plan_uninstall,
};
use lanspread_types::RelPath;

use super::lab::{Lab, Version, game, noise, rel};
use super::rar5::Rar5;
use crate::execute::Executor;
use crate::fault::Fault;
use crate::layout::Layout;
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
fn install_uninstall_and_remove_keep_to_what_is_theirs() {
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
fn something_called_local_is_in_the_way() {
    let (lab, _) = downloaded();
    lab.put("g/Local", b"a file");
    assert!(matches!(install(&lab.open()), Err(InstallError::Blocked { .. })));
}

#[test]
fn a_game_without_archives_cannot_be_installed() {
    let lab = Lab::new();
    Version::new("g", 20_250_101, &[]).download(&lab.open());
    assert!(matches!(install(&lab.open()), Err(InstallError::NoArchives(_))));
    assert!(lab.leftovers().is_empty());
}

/// The folder of the game after a crash behind each step, and after the next start.
fn crash_everywhere(prepare: &dyn Fn() -> Lab, record: &Record, plan: &Plan) {
    let before = prepare().tree("g");
    let mut after: Option<Tree> = None;
    for count in (0..=plan.steps.len()).rev() {
        let lab = prepare();
        let layout = Layout::new(lab.dir.path());
        let executor = Executor::new(&layout, record);
        for step in &plan.steps[..count] {
            // Each twice: a step that is repeated changes nothing.
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
fn a_crash_in_an_update_leaves_one_version_or_the_other() {
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
fn a_crash_in_an_install_leaves_all_or_nothing() {
    let record = Record { game: game("g"), intent: Intent::Install };
    crash_everywhere(&|| downloaded().0, &record, &plan_install());
}

#[test]
fn a_crash_in_an_uninstall_leaves_all_or_nothing() {
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        lab
    };
    let record = Record { game: game("g"), intent: Intent::Uninstall { folder: rel("local") } };
    crash_everywhere(&prepare, &record, &plan_uninstall(&rel("local")));
}

#[test]
fn a_crash_in_a_removal_leaves_all_or_nothing_of_the_download() {
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
fn a_crash_in_a_reinstall_leaves_the_old_folder_or_the_new_one() {
    let prepare = || {
        let (lab, _) = downloaded();
        with_users_files(&lab);
        lab
    };
    let record = Record { game: game("g"), intent: Intent::Reinstall { folder: rel("local") } };
    crash_everywhere(&prepare, &record, &plan_reinstall(&rel("local")));
}

#[test]
fn a_record_that_cannot_be_read_is_set_aside() {
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
fn nothing_goes_through_a_link() {
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
