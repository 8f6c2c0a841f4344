//! How the programs talk to a running peer.

use lanspread_core::command::{Command, CommandError, CommandId, Reply};
use lanspread_core::event::Event;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Commands a running peer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PeerHandle {
    pub(crate) commands: mpsc::Sender<Commanded>,
    /// Weak, so that a handle that is kept does not keep the streams from ending.
    pub(crate) events: broadcast::WeakSender<Event>,
}

/// A command on its way into the loop.
#[derive(Debug)]
pub(crate) struct Commanded {
    pub command: Command,
    pub answer: oneshot::Sender<Result<Reply, CommandError>>,
}

impl PeerHandle {
    /// Gives a command and waits for its answer.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.submit(command).await.await
    }

    /// Gives a command; its answer is waited for apart. Commands are taken in the order in which they were submitted.
    pub async fn submit(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Reply, CommandError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        // When the peer has ended, the sender is dropped with the command, and the answer says so.
        let _ = self.commands.send(Commanded { command, answer }).await;
        async { answered.await.unwrap_or(Err(CommandError::ShuttingDown)) }
    }

    /// All events from now on; none when the peer has ended.
    pub fn subscribe(&self) -> EventStream {
        let ended = || broadcast::channel(1).1;
        EventStream(self.events.upgrade().map_or_else(ended, |events| events.subscribe()))
    }
}

/// The events of a peer, in order.
#[derive(Debug)]
pub struct EventStream(pub(crate) broadcast::Receiver<Event>);

/// What an event stream yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Streamed {
    Event(Event),
    /// The reader was too slow, and this many events are lost to it.
    Lost(u64),
}

impl EventStream {
    /// How many events are there and not yet read, those that are lost included.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// The next event; `None` when the peer has ended and everything is read.
    pub async fn next(&mut self) -> Option<Streamed> {
        match self.0.recv().await {
            Ok(event) => Some(Streamed::Event(event)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Streamed::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Numbers commands.
#[derive(Debug, Default)]
pub(crate) struct CommandIds(u64);

impl CommandIds {
    pub fn next(&mut self) -> CommandId {
        self.0 += 1;
        CommandId(self.0)
    }
}
