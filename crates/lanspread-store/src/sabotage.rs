//! What this crate's failpoints do where it takes more than another decision. Only in builds with the feature
//! `sabotage`.

use std::fs;
use std::path::Path;

use lanspread_types::GameContent;
use lanspread_types::manifest::SENTINEL;

use crate::fs::files;
use crate::fs::layout::Layout;

/// Leaves a file in a folder that should not have it.
pub(crate) fn leave(folder: &Path, name: &str) {
    let _ = fs::write(folder.join(name), name);
}

/// Leaves the sentinel of a version whose files are not there.
pub(crate) fn leave_sentinel(layout: &Layout, content: &GameContent) {
    let manifest = content.manifest();
    let _ = fs::write(layout.game(manifest.game()).join(SENTINEL), manifest.version().to_string());
}

/// Deletes the sentinels of all games, which then count as not downloaded.
pub(crate) fn delete_every_sentinel(games: &Path) {
    for game in fs::read_dir(games).into_iter().flatten().flatten() {
        let _ = files::delete_file(&game.path().join(SENTINEL));
    }
}
