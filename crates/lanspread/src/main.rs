//! `lanspread`: the program for people.
//!
//! Without a command, and with `run`, it is a peer with an HTTP interface on loopback that serves the page. Most
//! other commands talk to that peer there. Every failure ends here as an error of the contract: a sentence, a hint,
//! and an exit code from its table.

mod address;
mod app;
mod catalog;
mod cli;
mod client;
mod commands;
mod demo;
mod desktop_start;
mod doctor;
mod host;
mod http;
mod join;
mod pack;
mod packaging;
mod pass_phrase;
mod resume;
mod run;
mod running_games;
mod settings;
mod show;
mod signal;
mod state_dir;
mod unfinished;
mod upload_hold;

use std::io::IsTerminal;
use std::process::ExitCode;

use cli::{Cli, Command};
use desktop_start::Start;
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, Line};
use show::Screen;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = cli::parse();
    log_to_stderr();
    lanspread_peer::raise_file_limit();
    let json = cli.json;
    let start = cli.command.is_none().then(desktop_start::start);
    if start.is_some_and(Start::is_handed_over) {
        return ExitCode::SUCCESS;
    }
    match dispatch(cli) {
        Ok(exit) => ExitCode::from(exit.code()),
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

fn dispatch(cli: Cli) -> Result<lanspread_api::ExitCode, ErrorBody> {
    let done = match cli.command {
        None => block_on(run::open(cli.ui, state_dir::state_dir(cli.state_dir)?, cli.json)),
        Some(Command::Demo(args)) => block_on(demo::run(args)),
        Some(Command::Run(args)) => {
            block_on(run::run(args, cli.ui, state_dir::state_dir(cli.state_dir)?, cli.json))
        }
        Some(Command::Doctor(args)) => {
            return block_on(doctor::run(args, state_dir::state_dir(cli.state_dir)?, cli.json));
        }
        Some(Command::Pack(args)) => commands::pack(args, &state_dir::state_dir(cli.state_dir)?, cli.json),
        Some(Command::Catalog(args)) => catalog::run(args.command, cli.state_dir),
        Some(Command::Completions(args)) => packaging::completions(args.shell, &Screen::default()),
        Some(Command::InstallApp(args)) => app::install(args.autostart, &Screen::default()),
        Some(Command::UninstallApp) => app::uninstall(&Screen::default()),
        Some(Command::Man) => packaging::man(&Screen::default()),
        Some(command) => commands::run(command, &state_dir::state_dir(cli.state_dir)?, cli.json),
    };
    done.map(|()| lanspread_api::ExitCode::Success)
}

fn block_on<T>(work: impl Future<Output = Result<T, ErrorBody>>) -> Result<T, ErrorBody> {
    let runtime = tokio::runtime::Runtime::new();
    let failed =
        |e| ErrorBody::new(ErrorCode::Internal, format!("the program cannot start its threads: {e}"));
    runtime.map_err(failed)?.block_on(work)
}

/// Reports an error: as JSON on standard output, or as text on standard error.
fn report(error: ErrorBody, json: bool) {
    let screen = Screen::default();
    if json {
        screen.say(Line::Error(ErrorLine { id: None, cmd: None, error }).to_json());
        return;
    }
    // An empty message means that the error was shown already.
    if error.message.is_empty() {
        return;
    }
    screen.note(format!("lanspread: {}", error.message));
    for variant in &error.variants {
        screen.note(format!("  content {}: {}", variant.content_id, variant.peers.join(", ")));
    }
    if let Some(hint) = &error.hint {
        screen.note(format!("hint: {}", in_our_words(hint)));
    }
}

/// The error as the text of a message window.
fn in_a_window(error: &ErrorBody) -> String {
    let hint = error.hint.as_deref().map(in_our_words);
    hint.map_or_else(|| error.message.clone(), |hint| format!("{}\n\n{hint}", error.message))
}

/// Replaces the scriptable peer's command names in a hint with those of `lanspread`.
fn in_our_words(hint: &str) -> String {
    hint.replace("`list-games`", "`lanspread list`").replace("`list-peers`", "`lanspread peers`")
}

/// Starts logging to standard error. `LANSPREAD_LOG=debug lanspread run …` shows more than errors.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("LANSPREAD_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let colours = std::io::stderr().is_terminal() && wants_colours(std::env::var_os("NO_COLOR").as_deref());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// By the convention of no-color.org, any value but an empty one means no.
fn wants_colours(no_color: Option<&std::ffi::OsStr>) -> bool {
    no_color.is_none_or(std::ffi::OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_is_respected() {
        assert!(wants_colours(None) && wants_colours(Some("".as_ref())));
        assert!(!wants_colours(Some("1".as_ref())));
    }
}
