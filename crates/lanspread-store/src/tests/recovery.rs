//! Generates the recovery table in `docs/disk.md`, and fails if the file differs. For the table, the test interrupts
//! every plan after each of its steps on real folders and notes what the next start does.
//!
//! `UPDATE_DOCS=1 cargo test -p lanspread-store recovery` updates the table.

use std::fs;
use std::path::Path;

use lanspread_core::install::{
    Area, Intent, Place, Plan, Record, Step, plan_commit, plan_install, plan_reinstall, plan_remove,
    plan_uninstall, recover,
};
use lanspread_types::RelPath;

use super::change::{downloaded, with_users_files};
use super::lab::{Lab, Version, game, noise, rel};
use crate::change::execute::Executor;
use crate::fs::fault::Fault;
use crate::fs::layout::Layout;

/// A kind of change, and a library to make it in.
struct Change {
    name: &'static str,
    prepare: fn() -> Lab,
    plan: Plan,
    intent: Intent,
}

fn installed() -> Lab {
    let (lab, _) = downloaded();
    with_users_files(&lab);
    lab
}

fn new_version() -> Version {
    Version::new("g", 20_250_202, &[("a.eti", noise(4, 9)), ("sub/b.txt", noise(1, 9))])
}

fn ready_to_commit() -> Lab {
    let lab = installed();
    let (store, new) = (lab.open(), new_version());
    let incoming = store.open_incoming(&new.content).unwrap();
    new.write(&incoming, 0..new.content.manifest().chunk_count());
    incoming.finish().unwrap();
    drop(store);
    lab
}

fn changes() -> Vec<Change> {
    // Both versions have the same `sub/b.txt`, so it stays in place.
    let new = vec![rel("a.eti"), rel("version.ini")];
    let old = new.clone();
    let content = new_version().content.content_id();
    let files: Vec<RelPath> = downloaded().1.files.keys().map(|p| rel(p)).collect();
    let local = || rel("local");
    vec![
        Change {
            name: "commit of an update",
            prepare: ready_to_commit,
            plan: plan_commit(&new, &old),
            intent: Intent::Commit { content, new, old },
        },
        Change { name: "install", prepare: || downloaded().0, plan: plan_install(), intent: Intent::Install },
        Change {
            name: "install in the place of another version",
            prepare: installed,
            plan: plan_reinstall(&local()),
            intent: Intent::Reinstall { folder: local() },
        },
        Change {
            name: "uninstall",
            prepare: installed,
            plan: plan_uninstall(&local()),
            intent: Intent::Uninstall { folder: local() },
        },
        Change {
            name: "removal of the download",
            prepare: installed,
            plan: plan_remove(&files),
            intent: Intent::Remove { files },
        },
    ]
}

fn place(place: &Place) -> String {
    let area = match place.area {
        Area::Game => "game",
        Area::Incoming => "incoming",
        Area::Trash => "trash",
        Area::Staging => "staging",
    };
    place.path.as_ref().map_or_else(|| area.to_owned(), |path| format!("{area}/{path}"))
}

fn words(step: &Step) -> String {
    match step {
        Step::WriteRecord => "write the record".to_owned(),
        Step::Unpack => "unpack into staging".to_owned(),
        Step::Move { from, to } => format!("`{}` to `{}`", place(from), place(to)),
        Step::SetAside(path) => format!("`game/{path}` to the trash"),
        Step::Delete(area) => format!("delete `{}`", place(&Place::root(*area))),
        Step::Prune(folder) => format!("remove `{}` if it is empty", place(folder)),
        Step::ForgetRecord => "forget the record".to_owned(),
    }
}

fn do_steps(lab: &Lab, record: &Record, steps: &[Step]) {
    let layout = Layout::new(lab.dir.path());
    let executor = Executor::new(&layout, record);
    for step in steps {
        let mut unpack = |staging: &Path| {
            fs::create_dir_all(staging.join("local")).unwrap();
            fs::write(staging.join("local/game.exe"), b"exe").unwrap();
            Ok::<(), Fault>(())
        };
        executor.step(step, &mut unpack).unwrap();
    }
}

/// Returns what the next start does after the first `count` steps, and which state that leaves.
fn outcome(change: &Change, count: usize) -> (String, &'static str) {
    let record = Record { game: game("g"), intent: change.intent.clone() };
    let tree = |lab: &Lab| lab.tree("g");
    let (before, after) = {
        let lab = (change.prepare)();
        let before = tree(&lab);
        do_steps(&lab, &record, &change.plan.steps);
        (before, tree(&lab))
    };
    let lab = (change.prepare)();
    do_steps(&lab, &record, &change.plan.steps[..count]);
    let layout = Layout::new(lab.dir.path());
    let does = match crate::change::journal::read(&layout, &game("g")).unwrap() {
        None => "nothing".to_owned(),
        Some(record) => {
            let executor = Executor::new(&layout, &record);
            let plan = recover(&record, &|place: &Place| executor.is_there(place));
            plan.steps.iter().map(words).collect::<Vec<_>>().join("; ")
        }
    };
    drop(lab.open());
    let now = tree(&lab);
    assert_ne!(before, after);
    let state = if now == after {
        "new"
    } else {
        assert_eq!(now, before, "a third state");
        "old"
    };
    (does, state)
}

fn table() -> String {
    let mut text = String::from(
        "| change | crash after the step | the next start does | leaves |\n| --- | --- | --- | --- |\n",
    );
    for change in changes() {
        for (at, step) in change.plan.steps.iter().enumerate() {
            let (does, state) = outcome(&change, at + 1);
            let name = if at == 0 { change.name } else { "" };
            let commit = if change.plan.commit == Some(at) { " **(commit point)**" } else { "" };
            text.push_str(&format!("| {name} | {}{commit} | {does} | {state} |\n", words(step)));
        }
    }
    text
}

#[test]
fn recovery_table_is_current() {
    const BEGIN: &str = "<!-- recovery: generated -->\n";
    const END: &str = "<!-- end of recovery -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/disk.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(BEGIN).expect("the mark of the table");
    let (_, tail) = rest.split_once(END).expect("the end of the table");
    let current = format!("{head}{BEGIN}\n{}\n{END}{tail}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == current, "run with UPDATE_DOCS=1");
}
