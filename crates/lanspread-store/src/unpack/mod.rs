//! Unpacking archives: what an unpacker is, and where it may write.
//!
//! An unpacker reads an archive and hands entries to a sink. It never sees a path of the system, chooses no place and
//! writes nothing by itself; names go through [`RelPath`], so nothing leaves the sink's folder.

pub mod forward;
pub mod gate;
pub mod rar;
pub mod staging;

use std::io::{self, Read, Seek, Write};
use std::time::SystemTime;

use lanspread_types::RelPath;
use lanspread_types::limits::GAME_BYTES_MAX;

use crate::cancel::Cancel;
use crate::fault::Fault;

/// An archive to read from. It may block: so an archive can be unpacked while it is still being downloaded.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Takes what comes out of an archive.
pub trait EntrySink {
    fn folder(&mut self, path: &RelPath) -> Result<(), Fault>;
    /// Begins a file. Only one is written at a time.
    fn file(
        &mut self,
        path: &RelPath,
        size: u64,
        modified: Option<SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault>;
}

/// Takes the content of one entry.
pub trait EntryWriter: Write {
    /// All bytes were written and match their checksum.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// What an archive may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all unpacked files.
    pub output_bytes: u64,
    /// Files and folders.
    pub entries: u64,
    /// Dictionary of a compressed entry, in bytes; that much memory is needed to unpack it.
    pub dictionary_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { output_bytes: GAME_BYTES_MAX, entries: 1_000_000, dictionary_bytes: 1 << 30 }
    }
}

/// What an archive says that it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub files: u64,
    pub folders: u64,
    /// Size of all files unpacked.
    pub bytes: u64,
    /// Whether entries depend on those before them.
    pub solid: bool,
}

/// What was unpacked: exactly what the listing promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnpackSummary {
    pub files: u64,
    pub folders: u64,
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("this is not an archive that can be read: {0}")]
    NotAnArchive(String),
    #[error("the archive is empty")]
    Empty,
    #[error("the archive ends too early")]
    Truncated,
    #[error("the archive is one of several volumes; such archives are not supported")]
    Volume,
    #[error("{0} is encrypted; encrypted archives are not supported")]
    Encrypted(String),
    #[error("{0} is a link; links are not unpacked")]
    Link(String),
    #[error("{0} is neither a file nor a folder")]
    Special(String),
    #[error("the entry {name:?} cannot be unpacked: {reason}")]
    Name { name: String, reason: String },
    #[error("the archive exceeds a limit: {0}")]
    Limit(String),
    /// Its entries have at least so many bytes, more than are allowed.
    #[error("it unpacks to {bytes} bytes or more")]
    Large { bytes: u64 },
    #[error("the entry {entry} is damaged: {reason}")]
    Damaged { entry: String, reason: String },
    #[error("the archive is damaged: {0}")]
    DamagedArchive(String),
    #[error(transparent)]
    Sink(#[from] Fault),
    #[error("the archive cannot be unpacked while it arrives: {0}")]
    NotForward(&'static str),
    #[error("the archive cannot be read: {0}")]
    Source(io::Error),
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Reads one kind of archives.
pub trait Unpacker: Send + Sync {
    /// Reads the headers, and refuses whatever could not be unpacked.
    fn list(
        &self,
        archive: Box<dyn ReadSeek>,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<Listing, UnpackError>;

    /// Unpacks everything, in the order of the archive.
    fn unpack(
        &self,
        archive: Box<dyn ReadSeek>,
        sink: &mut dyn EntrySink,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<UnpackSummary, UnpackError>;
}
