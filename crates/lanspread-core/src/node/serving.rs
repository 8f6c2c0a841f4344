//! Requests from other peers on data connections: manifests and chunks.
//!
//! A request is refused here unless its content may be served. The uplink and the queue of manifests decide when it is
//! answered.

use std::sync::Arc;

use lanspread_types::message::{Refusal, Request, RequestId};
use lanspread_types::{ContentId, GameContent, GameId, PeerId, failpoint};

use super::Node;
use super::line::RelayLines;
use crate::budget::site_of;
use crate::download::{Download, Phase};
use crate::io::{LinkId, Output, Serving};
use crate::library::LocalGame;
use crate::manifest_sends::{DropReason, ManifestAction, ManifestRequest, ManifestSends};
use crate::refusals::RefusalCause;
use crate::serve::{GameState, Holding, admit};
use crate::swarm::{Uplink, UplinkAction};
use crate::time::Time;

/// Answers to the requests of other peers.
#[derive(Debug)]
pub struct Uploads {
    /// Requests for chunks, and the chunks being sent.
    pub uplink: Uplink,
    /// Requests for manifests, and the manifests being sent.
    pub manifests: ManifestSends,
    /// The order in which receivers of the same content follow each other.
    pub lines: RelayLines,
}

impl Uploads {
    /// Creates the state of a peer that was asked for nothing.
    pub fn new(me: PeerId) -> Self {
        Self { uplink: Uplink::new(), manifests: ManifestSends::default(), lines: RelayLines::new(me) }
    }

    /// Forgets what concerns a content that is no longer here.
    pub fn content_gone(&mut self, content: &ContentId) {
        self.uplink.content_gone(content);
        self.lines.kept.content_gone(content);
    }

    /// Returns when to look at the requests even if nothing happens.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        [self.uplink.next_wakeup(now), self.manifests.next_wakeup()].into_iter().flatten().min()
    }

    /// Ends an answer that has been sent (`ok`) or whose connection failed. Returns true if it was a chunk that was
    /// sent to its end.
    fn ended(&mut self, now: Time, (link, id): (LinkId, RequestId), bytes: u64, ok: bool) -> bool {
        self.manifests.ended(link, id);
        // Only chunks count: the uplink does not know the answers that carry manifests.
        let chunk = self.uplink.served(link, id, bytes, ok, now);
        if chunk {
            self.manifests.chunk_sent(bytes);
        }
        chunk
    }
}

impl Node {
    /// Queues a request or refuses it. A `Cancel` takes back an earlier request.
    pub(super) fn requested(&mut self, now: Time, link: LinkId, peer: PeerId, request: Request) {
        match request {
            Request::Manifest { id, game, content } => match self.held_manifest(&game, content) {
                Ok((held, _)) => {
                    let place = self.roster.get(&peer).map(|remote| site_of(remote.addr.ip()));
                    let bytes = held.encoded_bytes_max();
                    let request = ManifestRequest { link, id, peer, place, game, content, bytes };
                    self.uploads.manifests.enqueue(request);
                    self.pump_manifests(now);
                }
                Err(reason) => self.outbox.refuse(link, id, reason),
            },
            Request::Chunk(request) => {
                let id = request.id;
                let queued = self.held_chunks(&request.game, request.content).and_then(|(content, _)| {
                    let chunks = content.manifest().chunk_count();
                    self.uploads.uplink.enqueue(link, peer, request, chunks, now)
                });
                if let Err(reason) = queued {
                    self.outbox.refuse(link, id, reason);
                }
                self.pump_uplink(now);
            }
            Request::Follow(request) => {
                let other_line = self.uploads.lines.is_placed_by_another(&request.content, request.placer);
                if other_line && self.uploads.uplink.feeds_another(&peer) {
                    return request
                        .each()
                        .for_each(|(id, _)| self.outbox.refuse(link, id, Refusal::OtherLine));
                }
                match self.held_chunks(&request.game, request.content) {
                    Ok((content, _)) => {
                        let chunks = content.manifest().chunk_count();
                        self.uploads.uplink.follow(link, peer, &request, chunks, now);
                    }
                    Err(reason) => request.each().for_each(|(id, _)| self.outbox.refuse(link, id, reason)),
                }
                self.pump_uplink(now);
            }
            Request::Cancel { id } => {
                self.uploads.uplink.cancel(link, id);
                self.uploads.manifests.cancel(link, id);
                self.pump_manifests(now);
                self.pump_uplink(now);
            }
        }
    }

