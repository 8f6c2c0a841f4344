//! What a peer is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_core::command::RateLimits;
use lanspread_types::{CatalogKey, Party, PeerName};

use crate::catalog_choice::CatalogChoice;

#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// The library: one folder for each game.
    pub games_dir: PathBuf,
    /// Identity key and settings.
    pub state_dir: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Take any free port if the asked-for one is in use.
    pub port_fallback: bool,
    /// What other peers show; the host's name when `None`.
    pub name: Option<PeerName>,
    pub catalog: CatalogChoice,
    /// The organiser that the invitation names with which this peer came: suggested, not trusted.
    pub invited: Option<CatalogKey>,
    /// Fetch what others ask everybody to fetch.
    pub accept_wants: bool,
    /// The closed party that this peer belongs to; without one it meets everybody who is open, too.
    pub party: Option<Party>,
    /// Limits from the start; they can be changed while the peer runs.
    pub limits: RateLimits,
    /// How others are found, beyond typed addresses.
    pub find: Find,
}

/// How a peer finds others by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Find {
    /// Announce and listen by multicast DNS.
    pub mdns: bool,
    /// Announce and listen by UDP broadcast.
    pub broadcast: bool,
    /// Introduce peers to each other, and dial those who are introduced.
    pub introductions: bool,
    /// Keep in the state folder who was here, and try them first at the next start.
    pub remembered: bool,
}

impl Find {
    pub const EVERYBODY: Self = Self { mdns: true, broadcast: true, introductions: true, remembered: true };
    /// Only typed addresses.
    pub const NOBODY: Self = Self { mdns: false, broadcast: false, introductions: false, remembered: false };
}
