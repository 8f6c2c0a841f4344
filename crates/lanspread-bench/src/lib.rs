//! Benchmarks as commands. `docs/benchmarks.md` says what each measures and how to read it.
//!
//! | module | owns |
//! | --- | --- |
//! | `cli` | the command line, and the clean-up of the lab |
//! | `swarm`, `link`, `play`, `find`, `files`, `hash`, `kill` | one command each; `link` also owns `cpu` |
//! | `race` | one timed run |
//! | `contender`, `contenders` | what a program must be able to do to take part; which ones take part |
//! | `ours`, `peer` | lanspread as a contender: processes spoken to in JSON lines |
//! | `competitors` | the other programs |
//! | `lab`, `process` | namespaces and links; measured processes |
//! | `game`, `packed` | the bytes to carry, and their check |
//! | `disk_use` | the most that a library takes on the disk |
//! | `figures`, `machine` | output, and the conditions of the figures |
//!
//! Linux only, because it builds on network namespaces and `/proc`. Elsewhere the crate is empty.
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
