//! The demo's final proof that the bytes are right. It reads the files itself and uses nothing of the engine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use lanspread_api::ErrorBody;
use lanspread_types::RelPath;
use lanspread_types::manifest::{LOCAL_FOLDER, is_private};

use super::internal;
use super::library::DemoGame;
use super::room::Member;

/// Size in bytes and BLAKE3 hash of each file; `b3sum` prints the same hash.
type Files = BTreeMap<RelPath, (u64, blake3::Hash)>;

/// One file that source and guest have alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Compared {
    /// Path in the game's folder.
    pub path: RelPath,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 hash at both peers.
    pub hash: blake3::Hash,
}

/// Compares the download with the source's copy: the same files with the same bytes, or an error that names a path.
pub fn compare(game: &DemoGame, source: &Member, guest: &Member) -> Result<Vec<Compared>, ErrorBody> {
    let folder = |member: &Member| member.games_dir.join(game.id.as_str());
    let theirs = shared_files(&folder(source)).map_err(internal)?;
    let ours = shared_files(&folder(guest)).map_err(internal)?;
    same(&theirs, &ours, source.name, guest.name)?;
    Ok(theirs.into_iter().map(|(path, (bytes, hash))| Compared { path, bytes, hash }).collect())
}

/// Checks the installed game against the seed that its archive was made from. Returns the number of files and bytes.
pub fn check_installed(game: &DemoGame, guest: &Member) -> Result<(usize, u64), ErrorBody> {
    let installed = files(&guest.games_dir.join(game.id.as_str()).join(LOCAL_FOLDER)).map_err(internal)?;
    let mut made = Files::new();
    for (path, size) in &game.payload {
        let hash = hash(&mut game.content(path, *size)).map_err(internal)?;
        made.insert(path.clone(), (*size, hash));
    }
    same(&made, &installed, "the archive", "the installed game")?;
    Ok((installed.len(), installed.values().map(|(size, _)| size).sum()))
}

fn same(theirs: &Files, ours: &Files, they: &str, we: &str) -> Result<(), ErrorBody> {
    if theirs.is_empty() {
        return Err(internal(format!("{they} has no files to compare with")));
    }
    let differs = |path: &RelPath| theirs.get(path) != ours.get(path);
    match theirs.keys().chain(ours.keys()).find(|path| differs(path)) {
        None => Ok(()),
        Some(path) => Err(internal(format!("{path} is not the same in {they} and {we}"))),
    }
}

/// Returns a game's shared files: all but the installed game and lanspread's own folders.
fn shared_files(folder: &Path) -> io::Result<Files> {
    let mut found = files(folder)?;
    found.retain(|path, _| !is_private(path));
    Ok(found)
}

fn files(folder: &Path) -> io::Result<Files> {
    let mut found = Files::new();
    collect(folder, folder, &mut found)?;
    Ok(found)
}

fn collect(root: &Path, folder: &Path, into: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, into)?;
            continue;
        }
        let name = RelPath::below(root, &path).map_err(io::Error::other)?;
        let size = fs::metadata(&path)?.len();
        into.insert(name, (size, hash(&mut File::open(&path)?)?));
    }
    Ok(())
}

fn hash(from: &mut impl Read) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            n => hasher.update(&buffer[..n]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(of: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in of {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn difference_is_named_by_its_path() {
        let source = folder(&[("a", "1"), ("b/c", "2"), ("local/x", "own"), (".lanspread/y", "ours")]);
        let check = |files: &[(&str, &str)]| {
            let other = folder(files);
            let theirs = shared_files(source.path()).unwrap();
            same(&theirs, &shared_files(other.path()).unwrap(), "ada", "dora").map_err(|e| e.message)
        };
        assert_eq!(check(&[("a", "1"), ("b/c", "2")]), Ok(()));
        for (files, path) in [
            (&[("a", "1")][..], "b/c"),
            (&[("a", "1"), ("b/c", "3")][..], "b/c"),
            (&[("a", "1"), ("b/c", "2"), ("d", "")][..], "d"),
        ] {
            let told = check(files).unwrap_err();
            assert!(told.ends_with(&format!("{path} is not the same in ada and dora")), "{told}");
        }
        assert!(same(&Files::new(), &Files::new(), "ada", "dora").is_err(), "nothing was compared");
    }
}
