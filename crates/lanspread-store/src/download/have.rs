//! The have-journal: which chunks of a download are verified and written.
//!
//! A header is followed by records of eight bytes, each with its own check; a tail that a crash cut off or garbled is
//! dropped. A record is appended after its chunk is written, so if the program dies, every surviving record has its
//! bytes.
//!
//! If the machine dies, the disk may have kept a record and lost its bytes. So a *barrier* states how many of the
//! records before it had their files synced, and the header names the run of the system that wrote the journal. In the
//! same run all records are valid; in another run only those covered by a barrier are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use lanspread_types::{ChunkIndex, ContentId};

use crate::fs::faulty::{self, Op};
use crate::fs::files;

/// Magic number. Its last byte is the version: since 2, small files share chunks.
const MAGIC: [u8; 8] = *b"LSHAVE\0\x02";
const HEADER_BYTES: usize = 8 + 32 + 16 + 8;
const RECORD_BYTES: usize = 8;
/// Flag of barrier records. No chunk number is that large (`CHUNKS_PER_GAME_MAX`).
const BARRIER: u32 = 1 << 31;

/// Identity of one run of the system; `None` where the system does not tell.
pub type BootId = Option<[u8; 16]>;

/// Returns the identity of the current run of the system. Only Linux tells it.
pub fn boot_id() -> BootId {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let hash = blake3::hash(&text);
    Some(std::array::from_fn(|i| hash.as_bytes()[i]))
}

/// Content of a have-journal.
#[derive(Debug, PartialEq, Eq)]
pub struct Journalled {
    /// Recorded chunks, in recording order.
    pub chunks: Vec<ChunkIndex>,
    /// Number of chunks, from the first one, that the last barrier covers.
    pub synced: usize,
    /// Run of the system that wrote the journal.
    pub boot: BootId,
    /// Length of the valid part of the file, in bytes.
    valid_len: u64,
}

/// A have-journal that is open for appending.
#[derive(Debug)]
pub struct HaveJournal {
    /// `None` after [`HaveJournal::close`].
    file: Option<File>,
    content: ContentId,
    records: u32,
    /// Length of the file, in bytes. Kept here because asking the system costs a third of what appending does.
    len: u64,
}

/// Reads a journal; `None` if the file is missing or is not a journal of this content.
pub fn read(path: &Path, content: ContentId) -> io::Result<Option<Journalled>> {
    match fs::read(path) {
        Ok(bytes) => Ok(parse(&bytes, content)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Parses a journal up to its first invalid record; `None` if it is not a journal of this content.
pub fn parse(bytes: &[u8], content: ContentId) -> Option<Journalled> {
    let (head, records) = bytes.split_at_checked(HEADER_BYTES)?;
    let boot: [u8; 16] = head[40..56].try_into().ok()?;
    let boot = (boot != [0; 16]).then_some(boot);
    if head != header(content, boot) {
        return None;
    }
    let mut journalled = Journalled { chunks: Vec::new(), synced: 0, boot, valid_len: HEADER_BYTES as u64 };
    for record in records.chunks_exact(RECORD_BYTES) {
        let value = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
        if record != encode(content, value) {
            break;
        }
        if value & BARRIER == 0 {
            journalled.chunks.push(ChunkIndex(value));
        } else {
            journalled.synced = ((value & !BARRIER) as usize).min(journalled.chunks.len());
        }
        journalled.valid_len += RECORD_BYTES as u64;
    }
    Some(journalled)
}

impl HaveJournal {
    /// Returns the bytes of a journal that holds these chunks, all of them synced.
    pub fn image(content: ContentId, boot: BootId, chunks: &[ChunkIndex]) -> Vec<u8> {
        let mut bytes = header(content, boot).to_vec();
        chunks.iter().for_each(|c| bytes.extend(encode(content, c.0)));
        bytes.extend(encode(content, BARRIER | chunks.len() as u32));
        bytes
    }

    /// Opens a journal for appending, after cutting off everything behind the valid part in `journalled`.
    pub fn append_to(path: &Path, content: ContentId, journalled: &Journalled) -> io::Result<Self> {
        // Append mode alone lacks the right to set a length on Windows (`FILE_WRITE_DATA`).
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(journalled.valid_len)?;
        file.seek(SeekFrom::End(0))?;
        let (records, len) = (journalled.chunks.len() as u32, journalled.valid_len);
        Ok(Self { file: Some(file), content, records, len })
    }

    /// Closes the file, because Windows cannot delete or replace an open one. Later records are dropped; a closed
    /// download needs none of them.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Records a chunk whose bytes are written.
    pub fn add(&mut self, chunk: ChunkIndex) -> io::Result<()> {
        self.append(&encode(self.content, chunk.0))?;
        self.records += 1;
        Ok(())
    }

    /// Returns the number of chunks recorded so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Records that the first `records` chunks are synced, and syncs the journal.
    pub fn barrier(&mut self, records: u32) -> io::Result<()> {
        self.append(&encode(self.content, BARRIER | records))?;
        self.file.as_ref().map_or(Ok(()), files::sync)
    }

    /// Appends a record completely or not at all: a partial record would hide all later ones.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = faulty::before(Op::Write).and_then(|()| match faulty::cut_short(record.len()) {
            Some((some, error)) => file.write_all(&record[..some]).and(Err(error)),
            None => file.write_all(record),
        });
        faulty::wrote(file);
        match written {
            Ok(()) => self.len += record.len() as u64,
            Err(_) => {
                file.set_len(self.len)?;
                file.seek(SeekFrom::Start(self.len))?;
            }
        }
        written
    }
}

