//! An answer on its way to the socket, and why a link ends.

use std::fmt;
use std::io;

use lanspread_types::message::Response;

use crate::tls::tls_stream::StreamError;

/// Source of a payload's bytes. Calls may block; they come one at a time, with rising offsets, on a blocking thread.
pub trait PayloadSource: Send {
    /// Fills `buf` with the bytes from `offset` on, counted from the start of the payload. After an error no further
    /// call comes.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// Payload behind the head of an answer.
pub(crate) enum Body {
    /// No payload: a refusal.
    None,
    /// Bytes in memory.
    Bytes(Box<dyn AsRef<[u8]> + Send + Sync>),
    /// Bytes that are read when their turn comes.
    Source(Box<dyn PayloadSource>),
    /// The reader's thread has the source.
    Reading,
}

/// An answer, as the endpoint's caller gives it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response,
    pub(crate) body: Body,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", (**bytes).as_ref().len()),
            Self::Source(_) | Self::Reading => f.write_str("Source"),
        }
    }
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnd {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("{0}")]
    Decode(#[from] lanspread_proto::DecodeError),
    /// Too many open requests, or an id that is already in use.
    #[error("too many open requests, or a duplicate request id")]
    Requests,
    /// A request was not complete within `REQUEST_TIME_MAX`.
    #[error("incomplete request")]
    HalfRequest,
    /// No request came for `LINK_IDLE_MAX`.
    #[error("idle timeout")]
    Idle,
    #[error("a file could not be read: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Encode(#[from] lanspread_proto::EncodeError),
    #[error("this peer closed it")]
    Local,
}
