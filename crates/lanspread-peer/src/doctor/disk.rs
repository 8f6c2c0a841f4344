//! The folders: whether they can be written, and how much room there is.

use std::io::Write;
use std::path::Path;

use super::{Check, Health};

/// Below this, hardly any game fits.
const ROOM_MIN_BYTES: u64 = 10 << 30;

pub(super) fn check(state_dir: &Path, games_dir: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![writable("state-folder", state_dir, false)];
    if let Some(games_dir) = games_dir {
        checks.push(writable("games-folder", games_dir, true));
    }
    checks
}

fn writable(name: &'static str, folder: &Path, wants_room: bool) -> Check {
    if !folder.is_dir() {
        // The state folder is made at the first start.
        let health = if wants_room { Health::Bad } else { Health::Unknown };
        let found = format!("{} does not exist", folder.display());
        return Check::new(
            name,
            health,
            found,
            "`lanspread run --games-dir FOLDER` needs a games folder that exists, and makes its state folder",
        );
    }
    if let Err(error) = write_test(folder) {
        let found = format!("{} cannot be written: {error}", folder.display());
        return Check::new(
            name,
            Health::Bad,
            found,
            "check who owns the folder, and whether the disk is full or write-protected",
        );
    }
    match fs4::available_space(folder) {
        Ok(free) if wants_room && free < ROOM_MIN_BYTES => {
            let found = format!("{}: {} free", folder.display(), gib(free));
            Check::new(
                name,
                Health::Poor,
                found,
                "make room, or move the library to another disk (--games-dir)",
            )
        }
        Ok(free) => Check::good(name, format!("{} can be written, {} free", folder.display(), gib(free))),
        Err(error) => {
            let found = format!("{} can be written; free space cannot be told: {error}", folder.display());
            Check::new(name, Health::Unknown, found, "look with the tools of your system")
        }
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// Writes a little, and takes it away again.
fn write_test(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".lanspread-doctor-").tempfile_in(folder)?;
    file.write_all(&[0; 64 << 10])?;
    file.as_file().sync_all()?;
    file.close()
}
