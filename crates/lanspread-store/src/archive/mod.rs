//! Archives: unpacking those of games, and packing a folder as a game.

pub mod pack;
pub mod unpack;
