//! `lanspread-peer-cli`: a peer for scripts. It reads one JSON command per line and prints JSON lines.
//!
//! `lanspread-api` defines the contract. This program connects it to a process: flags, lines, signals and exit codes.

mod address;
mod args;
mod commands;
mod ending;
mod fixture;
mod input;
mod limits;
mod output;
mod session;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let filter = tracing_subscriber::EnvFilter::new(&args.log);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    lanspread_peer::raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(session::run(args));
    // A thread may still be blocked in a read of standard input, so this does not wait for it.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}
