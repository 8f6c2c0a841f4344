//! Copies one game to every receiver in the room at line rate.
//!
//! [`Picker`] is the receiver's side, one per content: it picks chunks and sources, or follows an upstream in the
//! relay line. [`Uplink`] is the sender's side, one per peer: it decides which request to answer next. [`Lines`] is the
//! placer's side: it orders the receivers of each content.
//!
//! All three are synchronous state machines. Time and randomness come in as arguments; requests and answers go out as
//! return values. They know nothing of connections, disks or hashes, and a chunk counts only after the caller has
//! reported it verified and written.
//!
//! A *seed* is a source that had the whole content when it was first seen; every other source is a *fellow*, a receiver
//! like us. The policy, with figures: `docs/swarm.md` and `docs/swarm-line.md`.

mod availability;
mod contact;
mod doubt;
mod limit;
mod line;
mod picker;
mod requests;
mod rng;
mod source;
mod tuning;
mod uplink;
mod window;

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod liar_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod picker_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod uplink_tests;

pub use limit::RateLimit;
pub use line::Lines;
pub use picker::{Failure, LineAction, Picker, StartCheck, Stored};
pub use rng::Rng;
pub use source::SourceFigures;
pub use tuning::Tuning;
pub use uplink::{Uplink, UplinkAction};
