//! Whole parties in one thread, from a seed, in virtual time.
//!
//! A [`Party`] says who is there, over which links, and what goes wrong; [`World::run`] plays it with the real
//! decisions of every peer (`lanspread_core::swarm`) over a fluid model of the network, with checkers after every step,
//! and gives a [`Report`]. The same party and seed give the same report on every machine.

pub mod check;
pub mod network;
pub mod party;
pub mod peer;
pub mod plot;
pub mod queue;
pub mod report;
pub mod world;

pub use party::{Fault, Party, PeerSpec};
pub use report::Report;
pub use world::World;
