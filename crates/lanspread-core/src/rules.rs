//! What the owner of a peer decided about the party before the peer joined it.

use std::collections::BTreeSet;

use lanspread_types::{CatalogKey, GameId, PartyName};

use crate::catalog_sync::TrustedCatalog;

/// Decisions of the owner that hold from the start of the node.
#[derive(Debug, Clone, Default)]
pub struct OwnerPolicy {
    /// Closed party that this peer belongs to; only its guests are admitted. `None` for an open peer.
    pub party: Option<PartyName>,
    /// Organiser whose catalogue counts. Replaces `NodeConfig::catalog` if present.
    pub trust: Option<TrustedCatalog>,
    /// Organisers about whom the owner does not want to be asked again.
    pub declined: BTreeSet<CatalogKey>,
    /// Organiser named by the invitation that came with this program, if any.
    pub invited: Option<CatalogKey>,
    /// Whether this peer downloads the games that other peers ask everybody to fetch.
    pub accept_wants: bool,
    /// Games that are kept out of sharing.
    pub private: BTreeSet<GameId>,
}
