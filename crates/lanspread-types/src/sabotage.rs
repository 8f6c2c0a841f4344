//! Failpoints: faults that the program commits on purpose, so that the tests can show that they notice them.
//!
//! They exist only in builds with the feature `sabotage`. In every other build [`failpoint!`](crate::failpoint) is
//! the constant `false`, and the program does not even contain their names. A process commits the one fault that the
//! environment variable `LANSPREAD_SABOTAGE` names. It prints `sabotage NAME armed` to standard error at the first
//! failpoint that it reaches, and `sabotage NAME hit` when it first commits the fault.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ARMED: LazyLock<Option<String>> = LazyLock::new(|| {
    let name = std::env::var("LANSPREAD_SABOTAGE").ok();
    if let Some(name) = &name {
        tell(name, "armed");
    }
    name
});
static HIT: AtomicBool = AtomicBool::new(false);

/// Returns true if the fault with this name should be committed now.
///
/// Call it last in a condition, when the fault would make a difference: the first true answer is reported as a hit.
pub fn strikes(name: &str) -> bool {
    let strikes = ARMED.as_deref() == Some(name);
    if strikes && !HIT.swap(true, Ordering::Relaxed) {
        tell(name, "hit");
    }
    strikes
}

#[expect(clippy::print_stderr, reason = "the suite reads it there, and no program that is shipped has this")]
fn tell(name: &str, what: &str) {
    eprintln!("sabotage {name} {what}");
}
