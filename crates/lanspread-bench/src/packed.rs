//! A game with a real archive: compressed by RARLAB's `rar`, from files of which some compress well and some do not at
//! all, as in games.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::game::{ARCHIVE, GAME_ID, SENTINEL, SENTINEL_TEXT, Scratch, hashes};
use crate::lab;

/// Files that the payload is spread over.
const FILES: u64 = 24;
/// One in three is text, the others are noise: textures, sound and video are compressed already.
const TEXT_EVERY: u64 = 3;
/// Words that the text is made of.
const WORDS: usize = 4096;

/// The archive that everybody fetches, and what it unpacks to.
#[derive(Debug)]
pub struct Packed {
    archive: PathBuf,
    pub archive_bytes: u64,
    pub payload: BTreeMap<PathBuf, blake3::Hash>,
    payload_bytes: u64,
}

impl Packed {
    /// Packs about so many bytes: the same for the same seed.
    pub fn make(scratch: &Scratch, bytes: u64, seed: u64) -> Result<Self> {
        ensure!(
            lab::has_tool("rar"),
            "`rar` is not installed (Debian: non-free), and nothing else here compresses to RAR 5"
        );
        let folder = scratch.fresh("payload")?;
        let each = bytes / FILES;
        let mut random = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        for file in 0..FILES {
            // A thousand small ones beside the large ones: games have both.
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
        let (inside, to) = (folder.display().to_string(), archive.display().to_string());
        // Method 3 is the default; a dictionary of 32 MiB, paths from the folder on, not a word.
        lab::run(
            "sh",
            &["-c", &format!("cd '{inside}' && exec rar a -idq -m3 -md32m -r '{to}' data small")],
        )?;
        let payload_bytes = each * FILES + 1000 * 2000;
        fs::remove_dir_all(&folder)?;
        Ok(Self { archive_bytes: fs::metadata(&archive)?.len(), archive, payload, payload_bytes })
    }

    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Puts the game into a library without copying the archive.
    pub fn place(&self, library: &Path) -> Result<()> {
        let folder = library.join(GAME_ID);
        fs::create_dir_all(&folder)?;
        fs::hard_link(&self.archive, folder.join(ARCHIVE))?;
        Ok(fs::write(folder.join(SENTINEL), SENTINEL_TEXT)?)
    }

    /// Fails unless the folder holds what was packed, nothing missing, nothing extra.
    pub fn check(&self, local: &Path) -> Result<()> {
        ensure!(hashes(local)? == self.payload, "{} does not hold what was packed", local.display());
        Ok(())
    }
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

/// Words in a random order, some more often than others: compresses to about a third.
fn text(output: &mut impl Write, bytes: u64, random: &mut blake3::OutputReader) -> Result<()> {
    let mut left = bytes as usize;
    let mut draws = vec![0; 1 << 12];
    while left > 0 {
        random.fill(&mut draws);
        for draw in draws.chunks_exact(2) {
            let draw = usize::from(u16::from_le_bytes([draw[0], draw[1]]));
            // The product of two draws prefers the small numbers.
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
