//! Connections and control messages.
//!
//! Every message is first charged to the budget of its sender and of that sender's address; a peer that floods is
//! dropped. Messages about downloads, catalogues, lines and the room go on to the file that handles them.

use lanspread_types::limits::{HAVE_MAP_BYTES_MAX, PROTOCOL_VERSION};
use lanspread_types::message::{HaveMap, LibraryUpdate, Message};
use lanspread_types::{ChunkIndex, ContentId, GameId, PeerId, failpoint};

use super::Node;
use crate::api::command::{CommandError, Reply};
use crate::api::event::Event;
use crate::budget::{Verdict, cost, may_be_dropped};
use crate::download::Download;
use crate::io::{CloseReason, ConnId, Connected, NetInput};
use crate::refusals::RefusalCause;
use crate::roster::{Admission, LibraryFault};
use crate::time::Time;

impl Node {
    pub(super) fn handle_net(&mut self, now: Time, input: NetInput) {
        match input {
            NetInput::Connected(connected) => self.connected(now, &connected),
            NetInput::Incompatible { addr, peer, theirs } => {
                let ours = PROTOCOL_VERSION;
                self.dialling.book.other_version(peer, addr, theirs, now);
                self.outbox.event(Event::PeerIncompatible { addr, theirs, ours });
                self.answer_connects(addr, |addr| Err(CommandError::Incompatible { addr, theirs, ours }));
            }
            NetInput::Refused { addr, peer, cause, dialled } => {
                self.refused(now, addr, peer, cause, dialled);
            }
            NetInput::DialFailed { addr, failure } => {
                self.answer_connects(addr, |addr| {
                    Err(CommandError::ConnectFailed { addr, failure: failure.clone() })
                });
                self.dialling.typed_dial_failed(addr, &failure);
            }
            NetInput::PeerDialFailed { peer, reason } => {
                self.dialling.book.failed(&peer, reason, now, &mut self.rng);
            }
            NetInput::Reached { peer, addr } => self.dialling.reached(now, peer, addr, &mut self.rng),
            NetInput::Sighted(_) if failpoint!("ignore-sightings") => {}
            NetInput::Sighted(sighting) => {
                self.dialling.sighted(now, sighting, None, &mut self.rng, &mut self.outbox);
            }
            NetInput::Subnets(subnets) => self.dialling.book.set_subnets(subnets),
            NetInput::Closed { conn, reason } => self.closed(now, conn, reason),
            NetInput::Message { conn, message } => self.message(now, conn, message),
            NetInput::Requested { link, peer, request } => self.requested(now, link, peer, request),
            NetInput::Served { link, id, bytes, ok } => self.served(now, link, id, bytes, ok),
            NetInput::LinkClosed { link } => self.link_closed(now, link),
            NetInput::ChunkStarted { peer, id, chunk } => {
                let Self { downloads, roster, outbox, .. } = self;
                downloads.chunk_started(now, (peer, id), chunk, roster, outbox);
            }
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
            return self.outbox.close(*conn, CloseReason::Leaving);
        }
        let admission = self.roster.admit(connected, now);
        match admission {
            Admission::Full | Admission::Banned => {
                let full = admission == Admission::Full;
                let reason = if full { CloseReason::TooManyPeers } else { CloseReason::ProtocolError };
                self.dialling.book.turned_away(peer, reason.to_string(), now);
                return self.outbox.close(*conn, reason);
            }
            Admission::Redundant => self.outbox.close(*conn, CloseReason::Replaced),
            Admission::Replaces(old) => {
                self.outbox.close(old, CloseReason::Replaced);
                self.greet(*conn);
            }
            Admission::New => {
                self.greet(*conn);
                let name = self.roster.name_of(peer);
                self.outbox.event(Event::PeerConnected { peer: *peer, name, addr: *addr });
            }
        }
        self.look_for_silence();
        let typed = *dialled && self.pending.is_typed(*addr);
        self.dialling.peer_connected(now, connected, typed, &self.roster, &mut self.rng);
        if *dialled && let Some(remote) = self.roster.get(peer) {
            let snapshot = self.dialling.peer_snapshot(remote, &self.roster);
            self.answer_connects(*addr, |_| Ok(Reply::Connected(snapshot.clone())));
        }
        self.answer_peer_waits(now);
    }

