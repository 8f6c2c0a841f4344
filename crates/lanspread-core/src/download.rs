//! One download, from the choice of a content to the commit.
//!
//! Owns the phases, the contribution of each source and the rate that people see. [`crate::swarm`] picks chunks and
//! sources; the node exchanges the messages. Every byte counted here is verified and written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::manifest::is_archive;
use lanspread_types::{
    ChunkIndex, ChunkSet, ContentId, FileEntry, GameContent, GameId, GameVersion, PeerId, failpoint,
};

use crate::api::command::Priority;
use crate::api::event::{DownloadFailure, DownloadProgress, DownloadTotals, SourceTotals};
use crate::manifest_search::ManifestSearch;
use crate::stream_window::StreamWindow;
use crate::swarm::Picker;
use crate::time::Time;
use crate::trust::Origin;

#[cfg(test)]
mod tests;

/// Time that a download without any source waits for one before it fails. Its chunks are kept either way.
pub const SOURCE_PATIENCE: Duration = Duration::from_secs(30);
/// Time between two progress events.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Time over which the rate that people see is measured.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// Time over which the remaining time is estimated: long enough that an estimate does not follow every swing of the rate.
const ESTIMATE_WINDOW: Duration = Duration::from_secs(10);
/// Time between the marks of an estimate.
const MARK_INTERVAL: Duration = Duration::from_millis(500);

/// Returns the time that a download without any source waits for one.
pub fn source_patience() -> Duration {
    if failpoint!("wait-forever") { SOURCE_PATIENCE * 1000 } else { SOURCE_PATIENCE }
}

/// State of one download or streamed install.
#[derive(Debug)]
pub struct Download {
    /// Game of the download.
    pub game: GameId,
    /// Version that was chosen.
    pub version: GameVersion,
    /// Content that was chosen.
    pub content: ContentId,
    /// Whether to install the game after the commit.
    pub install: bool,
    /// Whether this is a streamed install, which keeps no archives.
    pub stream: bool,
    /// Its priority among the downloads.
    pub priority: Priority,
    /// Number of its latest request, counted over all downloads. The download with the lowest number is next.
    pub turn: u64,
    /// What it does now.
    pub phase: Phase,
    /// Peers that sent data that does not verify; they are not asked again.
    pub rejected: BTreeSet<PeerId>,
    /// Bytes that the old version supplied.
    pub reused_bytes: u64,
    /// Where the content comes from, if that is to be recorded.
    pub origin: Option<Origin>,
    started: Time,
    sources: BTreeMap<PeerId, SourceTotals>,
}

/// Phase of a download.
#[derive(Debug)]
pub enum Phase {
    /// Searches for the manifest.
    Manifest(ManifestSearch),
    /// Waits for the disk to prepare the place.
    Opening(Arc<GameContent>),
    /// Fetches chunks.
    Transfer(Box<Transfer>),
    /// Waits for the disk to commit.
    Committing(Arc<GameContent>),
    /// Waits for the disk to give up the place. Then the ending is reported.
    Dropping(Ending),
}

/// Why a download ends without a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It failed.
    Failed(DownloadFailure),
    /// The owner cancelled it.
    Cancelled,
}

/// A download that fetches chunks.
#[derive(Debug)]
pub struct Transfer {
    /// The content, with its manifest.
    pub content: Arc<GameContent>,
    /// The picker of chunks and sources.
    pub picker: Picker,
    /// Chunks that interested peers have not been told about.
    pub unannounced: Vec<ChunkIndex>,
    /// When chunks were last announced.
    pub announced_at: Time,
    /// Time for which announcements are collected.
    pub have_interval: Duration,
    /// When the next progress event is due.
    pub progress_due: Time,
    /// Since when no source has a missing chunk; `None` while one has.
    pub starving_since: Option<Time>,
    /// Window of a streamed install.
    pub window: Option<StreamWindow>,
    /// Position of the unpacker, if archives are unpacked while they arrive.
    pub unpacked_below: Option<ChunkIndex>,
    had_bytes: u64,
    total_bytes: u64,
    meter: Meter,
    estimate: Estimate,
}

/// Bytes that had arrived at some moments within the estimate's window, as long as no longer pause was between them.
#[derive(Debug, Default)]
struct Estimate {
    marks: VecDeque<(Time, u64)>,
    arrived: u64,
    last: Option<Time>,
}

