//! Records of TLS 1.3 once the handshake is done (RFC 8446, section 5): sealed and opened in place, with the keys that
//! rustls has agreed on.
//!
//! Why not rustls itself: it passes each record through an allocation of its own, and copies it twice on either side.
//! Here the cipher writes where the bytes belong: ring opens a record and moves it to its place in one pass. Which keys,
//! and the next ones after a key update, is rustls' concern (its `kernel` module, made for such use); which bytes are
//! to be sealed is that of the stream.

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;

/// A record carries up to this much.
pub(crate) const PLAIN_BYTES: usize = 1 << 14;
/// Type, version and length, in the clear.
pub(crate) const HEAD_BYTES: usize = 5;
/// The true type, and the tag. All suites of TLS 1.3 that we speak have a tag of this length.
pub(crate) const TAIL_BYTES: usize = 1 + TAG_BYTES;
pub(crate) const OVERHEAD_BYTES: usize = HEAD_BYTES + TAIL_BYTES;
/// The longest record that may come: others may pad (section 5.2).
pub(crate) const RECORD_BYTES_MAX: usize = HEAD_BYTES + PLAIN_BYTES + 256;

const TAG_BYTES: usize = 16;
const IV_BYTES: usize = 12;
/// What every sealed record poses as (section 5.2).
const DISGUISE: u8 = 23;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record was not sealed with the agreed key")]
    Forged,
    #[error("a record is not well-formed")]
    Malformed,
    #[error("a record of a kind that does not belong here")]
    Unexpected,
    #[error("it reports a fault of TLS, number {0}")]
    Alert(u8),
    #[error("the agreed keys cannot be used")]
    Keys,
}

/// What a record holds (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Alert,
    Handshake,
    Data,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }

    fn from_number(number: u8) -> Result<Self, RecordError> {
        [Self::Alert, Self::Handshake, Self::Data]
            .into_iter()
            .find(|kind| kind.number() == number)
            .ok_or(RecordError::Unexpected)
    }
}

/// What stands around the content of a sealed record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rim {
    pub(crate) head: [u8; HEAD_BYTES],
    pub(crate) tail: [u8; TAIL_BYTES],
}

/// The key of one direction, and how many records it has served.
pub(crate) struct Key {
    key: LessSafeKey,
    iv: [u8; IV_BYTES],
    sequence: u64,
}

impl Key {
    pub(crate) fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, RecordError> {
        let build = |algorithm: &'static Algorithm, key: &[u8], iv: &[u8]| {
            let key = UnboundKey::new(algorithm, key).map_err(|_| RecordError::Keys)?;
            let iv = iv.try_into().map_err(|_| RecordError::Keys)?;
            Ok(Self { key: LessSafeKey::new(key), iv, sequence })
        };
        match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => build(&AES_128_GCM, key.as_ref(), iv.as_ref()),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => build(&AES_256_GCM, key.as_ref(), iv.as_ref()),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                build(&CHACHA20_POLY1305, key.as_ref(), iv.as_ref())
            }
            _ => Err(RecordError::Keys),
        }
    }

    /// The number of the record, over the end of the IV (section 5.3). Each is used once: the number then counts on.
    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[IV_BYTES - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        // 2^64 records are out of reach; keys are changed far earlier.
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals all but the last byte of `content` in place. The last byte is only borrowed, and stays as it was.
    pub(crate) fn seal(&mut self, kind: Kind, content: &mut [u8]) -> Result<Rim, RecordError> {
        let (Some(&borrowed), last) = (content.last(), content.len().wrapping_sub(1)) else {
            return Err(RecordError::Malformed);
        };
        if last > PLAIN_BYTES {
            return Err(RecordError::Malformed);
        }
        let [high, low] = ((last + TAIL_BYTES) as u16).to_be_bytes();
        let head = [DISGUISE, 3, 3, high, low];
        content[last] = kind.number();
        let nonce = self.next_nonce();
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(head), content);
        let tag = sealed.map_err(|_| RecordError::Keys)?;
        let mut tail = [0; TAIL_BYTES];
        tail[0] = std::mem::replace(&mut content[last], borrowed);
        tail[1..].copy_from_slice(tag.as_ref());
        Ok(Rim { head, tail })
    }

    /// Opens the record that fills `bytes` from `at` on, and moves its content to the beginning of `bytes`. Tells what
    /// it is and how long.
    pub(crate) fn open(&mut self, bytes: &mut [u8], at: usize) -> Result<(Kind, usize), RecordError> {
        let head = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEAD_BYTES>).copied();
        let head = head.ok_or(RecordError::Malformed)?;
        let nonce = self.next_nonce();
        let opened = self.key.open_within(nonce, Aad::from(head), bytes, at + HEAD_BYTES..);
        let plain = opened.map_err(|_| RecordError::Forged)?;
        // Zeros may follow the type (section 5.4).
        let last = plain.iter().rposition(|byte| *byte != 0).ok_or(RecordError::Malformed)?;
        if last > PLAIN_BYTES {
            return Err(RecordError::Malformed);
        }
        Ok((Kind::from_number(plain[last])?, last))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// Length of the record that begins here, once its head is there.
