//! The order in which a peer's addresses are tried, and which addresses are worth a dial.
//!
//! A peer with several adapters announces several addresses, and most of the wrong ones swallow packets instead of
//! refusing them. Addresses in a network of one of our real adapters come first. Addresses that only a virtual
//! adapter reaches come last, because half of all gaming PCs have a `172.17.0.0/16` or `192.168.56.0/24` that leads
//! nowhere but into themselves.

use std::net::{IpAddr, SocketAddr};

use lanspread_types::{Adapter, Subnet};

use crate::limits::INTRODUCED_PORT_MIN;

/// Rank of an address; smaller ranks are tried earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// IPv4, in a network of a real adapter.
    Shared,
    /// IPv6, in a network of a real adapter.
    SharedV6,
    /// On this machine.
    Loopback,
    /// In no network of ours; a router may know the way.
    Elsewhere,
    /// Only in a network of a virtual adapter.
    Virtual,
}

/// Returns the rank of an address, given our own networks.
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

/// Returns true if a listener can exist at this address, judging by the address alone.
pub fn is_dialable(addr: SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Returns true if an introduced address is worth a dial.
///
/// It must be in a network of ours, in the introducer's network, or in a range that is private or local by its
/// standard (RFC 1918, 3927, 4193, 6598). Other addresses are outside the party, and a stranger must not be able to
/// make us dial them; the same holds for ports of other services.
pub fn is_plausible(addr: SocketAddr, introducer: Option<IpAddr>, own: &[Subnet]) -> bool {
    let ip = addr.ip().to_canonical();
    if !is_dialable(addr) || addr.port() < INTRODUCED_PORT_MIN || is_broadcast_of(ip, own) {
        return false;
    }
    if ip.is_loopback() {
        return introducer.is_some_and(|by| by.is_loopback());
    }
    let local = match ip {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    local || own.iter().any(|net| net.contains(ip)) || introducer.is_some_and(|by| is_beside(by, ip))
}

/// Returns true if two addresses share a /24 (IPv4) or a /64 (IPv6).
fn is_beside(a: IpAddr, b: IpAddr) -> bool {
    let ip = a.to_canonical();
    let prefix = if ip.is_ipv4() { 24 } else { 64 };
    Subnet { ip, prefix, adapter: Adapter::Physical }.contains(b)
}

/// Returns true for the broadcast address of a network of ours.
fn is_broadcast_of(ip: IpAddr, own: &[Subnet]) -> bool {
    own.iter().any(|net| match (net.ip, ip) {
        (IpAddr::V4(_), IpAddr::V4(v4)) if net.prefix < 31 && net.contains(ip) => {
            let host = u32::MAX.checked_shr(u32::from(net.prefix)).unwrap_or(0);
            v4.to_bits() & host == host
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(ip: &str, prefix: u8, adapter: Adapter) -> Subnet {
        Subnet { ip: ip.parse().unwrap(), prefix, adapter }
    }

    #[test]
    fn shared_network_is_first_and_virtual_last() {
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
    fn real_adapter_beats_overlapping_virtual_one() {
        let own = [net("10.0.0.1", 8, Adapter::Virtual), net("10.1.0.1", 16, Adapter::Physical)];
        assert_eq!(rank("10.1.0.9:1".parse().unwrap(), &own), Rank::Shared);
        assert_eq!(rank("10.2.0.9:1".parse().unwrap(), &own), Rank::Virtual);
    }

    #[test]
    fn introduced_addresses_must_be_local() {
        let own = [net("203.0.113.7", 24, Adapter::Physical), net("192.168.1.7", 24, Adapter::Physical)];
        let by: IpAddr = "198.51.100.4".parse().unwrap();
        let ok = |addr: &str| is_plausible(addr.parse().unwrap(), Some(by), &own);
        for good in [
            "192.168.1.2:24930",
            "10.8.0.3:24930",
            "172.16.0.9:1024",
            "169.254.3.4:4000",
            "100.64.1.1:24930",
            "203.0.113.9:24930",
            "198.51.100.77:24930",
            "[fd00::2]:24930",
        ] {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "8.8.8.8:24930",
            "[2001:db8::1]:24930",
            "192.168.1.2:22",
            "192.168.1.2:1023",
            "192.168.1.255:24930",
            "127.0.0.1:24930",
            "224.0.0.251:5353",
            "100.128.0.1:24930",
            "192.168.1.2:0",
        ] {
            assert!(!ok(bad), "{bad}");
        }
        let near = Some("127.0.0.2".parse().unwrap());
        assert!(is_plausible("127.0.0.1:24930".parse().unwrap(), near, &own));
    }

    #[test]
    fn non_host_addresses_are_not_dialable() {
        for bad in ["0.0.0.0:1", "224.0.0.251:1", "255.255.255.255:1", "10.0.0.1:0", "[::]:1", "[ff02::fb]:1"]
        {
            assert!(!is_dialable(bad.parse().unwrap()), "{bad}");
        }
        assert!(is_dialable("192.168.1.2:24930".parse().unwrap()));
    }
}
