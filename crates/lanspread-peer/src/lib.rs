//! The runtime: one loop between the core (`lanspread-core`), the disk (`lanspread-store`) and the network
//! (`lanspread-net`), and the handle through which programs command it.
//!
//! [`start`] opens folders and port and returns a [`RunningPeer`]. The core's node takes every decision; the runtime
//! carries out its outputs and feeds results back as inputs. It also reads and writes what the node cannot: catalogues,
//! passphrases, remembered peers, and the doctor's checks.

#![warn(missing_docs)]

pub mod atomic_file;
pub mod calendar;
pub mod catalog;
pub mod config;
pub mod contract;
pub mod doctor;
pub mod handle;
mod launch;
pub mod pass_phrase;
pub mod remembered;
mod runtime;
#[cfg(feature = "sabotage")]
mod sabotage;
mod start;

pub use config::{Find, PeerConfig};
pub use handle::{EventStream, PeerHandle, Streamed};
pub use lanspread_core::{
    catalog_sync, command, discovery, event, groups, io, refusals, room, snapshot, trust,
};
pub use lanspread_net::raise_file_limit;
pub use lanspread_store::{
    DiskReserve, FolderLock, GAME_FILE, GameFile, GameFileError, Holder, game_file_folders, pack,
};
pub use lanspread_types as types;
pub use start::{RunningPeer, StartError, lock_games_dir, lock_state_dir, start};
