//! How an interrupted plan ends.

use lanspread_types::RelPath;

use super::plan::{
    commit_forward, is_sentinel, local_in, prune_above, remove_rest, sentinel_in, show_staged,
};
use super::plan::{tidy_commit, tidy_install, tidy_reinstall, tidy_uninstall};
use super::{Area, Intent, Place, Plan, Record, Step};

/// The plan that ends what the record tells of, given what is there.
pub fn recover(record: &Record, there: &dyn Fn(&Place) -> bool) -> Plan {
    match &record.intent {
        Intent::Commit { new, old, .. } => recover_commit(new, old, there),
        // Before its rename an install has left nothing but staging, after it nothing is missing.
        Intent::Install => Plan { steps: tidy_install(), commit: None },
        // The same: what is in the trash was uninstalled, what is not was not.
        Intent::Uninstall { .. } => Plan { steps: tidy_uninstall(), commit: None },
        Intent::Remove { files } => recover_remove(files, there),
        Intent::Reinstall { folder } => recover_reinstall(folder, there),
    }
}

/// A commit goes forward when everything that it needs is still there, and back otherwise.
fn recover_commit(new: &[RelPath], old: &[RelPath], there: &dyn Fn(&Place) -> bool) -> Plan {
    // Also true if somebody deleted the download and the old sentinel never moved. Then nothing else has moved
    // either, because the sentinel is first, and tidying up is right in that case too.
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

/// Takes a commit back that has not reached its commit point: the new files return to the download, the old ones to
/// their places, the old sentinel last.
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

/// Whether the file at this place of the game's folder is the new one: there, and not an old one that still waits to
/// be set aside.
fn is_moved_in(path: &RelPath, old: &[RelPath], there: &dyn Fn(&Place) -> bool) -> bool {
    let waits = old.contains(path) && !there(&Place::new(Area::Trash, path));
    there(&Place::new(Area::Game, path)) && !waits
}

/// The old folder goes aside only once the new one is wholly unpacked. So where it is aside and the new one is still
/// in staging, the change goes forward; where the staging is gone before the new one was shown, it goes back.
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

/// Brings the old folder back, as long as the new one is not shown.
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