impl Estimate {
    fn add(&mut self, bytes: u64, now: Time) {
        self.arrived += bytes;
        if self.last.is_some_and(|last| now.since(last) > RATE_WINDOW) {
            self.marks.clear();
        }
        self.last = Some(now);
        if self.marks.back().is_none_or(|(at, _)| now.since(*at) >= MARK_INTERVAL) {
            self.marks.push_back((now, self.arrived));
        }
        while self.marks.get(1).is_some_and(|(at, _)| now.since(*at) >= ESTIMATE_WINDOW) {
            self.marks.pop_front();
        }
    }

    /// Returns the seconds until `missing` bytes have arrived. `None` while nothing arrives, and in the first two
    /// seconds, which say little.
    fn seconds_left(&self, missing: u64, now: Time) -> Option<u64> {
        let ((since, before), last) = (*self.marks.front()?, self.last?);
        if now.since(since) < RATE_WINDOW || now.since(last) > RATE_WINDOW {
            return None;
        }
        // Until the last arrival: what comes next is not late yet.
        let rate = (self.arrived - before) as f64 / last.since(since).as_secs_f64();
        (rate > 0.0 && rate.is_finite()).then(|| (missing as f64 / rate).ceil() as u64)
    }
}

/// Chunks received within the rate window.
#[derive(Debug, Default)]
struct Meter {
    recent: VecDeque<(Time, PeerId, u64)>,
    bytes: u64,
}

impl Meter {
    fn add(&mut self, peer: PeerId, bytes: u64, now: Time) {
        self.recent.push_back((now, peer, bytes));
        self.bytes += bytes;
        self.forget(now);
    }

    fn forget(&mut self, now: Time) {
        while let Some(&(at, _, bytes)) = self.recent.front() {
            if now.since(at) <= RATE_WINDOW {
                break;
            }
            self.bytes -= bytes;
            self.recent.pop_front();
        }
    }
}

impl Transfer {
    /// Starts to fetch the chunks that `picker` does not have.
    pub fn new(content: Arc<GameContent>, picker: Picker, have_interval: Duration, now: Time) -> Self {
        let manifest = content.manifest();
        let total_bytes = manifest.total_bytes();
        let had_bytes = picker.had().iter().filter_map(|c| manifest.place(c)).map(|place| place.len).sum();
        Self {
            had_bytes,
            content,
            picker,
            unannounced: Vec::new(),
            announced_at: now,
            have_interval,
            progress_due: now + PROGRESS_INTERVAL,
            starving_since: None,
            window: None,
            unpacked_below: None,
            total_bytes,
            meter: Meter::default(),
            estimate: Estimate::default(),
        }
    }

    /// Starts a streamed install, which fetches only some of the chunks. `picker` must have been made with the
    /// unneeded ones as had.
    pub fn streamed(
        content: Arc<GameContent>,
        picker: Picker,
        unneeded: ChunkSet,
        have_interval: Duration,
        now: Time,
    ) -> Self {
        let transfer = Self::new(content, picker, have_interval, now);
        Self {
            total_bytes: transfer.total_bytes - transfer.had_bytes,
            had_bytes: 0,
            window: Some(StreamWindow::new(unneeded)),
            ..transfer
        }
    }

    /// Returns the bytes of the whole download, including those that are here.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Returns true if a chunk can be served.
    pub fn holds(&self, chunk: ChunkIndex) -> bool {
        match &self.window {
            Some(window) => window.holds(self.picker.had(), chunk),
            None => self.picker.had().contains(chunk),
        }
    }

    /// Returns all chunks that can be served.
    pub fn held(&self) -> ChunkSet {
        let had = self.picker.had();
        self.window.as_ref().map_or_else(|| had.clone(), |window| window.held(had))
    }

