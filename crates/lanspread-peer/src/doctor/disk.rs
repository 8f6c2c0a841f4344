//! Checks of the folders: whether they can be written, and how much room there is.

use std::io::Write;
use std::path::Path;

use super::{Check, Health};

/// Free space below which hardly any game fits.
const ROOM_MIN_BYTES: u64 = 10 << 30;

/// Checks the state folder and, if it is known, the games folder.
pub(super) fn check(state_dir: &Path, games_dir: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![writable("state-folder", state_dir, false)];
    if let Some(games_dir) = games_dir {
        checks.push(writable("games-folder", games_dir, true));
    }
    checks
}

fn writable(name: &'static str, folder: &Path, wants_room: bool) -> Check {
    if !folder.is_dir() {
        let found = format!("{} does not exist", folder.display());
        // The first start makes the state folder, so its absence is no fault.
        return if wants_room {
            Check::new(name, Health::Bad, found, "create the folder, or choose another games folder")
        } else {
            Check::new(name, Health::Unknown, found, "lanspread creates it when it starts for the first time")
        };
    }
    if let Err(error) = write_test(folder) {
        let found = format!("{} is not writable: {error}", folder.display());
        return Check::new(
            name,
            Health::Bad,
            found,
            "check who owns the folder, and whether the disk is full or write-protected",
        );
    }
    match fs4::available_space(folder) {
        Ok(free) if wants_room && free < ROOM_MIN_BYTES => {
            let found = format!("{}: {} free", folder.display(), gigabytes(free));
            Check::new(name, Health::Poor, found, "free some space, or choose a games folder on another disk")
        }
        Ok(free) => Check::good(name, format!("{} is writable, {} free", folder.display(), gigabytes(free))),
        Err(error) => {
            let found = format!("{} is writable; free space is unknown: {error}", folder.display());
            Check::new(name, Health::Unknown, found, "check the free space with the tools of your system")
        }
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Writes a small file and deletes it again.
fn write_test(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".lanspread-doctor-").tempfile_in(folder)?;
    file.write_all(&[0; 64 << 10])?;
    file.as_file().sync_all()?;
    file.close()
}
