//! Tests on real folders.

mod archives;
mod arriving;
mod change;
mod download;
mod forward;
mod lab;
mod library;
mod rar5;
