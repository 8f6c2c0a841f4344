//! Installs the program for this user: a copy in the user's folder for programs, an entry in the start menu and, on
//! request, one that starts it at each login.
//!
//! It needs no administrator and touches nothing else. Uninstalling leaves settings and games in place.

#[cfg(not(windows))]
mod freedesktop;
#[cfg(windows)]
mod start_menu;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lanspread_api::{ErrorBody, ErrorCode};

#[cfg(not(windows))]
use freedesktop as system;
#[cfg(windows)]
use start_menu as system;

use crate::show::Screen;

/// Arguments of the login entry: a login should not open the page.
const AT_LOGIN: &str = "--no-browser";

/// Paths of the program copy and its entries.
#[derive(Debug, Clone)]
struct Places {
    program: PathBuf,
    menu_entry: PathBuf,
    login_entry: PathBuf,
}

/// Installs the running program, or updates an installed copy.
pub fn install(at_login: bool, screen: &Screen) -> Result<(), ErrorBody> {
    let places = places()?;
    let this = std::env::current_exe().map_err(|e| failed("find", Path::new("this program"), &e))?;
    install_to(&places, &this, at_login)?;
    screen.say(format!("Installed as {}.", places.program.display()));
    screen.say(format!("In the start menu: {}.", places.menu_entry.display()));
    screen.say(if at_login {
        "It starts at each login, without opening the page."
    } else {
        "Add --autostart to start it at each login."
    });
    Ok(())
}

/// Removes the entries and the program copy.
pub fn uninstall(screen: &Screen) -> Result<(), ErrorBody> {
    let places = places()?;
    match uninstall_from(&places)? {
        true => screen.say("lanspread is uninstalled. Settings and games are kept."),
        false => screen.say(format!(
            "The entries are removed, but the program is still running: delete {} after it has ended.",
            places.program.display()
        )),
    }
    Ok(())
}

fn places() -> Result<Places, ErrorBody> {
    let unknown = |e: String| {
        ErrorBody::new(ErrorCode::DiskFailed, format!("this user's folders for programs are not known: {e}"))
    };
    system::places().map_err(unknown)
}

fn install_to(places: &Places, this: &Path, at_login: bool) -> Result<(), ErrorBody> {
    for path in [&places.program, &places.menu_entry, &places.login_entry] {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(|e| failed("make the folder", folder, &e))?;
    }
    copy_program(this, &places.program).map_err(|e| failed("write", &places.program, &e))?;
    let write = |entry: &Path, args| {
        system::write_entry(entry, &places.program, args).map_err(|e| failed("write", entry, &e))
    };
    write(&places.menu_entry, "")?;
    if at_login {
        write(&places.login_entry, AT_LOGIN)
    } else {
        delete(&places.login_entry).map_err(|e| failed("delete", &places.login_entry, &e))
    }
}

/// Returns whether the program is gone as well. Windows does not delete a running program.
fn uninstall_from(places: &Places) -> Result<bool, ErrorBody> {
    for entry in [&places.menu_entry, &places.login_entry] {
        delete(entry).map_err(|e| failed("delete", entry, &e))?;
    }
    let _ = delete(&set_aside(&places.program));
    let gone = delete(&places.program).is_ok();
    // Removes the folder only if it is empty.
    let _ = places.program.parent().map(fs::remove_dir);
    Ok(gone)
}

/// Copies the program and replaces an existing one as a whole or not at all. Every system lets a running program be
/// renamed; almost none lets it be overwritten.
fn copy_program(from: &Path, to: &Path) -> io::Result<()> {
    if let (Ok(from), Ok(to)) = (fs::canonicalize(from), fs::canonicalize(to))
        && from == to
    {
        return Ok(());
    }
    let new = to.with_extension("new");
    fs::copy(from, &new)?;
    if fs::rename(&new, to).is_ok() {
        return Ok(());
    }
    let old = set_aside(to);
    delete(&old)?;
    fs::rename(to, &old)?;
    fs::rename(&new, to)
}

/// Path where a running program waits until the next installation deletes it.
fn set_aside(program: &Path) -> PathBuf {
    program.with_extension("old")
}

/// Deletes a file; a missing one is fine.
fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> ErrorBody {
    ErrorBody::new(ErrorCode::DiskFailed, format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(dir: &Path) -> Places {
        let program = if cfg!(windows) { "Programs/lanspread/lanspread.exe" } else { "bin/lanspread" };
        let entry = if cfg!(windows) { "lanspread.lnk" } else { "lanspread.desktop" };
        Places {
            program: dir.join(program),
            menu_entry: dir.join("menu").join(entry),
            login_entry: dir.join("login").join(entry),
        }
    }

    #[test]
    fn install_update_and_uninstall() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let (first, second) = (dir.path().join("lanspread-192.168.0.7.exe"), dir.path().join("newer.exe"));
        fs::write(&first, b"first").unwrap();
        fs::write(&second, b"second").unwrap();

        install_to(&places, &first, true).unwrap();
        assert_eq!(fs::read(&places.program).unwrap(), b"first");
        assert!(places.menu_entry.is_file() && places.login_entry.is_file());

        install_to(&places, &second, false).unwrap();
        assert_eq!(fs::read(&places.program).unwrap(), b"second");
        assert!(places.menu_entry.is_file() && !places.login_entry.exists(), "no longer at the login");

        install_to(&places, &places.program, false).unwrap();
        assert_eq!(fs::read(&places.program).unwrap(), b"second", "the installed one installs itself");

        assert!(uninstall_from(&places).unwrap());
        assert!(!places.program.exists() && !places.menu_entry.exists());
        assert!(uninstall_from(&places).unwrap(), "and once more, which is nothing to fail at");
    }

    #[test]
    fn system_folders_are_found() {
        let places = super::places().unwrap();
        assert!(places.program.is_absolute() && places.menu_entry.is_absolute());
        assert_ne!(places.menu_entry, places.login_entry);
    }
}
