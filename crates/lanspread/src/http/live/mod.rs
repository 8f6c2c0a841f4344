//! Keeps open pages current: one task sends a snapshot to each new reader and numbered changes to all.
//!
//! The task listens to the peer's events. An event says that something changed, not what it is now, so the task asks
//! the peer and sends the difference. It asks at most a few times a second, and not at all while nobody reads. An
//! event reaches a reader's log after the state that it speaks of.
//!
//! A reader that is too slow is dropped; its browser connects anew and gets a snapshot.

mod sse;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use lanspread_api::page::{Change, Disk, GameRow, LogEntry, Rate, Snapshot, Update};
use lanspread_api::reply::{Status, Traffic};
use lanspread_api::{CONTRACT_VERSION, CommandName, ErrorBody, ErrorCode, Event, ReplyData, Request, Route};
use lanspread_peer::contract::{self, ToContract};
use lanspread_peer::{EventStream, PeerHandle, Streamed};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::limits::{LOG_ENTRIES_MAX, PAGE_CHANGES_MAX, PAGE_READERS_MAX};
use super::{Interface, covers, ended, refuse, titles};
use crate::host::{self, Host};
use view::{Seen, View};

/// Shortest time between two looks at the peer.
const PAUSE: Duration = Duration::from_millis(200);
/// A look may take at most one part in this many of the time.
const SHARE: u32 = 10;
/// Points that the rate plot keeps, one a second.
const RATES_MAX: usize = 300;
/// Most questions that wait for the task.
const QUESTIONS_MAX: usize = 32;
/// Seconds between two looks at the disk's free space.
const DISK_EVERY: u64 = 10;
/// Seconds between two questions about absent peers; a failed attempt to connect causes no event.
const OTHERS_EVERY: u64 = 3;

/// Handle of the task.
#[derive(Debug, Clone)]
pub struct Live(mpsc::Sender<Question>);

#[derive(Debug)]
enum Question {
    Snapshot(oneshot::Sender<Snapshot>),
    Read(oneshot::Sender<Option<mpsc::Receiver<sse::Message>>>),
    /// Something changed that causes no event.
    LookAgain,
}

impl Live {
    /// Starts the task; it ends when `ending` turns true.
    pub fn start(host: Host, ending: watch::Receiver<bool>) -> Self {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        tokio::spawn(Task::new(host, questions.clone()).run(asked, ending));
        Self(questions)
    }

    /// Returns everything that the page shows.
    pub async fn snapshot(&self) -> Result<Snapshot, ErrorBody> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Question::Snapshot(answer)).await;
        answered.await.map_err(|_| ErrorBody::new(ErrorCode::ShuttingDown, "the program is ending"))
    }

    /// Reports an answered command; some change things without an event.
    pub fn answered(&self, reply: &ReplyData) {
        if !matches!(reply, ReplyData::Status(_) | ReplyData::ListGames(_) | ReplyData::ListPeers(_)) {
            self.look_again();
        }
    }

    /// Makes the task look at the peer soon. If its queue is full, it will look anyway.
    pub fn look_again(&self) {
        let _ = self.0.try_send(Question::LookAgain);
    }
}

/// `GET /api/v1/live`: a snapshot, then numbered changes.
pub async fn stream(State(interface): State<Arc<Interface>>) -> Response<Body> {
    let (answer, answered) = oneshot::channel();
    let _ = interface.live.0.send(Question::Read(answer)).await;
    match answered.await {
        Ok(Some(changes)) => sse::response(changes),
        _ => refuse(ErrorBody::new(ErrorCode::Busy, "too many pages are open already")),
    }
}

/// Parts of the state that must be asked for again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stale {
    status: bool,
    games: bool,
    peers: bool,
    covers: bool,
}

impl Stale {
    const ALL: Self = Self { status: true, games: true, peers: true, covers: true };

    fn any(self) -> bool {
        self != Self::default()
    }

