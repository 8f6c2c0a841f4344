//! The organiser's catalogue: offered to peers, downloaded from them, and put into force.
//!
//! The runtime checks the signature; the node only chooses which peer to ask and adopts what was checked.

use std::sync::Arc;

use lanspread_types::PeerId;
use lanspread_types::message::Message;

use super::Node;
use crate::api::event::Event;
use crate::catalog::{Catalog, CatalogMode, SignedCatalog};
use crate::catalog_sync::{Ask, Part, Verdict};
use crate::io::{DiskJob, Output};
use crate::refusals::RefusalCause;
use crate::time::Time;

impl Node {
    pub(super) fn catalog_mode(&self) -> CatalogMode {
        let games = self.config.catalog.games().count();
        match (self.catalogs.trust(), &self.config.catalog) {
            (Some(trust), _) => match &trust.held {
                None => CatalogMode::Awaited { key: trust.key },
                Some(held) => CatalogMode::Signed {
                    key: held.key,
                    serial: held.serial,
                    title: held.title.clone(),
                    games,
                },
            },
            (None, Catalog::Open) => CatalogMode::Open,
            (None, Catalog::Listed { .. }) => CatalogMode::Unsigned { games },
        }
    }

    /// Returns the message that tells a peer which catalogue is here.
    pub(super) fn catalog_offer(&self) -> Option<Message> {
        let held = self.catalogs.held()?;
        let bytes = held.bytes.len() as u32;
        Some(Message::CatalogOffer { key: held.key, serial: held.serial, bytes })
    }

    /// Asks for a newer catalogue if a peer has one.
    pub(super) fn fetch_catalog(&mut self, now: Time) {
        if let Some(ask) = self.catalogs.next(now) {
            self.ask_for_catalog(ask);
        }
    }

    fn ask_for_catalog(&mut self, Ask { peer, key, serial, offset }: Ask) {
        self.outbox.send_to(&self.roster, &peer, Message::CatalogWanted { key, serial, offset });
    }

    /// Takes a part of a catalogue. A complete one goes to the runtime to be checked.
    pub(super) fn catalog_part(&mut self, now: Time, peer: PeerId, serial: u64, offset: u32, part: &[u8]) {
        match self.catalogs.part(peer, serial, offset, part, now) {
            Part::Unasked => {}
            Part::More(ask) => self.ask_for_catalog(ask),
            Part::Whole(bytes) => self.outbox.push(Output::CheckCatalog { peer, bytes }),
        }
    }

    /// Turns to another peer if a catalogue does not arrive in time.
    pub(super) fn give_up_late_catalog(&mut self, now: Time) {
        if self.catalogs.give_up(now).is_some() {
            self.fetch_catalog(now);
        }
    }

    /// Adopts a catalogue that the runtime has checked, or refuses its sender.
    pub(super) fn catalog_checked(
        &mut self,
        now: Time,
        peer: PeerId,
        result: Result<Arc<SignedCatalog>, String>,
    ) {
        let (catalog, reason) = match result {
            Ok(catalog) => (Some(catalog), String::new()),
            Err(reason) => (None, reason),
        };
        match self.catalogs.checked(peer, catalog) {
            Ok(Verdict::Adopted) => self.catalog_changed(),
            Ok(Verdict::LookedAt) => {}
            Ok(Verdict::Worthless) => self.catalog_refused(now, peer, reason),
            Err(unwanted) => self.catalog_refused(now, peer, unwanted.to_string()),
        }
        self.fetch_catalog(now);
    }

    fn catalog_refused(&mut self, now: Time, peer: PeerId, reason: String) {
        if let Some(addr) = self.roster.get(&peer).map(|p| p.addr) {
            self.refused(now, addr, Some(peer), RefusalCause::Protocol(reason), false);
        }
    }

    /// Puts the new catalogue into force, and passes it on.
    fn catalog_changed(&mut self) {
        let Some(held) = self.catalogs.held().cloned() else { return };
        self.config.catalog = held.catalog.clone();
        self.regroup_lines();
        self.outbox.push(Output::KeepCatalog(Arc::clone(&held)));
        if let Some(offer) = self.catalog_offer() {
            self.outbox.send_to_all(&self.roster, &offer);
        }
        self.announce_library();
        // Games that only this catalogue names must still be hashed.
        self.outbox.job(DiskJob::Scan);
        let games = self.config.catalog.games().count();
        self.outbox.event(Event::CatalogChanged { key: held.key, serial: held.serial, games });
    }
}
