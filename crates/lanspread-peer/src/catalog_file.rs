//! The catalogue as a TOML file.
//!
//! ```toml
//! [[game]]
//! id = "ggoo"
//! version = "20250101"
//! title = "Great Game of Old"       # optional
//! content = "cb4d…"                 # optional: pins the content id, 64 hexadecimal digits
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lanspread_core::catalog::{Catalog, CatalogEntry};
use lanspread_types::{ContentId, GameId, GameVersion};
use serde::Deserialize;

/// Largest catalogue file that is read, in bytes.
const CATALOG_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("cannot read the catalogue {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the catalogue {path} is larger than {CATALOG_BYTES_MAX} bytes")]
    TooLarge { path: PathBuf },
    #[error("the catalogue {path} is not valid: {reason}")]
    Invalid { path: PathBuf, reason: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    game: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: GameId,
    version: GameVersion,
    title: Option<String>,
    content: Option<String>,
}

/// Reads a catalogue file.
pub fn load(path: &Path) -> Result<Catalog, CatalogError> {
    let read = |source| CatalogError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read)?.len() > CATALOG_BYTES_MAX {
        return Err(CatalogError::TooLarge { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse(&text).map_err(|reason| CatalogError::Invalid { path: path.to_owned(), reason })
}

fn parse(text: &str) -> Result<Catalog, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut games = BTreeMap::new();
    for entry in file.game {
        let content = entry.content.as_deref().map(str::parse::<ContentId>).transpose();
        let content = content.map_err(|e| format!("{}: {e}", entry.id))?;
        let id = entry.id.clone();
        let known =
            games.insert(entry.id, CatalogEntry { version: entry.version, title: entry.title, content });
        if known.is_some() {
            return Err(format!("{id} is listed twice"));
        }
    }
    Ok(Catalog::Listed(games))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_lists_games() {
        let catalog = parse("[[game]]\nid = 'ggoo'\nversion = '20250101'\ntitle = 'G'\n").unwrap();
        let entry = catalog.entry(&GameId::new("ggoo").unwrap()).unwrap();
        assert_eq!((entry.version.stamp(), entry.title.as_deref()), (20_250_101, Some("G")));
        assert!(!catalog.knows(&GameId::new("other").unwrap()));
    }

    #[test]
    fn mistakes_are_told() {
        let twice = "[[game]]\nid='a'\nversion='20250101'\n[[game]]\nid='a'\nversion='20250102'";
        for (text, part) in [
            (twice, "listed twice"),
            ("[[game]]\nid='a'", "version"),
            ("[[game]]\nid='../a'\nversion='20250101'", "game id"),
            ("[[game]]\nid='a'\nversion='2025'", "date stamp"),
            ("[[game]]\nid='a'\nversion='20250101'\ncontent='12'", "64 hexadecimal"),
            ("[[game]]\nid='a'\nversion='20250101'\ncolour='red'", "colour"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
