//! Finding peers: who was heard of, where they might be reached, whom to dial next, and whom to tell of whom.
//!
//! Owns candidates ([`Book`]), the order of their addresses ([`rank`]) and what was introduced to whom
//! ([`Introductions`]). Knows nothing of libraries or downloads; connected peers are the roster's.

mod book;
mod introductions;
pub mod rank;

pub use book::{Absence, Book, Due, Stranger};
pub use introductions::Introductions;

use lanspread_types::KnownPeer;

/// What a node does to find others, beyond what it is told.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// Introduce connected peers to each other, and dial those who are introduced.
    pub introductions: bool,
    /// Peers of the last party, to be tried first.
    pub remembered: Vec<KnownPeer>,
    /// Remember peers for the next party.
    pub remember: bool,
}
