//! Benchmarks as commands. What each measures and how to read it stands in `docs/benchmarks.md`.
//!
//! | module | owns |
//! | --- | --- |
//! | `cli` | the command line, and that nothing is left behind |
//! | `swarm`, `link`, `play`, `files`, `hash`, `kill` | one command each (`link` also `cpu`): situations, records, tables |
//! | `race` | one timed run |
//! | `contender` | what a program must be able to do to take part |
//! | `ours`, `peer` | lanspread as a contender: processes spoken to in JSON lines |
//! | `competitors` | the others |
//! | `lab`, `process`, `game`, `packed` | namespaces and links; processes; the bytes and their check |
//! | `disk_use` | what a library takes on the disk at the most |
//! | `figures`, `machine` | what comes out |
//!
//! Linux only: network namespaces and `/proc` are what it is made of. Elsewhere the crate is empty.
#![cfg(target_os = "linux")]

pub mod cli;
pub mod competitors;
pub mod contender;
pub mod contenders;
pub mod disk_use;
pub mod figures;
pub mod files;
pub mod find;
pub mod game;
pub mod hash;
pub mod kill;
pub mod lab;
pub mod link;
pub mod machine;
pub mod ours;
pub mod packed;
pub mod peer;
pub mod play;
pub mod process;
pub mod race;
pub mod swarm;
