//! Frame: `u32` length of what follows (little-endian), one byte of frame number, payload in postcard.
//!
//! The module checks the length against the limit of the kind of frame before it stores anything, and the lengths of
//! lists after decoding. A frame must be used up to its last byte. The frame numbers are in [`crate::registry`].

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

/// Size of the length field, in bytes.
pub const LENGTH_BYTES: usize = 4;

/// A length outside the range that the protocol allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {min} to {max} are allowed, there are {found}")]
pub struct Limit {
    /// What was counted, for example `chunks`.
    pub what: &'static str,
    /// Smallest length allowed.
    pub min: usize,
    /// Largest length allowed.
    pub max: usize,
    /// Length that was found.
    pub found: usize,
}

impl Limit {
    pub(crate) fn check(what: &'static str, found: usize, min: usize, max: usize) -> Result<(), Self> {
        if (min..=max).contains(&found) { Ok(()) } else { Err(Self { what, min, max, found }) }
    }
}

/// Why bytes are not a valid frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame states a length of `stated` bytes, which is 0 or above `max`.
    #[error("a frame of this kind has 1 to {max} bytes after its length, this one states {stated}")]
    Length {
        /// Length that the frame states, in bytes, without the length field.
        stated: u32,
        /// Largest length of a frame of this kind, in bytes, without the length field.
        max: usize,
    },
    /// This kind of connection has no frame with this number.
    #[error("there is no frame {0:#04x} here")]
    UnknownFrame(u8),
    /// The payload cannot be decoded.
    #[error("frame {number:#04x} is malformed: {cause}")]
    Malformed {
        /// Number of the frame in the registry.
        number: u8,
        /// Error of the postcard decoder.
        cause: postcard::Error,
    },
    /// The payload goes on for `bytes` bytes after its last field.
    #[error("frame {number:#04x} has {bytes} bytes too many")]
    Trailing {
        /// Number of the frame in the registry.
        number: u8,
        /// Bytes after the last field.
        bytes: usize,
    },
    /// A list in the payload has a length that the protocol does not allow.
    #[error("frame {number:#04x} exceeds a limit: {limit}")]
    Limit {
        /// Number of the frame in the registry.
        number: u8,
        /// Limit that the list exceeds.
        limit: Limit,
    },
}

/// Why a value cannot be encoded. The fault is always in this program, not in the other peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The frame or manifest would have `bytes` bytes, more than the `max` of its kind.
    #[error("a frame of this kind has at most {max} bytes, this one would have {bytes}")]
    TooLarge {
        /// Length of the whole frame, or of an encoded manifest.
        bytes: usize,
        /// Largest length that is allowed.
        max: usize,
    },
    /// A list in the value has a length that the protocol does not allow.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The encoder failed.
    #[error("the value cannot be encoded: {0}")]
    Postcard(#[from] postcard::Error),
}

/// One kind of frames: the messages of a control connection, the requests of a data connection, or their answers.
pub trait Frame: Sized {
    /// Largest frame of this kind in bytes, length field included.
    const BYTES_MAX: usize;

    /// Returns the frame number in [`crate::registry`].
    fn number(&self) -> u8;

    /// Checks the lengths of the lists in the value.
    fn check(&self) -> Result<(), Limit>;

