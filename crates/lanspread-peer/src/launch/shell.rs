//! Starting a game on Windows: by itself where that is enough, through the shell where only the shell can.
//!
//! Sources: Microsoft, *CreateProcessW* (a program that wants more rights is refused with `ERROR_ELEVATION_REQUIRED`),
//! *ShellExecuteW* (asks the user for them, follows links), *Parsing C command-line arguments* (quoting).

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lanspread_store::Program;
use winsafe::{SHELLEXECUTEINFO, ShellExecuteEx, co};

/// `CREATE_NEW_PROCESS_GROUP`: Ctrl-C in our console is not for the game.
pub(super) const OWN_CONSOLE_GROUP: u32 = 0x200;

/// `ERROR_ELEVATION_REQUIRED`
const ELEVATION_REQUIRED: i32 = 740;

pub(super) fn launch(program: &Program, ended: impl FnOnce(Duration) + Send + 'static) -> io::Result<()> {
    if !super::has_extension(&program.path, &["exe", "com", "cmd", "bat"]) {
        return execute(program, ended);
    }
    let mut command = Command::new(&program.path);
    // `std` quotes for programs and for batch files, and refuses what cannot be quoted for the latter.
    command.args(&program.args);
    // The first attempt may fail and leave the word to the second.
    let once = Arc::new(Mutex::new(Some(ended)));
    let tell = move |ran| {
        if let Some(ended) = once.lock().unwrap_or_else(PoisonError::into_inner).take() {
            ended(ran);
        }
    };
    match super::spawn(command, program, tell.clone()) {
        Err(e) if e.raw_os_error() == Some(ELEVATION_REQUIRED) => execute(program, tell),
        done => done,
    }
}

/// As if it were opened in the Explorer. The call ends when the shell is done with it, since this thread has no messages
/// to process meanwhile, and what goes wrong is told to us instead of shown in a window.
///
/// What the shell starts is not ours to wait for: its end is told at once, which says as much as that of a launcher.
fn execute(program: &Program, ended: impl FnOnce(Duration)) -> io::Result<()> {
    let folder = program.path.parent().map(text).transpose()?;
    let args = command_line(&program.args);
    // Some of what the shell starts it starts by COM, which wants this. Where it fails, most still works.
    let _com = winsafe::CoInitializeEx(co::COINIT::APARTMENTTHREADED | co::COINIT::DISABLE_OLE1DDE);
    let started = ShellExecuteEx(&SHELLEXECUTEINFO {
        mask: co::SEE_MASK::NOASYNC | co::SEE_MASK::FLAG_NO_UI,
        file: text(&program.path)?,
        parameters: (!args.is_empty()).then_some(args.as_str()),
        directory: folder,
        show: co::SW::SHOWNORMAL,
        ..SHELLEXECUTEINFO::default()
    });
    started.map_err(|e| io::Error::from_raw_os_error(e.raw().cast_signed()))?;
    ended(Duration::ZERO);
    Ok(())
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path is not valid Unicode"))
}

/// Arguments in one line, so that a program's runtime library takes them apart again as they were.
fn command_line(args: &[String]) -> String {
    let quoted: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
    quoted.join(" ")
}

fn quoted(arg: &str) -> String {
    if !arg.is_empty() && !arg.contains([' ', '\t', '"']) {
        return arg.to_owned();
    }
    let mut quoted = String::from('"');
    let mut backslashes = 0;
    for c in arg.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                // Backslashes before a quote are taken for escapes, so each one is doubled, and the quote has its own.
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(c);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_so_that_they_come_apart_again() {
        let cases: [(&str, &str); 7] = [
            ("-x", "-x"),
            (r"C:\a\b", r"C:\a\b"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r"C:\a b\", r#""C:\a b\\""#),
            (r#"a\"b"#, r#""a\\\"b""#),
        ];
        for (arg, expected) in cases {
            assert_eq!(quoted(arg), expected, "{arg}");
        }
        assert_eq!(command_line(&["a".to_owned(), "b c".to_owned()]), r#"a "b c""#);
    }
}
