//! The words that the node shares with network and disk. The node's input and output are made of them
//! ([`crate::io`]); commands, events and snapshots use some as well.

pub mod disk;
pub mod net;
