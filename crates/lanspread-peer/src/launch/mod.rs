//! Starting a game's program in its own folder. Its path is passed as one argument, so that no shell reads it as a
//! command.
//!
//! A game outlives the peer. Its standard streams go nowhere, and a Ctrl-C for the peer does not reach it: on Unix it
//! has a process group of its own, on Windows a console group.
//!
//! | what | on Windows | elsewhere |
//! | --- | --- | --- |
//! | `.exe` | started; through the shell if Windows has to ask the user for more rights | Wine, or Proton |
//! | `.cmd`, `.bat` | started; `std` uses `cmd.exe` and quotes the arguments for it | Wine |
//! | `.lnk` | through the shell, which follows it | Wine |
//! | anything else | through the shell | made executable and started |

#[cfg(windows)]
mod shell;
#[cfg(not(windows))]
mod wine;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lanspread_store::Program;

/// Why a game could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A Windows program on another system, without Wine or Proton.
    #[cfg(not(windows))]
    #[error(
        "{} is a Windows program, and there is neither Wine nor Steam's Proton to run it with",
        .0.display()
    )]
    NoWine(PathBuf),
    /// The system refused to start the program.
    #[error("{} could not be started: {source}", path.display())]
    Failed { path: PathBuf, source: io::Error },
}

/// Starts a program without waiting for it. Calls `ended` with its running time when it has ended.
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

/// Starts the command in the program's folder, with standard streams that go nowhere.
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
    // Without a wait, the ended program would stay in the process table.
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

/// Makes a file executable, because archives do not keep that permission.
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

    /// Returns what a started program writes beside itself, once it has written all of it.
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
    fn native_program_runs_in_its_folder() {
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
    fn batch_file_runs_in_its_folder() {
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
    fn missing_program_is_an_error() {
        for name in ["no.exe", "no.bat", "no.lnk"] {
            let program = Program { path: Path::new(r"C:\nowhere").join(name), args: Vec::new() };
            assert!(launch(&program, |_| {}).is_err(), "{name}");
        }
    }
}
