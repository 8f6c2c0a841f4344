//! The catalogue outside the node: its file, its signature, and which one counts at the start.
//!
//! Which games a catalogue allows is decided in `lanspread_core::catalog`, whose types are exported here, too. How an
//! edition spreads through the room is `lanspread_core::catalog_sync`.

pub mod choice;
pub mod group;
pub mod make;
pub mod signed;
pub mod text;

pub use lanspread_core::catalog::{Catalog, CatalogEntry, CatalogMode, GameAbout, SignedCatalog};
