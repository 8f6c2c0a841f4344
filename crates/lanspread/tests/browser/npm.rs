//! Programs for the tests that come from npm. Nothing of them is in the product.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of a package, which is installed below the build folder; `None` where npm or its registry is not there. The
/// version is pinned, so that a new release does not find new faults in old code.
pub fn file(package: &str, version: &str, path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{package}-{version}"));
    let file = folder.join("node_modules").join(package).join(path);
    if !file.is_file() {
        std::fs::create_dir_all(&folder).ok()?;
        let install = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        let wanted = format!("{package}@{version}");
        let done = Command::new("npm").args(install).arg(&folder).arg(wanted).output().ok()?;
        done.status.success().then_some(())?;
    }
    file.is_file().then_some(file)
}