    /// Appends the payload to `out`.
    fn write(&self, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error>;

    /// Decodes the payload of the frame with this number.
    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError>;
}

/// Encodes one frame, length field included.
pub fn encode<T: Frame>(value: &T) -> Result<Vec<u8>, EncodeError> {
    value.check()?;
    let bytes = value.write(vec![0, 0, 0, 0, value.number()])?;
    finish(bytes, T::BYTES_MAX)
}

/// Fills in the length field in front of a frame.
pub(crate) fn finish(mut bytes: Vec<u8>, max: usize) -> Result<Vec<u8>, EncodeError> {
    let too_large = EncodeError::TooLarge { bytes: bytes.len(), max };
    if bytes.len() > max {
        return Err(too_large);
    }
    let length = u32::try_from(bytes.len() - LENGTH_BYTES).map_err(|_| too_large)?;
    bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Decodes the first frame in `bytes` and returns it with its length in bytes. Returns `None` if the frame is not
/// complete yet.
pub fn split<T: Frame>(bytes: &[u8]) -> Result<Option<(T, usize)>, DecodeError> {
    let Some(raw) = RawFrame::split(bytes, T::BYTES_MAX)? else { return Ok(None) };
    let value = T::read(raw.number, raw.payload)?;
    value.check().map_err(|limit| DecodeError::Limit { number: raw.number, limit })?;
    Ok(Some((value, raw.len)))
}

/// A frame whose payload is not decoded yet.
pub(crate) struct RawFrame<'a> {
    pub number: u8,
    pub payload: &'a [u8],
    /// Length of the whole frame, in bytes.
    pub len: usize,
}

impl<'a> RawFrame<'a> {
    pub(crate) fn split(bytes: &'a [u8], max: usize) -> Result<Option<Self>, DecodeError> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let stated = u32::from_le_bytes(*length);
        let max = max - LENGTH_BYTES;
        let length = usize::try_from(stated).unwrap_or(usize::MAX);
        if length == 0 || length > max {
            return Err(DecodeError::Length { stated, max });
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        Ok(Some(Self { number: body[0], payload: &body[1..], len: LENGTH_BYTES + length }))
    }
}

/// Decodes a payload that consists of exactly these fields.
pub(crate) fn fields<T: DeserializeOwned>(number: u8, payload: &[u8]) -> Result<T, DecodeError> {
    let read = postcard::take_from_bytes(payload);
    let (value, rest) = read.map_err(|cause| DecodeError::Malformed { number, cause })?;
    match rest.len() {
        0 => Ok(value),
        bytes => Err(DecodeError::Trailing { number, bytes }),
    }
}

/// Appends fields to `out`, encoded in postcard.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(value, out)
}

/// Cuts a stream of bytes into frames of one kind.
///
/// It holds at most the bytes that were pushed since `next` last returned `None`, and less than one frame besides.
/// After an error the stream has no more frames: every further call returns the same error.
#[derive(Debug)]
pub struct Decoder<T> {
    buffer: Vec<u8>,
    /// Number of bytes at the front of the buffer that are already decoded.
    used: usize,
    failed: Option<DecodeError>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Default for Decoder<T> {
    fn default() -> Self {
        Self { buffer: Vec::new(), used: 0, failed: None, kind: PhantomData }
    }
}

impl<T: Frame> Decoder<T> {
    /// Makes a decoder for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they arrive. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Decodes the next frame, or returns `None` if it is not complete yet.
    #[expect(clippy::should_implement_trait, reason = "it is no iterator: `None` means not yet")]
    pub fn next(&mut self) -> Result<Option<T>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match split(&self.buffer[self.used..]) {
            Ok(Some((value, len))) => {
                self.used += len;
                Ok(Some(value))
            }
            Ok(None) => {
                self.buffer.drain(..self.used);
                self.used = 0;
                // Without this, one burst would keep its memory for the life of the connection.
                self.buffer.shrink_to(T::BYTES_MAX);
                Ok(None)
            }
            Err(error) => {
                (self.buffer, self.used) = (Vec::new(), 0);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Returns the number of bytes that are held and not decoded yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_above_the_limit_are_not_encoded() {
        assert_eq!(finish(vec![7; 10], 10), Ok(vec![6, 0, 0, 0, 7, 7, 7, 7, 7, 7]));
        assert_eq!(finish(vec![7; 11], 10), Err(EncodeError::TooLarge { bytes: 11, max: 10 }));
        assert_eq!(finish(vec![7; 12], 10), Err(EncodeError::TooLarge { bytes: 12, max: 10 }));
    }

    #[test]
    fn overlong_frame_is_refused_by_its_length_field() {
        let split = |bytes: &[u8]| RawFrame::split(bytes, 10).map(|raw| raw.map(|raw| raw.len));
        assert_eq!(split(&[6, 0, 0, 0, 1, 0, 0, 0, 0, 0]), Ok(Some(10)));
        assert_eq!(split(&[6, 0, 0, 0, 1, 0, 0, 0, 0]), Ok(None));
        assert_eq!(split(&[7, 0, 0, 0]), Err(DecodeError::Length { stated: 7, max: 6 }));
    }
}
