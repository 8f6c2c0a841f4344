//! An address that can be told to others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address at which a listener on `bound` can be reached: `bound` itself, unless it listens on all addresses; then
/// the host's address on its way out or, without one, the loopback address.
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

/// Which own address the system would send from. Connecting a UDP socket sends nothing; the target is an address that
/// is reserved for documentation (RFC 5737, RFC 3849).
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
    fn an_address_stays_and_all_addresses_become_one() {
        let own: SocketAddr = "127.3.2.1:77".parse().unwrap();
        assert_eq!(reachable(own), own);
        for all in ["0.0.0.0:77", "[::]:77"] {
            let told = reachable(all.parse().unwrap());
            assert!(!told.ip().is_unspecified());
            assert_eq!(told.port(), 77);
        }
    }
}
