//! The page's scripts, checked by the TypeScript compiler against the types that their comments state.

use std::path::Path;
use std::process::Command;

/// Pinned, so that a new release of the compiler does not find new faults in old code.
const COMPILER: &str = "typescript@5.9.3";

/// The compiler, installed below the build folder; `None` where npm or its registry is not there.
pub fn compiler() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tsc");
    let script = folder.join("node_modules/typescript/bin/tsc");
    if !script.is_file() {
        std::fs::create_dir_all(&folder).ok()?;
        let install = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
        let done = Command::new("npm").args(install).arg(&folder).arg(COMPILER).output().ok()?;
        done.status.success().then_some(())?;
    }
    script.is_file().then_some(script)
}

pub fn check(compiler: &Path) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/app.js");
    let checked = Command::new("node")
        .arg(compiler)
        .args(["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "esnext"])
        .args(["--moduleResolution", "bundler", "--lib", "es2023,dom,dom.iterable", page])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
