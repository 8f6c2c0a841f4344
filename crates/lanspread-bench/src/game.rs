//! The game that is fetched: random bytes in memory, and the check that what arrived is what was sent.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::lab;

pub const GAME_ID: &str = "bench";
pub const ARCHIVE: &str = "bench.eti";
pub const SENTINEL: &str = "version.ini";
pub const SENTINEL_TEXT: &str = "20250101\n";
const BLOCK_BYTES: usize = 1 << 20;

/// A folder for the files of a run.
#[derive(Debug)]
pub struct Scratch {
    pub path: PathBuf,
    in_memory: bool,
}

impl Scratch {
    /// In memory (tmpfs), so that no disk is measured.
    pub fn new() -> Result<Self> {
        let path = lab::scratch_folder(&lab::tag());
        fs::create_dir_all(&path)?;
        let target = path.to_str().context("the temporary folder has a name that is not UTF-8")?;
        lab::run("mount", &["-t", "tmpfs", "-o", "size=80%", lab::tag().as_str(), target])?;
        Ok(Self { path, in_memory: true })
    }

    /// On the disk that the temporary folder is on.
    pub fn on_disk() -> Result<Self> {
        let path = lab::scratch_folder(&lab::tag());
        fs::create_dir_all(&path)?;
        Ok(Self { path, in_memory: false })
    }

    /// An empty folder of this name; what was in it is deleted.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Has the system's memory ready for that many bytes of files: a virtual machine gets memory from its host only when it
    /// is touched, which costs several times what a copy does and would be charged to whoever comes first.
    pub fn warm(&self, bytes: u64) -> Result<()> {
        if !self.in_memory {
            return Ok(());
        }
        let path = self.path.join("warm");
        let block = vec![1; BLOCK_BYTES];
        let mut file = File::create(&path)?;
        for _ in 0..bytes.div_ceil(BLOCK_BYTES as u64) {
            file.write_all(&block)?;
        }
        drop(file);
        Ok(fs::remove_file(path)?)
    }
}

/// The archive that everybody fetches.
#[derive(Debug, Clone)]
pub struct Game {
    pub archive: PathBuf,
    pub archive_bytes: u64,
    hash: blake3::Hash,
}

impl Game {
    /// Writes the archive: the same bytes for the same seed.
    pub fn write(folder: &Path, bytes: u64, seed: u64) -> Result<Self> {
        let archive = folder.join(ARCHIVE);
        let mut random = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        let mut hasher = blake3::Hasher::new();
        let mut file = File::create(&archive)?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let part = &mut block[..left.min(BLOCK_BYTES as u64) as usize];
            random.fill(part);
            hasher.update(part);
            file.write_all(part)?;
            left -= part.len() as u64;
        }
        Ok(Self { archive, archive_bytes: bytes, hash: hasher.finalize() })
    }

    /// Archive and sentinel.
    pub fn total_bytes(&self) -> u64 {
        self.archive_bytes + SENTINEL_TEXT.len() as u64
    }

    /// Puts the game into a library without copying the archive.
    pub fn place(&self, library: &Path) -> Result<()> {
        let folder = library.join(GAME_ID);
        fs::create_dir_all(&folder)?;
        fs::hard_link(&self.archive, folder.join(ARCHIVE))?;
        fs::write(folder.join(SENTINEL), SENTINEL_TEXT)?;
        Ok(())
    }

    /// Fails unless the file holds the archive's bytes.
    pub fn check(&self, file: &Path) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut from = File::open(file).with_context(|| file.display().to_string())?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match from.read(&mut block)? {
                0 => break,
                n => hasher.update(&block[..n]),
            };
        }
        ensure!(hasher.finalize() == self.hash, "{} does not hold what was sent", file.display());
        Ok(())
    }
}

/// Makes a file lie: one byte in every 64 KiB is flipped, so every chunk is wrong; size, time of change and the file itself
/// stay.
pub fn flip_in_place(path: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let (size, modified) = (file.metadata()?.len(), file.metadata()?.modified()?);
    for at in (0..size).step_by(64 << 10) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[!byte[0]], at)?;
    }
    file.set_modified(modified)?;
    Ok(())
}

/// Bytes of a file that are really there: of one that is being filled out of order, roughly how much has arrived.
pub fn allocated_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |m| (m.blocks() * 512).min(m.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("{}-{name}", lab::tag()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_flipped_byte_is_found_and_does_not_show_from_outside() {
        let folder = folder("flip");
        let game = Game::write(&folder, 200_000, 7).unwrap();
        game.check(&game.archive).unwrap();
        let copy = folder.join("copy.eti");
        fs::copy(&game.archive, &copy).unwrap();
        let before = fs::metadata(&copy).unwrap();
        flip_in_place(&copy).unwrap();
        let after = fs::metadata(&copy).unwrap();
        assert!(game.check(&copy).is_err());
        assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
        game.check(&game.archive).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let folder = folder("seed");
        let one = Game::write(&folder, 3 << 20, 1).unwrap();
        assert_eq!(Game::write(&folder, 3 << 20, 1).unwrap().hash, one.hash);
        assert_ne!(Game::write(&folder, 3 << 20, 2).unwrap().hash, one.hash);
        fs::remove_dir_all(folder).unwrap();
    }
}