    /// Notes that an answer has been sent (`ok`) or that its connection failed.
    pub(super) fn served(&mut self, now: Time, link: LinkId, id: RequestId, bytes: u64, ok: bool) {
        if self.uploads.ended(now, (link, id), bytes, ok) {
            self.traffic.sent_chunks += 1;
            self.traffic.sent_bytes += bytes;
        }
        self.pump_uplink(now);
        self.pump_manifests(now);
    }

    pub(super) fn link_closed(&mut self, now: Time, link: LinkId) {
        self.uploads.uplink.link_closed(link);
        self.uploads.manifests.link_closed(link);
        self.pump_manifests(now);
        self.pump_uplink(now);
    }

    /// Starts as many chunk answers as may be sent at the same time.
    pub(super) fn pump_uplink(&mut self, now: Time) {
        loop {
            let downloads = &self.downloads;
            let have = |content: &ContentId, chunk| {
                let incoming = downloads.iter().find(|f| f.content == *content).and_then(Download::transfer);
                incoming.is_none_or(|transfer| transfer.holds(chunk))
            };
            let Some(action) = self.uploads.uplink.next(now, have) else { return };
            match action {
                UplinkAction::Refuse { link, id, reason } => self.outbox.refuse(link, id, reason),
                UplinkAction::Serve { link, id, game, content, chunk, .. } => {
                    match self.held_chunks(&game, content) {
                        Ok((content, holding)) => {
                            let incoming = holding == Holding::Incoming;
                            let what = Serving::Chunk { content, chunk, incoming };
                            self.outbox.push(Output::Serve { link, id, what });
                        }
                        Err(reason) => {
                            self.uploads.uplink.served(link, id, 0, false, now);
                            self.outbox.refuse(link, id, reason);
                        }
                    }
                }
            }
        }
    }

    /// Starts as many manifests as may be sent at the same time.
    pub(super) fn pump_manifests(&mut self, now: Time) {
        while let Some(action) = self.uploads.manifests.next(!self.uploads.uplink.is_idle(), now) {
            match action {
                ManifestAction::Serve { link, id, game, content } => {
                    match self.held_manifest(&game, content) {
                        Ok((content, _)) => {
                            let what = Serving::Manifest { content };
                            self.outbox.push(Output::Serve { link, id, what });
                        }
                        // The content has gone since the request.
                        Err(reason) => {
                            self.uploads.manifests.ended(link, id);
                            self.outbox.refuse(link, id, reason);
                        }
                    }
                }
                ManifestAction::Refuse { link, id, reason } => self.outbox.refuse(link, id, reason),
                ManifestAction::Drop { link, peer, why } => {
                    self.outbox.push(Output::DropLink { link });
                    let cause = match why {
                        DropReason::Floods => {
                            RefusalCause::Protocol("it requests manifests too often".to_owned())
                        }
                        DropReason::TooSlow => {
                            RefusalCause::TooSlow("it requested a manifest and does not read it".to_owned())
                        }
                    };
                    if let Some(addr) = self.roster.get(&peer).map(|remote| remote.addr) {
                        self.refused(now, addr, Some(peer), cause, false);
                    }
                }
            }
        }
    }

    /// Returns the content whose manifest a request names, if it may be served.
    fn held_manifest(
        &self,
        game: &GameId,
        content: ContentId,
    ) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let why = match self.held(game, content) {
            Ok(held) => return Ok(held),
            Err(why) => why,
        };
        failpoint!("give-any-manifest", return self.held_all_the_same(game, why));
        Err(why)
    }

    /// Returns the content whose chunks a request names, if it may be served.
    fn held_chunks(&self, game: &GameId, content: ContentId) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let why = match self.held(game, content) {
            Ok(held) => return Ok(held),
            Err(why) => why,
        };
        failpoint!("give-any-chunk", return self.held_all_the_same(game, why));
        failpoint!("mix-contents", return self.held_all_the_same(game, why));
        Err(why)
    }

    /// Returns the content that a request names, if it may be served.
    fn held(&self, game: &GameId, content: ContentId) -> Result<(Arc<GameContent>, Holding), Refusal> {
        let local = self.library.shared(game);
        let incoming = self.downloads.get(game).and_then(|download| match &download.phase {
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
}
