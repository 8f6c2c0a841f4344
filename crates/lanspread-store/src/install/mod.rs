//! Installed games: unpacking archives to `local/`, keeping the owner's files, and the first start.

pub mod ahead;
pub mod errors;
pub mod installed;
pub mod operations;
pub mod play;
pub mod reinstall;
pub mod space;
pub mod streamed;
pub mod streamed_files;
