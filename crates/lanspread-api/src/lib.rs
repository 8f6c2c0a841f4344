//! Public contract: what scripts write to a peer and what they read from it, as versioned JSON types.
//!
//! Two interfaces use the same types. `lanspread-peer-cli` reads a [`Request`] from each line of its standard input
//! and prints a [`Line`] for each event, result or error. The HTTP interface of `lanspread` uses the same structs as
//! bodies. Every type can be written and read back, so tests and clients need no types of their own.
//!
//! The crate owns names, shapes, error codes with their hints and exit codes, the parser of commands ([`parse`]), and
//! the JSON schema that is generated from the types ([`schema`]). It reads no lines, knows no sockets or processes, and
//! depends on no other crate of the workspace than `lanspread-types`: `lanspread-peer` converts the core's types.
//!
//! ## What may change
//!
//! The first line that a program prints states [`CONTRACT_VERSION`]. It is raised when a name is removed or changes its
//! meaning. New events, fields and error codes do not raise it: a reader must ignore what it does not know. A peer
//! likewise ignores the fields of a command that its version does not know.
//!
//! The doc comments of all types with `JsonSchema` are part of the schema: a change to one of them changes the schema
//! file.

#![warn(missing_docs)]

pub mod error;
pub mod event;
mod fields;
pub mod kinds;
pub mod line;
pub mod page;
pub mod parse;
pub mod reply;
pub mod request;
pub mod schema;
mod text;

pub use error::{ErrorBody, ErrorCode, ExitCode};
pub use event::Event;
pub use fields::content_id;
pub use line::{ErrorLine, Id, Line, ResultLine};
pub use parse::{Rejected, parse_fields, parse_request};
pub use reply::ReplyData;
pub use request::{CommandName, Request, Route};

/// Version of the contract, printed in the first line of a run.
pub const CONTRACT_VERSION: u32 = 1;
