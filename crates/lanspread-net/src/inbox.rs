//! What others hand to a connection's task without waiting: bytes for a control connection, requests and answers for
//! data connections. Both are bounded, and both can be closed from either side without losing what is inside.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanspread_proto::EncodeError;
use lanspread_types::message::Message;
use tokio::sync::Notify;

use crate::limits::OUTBOX_BYTES_MAX;

/// Locks; a panic elsewhere does not make plain data unusable.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Open,
    /// What is inside is to be sent, then the connection is to be closed.
    Closing,
    /// More was sent than the peer took.
    Overflowed,
}

impl Outbox {
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

    /// Ends the connection after what is inside.
    pub(crate) fn close(&self, say_goodbye: bool) {
        if say_goodbye && !lanspread_types::failpoint!("forget-goodbye") {
            // A goodbye is five bytes and can always be encoded; if the queue is full, the peer does not read anyway.
            let _ = self.push(&Message::Goodbye);
        }
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.changed.notify_one();
    }

    /// Whether the connection is to end.
    pub(crate) fn is_ending(&self) -> bool {
        lock(&self.state).phase != Phase::Open
    }

    /// Takes up to about `limit` bytes. Frames may be cut: they are bytes of one stream.
    pub(crate) fn take(&self, limit: usize) -> (Vec<u8>, Phase) {
        let mut state = lock(&self.state);
        let phase = state.phase;
        if state.frames.len() <= limit {
            return (std::mem::take(&mut state.frames), phase);
        }
        let rest = state.frames.split_off(limit);
        (std::mem::replace(&mut state.frames, rest), Phase::Open)
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Items that wait for a task.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<InboxState<T>>,
    changed: Notify,
    items_max: usize,
}

#[derive(Debug)]
struct InboxState<T> {
    items: Vec<T>,
    /// The task takes no more; it has ended or is about to.
    closed: bool,
    /// Somebody wants the task to end.
    ending: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(items_max: usize) -> Self {
        let state = InboxState { items: Vec::new(), closed: false, ending: false };
        Self { state: Mutex::new(state), changed: Notify::new(), items_max }
    }

    /// Gives the item back when the task takes no more. More items than the bound make the task end, with all of them.
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

    /// Takes what is there; `None` if the task is to end.
    pub(crate) fn take(&self) -> Option<Vec<T>> {
        let mut state = lock(&self.state);
        (!state.ending).then(|| std::mem::take(&mut state.items))
    }

    /// Takes what is there and refuses everything from now on.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.items)
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
