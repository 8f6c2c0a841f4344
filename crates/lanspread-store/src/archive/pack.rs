//! Writer of stored (uncompressed) RAR 5 archives, so that a folder can become a game's `.eti` without any other tool.
//!
//! It follows RARLAB's public *RAR 5.0 archive format* note. Nothing is compressed, so no part of the RAR compressor is
//! re-created; `unrar`, `7z` and our own unpacker read the result. An archive has one volume, no links and no
//! encryption. The caller decides which files go in and where the archive is stored.
//!
//! Content is streamed. A file's CRC precedes its bytes, so the header is written twice, the second time with the final
//! CRC.

use std::io::{self, Read, Seek, SeekFrom, Write};

use lanspread_types::RelPath;

/// First eight bytes of every RAR 5 archive.
const SIGNATURE: [u8; 8] = *b"Rar!\x1a\x07\x01\x00";
/// Bytes read and written at once.
const COPY_BYTES: usize = 256 << 10;

/// Block types; see "Archive blocks" in the format note.
mod block_type {
    /// Main header, the first block.
    pub const MAIN: u64 = 1;
    /// A file or folder.
    pub const FILE: u64 = 2;
    /// End of the archive.
    pub const END: u64 = 5;
}

/// Block flags that this writer sets.
mod block_flag {
    /// A data area follows the block.
    pub const DATA_AREA: u64 = 0x02;
    /// Readers that do not know the block's type skip it.
    pub const SKIP_IF_UNKNOWN: u64 = 0x04;
}

/// File flags that this writer sets.
mod file_flag {
    /// The entry is a folder.
    pub const DIRECTORY: u64 = 0x01;
    /// The header has a modification time in seconds since 1970.
    pub const UNIX_TIME: u64 = 0x02;
    /// The header has a CRC-32 of the content.
    pub const CRC32: u64 = 0x04;
}

/// Host system "Unix": the attributes are an `st_mode`.
const HOST_UNIX: u64 = 1;
const FILE_MODE: u64 = 0o100_644;
const FOLDER_MODE: u64 = 0o040_755;
/// Algorithm version 0, method 0 (stored), not solid, dictionary 128 KiB.
const STORED: u64 = 0;

/// Why an archive was not written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The archive's writer failed.
    #[error("the archive cannot be written: {0}")]
    Write(io::Error),
    /// The content of `path` cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Path of the file in the archive.
        path: RelPath,
        /// Failure of the reader.
        source: io::Error,
    },
    /// The content of `path` does not have the stated size.
    #[error("{path} has {found} bytes, {stated} were stated")]
    Size {
        /// Path of the file in the archive.
        path: RelPath,
        /// Size that was stated when the file was added, in bytes.
        stated: u64,
        /// Bytes that were read; may stop counting beyond `stated`.
        found: u64,
    },
}

/// Writer of one archive, entry by entry.
#[derive(Debug)]
pub struct Packer<W> {
    out: W,
    /// Offset at which the next block begins.
    end: u64,
}

impl<W: Write + Seek> Packer<W> {
    /// Begins an archive at the start of `out`.
    pub fn new(out: W) -> Result<Self, PackError> {
        let mut packer = Self { out, end: 0 };
        packer.append(&SIGNATURE)?;
        let archive_flags = vint(0);
        packer.append(&block(block_type::MAIN, 0, None, &archive_flags))?;
        Ok(packer)
    }

    /// Adds a file of `size` bytes, streamed from `content`. `mtime` is in seconds since 1970 (UTC).
    pub fn add_file(
        &mut self,
        path: &RelPath,
        size: u64,
        mtime: u32,
        mut content: impl Read,
    ) -> Result<(), PackError> {
        let head = |crc| Entry { path, size, mtime, kind: Kind::File { crc } }.encode();
        let begin = self.end;
        self.append(&head(0))?;
        let crc = self.copy(path, size, &mut content)?;
        let end = self.end;
        self.out.seek(SeekFrom::Start(begin)).map_err(PackError::Write)?;
        self.append(&head(crc))?;
        self.out.seek(SeekFrom::Start(end)).map_err(PackError::Write)?;
        self.end = end;
        Ok(())
    }

    /// Adds an empty folder. A folder with entries in it needs none of its own.
    pub fn add_folder(&mut self, path: &RelPath, mtime: u32) -> Result<(), PackError> {
        self.append(&Entry { path, size: 0, mtime, kind: Kind::Folder }.encode())
    }

    /// Ends the archive and returns the flushed writer. Without this call the archive is cut short.
    pub fn finish(mut self) -> Result<W, PackError> {
        let end_flags = vint(0);
        self.append(&block(block_type::END, block_flag::SKIP_IF_UNKNOWN, None, &end_flags))?;
        self.out.flush().map_err(PackError::Write)?;
        Ok(self.out)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.out.write_all(bytes).map_err(PackError::Write)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Copies exactly `size` bytes and returns their CRC-32.
    fn copy(&mut self, path: &RelPath, size: u64, content: &mut impl Read) -> Result<u32, PackError> {
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        let mut found = 0u64;
        loop {
            let n = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(PackError::Read { path: path.clone(), source }),
            };
            found += n as u64;
            if found > size {
                break;
            }
            crc.update(&buffer[..n]);
            self.append(&buffer[..n])?;
        }
        if found == size {
            Ok(crc.finalize())
        } else {
            Err(PackError::Size { path: path.clone(), stated: size, found })
        }
    }
}

