//! Hello: the first frame of each side on a control connection.
//!
//! Its beginning is frozen for all versions of the protocol, so that peers of different versions can learn each
//! other's version and listening port: frame number [`registry::HELLO`], seven bytes `LANSPRD`, then protocol version
//! and listening port as `u16`, little-endian. The rest belongs to the version. In this version it is, in postcard,
//! name and program of an open peer, or the name of a closed party. A guest of a closed party says no more before the
//! other side has proved that it knows the passphrase (`crate::party`).

use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Hello;
use lanspread_types::{PartyName, PeerName};
use serde::{Deserialize, Serialize};

use crate::frame::{DecodeError, EncodeError, Limit, RawFrame, append, fields, finish};
use crate::registry;

/// First bytes of the payload. Frozen.
pub const MAGIC: [u8; 7] = *b"LANSPRD";
/// Largest hello of any version in bytes, length field included. Frozen.
pub const HELLO_FRAME_BYTES_MAX: usize = 1024;
/// Longest name of a program with its version, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 128;

/// Content of a first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// The sender is an open peer and speaks this version.
    Hello(Hello),
    /// The sender belongs to the closed party `party` and speaks this version.
    Closed {
        /// TCP port on which the sender listens.
        listen_port: u16,
        /// Name of the closed party.
        party: PartyName,
    },
    /// The sender speaks another version. More cannot be known.
    OtherVersion {
        /// Protocol version of the sender.
        protocol: u16,
        /// TCP port on which the sender listens.
        listen_port: u16,
    },
}

/// Why the first bytes of a control connection are not a hello.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The bytes are not a hello of any version.
    #[error("the first frame is not a hello")]
    NotAHello,
    /// The part that belongs to this version cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Part of the hello that belongs to this version.
#[derive(Serialize, Deserialize)]
enum Opening {
    Open(PeerName, String),
    Closed(PartyName),
}

/// Encodes the hello of an open peer.
pub fn encode(hello: &Hello) -> Result<Vec<u8>, EncodeError> {
    Limit::check("bytes of program", hello.program.len(), 0, PROGRAM_BYTES_MAX)?;
    let opening = Opening::Open(hello.name.clone(), hello.program.clone());
    write(hello.protocol, hello.listen_port, &opening)
}

/// Encodes the hello of a guest of a closed party.
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

/// Decodes the hello at the front of `bytes` and returns it with its length in bytes. Returns `None` if it is not
/// complete yet.
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
