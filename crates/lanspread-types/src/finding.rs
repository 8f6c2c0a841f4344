//! How peers find each other: the words that the network and the brain share.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{PeerId, PeerName};

/// How a peer came to our knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Means {
    /// Somebody typed its address.
    Typed,
    /// It announced itself by multicast DNS.
    Mdns,
    /// It was heard by UDP broadcast.
    Broadcast,
    /// Another peer introduced it.
    Introduced,
    /// It was here the last time.
    Remembered,
    /// It connected to us.
    Inbound,
}

impl Means {
    pub const ALL: [Self; 6] =
        [Self::Typed, Self::Mdns, Self::Broadcast, Self::Introduced, Self::Remembered, Self::Inbound];

    /// Whether somebody said it to everybody, without any proof.
    pub const fn is_announced(self) -> bool {
        matches!(self, Self::Mdns | Self::Broadcast)
    }

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

/// A peer was heard of. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub peer: PeerId,
    pub name: Option<PeerName>,
    /// The protocol version that it states.
    pub protocol: u16,
    /// Where it says that it accepts connections.
    pub addrs: Vec<SocketAddr>,
    pub means: Means,
}

/// A peer of an earlier party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    pub peer: PeerId,
    pub name: Option<PeerName>,
    /// Where it was reached, the latest address first.
    pub addrs: Vec<SocketAddr>,
}

/// One address of this machine, with the network that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub ip: IpAddr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
    pub adapter: Adapter,
}

/// What an interface most likely is, judged by its name and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Adapter {
    /// A network card.
    Physical,
    /// A tunnel, or a switch that exists in this machine only: VPN, Hyper-V, WSL, Docker.
    Virtual,
    Loopback,
}

impl Subnet {
    /// Whether an address lies in this network.
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
    fn a_network_contains_what_shares_its_prefix() {
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
