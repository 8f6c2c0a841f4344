//! Failpoints: faults that the product commits on purpose, so that its tests can show that they would notice.
//!
//! They exist only in builds with the feature `sabotage`; in every other build [`failpoint!`](crate::failpoint) is the
//! constant `false`, and not even the names are left in the program. A process commits the one fault that
//! `LANSPREAD_SABOTAGE` names. On standard error it says `sabotage NAME armed` at the first failpoint that it comes by,
//! and `sabotage NAME hit` when it first commits the fault.

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

/// Whether the fault is to be committed now. To be asked last, when it would make a difference.
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
