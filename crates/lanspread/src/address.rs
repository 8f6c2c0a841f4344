//! Parses addresses as people type them, and names the port that `lanspread` uses by default.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use lanspread_api::{ErrorBody, ErrorCode};

/// Port that `lanspread` listens on by default: one fixed port, so that a firewall rule can name it. IANA has
/// assigned none of the ports 24923 to 24999. They lie below those that Linux (from 32768), Windows and macOS (from
/// 49152) give to outgoing connections, and away from the ports that games are known to use.
pub const DEFAULT_PORT: u16 = 24930;

/// Resolves `192.168.0.7`, `192.168.0.7:7777`, `fe80::1`, `[fe80::1]:7777`, `ada.local` or `ada.local:7777`. Prefers
/// IPv4, because people read IPv4 addresses to each other. Returns [`ErrorCode::InvalidAddress`] for text that does
/// not parse or a name that does not resolve.
pub fn resolve(text: &str) -> Result<SocketAddr, ErrorBody> {
    let text = text.trim();
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(addr);
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, DEFAULT_PORT));
    }
    let invalid =
        |why: String| ErrorBody::new(ErrorCode::InvalidAddress, format!("{text:?} is not an address: {why}"));
    // Windows resolves an empty name to its own machine.
    if text.is_empty() || text.starts_with(':') {
        return Err(invalid("the name is missing".to_owned()));
    }
    let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:{DEFAULT_PORT}") };
    let mut found: Vec<SocketAddr> =
        with_port.to_socket_addrs().map_err(|e| invalid(e.to_string()))?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.into_iter().next().ok_or_else(|| invalid("the name has none".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_a_port() {
        for (text, addr) in [
            ("192.168.0.7", "192.168.0.7:24930"),
            (" 192.168.0.7:7777 ", "192.168.0.7:7777"),
            ("fe80::1", "[fe80::1]:24930"),
            ("[fe80::1]", "[fe80::1]:24930"),
            ("[fe80::1]:7777", "[fe80::1]:7777"),
        ] {
            assert_eq!(resolve(text), Ok(addr.parse().unwrap()), "{text}");
        }
        for bad in ["", ":7777", "192.168.0.7:", "192.168.0.7:99999", "no such name"] {
            assert_eq!(resolve(bad).map_err(|e| e.code), Err(ErrorCode::InvalidAddress), "{bad}");
        }
    }
}
