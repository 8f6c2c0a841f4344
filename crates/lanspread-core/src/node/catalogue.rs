//! The organiser's catalogue: offered, fetched, taken over.

use std::sync::Arc;

use lanspread_types::PeerId;
use lanspread_types::message::Message;

use super::Node;
use crate::catalog::{Catalog, CatalogMode, SignedCatalog};
use crate::catalog_sync::{Ask, Part, Verdict};
use crate::event::Event;
use crate::io::{ConnId, DiskJob, Output};
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

    /// Tells a peer which catalogue is here.
    pub(super) fn offer_catalog(&mut self, conn: ConnId) {
        let Some(held) = self.catalogs.held() else { return };
        let offer =
            Message::CatalogOffer { key: held.key, serial: held.serial, bytes: held.bytes.len() as u32 };
        self.send(conn, offer);
    }

    /// Asks for a newer catalogue, if somebody has one.
    pub(super) fn fetch_catalog(&mut self, now: Time) {
        if let Some(ask) = self.catalogs.next(now) {
            self.ask_for_catalog(ask);
        }
    }

    fn ask_for_catalog(&mut self, Ask { peer, key, serial, offset }: Ask) {
        self.send_to(&peer, Message::CatalogWanted { key, serial, offset });
    }

    pub(super) fn catalog_part(&mut self, now: Time, peer: PeerId, serial: u64, offset: u32, part: &[u8]) {
        match self.catalogs.part(peer, serial, offset, part, now) {
            Part::Unasked => {}
            Part::More(ask) => self.ask_for_catalog(ask),
            Part::Whole(bytes) => self.outbox.push_back(Output::CheckCatalog { peer, bytes }),
        }
    }

    pub(super) fn give_up_late_catalog(&mut self, now: Time) {
        if self.catalogs.give_up(now).is_some() {
            self.fetch_catalog(now);
        }
    }

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

    /// Goes by the catalogue that is held from now on, and passes it on.
    fn catalog_changed(&mut self) {
        let Some(held) = self.catalogs.held().cloned() else { return };
        self.config.catalog = held.catalog.clone();
        self.regroup_lines();
        self.outbox.push_back(Output::KeepCatalog(Arc::clone(&held)));
        let conns: Vec<ConnId> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            self.offer_catalog(conn);
        }
        self.announce_library();
        // What is known only now is still to be hashed.
        self.job(DiskJob::Scan);
        let games = self.config.catalog.games().count();
        self.event(Event::CatalogChanged { key: held.key, serial: held.serial, games });
    }
}
