//! Messages of the relay line: places and progress. [`crate::swarm::Lines`] decides who follows whom.

use lanspread_types::message::{Message, Place, PlaceWanted};
use lanspread_types::{ChunkIndex, ContentId, PeerId};

use super::Node;
use crate::io::ConnId;
use crate::time::Time;

impl Node {
    /// Number of chunks of a content, if all of them are here.
    fn complete_chunks(&self, content: ContentId) -> Option<u32> {
        let local = self.library.iter().find_map(|(_, local)| {
            local.content().filter(|held| local.downloaded() && held.content_id() == content)
        });
        local.map(|held| held.manifest().chunk_count())
    }

    /// Gives a receiver its place, or names the peer that does.
    pub(super) fn place_wanted(&mut self, now: Time, peer: PeerId, wanted: &PlaceWanted) {
        let Some(remote) = self.roster.get(&peer) else { return };
        let conn = remote.conn;
        let (home, group) = (self.own_group_towards(remote), self.group_of(remote));
        let content = wanted.content;
        let placed_by = self.placed_by.get(&content).copied().filter(|by| *by != peer);
        let chunks = self.complete_chunks(content).filter(|_| placed_by.is_none());
        let Some(chunks) = chunks else {
            return self.send(conn, Message::Place(Place { content, upstreams: Vec::new(), ask: placed_by }));
        };
        let told = self.lines.place((self.config.me, home), (peer, group), wanted, chunks, now);
        self.tell_places(told);
    }

    /// Removes a peer that has left the room from all lines.
    pub(super) fn leave_lines(&mut self, peer: PeerId) {
        self.placed_by.retain(|_, by| *by != peer);
        let told = self.lines.remove(self.config.me, peer);
        self.tell_places(told);
    }

    fn tell_places(&mut self, told: Vec<(PeerId, Place)>) {
        for (peer, place) in told {
            self.send_to(&peer, Message::Place(place));
        }
    }

    /// Takes the place that a placer gave us.
    pub(super) fn placed(&mut self, now: Time, by: PeerId, place: &Place) {
        let Some(transfer) = self.transfer_of(place.content) else { return };
        if transfer.swarm.placed(by, place, now) && !place.upstreams.is_empty() {
            self.placed_by.insert(place.content, by);
        }
        self.pump_fetches(now);
    }

    /// Answers how much of a content is here.
    pub(super) fn tell_progress_of(&mut self, conn: ConnId, content: ContentId) {
        let below = match self.transfer_of(content) {
            Some(transfer) => Some(transfer.swarm.have_below()),
            None => self.complete_chunks(content).map(ChunkIndex),
        };
        if let Some(below) = below {
            self.send(conn, Message::Progress { content, below });
        }
    }
}
