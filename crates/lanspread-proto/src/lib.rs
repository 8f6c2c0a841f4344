//! Wire format: bytes to messages and back.
//!
//! The messages themselves are defined in `lanspread_types::message`. This crate owns their numbers ([`registry`]),
//! the frame around them ([`frame`]), the first bytes of a connection ([`preamble`], [`hello`], [`party`]), the
//! encoding of a game's manifest ([`manifest`]) and the datagram that announces a peer ([`beacon`]). It is
//! synchronous and does no IO. What it allocates is in proportion to the bytes at hand, whatever lengths these bytes
//! state. The specification for people is `docs/protocol.md`.

#![warn(missing_docs)]

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
