//! Queues in front of a connection's task: frames for a control connection, requests and answers for data connections.
//!
//! Pushing never waits. Both kinds of queue are bounded, and either side can close them without losing their contents.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_proto::EncodeError;
use lanspread_types::message::Message;
use tokio::sync::Notify;

use crate::limits::OUTBOX_BYTES_MAX;

/// Locks the mutex, also after a panic elsewhere: plain data stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Frames that wait for a control connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<OutboxState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct OutboxState {
    frames: Vec<u8>,
    phase: Phase,
}

/// Whether a control connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Open,
    /// The task sends the queued frames, then closes the connection.
    Closing,
    /// The queue exceeded its bound because the peer reads too slowly.
    Overflowed,
}

impl Outbox {
    /// Queues a message. Drops it if the connection no longer goes on.
    pub(crate) fn push(&self, message: &Message) -> Result<(), EncodeError> {
        let frame = lanspread_proto::encode(message)?;
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            if state.frames.len() + frame.len() > OUTBOX_BYTES_MAX {
                state.phase = Phase::Overflowed;
                state.frames = Vec::new();
            } else {
                state.frames.extend_from_slice(&frame);
            }
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Ends the connection once the queued frames are sent.
    pub(crate) fn close(&self, say_goodbye: bool) {
        if say_goodbye && !lanspread_types::failpoint!("forget-goodbye") {
            // A goodbye is five bytes and can always be encoded. If the queue is full, the peer does not read anyway.
            let _ = self.push(&Message::Goodbye);
        }
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.changed.notify_one();
    }

    /// Returns true once the connection no longer goes on.
    pub(crate) fn is_ending(&self) -> bool {
        lock(&self.state).phase != Phase::Open
    }

    /// Takes up to `limit` bytes. Frames may be cut, since they are bytes of one stream. While bytes remain, the phase
    /// returned is `Open`.
    pub(crate) fn take(&self, limit: usize) -> (Vec<u8>, Phase) {
        let mut state = lock(&self.state);
        let phase = state.phase;
        if state.frames.len() <= limit {
            return (std::mem::take(&mut state.frames), phase);
        }
        let rest = state.frames.split_off(limit);
        (std::mem::replace(&mut state.frames, rest), Phase::Open)
    }

    /// Resolves when the queue or the phase has changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Requests or answers that wait for a data connection's task.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<InboxState<T>>,
    changed: Notify,
    items_max: usize,
}

#[derive(Debug)]
struct InboxState<T> {
    items: Vec<T>,
    /// The task takes no more, because it has ended or is about to.
    closed: bool,
    /// The task should end.
    ending: bool,
}

impl<T> Inbox<T> {
    /// Makes an empty queue of at most `items_max` items.
    pub(crate) fn new(items_max: usize) -> Self {
        let state = InboxState { items: Vec::new(), closed: false, ending: false };
        Self { state: Mutex::new(state), changed: Notify::new(), items_max }
    }

    /// Queues an item, or gives it back if the task takes no more. More items than the bound make the task end.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(item);
        }
        state.items.push(item);
        state.ending |= state.items.len() > self.items_max;
        self.changed.notify_one();
        Ok(())
    }

    /// Asks the task to end.
    pub(crate) fn end(&self) {
        lock(&self.state).ending = true;
        self.changed.notify_one();
    }

    /// Takes all queued items, or returns `None` if the task should end.
    pub(crate) fn take(&self) -> Option<Vec<T>> {
        let mut state = lock(&self.state);
        (!state.ending).then(|| std::mem::take(&mut state.items))
    }

    /// Takes all queued items and refuses further ones. For the task's end.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.items)
    }

    /// Resolves when an item was queued or the task should end.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
