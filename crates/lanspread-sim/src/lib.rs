//! Whole parties in one thread, from a seed, in virtual time.
//!
//! A [`Party`] says who is there, over which links, and what goes wrong; [`World::run`] plays it with the real
//! nodes (`lanspread_core::Node`) over a fluid model of the network and a disk with a rate, with checkers after every step,
//! and gives a [`Report`]. The same party and seed give the same report on every machine.

pub mod check;
pub mod content;
pub mod guest;
pub mod joining;
pub mod network;
pub mod party;
pub mod plot;
pub mod queue;
pub mod report;
pub mod spending;
pub mod structure;
pub mod wire;
pub mod world;

pub use party::{Fault, Noise, Party, PeerSpec, Spread};
pub use report::Report;
pub use world::World;
