//! Benchmarks as commands. `docs/benchmarks.md` says what each measures and how to read it.
//!
//! | module | owns |
//! | --- | --- |
//! | `cli` | the command line, and the clean-up of the lab |
//! | `commands` | one command in each module |
//! | `race` | one timed run |
//! | `contenders` | what a program must be able to do to take part; which ones take part; lanspread as one of them |
//! | `lab`, `process` | namespaces and links; measured processes |
//! | `game`, `packed` | the bytes to carry, and their check |
//! | `disk_use` | the most that a library takes on the disk |
//! | `figures`, `machine` | output, and the conditions of the figures |
//!
//! Linux only, because it builds on network namespaces and `/proc`. Elsewhere the crate is empty.
#![cfg(target_os = "linux")]

pub mod cli;
pub mod commands;
pub mod contenders;
pub mod disk_use;
pub mod figures;
pub mod game;
pub mod lab;
pub mod machine;
pub mod packed;
pub mod process;
pub mod race;
