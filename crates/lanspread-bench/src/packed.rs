//! A game with a compressed archive, made by RARLAB's `rar`: like in real games, some files compress well and some
//! not at all. Without `rar` our own packer stores the same files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lanspread_store::pack::Packer;
use lanspread_types::RelPath;

use crate::game::{ARCHIVE, GAME_ID, SENTINEL, SENTINEL_TEXT, Scratch, hashes};
use crate::lab;

/// Number of large files in the payload.
const FILES: u64 = 24;
/// Every third file is text, the rest is noise: textures, sound and video are compressed already.
const TEXT_EVERY: u64 = 3;
/// Number of different words in the text.
const WORDS: usize = 4096;

/// The archive that all receivers download, and what it unpacks to.
#[derive(Debug)]
pub struct Packed {
    archive: PathBuf,
    /// Size of the archive.
    pub archive_bytes: u64,
    /// Hash of each file that the archive unpacks to, by its path.
    pub payload: BTreeMap<PathBuf, blake3::Hash>,
    payload_bytes: u64,
}

impl Packed {
    /// Packs about `bytes` bytes; compresses them unless they are only to be `stored`. The same seed gives the same
    /// payload.
    pub fn make(scratch: &Scratch, bytes: u64, seed: u64, stored: bool) -> Result<Self> {
        ensure!(
            stored || lab::has_tool("rar"),
            "`rar` is not installed (Debian: non-free), and nothing else here compresses to RAR 5; --stored needs none"
        );
        let folder = scratch.fresh("payload")?;
        let each = bytes / FILES;
        let mut random = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        for file in 0..FILES {
            // A thousand small files follow these large ones, because games have both.
            let path = folder.join(format!("data/{file:02}.bin"));
            fs::create_dir_all(folder.join("data"))?;
            let mut output = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            if file % TEXT_EVERY == 0 {
                text(&mut output, each, &mut random)?;
            } else {
                noise(&mut output, each, &mut random)?;
            }
            output.flush()?;
        }
        fs::create_dir_all(folder.join("small"))?;
        for file in 0..1000 {
            let mut output = File::create(folder.join(format!("small/{file:03}.txt")))?;
            text(&mut output, 2000, &mut random)?;
        }
        let payload = hashes(&folder)?;
        let source = scratch.fresh("packed")?;
        let archive = source.join(ARCHIVE);
        if stored {
            store(&folder, payload.keys(), &archive)?;
        } else {
            let (inside, to) = (folder.display().to_string(), archive.display().to_string());
            // Compression level 3 is the default; a dictionary of 32 MiB, paths relative to the folder, no messages.
            lab::run(
                "sh",
                &["-c", &format!("cd '{inside}' && exec rar a -idq -m3 -md32m -r '{to}' data small")],
            )?;
        }
        let payload_bytes = each * FILES + 1000 * 2000;
        fs::remove_dir_all(&folder)?;
        Ok(Self { archive_bytes: fs::metadata(&archive)?.len(), archive, payload, payload_bytes })
    }

    /// Bytes that the archive unpacks to.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Puts the game into a library, without copying the archive.
    pub fn place(&self, library: &Path) -> Result<()> {
        let folder = library.join(GAME_ID);
        fs::create_dir_all(&folder)?;
        fs::hard_link(&self.archive, folder.join(ARCHIVE))?;
        Ok(fs::write(folder.join(SENTINEL), SENTINEL_TEXT)?)
    }

    /// Fails unless the folder holds exactly what was packed.
    pub fn check(&self, local: &Path) -> Result<()> {
        ensure!(hashes(local)? == self.payload, "{} does not hold what was packed", local.display());
        Ok(())
    }
}

/// Packs files of a folder without compression.
fn store<'a>(folder: &Path, files: impl Iterator<Item = &'a PathBuf>, archive: &Path) -> Result<()> {
    let mut packer = Packer::new(BufWriter::with_capacity(1 << 20, File::create(archive)?))?;
    for path in files {
        let content = File::open(folder.join(path))?;
        let name = path.to_str().context("a packed file has a name that is not UTF-8")?;
        packer.add_file(&RelPath::new(name.to_owned())?, content.metadata()?.len(), 0, content)?;
    }
    packer.finish()?;
    Ok(())
}

fn noise(output: &mut impl Write, bytes: u64, random: &mut blake3::OutputReader) -> Result<()> {
    let mut left = bytes;
    let mut block = vec![0; 1 << 20];
    while left > 0 {
        let part = &mut block[..left.min(1 << 20) as usize];
        random.fill(part);
        output.write_all(part)?;
        left -= part.len() as u64;
    }
    Ok(())
}

/// Writes words in random order, some more often than others; they compress to about a third.
fn text(output: &mut impl Write, bytes: u64, random: &mut blake3::OutputReader) -> Result<()> {
    let mut left = bytes as usize;
    let mut draws = vec![0; 1 << 12];
    while left > 0 {
        random.fill(&mut draws);
        for draw in draws.chunks_exact(2) {
            let draw = usize::from(u16::from_le_bytes([draw[0], draw[1]]));
            // The product of two draws favours small numbers.
            let word = format!("{:x} ", (draw % WORDS * (draw / WORDS + 1) / 16).wrapping_mul(2_654_435_761));
            let part = &word.as_bytes()[..word.len().min(left)];
            output.write_all(part)?;
            left -= part.len();
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}
