//! Hash manifests: size and hash of every file in a folder, so that two folders can be compared completely.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::scenario::{Outcome, fail, require};

/// Size and BLAKE3 hash of a folder's files by relative path with `/`. Empty folders do not count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(pub BTreeMap<String, (u64, String)>);

impl Manifest {
    /// Returns all files of a folder. Symbolic links are an error, because no peer creates any.
    pub fn of(folder: &Path) -> Outcome<Self> {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        Ok(Self(files))
    }

    /// Returns the shared files of a game's folder: everything outside `local/`.
    pub fn root_files(folder: &Path) -> Outcome<Self> {
        let mut all = Self::of(folder)?;
        all.0.retain(|path, _| !path.starts_with("local/"));
        Ok(all)
    }

    pub fn bytes(&self) -> u64 {
        self.0.values().map(|(size, _)| size).sum()
    }

    /// Fails with the first differences unless both are equal.
    pub fn require_equal(&self, expected: &Self, what: &str) -> Outcome {
        if self == expected {
            return Ok(());
        }
        let mut differences = Vec::new();
        for (path, (size, hash)) in &expected.0 {
            match self.0.get(path) {
                None => differences.push(format!("missing: {path} ({size} bytes)")),
                Some((found, _)) if found != size => {
                    differences.push(format!("size: {path} has {found} bytes instead of {size}"));
                }
                Some((_, found)) if found != hash => {
                    differences.push(format!("content: {path} has another hash"));
                }
                Some(_) => {}
            }
        }
        differences
            .extend(self.0.keys().filter(|p| !expected.0.contains_key(*p)).map(|p| format!("extra: {p}")));
        differences.truncate(20);
        fail!("{what}: the folders differ\n    {}", differences.join("\n    "))
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, (u64, String)>) -> Outcome {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { fail!("{name:?} is not UTF-8") };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            require!(kind.is_file(), "{path} is neither file nor folder");
            files.insert(path, hash(&entry.path())?);
        }
    }
    Ok(())
}

fn hash(path: &Path) -> Outcome<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let size = std::io::copy(&mut file, &mut hasher)?;
    Ok((size, hasher.finalize().to_string()))
}
