//! The house rules of a peer: what its owner decided about the room before it entered.

use std::collections::BTreeSet;

use lanspread_types::{CatalogKey, PartyName};

use crate::catalog_sync::TrustedCatalog;

#[derive(Debug, Clone, Default)]
pub struct HouseRules {
    /// The closed party that this peer belongs to; only its guests are let in.
    pub party: Option<PartyName>,
    /// The organiser whose catalogue counts; instead of `NodeConfig::catalog`.
    pub trust: Option<TrustedCatalog>,
    /// Organisers that the owner does not want to be asked about again.
    pub declined: BTreeSet<CatalogKey>,
    /// The organiser that the invitation names with which this peer came.
    pub invited: Option<CatalogKey>,
    /// Fetch what others ask everybody to fetch.
    pub accept_wants: bool,
}
