//! The file system: folders of the library, errors of the disk, and files that other programs hold open.

pub mod cancel;
pub mod fault;
pub mod faulty;
pub mod files;
pub mod handles;
pub mod in_use;
pub mod layout;
#[cfg(any(test, not(target_os = "linux")))]
pub mod parallel;
