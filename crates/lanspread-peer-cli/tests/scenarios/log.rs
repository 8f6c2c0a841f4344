//! The log of one peer: all commands it was given and all lines it printed, in order, with the lab's clock.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lanspread_api::{Event, Line};

use crate::contract;

/// A position in a log. "Since a mark" means all entries from this position on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub usize);

#[derive(Debug, Clone)]
pub enum Said {
    /// A command as it was written.
    Told(String),
    /// A line of the peer's standard output, and its parsed form.
    Printed { raw: String, line: Option<Box<Line>> },
    /// An action of the lab on the process.
    Note(String),
}

#[derive(Debug, Clone)]
pub struct Entry {
    /// Time since the lab was set up.
    pub at: Duration,
    pub said: Said,
}

/// The log of one peer, over all its restarts.
pub struct Log {
    epoch: Instant,
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    entries: Vec<Entry>,
    file: File,
    /// Lines that break the contract, each with the reason.
    faults: Vec<String>,
}

/// Lines of each log in the report of a failure.
const TAIL_LINES: usize = 40;
/// Characters of each line in the report of a failure.
const TAIL_COLUMNS: usize = 400;

impl Log {
    pub fn new(epoch: Instant, path: &Path) -> std::io::Result<Self> {
        let inner = Inner { entries: Vec::new(), file: File::create(path)?, faults: Vec::new() };
        Ok(Self { epoch, path: path.to_owned(), inner: Mutex::new(inner) })
    }

    pub fn told(&self, text: &str) {
        self.push(Said::Told(text.chars().take(TAIL_COLUMNS).collect()));
    }

    pub fn note(&self, text: impl Into<String>) {
        self.push(Said::Note(text.into()));
    }

    /// Records a printed line and validates it against the contract.
    pub fn printed(&self, raw: &[u8]) {
        let (raw, fault) = match std::str::from_utf8(raw) {
            Ok(text) => (text.to_owned(), contract::judge(text).err()),
            Err(e) => (String::from_utf8_lossy(raw).into_owned(), Some(e.to_string())),
        };
        let line = serde_json::from_str(&raw).ok().map(Box::new);
        if let Some(fault) = fault {
            self.lock().faults.push(format!("{fault}: {raw}"));
        }
        self.push(Said::Printed { raw, line });
    }

    fn push(&self, said: Said) {
        let entry = Entry { at: self.epoch.elapsed(), said };
        let mut inner = self.lock();
        // The file is for people who look into a failure. If it cannot be written, the test still runs.
        let _ = writeln!(inner.file, "{}", render(&entry, usize::MAX));
        inner.entries.push(entry);
    }

    pub fn mark(&self) -> Mark {
        Mark(self.lock().entries.len())
    }

    /// Returns everything that `pick` finds since the mark, in order, each with its own mark.
    pub fn pick<T>(&self, since: Mark, mut pick: impl FnMut(&Line) -> Option<T>) -> Vec<(Mark, T)> {
        let inner = self.lock();
        let entries = inner.entries.iter().enumerate().skip(since.0);
        let line = |(at, entry): (usize, &Entry)| match &entry.said {
            Said::Printed { line: Some(line), .. } => pick(line).map(|found| (Mark(at), found)),
            _ => None,
        };
        entries.filter_map(line).collect()
    }

    /// Returns the first thing that `pick` finds since the mark.
    pub fn first<T>(&self, since: Mark, mut pick: impl FnMut(&Line) -> Option<T>) -> Option<(Mark, T)> {
        let inner = self.lock();
        let mut entries = inner.entries.iter().enumerate().skip(since.0);
        entries.find_map(|(at, entry)| match &entry.said {
            Said::Printed { line: Some(line), .. } => pick(line).map(|found| (Mark(at), found)),
            _ => None,
        })
    }

    /// Returns when each command that contains `text` was given.
    pub fn told_at(&self, text: &str) -> Vec<Duration> {
        let told = |entry: &&Entry| matches!(&entry.said, Said::Told(said) if said.contains(text));
        self.lock().entries.iter().filter(told).map(|entry| entry.at).collect()
    }

    /// Returns when the entry at a mark was written, on the lab's clock.
    pub fn at(&self, mark: Mark) -> Option<Duration> {
        self.lock().entries.get(mark.0).map(|entry| entry.at)
    }

    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// Returns the end of the log, for the report of a failure.
    pub fn tail(&self) -> String {
        let inner = self.lock();
        let mut lines: Vec<String> = Vec::new();
        for run in inner.entries.chunk_by(|a, b| is_chunk(a) && is_chunk(b)) {
            // Of many chunks in a row only the first and the last are shown.
            lines.push(render(&run[0], TAIL_COLUMNS));
            if let [_, between @ .., last] = run {
                if !between.is_empty() {
                    lines.push(format!("              … {} more chunks", between.len()));
                }
                lines.push(render(last, TAIL_COLUMNS));
            }
        }
        let hidden = lines.len().saturating_sub(TAIL_LINES);
        let mut text = String::new();
        if hidden > 0 {
            let _ = writeln!(text, "    … {hidden} earlier lines in {}", self.path.display());
        }
        for line in &lines[hidden..] {
            let _ = writeln!(text, "    {line}");
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_chunk(entry: &Entry) -> bool {
    match &entry.said {
        Said::Printed { line: Some(line), .. } => {
            matches!(event(line), Some(Event::DownloadChunkFinished { .. }))
        }
        _ => false,
    }
}

fn render(entry: &Entry, columns: usize) -> String {
    let (sign, text) = match &entry.said {
        Said::Told(text) => ('>', text),
        Said::Printed { raw, .. } => ('<', raw),
        Said::Note(text) => ('#', text),
    };
    let shown: String = text.chars().take(columns).collect();
    format!("{:9.3} s {sign} {shown}", entry.at.as_secs_f64())
}

/// Returns the event if the line is one.
pub fn event(line: &Line) -> Option<&Event> {
    match line {
        Line::Event(event) => Some(event),
        Line::Result(_) | Line::Error(_) => None,
    }
}
