//! One run: the peer, the incoming commands, the printed lines, and an orderly end.
//!
//! Commands are submitted in the order of their lines. Each answer is printed when it comes, so a slow command delays
//! no other. An event that the peer emits before an answer is printed before it. The answer to `shutdown` is the last
//! line.

use std::io;
use std::path::PathBuf;

use lanspread_api::event::Event;
use lanspread_api::reply::Empty;
use lanspread_api::{ErrorBody, ErrorLine, ExitCode, Line, ReplyData, ResultLine};
use lanspread_peer::catalog::choice::{self, CatalogWish};
use lanspread_peer::command::{Command, RateLimits};
use lanspread_peer::contract::ToContract;
use lanspread_peer::{EventStream, PeerConfig, PeerHandle, RunningPeer, Streamed, pass_phrase};
use tokio::io::Stdout;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::reachable;
use crate::args::Args;
use crate::commands::{InputEnd, Intake, Submitter};
use crate::ending::Ending;
use crate::fixture;
use crate::input::LineReader;
use crate::limits::{CHUNKS_TOGETHER, LAST_COMMANDS_MAX, LAST_LINES_MAX, LINES_WAITING_MAX};
use crate::output::LineWriter;
use crate::signals::Signals;

/// Runs a peer until `shutdown`, the end of standard input or a signal, or until its output has no reader any more.
/// Returns the exit code of the process.
pub async fn run(args: Args) -> ExitCode {
    let mut out = LineWriter::new(tokio::io::stdout());
    out.push(&Line::Event(Event::contract(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))));
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!("signals cannot be caught: {error}");
            return ExitCode::Internal;
        }
    };
    let state_dir = args.state_dir.clone();
    let _ours = match lanspread_peer::lock_state_dir(&state_dir) {
        Ok(lock) => lock,
        Err(error) => return cannot_start(out, error.to_contract()).await,
    };
    let started = tokio::select! {
        biased;
        // An interrupted start leaves the same state as a crash.
        () = signals.next() => return ExitCode::Success,
        started = start(args) => started,
    };
    match started {
        Ok(peer) => converse(out, peer, signals, state_dir).await,
        Err(error) => cannot_start(out, error).await,
    }
}

async fn cannot_start(mut out: LineWriter<Stdout>, error: ErrorBody) -> ExitCode {
    tracing::error!("{error}");
    let exit = error.exit();
    out.push(&Line::Error(ErrorLine { id: None, cmd: None, error }));
    // If nobody reads the output, the exit code still tells.
    let _ = out.flush().await;
    exit
}

async fn start(args: Args) -> Result<RunningPeer, ErrorBody> {
    let find = args.find();
    let wish = CatalogWish { file: args.catalog, key: args.catalog_key, none: args.no_catalog };
    let catalog = choice::choose(&args.state_dir, &wish).map_err(|e| e.to_contract())?;
    let party = match (args.party, &args.party_secret_file) {
        (Some(name), Some(path)) => {
            let phrase = pass_phrase::load(path).map_err(|e| e.to_contract())?;
            Some(pass_phrase::join(name, phrase).map_err(|e| e.to_contract())?)
        }
        _ => None,
    };
    if !args.fixtures.is_empty() {
        // A folder in use is not changed, because its owner would offer the new games.
        let _ours = lanspread_peer::lock_games_dir(&args.games_dir).map_err(|e| e.to_contract())?;
        for game in &args.fixtures {
            fixture::seed(&args.games_dir, game, &catalog.catalog()).map_err(|e| ErrorBody::from(&e))?;
        }
    }
    let config = PeerConfig {
        games_dir: args.games_dir,
        state_dir: args.state_dir,
        listen: args.listen,
        port_fallback: false,
        name: args.name,
        catalog,
        invited: None,
        accept_wants: args.accept_wants,
        private: args.private.iter().cloned().collect(),
        party,
        limits: RateLimits { upload: args.upload_limit, download: args.download_limit },
        find,
    };
    lanspread_peer::start(config).await.map_err(|e| e.to_contract())
}

/// The output side of a run.
struct Session {
    out: LineWriter<Stdout>,
    handle: PeerHandle,
    events: EventStream,
    ended: JoinHandle<()>,
    answers: mpsc::Receiver<Line>,
    ending: Ending,
}

/// Something that the session reacts to.
enum Happening {
    Event(Streamed),
    Answer(Line),
    /// No further commands come, so the peer ends.
    InputEnded(InputEnd),
    PeerEnded,
    /// The time for an orderly end has passed.
    Overdue,
}

/// Starts reading commands and prints until the peer has ended.
async fn converse(
    out: LineWriter<Stdout>,
    mut peer: RunningPeer,
    signals: Signals,
    state_dir: PathBuf,
) -> ExitCode {
    let handle = peer.handle.clone();
    let events = std::mem::replace(&mut peer.events, handle.subscribe());
    let (answer, answers) = mpsc::channel(LINES_WAITING_MAX);
    let ending = Ending::new();
    let (intake, backlog) = Intake::new(answer.clone());
    let submitter = Submitter::new(handle.clone(), answer, state_dir.into());
    let submitting = tokio::spawn(submitter.run(backlog));
    let (to_end, asked) = (handle.clone(), ending.clone());
    // Input is read in its own task, because the session may be blocked on an output that nobody reads.
    let reading = tokio::spawn(async move {
        let end = intake.read(LineReader::new(tokio::io::stdin())).await;
        asked.ask();
        tokio::spawn(shut_down_after(Some(submitting), to_end));
        end
    });
    tokio::spawn(end_on_signal(signals, handle.clone(), ending.clone()));
    let ended = tokio::spawn(peer.ended());
    let session = Session { out, handle, events, ended, answers, ending };
    session.run(reading).await
}

