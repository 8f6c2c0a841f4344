//! RAR archives that are complete, read by `rars`: versions 4 and 5, solid or not, in one volume.
//!
//! The library is young, so it gets little trust. The listing is checked before anything is unpacked; every entry that
//! comes out must be the next one of the listing and have the listed size; and in the end all entries must have come
//! out.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;
use std::time::SystemTime;

use lanspread_types::RelPath;
use lanspread_types::path::CollisionSet;
use rars::filename::LegacyNameEncoding;
use rars::{
    Archive, ArchiveMember, ArchiveReadOptions, ArchiveReader, AttrSource, ErrorKind, ExtractedEntryMeta,
    ReadCancellation,
};

use super::{EntrySink, EntryWriter, Listing, ReadSeek, UnpackError, UnpackLimits, UnpackSummary, Unpacker};
use crate::fs::cancel::Cancel;
use crate::fs::fault::Fault;

/// Maximum number of headers that are not entries: main header, comments, recovery records, end.
const OTHER_HEADERS_MAX: u64 = 1024;
/// Maximum header bytes per allowed entry.
const HEADER_BYTES_PER_ENTRY: u64 = 2048;

/// Unpacker for RAR archives.
#[derive(Debug, Clone, Copy, Default)]
pub struct RarUnpacker;

impl Unpacker for RarUnpacker {
    fn list(
        &self,
        archive: Box<dyn ReadSeek>,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<Listing, UnpackError> {
        Ok(Opened::read(archive, limits, cancel)?.listing())
    }

    fn unpack(
        &self,
        archive: Box<dyn ReadSeek>,
        sink: &mut dyn EntrySink,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<UnpackSummary, UnpackError> {
        Opened::read(archive, limits, cancel)?.unpack(sink, limits, cancel)
    }
}

/// An entry that passed the checks.
#[derive(Debug)]
pub(super) struct Entry {
    /// Name as the archive spells it, byte by byte.
    raw: Vec<u8>,
    /// Name as a path below the sink's folder.
    pub path: RelPath,
    /// Whether the entry is a folder.
    pub is_folder: bool,
    /// Unpacked size, in bytes; 0 for a folder.
    pub size: u64,
    /// Modification time, if the archive states one.
    pub modified: Option<SystemTime>,
}

/// An archive whose listing was read and checked.
struct Opened {
    archive: Archive,
    entries: Vec<Entry>,
    solid: bool,
    token: ReadCancellation,
}

impl Opened {
    fn read(source: Box<dyn ReadSeek>, limits: &UnpackLimits, cancel: &Cancel) -> Result<Self, UnpackError> {
        let token = ReadCancellation::new();
        let source = Watched { source, cancel: cancel.clone(), token: token.clone() };
        let options = ArchiveReadOptions::new()
            .with_cancellation(&token)
            .with_max_header_count(limits.entries.saturating_add(OTHER_HEADERS_MAX))
            .with_max_header_bytes(
                limits.entries.saturating_mul(HEADER_BYTES_PER_ENTRY).saturating_add(1 << 20),
            );
        let archive =
            ArchiveReader::read_reader_with_options(source, options).map_err(|e| explain(&e, cancel))?;
        refuse_incomplete(&archive)?;
        let entries = check_members(&archive, limits)?;
        let solid = match &archive {
            Archive::Rar13(a) => a.main.is_solid(),
            Archive::Rar15To40(a) => a.main.is_solid(),
            Archive::Rar50Plus(a) => a.main.is_solid(),
            _ => false,
        };
        Ok(Self { archive, entries, solid, token })
    }

    fn listing(&self) -> Listing {
        let files = self.entries.iter().filter(|e| !e.is_folder);
        let (files, bytes) = files.fold((0, 0), |(n, sum), e| (n + 1, sum + e.size));
        Listing { files, folders: self.entries.len() as u64 - files, bytes, solid: self.solid }
    }

    fn unpack(
        self,
        sink: &mut dyn EntrySink,
        limits: &UnpackLimits,
        cancel: &Cancel,
    ) -> Result<UnpackSummary, UnpackError> {
        let Listing { files, folders, bytes, .. } = self.listing();
        for folder in self.entries.iter().filter(|e| e.is_folder) {
            sink.folder(&folder.path)?;
        }
        let output = Rc::new(RefCell::new(Output {
            current: None,
            cancel: cancel.clone(),
            token: self.token.clone(),
        }));
        let mut run =
            Run { expected: self.entries.iter().filter(|e| !e.is_folder), output: Rc::clone(&output), sink };
        let options = ArchiveReadOptions::new()
            .with_cancellation(&self.token)
            .with_rar50_dictionary_size_limit(limits.dictionary_bytes)
            .with_max_total_output_bytes(limits.output_bytes);
        let mut refused = None;
        let mut stop = |error: UnpackError| {
            refused = Some(error);
            rars::Error::WriterFailure("the entry was refused")
        };
        let stop = RefCell::new(&mut stop);
        let done = self.archive.extract_with_links(
            options,
            |meta| run.open(meta).map_err(|e| (stop.borrow_mut())(e)),
            |meta, _| Err((stop.borrow_mut())(UnpackError::Link(meta.name_lossy()))),
        );
        let left = run.expected.next();
        if let Some(refused) = refused {
            return Err(refused);
        }
        done.map_err(|e| output.borrow_mut().take_failure().unwrap_or_else(|| explain(&e, cancel)))?;
        output.borrow_mut().finish_current()?;
        match left {
            Some(entry) => Err(damaged(&entry.path, "the archive lists it but does not contain it")),
            None => Ok(UnpackSummary { files, folders, bytes }),
        }
    }
}

/// One pass over an archive: matches the entries that come out with the listing.
struct Run<'a, I> {
    expected: I,
    output: Rc<RefCell<Output>>,
    sink: &'a mut dyn EntrySink,
}

impl<'a, I: Iterator<Item = &'a Entry>> Run<'_, I> {
    fn open(&mut self, meta: &ExtractedEntryMeta) -> Result<Box<dyn Write>, UnpackError> {
        if meta.is_directory {
            return Ok(Box::new(io::sink()));
        }
        self.output.borrow_mut().finish_current()?;
        let next = self.expected.next().filter(|entry| entry.raw == meta.name);
        let Some(entry) = next else {
            return Err(UnpackError::DamagedArchive(format!("{} was not listed", meta.name_lossy())));
        };
        let writer = self.sink.file(&entry.path, entry.size, entry.modified)?;
        let current =
            Current { path: entry.path.clone(), size: entry.size, written: 0, writer, failure: None };
        self.output.borrow_mut().current = Some(current);
        Ok(Box::new(Handle(Rc::clone(&self.output))))
    }
}

