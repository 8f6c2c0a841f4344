//! Organisers whose catalogue the room offers while this peer trusts none. The owner trusts or declines them.

use lanspread_types::{CatalogKey, Organiser, PeerId, failpoint};

use super::Node;
use crate::api::command::{CommandError, CommandId, Reply};
use crate::api::event::Event;
use crate::api::snapshot::OfferedCatalog;
use crate::catalog::Catalog;
use crate::io::Output;
use crate::time::Time;

impl Node {
    /// Reports an organiser's key to the owner when it is first met.
    pub(super) fn tell_organiser(&mut self, peer: PeerId, key: CatalogKey) {
        if !self.catalogs.is_news(key) {
            return;
        }
        if failpoint!("trust-whom-we-meet") {
            self.catalogs.trust_key(key);
        }
        let name = self.roster.name_of(&peer);
        self.outbox.event(Event::CatalogOffered { key, peer, name });
    }

    pub(super) fn offered_catalogs(&self) -> Vec<OfferedCatalog> {
        let named = |peer: PeerId| (peer, self.roster.name_of(&peer));
        let offered = |s: crate::catalog_sync::Suggestion| OfferedCatalog {
            key: s.key,
            invited: s.invited,
            peers: s.peers.into_iter().map(named).collect(),
            about: s.about,
        };
        self.catalogs.suggestions().into_iter().map(offered).collect()
    }

    /// Trusts an organiser's catalogue from now on. Until that catalogue arrives, no game counts. Refused while an
    /// operation runs.
    pub(super) fn trust_catalog(&mut self, now: Time, id: CommandId, organiser: Organiser) {
        let result = self.trust_organiser(now, organiser);
        self.outbox.reply(id, result.map(Reply::Organiser));
    }

    fn trust_organiser(&mut self, now: Time, organiser: Organiser) -> Result<CatalogKey, CommandError> {
        match self.catalogs.trust().map(|trust| trust.key) {
            Some(key) if organiser.is(&key) => return Ok(key),
            Some(key) => return Err(CommandError::OtherOrganiser { key }),
            None => {}
        }
        let key = self.organiser_met(organiser)?;
        if !self.operations.is_empty() {
            return Err(CommandError::Busy);
        }
        self.catalogs.trust_key(key);
        self.config.catalog = Catalog::empty();
        self.outbox.push(Output::KeepOrganiser(key));
        self.announce_library();
        self.fetch_catalog(now);
        Ok(key)
    }

    /// Declines an organiser, so that the owner is not asked about it again.
    pub(super) fn decline_catalog(&mut self, id: CommandId, organiser: Organiser) {
        let key = self.organiser_met(organiser);
        if let Ok(key) = key {
            let declined = self.catalogs.decline(key);
            self.outbox.push(Output::KeepDeclined(declined));
        }
        self.outbox.reply(id, key.map(Reply::Organiser));
    }

    /// Returns the key that is meant. A fingerprint names one of the organisers that were met.
    fn organiser_met(&self, organiser: Organiser) -> Result<CatalogKey, CommandError> {
        match organiser {
            Organiser::Key(key) => Ok(key),
            Organiser::Fingerprint(_) => {
                let met = self.catalogs.suggestions().into_iter().find(|s| organiser.is(&s.key));
                met.map(|s| s.key).ok_or(CommandError::UnknownOrganiser { organiser })
            }
        }
    }
}
