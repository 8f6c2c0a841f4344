//! The hello: first frame of each side on a control connection.
//!
//! Its beginning is frozen for all versions of the protocol, so that peers of different versions can name each
//! other's version and find each other's listener: frame number [`registry::HELLO`], seven bytes `LANSPRD`, the
//! protocol version and the listening port as `u16`, little-endian. What follows belongs to the version: in this one,
//! in postcard, name and program of an open peer, or the name of a closed party, whose guests say no more until the
//! other side has proved that it knows the pass phrase (`crate::party`).

use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Hello;
use lanspread_types::{PartyName, PeerName};
use serde::{Deserialize, Serialize};

use crate::frame::{DecodeError, EncodeError, Limit, RawFrame, append, fields, finish};
use crate::registry;

/// Frozen first bytes of the payload.
pub const MAGIC: [u8; 7] = *b"LANSPRD";
/// Largest hello of any version in bytes, length field included. Frozen.
pub const HELLO_FRAME_BYTES_MAX: usize = 1024;
/// Longest description of the program, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 128;

/// What a first frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// The sender speaks our version.
    Hello(Hello),
    /// The sender speaks our version and belongs to a closed party.
    Closed { listen_port: u16, party: PartyName },
    /// The sender speaks another one; more cannot be known.
    OtherVersion { protocol: u16, listen_port: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    #[error("the first frame is not a hello")]
    NotAHello,
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// What belongs to this version.
#[derive(Serialize, Deserialize)]
enum Opening {
    Open(PeerName, String),
    Closed(PartyName),
}

/// Writes the hello of an open peer.
pub fn encode(hello: &Hello) -> Result<Vec<u8>, EncodeError> {
    Limit::check("bytes of program", hello.program.len(), 0, PROGRAM_BYTES_MAX)?;
    let opening = Opening::Open(hello.name.clone(), hello.program.clone());
    write(hello.protocol, hello.listen_port, &opening)
}

/// Writes the hello of a guest of a closed party.
pub fn encode_closed(protocol: u16, listen_port: u16, party: &PartyName) -> Result<Vec<u8>, EncodeError> {
    write(protocol, listen_port, &Opening::Closed(party.clone()))
}

fn write(protocol: u16, listen_port: u16, opening: &Opening) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0, 0, 0, 0, registry::HELLO];
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&protocol.to_le_bytes());
    bytes.extend_from_slice(&listen_port.to_le_bytes());
    finish(append(opening, bytes)?, HELLO_FRAME_BYTES_MAX)
}

/// Takes a hello from the front of `bytes` and tells how many bytes it took; `None` while bytes are missing.
pub fn split(bytes: &[u8]) -> Result<Option<(Greeting, usize)>, HelloError> {
    let raw = RawFrame::split(bytes, HELLO_FRAME_BYTES_MAX).map_err(|_| HelloError::NotAHello)?;
    let Some(raw) = raw else { return Ok(None) };
    let frozen = raw.payload.strip_prefix(&MAGIC).filter(|_| raw.number == registry::HELLO);
    let Some(&[v0, v1, p0, p1, ref rest @ ..]) = frozen else { return Err(HelloError::NotAHello) };
    let (protocol, listen_port) = (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([p0, p1]));
    if protocol != PROTOCOL_VERSION {
        return Ok(Some((Greeting::OtherVersion { protocol, listen_port }, raw.len)));
    }
    let greeting = match fields(raw.number, rest)? {
        Opening::Closed(party) => Greeting::Closed { listen_port, party },
        Opening::Open(name, program) => {
            let limit = Limit::check("bytes of program", program.len(), 0, PROGRAM_BYTES_MAX);
            limit.map_err(|limit| DecodeError::Limit { number: raw.number, limit })?;
            Greeting::Hello(Hello { protocol, name, listen_port, program })
        }
    };
    Ok(Some((greeting, raw.len)))
}
