//! Bytes on their way to the socket: a queue of segments, each sealed in place shortly before it is written.
//!
//! A record's content stays where it was read to; what TLS puts around it lies beside it, and one vectored write takes
//! both. Sealing runs only a little ahead of the socket, so that what the system copies is still in the cache.

use std::collections::VecDeque;
use std::io::IoSlice;

use tokio::time::Instant;

use crate::limits::{SEALED_AHEAD_BYTES, WRITE_PROGRESS_BYTES, WRITE_STALL_MAX};
use crate::record::{HEAD_BYTES, Key, Kind, PLAIN_BYTES, RecordError, Rim, TAIL_BYTES, sealed_len};

/// Pieces of one write: three for each of 16 records, which is [`SEALED_AHEAD_BYTES`].
const PIECES: usize = 48;
/// Buffers that are kept for their owner, and the smallest that is worth it.
const EMPTIED_MAX: usize = 4;
const EMPTIED_BYTES_MIN: usize = 64 << 10;

#[derive(Default)]
pub(crate) struct Outgoing {
    segments: VecDeque<Segment>,
    /// Wire bytes queued and written since the beginning.
    queued: u64,
    written: u64,
    /// When the unsent bytes were last found to move, and how much the socket had taken by then.
    moved: Option<(Instant, u64)>,
    emptied: Vec<Vec<u8>>,
}

struct Segment {
    kind: Kind,
    /// The content, and one byte more that sealing borrows.
    bytes: Vec<u8>,
    /// Of the records that are sealed.
    rims: Vec<Rim>,
    /// Wire bytes that are written.
    sent: usize,
    /// The records after this segment are sealed with the next key.
    ends_key: bool,
}

impl Segment {
    fn content_len(&self) -> usize {
        self.bytes.len() - 1
    }

    fn wire_len(&self) -> usize {
        sealed_len(self.content_len())
    }

    fn is_sealed(&self) -> bool {
        self.rims.len() == self.content_len().div_ceil(PLAIN_BYTES)
    }

    /// Wire bytes that are sealed and not written.
    fn ready(&self) -> usize {
        sealed_len((self.rims.len() * PLAIN_BYTES).min(self.content_len())) - self.sent
    }

    fn seal_record(&mut self, key: &mut Key) -> Result<(), RecordError> {
        let start = self.rims.len() * PLAIN_BYTES;
        let end = (start + PLAIN_BYTES).min(self.content_len());
        self.rims.push(key.seal(self.kind, &mut self.bytes[start..=end])?);
        Ok(())
    }

    /// The pieces of what is ready.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let record = HEAD_BYTES + PLAIN_BYTES + TAIL_BYTES;
        let first = self.sent / record;
        let mut skip = self.sent % record;
        let records = self.rims.iter().enumerate().skip(first).flat_map(|(at, rim)| {
            let start = at * PLAIN_BYTES;
            let end = (start + PLAIN_BYTES).min(self.content_len());
            [&rim.head[..], &self.bytes[start..end], &rim.tail[..]]
        });
        records.filter_map(move |piece| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            Some(&piece[skipped..]).filter(|piece| !piece.is_empty())
        })
    }
}

