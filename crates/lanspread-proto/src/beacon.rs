//! Beacon: the datagram by which a peer announces itself where multicast does not pass.
//!
//! `LSPB`, one byte of format version, one byte of flags, protocol version and listening port as `u16`, the 32 bytes
//! of the peer id, one byte of name length, the name in UTF-8. Integers are little-endian, and the whole has at most
//! [`BEACON_BYTES_MAX`] bytes. Everything up to the peer id is frozen for all formats, so that peers of any two
//! versions can name each other. A reader ignores the bytes after the fields that it knows.

use lanspread_types::limits::BEACON_BYTES_MAX;
use lanspread_types::{PeerId, PeerName};

/// First bytes of every beacon.
pub const MAGIC: [u8; 4] = *b"LSPB";
/// Format version that this crate writes.
pub const FORMAT: u8 = 1;

const ASKS: u8 = 0b01;
const LEAVES: u8 = 0b10;

/// Content of a beacon. Nothing in it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// Id that the sender claims to have.
    pub peer: PeerId,
    /// Protocol version of the sender.
    pub protocol: u16,
    /// Port on which the sender accepts connections, at the address that the datagram comes from; 0 if it accepts
    /// none.
    pub listen_port: u16,
    /// True if receivers should send their own beacons soon.
    pub asks: bool,
    /// True if the sender leaves the network.
    pub leaves: bool,
    /// Name of the sender; absent if it states none.
    pub name: Option<PeerName>,
}

/// Why a datagram is not a beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// The datagram has more than [`BEACON_BYTES_MAX`] bytes.
    #[error("it is too long for a beacon")]
    TooLong,
    /// The datagram does not begin with [`MAGIC`].
    #[error("it does not begin like a beacon")]
    NotABeacon,
    /// The datagram ends before the peer id does.
    #[error("it is shorter than a beacon")]
    TooShort,
}

/// Encodes a beacon. It always fits, because a name has at most 64 bytes.
pub fn encode(beacon: &Beacon) -> Vec<u8> {
    let name = beacon.name.as_ref().map_or("", PeerName::as_str).as_bytes();
    let mut bytes = Vec::with_capacity(BEACON_BYTES_MAX);
    bytes.extend_from_slice(&MAGIC);
    bytes.push(FORMAT);
    bytes.push(if beacon.asks { ASKS } else { 0 } | if beacon.leaves { LEAVES } else { 0 });
    bytes.extend_from_slice(&beacon.protocol.to_le_bytes());
    bytes.extend_from_slice(&beacon.listen_port.to_le_bytes());
    bytes.extend_from_slice(&beacon.peer.0);
    bytes.push(u8::try_from(name.len()).unwrap_or(0));
    bytes.extend_from_slice(name);
    bytes
}

/// Decodes a datagram. If the name is missing, cut off or not valid, the beacon has no name, and the rest still
/// counts.
pub fn decode(bytes: &[u8]) -> Result<Beacon, BeaconError> {
    if bytes.len() > BEACON_BYTES_MAX {
        return Err(BeaconError::TooLong);
    }
    let rest = bytes.strip_prefix(&MAGIC).ok_or(BeaconError::NotABeacon)?;
    let Some((&[_, flags, v0, v1, p0, p1], rest)) = rest.split_first_chunk() else {
        return Err(BeaconError::TooShort);
    };
    let (id, rest) = rest.split_first_chunk::<32>().ok_or(BeaconError::TooShort)?;
    Ok(Beacon {
        peer: PeerId(*id),
        protocol: u16::from_le_bytes([v0, v1]),
        listen_port: u16::from_le_bytes([p0, p1]),
        asks: flags & ASKS != 0,
        leaves: flags & LEAVES != 0,
        name: name_in(rest),
    })
}

fn name_in(rest: &[u8]) -> Option<PeerName> {
    let (&len, rest) = rest.split_first()?;
    let name = std::str::from_utf8(rest.get(..usize::from(len))?).ok()?;
    PeerName::new(name).ok()
}
