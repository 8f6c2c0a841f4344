//! The words of lanspread: identifiers, paths, versions, chunk arithmetic, manifests, limits, and the messages that
//! peers exchange.
//!
//! Everything here is parsed once, at a border, into types that cannot be wrong afterwards. The crate does no IO,
//! reads no clock and knows no async.

pub mod chunk;
pub mod finding;
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
pub mod tree;
pub mod version;

pub use chunk::{ChunkIndex, ChunkSize};
pub use finding::{Adapter, KnownPeer, Means, Sighting, Subnet};
pub use fingerprint::{Fingerprint, Organiser};
pub use id::{CatalogKey, ContentId, GameId, PeerId, PeerName};
pub use limit_table::{Limit, LimitValue};
pub use manifest::{ChunkPlace, FileEntry, GameContent, Manifest};
pub use origin::Origin;
pub use party::{Party, PartyMismatch, PartyName, PassPhrase};
pub use path::RelPath;
pub use set::ChunkSet;
pub use tree::ChunkHash;
pub use version::GameVersion;

/// Whether the fault of this name is to be committed now: never, but in builds with the feature `sabotage`.
#[cfg(not(feature = "sabotage"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        false
    };
}

/// Whether the fault of this name is to be committed now; see [`sabotage`].
#[cfg(feature = "sabotage")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::sabotage::strikes($name)
    };
}
