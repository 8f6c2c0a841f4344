//! Unpacking of archives: the [`Unpacker`] and [`EntrySink`] interfaces, their limits and errors.
//!
//! An unpacker reads an archive and passes its entries to a sink. It never sees a system path, chooses no place and
//! writes nothing itself. Names go through [`RelPath`], so nothing leaves the sink's folder.

pub mod forward;
pub mod gate;
pub mod rar;
pub mod staging;

use std::io::{self, Read, Seek, Write};
use std::time::SystemTime;

use lanspread_types::RelPath;
use lanspread_types::limits::GAME_BYTES_MAX;

use crate::fs::cancel::Cancel;
use crate::fs::fault::Fault;

/// An archive to read from. Reads may block, so an archive can be unpacked while it is still being downloaded.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Receiver of the entries of an archive.
pub trait EntrySink {
    /// Creates a folder.
    fn folder(&mut self, path: &RelPath) -> Result<(), Fault>;
    /// Begins a file of `size` bytes. Only one file is written at a time.
    fn file(
        &mut self,
        path: &RelPath,
        size: u64,
        modified: Option<SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault>;
}

/// Receiver of the content of one entry.
pub trait EntryWriter: Write {
    /// Completes the file: all bytes were written and match their checksum.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Limits for unpacking one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Total size of the unpacked files, in bytes.
    pub output_bytes: u64,
    /// Number of files and folders.
    pub entries: u64,
    /// Dictionary of a compressed entry, in bytes. Unpacking needs this much memory.
    pub dictionary_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { output_bytes: GAME_BYTES_MAX, entries: 1_000_000, dictionary_bytes: 1 << 30 }
    }
}

/// Content of an archive according to its headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Number of files.
    pub files: u64,
    /// Number of folders.
    pub folders: u64,
    /// Unpacked size of all files, in bytes.
    pub bytes: u64,
    /// Whether entries depend on the entries before them.
    pub solid: bool,
}

/// What was unpacked. For a listed archive this equals the listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnpackSummary {
    /// Number of files.
    pub files: u64,
    /// Number of folders.
    pub folders: u64,
    /// Unpacked size of all files, in bytes.
    pub bytes: u64,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// This is not an archive of a known format.
    #[error("this is not an archive that can be read: {0}")]
    NotAnArchive(String),
    /// The archive has no entries.
    #[error("the archive is empty")]
    Empty,
    /// The archive ends too early.
    #[error("the archive ends too early")]
    Truncated,
    /// The archive is one of several volumes.
    #[error("the archive is one of several volumes; such archives are not supported")]
    Volume,
    /// This entry, or the whole archive, is encrypted.
    #[error("{0} is encrypted; encrypted archives are not supported")]
    Encrypted(String),
    /// This entry is a link.
    #[error("{0} is a link; links are not unpacked")]
    Link(String),
    /// This entry is neither a file nor a folder.
    #[error("{0} is neither a file nor a folder")]
    Special(String),
    /// The name of an entry is not allowed, or collides with another name.
    #[error("the entry {name:?} cannot be unpacked: {reason}")]
    Name {
        /// Name of the entry, as far as it is readable.
        name: String,
        /// Why the name is not allowed, for people.
        reason: String,
    },
    /// A limit other than the unpacked size is exceeded.
    #[error("the archive exceeds a limit: {0}")]
    Limit(String),
    /// The entries have at least `bytes` bytes, more than [`UnpackLimits::output_bytes`].
    #[error("it unpacks to {bytes} bytes or more")]
    Large {
        /// Bytes of all entries up to the one that exceeds the limit.
        bytes: u64,
    },
    /// An entry does not match its header or checksum.
    #[error("the entry {entry} is damaged: {reason}")]
    Damaged {
        /// Name of the entry.
        entry: String,
        /// What does not match, for people.
        reason: String,
    },
    /// The archive is damaged outside the content of an entry.
    #[error("the archive is damaged: {0}")]
    DamagedArchive(String),
    /// The sink failed to write.
    #[error(transparent)]
    Sink(#[from] Fault),
    /// The archive can only be unpacked once it is complete.
    #[error("the archive cannot be unpacked while it arrives: {0}")]
    NotForward(&'static str),
    /// The archive cannot be read from its source.
    #[error("the archive cannot be read: {0}")]
    Source(io::Error),
    /// The operation was cancelled.
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Reader of one archive format.
pub trait Unpacker: Send + Sync {
    /// Reads the headers, and refuses an archive that cannot be unpacked.
    fn list(
        &self,
        archive: Box<dyn ReadSeek>,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<Listing, UnpackError>;

    /// Unpacks everything in archive order.
    fn unpack(
        &self,
        archive: Box<dyn ReadSeek>,
        sink: &mut dyn EntrySink,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<UnpackSummary, UnpackError>;
}