    /// Adds what an event makes stale. An event that this version does not know may change anything.
    fn add(&mut self, event: &Event) {
        match event {
            Event::DownloadProgress(_)
            | Event::InstallProgress { .. }
            | Event::DownloadChunkFinished { .. } => {
                self.status = true;
            }
            Event::IndexProgress { done_bytes, total_bytes, .. } if done_bytes < total_bytes => {}
            Event::RemoteLibraryChanged { .. } | Event::PeerConnected { .. } | Event::PeerLost { .. } => {
                (self.status, self.games, self.peers) = (true, true, true);
            }
            Event::ActiveOperationsChanged { .. } => (self.status, self.games) = (true, true),
            Event::LocalLibraryChanged { .. } => (self.games, self.covers) = (true, true),
            event if event.is_progress() => self.status = true,
            _ => *self = Self::ALL,
        }
    }
}

struct Task {
    host: Host,
    /// Handle to this task itself, for work that runs beside it.
    questions: mpsc::Sender<Question>,
    peer: Option<(PeerHandle, EventStream)>,
    view: View,
    covers: BTreeMap<String, String>,
    titles: BTreeMap<String, String>,
    stale: Stale,
    /// Time before which no look is allowed.
    look_at: Instant,
    /// Log entries whose state the readers do not have yet.
    untold: Vec<LogEntry>,
    log: VecDeque<LogEntry>,
    rates: VecDeque<Rate>,
    traffic: Option<Traffic>,
    readers: Vec<mpsc::Sender<sse::Message>>,
    sequence: u64,
    seconds: u64,
}

impl Task {
    fn new(host: Host, questions: mpsc::Sender<Question>) -> Self {
        Self {
            host,
            questions,
            peer: None,
            view: View::default(),
            covers: BTreeMap::new(),
            titles: BTreeMap::new(),
            stale: Stale::ALL,
            look_at: Instant::now(),
            untold: Vec::new(),
            log: VecDeque::new(),
            rates: VecDeque::new(),
            traffic: None,
            readers: Vec::new(),
            sequence: 0,
            seconds: 0,
        }
    }

    async fn run(mut self, mut asked: mpsc::Receiver<Question>, ending: watch::Receiver<bool>) {
        let mut peers = self.host.peers();
        peers.mark_changed();
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = std::pin::pin!(ended(ending));
        loop {
            let look = self.stale.any() && !self.readers.is_empty();
            tokio::select! {
                () = &mut ended => return,
                Ok(()) = peers.changed() => self.attach(&mut peers).await,
                Some(streamed) = next_event(&mut self.peer) => self.saw(streamed.to_contract()),
                Some(question) = asked.recv() => {
                    // A question that comes together with a new peer is a question about that peer.
                    if peers.has_changed().unwrap_or(false) {
                        self.attach(&mut peers).await;
                    }
                    self.answer(question).await;
                }
                () = tokio::time::sleep_until(self.look_at), if look => self.look().await,
                _ = tick(&mut second) => self.second().await,
            }
        }
    }

    /// Switches to the peer that runs now, or to none.
    async fn attach(&mut self, peers: &mut watch::Receiver<Option<PeerHandle>>) {
        let peer = peers.borrow_and_update().clone();
        self.peer = peer.map(|peer| {
            let events = peer.subscribe();
            (peer, events)
        });
        self.view = View::default();
        self.traffic = None;
        self.stale = Stale::ALL;
        if !self.readers.is_empty() {
            let snapshot = self.snapshot().await;
            self.tell(Change::Snapshot(Box::new(snapshot)));
        }
    }

    fn saw(&mut self, event: Event) {
        self.stale.add(&event);
        self.host.running_games(|running| running.saw(&event));
        if let Event::PlayEnded { game_id, duration_ms } = &event {
            let (host, game, played) =
                (self.host.clone(), game_id.clone(), Duration::from_millis(*duration_ms));
            let live = self.questions.clone();
            // Runs beside the task, because the peer's answer may take a moment.
            tokio::spawn(async move {
                if let Err(error) = host.game_ended(&game, played).await {
                    tracing::warn!("sending stays held back: {error}");
                }
                let _ = live.send(Question::LookAgain).await;
            });
        }
        if !is_news(&event) {
            return;
        }
        let entry = LogEntry { at_ms: now_ms(), event };
        if self.log.len() == LOG_ENTRIES_MAX {
            self.log.pop_front();
        }
        self.log.push_back(entry.clone());
        if !self.readers.is_empty() {
            self.untold.push(entry);
        }
    }

