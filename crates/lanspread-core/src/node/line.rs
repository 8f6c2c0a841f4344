//! Messages of the relay line: places and progress. [`crate::swarm::Lines`] decides which peer follows which.

use std::collections::BTreeMap;

use lanspread_types::message::{Message, Place, PlaceWanted};
use lanspread_types::{ChunkIndex, ContentId, PeerId};

use super::Node;
use crate::groups::Group;
use crate::io::ConnId;
use crate::swarm::Lines;
use crate::time::Time;

/// The relay lines of this peer: those that it keeps, and the placers of those in which it stands.
#[derive(Debug)]
pub struct RelayLines {
    me: PeerId,
    /// The lines that this peer keeps as placer.
    pub kept: Lines,
    /// The placer that gave this peer its place, by content.
    placed_by: BTreeMap<ContentId, PeerId>,
}

impl RelayLines {
    /// Creates the state of a peer that keeps no line and stands in none.
    pub fn new(me: PeerId) -> Self {
        Self { me, kept: Lines::default(), placed_by: BTreeMap::new() }
    }

    /// Answers a receiver that wants a place: with its place; with the placer that placed this peer; or, if this peer
    /// knows no placer and lacks the whole content, with an empty place. `chunks` is the size of the content if the
    /// whole content is here. Returns the places to tell, by peer.
    pub fn place(
        &mut self,
        home: Group,
        (peer, group): (PeerId, Group),
        wanted: &PlaceWanted,
        chunks: Option<u32>,
        now: Time,
    ) -> Vec<(PeerId, Place)> {
        let content = wanted.content;
        let placed_by = self.placed_by.get(&content).copied().filter(|by| *by != peer);
        match chunks.filter(|_| placed_by.is_none()) {
            Some(chunks) => self.kept.place((self.me, home), (peer, group), wanted, chunks, now),
            None => vec![(peer, Place { content, upstreams: Vec::new(), ask: placed_by })],
        }
    }

    /// Removes a peer that has left the room. Returns the places to tell, by peer.
    pub fn remove(&mut self, peer: PeerId) -> Vec<(PeerId, Place)> {
        self.placed_by.retain(|_, by| *by != peer);
        self.kept.remove(self.me, peer)
    }

    /// Returns true if this peer stands in the line of another placer of this content.
    pub fn is_placed_by_another(&self, content: &ContentId, placer: PeerId) -> bool {
        self.placed_by.get(content).is_some_and(|by| *by != placer)
    }
}

impl Node {
    pub(super) fn place_wanted(&mut self, now: Time, peer: PeerId, wanted: &PlaceWanted) {
        let Some(remote) = self.roster.get(&peer) else { return };
        let (home, group) = (self.config.own_group_towards(remote), self.config.group_of(remote));
        let chunks = self.library.complete_chunks(wanted.content);
        let told = self.uploads.lines.place(home, (peer, group), wanted, chunks, now);
        self.tell_places(told);
    }

    pub(super) fn tell_places(&mut self, told: Vec<(PeerId, Place)>) {
        for (peer, place) in told {
            self.outbox.send_to(&self.roster, &peer, Message::Place(place));
        }
    }

    /// Takes the place that a placer gave us.
    pub(super) fn placed(&mut self, now: Time, by: PeerId, place: &Place) {
        let Some(transfer) = self.downloads.transfer_of(place.content) else { return };
        if transfer.picker.placed(by, place, now) && !place.upstreams.is_empty() {
            self.uploads.lines.placed_by.insert(place.content, by);
        }
        self.pump_downloads(now);
    }

    /// Answers how much of a content is here.
    pub(super) fn tell_progress_of(&mut self, conn: ConnId, content: ContentId) {
        let below = match self.downloads.transfer_of(content) {
            Some(transfer) => Some(transfer.picker.have_below()),
            None => self.library.complete_chunks(content).map(ChunkIndex),
        };
        if let Some(below) = below {
            self.outbox.send(conn, Message::Progress { content, below });
        }
    }
}
