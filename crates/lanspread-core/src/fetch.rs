//! One game being fetched: from the choice of a content to the commit.
//!
//! Owns the phases, what each source has contributed and the rate that people see. Which chunk to ask of whom is
//! [`crate::swarm`]'s concern; what is said to whom is the node's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::manifest::is_archive;
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, FileEntry, GameContent, GameId, GameVersion, PeerId};

use crate::command::Priority;
use crate::event::{DownloadFailure, DownloadProgress, SourceTotals, TransferTotals};
use crate::manifest_search::ManifestSearch;
use crate::stream::StreamWindow;
use crate::swarm::Download;
use crate::time::Time;
use crate::trust::Origin;

#[cfg(test)]
mod tests;

/// How long a download without any source waits for one to come (back) before it fails. Chunks are kept either way.
pub const SOURCE_PATIENCE: Duration = Duration::from_secs(30);
/// Time between two progress events.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// The rate that people see is taken over this time.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// A game being fetched.
#[derive(Debug)]
pub struct Fetch {
    pub game: GameId,
    pub version: GameVersion,
    pub content: ContentId,
    /// Install once the download is committed.
    pub install: bool,
    /// Install from what arrives, and keep nothing else.
    pub stream: bool,
    pub priority: Priority,
    /// Number of its latest request over all downloads: whose is lowest is next.
    pub turn: u64,
    pub phase: Phase,
    /// Peers that sent what does not verify: not asked again.
    pub rejected: BTreeSet<PeerId>,
    /// Bytes that the old version gave.
    pub reused_bytes: u64,
    /// Where the content comes from, if that is to be recorded.
    pub origin: Option<Origin>,
    started: Time,
    sources: BTreeMap<PeerId, SourceTotals>,
}

#[derive(Debug)]
pub enum Phase {
    /// Asking sources for the manifest.
    Manifest(ManifestSearch),
    /// The disk prepares the place.
    Opening(Arc<GameContent>),
    Transfer(Box<Transfer>),
    Committing(Arc<GameContent>),
    /// The disk gives the place up; then this is told.
    Dropping(Ending),
}

/// Why a download ends without a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Failed(DownloadFailure),
    Cancelled,
}

/// Chunks on their way.
#[derive(Debug)]
pub struct Transfer {
    pub content: Arc<GameContent>,
    pub swarm: Download,
    /// Chunks that those who want to hear of them have not been told of.
    pub unannounced: Vec<ChunkIndex>,
    pub announced_at: Time,
    /// Announcements are collected for so long.
    pub have_interval: Duration,
    pub progress_due: Time,
    /// Since when no source has anything that is missing.
    pub starving_since: Option<Time>,
    /// What is held of a streamed install.
    pub window: Option<StreamWindow>,
    /// How far the archives are unpacked, if they are while they arrive.
    pub unpacked_below: Option<ChunkIndex>,
    had_bytes: u64,
    total_bytes: u64,
    meter: Meter,
}

/// Bytes received of late.
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
    pub fn new(content: Arc<GameContent>, swarm: Download, have_interval: Duration, now: Time) -> Self {
        let manifest = content.manifest();
        let total_bytes = manifest.total_bytes();
        let had_bytes = swarm.had().iter().filter_map(|c| manifest.place(c)).map(|place| place.len).sum();
        Self {
            had_bytes,
            content,
            swarm,
            unannounced: Vec::new(),
            announced_at: now,
            have_interval,
            progress_due: now + PROGRESS_INTERVAL,
            starving_since: None,
            window: None,
            unpacked_below: None,
            total_bytes,
            meter: Meter::default(),
        }
    }

    /// A streamed install, which needs some of the chunks only; `swarm` has been told so.
    pub fn streamed(
        content: Arc<GameContent>,
        swarm: Download,
        unneeded: ChunkSet,
        have_interval: Duration,
        now: Time,
    ) -> Self {
        let transfer = Self::new(content, swarm, have_interval, now);
        Self {
            total_bytes: transfer.total_bytes - transfer.had_bytes,
            had_bytes: 0,
            window: Some(StreamWindow::new(unneeded)),
            ..transfer
        }
    }

    /// Bytes to fetch in all, those that are here included.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Whether a chunk can be served.
    pub fn holds(&self, chunk: ChunkIndex) -> bool {
        match &self.window {
            Some(window) => window.holds(self.swarm.had(), chunk),
            None => self.swarm.had().contains(chunk),
        }
    }

    /// All chunks that can be served.
    pub fn held(&self) -> ChunkSet {
        let had = self.swarm.had();
        self.window.as_ref().map_or_else(|| had.clone(), |window| window.held(had))
    }

    /// Bytes of the archives that are unpacked already.
    pub fn unpacked_bytes(&self) -> Option<u64> {
        self.unpacked_below.map(|below| archive_bytes_below(&self.content, below))
    }

    /// Bytes that are verified and written.
    pub fn had_bytes(&self) -> u64 {
        self.had_bytes
    }

    /// Whether it can ask for anything at present, or waits for somebody who has what is missing.
    pub fn is_fed(&self) -> bool {
        self.starving_since.is_none() && !self.swarm.is_complete()
    }

    /// Bytes per second of late, for a look in between: what has left the window is not forgotten here.
    pub fn rate(&self, started: Time, now: Time) -> u64 {
        let recent = self.meter.recent.iter().filter(|(at, ..)| now.since(*at) <= RATE_WINDOW);
        per_second(recent.map(|(_, _, bytes)| bytes).sum(), now.since(started))
    }

    /// What people see of the progress.
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

/// Bytes of a content's archives that stand before a chunk.
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

/// The rate of what came within the rate window, or since the start if that is more recent.
fn per_second(bytes: u64, since_start: Duration) -> u64 {
    let over = since_start.min(RATE_WINDOW).max(Duration::from_millis(1));
    (bytes as f64 / over.as_secs_f64()) as u64
}

impl Fetch {
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

    /// A streamed install instead of a download.
    pub fn streamed(self) -> Self {
        Self { stream: true, install: false, ..self }
    }

    /// Records where the content comes from.
    pub fn from(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// When the download was asked for.
    pub fn started(&self) -> Time {
        self.started
    }

    pub fn transfer(&self) -> Option<&Transfer> {
        match &self.phase {
            Phase::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    pub fn transfer_mut(&mut self) -> Option<&mut Transfer> {
        match &mut self.phase {
            Phase::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// Credits a source with a verified chunk, which has parts of so many files.
    pub fn credit(&mut self, peer: PeerId, name: impl FnOnce() -> String, parts: u64, bytes: u64, now: Time) {
        let entry = self.sources.entry(peer);
        let source = entry.or_insert_with(|| SourceTotals { peer, name: name(), bytes: 0, chunks: 0 });
        source.bytes += bytes;
        source.chunks += parts;
        if let Phase::Transfer(transfer) = &mut self.phase {
            transfer.had_bytes += bytes;
            transfer.meter.add(peer, bytes, now);
        }
    }

    pub fn totals(&self, now: Time) -> TransferTotals {
        TransferTotals {
            bytes: self.sources.values().map(|s| s.bytes).sum(),
            chunks: self.sources.values().map(|s| s.chunks).sum(),
            duration: now.since(self.started),
            reused_bytes: self.reused_bytes,
            sources: self.sources.values().cloned().collect(),
        }
    }
}
