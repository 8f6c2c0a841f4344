//! Finding peers: which peers we have heard of, when and where to dial them, and which peers to introduce to each
//! other.
//!
//! Owns the address book ([`Book`]), the order of addresses ([`rank`]) and the record of introductions
//! ([`Introductions`]). Does not know libraries or downloads; connected peers belong to the roster.

mod book;
mod introductions;
pub mod rank;

pub use book::{Absence, Book, Due, Stranger};
pub use introductions::Introductions;

use lanspread_types::KnownPeer;

/// How a node finds peers, beyond discovery and commands.
#[derive(Debug, Clone, Default)]
pub struct DiscoverySettings {
    /// Whether to introduce connected peers to each other, and to dial introduced peers.
    pub introductions: bool,
    /// Peers of the last party, which are tried first.
    pub remembered: Vec<KnownPeer>,
    /// Whether to remember peers for the next party.
    pub remember: bool,
}
