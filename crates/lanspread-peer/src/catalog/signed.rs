//! A catalogue with its organiser's signature: signing it and checking it. Which key to trust is decided elsewhere.
//!
//! A signed catalogue is a header line followed by the catalogue. The line is a TOML comment, so the whole is still a
//! catalogue file. The signature covers the exact bytes after the line feed, so no normal form is needed, and nothing
//! is parsed before the signature is checked:
//!
//! ```text
//! #lanspread-catalogue-1 key=<64 hexadecimal digits> signature=<128 hexadecimal digits>
//! serial = 3
//! …
//! ```

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use lanspread_core::catalog::SignedCatalog;
use lanspread_types::CatalogKey;
use lanspread_types::limits::CATALOG_BYTES_MAX;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::catalog::text::{self, CatalogError, parse};

/// Beginning of the line with the signature.
const HEADER: &str = "#lanspread-catalogue-1 ";
/// Prefix of the signed bytes, before the catalogue, so that the signature is valid for no other purpose.
const DOMAIN: &[u8] = b"lanspread catalogue 1\n";
/// Most bytes read from a key file.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// Why a catalogue cannot be signed, or its signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file, with its signature, is too large for a catalogue.
    #[error("it is larger than {CATALOG_BYTES_MAX} bytes")]
    TooLarge,
    /// The first line is not a signature header.
    #[error("it has no signature")]
    Unsigned,
    /// The first line holds no valid key and signature.
    #[error("its first line is damaged")]
    Header,
    /// The key in the header did not make this signature for this catalogue.
    #[error("the signature does not match: the file was changed after signing")]
    Mismatch,
    /// The catalogue has no edition, or edition 0.
    #[error("it has no serial number; write one, such as `serial = 1`, above the first game")]
    NoSerial,
    /// The signed text is not a valid catalogue, for this reason.
    #[error("{0}")]
    Invalid(String),
}

/// The organiser's key pair.
pub struct OrganiserKey(Ed25519KeyPair);

impl fmt::Debug for OrganiserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrganiserKey({})", self.public())
    }
}

impl OrganiserKey {
    /// Makes a key and writes it to a new file that, on Unix, only its owner may read. Fails if the file exists.
    pub fn create(path: &Path) -> Result<Self, CatalogError> {
        let at = || path.to_owned();
        let no_key = |reason: &str| CatalogError::Key { path: at(), reason: reason.to_owned() };
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| no_key("the operating system gave no random numbers"))?;
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let write = |mut file: File| {
            file.write_all(pkcs8.as_ref())?;
            file.sync_all()
        };
        options.open(path).and_then(write).map_err(|source| CatalogError::Write { path: at(), source })?;
        Self::from_pkcs8(pkcs8.as_ref()).ok_or_else(|| no_key("it was damaged while it was made"))
    }

    /// Reads a key that [`Self::create`] has written.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|source| CatalogError::Read { path: path.to_owned(), source })?;
        let reason = "make one with `lanspread catalog key`".to_owned();
        Self::from_pkcs8(&bytes).ok_or_else(|| CatalogError::Key { path: path.to_owned(), reason })
    }

    fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(bytes).ok().map(Self)
    }

    /// Returns the public key, which guests trust.
    pub fn public(&self) -> CatalogKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        CatalogKey(key)
    }

    /// Signs a catalogue, which must be valid and have a serial number. Replaces an older signature.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let body = body(bytes);
        understand(body)?;
        let signature = self.0.sign(&[DOMAIN, body].concat());
        let mut signed =
            format!("{HEADER}key={} signature={}\n", self.public(), hex(signature.as_ref())).into_bytes();
        signed.extend_from_slice(body);
        if signed.len() > CATALOG_BYTES_MAX {
            return Err(SignatureError::TooLarge);
        }
        Ok(signed)
    }
}

/// Returns the catalogue without its signature.
pub fn body(bytes: &[u8]) -> &[u8] {
    if !bytes.starts_with(HEADER.as_bytes()) {
        return bytes;
    }
    bytes.iter().position(|&b| b == b'\n').map_or(&[], |at| &bytes[at + 1..])
}

/// Checks a signed catalogue: first the signature, then the content.
pub fn open(bytes: Vec<u8>) -> Result<Arc<SignedCatalog>, SignatureError> {
    if bytes.len() > CATALOG_BYTES_MAX {
        return Err(SignatureError::TooLarge);
    }
    let (key, signature) = header(&bytes)?;
    let signed = [DOMAIN, body(&bytes)].concat();
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(&signed, &signature)
        .map_err(|_| SignatureError::Mismatch)?;
    let (serial, title, catalog) = understand(body(&bytes))?;
    Ok(Arc::new(SignedCatalog { key, serial, title, catalog, bytes }))
}

