//! `lanspread`: the program for people.
//!
//! Without a command, and with `run`, it is a peer with an HTTP interface on loopback, which serves the page; most other
//! commands talk to it there. Whatever goes wrong ends here as the contract's error: a sentence, a hint, and an exit code from its table.

mod address;
mod app;
mod by_hand;
mod catalog;
mod cli;
mod client;
mod commands;
mod demo;
mod doctor;
mod host;
mod http;
mod join;
mod pack;
mod paper;
mod pass_phrase;
mod place;
mod quiet;
mod run;
mod settings;
mod show;
mod signal;

use std::io::IsTerminal;
use std::process::ExitCode;

use by_hand::Start;
use cli::{Cli, Command};
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, Line};
use show::Screen;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = cli::parse();
    log_to_stderr();
    lanspread_peer::raise_file_limit();
    let json = cli.json;
    let start = cli.command.is_none().then(by_hand::start);
    if start.is_some_and(Start::is_handed_over) {
        return ExitCode::SUCCESS;
    }
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = error.exit().code();
            if let Some(start) = start {
                start.complain(&in_a_window(&error));
            }
            report(error, json);
            ExitCode::from(exit)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), ErrorBody> {
    match cli.command {
        None => block_on(run::open(cli.ui, place::state_dir(cli.state_dir)?, cli.json)),
        Some(Command::Demo(args)) => block_on(demo::run(args)),
        Some(Command::Run(args)) => {
            block_on(run::run(args, cli.ui, place::state_dir(cli.state_dir)?, cli.json))
        }
        Some(Command::Doctor(args)) => {
            block_on(doctor::run(args, place::state_dir(cli.state_dir)?, cli.json))
        }
        Some(Command::Pack(args)) => commands::pack(args, &place::state_dir(cli.state_dir)?, cli.json),
        Some(Command::Catalog(args)) => catalog::run(args.command, cli.state_dir),
        Some(Command::Completions(args)) => paper::completions(args.shell, &Screen::default()),
        Some(Command::InstallApp(args)) => app::install(args.autostart, &Screen::default()),
        Some(Command::UninstallApp) => app::uninstall(&Screen::default()),
        Some(Command::Man) => paper::man(&Screen::default()),
        Some(command) => commands::run(command, &place::state_dir(cli.state_dir)?, cli.json),
    }
}

fn block_on(work: impl Future<Output = Result<(), ErrorBody>>) -> Result<(), ErrorBody> {
    let runtime = tokio::runtime::Runtime::new();
    let failed =
        |e| ErrorBody::new(ErrorCode::Internal, format!("the program cannot start its threads: {e}"));
    runtime.map_err(failed)?.block_on(work)
}

/// What went wrong: for machines on standard output, for people on standard error.
fn report(error: ErrorBody, json: bool) {
    let screen = Screen::default();
    if json {
        screen.say(Line::Error(ErrorLine { id: None, cmd: None, error }).to_json());
        return;
    }
    // What has been said needs no second word.
    if error.message.is_empty() {
        return;
    }
    screen.note(format!("lanspread: {}", error.message));
    for variant in &error.variants {
        screen.note(format!("  {} is what these have: {}", variant.content_id, variant.peers.join(", ")));
    }
    if let Some(hint) = &error.hint {
        screen.note(format!("hint: {}", in_our_words(hint)));
    }
}

/// The same for a window, to somebody who has clicked on the program.
fn in_a_window(error: &ErrorBody) -> String {
    let hint = error.hint.as_deref().map(in_our_words);
    hint.map_or_else(|| error.message.clone(), |hint| format!("{}\n\n{hint}", error.message))
}

/// The contract's hints name the commands of the scriptable peer; here they have other names.
fn in_our_words(hint: &str) -> String {
    hint.replace("`list-games`", "`lanspread list`").replace("`list-peers`", "`lanspread peers`")
}

/// Diagnostics for those who look for a fault: `LANSPREAD_LOG=debug lanspread run …`.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("LANSPREAD_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}
