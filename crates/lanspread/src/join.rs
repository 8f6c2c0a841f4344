//! A program that was handed out knows whom to join: the address stands in its file's name, and with it whose catalogue
//! the party goes by. The key is only suggested: whoever hands out a program can write any name on it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use lanspread_types::CatalogKey;

const PREFIX: &str = "lanspread-join-";

/// Whom to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    pub peer: SocketAddr,
    /// The organiser of the party, as whoever handed the program out named it.
    pub organiser: Option<CatalogKey>,
}

impl Joining {
    /// What the file is called that joins this peer. File names have no colons: those of IPv6 become `_`.
    pub fn file_name(&self) -> String {
        let ip = self.peer.ip().to_string().replace(':', "_");
        let key = self.organiser.map(|key| format!("-{key}")).unwrap_or_default();
        format!("{PREFIX}{ip}-{}{key}{}", self.peer.port(), std::env::consts::EXE_SUFFIX)
    }

    /// Whom a program with this file name is to join. Browsers add ` (1)` to a name that is there already.
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
    fn name_says_whom_to_join_and_whom_to_trust() {
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
