//! Interrupts every plan at every step on a model of a disk: recovery leaves the old state or the new one.

use std::collections::BTreeMap;

use super::*;

/// Files by area and path, with their content. A folder exists as long as it contains a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Disk {
    files: BTreeMap<(Area, String), String>,
    record: bool,
}

/// A step that the store would refuse.
#[derive(Debug)]
struct Refused;

impl Disk {
    fn with(files: &[(Area, &str, &str)]) -> Self {
        let files =
            files.iter().map(|(area, path, content)| ((*area, (*path).to_owned()), (*content).to_owned()));
        Self { files: files.collect(), record: false }
    }

    fn there(&self, place: &Place) -> bool {
        let inside = |path: &String| match &place.path {
            Some(p) => path == p.as_str() || path.starts_with(&format!("{p}/")),
            None => true,
        };
        self.files.keys().any(|(area, path)| *area == place.area && inside(path))
    }

    fn rename(&mut self, from: &Place, to: &Place) {
        let (Some(old), Some(new)) = (&from.path, &to.path) else { panic!("an area is never renamed") };
        for ((area, path), content) in std::mem::take(&mut self.files) {
            let below =
                path.strip_prefix(old.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            let key = match below.filter(|_| area == from.area) {
                Some(rest) => (to.area, format!("{new}{rest}")),
                None => (area, path),
            };
            self.files.insert(key, content);
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Refused> {
        match step {
            Step::WriteRecord => self.record = true,
            Step::ForgetRecord => self.record = false,
            Step::Unpack => {
                for (path, content) in [("local/game.exe", "exe"), ("local/data/a", "a")] {
                    self.files.insert((Area::Staging, path.to_owned()), content.to_owned());
                }
            }
            Step::Move { from, to } => match (self.there(from), self.there(to)) {
                (true, false) => self.rename(from, to),
                (false, true) => {}
                _ => return Err(Refused),
            },
            Step::SetAside(path) => {
                let (from, to) = (Place::new(Area::Game, path), Place::new(Area::Trash, path));
                if self.there(&from) && !self.there(&to) {
                    self.rename(&from, &to);
                }
            }
            Step::Delete(Area::Game) => return Err(Refused),
            Step::Delete(area) => self.files.retain(|(a, _), _| a != area),
            Step::Prune(_) => {}
        }
        Ok(())
    }

    /// Executes the first `count` steps, each of them `times` times.
    fn run(&mut self, plan: &Plan, count: usize, times: usize) {
        for step in &plan.steps[..count] {
            for _ in 0..times {
                self.step(step).unwrap_or_else(|Refused| panic!("{step:?} is refused on {self:#?}"));
            }
        }
    }

    /// Returns what the user sees, without our own folders.
    fn visible(&self) -> BTreeMap<&str, &str> {
        let game = self.files.iter().filter(|((area, _), _)| *area == Area::Game);
        game.map(|((_, path), content)| (path.as_str(), content.as_str())).collect()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn paths(texts: &[&str]) -> Vec<RelPath> {
    texts.iter().copied().map(path).collect()
}

fn record(intent: Intent) -> Record {
    Record { game: GameId::new("ggoo").unwrap(), intent }
}

/// Interrupts a plan after each of its steps, and each recovery after each of its own steps.
fn interrupt_everywhere(before: &Disk, plan: &Plan, record: &Record) {
    let mut after = before.clone();
    after.run(plan, plan.steps.len(), 1);
    assert!(!after.record);
    let mut outcomes = [0, 0];
    for times in [1, 2] {
        for count in 0..=plan.steps.len() {
            let mut crashed = before.clone();
            crashed.run(plan, count, times);
            let visible = plan.commit.is_some_and(|commit| count > commit);
            for recovered in recoveries(&crashed, record) {
                let is_new = recovered.visible() == after.visible();
                let is_old = recovered.visible() == before.visible();
                assert!(is_new || is_old, "a third state after {count} steps: {recovered:#?}");
                assert!(is_new || !visible, "what was visible is lost after {count} steps");
                assert!(!recovered.record);
                if count > 0 {
                    assert!(
                        !recovered.files.keys().any(|(area, _)| matches!(area, Area::Trash | Area::Staging))
                    );
                }
                outcomes[usize::from(is_new)] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|&n| n > 0), "both ends occur");
}

/// Recovers, with a second crash after each number of steps.
fn recoveries(crashed: &Disk, record: &Record) -> Vec<Disk> {
    let recover_to = |disk: &Disk, steps: Option<usize>| {
        let mut disk = disk.clone();
        if disk.record {
            let plan = recover(record, &|place| disk.there(place));
            disk.run(&plan, steps.unwrap_or(plan.steps.len()), 1);
        }
        disk
    };
    let steps = if crashed.record { recover(record, &|place| crashed.there(place)).steps.len() } else { 0 };
    (0..=steps).map(|count| recover_to(&recover_to(crashed, Some(count)), None)).collect()
}

const USERS: [(Area, &str, &str); 3] = [
    (Area::Game, "local/save.dat", "save"),
    (Area::Game, "notes.txt", "mine"),
    (Area::Game, "maps/own.map", "mine too"),
];

const OLD: [(Area, &str, &str); 4] = [
    (Area::Game, "version.ini", "old version"),
    (Area::Game, "ggoo.eti", "old archive"),
    (Area::Game, "maps/gone.map", "old map"),
    (Area::Game, "same.txt", "old text"),
];

const NEW: [(Area, &str, &str); 4] = [
    (Area::Incoming, "version.ini", "new version"),
    (Area::Incoming, "ggoo.eti", "new archive"),
    (Area::Incoming, "maps/come.map", "new map"),
    (Area::Incoming, "same.txt", "new text"),
];

fn names(files: &[(Area, &str, &str)]) -> Vec<RelPath> {
    let mut names = paths(&files.iter().map(|(_, path, _)| *path).collect::<Vec<_>>());
    names.sort();
    names
}

fn commit_intent(new: &[RelPath], old: &[RelPath]) -> Record {
    record(Intent::Commit { content: ContentId([1; 32]), new: new.to_vec(), old: old.to_vec() })
}

#[test]
fn first_download_is_there_or_not() {
    let before = Disk::with(&[&NEW[..], &USERS[..]].concat());
    interrupt_everywhere(&before, &plan_commit(&names(&NEW), &[]), &commit_intent(&names(&NEW), &[]));
}

#[test]
fn update_leaves_old_or_new_version_and_user_files() {
    let before = Disk::with(&[&NEW[..], &OLD[..], &USERS[..]].concat());
    let (new, old) = (names(&NEW), names(&OLD));
    interrupt_everywhere(&before, &plan_commit(&new, &old), &commit_intent(&new, &old));
    let mut after = before;
    let plan = plan_commit(&new, &old);
    after.run(&plan, plan.steps.len(), 1);
    let visible = after.visible();
    assert!(USERS.iter().all(|(_, path, content)| visible.get(path) == Some(content)));
    assert!(NEW.iter().all(|(_, path, content)| visible.get(path) == Some(content)));
    assert_eq!(visible.len(), USERS.len() + NEW.len());
}

#[test]
fn only_the_commit_point_shows_the_new_version() {
    let (new, old) = (names(&NEW), names(&OLD));
    let plan = plan_commit(&new, &old);
    let mut disk = Disk::with(&[&NEW[..], &OLD[..]].concat());
    let mut seen = Vec::new();
    for step in &plan.steps {
        disk.step(step).unwrap();
        seen.push(disk.visible().get("version.ini").map(|v| (*v).to_owned()));
    }
    let commit = plan.commit.unwrap();
    assert!(seen[..commit].iter().all(|v| v.as_deref() != Some("new version")));
    assert!(seen[commit..].iter().all(|v| v.as_deref() == Some("new version")));
    // As long as the old sentinel is there, so are all old files: a sentinel never stands for a mixture.
    let shown = Disk::with(&OLD).visible().len();
    let mut disk = Disk::with(&[&NEW[..], &OLD[..]].concat());
    for step in &plan.steps[..commit] {
        disk.step(step).unwrap();
        let visible = disk.visible();
        assert!(!visible.contains_key("version.ini") || visible.len() == shown);
    }
}

#[test]
fn commit_rolls_back_from_every_earlier_step() {
    let before = Disk::with(&[&NEW[..], &OLD[..], &USERS[..]].concat());
    let (new, old) = (names(&NEW), names(&OLD));
    let plan = plan_commit(&new, &old);
    for count in 2..=plan.commit.unwrap() {
        let mut disk = before.clone();
        disk.run(&plan, count, 1);
        let back = roll_back_commit(&new, &old, &|place| disk.there(place));
        disk.run(&back, back.steps.len(), 2);
        assert_eq!(disk, before, "after {count} steps");
    }
}

#[test]
fn commit_without_its_download_rolls_back() {
    let (new, old) = (names(&NEW), names(&OLD));
    let plan = plan_commit(&new, &old);
    let before = Disk::with(&[&NEW[..], &OLD[..], &USERS[..]].concat());
    for count in 2..=plan.commit.unwrap() {
        let mut disk = before.clone();
        disk.run(&plan, count, 1);
        disk.files.retain(|(area, _), _| *area != Area::Incoming);
        let ended = recoveries(&disk, &commit_intent(&new, &old));
        let whole = |d: &Disk| {
            OLD.iter().chain(&USERS).all(|(_, path, content)| d.visible().get(path) == Some(content))
        };
        assert!(ended.iter().all(whole), "after {count} steps: {ended:#?}");
    }
}

#[test]
fn interrupted_commit_goes_forward_only_if_complete() {
    let (new, old) = (names(&NEW), names(&OLD));
    let plan = plan_commit(&new, &old);
    let before = Disk::with(&[&NEW[..], &OLD[..], &USERS[..]].concat());
    for count in 2..=plan.commit.unwrap() {
        let mut crashed = before.clone();
        crashed.run(&plan, count, 1);
        for (lost, shown) in [(None, &NEW), (Some("maps/come.map"), &OLD)] {
            let mut disk = crashed.clone();
            let lost = lost.map(|path| (Area::Incoming, path.to_owned()));
            // A file that was moved in already is not lost with the download.
            let shown = if lost.as_ref().is_some_and(|l| !disk.files.contains_key(l)) { &NEW } else { shown };
            if let Some(lost) = lost {
                disk.files.remove(&lost);
            }
            for ended in recoveries(&disk, &commit_intent(&new, &old)) {
                let visible = ended.visible();
                let whole =
                    shown.iter().chain(&USERS).all(|(_, path, content)| visible.get(path) == Some(content));
                assert!(
                    whole && visible.len() == shown.len() + USERS.len(),
                    "after {count} steps: {ended:#?}"
                );
            }
        }
    }
}

#[test]
fn install_shows_everything_at_once() {
    let before = Disk::with(&[&OLD[..], &USERS[1..]].concat());
    interrupt_everywhere(&before, &plan_install(), &record(Intent::Install));
}

#[test]
fn uninstall_removes_only_the_installed_game() {
    let before = Disk::with(&[&OLD[..], &USERS[..]].concat());
    let folder = path("local");
    let intent = record(Intent::Uninstall { folder: folder.clone() });
    interrupt_everywhere(&before, &plan_uninstall(&folder), &intent);
    let mut after = before;
    let plan = plan_uninstall(&folder);
    after.run(&plan, plan.steps.len(), 1);
    assert_eq!(after.visible().len(), OLD.len() + USERS.len() - 1);
}

#[test]
fn removal_removes_only_the_downloaded_files() {
    let before = Disk::with(&[&OLD[..], &USERS[..]].concat());
    let files = names(&OLD);
    interrupt_everywhere(&before, &plan_remove(&files), &record(Intent::Remove { files: files.clone() }));
    let mut after = before;
    let plan = plan_remove(&files);
    after.run(&plan, plan.steps.len(), 1);
    assert_eq!(after, Disk::with(&USERS));
}

#[test]
fn leftovers_of_an_earlier_change_do_not_interfere() {
    let leftover = (Area::Trash, "local/old.dat", "older");
    let mut disk = Disk::with(&[&OLD[..], &USERS[..], &[leftover]].concat());
    let plan = plan_uninstall(&path("local"));
    disk.run(&plan, plan.steps.len(), 1);
    assert!(!disk.there(&Place::new(Area::Game, &path("local"))), "set aside in spite of the leftover");
}

#[test]
fn deepest_folders_are_pruned_first() {
    let plan = plan_remove(&paths(&["a/b/c.txt", "a/d.txt", "version.ini"]));
    let pruned = plan.steps.iter().filter_map(|s| if let Step::Prune(p) = s { p.path.clone() } else { None });
    assert_eq!(pruned.collect::<Vec<_>>(), paths(&["a/b", "a"]));
    assert!(plan.steps.contains(&Step::Prune(Place::root(Area::Game))));
}

/// The installed game, with files that the user has added. Unpacking adds the kept ones to the staging area.
const INSTALLED: [(Area, &str, &str); 2] =
    [(Area::Game, "local/old.exe", "old exe"), (Area::Game, "local/game.exe", "old game")];

#[test]
fn reinstall_leaves_the_old_folder_or_the_new_one() {
    let before = Disk::with(&[&OLD[..], &INSTALLED[..], &USERS[1..]].concat());
    let folder = path("local");
    let plan = plan_reinstall(&folder);
    interrupt_everywhere(&before, &plan, &record(Intent::Reinstall { folder }));
    let mut after = before.clone();
    after.run(&plan, plan.steps.len(), 1);
    let visible = after.visible();
    assert_eq!(visible.get("local/game.exe"), Some(&"exe"));
    assert!(!visible.contains_key("local/old.exe"));
    assert!(OLD.iter().chain(&USERS[1..]).all(|(_, path, content)| visible.get(path) == Some(content)));
}

#[test]
fn reinstall_rolls_back_from_every_earlier_step() {
    let before = Disk::with(&[&OLD[..], &INSTALLED[..]].concat());
    let folder = path("local");
    let plan = plan_reinstall(&folder);
    for count in 3..=plan.commit.unwrap() {
        let mut disk = before.clone();
        disk.run(&plan, count, 1);
        let back = roll_back_reinstall(&folder, &|place| disk.there(place));
        disk.run(&back, back.steps.len(), 2);
        assert_eq!(disk, before, "after {count} steps");
    }
}

#[test]
fn reinstall_without_its_staging_rolls_back() {
    let before = Disk::with(&[&OLD[..], &INSTALLED[..]].concat());
    let folder = path("local");
    let plan = plan_reinstall(&folder);
    for count in 3..=plan.commit.unwrap() {
        let mut disk = before.clone();
        disk.run(&plan, count, 1);
        disk.files.retain(|(area, _), _| *area != Area::Staging);
        for ended in recoveries(&disk, &record(Intent::Reinstall { folder: folder.clone() })) {
            assert_eq!(ended, before, "after {count} steps");
        }
    }
}
