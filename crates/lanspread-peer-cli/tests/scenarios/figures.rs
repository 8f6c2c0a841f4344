//! Figures that scenarios measured, for the end of the run and for the run log.

use std::sync::{Mutex, PoisonError};

static FIGURES: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());

pub fn note(scenario: &'static str, figure: String) {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner).push((scenario, figure));
}

/// A line for each.
pub fn all() -> String {
    let mut figures = FIGURES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    figures.sort_by_key(|(scenario, _)| crate::matrix::number(scenario));
    figures.iter().map(|(scenario, figure)| format!("{scenario}: {figure}\n")).collect()
}
