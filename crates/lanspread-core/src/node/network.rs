//! Connections and control messages.

use std::time::Duration;

use lanspread_types::limits::{HAVE_MAP_BYTES_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{HaveMap, LibraryUpdate, Message};
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameId, PeerId, failpoint};

use super::Node;
use crate::budget::{Verdict, cost, may_be_dropped};
use crate::command::{CommandError, Reply};
use crate::event::Event;
use crate::fetch::Fetch;
use crate::io::{CloseReason, ConnId, Connected, NetInput, Output};
use crate::refusals::RefusalCause;
use crate::roster::{Admission, LibraryFault};
use crate::time::Time;

/// Newly hashed games are announced at most this often: soon enough for people, and no flood.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

impl Node {
    pub(super) fn handle_net(&mut self, now: Time, input: NetInput) {
        match input {
            NetInput::Connected(connected) => self.connected(now, &connected),
            NetInput::Incompatible { addr, peer, theirs } => {
                let ours = PROTOCOL_VERSION;
                self.meeting.book.other_version(peer, addr, theirs, now);
                self.event(Event::PeerIncompatible { addr, theirs, ours });
                self.answer_connects(addr, |addr| Err(CommandError::Incompatible { addr, theirs, ours }));
            }
            NetInput::Refused { addr, peer, cause, dialled } => {
                self.refused(now, addr, peer, cause, dialled);
            }
            NetInput::DialFailed { addr, failure } => {
                self.answer_connects(addr, |addr| {
                    Err(CommandError::ConnectFailed { addr, failure: failure.clone() })
                });
                self.typed_dial_failed(addr, &failure);
            }
            NetInput::PeerDialFailed { peer, reason } => {
                self.meeting.book.failed(&peer, reason, now, &mut self.rng);
            }
            NetInput::Reached { peer, addr } => self.reached(now, peer, addr),
            NetInput::Sighted(_) if failpoint!("ignore-sightings") => {}
            NetInput::Sighted(sighting) => self.sighted(now, sighting, None),
            NetInput::Subnets(subnets) => self.meeting.book.set_subnets(subnets),
            NetInput::Closed { conn, reason } => self.closed(now, conn, reason),
            NetInput::Message { conn, message } => self.message(now, conn, message),
            NetInput::Requested { link, peer, request } => self.requested(now, link, peer, request),
            NetInput::Served { link, id, bytes, ok } => self.served(now, link, id, bytes, ok),
            NetInput::LinkClosed { link } => self.link_closed(now, link),
            NetInput::ChunkStarted { peer, id, chunk } => self.chunk_started(now, peer, id, chunk),
            NetInput::ChunkEnded { peer, id, chunk, result } => {
                self.chunk_ended(now, peer, id, chunk, result);
            }
            NetInput::ManifestStarted { peer, id, bytes } => self.manifest_started(now, peer, id, bytes),
            NetInput::ManifestArrived { peer, id, result } => self.manifest_arrived(now, peer, id, result),
            NetInput::RequestFailed { peer, id, failure } => self.request_failed(now, peer, id, &failure),
        }
    }

    fn connected(&mut self, now: Time, connected: &Connected) {
        let Connected { conn, peer, addr, dialled, .. } = connected;
        if self.is_stopping() {
            return self.close(*conn, CloseReason::Leaving);
        }
        match self.roster.admit(connected, now) {
            Admission::Full => return self.turn_away(now, *peer, *conn, CloseReason::TooManyPeers),
            Admission::Banned => return self.turn_away(now, *peer, *conn, CloseReason::ProtocolError),
            Admission::Redundant => self.close(*conn, CloseReason::Replaced),
            Admission::Replaces(old) => {
                self.close(old, CloseReason::Replaced);
                self.greet(*conn);
            }
            Admission::New => {
                self.greet(*conn);
                let name = self.roster.name_of(peer);
                self.event(Event::PeerConnected { peer: *peer, name, addr: *addr });
            }
        }
        self.look_for_silence();
        self.met(now, connected);
        if *dialled && let Some(snapshot) = self.roster.get(peer).map(|p| self.peer_snapshot(p)) {
            self.answer_connects(*addr, |_| Ok(Reply::Connected(snapshot.clone())));
        }
        self.answer_peer_waits(now);
    }

