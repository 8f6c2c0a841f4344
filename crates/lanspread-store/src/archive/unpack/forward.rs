//! RAR 5 archives unpacked strictly forward: header, content, next header. Nothing is read before its turn, so an
//! archive can be unpacked while it arrives, whatever the size of its entries.
//!
//! Reading all headers first, as [`super::rar`] does, would need bytes from all over the archive. So this module parses
//! the blocks itself (RARLAB, *RAR 5.0 archive format*, sections "General archive block format" and "Archive headers")
//! and leaves the meaning of a file header and decompression to `rars`. Entries pass the same checks as in a listed
//! archive. Older archives are refused; they are unpacked once they are complete.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};

use rars::codec::rar50::{DecodedChunk, StreamDecodeError, Unpack50Decoder};
use rars::rar50::FileHeader;
use rars::{Archive, ArchiveReadOptions, ArchiveReader};

use super::rar::{Admission, Entry, damaged, explain};
use super::{EntrySink, EntryWriter, UnpackError, UnpackLimits, UnpackSummary};
use crate::fs::cancel::Cancel;
use crate::fs::fault::Fault;

/// First eight bytes of every RAR 5 archive. RAR 1.5 to 4 has seven bytes, which differ in the last one.
const SIGNATURE: [u8; 8] = *b"Rar!\x1a\x07\x01\x00";
const SIGNATURE_OLDER: [u8; 7] = *b"Rar!\x1a\x07\x00";
/// Largest header that the format allows, in bytes.
const HEADER_BYTES_MAX: u64 = 2 << 20;
/// Bytes read from the source at once.
const READ_BYTES: usize = 256 << 10;

/// Block types and flags of the format note.
const BLOCK_MAIN: u64 = 1;
const BLOCK_FILE: u64 = 2;
const BLOCK_ENCRYPTION: u64 = 4;
const BLOCK_END: u64 = 5;
const HAS_EXTRA: u64 = 1;
const HAS_DATA: u64 = 2;
const MAIN_IS_VOLUME: u64 = 1;
const END_HAS_NEXT_VOLUME: u64 = 1;
/// End block of an archive in one volume.
const END_BLOCK: [u8; 8] = [0x1d, 0x77, 0x56, 0x51, 3, BLOCK_END as u8, 4, 0];

/// Unpacks everything in archive order. Reads the source to its end.
pub fn unpack_forward(
    source: impl Read,
    sink: &mut dyn EntrySink,
    limits: &UnpackLimits,
    cancel: &Cancel,
) -> Result<UnpackSummary, UnpackError> {
    let source = Watched { source, cancel, failure: None };
    let mut forward = Forward {
        source: BufReader::with_capacity(READ_BYTES, source),
        sink,
        limits,
        cancel,
        decoder: Unpack50Decoder::new(),
        admission: Admission::default(),
        summary: UnpackSummary::default(),
    };
    let unpacked = forward.run();
    // A failed source is the true reason, whatever error the decoder reports for the missing bytes.
    match forward.source.get_mut().failure.take() {
        _ if cancel.is_cancelled() => Err(UnpackError::Cancelled),
        Some(failure) => Err(UnpackError::Source(failure)),
        None => unpacked,
    }
}

/// Source that fails once it is cancelled, and remembers why it failed.
struct Watched<'a, R> {
    source: R,
    cancel: &'a Cancel,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        match self.source.read(bytes) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                let kind = e.kind();
                self.failure = Some(e);
                Err(kind.into())
            }
            read => read,
        }
    }
}

/// One pass over an archive.
struct Forward<'a, R> {
    source: BufReader<Watched<'a, R>>,
    sink: &'a mut dyn EntrySink,
    limits: &'a UnpackLimits,
    cancel: &'a Cancel,
    /// Kept for the whole archive: in a solid one, each file is compressed with the files before it.
    decoder: Unpack50Decoder,
    admission: Admission,
    summary: UnpackSummary,
}

/// Header of a block; its content follows in the source.
struct Block {
    kind: u64,
    /// Checksum, size and header, byte for byte.
    raw: Vec<u8>,
    /// Index in `raw` at which the fields of the block type begin.
    fields_at: usize,
    content_len: u64,
}

