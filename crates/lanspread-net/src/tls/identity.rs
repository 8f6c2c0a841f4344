//! This peer's identity: an Ed25519 key pair (RFC 8032) in PKCS #8 (RFC 8410). The public key is the peer id.
//!
//! The key file is written under a temporary name, synced and renamed, so it is whole or absent. On Unix only the owner
//! may read it; on Windows the state folder is in the user's profile, whose access list has the same effect.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_types::PeerId;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;

/// Name of the key file in the state folder.
pub const KEY_FILE: &str = "identity.key";
/// Most bytes read from the key file. An Ed25519 key in PKCS #8 has 48 to some 120 bytes.
const KEY_FILE_BYTES_MAX: u64 = 1024;
/// Subject public key info of an Ed25519 key, up to the key itself (RFC 8410, section 4).
pub(crate) const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The key pair of this peer.
#[derive(Clone)]
pub struct Identity {
    peer_id: PeerId,
    key: Arc<dyn SigningKey>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key file exists and cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Path of the key file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// A new key cannot be stored.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Path of the key file.
        path: PathBuf,
        /// Why it cannot be written.
        source: io::Error,
    },
    /// The key file holds no valid key. It stays as it is.
    #[error(
        "{path} is damaged: it holds no Ed25519 key. Restore it, or delete it to start as a new peer with a new id"
    )]
    Damaged {
        /// Path of the key file.
        path: PathBuf,
    },
    /// No new key can be made.
    #[error("the operating system gave no random numbers for a new key")]
    NoRandomness,
}

impl Identity {
    /// Reads the key from the state folder, or makes a new one there if it has none.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = state_dir.join(KEY_FILE);
        match read_bounded(&path) {
            Ok(pkcs8) => Self::from_pkcs8(&pkcs8).ok_or(IdentityError::Damaged { path }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let pkcs8 = new_key()?;
                let identity = Self::from_pkcs8(&pkcs8).ok_or(IdentityError::NoRandomness)?;
                write_whole(state_dir, &path, &pkcs8)
                    .map_err(|source| IdentityError::Write { path, source })?;
                Ok(identity)
            }
            Err(source) => Err(IdentityError::Read { path, source }),
        }
    }

    /// Makes a new key that is stored nowhere.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::from_pkcs8(&new_key()?).ok_or(IdentityError::NoRandomness)
    }

    /// Returns this peer's id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    pub(crate) fn signing_key(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.key)
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.to_vec()));
        let key = rustls::crypto::ring::sign::any_eddsa_type(match &der {
            PrivateKeyDer::Pkcs8(pkcs8) => pkcs8,
            _ => return None,
        });
        let key = key.ok()?;
        let peer_id = peer_id_of(key.public_key()?.as_ref())?;
        Some(Self { peer_id, key })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id)
    }
}

/// Returns the peer id in a subject public key info, or `None` if it holds no Ed25519 key.
pub(crate) fn peer_id_of(spki: &[u8]) -> Option<PeerId> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    Some(PeerId(key.try_into().ok()?))
}

fn new_key() -> Result<Vec<u8>, IdentityError> {
    let key =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::NoRandomness)?;
    Ok(key.as_ref().to_vec())
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let temporary = dir.join(format!("{KEY_FILE}.tmp"));
    // A file left by a crash may have other permissions, or be half written.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    // Windows cannot sync a folder; there the rename itself is journalled.
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("not/yet/there");
        let first = Identity::load_or_create(&state).unwrap();
        let second = Identity::load_or_create(&state).unwrap();
        assert_eq!(first.peer_id(), second.peer_id());
        assert_ne!(first.peer_id(), Identity::generate().unwrap().peer_id());
        let names: Vec<_> = fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [KEY_FILE], "no temporary file stays");
    }

    #[test]
    fn damaged_key_is_reported_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        Identity::load_or_create(dir.path()).unwrap();
        let whole = fs::read(&path).unwrap();
        for bad in [&b""[..], b"garbage", &whole[..whole.len() - 1], &[0; 5000]] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Damaged { .. })));
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
    }

    #[test]
    fn temporary_file_of_a_crash_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("identity.key.tmp"), b"half a k").unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        assert!(!dir.path().join("identity.key.tmp").exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
