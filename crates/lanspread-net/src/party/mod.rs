//! A closed party: the passphrase, the proof that a peer knows it, and the bound on guesses.

pub mod guesses;
pub mod proof;
pub mod secrets;
