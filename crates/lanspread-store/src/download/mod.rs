//! Games on their way: chunks below `.lanspread/incoming/`, what an old version gives, and the commit.

pub mod arriving;
pub mod commit;
mod discard;
pub mod have;
pub mod incoming;
pub mod reader;
pub mod reuse;
pub mod spool;
mod takeover;
