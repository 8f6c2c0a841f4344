//! The brain of a peer: every decision it takes, as synchronous state machines.
//!
//! Nothing here reads a clock, a socket, a disk or the system's randomness. [`Node::handle`] takes what happened and
//! when, [`Node::poll_output`] gives what is to be done, [`Node::next_wakeup`] says when to come back if nothing
//! happens. So a party of two hundred peers runs in one thread, from one seed (`lanspread-sim`).

pub mod agreement;
pub mod budget;
pub mod catalog;
pub mod catalog_sync;
pub mod command;
pub mod event;
pub mod fetch;
pub mod finding;
pub mod groups;
pub mod install;
pub mod io;
pub mod library;
pub mod limits;
pub mod manifest_search;
pub mod manifest_sends;
pub mod node;
pub mod offers;
pub mod operations;
pub mod refusals;
pub mod room;
pub mod roster;
pub mod rules;
pub mod serve;
pub mod snapshot;
pub mod stream;
pub mod swarm;
pub mod time;
pub mod trust;

pub use node::{Node, NodeConfig};
