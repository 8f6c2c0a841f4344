//! Unit of the limits per address: an IPv4 address or an IPv6 network.
//!
//! A host can take any number of IPv6 addresses in its network, so a limit per IPv6 address would limit nobody. The
//! unit is therefore the /64 that a router hands out (RFC 4291, section 2.5.4). Honest peers may share one.

use std::net::{IpAddr, Ipv6Addr};

/// Where a connection comes from: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// Returns the origin of an address. An IPv4-mapped IPv6 address counts as IPv4, and `::1` stays one address.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into()
            }
            other => other,
        })
    }

    /// Returns the IPv4 address, or the first address of the network.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// Returns true if connections come from this machine.
    pub fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }

    /// Returns true for a whole IPv6 network, which honest peers may share.
    pub fn is_network(&self) -> bool {
        self.0.is_ipv6() && !self.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    #[test]
    fn ipv6_counts_by_network_ipv4_by_address() {
        assert_eq!(origin("2001:db8:0:7::1"), origin("2001:db8:0:7:ffff:ffff:ffff:ffff"));
        assert_ne!(origin("2001:db8:0:7::1"), origin("2001:db8:0:8::1"));
        assert_eq!(origin("fe80::1"), origin("fe80::2"));
        assert_ne!(origin("10.0.0.1"), origin("10.0.0.2"));
    }

    #[test]
    fn mapped_ipv4_counts_as_ipv4() {
        assert_eq!(origin("::ffff:10.0.0.1"), origin("10.0.0.1"));
        assert_ne!(origin("::ffff:10.0.0.1"), origin("::ffff:10.0.0.2"));
        assert!(origin("::ffff:127.0.0.1").is_loopback());
    }

    #[test]
    fn loopback_is_no_network() {
        assert!(origin("::1").is_loopback() && !origin("::1").is_network());
        assert!(origin("fe80::1").is_network() && !origin("10.0.0.1").is_network());
    }
}
