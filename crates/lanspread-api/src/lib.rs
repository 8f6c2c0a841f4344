//! The public contract: what scripts write to a peer and what they read from it, as versioned JSON types.
//!
//! One set of types serves two doors. `lanspread-peer-cli` reads a [`Request`] from each line of its standard input and
//! writes a [`Line`] for each thing there is to say; the HTTP interface of `lanspread` uses the same structs as bodies.
//! Everything here can be written and read back, so that tests and clients need no types of their own.
//!
//! What the crate owns: names, shapes, error codes with their hints and exit codes, the way from the core's types to
//! these ([`render`]), the parser of commands ([`parse`]), and the JSON schema that is generated from all this. What it
//! does not: reading lines, sockets, processes.
//!
//! ## What may change
//!
//! [`CONTRACT_VERSION`] stands in the first line of a run. New events, new fields and new error codes do not raise it: a
//! reader passes over what it does not know. It is raised when a name goes away or changes its meaning. The other way
//! round the same holds: fields of a command that this version does not know are passed over.

pub mod error;
pub mod event;
pub mod line;
pub mod page;
pub mod parse;
pub mod render;
pub mod reply;
pub mod request;
pub mod schema;

pub use error::{ErrorBody, ErrorCode, ExitCode};
pub use event::Event;
pub use line::{ErrorLine, Id, Line, ResultLine};
pub use parse::{Rejected, parse_request};
pub use reply::ReplyData;
pub use request::{CommandName, Request};

/// Version of the contract.
pub const CONTRACT_VERSION: u32 = 1;
