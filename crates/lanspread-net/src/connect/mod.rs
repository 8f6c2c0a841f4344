//! Connections at their beginning: the handshake, and how many an address may have.
//!
//! Nothing here knows the endpoint's tasks: who accepts and dials is in `endpoint`.

pub mod admission;
pub mod descriptors;
pub mod handshake;
pub mod misbehaviour;