impl Block {
    fn field(&self) -> Result<u64, UnpackError> {
        number(&mut &self.raw[self.fields_at..]).ok_or_else(|| bad_header("it ends too early"))
    }
}

impl<R: Read> Forward<'_, R> {
    fn run(&mut self) -> Result<UnpackSummary, UnpackError> {
        self.signature()?;
        loop {
            let block = self.block()?;
            match block.kind {
                BLOCK_MAIN if block.field()? & MAIN_IS_VOLUME != 0 => return Err(UnpackError::Volume),
                BLOCK_FILE => self.file(&block)?,
                BLOCK_ENCRYPTION => return Err(UnpackError::Encrypted("the archive".to_owned())),
                BLOCK_END if block.field()? & END_HAS_NEXT_VOLUME != 0 => return Err(UnpackError::Volume),
                BLOCK_END => break,
                // Comments, recovery records, a copy of the headers: nothing to unpack.
                _ => self.skip(block.content_len)?,
            }
        }
        self.admission.finish()?;
        // The supplier of the bytes waits until all of them are taken.
        io::copy(&mut self.source, &mut io::sink()).map_err(|_| UnpackError::Truncated)?;
        Ok(self.summary)
    }

    fn signature(&mut self) -> Result<(), UnpackError> {
        let mut found = [0; SIGNATURE.len()];
        self.source
            .read_exact(&mut found)
            .map_err(|_| UnpackError::NotAnArchive("it is too short".to_owned()))?;
        match found {
            SIGNATURE => Ok(()),
            _ if found.starts_with(&SIGNATURE_OLDER) => {
                Err(UnpackError::NotForward("it is of RAR 4 or older"))
            }
            _ => Err(UnpackError::NotForward("it does not begin as an archive of RAR 5 does")),
        }
    }

    /// Reads a header and verifies its checksum.
    fn block(&mut self) -> Result<Block, UnpackError> {
        let mut raw = vec![0; 4];
        self.source.read_exact(&mut raw).map_err(|_| UnpackError::Truncated)?;
        let crc = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        let size_at = raw.len();
        loop {
            let mut byte = [0];
            self.source.read_exact(&mut byte).map_err(|_| UnpackError::Truncated)?;
            raw.push(byte[0]);
            // 2 MiB need three bytes of seven bits.
            if byte[0] < 0x80 || raw.len() == size_at + 3 {
                break;
            }
        }
        let size = number(&mut &raw[size_at..]).filter(|size| (1..=HEADER_BYTES_MAX).contains(size));
        let size = size.ok_or_else(|| bad_header("its size is not valid"))?;
        let header_at = raw.len();
        let read = (&mut self.source).take(size).read_to_end(&mut raw).map_err(|_| UnpackError::Truncated)?;
        if read as u64 != size {
            return Err(UnpackError::Truncated);
        }
        if crc32fast::hash(&raw[size_at..]) != crc {
            return Err(bad_header("it does not match its checksum"));
        }
        let mut rest = &raw[header_at..];
        let mut next = || number(&mut rest).ok_or_else(|| bad_header("it ends too early"));
        let (kind, flags) = (next()?, next()?);
        if flags & HAS_EXTRA != 0 {
            next()?;
        }
        let content_len = if flags & HAS_DATA != 0 { next()? } else { 0 };
        let fields_at = raw.len() - rest.len();
        Ok(Block { kind, raw, fields_at, content_len })
    }

    fn skip(&mut self, len: u64) -> Result<(), UnpackError> {
        match io::copy(&mut (&mut self.source).take(len), &mut io::sink()) {
            Ok(skipped) if skipped == len => Ok(()),
            _ => Err(UnpackError::Truncated),
        }
    }

    fn file(&mut self, block: &Block) -> Result<(), UnpackError> {
        let (entry, header) = self.understand(block)?;
        if entry.is_folder {
            self.sink.folder(&entry.path)?;
            self.summary.folders += 1;
            return self.skip(block.content_len);
        }
        if header.known_unpacked_size().is_none() {
            return Err(damaged(&entry.path, "its size is not stated"));
        }
        let mut packed = (&mut self.source).take(block.content_len);
        let mut content = Content::new(self.sink, &entry, &header)?;
        let unpacked = if header.is_stored() {
            copy_stored(&mut packed, &mut content)
        } else {
            decompress(&mut self.decoder, &mut packed, &header, &mut content, self.limits)
        };
        if let Some(fault) = content.failure.take() {
            return Err(UnpackError::Sink(fault));
        }
        unpacked.map_err(|error| match error {
            Stopped::Limit(limit) => UnpackError::Limit(limit),
            Stopped::Damaged(reason) => damaged(&entry.path, &reason),
        })?;
        content.finish(&entry)?;
        // A decoder may finish before the last bytes of its input.
        let left = packed.limit();
        self.skip(left)?;
        self.summary.files += 1;
        self.summary.bytes += entry.size;
        Ok(())
    }

    /// Lets `rars` parse a file header, out of an archive that has only this entry.
    fn understand(&mut self, block: &Block) -> Result<(Entry, FileHeader), UnpackError> {
        let alone = OneEntry::new(block);
        let archive = ArchiveReader::read_reader_with_options(alone, ArchiveReadOptions::new())
            .map_err(|e| explain(&e, self.cancel))?;
        let member = archive.members().next();
        let header = match &archive {
            Archive::Rar50Plus(archive) => archive.files().next().cloned(),
            _ => None,
        };
        let (Some(member), Some(header)) = (member, header) else {
            return Err(bad_header("it does not describe a file or folder"));
        };
        Ok((self.admission.admit(&member, self.limits)?, header))
    }
}

