//! Preamble: the bytes that the dialling side writes before any frame. Frozen for all versions of the protocol.
//!
//! Byte 0 is the role of the connection. On a data connection the dialler's protocol version follows as `u16`,
//! little-endian. On a control connection the hellos carry the versions.

use lanspread_types::limits::PROTOCOL_VERSION;

/// Purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Messages in both directions.
    Control,
    /// Requests from the dialler, answers from the acceptor.
    Data,
}

/// Longest preamble, in bytes.
pub const PREAMBLE_BYTES_MAX: usize = 3;

/// Why the first bytes of a connection are not a preamble of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// There is no role with this number.
    #[error("there is no connection role {0}")]
    UnknownRole(u8),
    /// The data connection is of protocol version `theirs`.
    #[error("the data connection is of protocol version {theirs}, this peer speaks {PROTOCOL_VERSION}")]
    OtherVersion {
        /// Protocol version of the other peer.
        theirs: u16,
    },
}

/// Encodes the preamble of a connection with this role.
pub fn encode(role: Role) -> Vec<u8> {
    match role {
        Role::Control => vec![0],
        Role::Data => {
            let [low, high] = PROTOCOL_VERSION.to_le_bytes();
            vec![1, low, high]
        }
    }
}

/// Decodes the preamble at the front of `bytes` and returns the role and the preamble's length in bytes. Returns
/// `None` if it is not complete yet.
pub fn split(bytes: &[u8]) -> Result<Option<(Role, usize)>, PreambleError> {
    match *bytes {
        [0, ..] => Ok(Some((Role::Control, 1))),
        [1, low, high, ..] => match u16::from_le_bytes([low, high]) {
            PROTOCOL_VERSION => Ok(Some((Role::Data, 3))),
            theirs => Err(PreambleError::OtherVersion { theirs }),
        },
        [] | [1, ..] => Ok(None),
        [role, ..] => Err(PreambleError::UnknownRole(role)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preambles_round_trip() {
        for role in [Role::Control, Role::Data] {
            let mut bytes = encode(role);
            let len = bytes.len();
            assert_eq!(split(&bytes[..len - 1]), Ok(None));
            bytes.push(7);
            assert_eq!(split(&bytes), Ok(Some((role, len))));
        }
    }

    #[test]
    fn other_roles_and_versions_are_refused() {
        assert_eq!(split(&[2]), Err(PreambleError::UnknownRole(2)));
        assert_eq!(split(b"GET / HTTP/1.1"), Err(PreambleError::UnknownRole(b'G')));
        assert_eq!(split(&[1, 1, 1]), Err(PreambleError::OtherVersion { theirs: 257 }));
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(encode(Role::Control), [0]);
        assert_eq!(encode(Role::Data), [1, 5, 0]);
    }
}