/// One file or folder, as its header describes it.
struct Entry<'a> {
    path: &'a RelPath,
    size: u64,
    mtime: u32,
    kind: Kind,
}

enum Kind {
    File { crc: u32 },
    Folder,
}

impl Entry<'_> {
    /// Returns the header. Its length does not depend on the CRC, so it can be rewritten in place.
    fn encode(&self) -> Vec<u8> {
        let (flags, mode) = match self.kind {
            Kind::File { .. } => (file_flag::UNIX_TIME | file_flag::CRC32, FILE_MODE),
            Kind::Folder => (file_flag::UNIX_TIME | file_flag::DIRECTORY, FOLDER_MODE),
        };
        let mut fields = [vint(flags), vint(self.size), vint(mode)].concat();
        fields.extend(self.mtime.to_le_bytes());
        if let Kind::File { crc } = self.kind {
            fields.extend(crc.to_le_bytes());
        }
        let name = self.path.as_str().as_bytes();
        for number in [STORED, HOST_UNIX, name.len() as u64] {
            fields.extend(vint(number));
        }
        fields.extend(name);
        block(block_type::FILE, block_flag::DATA_AREA, Some(self.size), &fields)
    }
}

/// Returns a block header: CRC-32 of the rest, length, type, flags, length of the data area, fields.
fn block(kind: u64, flags: u64, data_bytes: Option<u64>, fields: &[u8]) -> Vec<u8> {
    let mut body = [vint(kind), vint(flags)].concat();
    if let Some(bytes) = data_bytes {
        body.extend(vint(bytes));
    }
    body.extend(fields);
    let sized = [vint(body.len() as u64), body].concat();
    [crc32fast::hash(&sized).to_le_bytes().to_vec(), sized].concat()
}

/// Encodes a number with seven bits per byte, lowest bits first; the high bit says that another byte follows.
fn vint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;
    use std::sync::{Arc, Mutex};

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut packer = Packer::new(Cursor::new(Vec::new())).unwrap();
        packer.add_folder(&path("empty"), 1_700_000_000).unwrap();
        for (name, content) in files {
            packer.add_file(&path(name), content.len() as u64, 1_700_000_000, *content).unwrap();
        }
        packer.finish().unwrap().into_inner()
    }

    /// Unpacks with the reader that the product uses, which also verifies checksums.
    fn unpacked(archive: Vec<u8>) -> Result<BTreeMap<String, Vec<u8>>, String> {
        #[derive(Clone, Default)]
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut files = BTreeMap::<String, Shared>::new();
        let archive = rars::ArchiveReader::read_reader(Cursor::new(archive)).map_err(|e| e.to_string())?;
        let open = |member: &rars::ExtractedEntryMeta| {
            let file = files.entry(member.name_lossy().to_string()).or_default();
            Ok(Box::new(file.clone()) as Box<dyn Write>)
        };
        archive
            .extract_with_links(rars::ArchiveReadOptions::new(), open, |_, _| Ok(()))
            .map_err(|e| e.to_string())?;
        Ok(files.into_iter().map(|(name, content)| (name, content.0.lock().unwrap().clone())).collect())
    }

    #[test]
    fn unpacker_reads_packed_files() {
        let large: Vec<u8> = (0..3 * COPY_BYTES + 7).map(|i| ((i * 31) >> 3) as u8).collect();
        let files: [(&str, &[u8]); 4] =
            [("data/größe.bin", &large), ("data/none", b""), ("one", b"1"), ("readme.txt", b"hello\r\n")];
        let back = unpacked(packed(&files)).unwrap();
        for (name, content) in files {
            assert_eq!(back.get(name).map(Vec::as_slice), Some(content), "{name}");
        }
    }

    #[test]
    fn changed_byte_is_detected() {
        let mut archive = packed(&[("one", b"unmistakable")]);
        let at = archive.windows(12).position(|w| w == b"unmistakable").unwrap();
        archive[at] ^= 1;
        assert!(unpacked(archive).is_err());
    }

    #[test]
    fn file_of_another_size_is_refused() {
        let mut packer = Packer::new(Cursor::new(Vec::new())).unwrap();
        for stated in [2, 4] {
            let result = packer.add_file(&path("x"), stated, 0, &b"abc"[..]);
            assert!(matches!(result, Err(PackError::Size { found: 3, .. })), "{stated}: {result:?}");
        }
    }

    #[test]
    fn vint_has_seven_bits_per_byte() {
        assert_eq!(vint(0), [0]);
        assert_eq!(vint(127), [127]);
        assert_eq!(vint(128), [0x80, 1]);
        assert_eq!(vint(u64::MAX).len(), 10);
    }
}
