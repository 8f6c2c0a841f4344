//! The runtime's edge: requests of the public contract become commands of the core, and its replies, events and errors
//! become JSON types of `lanspread-api`.
//!
//! The conversions only rename, format and count. They decide nothing and add no knowledge, except the state folder,
//! which the program tells. Ids become hexadecimal text, and times become milliseconds.

mod command;
mod error;
mod event;
mod library;
mod room;
mod status;
mod totals;

#[cfg(test)]
mod tests;

use lanspread_api::reply::{Check, Diagnosis, Health};

pub use command::{answer, reply_data, to_command};

use crate::doctor;

/// Conversion of a type of the core or the runtime to its JSON type.
pub trait ToContract {
    /// The JSON type.
    type Json;

    /// Returns the value as the contract shows it.
    fn to_contract(&self) -> Self::Json;
}

/// Converts the doctor's checks.
pub fn diagnosis(checks: &[doctor::Check]) -> Diagnosis {
    let check = |check: &doctor::Check| Check {
        name: check.name.to_owned(),
        health: check.health.to_contract(),
        found: check.found.clone(),
        advice: check.advice.clone(),
    };
    let worst = checks.iter().map(|c| c.health).max().unwrap_or(doctor::Health::Unknown);
    Diagnosis { health: worst.to_contract(), checks: checks.iter().map(check).collect() }
}

impl ToContract for doctor::Health {
    type Json = Health;

    fn to_contract(&self) -> Health {
        match self {
            doctor::Health::Good => Health::Good,
            doctor::Health::Unknown => Health::Unknown,
            doctor::Health::Poor => Health::Poor,
            doctor::Health::Bad => Health::Bad,
        }
    }
}
