//! Input side of a run: turns lines of standard input into commands of the peer.
//!
//! The [`Intake`] reads standard input and waits for nothing else, so it always sees `shutdown` and the end of input.
//! The [`Submitter`] gives the commands to the peer in the order of their lines. Both the backlog between them and
//! the number of unanswered commands are bounded; a command beyond a bound is refused with `too-many-commands`.

use std::path::Path;
use std::sync::Arc;

use lanspread_api::parse::{Rejected, parse_request, reject_long_line};
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, Id, Line, ReplyData, Request, ResultLine};
use lanspread_peer::PeerHandle;
use lanspread_peer::contract;
use lanspread_types::failpoint;
use tokio::io::AsyncRead;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::address::reachable;
use crate::input::{InputLine, LineReader};
use crate::limits::{ANSWERS_WAITING_MAX, BACKLOG_BYTES_MAX, BACKLOG_STALL_MAX, WAITS_MAX};

/// Bytes that a command costs in the backlog besides its line.
const COMMAND_BYTES: u32 = 512;

/// Why no further commands come.
#[derive(Debug, PartialEq)]
pub enum InputEnd {
    /// The command `shutdown` with this id.
    Shutdown(Option<Id>),
    /// The end of standard input, or an error while reading it.
    Closed,
}

/// A parsed line that waits for the submitter. It holds its share of the backlog until it is dropped.
#[derive(Debug)]
struct Taken {
    what: Result<(Option<Id>, Request), Rejected>,
    _room: OwnedSemaphorePermit,
}

/// Commands on their way from the intake to the submitter.
#[derive(Debug)]
pub struct Backlog(mpsc::UnboundedReceiver<Taken>);

/// Task that reads standard input.
#[derive(Debug)]
pub struct Intake {
    answer: mpsc::Sender<Line>,
    to: mpsc::UnboundedSender<Taken>,
    room: Arc<Semaphore>,
    /// True while the backlog is full and has not moved for `BACKLOG_STALL_MAX`.
    stalled: bool,
    /// Commands that were dropped because not even a refusal could be queued for printing.
    untold: u64,
}

impl Intake {
    /// Returns an intake and the backlog that it fills. Refusals go to `answer`.
    pub fn new(answer: mpsc::Sender<Line>) -> (Self, Backlog) {
        let (to, backlog) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(BACKLOG_BYTES_MAX as usize));
        (Self { answer, to, room, stalled: false, untold: 0 }, Backlog(backlog))
    }

    /// Reads commands until `shutdown` or the end of input.
    pub async fn read(mut self, mut lines: LineReader<impl AsyncRead + Unpin>) -> InputEnd {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return InputEnd::Closed,
                Err(error) => {
                    tracing::error!("standard input cannot be read: {error}");
                    return InputEnd::Closed;
                }
            };
            let (bytes, what) = match line {
                InputLine::Whole(bytes) => (bytes.len(), parse_request(&bytes)),
                InputLine::TooLong(start) => (start.len(), Err(Box::new(reject_long_line(&start)))),
            };
            match what {
                Ok((id, Request::Shutdown)) => return InputEnd::Shutdown(id),
                Err(_) if failpoint!("die-on-bad-line") => return InputEnd::Closed,
                Err(mut rejected) if rejected.id.is_some() && failpoint!("drop-error-id") => {
                    rejected.id = None;
                    self.take(bytes, Err(rejected)).await;
                }
                what => self.take(bytes, what).await,
            }
        }
    }

    async fn take(&mut self, bytes: usize, what: Result<(Option<Id>, Request), Rejected>) {
        let weight = u32::try_from(bytes).unwrap_or(BACKLOG_BYTES_MAX).saturating_add(COMMAND_BYTES);
        match self.acquire(weight.min(BACKLOG_BYTES_MAX)).await {
            // The send fails only if the submitter is gone, when the session is over.
            Some(room) => drop(self.to.send(Taken { what, _room: room })),
            None => self.refuse(what),
        }
    }

    /// Waits for room in the backlog as long as the backlog moves. Returns `None` if there is none.
    async fn acquire(&mut self, weight: u32) -> Option<OwnedSemaphorePermit> {
        let at_once = self.room.clone().try_acquire_many_owned(weight).ok();
        let room = match at_once {
            None if !self.stalled => {
                let later = timeout(BACKLOG_STALL_MAX, self.room.clone().acquire_many_owned(weight)).await;
                later.ok().and_then(Result::ok)
            }
            room => room,
        };
        self.stalled = room.is_none();
        room
    }

    fn refuse(&mut self, what: Result<(Option<Id>, Request), Rejected>) {
        let (id, cmd) = match what {
            Ok((id, request)) => (id, Some(request.name().as_str().to_owned())),
            Err(rejected) => (rejected.id, rejected.cmd),
        };
        let others = match self.untold {
            0 => String::new(),
            untold => format!(", nor were {untold} before it"),
        };
        let message =
            format!("commands are not answered as fast as they come; this one was not taken{others}");
        let error = ErrorBody::new(ErrorCode::TooManyCommands, message);
        match self.answer.try_send(Line::Error(ErrorLine { id, cmd, error })) {
            Ok(()) => self.untold = 0,
            Err(_) => self.untold += 1,
        }
    }
}