    async fn answer(&mut self, question: Question) {
        match question {
            Question::Snapshot(answer) => {
                self.look().await;
                let _ = answer.send(self.snapshot().await);
            }
            Question::Read(answer) => {
                self.readers.retain(|reader| !reader.is_closed());
                if self.readers.len() >= PAGE_READERS_MAX {
                    let _ = answer.send(None);
                    return;
                }
                self.look().await;
                let snapshot = Change::Snapshot(Box::new(self.snapshot().await));
                let (reader, changes) = mpsc::channel(PAGE_CHANGES_MAX);
                let first = Update { sequence: self.sequence, change: snapshot };
                let _ = reader.try_send(sse::Message::new(&first));
                self.readers.push(reader);
                let _ = answer.send(Some(changes));
            }
            Question::LookAgain => self.stale = Stale { covers: self.stale.covers, ..Stale::ALL },
        }
    }

    /// Asks the peer for everything stale and sends the difference to the readers.
    async fn look(&mut self) {
        let begun = Instant::now();
        let stale = std::mem::take(&mut self.stale);
        let mut seen = Seen {
            settings: Some(self.host.settings()),
            quiet: Some(self.host.upload_hold().is_on()),
            running: Some(self.host.running_games(|running| running.list())),
            unfinished: Some(self.host.unfinished(|list| list.list())),
            ..Seen::default()
        };
        if stale.status {
            seen.status = self.status().await;
        }
        if stale.peers
            && let Some(ReplyData::ListPeers(list)) = self.ask(Request::ListPeers).await
        {
            seen.peers = Some(list.peers.into_iter().map(Into::into).collect());
            seen.others = Some(list.others);
        }
        if (stale.games || stale.covers)
            && let Some(ReplyData::ListGames(list)) = self.ask(Request::ListGames).await
        {
            if stale.covers {
                let here = list.games.iter().filter(|g| g.downloaded || g.installed);
                let here = here.map(|g| g.game_id.clone()).collect();
                (self.covers, self.titles) = self.look_into_folders(here).await;
            }
            let row = |mut game: lanspread_api::reply::GameInfo| {
                let cover = self.covers.get(&game.game_id).cloned();
                if titles::wants(&game) {
                    game.title = self.titles.get(&game.game_id).cloned();
                }
                GameRow { game, cover }
            };
            seen.games = Some(list.games.into_iter().map(row).collect());
        }
        if stale.covers {
            seen.disk = Some(self.disk().await);
        }
        let patch = self.view.take(seen);
        if !patch.is_empty() {
            self.tell(Change::Patch(Box::new(patch)));
        }
        for entry in std::mem::take(&mut self.untold) {
            self.tell(Change::Log(entry));
        }
        self.look_at = Instant::now() + PAUSE.max(begun.elapsed() * SHARE);
    }

