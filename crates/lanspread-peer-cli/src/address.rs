//! The address under which this peer can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Returns an address at which other hosts reach a listener on `bound`.
///
/// This is `bound` itself unless it is the unspecified address. In that case it is the address that the host sends
/// from or, if there is none, the loopback address.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let ip = match bound.ip() {
        IpAddr::V4(_) => outward((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into())
            .unwrap_or(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => {
            let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            outward((Ipv6Addr::UNSPECIFIED, 0).into(), (documentation, 9).into())
                .unwrap_or(Ipv6Addr::LOCALHOST.into())
        }
    };
    SocketAddr::new(ip, bound.port())
}

/// Returns the local address that the system would send from.
///
/// Connecting a UDP socket sends nothing. The target is an address reserved for documentation (RFC 5737, RFC 3849).
fn outward(from: SocketAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_becomes_a_specific_one() {
        let own: SocketAddr = "127.3.2.1:77".parse().unwrap();
        assert_eq!(reachable(own), own);
        for all in ["0.0.0.0:77", "[::]:77"] {
            let told = reachable(all.parse().unwrap());
            assert!(!told.ip().is_unspecified());
            assert_eq!(told.port(), 77);
        }
    }
}
