//! Tests on real folders.

mod archives;
mod change;
mod download;
mod lab;
mod library;
mod rar5;
