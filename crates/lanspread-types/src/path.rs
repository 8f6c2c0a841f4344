//! Relative paths that mean the same on every system.
//!
//! [`RelPath`] is the only kind of path that peers, archives and manifests can name. A path from outside either
//! becomes a `RelPath`, which stays below any root that it is joined to, or is refused. The module does not touch the
//! disk.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::limits::{PATH_COMPONENT_BYTES_MAX, PATH_DEPTH_MAX, REL_PATH_BYTES_MAX};

/// Path below a root that means the same on every system.
///
/// It is `/`-separated, in Unicode NFC, and has no `.` or `..`, no drive, no stream, and no name that Windows
/// reserves or would change. Joined to any root on any system, it stays below that root.
///
/// Sources: Microsoft, *Naming Files, Paths, and Namespaces*; Unicode Standard Annex 15.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// The path is empty or too long.
    #[error("a path has 1 to {REL_PATH_BYTES_MAX} bytes")]
    Length,
    /// The path has too many components.
    #[error("a path has at most {PATH_DEPTH_MAX} components")]
    Depth,
    /// The path is absolute, or is not below the root.
    #[error("{0:?} is not relative to the game's folder")]
    NotRelative(String),
    /// A component is empty, `.` or `..`.
    #[error("{0:?} has an empty, '.' or '..' component")]
    DotComponent(String),
    /// A component is too long.
    #[error("a component of {0:?} is longer than {PATH_COMPONENT_BYTES_MAX} bytes")]
    ComponentLength(String),
    /// A character is a control character, or one that Windows forbids.
    #[error("{0:?} has the character {1:?}, which Windows forbids")]
    Character(String, char),
    /// A component ends with a dot or a space.
    #[error("a component of {0:?} ends with a dot or a space, which Windows drops")]
    Ending(String),
    /// Windows reserves the name of a component for a device.
    #[error("{0:?} has a name that Windows reserves")]
    Reserved(String),
    /// The path is not in NFC.
    #[error("{0:?} is not in Unicode normalisation form C")]
    NotNormal(String),
    /// A component of a path of this system is not Unicode.
    #[error("the path is not valid Unicode")]
    NotUnicode,
}

impl RelPath {
    /// Checks a path in wire form: `/`-separated and already in NFC.
    pub fn new(path: impl Into<String>) -> Result<Self, RelPathError> {
        let path = path.into();
        if path.is_empty() || path.len() > REL_PATH_BYTES_MAX {
            return Err(RelPathError::Length);
        }
        if path.starts_with('/') {
            return Err(RelPathError::NotRelative(path));
        }
        if path.split('/').count() > PATH_DEPTH_MAX {
            return Err(RelPathError::Depth);
        }
        for component in path.split('/') {
            if let Some(error) = component_error(component, &path) {
                return Err(error);
            }
        }
        if !is_nfc(&path) {
            return Err(RelPathError::NotNormal(path));
        }
        Ok(Self(path))
    }

    /// Checks a path as an archive or a file system spells it: `\` counts as `/`, a `/` at the end is dropped, and
    /// the text is brought to NFC.
    pub fn from_foreign(path: &str) -> Result<Self, RelPathError> {
        let path: String = path.nfc().map(|c| if c == '\\' { '/' } else { c }).collect();
        Self::new(path.strip_suffix('/').unwrap_or(&path))
    }

    /// Returns the path of `path` below `root`; both are paths of this system.
    pub fn below(root: &Path, path: &Path) -> Result<Self, RelPathError> {
        let relative =
            path.strip_prefix(root).map_err(|_| RelPathError::NotRelative(path.display().to_string()))?;
        let mut text = String::new();
        for component in relative.components() {
            let std::path::Component::Normal(name) = component else {
                return Err(RelPathError::NotRelative(path.display().to_string()));
            };
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(name.to_str().ok_or(RelPathError::NotUnicode)?);
        }
        Self::new(text.nfc().collect::<String>())
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Iterates over the components, from the root on.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Appends a component and checks the result.
    pub fn join(&self, component: &str) -> Result<Self, RelPathError> {
        Self::new(format!("{}/{component}", self.0))
    }

    /// Returns the path below `root` in this system's form.
    pub fn to_path(&self, root: &Path) -> PathBuf {
        let mut path = root.to_path_buf();
        path.extend(self.components());
        path
    }

    /// Returns a key that is equal for paths that a case-insensitive file system takes for the same file.
    pub fn fold_key(&self) -> String {
        fold(&self.0)
    }
}

fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// Two paths that cannot exist in one folder on every system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} are the same file, or a file and its folder, on a case-insensitive disk")]
pub struct PathCollision {
    /// Path that was there first.
    pub first: RelPath,
    /// Path that collides with it.
    pub second: RelPath,
}

/// Checks that no two files collide and no file is another file's folder, ignoring case.
pub fn check_collisions<'a>(files: impl IntoIterator<Item = &'a RelPath>) -> Result<(), PathCollision> {
    let mut seen = CollisionSet::default();
    files.into_iter().try_for_each(|path| seen.insert_file(path))
}

