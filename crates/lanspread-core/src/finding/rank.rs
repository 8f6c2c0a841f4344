//! Which of a peer's addresses is tried first.
//!
//! A peer with several adapters announces several addresses, and most of the wrong ones swallow packets instead of
//! refusing them. What lies in a network that a real adapter of ours is in, too, comes first; what only a virtual
//! adapter reaches comes last, because half of all gaming PCs have a `172.17.0.0/16` or `192.168.56.0/24` that leads
//! nowhere but into themselves.

use std::net::{IpAddr, SocketAddr};

use lanspread_types::{Adapter, Subnet};

/// Smaller is tried earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// In a network of a real adapter, IPv4.
    Shared,
    /// In a network of a real adapter, IPv6.
    SharedV6,
    /// Of this very machine.
    Loopback,
    /// In no network of ours: a router may know the way.
    Elsewhere,
    /// In a network of a virtual adapter only.
    Virtual,
}

/// The rank of an address, given our own.
pub fn rank(addr: SocketAddr, own: &[Subnet]) -> Rank {
    let ip = addr.ip().to_canonical();
    if ip.is_loopback() {
        return Rank::Loopback;
    }
    let best = own.iter().filter(|net| net.contains(ip)).map(|net| net.adapter).min();
    match (best, ip) {
        (Some(Adapter::Physical), IpAddr::V4(_)) => Rank::Shared,
        (Some(Adapter::Physical), IpAddr::V6(_)) => Rank::SharedV6,
        (Some(Adapter::Virtual | Adapter::Loopback), _) => Rank::Virtual,
        (None, _) => Rank::Elsewhere,
    }
}

/// Whether anybody could listen there, as far as the address itself tells.
pub fn is_dialable(addr: SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(ip: &str, prefix: u8, adapter: Adapter) -> Subnet {
        Subnet { ip: ip.parse().unwrap(), prefix, adapter }
    }

    #[test]
    fn the_shared_network_comes_first_and_virtual_ones_last() {
        let own = [
            net("172.17.0.1", 16, Adapter::Virtual),
            net("192.168.1.7", 24, Adapter::Physical),
            net("fd00::7", 64, Adapter::Physical),
        ];
        let mut addrs: Vec<SocketAddr> =
            ["172.17.0.2:1", "10.8.0.3:1", "[fd00::2]:1", "192.168.1.2:1"].map(|a| a.parse().unwrap()).into();
        addrs.sort_by_key(|&addr| rank(addr, &own));
        let sorted: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["192.168.1.2:1", "[fd00::2]:1", "10.8.0.3:1", "172.17.0.2:1"]);
    }

    #[test]
    fn a_network_on_a_real_adapter_counts_although_a_virtual_one_overlaps() {
        let own = [net("10.0.0.1", 8, Adapter::Virtual), net("10.1.0.1", 16, Adapter::Physical)];
        assert_eq!(rank("10.1.0.9:1".parse().unwrap(), &own), Rank::Shared);
        assert_eq!(rank("10.2.0.9:1".parse().unwrap(), &own), Rank::Virtual);
    }

    #[test]
    fn nobody_listens_at_what_is_no_host() {
        for bad in ["0.0.0.0:1", "224.0.0.251:1", "255.255.255.255:1", "10.0.0.1:0", "[::]:1", "[ff02::fb]:1"]
        {
            assert!(!is_dialable(bad.parse().unwrap()), "{bad}");
        }
        assert!(is_dialable("192.168.1.2:24930".parse().unwrap()));
    }
}