    /// Sends our library, the offer of our catalogue and the contents that we download to a new connection.
    fn greet(&mut self, conn: ConnId) {
        for part in self.library.snapshot() {
            self.outbox.send(conn, Message::Library(part));
        }
        if let Some(offer) = self.catalog_offer() {
            self.outbox.send(conn, offer);
        }
        for download in self.downloads.iter().filter(|f| f.transfer().is_some()) {
            let (game, content) = (download.game.clone(), download.content);
            self.outbox.send(conn, Message::Interested { game, content });
        }
    }

    /// Answers the commands that wait for a connection to this address.
    pub(super) fn answer_connects(
        &mut self,
        addr: std::net::SocketAddr,
        answer: impl Fn(std::net::SocketAddr) -> Result<Reply, CommandError>,
    ) {
        let waiting = std::mem::take(&mut self.pending.connects);
        for (id, wanted) in waiting {
            if wanted == addr {
                self.outbox.reply(id, answer(addr));
            } else {
                self.pending.connects.push((id, wanted));
            }
        }
    }

    /// Handles a closed connection. Its peer is gone unless another connection has taken its place.
    pub(super) fn closed(&mut self, now: Time, conn: ConnId, reason: CloseReason) {
        let Some(peer) = self.roster.remove_conn(conn) else { return };
        self.downloads.peer_left(peer.id);
        let told = self.uploads.lines.remove(peer.id);
        self.tell_places(told);
        self.catalogs.peer_gone(peer.id);
        self.room.peer_gone(peer.id);
        self.outbox.event(Event::PeerLost { peer: peer.id, name: peer.name, reason });
        self.dialling.peer_disconnected(now, &peer.id, reason, &mut self.rng);
        self.search_manifests(now);
        self.pump_downloads(now);
    }

    fn message(&mut self, now: Time, conn: ConnId, message: Message) {
        let Some((id, verdict)) = self.roster.heard(conn, cost(&message), now) else { return };
        match verdict {
            Verdict::Handle => {}
            _ if takes_regardless(&message) => {}
            Verdict::Flood => return self.drop_peer(now, id, flood(&message)),
            Verdict::Spare if may_be_dropped(&message) => return,
            Verdict::Spare => {}
        }
        let Some(peer) = self.roster.get_mut(&id) else { return };
        match message {
            Message::Library(update) => self.library_message(now, conn, id, update),
            Message::Interested { game, content } => {
                peer.set_interested(content, true);
                self.send_have_map(conn, &game, content);
                self.holder_appeared(now, id, &game, content);
                // A peer that downloads our content will have chunks for us.
                if let Some(transfer) = self.downloads.transfer_of(content) {
                    transfer.picker.add_fellow(id, now);
                    self.pump_downloads(now);
                }
            }
            Message::NotInterested { content } => {
                peer.set_interested(content, false);
                self.uploads.lines.kept.done(id, content);
            }
            Message::Progress { content, below } => {
                self.uploads.lines.kept.progress(id, content, below);
                if let Some(transfer) = self.downloads.transfer_of(content) {
                    transfer.picker.source_has_below(id, below, now);
                    self.pump_downloads(now);
                }
            }
            Message::ProgressWanted { content } => self.tell_progress_of(conn, content),
            Message::PlaceWanted(wanted) => self.place_wanted(now, id, &wanted),
            Message::Place(place) => self.placed(now, id, &place),
            Message::HaveMap(map) => {
                self.downloads.have_map(now, id, map, &self.roster, &mut self.outbox);
            }
            Message::Have { content, chunks } => {
                if let Some(transfer) = self.downloads.transfer_of(content) {
                    transfer.picker.source_has(id, &chunks, now);
                    self.pump_downloads(now);
                }
            }
            Message::CatalogOffer { key, serial, bytes } => {
                self.catalogs.offered(id, key, serial, bytes);
                self.tell_organiser(id, key);
                self.fetch_catalog(now);
            }
            Message::CatalogWanted { key, serial, offset } => {
                if let Some(part) = self.catalogs.serve(key, serial, offset) {
                    self.outbox.send(conn, Message::CatalogPart { serial, offset, part });
                }
            }
            Message::CatalogPart { serial, offset, part } => {
                self.catalog_part(now, id, serial, offset, &part);
            }
            Message::StateWanted => self.tell_state(now, conn, id),
            Message::State(state) => self.state_told(now, id, state),
            Message::DownloadWanted { game } => self.download_wanted(now, id, &game),
            Message::Ping { nonce } => self.outbox.send(conn, Message::Pong { nonce }),
            Message::Introduce { peers } => {
                let Self { dialling, roster, rng, outbox, .. } = self;
                dialling.introduced(now, id, &peers, roster, rng, outbox);
            }
            Message::Pong { .. } => {}
            Message::Goodbye => {
                self.outbox.close(conn, CloseReason::Goodbye);
                self.closed(now, conn, CloseReason::Goodbye);
            }
        }
    }

