//! The house rules of a peer: what its owner decided about the room before it entered.

use lanspread_types::PartyName;

use crate::catalog_sync::TrustedCatalog;

#[derive(Debug, Clone, Default)]
pub struct HouseRules {
    /// The closed party that this peer belongs to; only its guests are let in.
    pub party: Option<PartyName>,
    /// The organiser whose catalogue counts; instead of `NodeConfig::catalog`.
    pub trust: Option<TrustedCatalog>,
    /// Fetch what others ask everybody to fetch.
    pub accept_wants: bool,
}