/// Collects the entries of one tree and refuses the first entry that collides with an earlier one.
#[derive(Debug, Default)]
pub struct CollisionSet {
    /// Folded path of every file and folder, with its exact spelling, whether it is a file, and the path that added
    /// it.
    seen: HashMap<String, (String, bool, RelPath)>,
}

impl CollisionSet {
    /// Adds a file and all folders that contain it.
    pub fn insert_file(&mut self, path: &RelPath) -> Result<(), PathCollision> {
        self.insert(path, true)
    }

    /// Adds a folder and all folders that contain it.
    pub fn insert_folder(&mut self, path: &RelPath) -> Result<(), PathCollision> {
        self.insert(path, false)
    }

    fn insert(&mut self, path: &RelPath, is_file: bool) -> Result<(), PathCollision> {
        let ends = path.as_str().match_indices('/').map(|(at, _)| at).chain([path.as_str().len()]);
        for end in ends {
            let prefix = &path.as_str()[..end];
            let is_file_here = is_file && end == path.as_str().len();
            let entry = (prefix.to_owned(), is_file_here, path.clone());
            if let Some((spelling, was_file, first)) = self.seen.insert(fold(prefix), entry) {
                let same_folder = !was_file && !is_file_here && spelling == prefix;
                if !same_folder {
                    return Err(PathCollision { first, second: path.clone() });
                }
            }
        }
        Ok(())
    }
}

fn component_error(component: &str, path: &str) -> Option<RelPathError> {
    let path = || path.to_owned();
    if matches!(component, "" | "." | "..") {
        return Some(RelPathError::DotComponent(path()));
    }
    if component.len() > PATH_COMPONENT_BYTES_MAX {
        return Some(RelPathError::ComponentLength(path()));
    }
    let forbidden = |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*');
    if let Some(c) = component.chars().find(|&c| forbidden(c)) {
        return Some(RelPathError::Character(path(), c));
    }
    if component.ends_with(['.', ' ']) {
        return Some(RelPathError::Ending(path()));
    }
    is_reserved_name(component).then(|| RelPathError::Reserved(path()))
}

/// Returns true for a device name of Windows, with or without an extension: `con`, `NUL.txt`, `COM¹`.
pub(crate) fn is_reserved_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end();
    let upper = stem.to_uppercase();
    if matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let Some(number) = upper.strip_prefix("COM").or_else(|| upper.strip_prefix("LPT")) else { return false };
    let mut chars = number.chars();
    matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

