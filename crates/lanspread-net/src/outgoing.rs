//! Bytes on their way to the socket: a queue of segments that are given to rustls shortly before they are written.
//!
//! Encrypting runs only a little ahead of the socket, so that what the system copies is still in the processor's cache, and
//! so that rustls never holds more than [`ENCRYPTED_AHEAD_BYTES`] and one record.

use std::collections::VecDeque;
use std::io;

use tokio::time::Instant;

use crate::limits::{ENCRYPTED_AHEAD_BYTES, WRITE_PROGRESS_BYTES, WRITE_STALL_MAX};

/// Bytes that a record carries at most (RFC 8446, section 5.1); rustls fills its records.
const RECORD_PLAIN_BYTES: usize = 1 << 14;
/// Bytes around a record's content: head, type and tag. All suites of TLS 1.3 that we speak have a tag of 16 bytes.
const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 16;
/// Buffers that are kept for their owner, and the smallest that is worth it.
const EMPTIED_MAX: usize = 4;
const EMPTIED_BYTES_MIN: usize = 64 << 10;

/// Returns the bytes that this much content takes on the wire, if its records are full.
pub(crate) fn sealed_len(content: usize) -> usize {
    content + content.div_ceil(RECORD_PLAIN_BYTES) * RECORD_OVERHEAD_BYTES
}

#[derive(Default)]
pub(crate) struct Outgoing {
    /// Plain bytes, and how many of the first segment's are encrypted.
    segments: VecDeque<Vec<u8>>,
    encrypted_of_front: usize,
    /// Wire bytes that were queued, encrypted and written since the beginning.
    queued: u64,
    encrypted: u64,
    written: u64,
    /// When the unsent bytes were last found to move, and how much the socket had taken by then.
    moved: Option<(Instant, u64)>,
    emptied: Vec<Vec<u8>>,
}

impl Outgoing {
    /// Queues content. Empty content is nothing.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.queued += sealed_len(bytes.len()) as u64;
        self.moved = self.moved.or_else(|| Some((Instant::now(), self.written)));
        self.segments.push_back(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == self.written
    }

    pub(crate) fn unsent(&self) -> usize {
        (self.queued - self.written) as usize
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Gives as much to rustls as one write takes.
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

    /// Notes that the socket took so many bytes, and whether rustls has more for it.
    ///
    /// What rustls sends on its own account, such as a key update, is counted too; nothing of that remains once
    /// everything is written.
    pub(crate) fn wrote(&mut self, len: usize, more: bool) {
        self.written = if more { self.encrypted.min(self.written + len as u64) } else { self.encrypted };
        if self.is_empty() {
            self.moved = None;
        } else if self.moved.is_some_and(|(_, before)| self.written - before >= WRITE_PROGRESS_BYTES) {
            self.moved = Some((Instant::now(), self.written));
        }
    }

    /// Buffers of segments that are encrypted, for their next use.
    pub(crate) fn take_emptied(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.emptied)
    }

    /// Returns when the other side counts as one that does not read.
    pub(crate) fn stalled_at(&self) -> Option<Instant> {
        self.moved.map(|(at, _)| at + WRITE_STALL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Stands for rustls: adds what a record has around its content, and is emptied by hand.
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
    fn bytes_of_rustls_itself_are_forgotten_at_the_end() {
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
