//! Settings that a peer is started with.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_core::command::RateLimits;
use lanspread_types::{CatalogKey, GameId, Party, PeerName};

use crate::catalog::choice::CatalogChoice;

/// Settings of a peer.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Games folder: the library, one folder for each game. Must exist.
    pub games_dir: PathBuf,
    /// State folder: identity key, catalogue, remembered peers. Made if it does not exist.
    pub state_dir: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Take any free port if the wanted one is in use.
    pub port_fallback: bool,
    /// Name that other peers show; `None` takes the computer's name.
    pub name: Option<PeerName>,
    /// Catalogue to use.
    pub catalog: CatalogChoice,
    /// Organiser named by the invitation that brought the program here: suggested to the owner, not trusted.
    pub invited: Option<CatalogKey>,
    /// Grant wishes: download what a peer asks everybody to download, if the catalogue pins its content.
    pub accept_wants: bool,
    /// Games that are kept out of sharing from the start.
    pub private: BTreeSet<GameId>,
    /// Closed party that this peer belongs to. `None` for an open peer, which meets other open peers.
    pub party: Option<Party>,
    /// Rate limits at the start. They can be changed while the peer runs.
    pub limits: RateLimits,
    /// How the peer finds other peers, beyond typed addresses.
    pub find: Find,
}

/// Means by which a peer finds other peers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Find {
    /// Announce and listen by multicast DNS.
    pub mdns: bool,
    /// Announce and listen by UDP broadcast.
    pub broadcast: bool,
    /// Introduce peers to each other, and dial peers that were introduced.
    pub introductions: bool,
    /// Keep the peers of this party in the state folder, and dial them at the next start.
    pub remembered: bool,
}

impl Find {
    /// All means.
    pub const EVERYBODY: Self = Self { mdns: true, broadcast: true, introductions: true, remembered: true };
    /// No means: only typed addresses.
    pub const NOBODY: Self = Self { mdns: false, broadcast: false, introductions: false, remembered: false };
}
