//! The page in a real Chromium, in front of the real program.
//!
//! Needs `chromium` and `chromedriver` (on Debian: `chromium chromium-driver`). Without them the cases count as
//! ignored, but fail where `CI` is set, so that a run without a browser cannot pass there. The type check needs
//! `npm`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures, and what was skipped, are printed")]

mod access;
mod cases;
mod comfort;
mod driver;
mod figures;
mod lab;
mod npm;
mod peer_settings;
mod pictures;
mod policy;
mod reports;
mod scenes;
mod together;
mod trust;
mod types;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

/// Each case runs a browser and up to three peers; more cases at once only wait for each other.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(AT_ONCE);
    let strict = std::env::var_os("CI").is_some();
    let driver = if args.list { None } else { driver::Driver::start().map(Arc::new) };
    if let Some(runs) = std::env::var("LANSPREAD_PAGE_FIGURES").ok().and_then(|runs| runs.parse().ok()) {
        let Some(driver) = driver else { return ExitCode::FAILURE };
        figures::print(&driver, runs);
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = std::env::var_os("LANSPREAD_PAGE_PICTURES") {
        let Some(driver) = driver else { return ExitCode::FAILURE };
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        pictures::draw(&driver, &root.join(folder));
        return ExitCode::SUCCESS;
    }
    let missing = driver.is_none() && !args.list;
    let mut trials: Vec<Trial> = cases::CASES
        .iter()
        .chain(comfort::CASES)
        .chain(peer_settings::CASES)
        .chain(policy::CASES)
        .chain(reports::CASES)
        .chain(together::CASES)
        .chain(trust::CASES)
        .map(|(name, run)| {
            let driver = driver.clone();
            let trial = Trial::test(*name, move || match driver {
                Some(driver) => {
                    run(&driver);
                    Ok(())
                }
                None => Err("chromedriver is not installed".into()),
            });
            trial.with_ignored_flag(missing && !strict)
        })
        .collect();
    let compiler = if args.list { None } else { types::compiler() };
    let skip = compiler.is_none() && !args.list;
    if skip {
        eprintln!(
            "SKIPPED: npm cannot install the TypeScript compiler, so the scripts' types are not checked"
        );
    }
    let check = Trial::test("the scripts are of the types that they state", move || {
        types::check(&compiler.ok_or("npm cannot install the compiler")?);
        Ok(())
    });
    trials.push(check.with_ignored_flag(skip));
    let rules = if args.list { None } else { access::rules() };
    let skip = (rules.is_none() || missing) && !args.list && !(strict && rules.is_some());
    let asked = driver.clone();
    let obeys = Trial::test("everybody can use it, by the rules of WCAG", move || {
        let asked = asked.ok_or("chromedriver is not installed")?;
        access::obeys(&asked, &rules.ok_or("npm cannot install axe-core")?);
        Ok(())
    });
    trials.push(obeys.with_ignored_flag(skip));
    if skip {
        eprintln!("SKIPPED: npm cannot install axe-core, so nobody looks whether everybody can use the page");
    }
    if missing && !strict {
        eprintln!("SKIPPED: chromedriver is not installed, so the page is not tested");
    }
    let conclusion = libtest_mimic::run(&args, trials);
    drop(driver);
    conclusion.exit_code()
}