impl Session {
    async fn run(mut self, mut reading: JoinHandle<InputEnd>) -> ExitCode {
        let mut input_end = None;
        let mut quiet_until = None;
        let ending = self.ending.clone();
        let overdue = ending.overdue();
        tokio::pin!(overdue);
        loop {
            let happening = tokio::select! {
                biased;
                () = &mut overdue => Happening::Overdue,
                end = &mut reading, if input_end.is_none() => Happening::InputEnded(end.unwrap_or(InputEnd::Closed)),
                Some(event) = next_after(quiet_until, &mut self.events) => Happening::Event(event),
                Some(line) = self.answers.recv() => Happening::Answer(line),
                _ = &mut self.ended => Happening::PeerEnded,
            };
            let printing = match happening {
                Happening::Event(event) => {
                    quiet_until = is_chunk(&event).then(|| Instant::now() + CHUNKS_TOGETHER);
                    Printing::Event(event)
                }
                Happening::Answer(line) => Printing::Answer(line),
                Happening::InputEnded(end) => {
                    input_end = Some(end);
                    continue;
                }
                Happening::PeerEnded | Happening::Overdue => break,
            };
            let printed = tokio::select! {
                biased;
                () = &mut overdue => break,
                printed = self.print(printing) => printed,
            };
            if printed.is_err() {
                // The reader of the output is gone, so the run has no purpose any more.
                self.ending.ask();
                tokio::spawn(shut_down_after(None, self.handle));
                tokio::select! {
                    _ = self.ended => {}
                    () = overdue => {}
                }
                return ExitCode::Success;
            }
        }
        reading.abort();
        let (asked, in_time) = (self.ending.is_asked(), self.ended.is_finished());
        // The end does not depend on whether anybody reads the last lines.
        let _ = timeout(LAST_LINES_MAX, self.print_the_rest(input_end)).await;
        match (asked, in_time) {
            (true, true) => ExitCode::Success,
            (true, false) => {
                tracing::error!("the peer did not stop in time; the next start recovers unfinished work");
                ExitCode::Internal
            }
            (false, _) => {
                tracing::error!("the peer stopped unexpectedly");
                ExitCode::Internal
            }
        }
    }

    async fn print(&mut self, what: Printing) -> io::Result<()> {
        match what {
            Printing::Event(event) => {
                self.out.push(&event_line(&event));
                self.push_ready_events().await?;
            }
            Printing::Answer(line) => self.push_answer(&line).await?,
        }
        self.out.flush().await
    }

    /// Prints the rest once the peer has ended: by then every waiting command is answered. If the peer did not end in
    /// time, prints the answers that are there.
    async fn print_the_rest(mut self, input: Option<InputEnd>) -> io::Result<()> {
        let in_time = self.ended.is_finished();
        loop {
            let line = if in_time { self.answers.recv().await } else { self.answers.try_recv().ok() };
            let Some(line) = line else { break };
            self.push_answer(&line).await?;
        }
        self.push_ready_events().await?;
        if let Some(InputEnd::Shutdown(id)) = input {
            let reply = ReplyData::Shutdown(Empty {});
            self.out.push(&Line::Result(ResultLine { id, reply }));
        }
        self.out.flush().await
    }

    /// Adds an answer, after all events that the peer emitted before it.
    async fn push_answer(&mut self, line: &Line) -> io::Result<()> {
        self.push_ready_events().await?;
        self.out.push(line);
        Ok(())
    }

    /// Adds the events that are there now. Later ones wait, because a busy room must not keep the session from its
    /// input.
    async fn push_ready_events(&mut self) -> io::Result<()> {
        for _ in 0..self.events.waiting() {
            // Without tokio's task budget, because an exhausted budget would make a full stream look empty.
            let Some(event) = unconstrained(ready_event(&mut self.events)).await else { break };
            self.out.push(&event_line(&event));
            self.out.flush_if_large().await?;
        }
        Ok(())
    }
}

/// Something to print.
enum Printing {
    Event(Streamed),
    Answer(Line),
}

/// Returns whether the event reports a chunk. There are hundreds of these a second.
fn is_chunk(event: &Streamed) -> bool {
    matches!(event, Streamed::Event(lanspread_peer::event::Event::DownloadChunkFinished { .. }))
}

/// Returns the next event, but not before `quiet_until`.
async fn next_after(quiet_until: Option<Instant>, events: &mut EventStream) -> Option<Streamed> {
    if let Some(until) = quiet_until {
        sleep_until(until).await;
    }
    events.next().await
}

/// Returns the next event if it is there already.
async fn ready_event(events: &mut EventStream) -> Option<Streamed> {
    tokio::select! {
        biased;
        event = events.next() => event,
        () = std::future::ready(()) => None,
    }
}

fn event_line(event: &Streamed) -> Line {
    let mut event = event.to_contract();
    if let Event::LocalPeerReady { addr, .. } = &mut event {
        *addr = reachable(*addr);
    }
    Line::Event(event)
}

/// Ends the run in order on the first signal, and at once on the second.
async fn end_on_signal(mut signals: Signals, handle: PeerHandle, ending: Ending) {
    signals.next().await;
    ending.ask();
    tokio::spawn(shut_down_after(None, handle));
    signals.next().await;
    std::process::exit(i32::from(ExitCode::Internal.code()));
}

/// Shuts the peer down once it has received the commands before the end.
async fn shut_down_after(submitting: Option<JoinHandle<()>>, handle: PeerHandle) {
    if let Some(submitting) = submitting {
        let _ = timeout(LAST_COMMANDS_MAX, submitting).await;
    }
    // An error means that the peer is ending already.
    let _ = handle.command(Command::Shutdown).await;
}