impl Outgoing {
    /// Queues content, without its last byte, which is only room. Empty content is nothing.
    pub(crate) fn push(&mut self, kind: Kind, bytes: Vec<u8>, ends_key: bool) {
        if bytes.len() < 2 {
            return;
        }
        let rims = Vec::with_capacity((bytes.len() - 1).div_ceil(PLAIN_BYTES));
        let segment = Segment { kind, bytes, rims, sent: 0, ends_key };
        self.queued += segment.wire_len() as u64;
        self.moved = self.moved.or_else(|| Some((Instant::now(), self.written)));
        self.segments.push_back(segment);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
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

    /// Seals as much as one write takes. `next_key` is asked for the key after one that has ended.
    pub(crate) fn seal(
        &mut self,
        key: &mut Key,
        mut next_key: impl FnMut() -> Result<Key, RecordError>,
    ) -> Result<(), RecordError> {
        let mut ready = 0;
        for segment in &mut self.segments {
            while !segment.is_sealed() {
                if ready + segment.ready() >= SEALED_AHEAD_BYTES {
                    return Ok(());
                }
                segment.seal_record(key)?;
                if segment.ends_key && segment.is_sealed() {
                    *key = next_key()?;
                }
            }
            ready += segment.ready();
        }
        Ok(())
    }

    /// Has `write` take what is sealed, and notes how much it took.
    pub(crate) fn write<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.segments.iter().flat_map(Segment::pieces)) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        let written = write(&slices[..count])?;
        self.sent(written);
        Ok(())
    }

    fn sent(&mut self, mut len: usize) {
        self.written += len as u64;
        while let Some(front) = self.segments.front_mut() {
            let of_front = len.min(front.ready());
            front.sent += of_front;
            len -= of_front;
            if front.sent < front.wire_len() {
                break;
            }
            let emptied = self.segments.pop_front().map(|segment| segment.bytes).unwrap_or_default();
            if emptied.capacity() >= EMPTIED_BYTES_MIN && self.emptied.len() < EMPTIED_MAX {
                self.emptied.push(emptied);
            }
        }
        if self.is_empty() {
            self.moved = None;
        } else if self.moved.is_some_and(|(_, before)| self.written - before >= WRITE_PROGRESS_BYTES) {
            self.moved = Some((Instant::now(), self.written));
        }
    }

    /// Buffers of segments that are written, for their next use.
    pub(crate) fn take_emptied(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.emptied)
    }

    /// When the other side counts as one that does not read.
    pub(crate) fn stalled_at(&self) -> Option<Instant> {
        self.moved.map(|(at, _)| at + WRITE_STALL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::record::record_len;
    use crate::record::tests::keys;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    fn push(outgoing: &mut Outgoing, content: &[u8], ends_key: bool) {
        outgoing.push(Kind::Data, [content, &[0]].concat(), ends_key);
    }

    /// Writes everything in portions of `step` bytes.
    fn drain(outgoing: &mut Outgoing, key: &mut Key, step: usize) -> Vec<u8> {
        let mut wire = Vec::new();
        while !outgoing.is_empty() {
            outgoing.seal(key, || Err(RecordError::Keys)).unwrap();
            let write = |slices: &[IoSlice<'_>]| {
                let bytes: Vec<u8> =
                    slices.iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
                wire.extend_from_slice(&bytes);
                Ok::<_, Infallible>(bytes.len())
            };
            outgoing.write(write).unwrap();
        }
        wire
    }

    fn open_all(mut wire: Vec<u8>, key: &mut Key) -> Vec<u8> {
        let mut plain = Vec::new();
        while let Some(len) = record_len(&wire).unwrap() {
            let (_, content) = key.open(&mut wire[..len], 0).unwrap();
            plain.extend_from_slice(&wire[..content]);
            wire.drain(..len);
        }
        plain
    }

    #[test]
    fn segments_arrive_whole_however_the_socket_takes_them() {
        for step in [1, 22, 16_405, 16_406, 16_407, 100_000, usize::MAX] {
            let [mut ours, mut theirs] = keys();
            let mut outgoing = Outgoing::default();
            let lens =
                if step == 1 { vec![3, 40_000] } else { vec![1, 16_384, 100, 1 << 20, 16_385, 33_000] };
            let parts: Vec<Vec<u8>> = lens.into_iter().map(content).collect();
            parts.iter().for_each(|part| push(&mut outgoing, part, false));
            let wire = drain(&mut outgoing, &mut ours, step);
            assert_eq!((outgoing.queued(), outgoing.unsent()), (wire.len() as u64, 0));
            assert_eq!(outgoing.written(), outgoing.queued());
            assert!(open_all(wire, &mut theirs) == parts.concat(), "portions of {step}");
        }
    }

    #[test]
    fn sealing_runs_only_a_little_ahead() {
        let [mut key, _] = keys();
        let mut outgoing = Outgoing::default();
        push(&mut outgoing, &content(4 << 20), false);
        outgoing.seal(&mut key, || Err(RecordError::Keys)).unwrap();
        let ready = outgoing.segments[0].ready();
        assert!((SEALED_AHEAD_BYTES..SEALED_AHEAD_BYTES + 2 * PLAIN_BYTES).contains(&ready), "{ready}");
    }

    #[test]
    fn the_next_key_comes_right_after_the_segment_that_ends_one() {
        let [mut ours, mut theirs] = keys();
        let [next, mut their_next] = keys();
        let mut outgoing = Outgoing::default();
        push(&mut outgoing, &content(20_000), true);
        push(&mut outgoing, b"after", false);
        let mut next = Some(next);
        outgoing.seal(&mut ours, || next.take().ok_or(RecordError::Keys)).unwrap();
        let wire = drain(&mut outgoing, &mut ours, usize::MAX);
        let (first, second) = wire.split_at(sealed_len(20_000));
        assert_eq!(open_all(first.to_vec(), &mut theirs), content(20_000));
        assert_eq!(open_all(second.to_vec(), &mut their_next), b"after");
    }

    #[test]
    fn large_buffers_come_back() {
        let [mut key, _] = keys();
        let mut outgoing = Outgoing::default();
        for len in [100, 1 << 20] {
            push(&mut outgoing, &content(len), false);
        }
        drain(&mut outgoing, &mut key, usize::MAX);
        let emptied: Vec<usize> = outgoing.take_emptied().iter().map(Vec::len).collect();
        assert_eq!(emptied, [(1 << 20) + 1]);
    }
}