    /// Runs once a second: records the rates and, every few seconds, the disk and the absent peers.
    async fn second(&mut self) {
        self.seconds += 1;
        if self.seconds.is_multiple_of(DISK_EVERY) && !self.readers.is_empty() && self.peer.is_some() {
            let disk = Some(self.disk().await);
            let patch = self.view.take(Seen { disk, ..Seen::default() });
            if !patch.is_empty() {
                self.tell(Change::Patch(Box::new(patch)));
            }
        }
        if self.seconds.is_multiple_of(OTHERS_EVERY) {
            self.stale.peers = true;
        }
        let Some(status) = self.status().await else { return };
        let now = status.traffic;
        let before = self.traffic.replace(now).unwrap_or(now);
        let rate = Rate {
            at_ms: now_ms(),
            down: now.received_bytes.saturating_sub(before.received_bytes),
            up: now.sent_bytes.saturating_sub(before.sent_bytes),
        };
        if self.rates.len() == RATES_MAX {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
        // What stands still changes, too: its rate falls.
        if rate.up > 0 || rate.down > 0 || !status.swarms.is_empty() {
            self.stale.status = true;
        }
        self.tell(Change::Rate(rate));
    }

    async fn snapshot(&mut self) -> Snapshot {
        if self.stale.any() && self.peer.is_some() {
            // Current readers get the same as a patch, which changes nothing for them.
            Box::pin(self.look()).await;
        }
        let room = self.view.room();
        let settings = if room.is_some() { self.view.settings() } else { self.host.settings() };
        let chosen = settings.games_dir.is_some();
        Snapshot {
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            contract: CONTRACT_VERSION,
            actions: actions(),
            settings,
            room,
            suggestion: (!chosen).then(|| host::suggestion(self.host.state_dir())),
            log: self.log.iter().cloned().collect(),
            rates: self.rates.iter().copied().collect(),
        }
    }

    /// Sends a change to all readers, and drops those that are gone or do not keep up.
    fn tell(&mut self, change: Change) {
        if self.readers.is_empty() {
            return;
        }
        self.sequence += 1;
        let message = sse::Message::new(&Update { sequence: self.sequence, change });
        self.readers.retain(|reader| reader.try_send(message.clone()).is_ok());
    }

    async fn status(&self) -> Option<Status> {
        match self.ask(Request::Status).await {
            Some(ReplyData::Status(status)) => Some(*status),
            _ => None,
        }
    }

    async fn ask(&self, request: Request) -> Option<ReplyData> {
        let (peer, _) = self.peer.as_ref()?;
        let reply = peer.command(contract::to_command(&request).ok()?).await.ok()?;
        contract::reply_data(&request, &reply, self.host.state_dir()).ok()
    }

    /// Reads the covers and titles of local games.
    async fn look_into_folders(
        &self,
        games: Vec<String>,
    ) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let Some(dir) = self.host.games_dir() else { return Default::default() };
        let look = move || (covers::all(&dir, games.clone()), titles::all(&dir, games));
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    async fn disk(&self) -> Disk {
        let Some(dir) = self.host.games_dir() else { return Disk::default() };
        tokio::task::spawn_blocking(move || disk_of(&dir)).await.unwrap_or_default()
    }
}

/// Returns the running peer's next event. Waits for ever if there is no peer.
async fn next_event(peer: &mut Option<(PeerHandle, EventStream)>) -> Option<Streamed> {
    let next = match peer {
        Some((_, events)) => events.next().await,
        None => std::future::pending().await,
    };
    if next.is_none() {
        *peer = None;
    }
    next
}

async fn tick(interval: &mut Interval) {
    interval.tick().await;
}

/// Returns whether an event belongs into the log; other events show in the state.
fn is_news(event: &Event) -> bool {
    !matches!(
        event,
        Event::Contract(_)
            | Event::LocalLibraryChanged { .. }
            | Event::RemoteLibraryChanged { .. }
            | Event::IndexProgress { .. }
            | Event::ActiveOperationsChanged { .. }
            | Event::DownloadProgress(_)
            | Event::DownloadChunkFinished { .. }
            | Event::InstallProgress { .. }
            | Event::EventsLost { .. }
    ) && !event.is_progress()
}

/// Paths that accept `POST`, the page's own included.
fn actions() -> Vec<String> {
    let page = ["setup", "settings", "open-folder", "pack", "invitation", "party", "catalog", "quiet"];
    let commands = CommandName::ALL.iter().filter_map(|name| match name.route() {
        Some(Route::Post(path)) => Some(path),
        _ => None,
    });
    commands.chain(page).map(str::to_owned).collect()
}

/// Free and total space of the disk that holds `dir`.
pub fn disk_of(dir: &Path) -> Disk {
    let reserve = lanspread_peer::DiskReserve::of(dir);
    Disk {
        free_bytes: fs4::available_space(dir).ok(),
        total_bytes: fs4::total_space(dir).ok(),
        reserve_bytes: reserve.download,
        unpack_reserve_bytes: reserve.unpack,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_has_events_but_no_progress() {
        let game = || "a".to_owned();
        let quiet = [
            Event::InstallProgress { game_id: game(), done_bytes: 1, total_bytes: 2 },
            Event::IndexProgress { game_id: game(), done_bytes: 1, total_bytes: 2 },
            Event::ActiveOperationsChanged { active_operations: Vec::new() },
        ];
        assert!(quiet.iter().all(|event| !is_news(event)));
        assert!(is_news(&Event::InstallFinished { game_id: game() }));
        assert!(quiet[0].is_progress() && !quiet[2].is_progress());
    }

    #[test]
    fn what_an_event_makes_stale() {
        let mut stale = Stale::default();
        stale.add(&Event::InstallProgress { game_id: "a".to_owned(), done_bytes: 1, total_bytes: 2 });
        assert_eq!(stale, Stale { status: true, ..Stale::default() });
        stale.add(&Event::InstallFinished { game_id: "a".to_owned() });
        assert_eq!(stale, Stale::ALL);
    }
}
