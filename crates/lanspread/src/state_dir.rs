//! Locates this peer's state folder, and owns `api.json`, the file in it that tells commands how to reach the peer.
//!
//! `api.json` holds the address of the running peer's HTTP interface and the token that admits a caller. It is
//! written as a whole or not at all, only its owner can read it, and it is removed when the peer ends. After a crash
//! it stays behind; commands notice that because nothing answers at its address.
//!
//! A portable program, on a USB stick for instance, keeps its state beside itself. A file `lanspread-portable.txt`
//! beside it says so.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::atomic_file;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "api.json";
/// Version of the format of `api.json`.
const FORMAT: u32 = 1;
/// Largest `api.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Marks a portable program when it lies beside it; its content does not matter.
const PORTABLE_MARKER: &str = "lanspread-portable.txt";
/// Name of a portable program's state folder.
const PORTABLE_STATE: &str = "lanspread-state";

/// Returns the state folder: the requested one, the one beside a portable program, or this user's own.
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
    // Windows carries the folder for state from PC to PC with a roaming profile, and one identity on two PCs would be
    // the same peer twice. The cache folder `AppData\Local` stays on the PC, and nothing empties it.
    let state = if cfg!(windows) { Some(base.cache_dir()) } else { base.state_dir() };
    Ok(state.unwrap_or_else(|| base.data_dir()).join("lanspread"))
}

/// Returns the state folder beside a portable program, if `folder` has the marker.
fn state_beside(folder: &Path) -> Option<PathBuf> {
    folder.join(PORTABLE_MARKER).is_file().then(|| folder.join(PORTABLE_STATE))
}

/// Returns the folder of the portable program that uses this state folder. Its path differs from machine to machine.
pub fn portable_folder(state_dir: &Path) -> Option<&Path> {
    let folder = state_dir.parent()?;
    (state_beside(folder).as_deref() == Some(state_dir)).then_some(folder)
}

/// Content of `api.json`: how to reach a running peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    format: u32,
    /// Loopback address of the HTTP interface.
    pub address: SocketAddr,
    /// Secret that admits a caller: 64 hexadecimal digits.
    pub token: String,
}

impl ApiFile {
    /// Makes a new token of 256 random bits for this address.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let token = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { format: FORMAT, address, token })
    }

    /// Writes the file; only its owner can read it.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        atomic_file::write(&state_dir.join(FILE_NAME), &text)
    }

    /// Reads the file; `None` if it is missing or has another format.
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

    /// Removes the file, unless another peer has replaced it.
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
    fn file_is_written_read_and_removed() {
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
    fn marker_beside_program_keeps_state_there() {
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
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        file().write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn unreadable_content_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(5000);
        for text in ["", "{}", r#"{"format":2,"address":"127.0.0.1:1","token":"x"}"#, long.as_str()] {
            fs::write(dir.path().join(FILE_NAME), text).unwrap();
            assert_eq!(ApiFile::read(dir.path()).unwrap(), None, "{text:.20}");
        }
    }
}
