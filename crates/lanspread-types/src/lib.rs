//! Shared vocabulary of lanspread: identifiers, paths, versions, chunk arithmetic, manifests, limits, and the
//! messages that peers exchange.
//!
//! Every value is parsed once, where it enters the program, into a type that cannot hold an invalid value. The crate
//! does no IO, reads no clock and has no async code. It does not know how messages look on the wire
//! (`lanspread-proto`) or what a peer decides (`lanspread-core`).

#![warn(missing_docs)]

pub mod chunk;
pub mod connection;
pub mod discovery;
pub mod fingerprint;
pub mod id;
mod limit_table;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod name;
pub mod origin;
pub mod party;
pub mod path;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod set;
pub mod size;
pub mod tree;
pub mod version;

pub use chunk::{ChunkIndex, ChunkSize};
pub use connection::{CloseReason, ConnId, DialFailure, LinkId, RefusalCause, RequestFailure};
pub use discovery::{Adapter, KnownPeer, Means, Sighting, Subnet};
pub use fingerprint::{Fingerprint, Organiser};
pub use id::{CatalogKey, ContentId, GameId, PeerId, PeerName};
pub use limit_table::{Limit, LimitValue};
pub use manifest::{ChunkPlace, FileEntry, GameContent, Manifest};
pub use origin::Origin;
pub use party::{Party, PartyMismatch, PartyName, PassPhrase};
pub use path::RelPath;
pub use set::ChunkSet;
pub use size::Size;
pub use tree::ChunkHash;
pub use version::GameVersion;

/// Returns true if the program should commit the fault with this name now. Without the feature `sabotage` it is the
/// constant `false`.
///
/// With a second argument it is a statement that does what the argument says. Such faults stand in the module
/// `sabotage` of their crate, and without the feature neither of them is compiled.
#[cfg(not(feature = "sabotage"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        false
    };
    ($name:literal, $fault:expr) => {};
}

/// Returns true if the program should commit the fault with this name now; see [`sabotage`].
#[cfg(feature = "sabotage")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::sabotage::strikes($name)
    };
    ($name:literal, $fault:expr) => {
        if $crate::sabotage::strikes($name) {
            $fault;
        }
    };
}
