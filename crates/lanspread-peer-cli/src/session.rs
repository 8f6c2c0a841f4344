//! One run: a peer, the commands that come in, the lines that go out, and an ordered end.
//!
//! Commands are submitted in the order of their lines and answered when their answers are there; a slow one holds up no
//! other. An event that precedes an answer inside the peer is printed before it. The answer to `shutdown` is the last
//! line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lanspread_api::event::Event;
use lanspread_api::parse::{parse_request, reject_long_line};
use lanspread_api::reply::Empty;
use lanspread_api::{
    ErrorBody, ErrorCode, ErrorLine, ExitCode, Id, Line, ReplyData, Request, ResultLine, render,
};
use lanspread_peer::catalog_choice::{self, CatalogWish};
use lanspread_peer::command::{Command, RateLimits};
use lanspread_peer::types::{Party, failpoint};
use lanspread_peer::{EventStream, PeerConfig, PeerHandle, RunningPeer, Streamed, pass_phrase};
use tokio::io::{Stdin, Stdout};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;

use crate::address::reachable;
use crate::args::Args;
use crate::fixture;
use crate::input::{InputLine, LineReader};
use crate::output::LineWriter;
use crate::signals::Signals;

/// Commands whose answers are awaited at once. More are not read before one of them is answered.
const COMMANDS_MAX: usize = 256;
/// Lines that wait to be printed, events apart.
const ANSWERS_MAX: usize = 64;
/// How long an ordered end may take before the process ends all the same.
const SHUTDOWN_TIME: Duration = Duration::from_secs(10);

/// Runs a peer until it is told to end, by `shutdown`, by the end of standard input, by a signal, or because nobody reads
/// its output any more.
pub async fn run(args: Args) -> ExitCode {
    let mut out = LineWriter::new(tokio::io::stdout());
    out.push(&Line::Event(render::contract(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))));
    match start(args).await {
        Ok((peer, signals, state_dir)) => converse(out, peer, signals, state_dir).await,
        Err(error) => {
            tracing::error!("{error}");
            let exit = error.exit();
            out.push(&Line::Error(ErrorLine { id: None, cmd: None, error }));
            // Who reads nothing still gets the exit code.
            let _ = out.flush().await;
            exit
        }
    }
}

async fn start(args: Args) -> Result<(RunningPeer, Signals, PathBuf), ErrorBody> {
    let internal = |e: String| ErrorBody::new(ErrorCode::Internal, e);
    let signals = Signals::catch().map_err(|e| internal(format!("signals cannot be caught: {e}")))?;
    let find = args.find();
    let wish = CatalogWish { file: args.catalog, key: args.catalog_key, none: args.no_catalog };
    let catalog = catalog_choice::choose(&args.state_dir, &wish).map_err(|e| ErrorBody::from(&e))?;
    let party = match (args.party, &args.party_secret_file) {
        (Some(name), Some(path)) => {
            let phrase = pass_phrase::load(path).map_err(|e| ErrorBody::from(&e))?;
            Some(Party { name, phrase })
        }
        _ => None,
    };
    for game in &args.fixtures {
        fixture::seed(&args.games_dir, game, &catalog.catalog())
            .map_err(|e| ErrorBody::new(ErrorCode::GamesDirUnusable, e.to_string()))?;
    }
    let config = PeerConfig {
        games_dir: args.games_dir,
        state_dir: args.state_dir.clone(),
        listen: args.listen,
        port_fallback: false,
        name: args.name,
        catalog,
        accept_wants: args.accept_wants,
        party,
        limits: RateLimits { upload: args.upload_limit, download: args.download_limit },
        find,
    };
    let peer = lanspread_peer::start(config).await.map_err(|e| ErrorBody::from(&e))?;
    Ok((peer, signals, args.state_dir))
}

/// The output side of a run.
struct Session {
    out: LineWriter<Stdout>,
    handle: PeerHandle,
    events: EventStream,
    ended: JoinHandle<()>,
    answers: mpsc::Receiver<Line>,
    /// Somebody has asked for the end.
    asked: Arc<AtomicBool>,
}

/// Something to react to.
enum Happening {
    Event(Streamed),
    Answer(Line),
    /// No further commands come: the peer is to end.
    InputEnded(InputEnd),
    PeerEnded,
}

/// How the commands ended.
enum InputEnd {
    /// By a `shutdown` with this id.
    Shutdown(Option<Id>),
    /// By the end of the stream, or because it could not be read.
    Closed,
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
    let (answer, answers) = mpsc::channel(ANSWERS_MAX);
    let room = Arc::new(Semaphore::new(COMMANDS_MAX));
    let commands = Commands { handle: handle.clone(), answer, state_dir: state_dir.into(), room };
    let asked = Arc::new(AtomicBool::new(false));
    tokio::spawn(end_on_signal(signals, handle.clone(), asked.clone()));
    let reading = tokio::spawn(commands.read(LineReader::new(tokio::io::stdin())));
    let ended = tokio::spawn(peer.ended());
    let session = Session { out, handle, events, ended, answers, asked };
    session.run(reading).await
}

impl Session {
    async fn run(mut self, mut reading: JoinHandle<InputEnd>) -> ExitCode {
        let mut input = None;
        loop {
            let happening = tokio::select! {
                biased;
                Some(event) = self.events.next() => Happening::Event(event),
                Some(line) = self.answers.recv() => Happening::Answer(line),
                end = &mut reading, if input.is_none() => Happening::InputEnded(end.unwrap_or(InputEnd::Closed)),
                _ = &mut self.ended => Happening::PeerEnded,
            };
            let printed = match happening {
                Happening::Event(event) => {
                    self.out.push(&event_line(&event));
                    self.push_ready_events().await
                }
                Happening::Answer(line) => self.push_answer(&line).await,
                Happening::InputEnded(end) => {
                    input = Some(end);
                    tokio::spawn(shut_down(self.handle.clone(), self.asked.clone()));
                    Ok(())
                }
                Happening::PeerEnded => break,
            };
            if printed.is_err() || self.out.flush().await.is_err() {
                // Nobody reads any more, so there is nothing left to run for.
                tokio::spawn(shut_down(self.handle, self.asked));
                let _ = self.ended.await;
                return ExitCode::Success;
            }
        }
        reading.abort();
        self.finish(input).await
    }

