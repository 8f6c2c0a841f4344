//! Shows events as they arrive: a sentence for what happened, a meter for what is in progress.

use std::collections::HashMap;

use lanspread_api::Event;

use super::presenter::{Presenter, pace};
use super::screen::{Meter, Screen};

/// Work that a meter measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Index,
    Download,
    Install,
    Reuse,
    Verify,
}

/// Shows one peer's events on a screen.
#[derive(Debug)]
pub struct Live {
    screen: Screen,
    presenter: Presenter,
    meters: HashMap<(Work, String), Meter>,
}

impl Live {
    /// Shows events on `screen`; no meter runs yet.
    pub fn new(screen: Screen) -> Self {
        Self { screen, presenter: Presenter::default(), meters: HashMap::new() }
    }

    /// Shows an event as a sentence or on its meter.
    pub fn show(&mut self, event: &Event) {
        self.measure(event);
        if let Some(sentence) = self.presenter.tell(event) {
            self.screen.say(sentence);
        }
    }

    /// Updates only the meters, without sentences.
    pub fn measure(&mut self, event: &Event) {
        match event {
            Event::IndexProgress { game_id, done_bytes, total_bytes } => {
                self.meter(Work::Index, game_id, *done_bytes, *total_bytes, "");
            }
            Event::ReuseProgress { game_id, done_bytes, total_bytes } => {
                self.meter(Work::Reuse, game_id, *done_bytes, *total_bytes, "");
            }
            Event::VerifyProgress { game_id, done_bytes, total_bytes } => {
                self.meter(Work::Verify, game_id, *done_bytes, *total_bytes, "");
            }
            Event::VerifyFinished(v) => self.done(Work::Verify, &v.game_id),
            Event::VerifyFailed(f) => self.done(Work::Verify, &f.game_id),
            Event::DownloadBegin { game_id, total_bytes, had_bytes, .. } => {
                self.done(Work::Reuse, game_id);
                self.meter(Work::Download, game_id, *had_bytes, *total_bytes, "");
            }
            Event::DownloadProgress(p) => {
                self.meter(Work::Download, &p.game_id, p.downloaded_bytes, p.total_bytes, &pace(p));
            }
            Event::InstallProgress { game_id, done_bytes, total_bytes } => {
                self.meter(Work::Install, game_id, *done_bytes, *total_bytes, "");
            }
            Event::DownloadFinished { game_id, .. }
            | Event::DownloadFailed { game_id, .. }
            | Event::DownloadCancelled { game_id, .. } => {
                self.done(Work::Reuse, game_id);
                self.done(Work::Download, game_id);
            }
            Event::InstallFinished { game_id } => self.done(Work::Install, game_id),
            Event::InstallFailed(failure) => self.done(Work::Install, &failure.game_id),
            Event::IndexFailed(failure) => self.done(Work::Index, &failure.game_id),
            Event::EventsLost { .. } => self.meters.clear(),
            _ => {}
        }
    }

    fn meter(&mut self, work: Work, game: &str, done: u64, total: u64, remark: &str) {
        // Hashing has no event for its end.
        if work == Work::Index && done >= total {
            return self.done(work, game);
        }
        let label = || match work {
            Work::Index => format!("Hashing {game}"),
            Work::Download => format!("Downloading {game}"),
            Work::Install => format!("Installing {game}"),
            Work::Reuse => format!("Reusing {game}"),
            Work::Verify => format!("Verifying {game}"),
        };
        let screen = &self.screen;
        let meter =
            self.meters.entry((work, game.to_owned())).or_insert_with(|| screen.meter(label(), total));
        meter.update(done, remark);
    }

    fn done(&mut self, work: Work, game: &str) {
        self.meters.remove(&(work, game.to_owned()));
    }
}
