//! Checks the page's scripts with the TypeScript compiler against the types in their comments.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::npm;

pub fn compiler() -> Option<PathBuf> {
    npm::file("typescript", "5.9.3", "bin/tsc")
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
