//! Times of creation, by which Windows tells a folder from another one in its place. Wine (8.0) knows none: it gives the
//! time of change instead, so that an installed game is not the same any more once something was put into its folder.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Scenarios in which something is put into an installed game, and its version is still known.
pub const NEEDED_BY: &[&str] = &["S50"];

/// Whether a folder can be recognised here. Other systems than Windows do not do it by time.
pub fn are_kept() -> bool {
    !cfg!(windows) || born_after_change().is_ok_and(|kept| kept)
}

/// A new file whose change is put back by an hour was still created now.
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