    /// What is left to print once the peer has ended: every command that still waited is answered by then.
    async fn finish(mut self, input: Option<InputEnd>) -> ExitCode {
        let mut printed = Ok(());
        while let (Ok(()), Some(line)) = (&printed, self.answers.recv().await) {
            printed = self.push_answer(&line).await;
        }
        if printed.is_ok() && self.push_ready_events().await.is_ok() {
            if let Some(InputEnd::Shutdown(id)) = input {
                let reply = ReplyData::Shutdown(Empty {});
                self.out.push(&Line::Result(ResultLine { id, reply }));
            }
            // Whether anybody has read the last line makes no difference to the end.
            let _ = self.out.flush().await;
        }
        if self.asked.load(Ordering::Relaxed) {
            ExitCode::Success
        } else {
            tracing::error!("the peer ended by itself");
            ExitCode::Internal
        }
    }

    /// An answer, and before it whatever the peer emitted before it answered.
    async fn push_answer(&mut self, line: &Line) -> io::Result<()> {
        self.push_ready_events().await?;
        self.out.push(line);
        Ok(())
    }

    async fn push_ready_events(&mut self) -> io::Result<()> {
        // Without a budget: an exhausted one would make a full stream look empty.
        while let Some(event) = unconstrained(ready_event(&mut self.events)).await {
            self.out.push(&event_line(&event));
            self.out.flush_if_large().await?;
        }
        Ok(())
    }
}

/// The next event, if it is there already.
async fn ready_event(events: &mut EventStream) -> Option<Streamed> {
    tokio::select! {
        biased;
        event = events.next() => event,
        () = std::future::ready(()) => None,
    }
}

fn event_line(event: &Streamed) -> Line {
    let mut event = render::streamed(event);
    if let Event::LocalPeerReady { addr, .. } = &mut event {
        *addr = reachable(*addr);
    }
    Line::Event(event)
}

/// The input side of a run.
struct Commands {
    handle: PeerHandle,
    answer: mpsc::Sender<Line>,
    state_dir: Arc<Path>,
    room: Arc<Semaphore>,
}

impl Commands {
    async fn read(self, mut lines: LineReader<Stdin>) -> InputEnd {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return InputEnd::Closed,
                Err(error) => {
                    tracing::error!("standard input cannot be read: {error}");
                    return InputEnd::Closed;
                }
            };
            let parsed = match line {
                InputLine::Whole(bytes) => parse_request(&bytes),
                InputLine::TooLong(start) => Err(Box::new(reject_long_line(&start))),
            };
            let taken = match parsed {
                Ok((id, Request::Shutdown)) => return InputEnd::Shutdown(id),
                Ok((id, request)) => self.submit(id, request).await,
                Err(_) if failpoint!("die-on-bad-line") => Err(()),
                Err(mut rejected) if rejected.id.is_some() && failpoint!("drop-error-id") => {
                    rejected.id = None;
                    self.answer.send(Line::Error(*rejected)).await.map_err(|_| ())
                }
                Err(rejected) => self.answer.send(Line::Error(*rejected)).await.map_err(|_| ()),
            };
            if taken.is_err() {
                return InputEnd::Closed;
            }
        }
    }

    /// Gives a command to the peer; its answer is printed when it is there. Fails when the session has ended.
    async fn submit(&self, id: Option<Id>, request: Request) -> Result<(), ()> {
        let command = match request.to_command() {
            Ok(command) => command,
            Err(error) => {
                let cmd = Some(request.name().as_str().to_owned());
                return self.answer.send(Line::Error(ErrorLine { id, cmd, error })).await.map_err(|_| ());
            }
        };
        let permit = self.room.clone().acquire_owned().await.map_err(|_| ())?;
        let answered = self.handle.submit(command).await;
        let (answer, state_dir) = (self.answer.clone(), self.state_dir.clone());
        tokio::spawn(async move {
            let mut line = render::answer(id, &request, answered.await, &state_dir);
            if let Line::Result(ResultLine { reply: ReplyData::Status(status), .. }) = &mut line {
                status.addr = reachable(status.addr);
            }
            // If the session is over, nobody waits for the answer.
            let _ = answer.send(line).await;
            drop(permit);
        });
        Ok(())
    }
}

/// The first signal asks for an ordered end, the second one does not ask.
async fn end_on_signal(mut signals: Signals, handle: PeerHandle, asked: Arc<AtomicBool>) {
    signals.next().await;
    tokio::spawn(shut_down(handle, asked));
    signals.next().await;
    std::process::exit(i32::from(ExitCode::Internal.code()));
}

/// Asks the peer to end, and ends the process if that takes too long, for instance because the reader of its output
/// has stopped reading.
async fn shut_down(handle: PeerHandle, asked: Arc<AtomicBool>) {
    asked.store(true, Ordering::Relaxed);
    // An error says that the peer is ending already.
    let _ = tokio::time::timeout(SHUTDOWN_TIME, handle.command(Command::Shutdown)).await;
    drop(handle);
    tokio::time::sleep(SHUTDOWN_TIME).await;
    tracing::error!("the peer did not end in time");
    std::process::exit(i32::from(ExitCode::Internal.code()));
}
