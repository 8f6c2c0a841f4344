//! Starting a game: its program, in its own folder, with nothing in between that would read its name as a command.
//!
//! A game outlives the peer. Its standard streams lead nowhere, and it is out of the way of a Ctrl-C that is meant for
//! the peer: on Unix in a process group, on Windows in a console group of its own.
//!
//! | what | on Windows | elsewhere |
//! | --- | --- | --- |
//! | `.exe` | started; through the shell where Windows wants to ask for more rights | Wine, or Proton |
//! | `.cmd`, `.bat` | started, which `std` does through `cmd.exe` and quotes for | Wine |
//! | `.lnk` | through the shell, which follows it | Wine |
//! | anything else | through the shell | started, and made executable before |

#[cfg(windows)]
mod shell;
#[cfg(not(windows))]
mod wine;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lanspread_store::Program;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[cfg(not(windows))]
    #[error(
        "{} is a Windows program, and there is neither Wine nor Steam's Proton to run it with",
        .0.display()
    )]
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
    #[cfg(windows)]
    return shell::launch(program, ended).map_err(failed);
    #[cfg(not(windows))]
    {
        let command = if is_for_windows(&program.path) {
            let runner = wine::find(&wine::Surroundings::of_this_process(), &program.path);
            let runner = runner.ok_or_else(|| LaunchError::NoWine(program.path.clone()))?;
            runner.command(program).map_err(failed)?
        } else {
            make_executable(&program.path).map_err(failed)?;
            let mut command = Command::new(&program.path);
            command.args(&program.args);
            command
        };
        spawn(command, program, ended).map_err(failed)
    }
}

/// Starts it in its folder, with streams that lead nowhere.
fn spawn(
    mut command: Command,
    program: &Program,
    ended: impl FnOnce(Duration) + Send + 'static,
) -> io::Result<()> {
    if let Some(folder) = program.path.parent() {
        command.current_dir(folder);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut command, shell::OWN_CONSOLE_GROUP);
    let mut child = command.spawn()?;
    // Somebody has to take its end, or it stays in the process table.
    let begun = Instant::now();
    std::thread::spawn(move || {
        let _ = child.wait();
        ended(begun.elapsed());
    });
    Ok(())
}

#[cfg(not(windows))]
fn is_for_windows(path: &Path) -> bool {
    has_extension(path, &["exe", "cmd", "bat", "lnk"])
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
    if permissions.mode() & 0o100 != 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions.mode() | 0o111))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a started program writes beside itself, when it has written all of it.
    fn told(folder: &Path) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match std::fs::read_to_string(folder.join("where")) {
                Ok(told) => return told,
                Err(_) => assert!(Instant::now() < deadline, "the program never ran"),
            }
            std::thread::sleep(Duration::from_millis(10));
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
        let folder = dir.path().canonicalize().unwrap();
        assert_eq!(told(dir.path()), format!("{}\na; b\n", folder.display()));
        end.recv_timeout(Duration::from_secs(60)).expect("its end was never told");
    }

    #[cfg(windows)]
    #[test]
    fn a_batch_file_runs_in_its_own_folder() {
        for name in ["go.bat", "a game & more.CMD"] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("bin (x86)");
            std::fs::create_dir(&folder).unwrap();
            let path = folder.join(name);
            std::fs::write(&path, "@cd > where.tmp\r\n@echo %~1>> where.tmp\r\n@ren where.tmp where\r\n")
                .unwrap();
            launch(&Program { path, args: vec!["a b".to_owned()] }, |_| {}).unwrap();
            let told = told(&folder);
            let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
            assert!(lines[0].ends_with("bin (x86)") && lines[1] == "a b", "{told}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        for name in ["no.exe", "no.bat", "no.lnk"] {
            let program = Program { path: Path::new(r"C:\nowhere").join(name), args: Vec::new() };
            assert!(launch(&program, |_| {}).is_err(), "{name}");
        }
    }
}