    /// Returns the bytes of the archives that are unpacked; `None` if nothing is unpacked while it arrives.
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.unpacked_below.map(|below| archive_bytes_below(&self.content, below))
    }

    /// Returns the bytes that are verified and written.
    pub fn had_bytes(&self) -> u64 {
        self.had_bytes
    }

    /// Returns true if a chunk is missing and a source has it.
    pub fn is_fed(&self) -> bool {
        self.starving_since.is_none() && !self.picker.is_complete()
    }

    /// Returns the bytes per second within the rate window, without forgetting older chunks.
    pub fn rate(&self, started: Time, now: Time) -> u64 {
        let recent = self.meter.recent.iter().filter(|(at, ..)| now.since(*at) <= RATE_WINDOW);
        per_second(recent.map(|(_, _, bytes)| bytes).sum(), now.since(started))
    }

    /// Returns the bytes per second that each source sent within the rate window; none for a source that sent nothing.
    pub fn rates(&self, started: Time, now: Time) -> BTreeMap<PeerId, u64> {
        let mut rates = BTreeMap::new();
        for (_, source, bytes) in self.meter.recent.iter().filter(|(at, ..)| now.since(*at) <= RATE_WINDOW) {
            *rates.entry(*source).or_default() += bytes;
        }
        rates.values_mut().for_each(|rate| *rate = per_second(*rate, now.since(started)));
        rates
    }

    /// Returns the seconds until everything has arrived, by the rate of the last ten seconds. `None` while nothing
    /// arrives, and in the first two seconds.
    pub fn seconds_left(&self, now: Time) -> Option<u64> {
        self.estimate.seconds_left(self.total_bytes - self.had_bytes, now)
    }

    /// Returns the progress that people see, and forgets chunks older than the rate window.
    pub fn progress(&mut self, game: &GameId, started: Time, now: Time) -> DownloadProgress {
        self.meter.forget(now);
        let active: BTreeSet<PeerId> = self.meter.recent.iter().map(|&(_, peer, _)| peer).collect();
        DownloadProgress {
            game: game.clone(),
            downloaded_bytes: self.had_bytes(),
            total_bytes: self.total_bytes,
            bytes_per_second: per_second(self.meter.bytes, now.since(started)),
            active_peer_count: active.len(),
            unpacked_bytes: self.unpacked_bytes(),
        }
    }
}

/// Returns the bytes of a content's archives that lie before a chunk.
pub fn archive_bytes_below(content: &GameContent, below: ChunkIndex) -> u64 {
    let manifest = content.manifest();
    let archives = manifest.files().iter().enumerate().filter(|(_, file)| is_archive(&file.path));
    let before = |(at, file): (usize, &FileEntry)| {
        let chunks = manifest.chunks_of(at);
        let passed = below.0.clamp(chunks.start, chunks.end) - chunks.start;
        file.size.min(u64::from(passed) * manifest.chunk_size().bytes())
    };
    archives.map(before).sum()
}

/// Returns the rate of bytes received within the rate window, or since the start if that is more recent.
fn per_second(bytes: u64, since_start: Duration) -> u64 {
    let over = since_start.min(RATE_WINDOW).max(Duration::from_millis(1));
    (bytes as f64 / over.as_secs_f64()) as u64
}

impl Download {
    /// Starts a download at the search for its manifest.
    pub fn new(game: GameId, version: GameVersion, content: ContentId, install: bool, now: Time) -> Self {
        Self {
            game,
            version,
            content,
            install,
            stream: false,
            priority: Priority::default(),
            turn: 0,
            phase: Phase::Manifest(ManifestSearch::new(now)),
            rejected: BTreeSet::new(),
            reused_bytes: 0,
            origin: None,
            started: now,
            sources: BTreeMap::new(),
        }
    }

    /// Turns the download into a streamed install.
    pub fn streamed(self) -> Self {
        Self { stream: true, install: false, ..self }
    }

    /// Sets the origin to record.
    pub fn from(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Returns when the download was asked for.
    pub fn started(&self) -> Time {
        self.started
    }

    /// Returns the transfer, in that phase.
    pub fn transfer(&self) -> Option<&Transfer> {
        match &self.phase {
            Phase::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// The same, mutable.
    pub fn transfer_mut(&mut self) -> Option<&mut Transfer> {
        match &mut self.phase {
            Phase::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// Credits a source with a verified chunk that holds parts of `parts` files.
    pub fn credit(&mut self, peer: PeerId, name: impl FnOnce() -> String, parts: u64, bytes: u64, now: Time) {
        let entry = self.sources.entry(peer);
        let source = entry.or_insert_with(|| SourceTotals { peer, name: name(), bytes: 0, chunks: 0 });
        source.bytes += bytes;
        source.chunks += parts;
        if let Phase::Transfer(transfer) = &mut self.phase {
            transfer.had_bytes += bytes;
            transfer.meter.add(peer, bytes, now);
            transfer.estimate.add(bytes, now);
        }
    }

    /// Returns what the download has received until now.
    pub fn totals(&self, now: Time) -> DownloadTotals {
        DownloadTotals {
            bytes: self.sources.values().map(|s| s.bytes).sum(),
            chunks: self.sources.values().map(|s| s.chunks).sum(),
            duration: now.since(self.started),
            reused_bytes: self.reused_bytes,
            sources: self.sources.values().cloned().collect(),
            streamed: self.stream,
        }
    }
}