fn header(content: ContentId, boot: BootId) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..40].copy_from_slice(content.as_bytes());
    bytes[40..56].copy_from_slice(&boot.unwrap_or_default());
    let check = blake3::hash(&bytes[..56]);
    bytes[56..].copy_from_slice(&check.as_bytes()[..8]);
    bytes
}

/// Encodes a value with four bytes that check the value and the content id.
fn encode(content: ContentId, value: u32) -> [u8; RECORD_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(content.as_bytes()).update(&value.to_le_bytes());
    let check = hasher.finalize();
    let [a, b, c, d] = value.to_le_bytes();
    let check = check.as_bytes();
    [a, b, c, d, check[0], check[1], check[2], check[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId([7; 32]);

    fn chunks(numbers: &[u32]) -> Vec<ChunkIndex> {
        numbers.iter().copied().map(ChunkIndex).collect()
    }

    #[test]
    fn cut_off_journal_keeps_its_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("had");
        let whole = HaveJournal::image(CONTENT, Some([1; 16]), &chunks(&[5, 0, 9, 3]));
        for len in 0..=whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let Some(read) = super::read(&path, CONTENT).unwrap() else {
                assert!(len < HEADER_BYTES, "{len}");
                continue;
            };
            let records = ((len - HEADER_BYTES) / RECORD_BYTES).min(4);
            assert_eq!(read.chunks, chunks(&[5, 0, 9, 3][..records]), "{len} bytes");
            assert_eq!(read.synced, if len == whole.len() { 4 } else { 0 });
            // The next append overwrites the damage.
            let mut journal = HaveJournal::append_to(&path, CONTENT, &read).unwrap();
            journal.add(ChunkIndex(77)).unwrap();
            let again = super::read(&path, CONTENT).unwrap().unwrap();
            assert_eq!(again.chunks.last(), Some(&ChunkIndex(77)));
            assert_eq!(again.chunks.len(), records + 1);
        }
    }

    /// Returns an open journal of chunks 5 and 6.
    fn journal_of_two(dir: &tempfile::TempDir) -> (std::path::PathBuf, HaveJournal) {
        let path = dir.path().join("had");
        fs::write(&path, HaveJournal::image(CONTENT, None, &chunks(&[5]))).unwrap();
        let read = super::read(&path, CONTENT).unwrap().unwrap();
        let mut journal = HaveJournal::append_to(&path, CONTENT, &read).unwrap();
        journal.add(ChunkIndex(6)).unwrap();
        (path, journal)
    }

    #[test]
    fn closed_journal_drops_later_records() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut journal) = journal_of_two(&dir);
        journal.close();
        journal.add(ChunkIndex(7)).unwrap();
        journal.barrier(3).unwrap();
        assert_eq!(super::read(&path, CONTENT).unwrap().unwrap().chunks, chunks(&[5, 6]));
    }

    #[test]
    fn partial_record_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut journal) = journal_of_two(&dir);
        faulty::break_at(0, faulty::Break::ShortWrite);
        assert!(journal.add(ChunkIndex(7)).is_err());
        assert!(faulty::mend());
        journal.add(ChunkIndex(8)).unwrap();
        assert_eq!(super::read(&path, CONTENT).unwrap().unwrap().chunks, chunks(&[5, 6, 8]));
    }

    #[test]
    fn parsing_stops_at_a_garbled_record() {
        let whole = HaveJournal::image(CONTENT, None, &chunks(&[1, 2, 3]));
        for at in 0..whole.len() {
            let mut garbled = whole.clone();
            garbled[at] ^= 1;
            match parse(&garbled, CONTENT) {
                None => assert!(at < HEADER_BYTES),
                Some(read) => assert_eq!(read.chunks.len(), ((at - HEADER_BYTES) / RECORD_BYTES).min(3)),
            }
        }
        assert_eq!(parse(&whole, ContentId([8; 32])), None, "another content's journal");
    }

    #[test]
    fn barrier_covers_the_records_it_states() {
        let mut bytes = HaveJournal::image(CONTENT, None, &chunks(&[1, 2]));
        bytes.extend(encode(CONTENT, 3));
        bytes.extend(encode(CONTENT, 4));
        bytes.extend(encode(CONTENT, BARRIER | 3));
        let read = parse(&bytes, CONTENT).unwrap();
        assert_eq!((read.chunks.len(), read.synced), (4, 3));
    }
}