/// Why the content of an entry cannot be unpacked.
enum Stopped {
    Limit(String),
    Damaged(String),
}

fn copy_stored(packed: &mut impl BufRead, content: &mut Content) -> Result<(), Stopped> {
    loop {
        let bytes = packed.fill_buf().map_err(|e| Stopped::Damaged(e.to_string()))?;
        if bytes.is_empty() {
            return Ok(());
        }
        content.take(bytes).map_err(|Full| Stopped::Damaged(TOO_LONG.to_owned()))?;
        let taken = bytes.len();
        packed.consume(taken);
    }
}

const TOO_LONG: &str = "it has more bytes than were stated";

fn decompress(
    decoder: &mut Unpack50Decoder,
    packed: &mut impl Read,
    header: &FileHeader,
    content: &mut Content,
    limits: &UnpackLimits,
) -> Result<(), Stopped> {
    let damaged = |reason: &dyn fmt::Display| Stopped::Damaged(reason.to_string());
    let info = header.decoded_compression_info().map_err(|e| damaged(&e))?;
    if info.dictionary_size > limits.dictionary_bytes {
        let (needed, most) = (info.dictionary_size, limits.dictionary_bytes);
        return Err(Stopped::Limit(format!("a dictionary of {needed} bytes, {most} are allowed")));
    }
    if header.unpacked_size == 0 && header.packed_size() == 0 {
        return Ok(());
    }
    let too_large = || Stopped::Limit("more than this system can address".to_owned());
    let size = usize::try_from(header.unpacked_size).map_err(|_| too_large())?;
    let dictionary = usize::try_from(info.dictionary_size).map_err(|_| too_large())?;
    let done = decoder.decode_member_from_reader_with_dictionary_to_sink(
        packed,
        info.algorithm_version,
        size,
        dictionary,
        info.solid && !lanspread_types::failpoint!("forget-solid-window"),
        |chunk| match chunk {
            DecodedChunk::Bytes(bytes) => content.take(bytes),
            DecodedChunk::Repeated { byte, len } => content.take_repeated(byte, len),
        },
    );
    done.map_err(|error| match error {
        StreamDecodeError::Decode(error) => damaged(&rars::Error::from(error)),
        StreamDecodeError::FilteredMember => damaged(&"it has a filter longer than any archiver makes"),
        StreamDecodeError::Sink(Full) => damaged(&TOO_LONG),
    })
}

/// Nothing more can be taken: the stated size is exceeded, or the writer failed.
struct Full;

/// Unpacked content of one entry.
struct Content {
    writer: Box<dyn EntryWriter>,
    path: String,
    size: u64,
    written: u64,
    check: Check,
    failure: Option<Fault>,
}