/// Task that gives commands to the peer.
#[derive(Debug)]
pub struct Submitter {
    handle: PeerHandle,
    answer: mpsc::Sender<Line>,
    state_dir: Arc<Path>,
    waits: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

impl Submitter {
    /// Returns a submitter. Answers go to `answer`.
    pub fn new(handle: PeerHandle, answer: mpsc::Sender<Line>, state_dir: Arc<Path>) -> Self {
        let (waits, answers) = (Semaphore::new(WAITS_MAX), Semaphore::new(ANSWERS_WAITING_MAX));
        Self { handle, answer, state_dir, waits: Arc::new(waits), answers: Arc::new(answers) }
    }

    /// Submits commands in order until the intake has ended or the session is over.
    pub async fn run(self, mut backlog: Backlog) {
        while let Some(Taken { what, _room }) = backlog.0.recv().await {
            let submitted = match what {
                Ok((id, request)) => self.submit(id, request).await,
                Err(rejected) => self.refuse(*rejected).await,
            };
            if submitted.is_err() {
                return;
            }
        }
    }

    /// Prints a refusal. Fails if the session is over.
    async fn refuse(&self, line: ErrorLine) -> Result<(), ()> {
        self.answer.send(Line::Error(line)).await.map_err(|_| ())
    }

    /// Gives a command to the peer and prints its answer once it comes. Fails if the session is over.
    async fn submit(&self, id: Option<Id>, request: Request) -> Result<(), ()> {
        let cmd = Some(request.name().as_str().to_owned());
        let command = match contract::to_command(&request) {
            Ok(command) => command,
            Err(error) => return self.refuse(ErrorLine { id, cmd, error }).await,
        };
        let Some(place) = self.place(&request).await else {
            let message = format!("{WAITS_MAX} commands wait for their answers already");
            let error = ErrorBody::new(ErrorCode::TooManyCommands, message);
            return self.refuse(ErrorLine { id, cmd, error }).await;
        };
        let answered = self.handle.submit(command).await;
        let (answer, state_dir) = (self.answer.clone(), self.state_dir.clone());
        tokio::spawn(async move {
            let mut line = contract::answer(id, &request, answered.await, &state_dir);
            if let Line::Result(ResultLine { reply: ReplyData::Status(status), .. }) = &mut line {
                status.addr = reachable(status.addr);
            }
            // The send fails only if the session is over, when nobody waits for the answer.
            let _ = answer.send(line).await;
            drop(place);
        });
        Ok(())
    }

    /// Takes a place among the unanswered commands.
    ///
    /// Returns `None` if the command may wait for a long time and all places of such commands are taken. Places of
    /// other commands become free within a moment, unless nobody reads the output.
    async fn place(&self, request: &Request) -> Option<OwnedSemaphorePermit> {
        if request.name().is_late() && !failpoint!("queue-behind-waits") {
            return self.waits.clone().try_acquire_owned().ok();
        }
        // The semaphore is never closed.
        self.answers.clone().acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads lines without a submitter and without a printer of answers.
    async fn read(lines: String, answers: usize) -> (InputEnd, mpsc::Receiver<Line>, Backlog) {
        let (answer, printed) = mpsc::channel(answers);
        let (intake, backlog) = Intake::new(answer);
        let end = intake.read(LineReader::new(std::io::Cursor::new(lines.into_bytes()))).await;
        (end, printed, backlog)
    }

    #[tokio::test]
    async fn shutdown_is_seen_behind_a_full_backlog() {
        let many = "{\"cmd\":\"status\",\"id\":7}\n".repeat(20_000);
        let (end, mut printed, backlog) = read(many + "{\"cmd\":\"shutdown\",\"id\":1}\n", 4).await;
        assert_eq!(end, InputEnd::Shutdown(Some(Id::from_json(&1.into()))));
        assert!(backlog.0.len() > 5000, "a burst is taken in");
        let Some(Line::Error(refused)) = printed.recv().await else { panic!("no refusal") };
        assert_eq!(refused.error.code, ErrorCode::TooManyCommands);
        assert_eq!(refused.id, Some(Id::from_json(&7.into())));
        assert_eq!(refused.cmd.as_deref(), Some("status"));
    }

    #[tokio::test]
    async fn long_lines_fill_the_backlog_sooner() {
        let path = "x".repeat(1 << 19);
        let line = format!("{{\"cmd\":\"set-game-dir\",\"path\":\"/{path}\"}}\n");
        let (end, _printed, backlog) = read(line.repeat(30), 64).await;
        assert_eq!(end, InputEnd::Closed);
        assert_eq!(backlog.0.len(), 7);
    }
}
