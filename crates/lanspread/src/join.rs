//! Invitation in a program's file name: the address of the peer to join and, optionally, the organiser of its party.
//!
//! Anyone who hands out a program can write any key into its name, so the organiser is only a suggestion that the
//! guest must confirm.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use lanspread_types::CatalogKey;

const PREFIX: &str = "lanspread-join-";

/// Peer that a handed-out program joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    /// Address of the inviting peer.
    pub peer: SocketAddr,
    /// Organiser of the party, as the file name claims; not trusted yet.
    pub organiser: Option<CatalogKey>,
}

impl Joining {
    /// Returns the file name of a program that joins this peer. File names must not contain colons, so those of IPv6
    /// addresses become `_`.
    pub fn file_name(&self) -> String {
        let ip = self.peer.ip().to_string().replace(':', "_");
        let key = self.organiser.map(|key| format!("-{key}")).unwrap_or_default();
        format!("{PREFIX}{ip}-{}{key}{}", self.peer.port(), std::env::consts::EXE_SUFFIX)
    }

    /// Reads the peer to join from a program's file name. Ignores the ` (1)` that browsers add to a duplicate name.
    pub fn from_name(program: &Path) -> Option<Self> {
        let name = program.file_name()?.to_str()?;
        let name = name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name);
        let name = name.split([' ', '(']).next()?;
        let mut parts = name.strip_prefix(PREFIX)?.split('-');
        let ip: IpAddr = parts.next()?.replace('_', ":").parse().ok()?;
        let peer = SocketAddr::new(ip, parts.next()?.parse().ok()?);
        let organiser = parts.next().map(str::parse).transpose().ok()?;
        parts.next().is_none().then_some(Self { peer, organiser })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_holds_peer_and_organiser() {
        for text in ["192.168.0.7:24930", "[fe80::1]:7777"] {
            for organiser in [None, Some(CatalogKey([7; 32]))] {
                let joining = Joining { peer: text.parse().unwrap(), organiser };
                let name = joining.file_name();
                assert!(!name.contains(':') && name.len() < 160, "{name}");
                assert_eq!(Joining::from_name(Path::new(&name)), Some(joining));
            }
        }
        let again = format!("lanspread-join-10.0.0.1-7 (1){}", std::env::consts::EXE_SUFFIX);
        let joining = Joining::from_name(Path::new(&again)).unwrap();
        assert_eq!(joining, Joining { peer: "10.0.0.1:7".parse().unwrap(), organiser: None });
        for none in [
            "lanspread",
            "lanspread-join-",
            "lanspread-join-x-1",
            "lanspread-join-10.0.0.1-99999",
            "lanspread-join-10.0.0.1-7-key",
        ] {
            assert_eq!(Joining::from_name(Path::new(none)), None, "{none}");
        }
    }
}
