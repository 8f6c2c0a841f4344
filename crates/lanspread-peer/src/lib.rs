//! The runtime: one loop that joins the brain (`lanspread-core`), the disk (`lanspread-store`) and the network
//! (`lanspread-net`), and a handle for those who command it.

pub mod calendar;
pub mod catalog_choice;
pub mod catalog_file;
pub mod catalog_group;
pub mod catalog_make;
pub mod config;
mod disk;
pub mod doctor;
pub mod handle;
mod launch;
mod manifests;
pub mod pass_phrase;
pub mod remembered;
mod runtime;
#[cfg(feature = "sabotage")]
mod sabotage;
pub mod signed_catalog;
pub mod whole_file;

pub use config::{Find, PeerConfig};
pub use handle::{EventStream, PeerHandle, Streamed};
pub use lanspread_core::{
    catalog, catalog_sync, command, event, finding, groups, io, refusals, room, snapshot, trust,
};
pub use lanspread_net::raise_file_limit;
pub use lanspread_store::{FolderLock, GAME_FILE, GameFile, GameFileError, Holder, pack};
pub use lanspread_types as types;
pub use start::{RunningPeer, StartError, lock_games_dir, lock_state_dir, start};

mod start;
mod traffic;
mod upkeep;
