//! Reusable buffers for payloads, and a budget for their bytes.
//!
//! The budget bounds the bytes of all payloads that are being received or wait for their consumer. When it is used up,
//! connections stop reading until a buffer is dropped. Freed buffers are kept for the next payload, up to a limit.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unit in which budgets are counted, so that they fit the semaphore.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes, and the freed buffers that await reuse.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    budget: Arc<Semaphore>,
    shelf: Arc<Shelf>,
}

/// Freed buffers.
#[derive(Debug)]
struct Shelf {
    /// In the order in which they were freed, the latest last.
    free: Mutex<Vec<Vec<u8>>>,
    /// Most bytes of capacity that are kept for reuse.
    kept_bytes_max: usize,
}

impl Pool {
    /// Makes a pool. `budget_bytes` must cover the largest payload, which would wait forever otherwise.
    pub(crate) fn new(budget_bytes: usize, kept_bytes_max: usize) -> Self {
        let budget = Arc::new(Semaphore::new(budget_bytes / UNIT_BYTES));
        Self { budget, shelf: Arc::new(Shelf { free: Mutex::default(), kept_bytes_max }) }
    }

    /// Takes `len` bytes of budget without waiting, or returns `None` if too few are left.
    pub(crate) fn try_reserve(&self, len: usize) -> Option<Reserved> {
        let units = u32::try_from(len.div_ceil(UNIT_BYTES)).ok()?;
        Arc::clone(&self.budget).try_acquire_many_owned(units).ok().map(Reserved)
    }

    /// Returns an empty buffer for a payload of `len` bytes, once the budget allows for it. Memory is not touched
    /// before it is filled.
    ///
    /// The buffer that was freed last comes first: it may still be in the processor's cache.
    pub(crate) async fn take(&self, len: usize) -> PooledBuf {
        let units = u32::try_from(len.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        // `acquire_many_owned` fails only if the semaphore is closed, which never happens. If it did, the buffer would
        // merely not count against the budget.
        let permit = Arc::clone(&self.budget).acquire_many_owned(units).await.ok();
        let mut bytes = self.shelf.take(len);
        if bytes.len() < len {
            // New zeroed memory is not touched until it is filled, whereas growing would copy old bytes.
            bytes = vec![0; len];
        }
        PooledBuf { bytes, len, filled: 0, shelf: Arc::clone(&self.shelf), _permit: permit }
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

/// A part of a budget; dropping it gives the part back.
#[derive(Debug)]
pub(crate) struct Reserved(OwnedSemaphorePermit);

impl Reserved {
    /// Adds another part of the same budget.
    pub(crate) fn merge(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

/// The bytes of one payload that have arrived. Dereferences to them. Dropping it returns its buffer and its budget to
/// the pool.
pub struct PooledBuf {
    /// The whole buffer, initialised once, so that it need not be cleared for the next payload.
    bytes: Vec<u8>,
    /// Length of the whole payload in bytes.
    len: usize,
    /// Bytes that have arrived.
    filled: usize,
    shelf: Arc<Shelf>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl PooledBuf {
    /// Makes a full buffer outside every pool, for tests and for payloads that did not come over the network.
    pub fn unpooled(bytes: Vec<u8>) -> Self {
        let shelf = Arc::new(Shelf { free: Mutex::default(), kept_bytes_max: 0 });
        Self { len: bytes.len(), filled: bytes.len(), bytes, shelf, _permit: None }
    }

    /// Makes an empty buffer for a payload of `len` bytes, outside every pool. Memory is not touched before it is
    /// filled.
    pub(crate) fn uncounted(len: usize) -> Self {
        let mut buffer = Self::unpooled(vec![0; len]);
        buffer.filled = 0;
        buffer
    }

    /// Attaches a part of a budget, which is given back when the buffer is dropped.
    pub(crate) fn holding(mut self, reserved: Option<Reserved>) -> Self {
        if let Some(Reserved(permit)) = reserved {
            self._permit = Some(permit);
        }
        self
    }

    /// Returns how many bytes the payload still lacks.
    pub(crate) fn missing(&self) -> usize {
        self.len - self.filled
    }

    /// Appends to the payload and returns the bytes beyond its end.
    pub(crate) fn fill<'a>(&mut self, plain: &'a [u8]) -> &'a [u8] {
        let (ours, rest) = plain.split_at(plain.len().min(self.missing()));
        self.bytes[self.filled..self.filled + ours.len()].copy_from_slice(ours);
        self.filled += ours.len();
        rest
    }
}

impl Deref for PooledBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PooledBuf({} of {} bytes)", self.filled, self.len)
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
    async fn freed_buffer_is_reused() {
        let pool = Pool::new(1 << 20, 1 << 20);
        let first = pool.take(1000).await;
        let place = first.as_ptr();
        drop(first);
        let second = pool.take(900).await;
        assert_eq!((second.as_ptr(), second.len(), second.missing()), (place, 0, 900));
    }

    #[tokio::test]
    async fn filling_ends_with_the_payload() {
        let mut buffer = Pool::new(1 << 20, 0).take(10).await;
        assert_eq!(buffer.fill(b"hello "), b"");
        assert_eq!((&buffer[..], buffer.missing()), (&b"hello "[..], 4));
        assert_eq!(buffer.fill(b"you, and more"), b" and more");
        assert_eq!((&buffer[..], buffer.missing()), (&b"hello you,"[..], 0));
        assert_eq!(buffer.fill(b"more"), b"more");
    }

    #[tokio::test]
    async fn the_shelf_is_bounded() {
        let pool = Pool::new(1 << 20, 1500);
        drop([pool.take(1000).await, pool.take(1000).await]);
        assert_eq!(pool.shelf.free.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn take_waits_until_a_buffer_is_dropped() {
        let pool = Pool::new(64 << 10, 0);
        let held = pool.take(64 << 10).await;
        let mut waiting = Box::pin(pool.take(1));
        assert!(futures_ready(waiting.as_mut()).is_none());
        drop(held);
        assert_eq!(waiting.await.len(), 0);
    }

    #[tokio::test]
    async fn reserved_budget_returns_with_the_buffer() {
        let pool = Pool::new(4 * UNIT_BYTES, 0);
        let mut reserved = pool.try_reserve(2 * UNIT_BYTES).unwrap();
        reserved.merge(pool.try_reserve(2 * UNIT_BYTES).unwrap());
        assert!(pool.try_reserve(1).is_none());
        drop(PooledBuf::unpooled(vec![0]).holding(Some(reserved)));
        assert!(pool.try_reserve(4 * UNIT_BYTES).is_some());
    }

    /// Polls the future once.
    fn futures_ready<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
