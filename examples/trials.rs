//! Helpers of the tests of the examples. `crates/lanspread-peer-cli/tests/examples.rs` and
//! `crates/lanspread/tests/examples.rs` include this file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

/// A trial that runs an example. Where its program is missing it is shown as left out, but CI demands it.
pub fn trial(name: &'static str, missing: Option<String>, run: impl FnOnce() + Send + 'static) -> Trial {
    let Some(reason) = missing else {
        return Trial::test(name, move || {
            run();
            Ok(())
        });
    };
    let is_ci = std::env::var_os("CI").is_some();
    let failed = reason.clone();
    Trial::test(format!("{name} (left out: {reason})"), move || Err(failed.into())).with_ignored_flag(!is_ci)
}

pub fn missing_python() -> Option<String> {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    found.is_err().then(|| "there is no python3".to_owned())
}

/// Cargo builds examples beside the programs, unless only some tests are asked for.
pub fn rust_example(program: &str, name: &str) -> Result<PathBuf, String> {
    let path = Path::new(program)
        .with_file_name("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    if path.exists() { Ok(path) } else { Err(format!("`cargo build --examples` has not built {name}")) }
}
