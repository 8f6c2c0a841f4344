//! Bytes on their way to the socket: a queue of segments that are given to rustls shortly before they are written.
//!
//! Encryption runs only a little ahead of the socket, so that the bytes that the system copies are still in the
//! processor's cache, and so that rustls never holds more than [`ENCRYPTED_AHEAD_BYTES`] and one record. Positions
//! count bytes on the wire.

use std::collections::VecDeque;
use std::io;

use tokio::time::Instant;

use crate::limits::{ENCRYPTED_AHEAD_BYTES, WRITE_PROGRESS_BYTES, WRITE_STALL_MAX};

/// Most bytes of content in one record (RFC 8446, section 5.1). rustls fills its records.
const RECORD_PLAIN_BYTES: usize = 1 << 14;
/// Bytes around a record's content: header, type and tag. All TLS 1.3 suites in use have a tag of 16 bytes.
const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 16;
/// Most emptied buffers that are kept for reuse.
const EMPTIED_MAX: usize = 4;
/// Smallest buffer that is worth keeping.
const EMPTIED_BYTES_MIN: usize = 64 << 10;

/// Returns the number of bytes on the wire for this much content in full records.
pub(crate) fn sealed_len(content: usize) -> usize {
    content + content.div_ceil(RECORD_PLAIN_BYTES) * RECORD_OVERHEAD_BYTES
}

/// Send queue of one connection.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Plain bytes.
    segments: VecDeque<Vec<u8>>,
    /// Bytes of the first segment that are encrypted.
    encrypted_of_front: usize,
    /// Wire bytes queued since the beginning.
    queued: u64,
    /// Wire bytes encrypted since the beginning.
    encrypted: u64,
    /// Wire bytes written since the beginning.
    written: u64,
    /// When progress was last noticed, and `written` at that time. `None` while nothing is unsent.
    moved: Option<(Instant, u64)>,
    /// Buffers of encrypted segments, for reuse.
    emptied: Vec<Vec<u8>>,
}

impl Outgoing {
    /// Queues content. Empty content is ignored.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.queued += sealed_len(bytes.len()) as u64;
        self.moved = self.moved.or_else(|| Some((Instant::now(), self.written)));
        self.segments.push_back(bytes);
    }

    /// Returns true if the socket has taken everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued == self.written
    }

    /// Returns the wire bytes that the socket has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        (self.queued - self.written) as usize
    }

    /// Returns the wire bytes queued since the beginning.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// Returns the wire bytes written since the beginning.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Gives content to rustls until [`ENCRYPTED_AHEAD_BYTES`] are ahead of the socket.
    pub(crate) fn encrypt(&mut self, tls: &mut impl io::Write) -> io::Result<()> {
        while self.encrypted - self.written < ENCRYPTED_AHEAD_BYTES as u64 {
            let Some(front) = self.segments.front() else { break };
            let rest = &front[self.encrypted_of_front..];
            let record = &rest[..rest.len().min(RECORD_PLAIN_BYTES)];
            tls.write_all(record)?;
            self.encrypted += sealed_len(record.len()) as u64;
            self.encrypted_of_front += record.len();
            if record.len() == rest.len() {
                self.encrypted_of_front = 0;
                let emptied = self.segments.pop_front().unwrap_or_default();
                if emptied.capacity() >= EMPTIED_BYTES_MIN && self.emptied.len() < EMPTIED_MAX {
                    self.emptied.push(emptied);
                }
            }
        }
        Ok(())
    }

    /// Notes that the socket took `len` bytes, and whether rustls has more for it.
    ///
    /// `len` may include records that rustls sends on its own, such as a key update. They distort the count only until
    /// everything is written.
    pub(crate) fn wrote(&mut self, len: usize, more: bool) {
        self.written = if more { self.encrypted.min(self.written + len as u64) } else { self.encrypted };
        if self.is_empty() {
            self.moved = None;
        } else if self.moved.is_some_and(|(_, before)| self.written - before >= WRITE_PROGRESS_BYTES) {
            self.moved = Some((Instant::now(), self.written));
        }
    }

    /// Returns the buffers of encrypted segments, for reuse.
    pub(crate) fn take_emptied(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.emptied)
    }

    /// Returns when the other side will count as stalled.
    pub(crate) fn stalled_at(&self) -> Option<Instant> {
        self.moved.map(|(at, _)| at + WRITE_STALL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Stands in for rustls: adds the overhead of each record. The test empties it.
    #[derive(Default)]
    struct Records {
        pending: usize,
        plain: Vec<u8>,
    }

    impl Write for Records {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.pending += sealed_len(bytes.len());
            self.plain.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn segments_leave_whole_and_in_order() {
        for step in [1, 16_405, 16_406, 16_407, 100_000, usize::MAX] {
            let (mut outgoing, mut tls) = (Outgoing::default(), Records::default());
            let lens =
                if step == 1 { vec![3, 40_000] } else { vec![1, 16_384, 100, 1 << 20, 16_385, 33_000] };
            let parts: Vec<Vec<u8>> = lens.into_iter().map(content).collect();
            parts.iter().for_each(|part| outgoing.push(part.clone()));
            let mut wire = 0;
            while !outgoing.is_empty() {
                outgoing.encrypt(&mut tls).unwrap();
                assert!(tls.pending < ENCRYPTED_AHEAD_BYTES + sealed_len(RECORD_PLAIN_BYTES));
                let taken = tls.pending.min(step);
                tls.pending -= taken;
                wire += taken as u64;
                outgoing.wrote(taken, tls.pending > 0);
                assert_eq!(outgoing.written(), wire);
            }
            assert_eq!((outgoing.queued(), outgoing.unsent()), (wire, 0));
            assert!(tls.plain == parts.concat(), "portions of {step}");
        }
    }

    #[test]
    fn records_of_rustls_itself_do_not_stay_counted() {
        let (mut outgoing, mut tls) = (Outgoing::default(), Records::default());
        outgoing.push(content(1000));
        outgoing.encrypt(&mut tls).unwrap();
        outgoing.wrote(27 + 500, true);
        outgoing.wrote(522, false);
        assert_eq!((outgoing.written(), outgoing.unsent()), (1022, 0));
        outgoing.wrote(24, false);
        assert_eq!(outgoing.written(), 1022, "an alert after everything");
    }

    #[test]
    fn large_buffers_come_back() {
        let (mut outgoing, mut tls) = (Outgoing::default(), Records::default());
        for len in [100, 100_000] {
            outgoing.push(content(len));
        }
        outgoing.encrypt(&mut tls).unwrap();
        let emptied: Vec<usize> = outgoing.take_emptied().iter().map(Vec::len).collect();
        assert_eq!(emptied, [100_000]);
    }
}
