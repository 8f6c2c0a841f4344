//! How a room copies one game at line rate: who is asked for which chunk, and who is served next.
//!
//! [`Download`] is the receiver's side, one per content; [`Uplink`] is the sender's side, one per peer. Both are
//! synchronous machines: time and randomness come in as arguments, requests and answers go out as return values.
//! Neither knows of connections, disks or hashes: the caller says that a chunk is verified and written.
//!
//! The policy in plain words, with figures: `docs/swarm.md`.

mod availability;
mod contact;
mod doubt;
mod download;
mod limit;
mod line;
mod requests;
mod rng;
mod source;
mod tuning;
mod uplink;
mod window;

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod download_tests;
#[cfg(test)]
mod liar_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod uplink_tests;

pub use download::{Download, Failure, LineAction, StartCheck, Stored};
pub use limit::RateLimit;
pub use line::Lines;
pub use rng::Rng;
pub use source::SourceFigures;
pub use tuning::Tuning;
pub use uplink::{Uplink, UplinkAction};
