//! Changes to a game's folder: plans are executed, recorded in a journal, and finished or undone after a crash.

pub mod execute;
pub mod folder_lock;
pub mod journal;
pub mod sealed;
