//! Tools for the tests from npm. The product contains nothing of them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs a package below the build folder and returns a file of it; `None` if npm or its registry is missing. The
/// version is pinned, so that a new release finds no new faults in old code.
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
