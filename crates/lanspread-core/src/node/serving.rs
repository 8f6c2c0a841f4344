//! What others ask of us on data connections.

use std::sync::Arc;

use lanspread_types::message::{Refusal, Request, RequestId};
use lanspread_types::{ContentId, GameContent, GameId, PeerId, failpoint};

use super::Node;
use crate::budget::site_of;
use crate::fetch::{Fetch, Phase};
use crate::io::{LinkId, Output, Serving};
use crate::library::LocalGame;
use crate::manifest_sends::{DropReason, ManifestAction, ManifestRequest};
use crate::refusals::RefusalCause;
use crate::serve::{GameState, Holding, admit};
use crate::swarm::UplinkAction;
use crate::time::Time;

impl Node {
    pub(super) fn requested(&mut self, now: Time, link: LinkId, peer: PeerId, request: Request) {
        match request {
            Request::Manifest { id, game, content } => {
                let held = self.held(&game, content);
                let held = held.or_else(|why| self.regardless(&game, why, failpoint!("give-any-manifest")));
                match held {
                    Ok((held, _)) => {
                        let place = self.roster.get(&peer).map(|remote| site_of(remote.addr.ip()));
                        let bytes = held.encoded_bytes_max();
                        let request = ManifestRequest { link, id, peer, place, game, content, bytes };
                        self.manifest_sends.enqueue(request);
                        self.pump_manifests(now);
                    }
                    Err(reason) => self.refuse(link, id, reason),
                }
            }
            Request::Chunk(request) => {
                let id = request.id;
                let queued = self.held_chunks(&request.game, request.content).and_then(|(content, _)| {
                    let chunks = content.manifest().chunk_count();
                    self.uplink.enqueue(link, peer, request, chunks, now)
                });
                if let Err(reason) = queued {
                    self.refuse(link, id, reason);
                }
                self.pump_uplink(now);
            }
            Request::Follow(request) => {
                let placed_by = self.placed_by.get(&request.content);
                let other_line = placed_by.is_some_and(|by| *by != request.placer);
                if other_line && self.uplink.feeds_another(&peer) {
                    return request.each().for_each(|(id, _)| self.refuse(link, id, Refusal::OtherLine));
                }
                match self.held_chunks(&request.game, request.content) {
                    Ok((content, _)) => {
                        let chunks = content.manifest().chunk_count();
                        self.uplink.follow(link, peer, &request, chunks, now);
                    }
                    Err(reason) => request.each().for_each(|(id, _)| self.refuse(link, id, reason)),
                }
                self.pump_uplink(now);
            }
            Request::Cancel { id } => {
                self.uplink.cancel(link, id);
                self.manifest_sends.cancel(link, id);
                self.pump_manifests(now);
                self.pump_uplink(now);
            }
        }
    }

    pub(super) fn served(&mut self, now: Time, link: LinkId, id: RequestId, bytes: u64, ok: bool) {
        self.manifest_sends.ended(link, id);
        // Manifests are answers, too, but no chunk data: the uplink knows only chunks.
        if self.uplink.served(link, id, bytes, ok, now) {
            self.traffic.sent_chunks += 1;
            self.traffic.sent_bytes += bytes;
            self.manifest_sends.chunk_sent(bytes);
        }
        self.pump_uplink(now);
        self.pump_manifests(now);
    }

    pub(super) fn link_closed(&mut self, now: Time, link: LinkId) {
        self.uplink.link_closed(link);
        self.manifest_sends.link_closed(link);
        self.pump_manifests(now);
        self.pump_uplink(now);
    }

    /// Starts as many answers as may be on their way at once.
    pub(super) fn pump_uplink(&mut self, now: Time) {
        loop {
            let fetches = &self.fetches;
            let have = |content: &ContentId, chunk| {
                let incoming = fetches.values().find(|f| f.content == *content).and_then(Fetch::transfer);
                incoming.is_none_or(|transfer| transfer.holds(chunk))
            };
            let Some(action) = self.uplink.next(now, have) else { return };
            match action {
                UplinkAction::Refuse { link, id, reason } => self.refuse(link, id, reason),
                UplinkAction::Serve { link, id, game, content, chunk, .. } => {
                    match self.held_chunks(&game, content) {
                        Ok((content, holding)) => {
                            let incoming = holding == Holding::Incoming;
                            let what = Serving::Chunk { content, chunk, incoming };
                            self.outbox.push_back(Output::Serve { link, id, what });
                        }
                        Err(reason) => {
                            self.uplink.served(link, id, 0, false, now);
                            self.refuse(link, id, reason);
                        }
                    }
                }
            }
        }
    }

    /// Starts as many manifests as may be on their way at once.
    pub(super) fn pump_manifests(&mut self, now: Time) {
        while let Some(action) = self.manifest_sends.next(!self.uplink.is_idle(), now) {
            match action {
                ManifestAction::Serve { link, id, game, content } => {
                    let held = self.held(&game, content);
                    let held =
                        held.or_else(|why| self.regardless(&game, why, failpoint!("give-any-manifest")));
                    match held {
                        Ok((content, _)) => {
                            let what = Serving::Manifest { content };
                            self.outbox.push_back(Output::Serve { link, id, what });
                        }
                        // Gone since it was asked for.
                        Err(reason) => {
                            self.manifest_sends.ended(link, id);
                            self.refuse(link, id, reason);
                        }
                    }
                }
                ManifestAction::Refuse { link, id, reason } => self.refuse(link, id, reason),
                ManifestAction::Drop { link, peer, why } => {
                    self.outbox.push_back(Output::DropLink { link });
                    let cause = match why {
                        DropReason::Floods => {
                            RefusalCause::Protocol("it asks for manifests again and again".to_owned())
                        }
                        DropReason::TooSlow => {
                            RefusalCause::TooSlow("it asks for a manifest and does not take it".to_owned())
                        }
                    };
                    if let Some(addr) = self.roster.get(&peer).map(|remote| remote.addr) {
                        self.refused(now, addr, Some(peer), cause, false);
                    }
                }
            }
        }
    }

    fn held_chunks(&self, game: &GameId, content: ContentId) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let held = self.held(game, content);
        held.or_else(|why| self.regardless(game, why, failpoint!("give-any-chunk")))
    }

    /// Sabotage: an open gate gives what is there to whoever asks.
    fn regardless(
        &self,
        game: &GameId,
        why: Refusal,
        open: bool,
    ) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let here = self.library.get(game).and_then(|local| local.content()).filter(|_| open);
        here.map(|content| (Arc::clone(content), Holding::Committed)).ok_or(why)
    }

    /// The content that a request names, if it may be served.
    fn held(&self, game: &GameId, content: ContentId) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let local = self.library.get(game);
        let incoming = self.fetches.get(game).and_then(|fetch| match &fetch.phase {
            Phase::Transfer(transfer) => Some(&transfer.content),
            Phase::Committing(content) => Some(content),
            _ => None,
        });
        let state = GameState {
            downloaded: local.is_some_and(LocalGame::downloaded),
            committed: local.and_then(|l| l.content()).map(|c| c.content_id()),
            incoming: incoming.map(|c| c.content_id()),
            operation: self.operations.kind(game),
        };
        let holding = admit(&self.config.catalog, game, content, state)?;
        let content = match holding {
            Holding::Committed => local.and_then(|l| l.content()),
            Holding::Incoming => incoming,
        };
        content.cloned().map(|content| (content, holding)).ok_or(Refusal::NotDownloaded)
    }

    fn refuse(&mut self, link: LinkId, id: RequestId, reason: Refusal) {
        self.outbox.push_back(Output::Refuse { link, id, reason });
    }
}
