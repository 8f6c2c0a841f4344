//! `kill`: a receiver that is killed again and again. Runs scenario S61 with more kills at other moments.
//!
//! The scenario counts kills and bytes and measures no time, so it needs no lab of its own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Options of `kill`.
#[derive(Debug, Args)]
pub struct Options {
    /// How often the receiver is killed
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Seed of the moments of the kills
    #[arg(long, default_value_t = 61)]
    seed: u64,
}

/// Runs the scenario, which prints its figures last.
pub fn run(options: &Options) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--package", "lanspread-peer-cli", "--test", "scenarios", "--", "S61"]);
    command.env("LANSPREAD_KILLS", options.kills.to_string());
    command.env("LANSPREAD_KILL_SEED", options.seed.to_string());
    let ended = command.status().context("cargo cannot be run; the scenarios are built from source")?;
    ensure!(ended.success(), "the scenario failed with seed {}", options.seed);
    Ok(())
}
