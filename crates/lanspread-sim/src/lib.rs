//! Simulator: plays a whole LAN party in one thread, in virtual time, from one seed.
//!
//! A [`Party`] describes the peers, their links and the faults. [`World::run`] plays it with real nodes
//! (`lanspread_core::Node`) over a fluid model of the network and a model of each disk, checks rules after every
//! step, and returns a [`Report`]. The same party and seed give the same report on every machine.
//!
//! [`structure`] is a separate, simpler model that compares ways to spread a game; it shares no code with the
//! product.

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
