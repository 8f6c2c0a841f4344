//! The plans for each change to a game's folder.

use std::collections::BTreeSet;

use lanspread_types::RelPath;
use lanspread_types::manifest::{LOCAL_FOLDER, SENTINEL};

use super::{Area, Place, Plan, Step};

/// Plans to replace the version that is there by a complete download.
///
/// The old sentinel goes first, so that no mixture of versions is ever taken for a game. The new sentinel comes last
/// and is the commit point. Until then everything old is in the trash, so that the plan can be rolled back.
pub fn plan_commit(new: &[RelPath], old: &[RelPath]) -> Plan {
    let mut steps = vec![Step::Delete(Area::Trash), Step::WriteRecord];
    steps.extend(commit_forward(new, old));
    finish(
        steps,
        Step::Move { from: sentinel_in(Area::Incoming), to: sentinel_in(Area::Game) },
        tidy_commit(),
    )
}

/// Returns the steps of a commit between its record and its commit point.
pub(super) fn commit_forward(new: &[RelPath], old: &[RelPath]) -> Vec<Step> {
    let (sentinels, others): (Vec<_>, Vec<_>) = old.iter().partition(|p| is_sentinel(p));
    let mut steps: Vec<Step> = sentinels.into_iter().chain(others).cloned().map(Step::SetAside).collect();
    steps.extend(prune_above(old));
    steps.extend(
        new.iter().filter(|p| !is_sentinel(p)).map(|path| Step::Move {
            from: Place::new(Area::Incoming, path),
            to: Place::new(Area::Game, path),
        }),
    );
    steps
}

pub(super) fn tidy_commit() -> Vec<Step> {
    vec![Step::Delete(Area::Trash), Step::Delete(Area::Incoming), Step::ForgetRecord]
}

/// Plans to unpack the archives and show the result in one rename.
pub fn plan_install() -> Plan {
    let steps = vec![Step::Delete(Area::Staging), Step::WriteRecord, Step::Unpack];
    finish(steps, show_staged(), tidy_install())
}

/// Plans to show, in one rename, what was unpacked during the download. Before its record is written, recovery does
/// not know the staging area, and the next start deletes it.
pub fn plan_install_unpacked() -> Plan {
    let show = Step::Move { from: local_in(Area::Staging), to: local_in(Area::Game) };
    finish(vec![Step::WriteRecord], show, tidy_install())
}

pub(super) fn tidy_install() -> Vec<Step> {
    vec![Step::Delete(Area::Staging), Step::ForgetRecord]
}

/// Plans to replace the installed game by the downloaded version, which is unpacked beside it first. The old folder
/// is in the trash until the new one is shown, so that the plan can be rolled back.
pub fn plan_reinstall(folder: &RelPath) -> Plan {
    let steps = vec![
        Step::Delete(Area::Staging),
        Step::Delete(Area::Trash),
        Step::WriteRecord,
        Step::Unpack,
        Step::SetAside(folder.clone()),
    ];
    finish(steps, show_staged(), tidy_reinstall())
}

pub(super) fn show_staged() -> Step {
    Step::Move { from: local_in(Area::Staging), to: local_in(Area::Game) }
}

pub(super) fn tidy_reinstall() -> Vec<Step> {
    vec![Step::Delete(Area::Trash), Step::Delete(Area::Staging), Step::ForgetRecord]
}

/// Plans to take away the installed game in one rename, then delete it.
pub fn plan_uninstall(folder: &RelPath) -> Plan {
    let steps = vec![Step::Delete(Area::Trash), Step::WriteRecord];
    finish(steps, Step::SetAside(folder.clone()), tidy_uninstall())
}

pub(super) fn tidy_uninstall() -> Vec<Step> {
    vec![Step::Delete(Area::Trash), Step::Prune(Place::root(Area::Game)), Step::ForgetRecord]
}

/// Plans to take away the sentinel, which is the commit point, then the other downloaded files.
pub fn plan_remove(files: &[RelPath]) -> Plan {
    let steps = vec![Step::Delete(Area::Trash), Step::WriteRecord];
    let sentinel = files.iter().find(|p| is_sentinel(p)).cloned().map(Step::SetAside);
    match sentinel {
        Some(commit) => finish(steps, commit, remove_rest(files)),
        // Without a sentinel the game does not count as downloaded, so there is no old state to return to.
        None => Plan { steps: steps.into_iter().chain(remove_rest(files)).collect(), commit: None },
    }
}

pub(super) fn remove_rest(files: &[RelPath]) -> Vec<Step> {
    let mut steps: Vec<Step> =
        files.iter().filter(|p| !is_sentinel(p)).cloned().map(Step::SetAside).collect();
    steps.push(Step::Delete(Area::Trash));
    steps.extend(prune_above(files));
    steps.extend([Step::Prune(Place::root(Area::Game)), Step::ForgetRecord]);
    steps
}

/// Returns steps that prune every folder above these files, the deepest first.
pub(super) fn prune_above(files: &[RelPath]) -> Vec<Step> {
    let mut folders = BTreeSet::new();
    for file in files {
        let mut path = file.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            folders.insert((std::cmp::Reverse(parent.matches('/').count()), parent));
            path = parent;
        }
    }
    let paths = folders.into_iter().filter_map(|(_, folder)| RelPath::new(folder).ok());
    paths.map(|path| Step::Prune(Place::new(Area::Game, &path))).collect()
}

pub(super) fn is_sentinel(path: &RelPath) -> bool {
    path.as_str() == SENTINEL
}

/// Returns the place of the sentinel in an area. The name is a valid path; otherwise this would be the area itself,
/// which no rename accepts.
pub(super) fn sentinel_in(area: Area) -> Place {
    Place { area, path: RelPath::new(SENTINEL).ok() }
}

/// Returns the place of the installed game in an area; see [`sentinel_in`].
pub(super) fn local_in(area: Area) -> Place {
    Place { area, path: RelPath::new(LOCAL_FOLDER).ok() }
}

fn finish(mut steps: Vec<Step>, commit: Step, rest: Vec<Step>) -> Plan {
    let at = steps.len();
    steps.push(commit);
    steps.extend(rest);
    Plan { steps, commit: Some(at) }
}
