//! Waits for states, never for fixed times: a state is checked again and again until it holds or a deadline passes.
//! The failure then shows the last state seen.

use std::time::{Duration, Instant};

use crate::scenario::{Failure, Outcome};

/// Longest time for a step that takes milliseconds on an idle machine. It is generous, because only failures wait
/// that long, and more so for Windows, which may be Wine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 120 } else { 30 });

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

/// Result of one check: the wanted value, or a description of the current state.
pub type Seen<T> = Result<T, String>;

/// Checks until the wanted value is there, for up to `PATIENCE`.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Outcome<Seen<T>>) -> Outcome<T> {
    within(PATIENCE, what, look)
}

/// Longest time for a step that makes progress all the time, in multiples of `PATIENCE`.
const MOVING_MAX: u32 = 10;

/// Checks until the wanted value is there, as long as there is progress. Each check also returns the amount of
/// progress.
///
/// The duration of a transfer only shows how busy the machine is, but a standstill is a fault of the product.
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

/// Checks until the wanted value is there, for up to `limit`.
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

/// Returns success if `holds`, and otherwise the description of the state.
pub fn seen_if(holds: bool, state: impl FnOnce() -> String) -> Seen<()> {
    if holds { Ok(()) } else { Err(state()) }
}
