//! Starting a game on Windows: directly if possible, otherwise through the shell.
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

/// `CREATE_NEW_PROCESS_GROUP`: keeps a Ctrl-C in our console from the game.
pub(super) const OWN_CONSOLE_GROUP: u32 = 0x200;

/// `ERROR_ELEVATION_REQUIRED`: the program wants more rights than we have.
const ELEVATION_REQUIRED: i32 = 740;

/// Starts a program. Calls `ended` with its running time, or with zero if the shell started it.
pub(super) fn launch(program: &Program, ended: impl FnOnce(Duration) + Send + 'static) -> io::Result<()> {
    if !super::has_extension(&program.path, &["exe", "com", "cmd", "bat"]) {
        return execute(program, ended);
    }
    let mut command = Command::new(&program.path);
    // `std` quotes arguments for programs and for batch files, and refuses those that cannot be quoted for batch files.
    command.args(&program.args);
    // The first attempt may fail; then the second one calls `ended`.
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

/// Opens the program as Explorer would. The call returns when the shell is done, since this thread has no message loop,
/// and errors are returned instead of shown in a window.
///
/// We cannot wait for a program that the shell starts, so `ended` is called at once with zero, as for a launcher that
/// ends at once.
fn execute(program: &Program, ended: impl FnOnce(Duration)) -> io::Result<()> {
    let folder = program.path.parent().map(text).transpose()?;
    let args = command_line(&program.args);
    // The shell starts some programs through COM, which needs this. If it fails, most still start.
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

/// Joins arguments into one line that a program's runtime library splits into the same arguments.
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
                // Backslashes before a quote are read as escapes, so each is doubled, and one more escapes the quote.
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
    fn quoted_arguments_split_into_the_same_ones() {
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
