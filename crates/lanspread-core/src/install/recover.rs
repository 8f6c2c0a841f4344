//! Recovery: the plans that complete interrupted ones.

use lanspread_types::RelPath;

use super::plan::{
    commit_forward, is_sentinel, local_in, prune_above, remove_rest, sentinel_in, show_staged,
};
use super::plan::{tidy_commit, tidy_install, tidy_reinstall, tidy_uninstall};
use super::{Area, Intent, Place, Plan, Record, Step};

/// Returns the plan that completes the recorded one. `there` tells whether a place exists.
pub fn recover(record: &Record, there: &dyn Fn(&Place) -> bool) -> Plan {
    match &record.intent {
        Intent::Commit { new, old, .. } => recover_commit(new, old, there),
        // Before its rename an install has left only staging; after it, nothing is missing.
        Intent::Install => Plan { steps: tidy_install(), commit: None },
        // Likewise: a folder in the trash was uninstalled, and a folder that is not there was not.
        Intent::Uninstall { .. } => Plan { steps: tidy_uninstall(), commit: None },
        Intent::Remove { files } => recover_remove(files, there),
        Intent::Reinstall { folder } => recover_reinstall(folder, there),
    }
}

/// Completes a commit if all its files still exist, and undoes it otherwise.
fn recover_commit(new: &[RelPath], old: &[RelPath], there: &dyn Fn(&Place) -> bool) -> Plan {
    // Also true if a person deleted the download before the old sentinel moved. The sentinel moves first, so nothing
    // else has moved, and tidying up is right in that case, too.
    if !there(&sentinel_in(Area::Incoming)) && there(&sentinel_in(Area::Game)) {
        return Plan { steps: tidy_commit(), commit: None };
    }
    let complete = there(&sentinel_in(Area::Incoming))
        && new.iter().all(|p| there(&Place::new(Area::Incoming, p)) || is_moved_in(p, old, there));
    if !complete {
        return roll_back_commit(new, old, there);
    }
    let mut steps = commit_forward(new, old);
    let commit = steps.len();
    steps.push(Step::Move { from: sentinel_in(Area::Incoming), to: sentinel_in(Area::Game) });
    steps.extend(tidy_commit());
    Plan { steps, commit: Some(commit) }
}

/// Plans to undo a commit before its commit point: the new files return to the download, the old ones to their
/// places, the old sentinel last.
pub fn roll_back_commit(new: &[RelPath], old: &[RelPath], there: &dyn Fn(&Place) -> bool) -> Plan {
    let back = |from: Area, to: Area| {
        move |p: &RelPath| Step::Move { from: Place::new(from, p), to: Place::new(to, p) }
    };
    let moved_in =
        new.iter().filter(|p| !there(&Place::new(Area::Incoming, p)) && is_moved_in(p, old, there));
    let mut steps: Vec<Step> = moved_in.map(back(Area::Game, Area::Incoming)).collect();
    steps.extend(prune_above(new));
    let set_aside = || old.iter().filter(|p| there(&Place::new(Area::Trash, p)));
    steps.extend(set_aside().filter(|p| !is_sentinel(p)).map(back(Area::Trash, Area::Game)));
    let sentinel = set_aside().find(|p| is_sentinel(p)).map(back(Area::Trash, Area::Game));
    let commit = sentinel.is_some().then_some(steps.len());
    steps.extend(sentinel);
    steps.extend([Step::Delete(Area::Trash), Step::ForgetRecord]);
    Plan { steps, commit }
}

/// Returns true if the file at this path of the game's folder is the new one: it exists, and is not an old one that
/// must still be set aside.
fn is_moved_in(path: &RelPath, old: &[RelPath], there: &dyn Fn(&Place) -> bool) -> bool {
    let waits = old.contains(path) && !there(&Place::new(Area::Trash, path));
    there(&Place::new(Area::Game, path)) && !waits
}

/// Completes a reinstall. The old folder is set aside only after the new one is completely unpacked. So if it is
/// aside and the new one is in staging, the reinstall goes forward; if the staging area was lost before the new one
/// was shown, it goes back.
fn recover_reinstall(folder: &RelPath, there: &dyn Fn(&Place) -> bool) -> Plan {
    let aside = there(&Place::new(Area::Trash, folder));
    if aside && there(&local_in(Area::Staging)) {
        let steps = [vec![show_staged()], tidy_reinstall()].concat();
        return Plan { steps, commit: Some(0) };
    }
    if aside && !there(&local_in(Area::Game)) {
        return roll_back_reinstall(folder, there);
    }
    Plan { steps: tidy_reinstall(), commit: None }
}

/// Plans to bring the old folder back. Valid until the new one is shown.
pub fn roll_back_reinstall(folder: &RelPath, there: &dyn Fn(&Place) -> bool) -> Plan {
    let (aside, place) = (Place::new(Area::Trash, folder), Place::new(Area::Game, folder));
    let back = there(&aside).then_some(Step::Move { from: aside, to: place });
    let commit = back.is_some().then_some(0);
    Plan { steps: back.into_iter().chain(tidy_reinstall()).collect(), commit }
}

fn recover_remove(files: &[RelPath], there: &dyn Fn(&Place) -> bool) -> Plan {
    if files.iter().any(is_sentinel) && there(&sentinel_in(Area::Game)) {
        return Plan { steps: vec![Step::ForgetRecord], commit: None };
    }
    Plan { steps: remove_rest(files), commit: None }
}
