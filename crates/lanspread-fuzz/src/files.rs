//! Targets that decode files on the disk: files of lanspread, which a crash or a failing disk may have damaged, and
//! archives.

use std::io::{self, Cursor, Write};

use lanspread_peer::remembered;
use lanspread_store::fuzzing::{self, Sealed};
use lanspread_store::{Cancel, EntrySink, EntryWriter, Fault, RarUnpacker, UnpackLimits, Unpacker};
use lanspread_types::limits::{ADDRS_PER_PEER_MAX, REMEMBERED_MAX};
use lanspread_types::{ContentId, RelPath};

use crate::Reached;

/// Content that the have journals of the seeds belong to.
pub(crate) const CONTENT: ContentId = ContentId([7; 32]);

/// A record of the journal, also without its checksum.
pub fn journal(bytes: &[u8]) -> Reached {
    sealed(Sealed::Journal, bytes)
}

/// The hash index of a game, also without its checksum.
pub fn index(bytes: &[u8]) -> Reached {
    sealed(Sealed::Index, bytes)
}

fn sealed(kind: Sealed, bytes: &[u8]) -> Reached {
    let (whole, payload) = (fuzzing::sealed_file(kind, bytes), fuzzing::payload(kind, bytes));
    Reached::hash(&[u8::from(whole), u8::from(payload), bytes.len().min(255) as u8 / 16])
}

/// The journal of the chunks that a download has.
pub fn have_journal(bytes: &[u8]) -> Reached {
    match fuzzing::have_journal(bytes, CONTENT) {
        None => Reached(0),
        Some(chunks) => {
            assert!(chunks * 8 <= bytes.len());
            Reached(1 + chunks.min(64) as u64)
        }
    }
}

/// The stored peers of the last party. Decoded peers must be encoded the same.
pub fn peers(bytes: &[u8]) -> Reached {
    let Some(known) = remembered::decode(bytes) else { return Reached(0) };
    assert!(known.len() <= REMEMBERED_MAX);
    assert!(known.iter().all(|peer| peer.addrs.len() <= ADDRS_PER_PEER_MAX));
    let again = remembered::encode(&known).ok().and_then(|written| remembered::decode(&written));
    assert_eq!(again.as_ref(), Some(&known), "they were written otherwise than they were read");
    let kind = |peer: &lanspread_types::KnownPeer| peer.addrs.len() as u8 * 2 + u8::from(peer.name.is_some());
    let kinds: Vec<u8> = known.iter().take(4).map(kind).collect();
    Reached::hash(&kinds)
}

/// A RAR archive: lists it, and unpacks it without storing anything.
pub fn archive(bytes: &[u8]) -> Reached {
    let limits = UnpackLimits { output_bytes: 4 << 20, entries: 256, dictionary_bytes: 4 << 20 };
    let read = || Box::new(Cursor::new(bytes.to_vec()));
    let listing = RarUnpacker.list(read(), &limits, &Cancel::new());
    let mut sink = Nowhere { entries: 0 };
    let unpacked = RarUnpacker.unpack(read(), &mut sink, &limits, &Cancel::new());
    assert!(sink.entries <= limits.entries + 1, "{} entries", sink.entries);
    if let Ok(summary) = &unpacked {
        assert!(summary.bytes <= limits.output_bytes, "{summary:?}");
    }
    Reached::of(&(listing, unpacked))
}

/// Counts the entries and drops their bytes.
struct Nowhere {
    entries: u64,
}

impl EntrySink for Nowhere {
    fn folder(&mut self, _path: &RelPath) -> Result<(), Fault> {
        self.entries += 1;
        Ok(())
    }

    fn file(
        &mut self,
        _path: &RelPath,
        _size: u64,
        _modified: Option<std::time::SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault> {
        self.entries += 1;
        Ok(Box::new(Count))
    }
}

struct Count;

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl EntryWriter for Count {
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}
