//! Games that are here: finding their folders, hashing their files, and checking them again.

pub mod game_file;
pub mod hash;
pub mod index;
pub mod provenance;
pub mod scan;
pub mod verify;
pub mod walk;
pub mod watch;
