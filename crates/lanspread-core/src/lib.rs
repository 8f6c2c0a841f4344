//! The core of a peer: every decision that it takes, as synchronous state machines.
//!
//! The core reads no clock, no socket, no disk and no system randomness; all of these are inputs. [`Node::handle`]
//! takes an input and the time, [`Node::poll_output`] returns the work that follows from it, and
//! [`Node::next_wakeup`] says when to call again if nothing happens. So a party of two hundred peers runs in one
//! thread, from one seed (`lanspread-sim`).

#![warn(missing_docs)]

pub mod agreement;
pub mod api;
pub mod border;
pub mod budget;
pub mod catalog;
pub mod catalog_sync;
pub mod discovery;
pub mod download;
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
pub mod stream_window;
pub mod swarm;
pub mod time;
pub mod trust;

pub use api::{command, event, snapshot};
pub use node::{Node, NodeConfig};
