//! Buffers for payloads, reused, and bounded in all.
//!
//! A budget bounds the bytes of all payloads that are being received or wait for their consumer. When it is used up,
//! connections stop reading until a buffer is dropped. Freed buffers are kept for the next payload, up to a limit.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Budgets are counted in this unit, so that they fit the semaphore.
const UNIT_BYTES: usize = 1024;

#[derive(Debug, Clone)]
pub(crate) struct Pool {
    budget: Arc<Semaphore>,
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    free: Mutex<Vec<Vec<u8>>>,
    /// Most bytes of capacity that are kept for reuse.
    kept_bytes_max: usize,
}

impl Pool {
    /// `budget_bytes` must cover the largest payload.
    pub(crate) fn new(budget_bytes: usize, kept_bytes_max: usize) -> Self {
        let budget = Arc::new(Semaphore::new(budget_bytes / UNIT_BYTES));
        Self { budget, shelf: Arc::new(Shelf { free: Mutex::default(), kept_bytes_max }) }
    }

    /// Budget for bytes that have arrived; `None` when it is used up.
    pub(crate) fn try_reserve(&self, len: usize) -> Option<Reserved> {
        let units = u32::try_from(len.div_ceil(UNIT_BYTES)).ok()?;
        Arc::clone(&self.budget).try_acquire_many_owned(units).ok().map(Reserved)
    }

    /// An empty buffer for `len` bytes, once the budget allows for it. Memory is not touched before it is filled.
    ///
    /// The buffer that was freed last comes first: what is still in the cache is worth having.
    pub(crate) async fn take(&self, len: usize) -> PooledBuf {
        let units = u32::try_from(len.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        // The semaphore is never closed; without a permit the buffer would only be uncounted.
        let permit = Arc::clone(&self.budget).acquire_many_owned(units).await.ok();
        let bytes = self.shelf.take(len);
        PooledBuf { bytes, len: 0, shelf: Arc::clone(&self.shelf), _permit: permit }
    }
}

impl Shelf {
    fn take(&self, len: usize) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        match free.iter().rposition(|bytes| bytes.len() >= len) {
            Some(at) => free.remove(at),
            None => Vec::new(),
        }
    }

    fn put(&self, bytes: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if bytes.capacity() > 0 && kept + bytes.capacity() <= self.kept_bytes_max {
            free.push(bytes);
        }
    }
}

/// A part of a budget; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Reserved(OwnedSemaphorePermit);

impl Reserved {
    /// Adds to it.
    pub(crate) fn merge(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

/// The bytes of one payload; dropping it gives its buffer back.
pub struct PooledBuf {
    /// Everything that was ever written to, so that it need not be cleared for its next use.
    bytes: Vec<u8>,
    /// How much of it is the payload.
    len: usize,
    shelf: Arc<Shelf>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl PooledBuf {
    /// A buffer outside every pool, for tests and for payloads that did not come over the network.
    pub fn unpooled(bytes: Vec<u8>) -> Self {
        let shelf = Arc::new(Shelf { free: Mutex::default(), kept_bytes_max: 0 });
        Self { len: bytes.len(), bytes, shelf, _permit: None }
    }

    /// Keeps this part of a budget for as long as the buffer lives.
    pub(crate) fn holding(mut self, reserved: Option<Reserved>) -> Self {
        if let Some(Reserved(permit)) = reserved {
            self._permit = Some(permit);
        }
        self
    }

    /// Makes sure of so much room.
    pub(crate) fn prepare(&mut self, len: usize) {
        if self.bytes.len() < len {
            // New memory is zero, and is not touched by that; growing would copy what nobody needs.
            self.bytes = vec![0; len];
        }
    }

    /// All room there is, with arbitrary bytes in it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// States how much of the room is the payload.
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len.min(self.bytes.len());
    }
}

impl Deref for PooledBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PooledBuf({} bytes)", self.len)
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        self.shelf.put(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn buffers_come_back() {
        let pool = Pool::new(1 << 20, 1 << 20);
        let mut first = pool.take(1000).await;
        first.prepare(1000);
        first.set_len(1000);
        let place = first.as_ptr();
        drop(first);
        let mut second = pool.take(900).await;
        second.prepare(900);
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
    }

    #[tokio::test]
    async fn the_shelf_is_bounded() {
        let pool = Pool::new(1 << 20, 1500);
        let mut both = [pool.take(1000).await, pool.take(1000).await];
        both.iter_mut().for_each(|buffer| buffer.prepare(1000));
        drop(both);
        assert_eq!(pool.shelf.free.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_used_up_budget_waits_for_a_drop() {
        let pool = Pool::new(64 << 10, 0);
        let held = pool.take(64 << 10).await;
        let mut waiting = Box::pin(pool.take(1));
        assert!(futures_ready(waiting.as_mut()).is_none());
        drop(held);
        assert_eq!(waiting.await.len(), 0);
    }

    #[tokio::test]
    async fn what_is_reserved_is_given_back_with_the_buffer() {
        let pool = Pool::new(4 * UNIT_BYTES, 0);
        let mut reserved = pool.try_reserve(2 * UNIT_BYTES).unwrap();
        reserved.merge(pool.try_reserve(2 * UNIT_BYTES).unwrap());
        assert!(pool.try_reserve(1).is_none());
        drop(PooledBuf::unpooled(vec![0]).holding(Some(reserved)));
        assert!(pool.try_reserve(4 * UNIT_BYTES).is_some());
    }

    /// Polls once.
    fn futures_ready<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
