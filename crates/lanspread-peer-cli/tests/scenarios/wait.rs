//! Waiting on state, never on time: a predicate is looked at again and again until it holds or its deadline passes,
//! and then the last state seen is part of the failure.

use std::time::{Duration, Instant};

use crate::scenario::{Failure, Outcome};

/// How long anything may take that takes milliseconds on an idle machine. Generous, because only failures wait for it;
/// more so for Windows, since that may be Wine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 120 } else { 30 });

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What a look at the state yields: the wanted thing, or a description of what is there instead.
pub type Seen<T> = Result<T, String>;

/// Looks until the wanted is seen.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Outcome<Seen<T>>) -> Outcome<T> {
    within(PATIENCE, what, look)
}

/// Looks until the wanted is seen, at most for that long.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Outcome<Seen<T>>) -> Outcome<T> {
    let start = Instant::now();
    loop {
        match look()? {
            Ok(wanted) => return Ok(wanted),
            Err(state) if start.elapsed() > limit => {
                let seconds = limit.as_secs_f32();
                return Err(Failure(format!(
                    "waited {seconds:.1} s for this: {what}\n  last state seen: {state}"
                )));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Seen if it holds.
pub fn seen_if(holds: bool, state: impl FnOnce() -> String) -> Seen<()> {
    if holds { Ok(()) } else { Err(state()) }
}
