//! Creation times of folders, by which Windows tells a folder from another one that replaced it.
//!
//! Wine 8.0 has no creation times and returns the time of the last change instead. There an installed game looks like
//! another one once a file was put into its folder.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Scenarios that put a file into an installed game and expect its version to be known afterwards.
pub const NEEDED_BY: &[&str] = &["S50"];

/// Returns whether a replaced folder can be told from the original on this system. Only Windows needs creation times
/// for that.
pub fn are_kept() -> bool {
    !cfg!(windows) || born_after_change().is_ok_and(|kept| kept)
}

/// Returns whether a file keeps its creation time when its time of change is set back by an hour.
fn born_after_change() -> std::io::Result<bool> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("born-{}", std::process::id()));
    let changed = SystemTime::now() - Duration::from_secs(3600);
    File::create(&path)?.set_modified(changed)?;
    let born = fs::metadata(&path)?.created()?;
    fs::remove_file(&path)?;
    Ok(born > changed + Duration::from_secs(60))
}
