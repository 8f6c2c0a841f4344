//! Connections at their beginning: dialling, listening, the handshake, and how many an address may have.

pub mod admission;
pub mod descriptors;
pub mod dial;
pub mod handshake;
pub mod listen;
pub mod misbehaviour;
