//! Frames by which two peers of a closed party prove to each other that they know the passphrase.
//!
//! They come between the hellos and the first message of a control connection. After the proof both peers introduce
//! themselves with [`PartyFrame::Welcome`]. This module owns the bytes; the proof itself is computed in
//! `lanspread-net`.

use lanspread_types::PeerName;
use serde::{Deserialize, Serialize};

use crate::frame::{DecodeError, Frame, Limit, append, fields};
use crate::hello::PROGRAM_BYTES_MAX;
use crate::registry as number;

/// Size of a SPAKE2 message in bytes: one for the side, 32 for a compressed point of Edwards25519.
pub const SHARE_BYTES: usize = 33;

/// Frame between the hellos and the first message of a closed party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartyFrame {
    /// Sender's half of the key exchange.
    Share([u8; SHARE_BYTES]),
    /// Proof that the sender has the same key and so the same passphrase.
    Confirm([u8; 32]),
    /// Introduction of the sender, with what an open peer says in its hello.
    Welcome {
        /// Name of the sender, for people.
        name: PeerName,
        /// Program of the sender with its version, for people; at most [`PROGRAM_BYTES_MAX`] bytes.
        program: String,
    },
    /// Last frame to a peer that the sender does not let in.
    Rejected(Rejection),
}

/// Why the sender does not let the other peer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The proof failed: the passphrases differ.
    WrongPassPhrase,
    /// Too many wrong passphrases came lately, so the sender did not look at this one.
    TooManyTries,
}

impl Frame for PartyFrame {
    const BYTES_MAX: usize = 256;

    fn number(&self) -> u8 {
        match self {
            Self::Share(_) => number::PARTY_SHARE,
            Self::Confirm(_) => number::PARTY_CONFIRM,
            Self::Welcome { .. } => number::PARTY_WELCOME,
            Self::Rejected(_) => number::PARTY_REJECTED,
        }
    }

    fn check(&self) -> Result<(), Limit> {
        match self {
            Self::Welcome { program, .. } => {
                Limit::check("bytes of program", program.len(), 0, PROGRAM_BYTES_MAX)
            }
            Self::Share(_) | Self::Confirm(_) | Self::Rejected(_) => Ok(()),
        }
    }

    fn write(&self, mut out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        match self {
            Self::Share(share) => out.extend_from_slice(share),
            Self::Confirm(tag) => out.extend_from_slice(tag),
            Self::Welcome { name, program } => return append(&(name, program), out),
            Self::Rejected(why) => return append(why, out),
        }
        Ok(out)
    }

    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match number {
            number::PARTY_SHARE => Self::Share(exactly(number, payload)?),
            number::PARTY_CONFIRM => Self::Confirm(exactly(number, payload)?),
            number::PARTY_WELCOME => {
                let (name, program) = fields(number, payload)?;
                Self::Welcome { name, program }
            }
            number::PARTY_REJECTED => Self::Rejected(fields(number, payload)?),
            unknown => return Err(DecodeError::UnknownFrame(unknown)),
        })
    }
}

/// Reads a payload of exactly `N` bytes.
fn exactly<const N: usize>(number: u8, payload: &[u8]) -> Result<[u8; N], DecodeError> {
    let (bytes, trailing) = payload
        .split_first_chunk()
        .ok_or(DecodeError::Malformed { number, cause: postcard::Error::DeserializeUnexpectedEnd })?;
    match trailing.len() {
        0 => Ok(*bytes),
        bytes => Err(DecodeError::Trailing { number, bytes }),
    }
}
