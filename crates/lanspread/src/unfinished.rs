//! Downloads that are not complete: how far each is, and why it does not run.
//!
//! A download that lost its sources waits for one. One that ran when the program ended, or when the power failed, goes
//! on at the next start. A paused one waits for its owner, and so does one that failed for a reason of its own, such as
//! a full disk. The list is kept as `downloads.json` in the state folder; the chunks themselves are in the library.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lanspread_api::page::{DownloadFault, UnfinishedDownload, UnfinishedState};
use lanspread_api::reply::OperationKind;
use lanspread_api::{ErrorCode, Event};
use lanspread_peer::atomic_file;
use lanspread_types::GameId;
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "downloads.json";
/// Version of the format of `downloads.json`.
const FORMAT: u32 = 1;
/// Largest `downloads.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most downloads in the list; more than a disk of games has.
const DOWNLOADS_MAX: usize = 1000;

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    format: u32,
    downloads: Vec<UnfinishedDownload>,
}

/// The list. Each change but progress is written to the disk at once.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    downloads: BTreeMap<String, UnfinishedDownload>,
    /// Games whose next download is to be installed or not, as a command said.
    wishes: BTreeMap<String, bool>,
}

impl Unfinished {
    /// Reads the list. A file that cannot be read counts as an empty list: nothing is lost but convenience.
    pub fn read(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE_NAME);
        let text = match fs::metadata(&path) {
            Ok(found) if found.len() <= FILE_BYTES_MAX => fs::read_to_string(&path).unwrap_or_default(),
            _ => String::new(),
        };
        let file: File = serde_json::from_str(&text).unwrap_or_default();
        let known = file.downloads.into_iter().filter(|_| file.format == FORMAT);
        let valid = known.filter(|one| GameId::new(one.game_id.clone()).is_ok()).take(DOWNLOADS_MAX);
        let downloads = valid.map(|one| (one.game_id.clone(), one)).collect();
        Self { path, downloads, wishes: BTreeMap::new() }
    }

    /// Takes a game from the list, because nothing is left to do.
    pub fn forget(&mut self, game: &GameId) {
        if self.downloads.remove(game.as_str()).is_some() {
            self.keep();
        }
    }

    /// Returns the downloads, by game id. Those in progress are among them.
    pub fn list(&self) -> Vec<UnfinishedDownload> {
        self.downloads.values().cloned().collect()
    }

    /// Notes what a command says about a download that it starts.
    pub fn asked_for(&mut self, game: &GameId, install: bool) {
        if let Some(download) = self.downloads.get_mut(game.as_str()) {
            download.install = install;
        } else if self.wishes.len() < DOWNLOADS_MAX {
            self.wishes.insert(game.to_string(), install);
        }
    }

    /// Takes in an event of the peer. Returns whether the list has changed.
    pub fn saw(&mut self, event: &Event) -> bool {
        let changed = self.take_in(event);
        let progress = matches!(event, Event::DownloadProgress(_));
        if changed && !progress {
            self.keep();
        }
        changed
    }

    fn take_in(&mut self, event: &Event) -> bool {
        match event {
            Event::ActiveOperationsChanged { active_operations } => {
                let downloading = active_operations.iter().filter(|o| o.kind == OperationKind::Downloading);
                // Each of them is noted, not only the first that changes something.
                downloading.filter(|operation| self.runs(&operation.game_id)).count() > 0
            }
            Event::DownloadWanted { game_id, accepted: true, .. } => {
                self.wishes.insert(game_id.clone(), true);
                false
            }
            Event::DownloadBegin { game_id, total_bytes, had_bytes, .. } => {
                self.is_at(game_id, *had_bytes, *total_bytes)
            }
            Event::DownloadProgress(progress) => {
                self.is_at(&progress.game_id, progress.downloaded_bytes, progress.total_bytes)
            }
            Event::DownloadFinished { game_id, .. } | Event::RemoveFinished { game_id } => {
                self.downloads.remove(game_id).is_some()
            }
            // Nothing of a streamed install is kept, so there is nothing to resume.
            Event::DownloadCancelled { totals, .. } if totals.streamed => false,
            Event::DownloadCancelled { game_id, .. } => self.stops(game_id, UnfinishedState::Paused, None),
            Event::DownloadFailed { game_id, code, reason, .. } => match code {
                // It goes on at the next start.
                ErrorCode::ShuttingDown => false,
                ErrorCode::SourcesGone | ErrorCode::NoSource | ErrorCode::NoManifest => {
                    self.stops(game_id, UnfinishedState::Waiting, None)
                }
                _ => {
                    let fault = DownloadFault { code: *code, reason: reason.clone() };
                    self.stops(game_id, UnfinishedState::Failed, Some(fault))
                }
            },
            // The end of a download may be among them. Asking for one that still runs changes nothing.
            Event::EventsLost { .. } => {
                self.starts_again();
                true
            }
            _ => false,
        }
    }

    /// A download is in progress.
    fn runs(&mut self, game: &str) -> bool {
        let wish = self.wishes.remove(game);
        if let Some(download) = self.downloads.get_mut(game) {
            download.install = wish.unwrap_or(download.install);
            download.fault = None;
            return std::mem::replace(&mut download.state, UnfinishedState::Running)
                != UnfinishedState::Running;
        }
        if self.downloads.len() >= DOWNLOADS_MAX {
            return false;
        }
        let download = UnfinishedDownload {
            game_id: game.to_owned(),
            state: UnfinishedState::Running,
            done_bytes: 0,
            total_bytes: 0,
            install: wish.unwrap_or_default(),
            fault: None,
        };
        self.downloads.insert(game.to_owned(), download);
        true
    }

    fn is_at(&mut self, game: &str, done_bytes: u64, total_bytes: u64) -> bool {
        let Some(download) = self.downloads.get_mut(game) else { return false };
        (download.done_bytes, download.total_bytes) = (done_bytes, total_bytes);
        true
    }

    /// A download no longer runs. Returns whether it is in the list.
    pub fn stops(&mut self, game: &str, state: UnfinishedState, fault: Option<DownloadFault>) -> bool {
        let Some(download) = self.downloads.get_mut(game) else { return false };
        (download.state, download.fault) = (state, fault);
        true
    }

    /// What ran when the program ended waits for a source now.
    pub fn starts_again(&mut self) {
        for download in self.downloads.values_mut().filter(|one| one.state == UnfinishedState::Running) {
            download.state = UnfinishedState::Waiting;
        }
    }

    /// Returns the games that go on as soon as somebody has them, and whether they are to be installed then.
    pub fn waiting(&self) -> Vec<(GameId, bool)> {
        let waiting = self.downloads.values().filter(|one| one.state == UnfinishedState::Waiting);
        waiting.filter_map(|one| Some((GameId::new(one.game_id.clone()).ok()?, one.install))).collect()
    }

    /// Writes the list to the disk.
    pub fn keep(&self) {
        let file = File { format: FORMAT, downloads: self.list() };
        let written = serde_json::to_vec_pretty(&file)
            .map_err(io::Error::from)
            .and_then(|text| atomic_file::write(&self.path, &text));
        if let Err(error) = written {
            tracing::warn!(%error, "the list of downloads cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use lanspread_api::event::{DownloadProgress, Totals};
    use lanspread_api::reply::{ActiveOperation, Progress};

    use super::*;

    fn running(game: &str, kind: OperationKind) -> Event {
        let progress = Progress { done_bytes: 0, total_bytes: 0 };
        let active_operations = vec![ActiveOperation { game_id: game.to_owned(), kind, progress }];
        Event::ActiveOperationsChanged { active_operations }
    }

    fn at(game: &str, done: u64) -> Event {
        Event::DownloadProgress(DownloadProgress {
            game_id: game.to_owned(),
            downloaded_bytes: done,
            total_bytes: 100,
            bytes_per_second: 1,
            active_peer_count: 1,
            unpacked_bytes: None,
        })
    }

    fn totals() -> Totals {
        Totals {
            bytes: 1,
            reused_bytes: 0,
            chunks: 1,
            duration_ms: 1,
            mib_per_s: 1.0,
            mbit_per_s: 1.0,
            sources: Vec::new(),
            streamed: false,
        }
    }

    fn failed(game: &str, code: ErrorCode) -> Event {
        Event::DownloadFailed {
            game_id: game.to_owned(),
            code,
            reason: "because".to_owned(),
            missing_bytes: None,
            unpacked_bytes: None,
            variants: Vec::new(),
            totals: totals(),
        }
    }

    fn states(list: &Unfinished) -> Vec<(String, UnfinishedState, u64)> {
        list.list().into_iter().map(|one| (one.game_id, one.state, one.done_bytes)).collect()
    }

    #[test]
    fn list_outlives_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let mut list = Unfinished::read(dir.path());
        list.asked_for(&GameId::new("a").unwrap(), true);
        for game in ["a", "b", "c", "d"] {
            assert!(list.saw(&running(game, OperationKind::Downloading)));
            list.saw(&at(game, 40));
        }
        assert!(
            !list.saw(&running("e", OperationKind::Streaming)),
            "a streamed install leaves nothing to resume"
        );
        list.saw(&Event::DownloadCancelled { game_id: "b".to_owned(), totals: totals() });
        list.saw(&failed("c", ErrorCode::DiskFull));
        list.saw(&Event::DownloadFinished { game_id: "d".to_owned(), totals: totals() });
        list.saw(&failed("a", ErrorCode::ShuttingDown));

        let mut again = Unfinished::read(dir.path());
        again.starts_again();
        let expected = [
            ("a".to_owned(), UnfinishedState::Waiting, 40),
            ("b".to_owned(), UnfinishedState::Paused, 40),
            ("c".to_owned(), UnfinishedState::Failed, 40),
        ];
        assert_eq!(states(&again), expected);
        assert_eq!(again.waiting(), [(GameId::new("a").unwrap(), true)]);
        assert_eq!(again.list()[2].fault.as_ref().map(|fault| fault.code), Some(ErrorCode::DiskFull));
    }

    #[test]
    fn download_without_sources_waits_and_resumes() {
        let dir = tempfile::tempdir().unwrap();
        let mut list = Unfinished::read(dir.path());
        assert!(!list.saw(&failed("a", ErrorCode::NoSource)), "what never began is no unfinished download");
        list.saw(&running("a", OperationKind::Downloading));
        list.saw(&failed("a", ErrorCode::SourcesGone));
        assert_eq!(list.waiting().len(), 1);
        list.saw(&running("a", OperationKind::Downloading));
        assert!(list.waiting().is_empty(), "it runs");
        list.saw(&Event::EventsLost { count: 1 });
        assert_eq!(list.waiting().len(), 1, "its end may be lost");
        list.saw(&Event::RemoveFinished { game_id: "a".to_owned() });
        assert_eq!(list.list(), []);
    }

    #[test]
    fn damaged_and_foreign_lists_count_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE_NAME);
        for text in [
            "",
            "{",
            r#"{"format":2,"downloads":[]}"#,
            r#"{"format":1,"downloads":[{"game_id":"../x","state":"paused","done_bytes":1,"total_bytes":2}]}"#,
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(Unfinished::read(dir.path()).list(), [], "{text}");
        }
    }
}