/// Serial number, title and list of a valid catalogue.
type Understood = (u64, Option<String>, lanspread_core::catalog::Catalog);

fn understand(body: &[u8]) -> Result<Understood, SignatureError> {
    let text = parse(body).map_err(SignatureError::Invalid)?;
    let catalog = text.to_catalog().map_err(SignatureError::Invalid)?;
    let serial = text.serial.filter(|&serial| serial > 0).ok_or(SignatureError::NoSerial)?;
    Ok((serial, text.title, catalog))
}

/// Parses the key and the signature in the first line.
fn header(bytes: &[u8]) -> Result<(CatalogKey, Vec<u8>), SignatureError> {
    let rest = bytes.strip_prefix(HEADER.as_bytes()).ok_or(SignatureError::Unsigned)?;
    let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| SignatureError::Header)?;
    let (key, signature) = line
        .strip_prefix("key=")
        .and_then(|line| line.split_once(" signature="))
        .ok_or(SignatureError::Header)?;
    let key = key.parse().map_err(|_| SignatureError::Header)?;
    Ok((key, unhex(signature).ok_or(SignatureError::Header)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |d: u8| char::from(d).to_digit(16).map(|n| n as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    (text.len() == 128).then(|| text.as_bytes().chunks_exact(2).map(pair).collect())?
}

/// Reads and checks a signed catalogue, whichever key signed it.
pub fn load(path: &Path) -> Result<Arc<SignedCatalog>, CatalogError> {
    let bytes = text::read(path)?;
    open(bytes).map_err(|e| CatalogError::Invalid { path: path.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "title = \"Friday\"\nserial = 3\n\n[[game]]\nid = \"ggoo\"\nversion = \"20250101\"\n\
                        \n[[group]]\nname = \"Row A\"\ncidrs = [\"10.1.0.0/24\"]\n";

    fn key(dir: &tempfile::TempDir) -> OrganiserKey {
        OrganiserKey::create(&dir.path().join("organiser.key")).unwrap()
    }

    #[test]
    fn signed_catalogue_is_still_a_catalogue() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(&dir);
        let signed = key.sign(BODY.as_bytes()).unwrap();
        let opened = open(signed.clone()).unwrap();
        assert_eq!((opened.key, opened.serial, opened.title.as_deref()), (key.public(), 3, Some("Friday")));
        assert_eq!(opened.catalog.games().count(), 1);
        assert_eq!(parse(&signed).unwrap().to_catalog().unwrap(), opened.catalog);
        assert_eq!(key.sign(&signed).unwrap(), signed, "signing again changes nothing");
        assert_eq!(OrganiserKey::load(&dir.path().join("organiser.key")).unwrap().public(), key.public());
        assert!(OrganiserKey::create(&dir.path().join("organiser.key")).is_err(), "a key is not overwritten");
    }

    #[test]
    fn every_changed_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let signed = key(&dir).sign(BODY.as_bytes()).unwrap();
        for at in 0..signed.len() {
            let mut bad = signed.clone();
            bad[at] ^= 1;
            assert!(open(bad).is_err(), "byte {at}");
            assert!(open(signed[..at].to_vec()).is_err(), "cut at {at}");
        }
        let mut longer = signed;
        longer.push(b'\n');
        assert_eq!(open(longer), Err(SignatureError::Mismatch));
    }

    #[test]
    fn signature_by_another_key_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (key(&one), key(&two));
        let forged = String::from_utf8(two.sign(BODY.as_bytes()).unwrap()).unwrap();
        let forged = forged.replace(&two.public().to_string(), &one.public().to_string());
        assert_eq!(open(forged.into_bytes()), Err(SignatureError::Mismatch));
    }

    #[test]
    fn content_is_checked_before_signing() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(&dir);
        assert_eq!(key.sign(b"[[game]]\nid='a'\nversion='20250101'"), Err(SignatureError::NoSerial));
        assert!(matches!(key.sign(b"serial = 1\nnonsense = 2"), Err(SignatureError::Invalid(_))));
        assert_eq!(open(BODY.as_bytes().to_vec()), Err(SignatureError::Unsigned));
        assert_eq!(open(vec![b'#'; CATALOG_BYTES_MAX + 1]), Err(SignatureError::TooLarge));
    }
}
