//! Contents of peers' libraries: fixture folders, generated games of any size, and catalogues.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lanspread_peer::pack::Packer;
use lanspread_types::RelPath;

use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::scenario::{Failure, Outcome, fail, require};

/// Version of a generated game if none is given.
pub const VERSION: &str = "20250101";

pub fn fixtures_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Returns the games of a fixture folder, sorted. Several folders may hold the same game, so callers always name the
/// folder.
pub fn fixture_games(fixture: &str) -> Outcome<Vec<String>> {
    let folder = fixtures_dir().join(format!("fixture-{fixture}"));
    let mut games = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| Failure(format!("{}: {e}", folder.display())))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A peer that ran on the folder itself left `.lanspread` there.
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            games.push(name);
        }
    }
    games.sort();
    require!(!games.is_empty(), "{} has no games", folder.display());
    Ok(games)
}

pub fn fixture_game(fixture: &str, game: &str) -> PathBuf {
    fixtures_dir().join(format!("fixture-{fixture}")).join(game)
}

pub fn copy_folder(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).map_err(|e| Failure(format!("{}: {e}", from.display())))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Content of a generated file.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Pseudo-random bytes, the same for the same seed.
    Seeded {
        seed: u64,
        len: u64,
    },
    /// A stored RAR archive of these files: path, seed, size.
    Archive(Vec<(String, u64, u64)>),
    /// A stored RAR archive of these files.
    Packed(Vec<(String, Vec<u8>)>),
}

/// A generated game.
#[derive(Debug, Clone)]
pub struct Game {
    pub id: String,
    pub version: String,
    files: BTreeMap<String, Content>,
}

impl Game {
    /// Returns a game that consists only of its sentinel.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), version: VERSION.to_owned(), files: BTreeMap::new() }
    }

    /// Returns a game with one archive file of seeded bytes. It can be downloaded but not installed.
    pub fn blob(id: &str, seed: u64, len: u64) -> Self {
        Self::new(id).file(&format!("{id}.eti"), Content::Seeded { seed, len })
    }

    /// Returns a game with one real archive of these files: path, seed, size.
    pub fn packed(id: &str, payload: &[(&str, u64, u64)]) -> Self {
        let payload = payload.iter().map(|&(path, seed, len)| (path.to_owned(), seed, len)).collect();
        Self::new(id).file(&format!("{id}.eti"), Content::Archive(payload))
    }

    /// Changes the id of the game.
    pub fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    pub fn version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    pub fn file(mut self, path: &str, content: Content) -> Self {
        self.files.insert(path.to_owned(), content);
        self
    }

    /// Writes the game into a library, its sentinel last.
    pub fn write(&self, games_dir: &Path) -> Outcome {
        let folder = games_dir.join(&self.id);
        for (path, content) in &self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            write(content, &path)?;
            age(&path)?;
        }
        std::fs::create_dir_all(&folder)?;
        let sentinel = folder.join("version.ini");
        std::fs::write(&sentinel, &self.version)?;
        age(&sentinel)
    }
}

/// Sets a file's time stamp to a constant in the past. A file that was written a moment ago is hashed again at each
/// start, because a further change might have the same time.
fn age(path: &Path) -> Outcome {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
    Ok(File::options().write(true).open(path)?.set_modified(long_ago)?)
}

fn write(content: &Content, path: &Path) -> Outcome {
    let mut file = File::create(path)?;
    match content {
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::Seeded { seed, len } => drop(std::io::copy(&mut Seeded::new(*seed, *len), &mut file)?),
        Content::Archive(payload) => {
            let mut packer = Packer::new(BufWriter::with_capacity(1 << 20, file))?;
            for (path, seed, len) in payload {
                packer.add_file(
                    &RelPath::new(path.clone())?,
                    *len,
                    1_700_000_000,
                    Seeded::new(*seed, *len),
                )?;
            }
            packer.finish()?;
        }
        Content::Packed(payload) => {
            let mut packer = Packer::new(file)?;
            for (path, bytes) in payload {
                let path = RelPath::new(path.clone())?;
                packer.add_file(&path, bytes.len() as u64, 1_700_000_000, &bytes[..])?;
            }
            packer.finish()?;
        }
    }
    Ok(())
}

/// Flips a bit of one byte of a file, in place.
pub fn damage_byte(path: &Path, at: u64) -> Outcome {
    let mut bytes = std::fs::read(path)?;
    bytes[usize::try_from(at)?] ^= 1;
    std::fs::write(path, bytes)?;
    age(path)
}

/// Pseudo-random bytes by SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct Seeded {
    state: u64,
    left: u64,
    word: [u8; 8],
    used: usize,
}

impl Seeded {
    pub fn new(seed: u64, len: u64) -> Self {
        Self { state: seed, left: len, word: [0; 8], used: 8 }
    }

    fn next_word(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

impl Read for Seeded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut rest = &mut buffer[..n];
        while !rest.is_empty() {
            if self.used == 8 {
                self.word = self.next_word();
                self.used = 0;
            }
            let take = rest.len().min(8 - self.used);
            rest[..take].copy_from_slice(&self.word[self.used..self.used + take]);
            self.used += take;
            rest = &mut rest[take..];
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// A catalogue for one scenario.
#[derive(Debug, Clone, Default)]
pub struct CatalogFile(Vec<String>);

impl CatalogFile {
    /// Returns a catalogue of these games in their versions.
    pub fn of(games: &[&Game]) -> Self {
        let mut catalog = Self::default();
        for game in games {
            catalog = catalog.with(&game.id, &game.version);
        }
        catalog
    }

    pub fn with(mut self, id: &str, version: &str) -> Self {
        self.0.push(format!("[[game]]\nid = \"{id}\"\nversion = \"{version}\"\n"));
        self
    }

    /// Adds a game whose content is pinned.
    pub fn pinned(mut self, id: &str, version: &str, content: &str) -> Self {
        self.0.push(format!("[[game]]\nid = \"{id}\"\nversion = \"{version}\"\ncontent = \"{content}\"\n"));
        self
    }

    pub fn to_toml(&self) -> String {
        self.0.join("\n")
    }
}

/// Returns the expected content of `local/` when a game of [`Game::packed`] with this payload is installed.
pub fn payload_manifest(lab: &Lab, payload: &[(&str, u64, u64)]) -> Outcome<Manifest> {
    let reference = payload.iter().fold(Game::new("reference"), |game, &(path, seed, len)| {
        game.file(path, Content::Seeded { seed, len })
    });
    let folder = lab.folder("reference")?;
    reference.write(&folder)?;
    let mut files = Manifest::of(&folder.join("reference"))?;
    files.0.remove("version.ini");
    Ok(files)
}

/// Returns what the archives of a fixture's game unpack to, as found by an independent unpacker. The file
/// `payload/FIXTURE-GAME.b3` has a line for each file, with hash, size and path.
pub fn fixture_payload(fixture: &str, game: &str) -> Outcome<Manifest> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/payload/{fixture}-{game}.b3"));
    let mut files = BTreeMap::new();
    for line in std::fs::read_to_string(&path)?.lines() {
        let parts: Vec<&str> = line.splitn(3, "  ").collect();
        let [hash, size, file] = parts[..] else {
            fail!("{}: not a line of the list: {line}", path.display())
        };
        files.insert(file.to_owned(), (size.parse()?, hash.to_owned()));
    }
    require!(!files.is_empty(), "{} lists nothing", path.display());
    Ok(Manifest(files))
}
