//! Choice of the catalogue at a peer's start, from the owner's wish and from what the state folder remembers.
//!
//! Trust in an organiser's key lasts until the owner ends it: the key and the newest catalogue signed by it are kept in
//! the state folder. Catalogues that arrive from other peers are the node's concern; this module only keeps them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_core::catalog::{Catalog, SignedCatalog};
use lanspread_core::catalog_sync::{DECLINED_KEYS_MAX, TrustedCatalog};
use lanspread_types::CatalogKey;

use crate::atomic_file;
use crate::catalog::signed;
use crate::catalog::text::{self, CatalogError};

/// File in the state folder with the newest signed catalogue.
const KEPT_FILE: &str = "catalogue.toml";
/// File in the state folder with the trusted key.
const KEY_FILE: &str = "catalogue.key";

/// File in the state folder with the keys that the owner declined, one per line.
const DECLINED_FILE: &str = "catalogue.declined";

/// The owner's wish at a start. The default keeps what was chosen before.
#[derive(Debug, Clone, Default)]
pub struct CatalogWish {
    /// Catalogue file to use, with or without a signature.
    pub file: Option<PathBuf>,
    /// Organiser to trust. A `file` must be signed by this key.
    pub key: Option<CatalogKey>,
    /// Use no catalogue, and forget the trusted organiser. Wins over the other fields.
    pub none: bool,
}

/// The catalogue that a peer uses.
#[derive(Debug, Clone)]
pub enum CatalogChoice {
    /// No catalogue, or an unsigned file.
    Plain(Catalog),
    /// The catalogue of a trusted organiser, which may still have to arrive.
    Trusted(TrustedCatalog),
}

impl From<Catalog> for CatalogChoice {
    fn from(catalog: Catalog) -> Self {
        Self::Plain(catalog)
    }
}

impl CatalogChoice {
    /// Returns the list of games. It is empty while an organiser's catalogue has not arrived.
    pub fn catalog(&self) -> Catalog {
        match self {
            Self::Plain(catalog) => catalog.clone(),
            Self::Trusted(trust) => {
                trust.held.as_ref().map_or_else(Catalog::empty, |held| held.catalog.clone())
            }
        }
    }
}

/// Chooses the catalogue, and keeps the choice for the next start. A signed file makes its key trusted; an unsigned
/// file counts only for this start. Fails if a file cannot be read or written, or if the given file is not signed by
/// the given key.
pub fn choose(state_dir: &Path, wish: &CatalogWish) -> Result<CatalogChoice, CatalogError> {
    if wish.none {
        forget(state_dir)?;
        return Ok(Catalog::Open.into());
    }
    let given = match &wish.file {
        None => None,
        Some(path) if is_signed(path)? => Some(signed::load(path)?),
        Some(path) => match wish.key {
            Some(key) => {
                let reason = "it has no signature".to_owned();
                return Err(CatalogError::NotSigned { path: path.clone(), key: key.to_string(), reason });
            }
            None => return Ok(text::load(path)?.into()),
        },
    };
    if let (Some(signed), Some(key), Some(path)) = (&given, wish.key, &wish.file)
        && signed.key != key
    {
        let reason = format!("it is signed by {}", signed.key);
        return Err(CatalogError::NotSigned { path: path.clone(), key: key.to_string(), reason });
    }
    let Some(key) = wish.key.or(given.as_ref().map(|g| g.key)).or_else(|| kept_key(state_dir)) else {
        return Ok(Catalog::Open.into());
    };
    let kept = kept_catalog(state_dir, key);
    let held = [given, kept].into_iter().flatten().max_by_key(|signed| signed.serial);
    keep_key(state_dir, key)?;
    if let Some(held) = &held {
        keep(state_dir, held)?;
    }
    Ok(CatalogChoice::Trusted(TrustedCatalog { key, held }))
}

/// Keeps a signed catalogue for the next start, in place of an older one.
pub fn keep(state_dir: &Path, catalog: &SignedCatalog) -> Result<(), CatalogError> {
    write(&state_dir.join(KEPT_FILE), &catalog.bytes)
}

/// Keeps the trusted organiser's key for the next start, and forgets that this key was declined. A kept catalogue of
/// another organiser no longer counts.
pub fn keep_organiser(state_dir: &Path, key: CatalogKey) -> Result<(), CatalogError> {
    let mut declined = declined(state_dir);
    if declined.remove(&key) {
        keep_declined(state_dir, &declined)?;
    }
    keep_key(state_dir, key)
}