    fn library_message(&mut self, now: Time, conn: ConnId, id: PeerId, update: LibraryUpdate) {
        match self.roster.update_library(&id, update) {
            Ok(false) => {}
            Ok(true) => {
                let Self { announcer, roster, timers, outbox, .. } = self;
                announcer.library_changed(now, id, roster, timers, outbox);
                self.offers_changed(now, id);
            }
            // A new connection starts with a complete snapshot, which is the simplest way to agree again.
            Err(fault) => {
                if fault == LibraryFault::TooManyGames
                    && let Some(addr) = self.roster.get(&id).map(|peer| peer.addr)
                {
                    let cause = RefusalCause::Protocol(fault.to_string());
                    self.refused(now, addr, Some(id), cause, false);
                }
                self.outbox.close(conn, CloseReason::ProtocolError);
                self.closed(now, conn, CloseReason::Lost);
            }
        }
    }

    /// Adds a peer as a complete source of the downloads that it now offers.
    fn offers_changed(&mut self, now: Time, id: PeerId) {
        self.downloads.offers_changed(now, id, &self.roster);
        self.search_manifests(now);
        self.pump_downloads(now);
    }

    /// Tells a peer which chunks of a content we have.
    pub(super) fn send_have_map(&mut self, conn: ConnId, game: &GameId, content: ContentId) {
        if self.library.is_announced(game) && self.library.content_of(game) == Some(content) {
            return self.outbox.send(conn, Message::HaveMap(HaveMap::All { content }));
        }
        let held = self.downloads.get(game).filter(|f| f.content == content).and_then(Download::transfer);
        let Some(bits) = held.map(|t| t.held().to_bytes()) else {
            return self.outbox.send(conn, Message::HaveMap(HaveMap::None { content }));
        };
        for (part, bits) in bits.chunks(HAVE_MAP_BYTES_MAX).enumerate() {
            let first = ChunkIndex((part * HAVE_MAP_BYTES_MAX * 8) as u32);
            self.outbox.send(conn, Message::HaveMap(HaveMap::Part { content, first, bits: bits.to_vec() }));
        }
    }
}

/// Failpoint: returns true if the message is handled even after its sender's budget is spent.
fn takes_regardless(message: &Message) -> bool {
    let ping = matches!(message, Message::Ping { .. });
    if ping && failpoint!("take-every-ping") {
        return true;
    }
    failpoint!("take-every-message")
}

/// Returns the reason for closing a connection whose messages cost too much, named after the last one.
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
        Message::DownloadWanted { .. } => "wishes",
        Message::Ping { .. } | Message::Pong { .. } => "pings",
        Message::Goodbye => "goodbyes",
    };
    RefusalCause::Protocol(format!("it sends too many control messages (the last ones: {what})"))
}
