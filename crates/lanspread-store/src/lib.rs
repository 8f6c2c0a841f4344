//! Everything that a peer keeps on disk: the library, the hash index, downloads under way, and the changes to a game's
//! folder, which happen wholly or not at all.
//!
//! The crate is synchronous: calls block, and the runtime makes them on threads of their own. It takes no decisions
//! about peers or games; what is to be changed in a folder comes as a plan from `lanspread_core::install` and is
//! executed here step by step. See `docs/disk.md` for the layout and the life of a crash.

mod ahead;
mod arriving;
mod cancel;
mod commit;
mod execute;
mod fault;
mod faulty;
mod files;
mod folder_lock;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod game_file;
mod handles;
mod hash;
mod have;
mod held;
mod incoming;
mod index;
mod install;
mod installed;
mod journal;
mod layout;
pub mod pack;
#[cfg(any(test, not(target_os = "linux")))]
mod parallel;
mod play;
mod provenance;
mod reader;
mod reinstall;
mod reuse;
mod scan;
mod sealed;
mod spool;
mod store;
mod stream;
mod unpack;
mod verify;
mod walk;
mod watch;

pub use ahead::{AheadOutcome, UnpackAhead};
pub use arriving::Passed;
pub use cancel::Cancel;
pub use commit::CommitError;
pub use fault::Fault;
pub use folder_lock::{FolderLock, FolderLockError, Holder};
pub use game_file::{GAME_FILE, GameFile, GameFileError};
pub use incoming::{Incoming, IncomingError, Opened, WriteError};
pub use index::IndexError;
pub use install::{InstallError, RemoveError, UninstallError};
pub use play::{PlayError, Program};
pub use reader::{ChunkReader, ReadError};
pub use scan::ScanError;
pub use spool::Spool;
pub use store::{OpenError, Store};
pub use unpack::gate::TABLE as LIMITS;
pub use unpack::rar::RarUnpacker;
pub use unpack::{
    EntrySink, EntryWriter, Listing, ReadSeek, UnpackError, UnpackLimits, UnpackSummary, Unpacker,
};
pub use verify::VerifyError;
pub use watch::{Watch, WatchError};

#[cfg(test)]
mod tests;