/// Returns the keys that the owner does not want to be asked about again. Ignores lines that are not keys.
pub fn declined(state_dir: &Path) -> BTreeSet<CatalogKey> {
    let bytes = text::read(&state_dir.join(DECLINED_FILE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().filter_map(|line| line.trim().parse().ok()).take(DECLINED_KEYS_MAX).collect()
}

/// Keeps the keys that the owner does not want to be asked about again.
pub fn keep_declined(state_dir: &Path, declined: &BTreeSet<CatalogKey>) -> Result<(), CatalogError> {
    let lines: String = declined.iter().map(|key| format!("{key}\n")).collect();
    write(&state_dir.join(DECLINED_FILE), lines.as_bytes())
}

fn keep_key(state_dir: &Path, key: CatalogKey) -> Result<(), CatalogError> {
    std::fs::create_dir_all(state_dir)
        .map_err(|source| CatalogError::Write { path: state_dir.to_owned(), source })?;
    write(&state_dir.join(KEY_FILE), format!("{key}\n").as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CatalogError> {
    atomic_file::write(path, bytes).map_err(|source| CatalogError::Write { path: path.to_owned(), source })
}

/// Forgets the trusted key and the kept catalogue.
fn forget(state_dir: &Path) -> Result<(), CatalogError> {
    for name in [KEY_FILE, KEPT_FILE] {
        let path = state_dir.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(CatalogError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_signed(path: &Path) -> Result<bool, CatalogError> {
    let bytes = text::read(path)?;
    Ok(signed::body(&bytes).len() != bytes.len())
}

fn kept_key(state_dir: &Path) -> Option<CatalogKey> {
    let bytes = text::read(&state_dir.join(KEY_FILE)).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

/// Returns the kept catalogue if it is undamaged and signed by this key. Otherwise a peer will send it again.
fn kept_catalog(state_dir: &Path, key: CatalogKey) -> Option<Arc<SignedCatalog>> {
    let kept = signed::load(&state_dir.join(KEPT_FILE)).ok()?;
    (kept.key == key).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::signed::OrganiserKey;

    struct Desk {
        dir: tempfile::TempDir,
        key: OrganiserKey,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let key = OrganiserKey::create(&dir.path().join("organiser.key")).unwrap();
            Self { dir, key }
        }

        fn state(&self) -> PathBuf {
            self.dir.path().join("state")
        }

        fn edition(&self, serial: u64) -> PathBuf {
            let text = format!("serial = {serial}\n[[game]]\nid = 'g{serial}'\nversion = '20250101'\n");
            let path = self.dir.path().join(format!("edition{serial}.toml"));
            std::fs::write(&path, self.key.sign(text.as_bytes()).unwrap()).unwrap();
            path
        }

        fn choose(
            &self,
            file: Option<PathBuf>,
            key: Option<CatalogKey>,
        ) -> Result<CatalogChoice, CatalogError> {
            choose(&self.state(), &CatalogWish { file, key, none: false })
        }

        fn serial(&self, file: Option<PathBuf>, key: Option<CatalogKey>) -> Option<u64> {
            match self.choose(file, key).unwrap() {
                CatalogChoice::Trusted(trust) => Some(trust.held.map_or(0, |held| held.serial)),
                CatalogChoice::Plain(_) => None,
            }
        }
    }

    #[test]
    fn choice_is_kept_until_it_is_revoked() {
        let desk = Desk::new();
        assert_eq!(desk.serial(None, None), None, "open from the start");
        assert_eq!(desk.serial(Some(desk.edition(3)), None), Some(3));
        assert_eq!(desk.serial(None, None), Some(3));
        assert_eq!(desk.serial(Some(desk.edition(2)), None), Some(3), "an older edition does not come back");
        assert_eq!(desk.serial(Some(desk.edition(4)), None), Some(4));
        let wish = CatalogWish { none: true, ..CatalogWish::default() };
        assert!(matches!(choose(&desk.state(), &wish), Ok(CatalogChoice::Plain(Catalog::Open))));
        assert_eq!(desk.serial(None, None), None, "forgotten");
    }

    #[test]
    fn key_without_catalogue_lists_no_games() {
        let desk = Desk::new();
        assert_eq!(desk.serial(None, Some(desk.key.public())), Some(0));
        assert_eq!(desk.serial(None, None), Some(0));
        assert_eq!(desk.choose(None, None).unwrap().catalog(), Catalog::empty());
    }

    #[test]
    fn another_organisers_file_is_refused() {
        let (desk, other) = (Desk::new(), Desk::new());
        let error = desk.choose(Some(other.edition(1)), Some(desk.key.public())).unwrap_err();
        assert!(matches!(error, CatalogError::NotSigned { .. }), "{error}");
        let plain = desk.dir.path().join("plain.toml");
        std::fs::write(&plain, "serial = 1").unwrap();
        let error = desk.choose(Some(plain.clone()), Some(desk.key.public())).unwrap_err();
        assert!(matches!(error, CatalogError::NotSigned { .. }), "{error}");
        assert!(matches!(desk.choose(Some(plain), None), Ok(CatalogChoice::Plain(Catalog::Listed { .. }))));
    }

    #[test]
    fn declined_keys_are_kept_until_one_is_trusted() {
        let desk = Desk::new();
        std::fs::create_dir_all(desk.state()).unwrap();
        assert_eq!(declined(&desk.state()), BTreeSet::new());
        let keys = BTreeSet::from([CatalogKey([1; 32]), CatalogKey([2; 32])]);
        keep_declined(&desk.state(), &keys).unwrap();
        assert_eq!(declined(&desk.state()), keys);
        keep_organiser(&desk.state(), CatalogKey([1; 32])).unwrap();
        assert_eq!(declined(&desk.state()), BTreeSet::from([CatalogKey([2; 32])]));
        assert_eq!(kept_key(&desk.state()), Some(CatalogKey([1; 32])));
        std::fs::write(desk.state().join(DECLINED_FILE), "garbage\n\n").unwrap();
        assert_eq!(declined(&desk.state()), BTreeSet::new());
    }

    #[test]
    fn damaged_kept_catalogue_is_ignored() {
        let desk = Desk::new();
        desk.serial(Some(desk.edition(3)), None);
        std::fs::write(desk.state().join(KEPT_FILE), "garbage").unwrap();
        assert_eq!(desk.serial(None, None), Some(0));
    }
}
