//! Free space while archives are unpacked: what others need is left free.

use std::cell::Cell;
use std::path::Path;
use std::time::SystemTime;

use lanspread_types::{RelPath, failpoint};

use crate::archive::unpack::gate;
use crate::archive::unpack::staging::Staging;
use crate::archive::unpack::{EntrySink, EntryWriter};
use crate::fs::fault::{Fault, OrFault};

/// Bytes that may be written without checking the free space again.
const ROOM_BYTES: u64 = 16 << 20;

/// Bytes that a download leaves free: the downloads' own constant, told to those who show it.
const DOWNLOAD_RESERVE_BYTES: u64 = 64 << 20;

/// What stays free on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskReserve {
    /// Left free by a download.
    pub download: u64,
    /// Left free by unpacking.
    pub unpack: u64,
}

impl DiskReserve {
    /// Returns what stays free on the disk that holds `folder`.
    pub fn of(folder: &Path) -> Self {
        Self { download: DOWNLOAD_RESERVE_BYTES, unpack: reserved_bytes(folder) }
    }
}

/// Sink that begins no file for which there is no space. The size of the whole is not known beforehand, so each file is
/// checked.
pub(crate) struct SpaceCheckedSink<'a> {
    pub(crate) staging: Staging,
    disk: &'a Path,
    /// Returns the bytes that must stay free.
    others_need: &'a dyn Fn() -> u64,
    /// Space found at the last check, minus what was written since. Not more than [`ROOM_BYTES`], or the one larger
    /// file that was begun.
    room: u64,
    /// Bytes that were missing when a file was refused; 0 if none was.
    pub(crate) missing: Cell<u64>,
}

impl<'a> SpaceCheckedSink<'a> {
    /// Wraps `staging` on `disk`, where `others_need` bytes must stay free.
    pub fn new(staging: Staging, disk: &'a Path, others_need: &'a dyn Fn() -> u64) -> Self {
        Self { staging, disk, others_need, room: 0, missing: Cell::new(0) }
    }

    /// Returns the bytes written so far.
    pub fn done(&self) -> u64 {
        self.staging.done()
    }
}

impl EntrySink for SpaceCheckedSink<'_> {
    fn folder(&mut self, path: &RelPath) -> Result<(), Fault> {
        self.staging.folder(path)
    }

    fn file(
        &mut self,
        path: &RelPath,
        size: u64,
        modified: Option<SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault> {
        if size > self.room {
            let free = free_bytes(self.disk)?.saturating_sub((self.others_need)());
            if size > free {
                self.missing.set(size - free);
                return Err(Fault::new("write", path.as_str(), std::io::ErrorKind::StorageFull.into()));
            }
            self.room = free.min(size.max(ROOM_BYTES));
        }
        self.room -= size;
        self.staging.file(path, size, modified)
    }
}

/// Returns the bytes of the disk that unpacking leaves free.
pub(crate) fn reserved_bytes(disk: &Path) -> u64 {
    match failpoint!("unpack-to-the-last-byte") {
        true => 0,
        // Nothing is reserved on a disk that does not tell its size.
        false => fs4::total_space(disk).map_or(0, gate::reserve),
    }
}

pub(crate) fn free_bytes(disk: &Path) -> Result<u64, Fault> {
    fs4::available_space(disk).or_fault("ask for the free space of", disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_reserve_is_what_downloads_leave_free() {
        assert_eq!(DOWNLOAD_RESERVE_BYTES, crate::download::incoming::RESERVE_BYTES);
    }
}
