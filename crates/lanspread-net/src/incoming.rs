//! Where bytes from the socket land, and are opened in place: a small buffer for messages, and the buffer of a payload
//! for its bytes, so that these are never copied.

use crate::limits::PAYLOAD_READ_BYTES;
use crate::pool::PooledBuf;
use crate::record::{
    HEAD_BYTES, Key, Kind, PLAIN_BYTES, RECORD_BYTES_MAX, RecordError, record_len, sealed_len,
};

/// Bytes from the socket that are not yet opened.
pub(crate) struct Incoming {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Incoming {
    /// At least one whole record fits.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes.max(2 * PLAIN_BYTES)].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(crate) fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    pub(crate) fn discard(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Room for the socket to write into; never empty, because what is unread is less than a record whenever more is
    /// asked for.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    pub(crate) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Opens the next record, if it is there in full.
    pub(crate) fn open(&mut self, key: &mut Key) -> Result<Option<(Kind, &[u8])>, RecordError> {
        let unread = &mut self.buffer[self.start..self.end];
        let Some(len) = record_len(unread)?.filter(|len| *len <= unread.len()) else { return Ok(None) };
        let start = self.start;
        let (kind, content) = key.open(&mut unread[..len], 0)?;
        self.discard(len);
        Ok(Some((kind, &self.buffer[start..start + content])))
    }
}

/// A payload that is being received.
///
/// Its buffer holds what is opened, a gap, and what is not yet opened. Records are opened into the gap; they are longer
/// than their content, so the gap only grows. The socket is never asked for more than surely belongs to the payload or
/// to the record that has begun, so nothing is left when the payload is whole.
#[derive(Debug)]
pub(crate) struct Landing {
    buffer: PooledBuf,
    /// Length of the payload.
    len: usize,
    opened: usize,
    start: usize,
    end: usize,
}

/// What became of a record that was opened.
#[derive(Debug, PartialEq)]
pub(crate) enum Landed {
    /// It was part of the payload.
    Payload,
    /// It was the end of the payload, and these bytes came after.
    Beyond(Vec<u8>),
    /// It is something else.
    Other(Kind, Vec<u8>),
    /// It is not there in full.
    Incomplete,
}

impl Landing {
    /// Size of the buffer that a payload lands in.
    pub(crate) fn buffer_len(payload: usize) -> usize {
        sealed_len(payload) + RECORD_BYTES_MAX + HEAD_BYTES
    }

    /// `len` is the payload's length.
    pub(crate) fn new(mut buffer: PooledBuf, len: usize) -> Self {
        buffer.prepare(Self::buffer_len(len));
        Self { buffer, len, opened: 0, start: 0, end: 0 }
    }

    pub(crate) fn missing(&self) -> usize {
        self.len - self.opened
    }

