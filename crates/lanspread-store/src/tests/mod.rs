//! Tests on real folders.

mod archives;
mod arriving;
mod change;
mod download;
mod forward;
mod hostile;
mod lab;
mod library;
mod provenance;
mod rar5;
mod recovery;
mod systems;
mod update;