impl TryFrom<String> for RelPath {
    type Error = RelPathError;
    fn try_from(path: String) -> Result<Self, RelPathError> {
        Self::new(path)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

impl FromStr for RelPath {
    type Err = RelPathError;
    fn from_str(path: &str) -> Result<Self, RelPathError> {
        Self::new(path)
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for good in [
            "version.ini",
            "a/b/c.eti",
            "Müller/größe.txt",
            "...x",
            "console.txt",
            "com.txt",
            "COM10",
            "a b/c",
        ] {
            assert_eq!(RelPath::new(good).map(String::from).as_deref(), Ok(good));
        }
    }

    #[test]
    fn hostile_and_foreign_paths_are_refused() {
        let long = "x".repeat(256);
        let deep = vec!["a"; 65].join("/");
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "C:",
            "C:/x",
            "C:\\x",
            "\\\\host\\share",
            "a\\b",
            "file.txt:ads",
            "con",
            "a/NUL",
            "aux.txt",
            "Com1",
            "lpt¹.log",
            "CONIN$",
            "x.",
            "x ",
            "a?b",
            "a*b",
            "a\0b",
            "a\nb",
            "e\u{301}",
            long.as_str(),
            deep.as_str(),
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn foreign_spelling_is_normalised() {
        assert_eq!(
            RelPath::from_foreign("data\\maps\\e\u{301}.bsp").map(String::from).as_deref(),
            Ok("data/maps/é.bsp")
        );
        assert_eq!(RelPath::from_foreign("data/").map(String::from).as_deref(), Ok("data"));
        for bad in ["..\\x", "\\x", "C:\\x", "\\\\?\\C:\\x"] {
            assert!(RelPath::from_foreign(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn collisions_are_found_across_case_and_folders() {
        let check = |paths: &[&str]| {
            let paths: Vec<RelPath> = paths.iter().map(|p| RelPath::new(*p).unwrap()).collect();
            check_collisions(&paths)
        };
        assert!(check(&["a/b", "a/c", "b", "ab"]).is_ok());
        assert!(check(&["README", "readme"]).is_err());
        assert!(check(&["Straße", "STRASSE"]).is_err());
        assert!(check(&["a", "a/b"]).is_err());
        assert!(check(&["a/b", "A"]).is_err());
        assert!(check(&["Data/x", "data/y"]).is_err(), "one folder in two spellings");
        assert!(check(&["x", "x"]).is_err(), "the same file twice");
    }

    /// Names close to those that Windows treats specially: device names in any case, with extensions, spaces and dots
    /// around them, streams, short names, its own separators.
    fn near_windows() -> impl Strategy<Value = String> {
        let device = "(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin[$]|conout[$]|clock[$])";
        let around = "[ .:a]{0,2}";
        let name = (around, device, around, "([.][a-z ]{0,3}){0,2}", around).prop_map(
            |(before, device, after, extension, end)| [before, device, after, extension, end].concat(),
        );
        let other = "[ -~¹ÄäßſıİK]{1,12}";
        proptest::collection::vec(prop_oneof![name, other.prop_map(String::from)], 1..4)
            .prop_map(|components| components.join("/"))
    }

    /// True if Windows keeps a component as it is, according to Microsoft (*Naming Files, Paths, and Namespaces*).
    /// Written independently of the product's own check.
    fn windows_keeps(component: &str) -> bool {
        let device = |stem: &str| {
            let stem = stem.trim_end_matches([' ', '.']).to_ascii_uppercase();
            let numbered = ["COM", "LPT"]
                .iter()
                .any(|port| "0123456789¹²³".chars().any(|number| stem == format!("{port}{number}")));
            numbered || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        };
        let stems = component.match_indices('.').map(|(at, _)| &component[..at]).chain([component]);
        !component.chars().any(|c| c < ' ' || r#"<>:"/\|?*"#.contains(c))
            && component.trim_end_matches([' ', '.']) == component
            && !stems.take(1).any(device)
    }

    proptest! {
        #[test]
        fn paths_that_windows_changes_are_refused(text in near_windows()) {
            for path in [RelPath::new(text.clone()), RelPath::from_foreign(&text)].into_iter().flatten() {
                prop_assert!(path.components().all(windows_keeps), "{path}");
                // On Windows itself, the path comes back unchanged.
                #[cfg(windows)]
                {
                    let root = Path::new(r"C:\games");
                    let joined = path.to_path(root);
                    prop_assert_eq!(std::path::absolute(&joined).unwrap(), joined);
                }
            }
        }

        /// NTFS compares names by the upper case of each character. Names that are equal by this rule must collide;
        /// others may.
        #[test]
        fn names_that_differ_in_case_only_collide(text in near_windows(), flips in any::<u64>()) {
            let flip = |(at, c): (usize, char)| {
                let mut upper = c.to_uppercase();
                let upper = if upper.len() == 1 { upper.next().unwrap_or(c) } else { c };
                if flips >> (at % 64) & 1 == 1 { upper } else { c }
            };
            let other: String = text.chars().enumerate().map(flip).collect();
            if let (Ok(first), Ok(second)) = (RelPath::new(text), RelPath::new(other)) {
                prop_assert_eq!(first.fold_key(), second.fold_key());
                prop_assert!(check_collisions([&first, &second]).is_err());
            }
        }

        #[test]
        fn accepted_paths_stay_below_their_root(text in "\\PC{0,40}") {
            if let Ok(path) = RelPath::from_foreign(&text) {
                let joined = path.to_path(Path::new("root"));
                prop_assert!(joined.starts_with("root"));
                prop_assert_eq!(RelPath::below(Path::new("root"), &joined), Ok(path));
            }
        }
    }
}