    /// Takes bytes that were opened elsewhere, before anything landed here, and returns those that are too many.
    pub(crate) fn put<'a>(&mut self, plain: &'a [u8]) -> &'a [u8] {
        let (ours, rest) = plain.split_at(plain.len().min(self.missing()));
        self.buffer.room()[self.opened..self.opened + ours.len()].copy_from_slice(ours);
        self.opened += ours.len();
        (self.start, self.end) = (self.opened, self.opened);
        rest
    }

    /// Goes on after the beginning of a record.
    pub(crate) fn adopt(&mut self, record: &mut Incoming) {
        let begun = record.unread();
        self.buffer.room()[self.end..self.end + begun.len()].copy_from_slice(begun);
        self.end += begun.len();
        record.clear();
    }

    /// Room for the socket to write into; never empty while bytes are missing.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let Self { buffer, len, opened, start, end } = self;
        let buffer = buffer.room();
        let begun = *end - *start;
        // No sender needs fewer bytes for the rest than full records take.
        let rest = sealed_len(*len - *opened).saturating_sub(begun);
        let record = match record_len(&buffer[*start..*end]) {
            Ok(Some(record)) => record.saturating_sub(begun),
            // An error is found again when the record is opened.
            Ok(None) | Err(_) => HEAD_BYTES.saturating_sub(begun),
        };
        let wanted = rest.max(record).clamp(1, PAYLOAD_READ_BYTES);
        if buffer.len() - *end < wanted {
            // Only if records are much smaller than they could be.
            buffer.copy_within(*start..*end, *opened);
            (*start, *end) = (*opened, *opened + begun);
        }
        let room = &mut buffer[*end..];
        let room_len = room.len();
        &mut room[..wanted.min(room_len)]
    }

    pub(crate) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Opens the next record.
    pub(crate) fn open(&mut self, key: &mut Key) -> Result<Landed, RecordError> {
        let Self { buffer, len, opened, start, end } = self;
        let buffer = buffer.room();
        let Some(record) = record_len(&buffer[*start..*end])?.filter(|record| *record <= *end - *start)
        else {
            return Ok(Landed::Incomplete);
        };
        let (kind, content) = key.open(&mut buffer[*opened..*start + record], *start - *opened)?;
        *start += record;
        let content = *opened..*opened + content;
        Ok(match kind {
            Kind::Data if content.end > *len => {
                let beyond = buffer[*len..content.end].to_vec();
                *opened = *len;
                Landed::Beyond(beyond)
            }
            Kind::Data => {
                *opened = content.end;
                Landed::Payload
            }
            other => Landed::Other(other, buffer[content].to_vec()),
        })
    }

    /// The payload, once nothing is missing.
    pub(crate) fn finish(self) -> PooledBuf {
        debug_assert!(self.missing() == 0 && self.start == self.end, "{self:?}");
        let mut buffer = self.buffer;
        buffer.set_len(self.len);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::{keys, sealed};

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[1]).collect()
    }

    /// Receives `payload`, whose sender put `before` bytes of it elsewhere and made records of these sizes of the rest and
    /// what follows, over a socket that gives portions of these sizes. Returns what is left over, plain and on the wire.
    fn receive(
        payload: &[u8],
        before: usize,
        sizes: &[usize],
        portions: &[usize],
        after: &[u8],
    ) -> (Vec<u8>, usize) {
        let [mut ours, mut theirs] = keys();
        let plain = [&payload[before..], after].concat();
        let mut wire = Vec::new();
        let (mut rest, mut sizes) = (&plain[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let (record, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            wire.extend(sealed(&mut ours, Kind::Data, record));
            rest = behind;
        }
        let mut landing = Landing::new(PooledBuf::unpooled(Vec::new()), payload.len());
        assert!(landing.put(&payload[..before]).is_empty());
        let (mut wire, mut portions) = (&wire[..], portions.iter().cycle());
        let mut beyond = Vec::new();
        while landing.missing() > 0 {
            match landing.open(&mut theirs).unwrap() {
                Landed::Payload => {}
                Landed::Beyond(bytes) => beyond = bytes,
                Landed::Other(..) => panic!("no other records were sent"),
                Landed::Incomplete => {
                    let room = landing.room();
                    let len = room.len().min(wire.len()).min(*portions.next().unwrap());
                    assert!(len > 0, "there is room, and there are bytes");
                    room[..len].copy_from_slice(&wire[..len]);
                    landing.filled(len);
                    wire = &wire[len..];
                }
            }
        }
        assert!(*landing.finish() == *payload);
        (beyond, wire.len())
    }

    #[test]
    fn a_payload_in_full_records_ends_exactly() {
        let payload = bytes(300_000);
        let (beyond, left) = receive(&payload, 0, &[PLAIN_BYTES], &[usize::MAX], b"");
        assert_eq!((beyond.len(), left), (0, 0));
    }

    #[test]
    fn tiny_records_fit_as_well() {
        let payload = bytes(50_000);
        let (beyond, _) = receive(&payload, 7, &[1], &[usize::MAX], b"next");
        assert_eq!(beyond, b"");
    }

    #[test]
    fn what_follows_in_the_last_record_is_kept() {
        let payload = bytes(20_000);
        let (beyond, left) = receive(&payload, 0, &[PLAIN_BYTES], &[usize::MAX], b"the next head");
        assert_eq!((&beyond[..], left), (&b"the next head"[..], 0));
    }

    #[test]
    fn other_records_leave_no_trace() {
        let [mut ours, mut theirs] = keys();
        let mut landing = Landing::new(PooledBuf::unpooled(Vec::new()), 10);
        for (kind, content) in [(Kind::Data, &b"hello"[..]), (Kind::Alert, &[1, 90]), (Kind::Data, b"world")]
        {
            let record = sealed(&mut ours, kind, content);
            landing.room()[..record.len()].copy_from_slice(&record);
            landing.filled(record.len());
            match landing.open(&mut theirs).unwrap() {
                Landed::Payload => assert_eq!(kind, Kind::Data),
                Landed::Other(other, bytes) => assert_eq!((other, &bytes[..]), (kind, content)),
                unexpected => panic!("{unexpected:?}"),
            }
        }
        assert_eq!(&*landing.finish(), b"helloworld");
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_bytes(
            len in 1_usize..100_000,
            before in 0_usize..2_000,
            sizes in proptest::collection::vec(1_usize..=PLAIN_BYTES, 1..8),
            portions in proptest::collection::vec(1_usize..300_000, 1..8),
            after in 0_usize..40_000,
        ) {
            let (payload, after) = (bytes(len), bytes(after));
            let (beyond, _) = receive(&payload, before.min(len), &sizes, &portions, &after);
            prop_assert!(after.starts_with(&beyond));
        }
    }
}