/// How an entry's content is checked against its header.
enum Check {
    None,
    Crc32(u32, crc32fast::Hasher),
    /// Used if the header has one, whatever the CRC says.
    Blake2sp(Vec<u8>, Box<blake2s_simd::blake2sp::State>),
}

impl Content {
    fn new(sink: &mut dyn EntrySink, entry: &Entry, header: &FileHeader) -> Result<Self, UnpackError> {
        let check = match (&header.hash, header.data_crc32) {
            (Some(hash), _) if hash.hash_type == 0 => {
                Check::Blake2sp(hash.data.clone(), Box::new(blake2s_simd::blake2sp::State::new()))
            }
            (Some(_), _) => return Err(damaged(&entry.path, "its checksum is of an unknown kind")),
            (None, Some(crc)) => Check::Crc32(crc, crc32fast::Hasher::new()),
            (None, None) => Check::None,
        };
        let writer = sink.file(&entry.path, entry.size, entry.modified)?;
        Ok(Self { writer, path: entry.path.to_string(), size: entry.size, written: 0, check, failure: None })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.written + bytes.len() as u64 > self.size {
            return Err(Full);
        }
        match &mut self.check {
            Check::None => {}
            Check::Crc32(_, crc) => crc.update(bytes),
            Check::Blake2sp(_, hash) => drop(hash.update(bytes)),
        }
        self.written += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(|e| {
            self.failure = Some(Fault::new("write", self.path.as_str(), e));
            Full
        })
    }

    fn take_repeated(&mut self, byte: u8, mut len: usize) -> Result<(), Full> {
        let bytes = [byte; 64 << 10];
        while len > 0 {
            let part = len.min(bytes.len());
            self.take(&bytes[..part])?;
            len -= part;
        }
        Ok(())
    }

    fn finish(self, entry: &Entry) -> Result<(), UnpackError> {
        if self.written != self.size {
            let reason = format!("it has {} bytes, {} were stated", self.written, self.size);
            return Err(damaged(&entry.path, &reason));
        }
        let matches = match self.check {
            Check::None => true,
            Check::Crc32(stated, crc) => crc.finalize() == stated,
            Check::Blake2sp(stated, hash) => hash.finalize().as_bytes() == stated,
        };
        if !matches {
            return Err(damaged(&entry.path, "it does not match its checksum"));
        }
        Ok(self.writer.finish().map_err(|e| Fault::new("write", self.path.as_str(), e))?)
    }
}

/// An archive of one entry whose content is zeros, for parsing the header only.
struct OneEntry {
    /// Signature, main header and the entry's header.
    head: Cursor<Vec<u8>>,
    content_len: u64,
    at: u64,
}

impl OneEntry {
    fn new(block: &Block) -> Self {
        // Size, type, flags, archive flags: no volume.
        let main = [3, BLOCK_MAIN as u8, 0, 0];
        let crc = crc32fast::hash(&main).to_le_bytes();
        let head = [&SIGNATURE, &crc[..], &main, &block.raw].concat();
        Self { head: Cursor::new(head), content_len: block.content_len, at: 0 }
    }

    fn head_len(&self) -> u64 {
        self.head.get_ref().len() as u64
    }

    fn len(&self) -> u64 {
        self.head_len().saturating_add(self.content_len).saturating_add(END_BLOCK.len() as u64)
    }
}

impl Read for OneEntry {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let end_at = self.len() - END_BLOCK.len() as u64;
        let n = if self.at < self.head_len() {
            self.head.set_position(self.at);
            self.head.read(bytes)?
        } else if self.at < end_at {
            let n = bytes.len().min(usize::try_from(end_at - self.at).unwrap_or(usize::MAX));
            bytes[..n].fill(0);
            n
        } else {
            let from = usize::try_from(self.at - end_at).unwrap_or(usize::MAX).min(END_BLOCK.len());
            (&END_BLOCK[from..]).read(bytes)?
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for OneEntry {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// Takes a variable-length integer from the front: seven bits per byte, lowest first; the eighth bit says that another
/// byte follows.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn bad_header(reason: &str) -> UnpackError {
    UnpackError::DamagedArchive(format!("a header is not valid: {reason}"))
}
