//! Network layer: this peer's identity, and TLS connections to other peers.
//!
//! An [`Endpoint`] listens on one TCP port and opens two kinds of connections: control connections for messages, and
//! data connections for requests and payloads. It authenticates peers, frames messages, and bounds time, memory and
//! connections; its caller decides what to send to which peer. Payloads are handed up unverified. [`discovery`]
//! announces the endpoint and listens for other peers.

#![warn(missing_docs)]

mod connect;
mod control;
mod data;
pub mod discovery;
mod endpoint;
mod event;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inbox;
mod limits;
mod party;
mod pool;
#[cfg(feature = "sabotage")]
mod sabotage;
mod shared;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;

pub use connect::descriptors::raise_file_limit;
pub use endpoint::{BindError, Endpoint, EndpointConfig};
pub use event::{Context, NetEvent, Payload, PayloadKind};
/// Every bound of this crate; `docs/limits.md` is generated from it.
pub use limits::TABLE as LIMITS;
pub use pool::PooledBuf;
pub use shared::answer::PayloadSource;
pub use tls::identity::{Identity, IdentityError, KEY_FILE};
