//! One module for each command; `link` also owns `cpu`.

pub mod files;
pub mod find;
pub mod hash;
pub mod kill;
pub mod link;
pub mod play;
pub mod swarm;
