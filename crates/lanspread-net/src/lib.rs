//! The network: this peer's identity, and TLS connections to other peers.
//!
//! An [`Endpoint`] listens on one port and opens two kinds of connections: control connections for messages, and data
//! connections for requests and payloads. It authenticates, frames and bounds; what is said, and to whom, is decided
//! above. Payloads are handed up unverified. [`discovery`] announces the endpoint and hears of others.

mod admission;
mod complaints;
mod control;
mod descriptors;
mod dial;
pub mod discovery;
mod endpoint;
mod entry;
mod event;
mod fetch;
mod guesses;
mod handshake;
mod identity;
mod inbox;
mod limits;
mod link;
mod link_places;
mod listen;
mod outgoing;
mod party;
mod pool;
mod queue;
mod shared;
mod stream;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;

pub use descriptors::raise_file_limit;
pub use endpoint::{BindError, Endpoint, EndpointConfig};
pub use event::{
    CloseReason, ConnKey, DialFailure, LinkKey, Misbehaviour, NetEvent, Payload, PayloadKind, RequestFailure,
};
pub use identity::{Identity, IdentityError, KEY_FILE};
/// Every bound of this crate, for `docs/limits.md`.
pub use limits::TABLE as LIMITS;
pub use link::PayloadSource;
pub use pool::PooledBuf;
