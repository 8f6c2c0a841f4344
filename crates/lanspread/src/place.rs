//! Where this peer's things are: its state folder, and the file there that tells commands how to reach it.
//!
//! `api.json` holds the address of the running peer's HTTP interface and the token that opens it. It is written
//! whole or not at all, readable for its owner only, and gone when the peer has ended. One that a crash left behind
//! is recognised by nobody answering there.
//!
//! A program that carries its state with it, on a stick for instance, has a file `lanspread-portable.txt` beside it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::whole_file;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "api.json";
/// Format of `api.json`.
const FORMAT: u32 = 1;
/// Largest `api.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// A file of this name beside the program says that everything stays beside the program; what it says is of no matter.
const PORTABLE_MARKER: &str = "lanspread-portable.txt";
/// The state folder of such a program.
const PORTABLE_STATE: &str = "lanspread-state";

/// The state folder: the one that was asked for, the one beside a portable program, or this user's own.
pub fn state_dir(asked: Option<PathBuf>) -> Result<PathBuf, ErrorBody> {
    if let Some(dir) = asked {
        return Ok(dir);
    }
    if let Some(dir) = std::env::current_exe().ok().as_deref().and_then(Path::parent).and_then(state_beside) {
        return Ok(dir);
    }
    let unusable = |e: etcetera::HomeDirError| {
        ErrorBody::new(ErrorCode::StateDirUnusable, format!("there is no home folder to keep state in: {e}"))
    };
    let base = etcetera::choose_base_strategy().map_err(unusable)?;
    // What Windows has for state is carried from PC to PC with a roaming profile, and one identity on two of them would be
    // one peer twice. Its folder for caches, `AppData\Local`, is what stays, and nothing empties it.
    let state = if cfg!(windows) { Some(base.cache_dir()) } else { base.state_dir() };
    Ok(state.unwrap_or_else(|| base.data_dir()).join("lanspread"))
}

/// The state folder in the folder of a portable program.
fn state_beside(folder: &Path) -> Option<PathBuf> {
    folder.join(PORTABLE_MARKER).is_file().then(|| folder.join(PORTABLE_STATE))
}

/// The folder that a portable program with this state folder stands in. Its path is another one on each machine.
pub fn portable_folder(state_dir: &Path) -> Option<&Path> {
    let folder = state_dir.parent()?;
    (state_beside(folder).as_deref() == Some(state_dir)).then_some(folder)
}

/// How a running peer is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    format: u32,
    pub address: SocketAddr,
    pub token: String,
}

impl ApiFile {
    /// With a new token of 256 random bits.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let token = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { format: FORMAT, address, token })
    }

    /// Writes the file, which only its owner can read.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        whole_file::write(&state_dir.join(FILE_NAME), &text)
    }

    /// Reads the file; `None` if there is none, or none of this format.
    pub fn read(state_dir: &Path) -> io::Result<Option<Self>> {
        let path = state_dir.join(FILE_NAME);
        let text = match fs::metadata(&path) {
            Ok(found) if found.len() > FILE_BYTES_MAX => return Ok(None),
            Ok(_) => fs::read_to_string(&path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(serde_json::from_str(&text).ok().filter(|file: &Self| file.format == FORMAT))
    }

    /// Removes the file, unless it is another peer's by now.
    pub fn remove(&self, state_dir: &Path) -> io::Result<()> {
        match Self::read(state_dir)? {
            Some(found) if found == *self => fs::remove_file(state_dir.join(FILE_NAME)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> ApiFile {
        ApiFile::new("127.0.0.1:1".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_file_comes_back_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("new");
        assert_eq!(ApiFile::read(&state).unwrap(), None);
        let (first, second) = (file(), file());
        assert_ne!(first.token, second.token);
        assert_eq!(first.token.len(), 64);
        first.write(&state).unwrap();
        second.write(&state).unwrap();
        assert_eq!(ApiFile::read(&state).unwrap().as_ref(), Some(&second));
        first.remove(&state).unwrap();
        assert!(ApiFile::read(&state).unwrap().is_some(), "the file of another peer stays");
        second.remove(&state).unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_marker_beside_the_program_keeps_the_state_there() {
        let stick = tempfile::tempdir().unwrap();
        let state = stick.path().join(PORTABLE_STATE);
        assert_eq!(state_beside(stick.path()), None);
        assert_eq!(portable_folder(&state), None);
        fs::write(stick.path().join(PORTABLE_MARKER), b"").unwrap();
        assert_eq!(state_beside(stick.path()), Some(state.clone()));
        assert_eq!(portable_folder(&state), Some(stick.path()));
        assert_eq!(portable_folder(&stick.path().join("elsewhere")), None);
        assert_eq!(
            state_dir(Some(PathBuf::from("asked"))).unwrap(),
            Path::new("asked"),
            "what is asked for counts"
        );
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        file().write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_such_file_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(5000);
        for text in ["", "{}", r#"{"format":2,"address":"127.0.0.1:1","token":"x"}"#, long.as_str()] {
            fs::write(dir.path().join(FILE_NAME), text).unwrap();
            assert_eq!(ApiFile::read(dir.path()).unwrap(), None, "{text:.20}");
        }
    }
}
