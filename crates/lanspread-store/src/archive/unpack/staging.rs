//! The staging folder of an install, hidden until it is complete.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use lanspread_types::RelPath;

use super::{EntrySink, EntryWriter};
use crate::fs::fault::{Fault, OrFault};
use crate::fs::faulty::{self, Op};
use crate::fs::files;

const WRITE_BYTES: usize = 256 << 10;
/// Bytes between two progress reports.
const REPORT_BYTES: u64 = 1 << 20;

type Report = Box<dyn FnMut(u64, u64)>;

/// Sink that writes below one folder. Several archives can be unpacked into it one after the other; a later file
/// replaces an earlier one of the same name. Names that differ only in case count as the same on every system, and the
/// first spelling stays, so an install looks the same everywhere.
pub struct Staging {
    root: PathBuf,
    /// Spelling on disk of every path so far, by its case-folded form, and whether it is a file.
    spelled: HashMap<String, (RelPath, bool)>,
    meter: Rc<RefCell<Meter>>,
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Counts the written bytes and reports them.
struct Meter {
    done: u64,
    told: u64,
    total: u64,
    report: Option<Report>,
}

impl Meter {
    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.told >= REPORT_BYTES || self.done == self.total {
            self.told = self.done;
            if let Some(report) = &mut self.report {
                report(self.done, self.total);
            }
        }
    }
}

impl Staging {
    /// Writes below `root`. `report` is given the bytes written and `total`.
    pub fn new(root: PathBuf, total: u64, report: Option<Report>) -> Self {
        let meter = Meter { done: 0, told: 0, total, report };
        Self { root, spelled: HashMap::new(), meter: Rc::new(RefCell::new(meter)) }
    }

    /// Returns the bytes written so far.
    pub fn done(&self) -> u64 {
        self.meter.borrow().done
    }

    /// Returns the path to write to, each part in its first spelling. Refuses a file in the place of a folder, and the
    /// other way round.
    fn settle(&mut self, path: &RelPath, is_file: bool) -> Result<RelPath, Fault> {
        let mut settled: Option<RelPath> = None;
        let depth = path.components().count();
        for (at, component) in path.components().enumerate() {
            let here = match &settled {
                Some(above) => above.join(component),
                None => RelPath::new(component),
            };
            let here = here.map_err(|e| Fault::new("unpack", path.as_str(), io::Error::other(e)))?;
            let is_file_here = is_file && at + 1 == depth;
            let (spelling, was_file) =
                self.spelled.entry(here.fold_key()).or_insert_with(|| (here, is_file_here)).clone();
            if was_file != is_file_here {
                let mixed = io::Error::other("it is a file in one archive and a folder in another");
                return Err(Fault::new("unpack", spelling.as_str(), mixed));
            }
            settled = Some(spelling);
        }
        settled.ok_or_else(|| Fault::new("unpack", path.as_str(), io::ErrorKind::InvalidInput.into()))
    }
}

impl EntrySink for Staging {
    fn folder(&mut self, path: &RelPath) -> Result<(), Fault> {
        let path = self.settle(path, false)?;
        files::make_folders(&self.root, path.as_str())
    }

    fn file(
        &mut self,
        path: &RelPath,
        size: u64,
        modified: Option<SystemTime>,
    ) -> Result<Box<dyn EntryWriter>, Fault> {
        let path = self.settle(path, true)?;
        let target = path.to_path(&self.root);
        files::make_folders_above(&self.root, &path)?;
        files::delete_file(&target)?;
        let file = File::create_new(&target).or_fault("write", &target)?;
        let output = BufWriter::with_capacity(WRITE_BYTES.min(size as usize + 1), file);
        Ok(Box::new(StagedFile { output, modified, meter: Rc::clone(&self.meter) }))
    }
}

struct StagedFile {
    output: BufWriter<File>,
    modified: Option<SystemTime>,
    meter: Rc<RefCell<Meter>>,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        faulty::before(Op::Write)?;
        if let Some((some, error)) = faulty::cut_short(bytes.len()) {
            self.output.write_all(&bytes[..some])?;
            return Err(error);
        }
        let written = self.output.write(bytes)?;
        self.meter.borrow_mut().add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl EntryWriter for StagedFile {
    fn finish(self: Box<Self>) -> io::Result<()> {
        let file = self.output.into_inner().map_err(io::IntoInnerError::into_error)?;
        faulty::wrote(&file);
        if let Some(modified) = self.modified {
            // A time that the disk cannot store is no reason to fail.
            let _ = file.set_modified(modified);
        }
        Ok(())
    }
}
