//! The frame: `u32` length of what follows (little-endian), one byte of frame number, payload in postcard.
//!
//! The length is checked against the limit of the kind of frame before anything is stored, and list lengths are
//! checked against their limits after decoding. A frame must be used up to its last byte.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

/// Bytes of the length field.
pub const LENGTH_BYTES: usize = 4;

/// A list that is longer than the protocol allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {min} to {max} are allowed, there are {found}")]
pub struct Limit {
    pub what: &'static str,
    pub min: usize,
    pub max: usize,
    pub found: usize,
}

impl Limit {
    pub(crate) fn check(what: &'static str, found: usize, min: usize, max: usize) -> Result<(), Self> {
        if (min..=max).contains(&found) { Ok(()) } else { Err(Self { what, min, max, found }) }
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a frame of this kind has 1 to {max} bytes after its length, this one states {stated}")]
    Length { stated: u32, max: usize },
    #[error("there is no frame {0:#04x} here")]
    UnknownFrame(u8),
    #[error("frame {number:#04x} is malformed: {cause}")]
    Malformed { number: u8, cause: postcard::Error },
    #[error("frame {number:#04x} has {bytes} bytes too many")]
    Trailing { number: u8, bytes: usize },
    #[error("frame {number:#04x} exceeds a limit: {limit}")]
    Limit { number: u8, limit: Limit },
}

/// Why a value cannot be written: the sender, not the peer, is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("a frame of this kind has at most {max} bytes, this one would have {bytes}")]
    TooLarge { bytes: usize, max: usize },
    #[error(transparent)]
    Limit(#[from] Limit),
    #[error("the value cannot be encoded: {0}")]
    Postcard(#[from] postcard::Error),
}

/// A kind of frame: the messages of a control connection, the requests of a data connection or the answers.
pub trait Frame: Sized {
    /// Largest frame of this kind in bytes, length field included.
    const BYTES_MAX: usize;

    /// The number that [`crate::registry`] gives it.
    fn number(&self) -> u8;

    /// Checks the lengths of the lists inside.
    fn check(&self) -> Result<(), Limit>;

    /// Appends the payload.
    fn write(&self, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error>;

    /// Reads the payload of the frame with this number.
    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError>;
}

/// Writes one frame.
pub fn encode<T: Frame>(value: &T) -> Result<Vec<u8>, EncodeError> {
    value.check()?;
    let bytes = value.write(vec![0, 0, 0, 0, value.number()])?;
    finish(bytes, T::BYTES_MAX)
}

/// Puts the length in front of what was written after it.
pub(crate) fn finish(mut bytes: Vec<u8>, max: usize) -> Result<Vec<u8>, EncodeError> {
    let too_large = EncodeError::TooLarge { bytes: bytes.len(), max };
    if bytes.len() > max {
        return Err(too_large);
    }
    let length = u32::try_from(bytes.len() - LENGTH_BYTES).map_err(|_| too_large)?;
    bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Takes the first frame from `bytes` and tells how many bytes it took; `None` while bytes are missing.
pub fn split<T: Frame>(bytes: &[u8]) -> Result<Option<(T, usize)>, DecodeError> {
    let Some(raw) = RawFrame::split(bytes, T::BYTES_MAX)? else { return Ok(None) };
    let value = T::read(raw.number, raw.payload)?;
    value.check().map_err(|limit| DecodeError::Limit { number: raw.number, limit })?;
    Ok(Some((value, raw.len)))
}

/// A frame whose payload is not yet understood.
pub(crate) struct RawFrame<'a> {
    pub number: u8,
    pub payload: &'a [u8],
    /// Length of the whole frame.
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

/// Reads a payload that consists of exactly these fields.
pub(crate) fn fields<T: DeserializeOwned>(number: u8, payload: &[u8]) -> Result<T, DecodeError> {
    let read = postcard::take_from_bytes(payload);
    let (value, rest) = read.map_err(|cause| DecodeError::Malformed { number, cause })?;
    match rest.len() {
        0 => Ok(value),
        bytes => Err(DecodeError::Trailing { number, bytes }),
    }
}

/// Appends fields in postcard.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(value, out)
}

/// Cuts a stream of bytes into frames of one kind.
///
/// Holds at most what was pushed since the last `next` that returned `None`, and less than one frame besides. After
/// an error the stream has no more frames: every further call returns the same error.
#[derive(Debug)]
pub struct Decoder<T> {
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are already decoded.
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
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they come from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame, or `None` while bytes are missing.
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
                // A burst shall not hold its memory for the life of the connection.
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

    /// Bytes that are held and not yet decoded.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_may_be_as_large_as_its_kind_allows_and_no_larger() {
        assert_eq!(finish(vec![7; 10], 10), Ok(vec![6, 0, 0, 0, 7, 7, 7, 7, 7, 7]));
        assert_eq!(finish(vec![7; 11], 10), Err(EncodeError::TooLarge { bytes: 11, max: 10 }));
        assert_eq!(finish(vec![7; 12], 10), Err(EncodeError::TooLarge { bytes: 12, max: 10 }));
    }

    #[test]
    fn a_frame_that_states_more_than_its_kind_allows_is_refused_before_it_is_there() {
        let split = |bytes: &[u8]| RawFrame::split(bytes, 10).map(|raw| raw.map(|raw| raw.len));
        assert_eq!(split(&[6, 0, 0, 0, 1, 0, 0, 0, 0, 0]), Ok(Some(10)));
        assert_eq!(split(&[6, 0, 0, 0, 1, 0, 0, 0, 0]), Ok(None));
        assert_eq!(split(&[7, 0, 0, 0]), Err(DecodeError::Length { stated: 7, max: 6 }));
    }
}