    /// What a new connection is told: our library, and what we want to hear about.
    fn greet(&mut self, conn: ConnId) {
        for part in self.library.snapshot() {
            self.send(conn, Message::Library(part));
        }
        self.offer_catalog(conn);
        let wanted: Vec<(GameId, ContentId)> = self
            .fetches
            .values()
            .filter(|f| f.transfer().is_some())
            .map(|f| (f.game.clone(), f.content))
            .collect();
        for (game, content) in wanted {
            self.send(conn, Message::Interested { game, content });
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.outbox.push_back(Output::Close { conn, reason });
    }

    pub(super) fn answer_connects(
        &mut self,
        addr: std::net::SocketAddr,
        answer: impl Fn(std::net::SocketAddr) -> Result<Reply, CommandError>,
    ) {
        let waiting = std::mem::take(&mut self.waiting.connects);
        for (id, wanted) in waiting {
            if wanted == addr {
                self.reply(id, answer(addr));
            } else {
                self.waiting.connects.push((id, wanted));
            }
        }
    }

    /// A connection ended. Its peer is gone unless another connection has taken its place.
    pub(super) fn closed(&mut self, now: Time, conn: ConnId, reason: CloseReason) {
        let Some(peer) = self.roster.remove_conn(conn) else { return };
        for fetch in self.fetches.values_mut() {
            if let Some(transfer) = fetch.transfer_mut() {
                transfer.swarm.remove_source(peer.id);
            }
        }
        self.leave_lines(peer.id);
        self.catalogs.peer_gone(peer.id);
        self.room.peer_gone(peer.id);
        self.event(Event::PeerLost { peer: peer.id, name: peer.name, reason });
        self.parted(now, &peer.id, reason);
        self.manifest_source_lost(now, peer.id);
        self.pump_fetches(now);
    }

    fn message(&mut self, now: Time, conn: ConnId, message: Message) {
        let Some(peer) = self.roster.by_conn_mut(conn) else { return };
        (peer.last_heard, peer.pinged) = (now, false);
        let id = peer.id;
        let units = cost(&message);
        let own = peer.budget.charge(units, now);
        match self.sites.charge(peer.addr.ip(), units, now).max(own) {
            Verdict::Handle => {}
            _ if takes_regardless(&message) => {}
            Verdict::Flood => return self.let_go(now, id, flood(&message)),
            Verdict::Spare if may_be_dropped(&message) => return,
            Verdict::Spare => {}
        }
        match message {
            Message::Library(update) => self.library_message(now, conn, id, update),
            Message::Interested { game, content } => {
                peer.set_interested(content, true);
                self.send_have_map(conn, &game, content);
                self.holder_appeared(now, id, &game, content);
                // Whoever downloads what we download is going to have chunks for us.
                if let Some(transfer) = self.transfer_of(content) {
                    transfer.swarm.add_fellow(id, now);
                    self.pump_fetches(now);
                }
            }
            Message::NotInterested { content } => {
                peer.set_interested(content, false);
                self.lines.done(id, content);
            }
            Message::Progress { content, below } => {
                self.lines.progress(id, content, below);
                if let Some(transfer) = self.transfer_of(content) {
                    transfer.swarm.source_has_below(id, below, now);
                    self.pump_fetches(now);
                }
            }
            Message::ProgressWanted { content } => self.tell_progress_of(conn, content),
            Message::PlaceWanted(wanted) => self.place_wanted(now, id, &wanted),
            Message::Place(place) => self.placed(now, id, &place),
            Message::HaveMap(map) => self.have_map(now, id, map),
            Message::Have { content, chunks } => {
                if let Some(transfer) = self.transfer_of(content) {
                    transfer.swarm.source_has(id, &chunks, now);
                    self.pump_fetches(now);
                }
            }
            Message::CatalogOffer { key, serial, bytes } => {
                self.catalogs.offered(id, key, serial, bytes);
                self.tell_organiser(id, key);
                self.fetch_catalog(now);
            }
            Message::CatalogWanted { key, serial, offset } => {
                if let Some(part) = self.catalogs.serve(key, serial, offset) {
                    self.send(conn, Message::CatalogPart { serial, offset, part });
                }
            }
            Message::CatalogPart { serial, offset, part } => {
                self.catalog_part(now, id, serial, offset, &part);
            }
            Message::StateWanted => self.tell_state(now, conn, id),
            Message::State(state) => self.state_told(now, id, state),
            Message::FetchWanted { game } => self.fetch_wanted(now, id, &game),
            Message::Ping { nonce } => self.send(conn, Message::Pong { nonce }),
            Message::Introduce { peers } => self.introduced(now, id, &peers),
            Message::Pong { .. } => {}
            Message::Goodbye => {
                self.close(conn, CloseReason::Goodbye);
                self.closed(now, conn, CloseReason::Goodbye);
            }
        }
    }

    fn library_message(&mut self, now: Time, conn: ConnId, id: PeerId, update: LibraryUpdate) {
        let updated = self.roster.update_library(&id, update);
        let Some(peer) = self.roster.get_mut(&id) else { return };
        match updated {
            Ok(false) => {}
            Ok(true) => {
                if peer.news.tell(now) || failpoint!("tell-every-library") {
                    let games = self.roster.get(&id).map_or(0, |peer| self.roster.game_count(peer));
                    self.event(Event::RemoteLibraryChanged { peer: id, games });
                } else {
                    let due = peer.news.next();
                    self.news_due = Some(self.news_due.map_or(due, |known| known.min(due)));
                }
                self.offers_changed(now, id);
            }
            // A connection made anew starts with a whole snapshot, which is the simplest way to agree again.
            Err(fault) => {
                if fault == LibraryFault::TooManyGames {
                    let addr = peer.addr;
                    let cause = RefusalCause::Protocol(fault.to_string());
                    self.refused(now, addr, Some(id), cause, false);
                }
                self.close(conn, CloseReason::ProtocolError);
                self.closed(now, conn, CloseReason::Lost);
            }
        }
    }

    /// Tells how the libraries stand that changed too often to tell each change.
    pub(super) fn tell_library_news(&mut self, now: Time) {
        if self.news_due.is_none_or(|due| now < due) {
            return;
        }
        let pending = self.roster.iter_mut().filter(|peer| peer.news.pending);
        let told: Vec<PeerId> = pending.filter_map(|p| p.news.tell(now).then_some(p.id)).collect();
        self.news_due = self.roster.iter().filter(|p| p.news.pending).map(|p| p.news.next()).min();
        for peer in told {
            let games = self.roster.get(&peer).map_or(0, |peer| self.roster.game_count(peer));
            self.event(Event::RemoteLibraryChanged { peer, games });
        }
    }

    /// Whoever now offers what is being downloaded has every chunk of it.
    fn offers_changed(&mut self, now: Time, id: PeerId) {
        let Some(peer) = self.roster.get(&id) else { return };
        for fetch in self.fetches.values_mut() {
            if !self.roster.offers_content(peer, &fetch.game, fetch.content) || fetch.rejected.contains(&id) {
                continue;
            }
            if let Some(transfer) = fetch.transfer_mut() {
                let all = transfer.content.manifest().chunk_count();
                transfer.swarm.add_source(id, ChunkSet::full(all), now);
            }
        }
        self.search_manifests(now);
        self.pump_fetches(now);
    }

    fn have_map(&mut self, now: Time, id: PeerId, map: HaveMap) {
        let (HaveMap::All { content } | HaveMap::None { content } | HaveMap::Part { content, .. }) = map;
        let Some(fetch) = self.fetches.values_mut().find(|f| f.content == content) else { return };
        if fetch.rejected.contains(&id) {
            return;
        }
        let Some(transfer) = fetch.transfer_mut() else { return };
        let all = transfer.content.manifest().chunk_count();
        match map {
            HaveMap::All { .. } => transfer.swarm.add_source(id, ChunkSet::full(all), now),
            HaveMap::None { .. } => {
                let complete =
                    self.roster.get(&id).is_some_and(|p| self.roster.offers_content(p, &fetch.game, content));
                if !complete && let Some(transfer) = fetch.transfer_mut() {
                    transfer.swarm.remove_source(id);
                }
            }
            HaveMap::Part { first, bits, .. } => {
                if first.0 == 0 {
                    transfer.swarm.add_source(id, ChunkSet::empty(all), now);
                }
                transfer.swarm.source_has(id, &chunks_in(first, &bits), now);
            }
        }
        self.pump_fetches(now);
    }

    /// Tells a peer what we have of a content that it downloads.
    pub(super) fn send_have_map(&mut self, conn: ConnId, game: &GameId, content: ContentId) {
        if self.library.is_announced(game) && self.library.content_of(game) == Some(content) {
            return self.send(conn, Message::HaveMap(HaveMap::All { content }));
        }
        let held = self.fetches.get(game).filter(|f| f.content == content).and_then(Fetch::transfer);
        let Some(bits) = held.map(|t| t.held().to_bytes()) else {
            return self.send(conn, Message::HaveMap(HaveMap::None { content }));
        };
        for (part, bits) in bits.chunks(HAVE_MAP_BYTES_MAX).enumerate() {
            let first = ChunkIndex((part * HAVE_MAP_BYTES_MAX * 8) as u32);
            self.send(conn, Message::HaveMap(HaveMap::Part { content, first, bits: bits.to_vec() }));
        }
    }

    /// Announces now, or, while more is being hashed, a little later together with what comes until then: a library of
    /// a thousand games whose hashes are known is told in a few messages.
    pub(super) fn announce_soon(&mut self, now: Time) {
        let last = self.library.hashes_outstanding() == 0;
        if last || now.since(self.announced_at) >= ANNOUNCE_INTERVAL {
            self.announced_at = now;
            self.announce_library();
        } else {
            self.announce_due.get_or_insert(self.announced_at + ANNOUNCE_INTERVAL);
        }
    }

    pub(super) fn announce_if_due(&mut self, now: Time) {
        if self.announce_due.is_some_and(|due| now >= due) {
            self.announced_at = now;
            self.announce_library();
        }
    }

    /// Tells everybody what changed in what we serve.
    pub(super) fn announce_library(&mut self) {
        self.announce_due = None;
        let removing =
            |game: &GameId| self.operations.kind(game) == Some(crate::command::OperationKind::Removing);
        let Some(parts) = self.library.changes(&self.config.catalog, removing) else { return };
        let conns: Vec<ConnId> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            for part in &parts {
                self.send(conn, Message::Library(part.clone()));
            }
        }
        self.library_changed();
    }

