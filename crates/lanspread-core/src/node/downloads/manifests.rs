//! Searches for the manifests of downloads. [`ManifestSearch`](crate::manifest_search::ManifestSearch) chooses sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanspread_types::limits::MANIFESTS_PER_SOURCE_MAX;
use lanspread_types::message::{GameOffer, Refusal, Request};
use lanspread_types::{ContentId, GameContent, GameId, PeerId, failpoint};

use super::Downloads;
use super::requests::RequestKey;
use crate::api::event::{DownloadFailure, Event};
use crate::budget::site_of;
use crate::download::{Download, Phase};
use crate::io::{DiskJob, RequestFailure};
use crate::manifest_search::{Failed, ManifestSearch, Offerer, Step};
use crate::node::outbox::Outbox;
use crate::roster::{RemotePeer, Roster};
use crate::swarm::Rng;
use crate::time::Time;

impl Downloads {
    /// Asks sources for the manifest of a download as its search decides. Returns why the download fails if no source
    /// is left.
    pub fn search_manifest(
        &mut self,
        now: Time,
        game: &GameId,
        roster: &Roster,
        rng: &mut Rng,
        outbox: &mut Outbox,
    ) -> Option<DownloadFailure> {
        loop {
            let offerers = self.offerers(game, roster);
            let download = self.all.get_mut(game)?;
            let Phase::Manifest(search) = &mut download.phase else { return None };
            match search.step(now, &offerers, rng) {
                Step::Ask(peer) => {
                    let id = self.requests.next_id();
                    search.asked(peer, id, now);
                    self.requests.insert((peer, id), game, 0);
                    let (game, content) = (game.clone(), download.content);
                    outbox.request(peer, Request::Manifest { id, game, content });
                }
                Step::GiveUp { peer, id } => self.requests.give_up(now, (peer, id), outbox),
                Step::Wait => return None,
                Step::Exhausted => {
                    let offered = !offerers.is_empty() || !download.rejected.is_empty();
                    let failure =
                        if offered { DownloadFailure::NoManifest } else { DownloadFailure::SourcesGone };
                    return Some(failure);
                }
            }
        }
    }

    /// Notes that a peer has the manifest of a content. Returns true if the search for it should look again, because
    /// it waited for its turn at another peer and turns to this one.
    pub fn holder_appeared(
        &mut self,
        now: Time,
        peer: PeerId,
        (game, content): (&GameId, ContentId),
        rng: &mut Rng,
        outbox: &mut Outbox,
    ) -> bool {
        let download = self.all.get_mut(game).filter(|download| download.content == content);
        let Some(Phase::Manifest(search)) = download.map(|download| &mut download.phase) else {
            return false;
        };
        let given_up = search.holder_appeared(peer, rng);
        if let Some(key) = given_up {
            self.requests.give_up(now, key, outbox);
        }
        given_up.is_some()
    }

    /// Returns the games whose manifests are being searched for.
    pub fn searching(&self) -> Vec<GameId> {
        let searching = |download: &&Download| matches!(download.phase, Phase::Manifest(_));
        self.all.values().filter(searching).map(|f| f.game.clone()).collect()
    }

    /// Returns the peers that could be asked for a download's manifest.
    fn offerers(&self, game: &GameId, roster: &Roster) -> Vec<Offerer> {
        let Some(download) = self.all.get(game) else { return Vec::new() };
        let mut open: BTreeMap<PeerId, usize> = BTreeMap::new();
        for download in self.all.values() {
            if let Phase::Manifest(search) = &download.phase {
                search.open().for_each(|(peer, _)| *open.entry(peer).or_default() += 1);
            }
        }
        let counts = |(peer, offer): &(&RemotePeer, &GameOffer)| {
            offer.content == download.content && !download.rejected.contains(&peer.id)
        };
        let offerer = |peer: &RemotePeer, usual_bytes, fellow| Offerer {
            fellow,
            peer: peer.id,
            place: Some(site_of(peer.addr.ip())).filter(|_| !failpoint!("count-identities")),
            usual_bytes,
            saturated: open.get(&peer.id).is_some_and(|&open| open >= MANIFESTS_PER_SOURCE_MAX),
        };
        let offers = roster.offers(game).filter(counts);
        let mut offerers: Vec<Offerer> =
            offers.map(|(peer, offer)| offerer(peer, offer.manifest_bytes_usual(), false)).collect();
        // Peers that download the content have its manifest too, so a whole room need not ask one seed.
        if let Some(usual) = offerers.iter().map(|offerer| offerer.usual_bytes).min() {
            let asked: BTreeSet<PeerId> = offerers.iter().map(|offerer| offerer.peer).collect();
            let fellows = roster.iter().filter(|peer| {
                peer.is_interested(download.content)
                    && !asked.contains(&peer.id)
                    && !download.rejected.contains(&peer.id)
            });
            offerers.extend(fellows.map(|peer| offerer(peer, usual, true)));
        }
        offerers
    }

