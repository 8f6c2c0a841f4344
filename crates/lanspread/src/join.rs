//! A program that was handed out knows whom to join: the address stands in its file's name.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

const PREFIX: &str = "lanspread-join-";

/// What the file is called that joins this peer. File names have no colons: those of IPv6 become `_`.
pub fn file_name(peer: SocketAddr) -> String {
    let ip = peer.ip().to_string().replace(':', "_");
    format!("{PREFIX}{ip}-{}{}", peer.port(), std::env::consts::EXE_SUFFIX)
}

/// Whom a program with this file name is to join. Browsers add ` (1)` to a name that is there already.
pub fn address_in(program: &Path) -> Option<SocketAddr> {
    let name = program.file_name()?.to_str()?;
    let name = name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name);
    let name = name.split([' ', '(']).next()?;
    let (ip, port) = name.strip_prefix(PREFIX)?.rsplit_once('-')?;
    let ip: IpAddr = ip.replace('_', ":").parse().ok()?;
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_whom_to_join() {
        for text in ["192.168.0.7:24930", "[fe80::1]:7777"] {
            let addr: SocketAddr = text.parse().unwrap();
            let name = file_name(addr);
            assert!(!name.contains(':'), "{name}");
            assert_eq!(address_in(Path::new(&name)), Some(addr));
        }
        let again = format!("lanspread-join-10.0.0.1-7 (1){}", std::env::consts::EXE_SUFFIX);
        assert_eq!(address_in(Path::new(&again)), Some("10.0.0.1:7".parse().unwrap()));
        for none in ["lanspread", "lanspread-join-", "lanspread-join-x-1", "lanspread-join-10.0.0.1-99999"] {
            assert_eq!(address_in(Path::new(none)), None, "{none}");
        }
    }
}
