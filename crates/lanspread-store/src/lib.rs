//! Everything that a peer keeps on disk: the library, the hash index, downloads in progress, and changes to a game's
//! folder.
//!
//! The crate decides nothing about peers or games. A change to a folder arrives as a plan from
//! `lanspread_core::install` and is executed here step by step. Every change happens completely or not at all, even
//! across a crash.
//!
//! All calls block; the runtime makes them on threads of their own. See `docs/disk.md` for the layout and for recovery
//! after a crash.

#![warn(missing_docs)]

mod archive;
mod change;
mod download;
mod fs;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod install;
mod library;
#[cfg(feature = "sabotage")]
mod sabotage;
mod store;

pub use archive::pack;
pub use archive::unpack::gate::TABLE as LIMITS;
pub use archive::unpack::rar::RarUnpacker;
pub use archive::unpack::{
    EntrySink, EntryWriter, Listing, ReadSeek, UnpackError, UnpackLimits, UnpackSummary, Unpacker,
};
pub use change::folder_lock::{FolderLock, FolderLockError, Holder};
pub use download::arriving::ReleasedChunks;
pub use download::commit::CommitError;
pub use download::incoming::{Incoming, IncomingError, Opened, WriteError};
pub use download::reader::{ChunkReader, ReadError};
pub use download::spool::Spool;
pub use fs::cancel::Cancel;
pub use fs::fault::Fault;
pub use install::ahead::{AheadOutcome, UnpackAhead};
pub use install::errors::{InstallError, RemoveError, UninstallError};
pub use install::play::{PlayError, Program};
pub use install::space::DiskReserve;
pub use install::streamed_files::{game_file_folders, unneeded_chunks};
pub use library::game_file::{GAME_FILE, GameFile, GameFileError};
pub use library::index::IndexError;
pub use library::scan::ScanError;
pub use library::verify::VerifyError;
pub use library::watch::{Watch, WatchError};
pub use store::{OpenError, Store};

#[cfg(test)]
mod tests;