    pub(super) fn library_changed(&mut self) {
        let games = self.library.announced_games();
        let ignored = self.library.ignored().to_vec();
        self.event(Event::LocalLibraryChanged { games, ignored });
    }
}

/// Sabotage: no message, or no ping, is one too many.
fn takes_regardless(message: &Message) -> bool {
    let ping = matches!(message, Message::Ping { .. });
    if ping && failpoint!("take-every-ping") {
        return true;
    }
    failpoint!("take-every-message")
}

/// Why a connection is closed whose messages cost too much: named by the last one.
fn flood(message: &Message) -> RefusalCause {
    let what = match message {
        Message::Library(_) => "library updates",
        Message::Interested { .. } | Message::NotInterested { .. } => "interests",
        Message::HaveMap(_) => "have maps",
        Message::Have { .. } => "have announcements",
        Message::Progress { .. } | Message::ProgressWanted { .. } => "progress messages",
        Message::PlaceWanted(_) | Message::Place(_) => "places in the line",
        Message::Introduce { .. } => "introductions",
        Message::CatalogOffer { .. } | Message::CatalogWanted { .. } | Message::CatalogPart { .. } => {
            "catalogue messages"
        }
        Message::StateWanted | Message::State(_) => "states",
        Message::FetchWanted { .. } => "wishes",
        Message::Ping { .. } | Message::Pong { .. } => "pings",
        Message::Goodbye => "goodbyes",
    };
    RefusalCause::Protocol(format!("it floods with control messages, the last of them {what}"))
}

/// The chunks of a part of a bitmap, least significant bit first. Bits beyond the last chunk are not looked for here: no
/// set takes such a chunk.
fn chunks_in(first: ChunkIndex, bits: &[u8]) -> Vec<ChunkIndex> {
    let set = |at: &usize| bits[at / 8] >> (at % 8) & 1 == 1;
    let chunk = |at: usize| first.0.checked_add(at as u32).map(ChunkIndex);
    (0..bits.len() * 8).filter(set).filter_map(chunk).collect()
}
