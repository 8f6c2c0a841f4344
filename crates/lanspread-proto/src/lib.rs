//! Bytes to messages and back: what peers write to each other, bit for bit.
//!
//! The words themselves live in `lanspread_types::message`; this crate owns their numbers ([`registry`]), the frame
//! around them ([`frame`]), the first frame of a connection ([`hello`]) and the encoding of a game's manifest
//! ([`manifest`]). It is synchronous, does no IO, and allocates nothing that the bytes at hand do not justify.
//! The specification for readers is `docs/protocol.md`.

pub mod beacon;
mod data;
pub mod frame;
pub mod hello;
pub mod manifest;
mod message;
pub mod party;
pub mod preamble;
pub mod registry;

pub use frame::{DecodeError, Decoder, EncodeError, Frame, Limit, encode, split};
