//! The game to carry: a few files of random bytes in one archive, kept in memory, and the check that the received
//! bytes are those that were sent.
//!
//! The archive is a stored RAR 5, so that a receiver can install it; random bytes would not compress anyway.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lanspread_store::pack::Packer;
use lanspread_types::RelPath;
use lanspread_types::limits::CHUNK_BYTES_MIN;

use crate::lab;

/// Id of the game in every benchmark.
pub const GAME_ID: &str = "bench";
/// File name of its archive.
pub const ARCHIVE: &str = "bench.eti";
/// File name of the sentinel.
pub const SENTINEL: &str = "version.ini";
/// Content of the sentinel: the version.
pub const SENTINEL_TEXT: &str = "20250101\n";
const BLOCK_BYTES: usize = 1 << 20;
/// Number of files in the archive.
const FILES: u64 = 8;

/// Folder for the files of a run.
#[derive(Debug)]
pub struct Scratch {
    /// Path of the folder.
    pub path: PathBuf,
    in_memory: bool,
}

impl Scratch {
    /// Mounts a folder in memory (tmpfs), so that no disk is measured.
    pub fn new() -> Result<Self> {
        let path = lab::scratch_folder(&lab::tag());
        fs::create_dir_all(&path)?;
        let target = path.to_str().context("the temporary folder has a name that is not UTF-8")?;
        lab::run("mount", &["-t", "tmpfs", "-o", "size=80%", lab::tag().as_str(), target])?;
        Ok(Self { path, in_memory: true })
    }

    /// Creates a folder on the disk of the temporary folder.
    pub fn on_disk() -> Result<Self> {
        let path = lab::scratch_folder(&lab::tag());
        fs::create_dir_all(&path)?;
        Ok(Self { path, in_memory: false })
    }

    /// Returns an empty folder of this name; deletes an old one.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Makes the system provide memory for this many bytes of files. A virtual machine gets memory from its host only
    /// at the first access. That costs several times what a copy costs, and would be charged to the first contender.
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

/// The archive that all receivers download.
#[derive(Debug, Clone)]
pub struct Game {
    /// Path of the archive.
    pub archive: PathBuf,
    /// Size of the archive.
    pub archive_bytes: u64,
    hash: blake3::Hash,
    /// Hash of each file that the archive unpacks to.
    files: BTreeMap<PathBuf, blake3::Hash>,
}

impl Game {
    /// Writes an archive with `bytes` bytes of content and a few hundred of its own. The same seed gives the same
    /// bytes.
    pub fn write(folder: &Path, bytes: u64, seed: u64) -> Result<Self> {
        let archive = folder.join(ARCHIVE);
        let mut random = noise(seed);
        let mut packer = Packer::new(BufWriter::with_capacity(BLOCK_BYTES, File::create(&archive)?))?;
        let mut files = BTreeMap::new();
        for number in 0..FILES {
            let (path, size) = (format!("data/{number}.bin"), size_of(number, bytes));
            let mut content = Hashed { from: (&mut random).take(size), hasher: blake3::Hasher::new() };
            packer.add_file(&RelPath::new(path.clone())?, size, 0, &mut content)?;
            files.insert(path.into(), content.hasher.finalize());
        }
        packer.finish()?;
        let archive_bytes = fs::metadata(&archive)?.len();
        Ok(Self { hash: hash_of(&archive)?, archive, archive_bytes, files })
    }

    /// Bytes of archive and sentinel.
    pub fn total_bytes(&self) -> u64 {
        self.archive_bytes + SENTINEL_TEXT.len() as u64
    }

    /// Puts the game into a library, without copying the archive.
    pub fn place(&self, library: &Path) -> Result<()> {
        let folder = library.join(GAME_ID);
        fs::create_dir_all(&folder)?;
        fs::hard_link(&self.archive, folder.join(ARCHIVE))?;
        fs::write(folder.join(SENTINEL), SENTINEL_TEXT)?;
        Ok(())
    }

    /// Fails unless the file equals the archive.
    pub fn check(&self, file: &Path) -> Result<()> {
        ensure!(hash_of(file)? == self.hash, "{} does not hold what was sent", file.display());
        Ok(())
    }

    /// Fails unless the folder holds exactly what the archive unpacks to.
    pub fn check_installed(&self, local: &Path) -> Result<()> {
        ensure!(hashes(local)? == self.files, "{} does not hold what was packed", local.display());
        Ok(())
    }
}

fn noise(seed: u64) -> blake3::OutputReader {
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof()
}

/// Size of a file: an equal part, with the remainder spread over all files.
fn size_of(number: u64, bytes: u64) -> u64 {
    bytes * (number + 1) / FILES - bytes * number / FILES
}

/// Passes bytes on and hashes them.
struct Hashed<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buf)?;
        self.hasher.update(&buf[..read]);
        Ok(read)
    }
}

/// Returns the hash of each file below a folder, by its path.
pub fn hashes(folder: &Path) -> Result<BTreeMap<PathBuf, blake3::Hash>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder)?.to_path_buf(), hash_of(&path)?);
            }
        }
    }
    Ok(found)
}

fn hash_of(file: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut from = File::open(file).with_context(|| file.display().to_string())?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(hasher.finalize()),
            n => hasher.update(&block[..n]),
        };
    }
}

/// Corrupts a file: flips one byte in every 32 KiB, the smallest chunk, so that every chunk is wrong. Keeps the file's
/// size, modification time and inode.
pub fn flip_in_place(path: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let (size, modified) = (file.metadata()?.len(), file.metadata()?.modified()?);
    for at in (0..size).step_by(CHUNK_BYTES_MIN as usize) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[!byte[0]], at)?;
    }
    file.set_modified(modified)?;
    Ok(())
}

/// Returns the allocated bytes of a file: for one that is filled out of order, roughly how much has arrived.
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
    fn flipped_bytes_are_found_but_do_not_show() {
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
    fn install_check_wants_exactly_the_packed_files() {
        let folder = folder("install");
        let bytes = (1 << 20) + 5;
        let game = Game::write(&folder, bytes, 3).unwrap();
        assert!((bytes..bytes + 1000).contains(&game.archive_bytes), "{} bytes", game.archive_bytes);
        let local = folder.join("local");
        fs::create_dir_all(local.join("data")).unwrap();
        let mut random = noise(3);
        for number in 0..FILES {
            assert!(game.check_installed(&local).is_err(), "{number} files");
            let mut file = File::create(local.join(format!("data/{number}.bin"))).unwrap();
            io::copy(&mut (&mut random).take(size_of(number, bytes)), &mut file).unwrap();
        }
        game.check_installed(&local).unwrap();
        fs::write(local.join("extra"), "x").unwrap();
        assert!(game.check_installed(&local).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn same_seed_gives_the_same_bytes() {
        let folder = folder("seed");
        let one = Game::write(&folder, 3 << 20, 1).unwrap();
        assert_eq!(Game::write(&folder, 3 << 20, 1).unwrap().hash, one.hash);
        assert_ne!(Game::write(&folder, 3 << 20, 2).unwrap().hash, one.hash);
        fs::remove_dir_all(folder).unwrap();
    }
}
