//! What the node's user sees: commands and their replies, events, and snapshots of the state. Plain data, without
//! behaviour; `lanspread-api` turns it into JSON.

pub mod command;
pub mod event;
pub mod kinds;
pub mod room;
pub mod snapshot;
