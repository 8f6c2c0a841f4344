//! Starting a game: its program, in its own folder, with nothing in between that would read its name as a command.
//!
//! A game outlives the peer. Its standard streams lead nowhere, and on Unix it has a process group of its own, so that
//! a Ctrl-C meant for the peer does not reach it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lanspread_store::Program;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{} is a Windows program, and Wine (`wine`) is not installed", .0.display())]
    NoWine(PathBuf),
    #[error("{} could not be started: {source}", path.display())]
    Failed { path: PathBuf, source: io::Error },
}

/// Starts a program and does not wait for it; tells when it has ended, and how long it ran.
pub(crate) fn launch(
    program: &Program,
    ended: impl FnOnce(Duration) + Send + 'static,
) -> Result<(), LaunchError> {
    let failed = |source| LaunchError::Failed { path: program.path.clone(), source };
    make_executable(&program.path).map_err(failed)?;
    let mut command = command(program);
    if let Some(folder) = program.path.parent() {
        command.current_dir(folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let spawned = command.spawn();
    let mut child = spawned.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if needs_wine(&program.path) => LaunchError::NoWine(program.path.clone()),
        _ => failed(source),
    })?;
    // Somebody has to take its end, or it stays in the process table.
    let begun = Instant::now();
    std::thread::spawn(move || {
        let _ = child.wait();
        ended(begun.elapsed());
    });
    Ok(())
}

fn command(program: &Program) -> Command {
    let path = &program.path;
    let mut command = if needs_wine(path) {
        let mut wine = Command::new("wine");
        if !has_extension(path, &["exe"]) {
            // Batch files and links are opened by Wine's shell, which is given a path and no command line.
            wine.args(["start", "/wait", "/unix"]);
        }
        wine.arg(path);
        wine
    } else if cfg!(windows) && has_extension(path, &["lnk"]) {
        let mut shell = Command::new("explorer.exe");
        shell.arg(path);
        return shell;
    } else {
        // std quotes what it gives to batch files, or refuses it.
        Command::new(path)
    };
    command.args(&program.args);
    command
}

fn needs_wine(path: &Path) -> bool {
    cfg!(not(windows)) && has_extension(path, &["exe", "cmd", "bat", "lnk"])
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    extensions.iter().any(|e| e.eq_ignore_ascii_case(extension))
}

/// Archives do not keep the permission to run.
#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::metadata(path)?.permissions();
    if needs_wine(path) || permissions.mode() & 0o100 != 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions.mode() | 0o111))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_windows_program_goes_through_wine_with_its_path_as_one_argument() {
        let path = PathBuf::from("/games/a game/local/bin; rm -rf ~/go.EXE");
        let program = Program { path: path.clone(), args: vec!["$(x)".to_owned(), "a b".to_owned()] };
        let command = command(&program);
        let args: Vec<_> = command.get_args().collect();
        if cfg!(windows) {
            assert_eq!(args, ["$(x)", "a b"]);
        } else {
            assert_eq!(
                (command.get_program(), args),
                ("wine".as_ref(), vec![path.as_os_str(), "$(x)".as_ref(), "a b".as_ref()])
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_native_program_runs_in_its_own_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("go");
        std::fs::write(&path, b"#!/bin/sh\npwd > where.tmp\necho \"$1\" >> where.tmp\nmv where.tmp where\n")
            .unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        let program = Program { path, args: vec!["a; b".to_owned()] };
        launch(&program, move |ran| ended.send(ran).unwrap()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let told = loop {
            match std::fs::read_to_string(dir.path().join("where")) {
                Ok(told) => break told,
                Err(_) => assert!(std::time::Instant::now() < deadline, "the program never ran"),
            }
            std::thread::yield_now();
        };
        let folder = dir.path().canonicalize().unwrap();
        assert_eq!(told, format!("{}\na; b\n", folder.display()));
        end.recv_timeout(Duration::from_secs(60)).expect("its end was never told");
    }
}
