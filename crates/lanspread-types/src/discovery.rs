//! Words that network and core share about how peers find each other.
//!
//! A [`Sighting`] is hearsay: the peer that answers at its address must still prove the peer id in the TLS handshake.
//! Whom to dial, and when, is decided in `lanspread-core`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{PeerId, PeerName};

/// How this peer learned of another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Means {
    /// A person typed the peer's address.
    Typed,
    /// The peer announced itself by multicast DNS.
    Mdns,
    /// The peer sent a UDP broadcast.
    Broadcast,
    /// A connected peer introduced it.
    Introduced,
    /// The peer was at the last party.
    Remembered,
    /// The peer connected to this one.
    Inbound,
}

impl Means {
    /// Every way, in order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Typed, Self::Mdns, Self::Broadcast, Self::Introduced, Self::Remembered, Self::Inbound];

    /// Returns true for the two ways in which anybody on the network can name a peer to everybody without proof.
    pub const fn is_announced(self) -> bool {
        matches!(self, Self::Mdns | Self::Broadcast)
    }

    /// Returns the name of this way in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Mdns => "mdns",
            Self::Broadcast => "broadcast",
            Self::Introduced => "introduced",
            Self::Remembered => "remembered",
            Self::Inbound => "inbound",
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An announcement of a peer, as it was heard. Nothing in it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Peer that the announcement names.
    pub peer: PeerId,
    /// Name of the peer; absent if the announcement has none.
    pub name: Option<PeerName>,
    /// Protocol version that the peer claims to speak.
    pub protocol: u16,
    /// Addresses where the peer claims to accept connections.
    pub addrs: Vec<SocketAddr>,
    /// How the announcement came.
    pub means: Means,
}

/// A peer of the last party, stored for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    /// Id of the peer.
    pub peer: PeerId,
    /// Name of the peer, if it was known.
    pub name: Option<PeerName>,
    /// Addresses where the peer was reached, the latest one first.
    pub addrs: Vec<SocketAddr>,
}

/// One address of this machine and the network that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
    /// Kind of the network interface that has the address.
    pub adapter: Adapter,
}

/// Kind of a network interface, guessed from its name and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Adapter {
    /// A network card.
    Physical,
    /// A tunnel, or a switch that exists only in this machine: VPN, Hyper-V, WSL, Docker.
    Virtual,
    /// The loopback interface.
    Loopback,
}

impl Subnet {
    /// Returns true if an address lies in this network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.ip, addr) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_addresses_with_its_prefix() {
        let net = |ip: &str, prefix| Subnet { ip: ip.parse().unwrap(), prefix, adapter: Adapter::Physical };
        let holds = |net: Subnet, addr: &str| net.contains(addr.parse().unwrap());
        assert!(holds(net("192.168.1.7", 24), "192.168.1.250"));
        assert!(!holds(net("192.168.1.7", 24), "192.168.2.7"));
        assert!(holds(net("10.1.2.3", 0), "8.8.8.8"), "a prefix of nothing holds everything");
        assert!(!holds(net("10.1.2.3", 32), "10.1.2.4"));
        assert!(holds(net("fd00::1", 64), "fd00::ffff:1"));
        assert!(!holds(net("fd00::1", 64), "fd00:0:0:1::1"));
        assert!(!holds(net("0.0.0.0", 0), "::1"), "families differ");
    }
}
