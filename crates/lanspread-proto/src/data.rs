//! Frames of a data connection: requests of the receiver, and heads of the source's answers.
//!
//! The payload of an answer is not part of a frame: its `len` raw bytes follow the head.

use lanspread_types::limits::{CHUNK_BYTES_MAX, CHUNKS_PER_FOLLOW_MAX, MANIFEST_BYTES_MAX};
use lanspread_types::message::{Request, Response};

use crate::frame::{DecodeError, Frame, Limit, append, fields};
use crate::registry as number;

impl Frame for Request {
    /// A request to follow with 64 chunks needs less than 500 bytes.
    const BYTES_MAX: usize = 1024;

    fn number(&self) -> u8 {
        match self {
            Self::Manifest { .. } => number::REQUEST_MANIFEST,
            Self::Chunk(_) => number::REQUEST_CHUNK,
            Self::Follow(_) => number::REQUEST_FOLLOW,
            Self::Cancel { .. } => number::REQUEST_CANCEL,
        }
    }

    fn check(&self) -> Result<(), Limit> {
        match self {
            Self::Follow(request) => {
                Limit::check("chunks", request.chunks.len(), 1, CHUNKS_PER_FOLLOW_MAX)?;
                let last = request.first.0.checked_add(CHUNKS_PER_FOLLOW_MAX as u64);
                Limit::check("request numbers", usize::from(last.is_none()), 0, 0)
            }
            Self::Manifest { .. } | Self::Chunk(_) | Self::Cancel { .. } => Ok(()),
        }
    }

    fn write(&self, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        match self {
            Self::Manifest { id, game, content } => append(&(id, game, content), out),
            Self::Chunk(request) => append(request, out),
            Self::Follow(request) => append(request, out),
            Self::Cancel { id } => append(id, out),
        }
    }

    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match number {
            number::REQUEST_MANIFEST => {
                let (id, game, content) = fields(number, payload)?;
                Self::Manifest { id, game, content }
            }
            number::REQUEST_CHUNK => Self::Chunk(fields(number, payload)?),
            number::REQUEST_FOLLOW => Self::Follow(fields(number, payload)?),
            number::REQUEST_CANCEL => Self::Cancel { id: fields(number, payload)? },
            unknown => return Err(DecodeError::UnknownFrame(unknown)),
        })
    }
}

impl Frame for Response {
    const BYTES_MAX: usize = 64;

    fn number(&self) -> u8 {
        match self {
            Self::Chunk { .. } => number::RESPONSE_CHUNK,
            Self::Manifest { .. } => number::RESPONSE_MANIFEST,
            Self::Refused { .. } => number::RESPONSE_REFUSED,
        }
    }

    fn check(&self) -> Result<(), Limit> {
        match *self {
            Self::Chunk { len, .. } => {
                Limit::check("bytes of chunk", len as usize, 1, CHUNK_BYTES_MAX as usize)
            }
            Self::Manifest { len, .. } => {
                Limit::check("bytes of manifest", len as usize, 1, MANIFEST_BYTES_MAX)
            }
            Self::Refused { .. } => Ok(()),
        }
    }

    fn write(&self, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        match self {
            Self::Chunk { id, chunk, len } => append(&(id, chunk, len), out),
            Self::Manifest { id, len } => append(&(id, len), out),
            Self::Refused { id, reason } => append(&(id, reason), out),
        }
    }

    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match number {
            number::RESPONSE_CHUNK => {
                let (id, chunk, len) = fields(number, payload)?;
                Self::Chunk { id, chunk, len }
            }
            number::RESPONSE_MANIFEST => {
                let (id, len) = fields(number, payload)?;
                Self::Manifest { id, len }
            }
            number::RESPONSE_REFUSED => {
                let (id, reason) = fields(number, payload)?;
                Self::Refused { id, reason }
            }
            unknown => return Err(DecodeError::UnknownFrame(unknown)),
        })
    }
}
