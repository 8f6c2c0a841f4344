//! Handle of a running peer: commands in, answers and events out. It holds no state of the peer and does not keep it
//! alive.

use lanspread_core::command::{Command, CommandError, CommandId, Reply};
use lanspread_core::event::Event;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Commands a running peer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PeerHandle {
    pub(crate) commands: mpsc::Sender<Commanded>,
    /// Weak, so that event streams end with the peer although a handle still exists.
    pub(crate) events: broadcast::WeakSender<Event>,
}

/// A command on its way to the runtime.
#[derive(Debug)]
pub(crate) struct Commanded {
    /// The command.
    pub command: Command,
    /// Where its answer goes.
    pub answer: oneshot::Sender<Result<Reply, CommandError>>,
}

impl PeerHandle {
    /// Submits a command and waits for its answer, which is [`CommandError::ShuttingDown`] if the peer has ended.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.submit(command).await.await
    }

    /// Submits a command and returns a future of its answer. The peer takes commands in the order of submission.
    pub async fn submit(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Reply, CommandError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        // If the peer has ended, `answer` is dropped with the command, and the future yields `ShuttingDown`.
        let _ = self.commands.send(Commanded { command, answer }).await;
        async { answered.await.unwrap_or(Err(CommandError::ShuttingDown)) }
    }

    /// Returns the stream of all events from now on. It is empty if the peer has ended.
    pub fn subscribe(&self) -> EventStream {
        let ended = || broadcast::channel(1).1;
        EventStream(self.events.upgrade().map_or_else(ended, |events| events.subscribe()))
    }
}

/// The events of a peer, in order.
#[derive(Debug)]
pub struct EventStream(pub(crate) broadcast::Receiver<Event>);

/// Item of an event stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Streamed {
    /// The next event.
    Event(Event),
    /// The reader was too slow: this many events were dropped.
    Lost(u64),
}

impl EventStream {
    /// Returns the number of unread events, dropped ones included.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// Returns the next item, or `None` when the peer has ended and all events are read.
    pub async fn next(&mut self) -> Option<Streamed> {
        match self.0.recv().await {
            Ok(event) => Some(Streamed::Event(event)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Streamed::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Generator of command ids.
#[derive(Debug, Default)]
pub(crate) struct CommandIds(u64);

impl CommandIds {
    /// Returns a new id.
    pub fn next(&mut self) -> CommandId {
        self.0 += 1;
        CommandId(self.0)
    }
}