/// The file that is being written. It outlives the writer that the library is given: only when the library moves on to
/// the next entry is it certain that the checksum matched and the file can be finished.
struct Output {
    current: Option<Current>,
    cancel: Cancel,
    token: ReadCancellation,
}

struct Current {
    path: RelPath,
    size: u64,
    written: u64,
    writer: Box<dyn EntryWriter>,
    failure: Option<Fault>,
}

impl Output {
    fn finish_current(&mut self) -> Result<(), UnpackError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        if current.written != current.size {
            let reason = format!("it has {} bytes, {} were listed", current.written, current.size);
            return Err(damaged(&current.path, &reason));
        }
        Ok(current.writer.finish().map_err(|e| Fault::new("write", current.path.as_str(), e))?)
    }

    /// Returns why writing failed, if that is what ended the unpacking.
    fn take_failure(&mut self) -> Option<UnpackError> {
        let current = self.current.as_mut()?;
        current.failure.take().map(UnpackError::Sink)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            self.token.cancel();
            return Err(io::Error::other("cancelled"));
        }
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::BrokenPipe.into()) };
        if current.written + bytes.len() as u64 > current.size {
            return Err(io::Error::other("more bytes than were listed"));
        }
        match current.writer.write(bytes) {
            Ok(n) => {
                current.written += n as u64;
                Ok(n)
            }
            Err(e) => {
                let (kind, fault) = (e.kind(), Fault::new("write", current.path.as_str(), e));
                current.failure = Some(fault);
                Err(kind.into())
            }
        }
    }
}

/// Writer that is given to the library.
struct Handle(Rc<RefCell<Output>>);

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Source that fails once it is cancelled, and cancels the decoder as well.
struct Watched {
    source: Box<dyn ReadSeek>,
    cancel: Cancel,
    token: ReadCancellation,
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            self.token.cancel();
            return Err(io::Error::other("cancelled"));
        }
        self.source.read(bytes)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

/// Refuses volumes, and archives without an end: whole entries may be missing unnoticed.
fn refuse_incomplete(archive: &Archive) -> Result<(), UnpackError> {
    let (volume, ended) = match archive {
        Archive::Rar13(a) => (a.main.is_volume(), true),
        // Archives before RAR 3 have no end block.
        Archive::Rar15To40(a) => (a.main.is_volume(), true),
        Archive::Rar50Plus(a) => {
            let ended = a.blocks.iter().any(|b| matches!(b, rars::rar50::Block::End(_)));
            (a.main.is_volume(), ended)
        }
        _ => return Err(UnpackError::NotAnArchive("an unknown kind of RAR".to_owned())),
    };
    match (volume, ended) {
        (true, _) => Err(UnpackError::Volume),
        (false, false) => Err(UnpackError::Truncated),
        (false, true) => Ok(()),
    }
}

fn check_members(archive: &Archive, limits: &UnpackLimits) -> Result<Vec<Entry>, UnpackError> {
    let mut admission = Admission::default();
    let entries =
        archive.members().map(|member| admission.admit(&member, limits)).collect::<Result<_, _>>()?;
    admission.finish()?;
    Ok(entries)
}

