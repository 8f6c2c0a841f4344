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

/// How long something may take that moves all the time, so many times the patience.
const MOVING_MAX: u32 = 10;

/// Looks until the wanted is seen, for as long as something moves: how much of it there is comes with each look. How long
/// a transfer takes says how busy the machine is; that nothing comes any more says something of the product.
pub fn while_moving<T>(what: &str, mut look: impl FnMut() -> Outcome<(Seen<T>, usize)>) -> Outcome<T> {
    let start = Instant::now();
    let mut last = (0, start);
    within(PATIENCE * MOVING_MAX, what, || {
        let (seen, moved) = look()?;
        if moved != last.0 {
            last = (moved, Instant::now());
        }
        match seen {
            Err(state) if last.1.elapsed() > PATIENCE => Err(Failure(format!(
                "waited {:.1} s for this, and nothing has moved for {:.1} s: {what}\n  last state seen: {state}",
                start.elapsed().as_secs_f32(),
                last.1.elapsed().as_secs_f32()
            ))),
            seen => Ok(seen),
        }
    })
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
