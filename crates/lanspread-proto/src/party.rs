//! What the two ends of a control connection of a closed party say to each other before anything else: each proves to
//! the other that it knows the pass phrase, then they introduce themselves. How the proof is computed is the network
//! crate's concern; here are its bytes.

use lanspread_types::PeerName;
use serde::{Deserialize, Serialize};

use crate::frame::{DecodeError, Frame, Limit, append, fields};
use crate::hello::PROGRAM_BYTES_MAX;
use crate::registry as number;

/// A SPAKE2 message: one byte for the side, a compressed point of Edwards25519.
pub const SHARE_BYTES: usize = 33;

/// A frame between the hellos and the first message of a closed party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartyFrame {
    /// The sender's half of the key exchange.
    Share([u8; SHARE_BYTES]),
    /// Shows that the sender has the same key, hence the same pass phrase.
    Confirm([u8; 32]),
    /// What an open peer says in its hello.
    Welcome { name: PeerName, program: String },
    /// The last frame to whom the sender does not let in.
    Rejected(Rejection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    WrongPassPhrase,
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

/// A payload that is so many bytes and nothing else.
fn exactly<const N: usize>(number: u8, payload: &[u8]) -> Result<[u8; N], DecodeError> {
    let (bytes, trailing) = payload
        .split_first_chunk()
        .ok_or(DecodeError::Malformed { number, cause: postcard::Error::DeserializeUnexpectedEnd })?;
    match trailing.len() {
        0 => Ok(*bytes),
        bytes => Err(DecodeError::Trailing { number, bytes }),
    }
}