    /// Cancels all requests for the manifest of a download.
    pub fn give_up_manifests(&mut self, now: Time, game: &GameId, outbox: &mut Outbox) {
        if let Some(Phase::Manifest(search)) = self.all.get(game).map(|download| &download.phase) {
            search.open().for_each(|key| self.requests.give_up(now, key, outbox));
        }
    }

    /// Checks the size of a manifest that begins to arrive. If it is too large for the game that the peers offer, the
    /// connection is closed, and the game is returned whose download must reject the source.
    pub fn manifest_started(
        &mut self,
        now: Time,
        key: RequestKey,
        bytes: u64,
        roster: &Roster,
        outbox: &mut Outbox,
    ) -> Option<GameId> {
        let Some(game) = self.requests.game(&key).cloned() else {
            self.requests.must_end_soon(now, key);
            return None;
        };
        let (peer, id) = key;
        let download = self.all.get_mut(&game)?;
        let content = download.content;
        let own = roster.get(&peer).and_then(|remote| roster.offer(remote, &game));
        // A fellow has no offer of its own, so the largest bound of the offers applies.
        let of_others = || {
            let offers = roster.offers(&game).filter(|(_, offer)| offer.content == content);
            offers.map(|(_, offer)| offer.manifest_bytes_max()).max().unwrap_or(0)
        };
        let most = own.map_or_else(of_others, GameOffer::manifest_bytes_max);
        let Phase::Manifest(search) = &mut download.phase else { return None };
        search.started(peer, id, bytes, now);
        if bytes <= most {
            return None;
        }
        search.gone(peer);
        self.requests.end(&key);
        outbox.drop_source(peer);
        Some(game)
    }

    /// Ends a request for a manifest that has arrived. Returns the game, if its search still waits for this answer.
    pub fn manifest_arrived(&mut self, key: RequestKey) -> Option<GameId> {
        let game = self.request_ended(&key)?;
        self.search_that_asked(&game, key)?.gone(key.0);
        Some(game)
    }

    /// Notes that a request for a manifest failed. Returns false if the request was not for a manifest.
    pub fn manifest_failed(
        &mut self,
        now: Time,
        game: &GameId,
        key: RequestKey,
        failure: &RequestFailure,
        rng: &mut Rng,
    ) -> bool {
        let Some(search) = self.search_that_asked(game, key) else { return false };
        let busy = matches!(failure, RequestFailure::Refused(Refusal::TooMany));
        let why = if busy && !failpoint!("give-up-busy") { Failed::Busy } else { Failed::Otherwise };
        search.failed(key.0, key.1, why, now, rng);
        true
    }

    fn search_that_asked(&mut self, game: &GameId, (peer, id): RequestKey) -> Option<&mut ManifestSearch> {
        match &mut self.all.get_mut(game)?.phase {
            Phase::Manifest(search) if search.is_asked(peer, id) => Some(search),
            _ => None,
        }
    }

    /// Continues a download whose manifest is here: the disk prepares its place.
    pub fn got_manifest(&mut self, now: Time, game: &GameId, content: Arc<GameContent>, outbox: &mut Outbox) {
        self.give_up_manifests(now, game, outbox);
        let Some(download) = self.all.get_mut(game) else { return };
        let manifest = content.manifest();
        outbox.event(Event::GotGameFiles {
            game: game.clone(),
            version: download.version,
            content: download.content,
            files: manifest.files().len(),
            bytes: manifest.total_bytes(),
            chunks: content.hashes().len() as u32,
        });
        download.phase = Phase::Opening(content.clone());
        let origin = download.origin.clone();
        outbox.job(if download.stream {
            DiskJob::StreamInstall { content, origin }
        } else {
            DiskJob::OpenIncoming { content }
        });
    }
}