pub(crate) fn record_len(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let Some(&[kind, _, _, high, low]) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let len = HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
    match kind {
        DISGUISE if (OVERHEAD_BYTES..=RECORD_BYTES_MAX).contains(&len) => Ok(Some(len)),
        DISGUISE => Err(RecordError::Malformed),
        _ => Err(RecordError::Unexpected),
    }
}

/// Bytes that this much content takes when it is sealed.
pub(crate) fn sealed_len(content: usize) -> usize {
    content + content.div_ceil(PLAIN_BYTES) * OVERHEAD_BYTES
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two equal keys, for the two ends of a direction.
    pub(crate) fn keys() -> [Key; 2] {
        [(); 2].map(|()| Key {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).unwrap()),
            iv: [3; IV_BYTES],
            sequence: 0,
        })
    }

    /// A sealed record as it goes over the wire.
    pub(crate) fn sealed(key: &mut Key, kind: Kind, content: &[u8]) -> Vec<u8> {
        let mut bytes = [content, &[0]].concat();
        let Rim { head, tail } = key.seal(kind, &mut bytes).unwrap();
        [&head[..], &bytes[..content.len()], &tail].concat()
    }

    #[test]
    fn what_is_sealed_opens_once_in_order_and_anywhere() {
        let [mut ours, mut theirs] = keys();
        for (number, len) in [0, 1, 15, 16, 17, 1000, PLAIN_BYTES].into_iter().enumerate() {
            let content: Vec<u8> = (0..len).map(|i| (i * 7 + number) as u8).collect();
            let record = sealed(&mut ours, Kind::Data, &content);
            assert_eq!(record_len(&record).unwrap(), Some(record.len()));
            assert_eq!(record.len(), len + OVERHEAD_BYTES);
            let gap = number * 5;
            let mut bytes = [&vec![0xEE; gap], &record[..]].concat();
            assert_eq!(theirs.open(&mut bytes, gap).unwrap(), (Kind::Data, len));
            assert_eq!(bytes[..len], content, "{len} bytes, moved by {gap}");
        }
        let record = sealed(&mut ours, Kind::Alert, &[1, 0]);
        assert!(matches!(theirs.open(&mut record.clone(), 0), Ok((Kind::Alert, 2))));
        assert!(matches!(theirs.open(&mut record.clone(), 0), Err(RecordError::Forged)), "a second time");
    }

    #[test]
    fn one_wrong_bit_anywhere_is_found() {
        let record = sealed(&mut keys()[0], Kind::Data, &[5; 100]);
        for at in 0..record.len() {
            let mut bytes = record.clone();
            bytes[at] ^= 0x10;
            assert!(matches!(keys()[1].open(&mut bytes, 0), Err(RecordError::Forged)), "byte {at}");
        }
    }

    #[test]
    fn sealing_borrows_the_byte_behind() {
        let mut bytes = *b"abcdefgh!";
        keys()[0].seal(Kind::Data, &mut bytes).unwrap();
        assert_eq!(bytes[8], b'!');
        assert_ne!(&bytes[..8], b"abcdefgh");
    }

    #[test]
    fn heads_are_bounded() {
        assert_eq!(record_len(&[23, 3, 3, 0]).unwrap(), None);
        assert!(matches!(record_len(&[23, 3, 3, 0, 16]), Err(RecordError::Malformed)));
        assert!(matches!(record_len(&[23, 3, 3, 0x41, 1]), Err(RecordError::Malformed)));
        assert!(matches!(record_len(&[22, 3, 3, 0, 50]), Err(RecordError::Unexpected)));
    }

    #[test]
    fn all_zeros_are_no_record() {
        let [mut ours, mut theirs] = keys();
        let mut bytes = vec![0; 20 + HEAD_BYTES];
        let head = [DISGUISE, 3, 3, 0, 36];
        bytes[..HEAD_BYTES].copy_from_slice(&head);
        let nonce = ours.next_nonce();
        let tag = ours.key.seal_in_place_separate_tag(nonce, Aad::from(head), &mut bytes[HEAD_BYTES..]);
        bytes.extend(tag.unwrap().as_ref());
        assert!(matches!(theirs.open(&mut bytes, 0), Err(RecordError::Malformed)));
    }
}