/// Checks the entries of one archive one after the other, and refuses those that cannot be unpacked.
#[derive(Default)]
pub(super) struct Admission {
    names: CollisionSet,
    entries: u64,
    bytes: u64,
}

impl Admission {
    /// Checks the next entry: its name, its kind, and the limits.
    pub fn admit(&mut self, member: &ArchiveMember, limits: &UnpackLimits) -> Result<Entry, UnpackError> {
        let entry = check_member(member)?;
        let names = &mut self.names;
        let inserted =
            if entry.is_folder { names.insert_folder(&entry.path) } else { names.insert_file(&entry.path) };
        inserted.map_err(|e| UnpackError::Name { name: entry.path.to_string(), reason: e.to_string() })?;
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > limits.output_bytes {
            return Err(UnpackError::Large { bytes: self.bytes });
        }
        self.entries += 1;
        if self.entries > limits.entries {
            return Err(UnpackError::Limit(format!("it has more than {} entries", limits.entries)));
        }
        Ok(entry)
    }

    /// Ends the checks. Fails if there was no entry.
    pub fn finish(&self) -> Result<(), UnpackError> {
        if self.entries == 0 { Err(UnpackError::Empty) } else { Ok(()) }
    }
}

fn check_member(member: &ArchiveMember) -> Result<Entry, UnpackError> {
    let meta = &member.meta;
    let name = spelled(member)?;
    if meta.is_split_before || meta.is_split_after {
        return Err(UnpackError::Volume);
    }
    if meta.is_encrypted {
        return Err(UnpackError::Encrypted(name));
    }
    if meta.is_redirection {
        return Err(UnpackError::Link(name));
    }
    match file_type(meta.attr_source(), meta.file_attr) {
        FileType::Link => return Err(UnpackError::Link(name)),
        FileType::Special => return Err(UnpackError::Special(name)),
        FileType::Ordinary => {}
    }
    let path = RelPath::from_foreign(&name)
        .map_err(|e| UnpackError::Name { name: name.clone(), reason: e.to_string() })?;
    let size = if meta.is_directory { 0 } else { meta.unpacked_size };
    let modified = meta.modification_time();
    Ok(Entry { raw: meta.name.clone(), path, is_folder: meta.is_directory, size, modified })
}

/// Returns the name as text. RAR 5 has UTF-8; older archives without it usually come from western Europe.
fn spelled(member: &ArchiveMember) -> Result<String, UnpackError> {
    let raw = &member.meta.name;
    if let Ok(text) = std::str::from_utf8(raw) {
        return Ok(text.to_owned());
    }
    let bad_name =
        |reason: &str| UnpackError::Name { name: member.meta.name_lossy(), reason: reason.to_owned() };
    let decoded =
        member.decoded_name(Some(LegacyNameEncoding::Cp850)).map_err(|e| bad_name(&e.to_string()))?;
    String::from_utf8(decoded.into_owned()).map_err(|_| bad_name("it is not valid Unicode"))
}

enum FileType {
    Ordinary,
    Link,
    Special,
}

fn file_type(source: AttrSource, attributes: u64) -> FileType {
    const WINDOWS_REPARSE_POINT: u64 = 0x400;
    match source {
        // The type bits of `st_mode`; 0 where a writer did not set them.
        AttrSource::Unix => match attributes & 0o170_000 {
            0 | 0o100_000 | 0o040_000 => FileType::Ordinary,
            0o120_000 => FileType::Link,
            _ => FileType::Special,
        },
        AttrSource::Dos if attributes & WINDOWS_REPARSE_POINT != 0 => FileType::Link,
        _ => FileType::Ordinary,
    }
}

/// Returns the error for a damaged entry.
pub(super) fn damaged(path: &RelPath, reason: &str) -> UnpackError {
    UnpackError::Damaged { entry: path.to_string(), reason: reason.to_owned() }
}

/// Converts an error of the library.
pub(super) fn explain(error: &rars::Error, cancel: &Cancel) -> UnpackError {
    if cancel.is_cancelled() {
        return UnpackError::Cancelled;
    }
    let cause = error.root_cause();
    let entry = error.entry_context().map(|(name, _)| String::from_utf8_lossy(name).into_owned());
    match (cause.kind(), entry) {
        (ErrorKind::UnsupportedFormat, _) => UnpackError::NotAnArchive(cause.to_string()),
        (ErrorKind::PasswordRequired | ErrorKind::BadPassword, entry) => {
            UnpackError::Encrypted(entry.unwrap_or_else(|| "the archive".to_owned()))
        }
        (ErrorKind::ResourceLimit, _) => UnpackError::Limit(cause.to_string()),
        (_, Some(entry)) => UnpackError::Damaged { entry, reason: cause.to_string() },
        (_, None) => UnpackError::DamagedArchive(cause.to_string()),
    }
}
