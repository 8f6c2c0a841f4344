//! What sources have, what they send, and what this peer announces in turn.

use std::time::Duration;

use lanspread_types::limits::CHUNKS_PER_HAVE_MAX;
use lanspread_types::manifest::ChunkPart;
use lanspread_types::message::{HaveMap, Message, Refusal};
use lanspread_types::{ChunkIndex, ChunkSet, GameId, PeerId};

use super::Downloads;
use super::requests::RequestKey;
use crate::api::event::Event;
use crate::download::Download;
use crate::node::outbox::Outbox;
use crate::roster::{RemotePeer, Roster};
use crate::swarm::Failure;
use crate::time::Time;

/// Listeners that lengthen the interval between announcements by one more `have_interval`. Otherwise two hundred guests
/// would receive ten thousand messages a second, most of them with a single chunk.
const LISTENERS_PER_INTERVAL: u32 = 50;

/// Shortest interval between two progress messages of a peer in a line.
const PROGRESS_NEWS_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest interval per listener: among N listeners a peer sends progress messages at most every N times this, so each
/// peer receives at most fifty a second, whatever the number of peers.
const PROGRESS_NEWS_EACH: Duration = Duration::from_millis(20);

impl Downloads {
    /// Adds a peer as a complete source of the downloads that it offers.
    pub fn offers_changed(&mut self, now: Time, id: PeerId, roster: &Roster) {
        let Some(peer) = roster.get(&id) else { return };
        for download in self.all.values_mut().filter(|download| !download.rejected.contains(&id)) {
            let offered = roster.offers_content(peer, &download.game, download.content);
            if let Some(transfer) = download.transfer_mut().filter(|_| offered) {
                let all = transfer.content.manifest().chunk_count();
                transfer.picker.add_source(id, ChunkSet::full(all), now);
            }
        }
    }

    /// Takes in which chunks a peer has.
    pub fn have_map(&mut self, now: Time, id: PeerId, map: HaveMap, roster: &Roster, outbox: &mut Outbox) {
        let (HaveMap::All { content } | HaveMap::None { content } | HaveMap::Part { content, .. }) = map;
        let Some(download) = self.all.values_mut().find(|f| f.content == content) else { return };
        let offered = roster.get(&id).is_some_and(|p| roster.offers_content(p, &download.game, content));
        if download.rejected.contains(&id) {
            return;
        }
        let Some(transfer) = download.transfer_mut() else { return };
        let all = transfer.content.manifest().chunk_count();
        match map {
            HaveMap::All { .. } => transfer.picker.add_source(id, ChunkSet::full(all), now),
            HaveMap::None { .. } if offered => {}
            HaveMap::None { .. } => transfer.picker.remove_source(id),
            HaveMap::Part { first, bits, .. } => {
                if first.0 == 0 {
                    transfer.picker.add_source(id, ChunkSet::empty(all), now);
                }
                transfer.picker.source_has(id, &chunks_in(first, &bits), now);
            }
        }
        self.pump(now, roster, outbox);
    }

    /// Notes that the bytes of a chunk begin to arrive.
    pub fn chunk_started(
        &mut self,
        now: Time,
        key: RequestKey,
        chunk: ChunkIndex,
        roster: &Roster,
        outbox: &mut Outbox,
    ) {
        self.requests.started(&key);
        let download = self.requests.game(&key).and_then(|game| self.all.get_mut(game));
        if let Some(transfer) = download.and_then(Download::transfer_mut) {
            // The result is ignored: a chunk is verified as the one that it claims to be, so a wrong one only wastes
            // bytes.
            let _ = transfer.picker.started(key.0, key.1, chunk, now);
            self.pump(now, roster, outbox);
        }
    }

    /// Counts, reports and announces a chunk that is verified and written. Returns its bytes if it is new.
    pub fn chunk_stored(
        &mut self,
        now: Time,
        game: &GameId,
        (peer, id): RequestKey,
        chunk: ChunkIndex,
        roster: &Roster,
        outbox: &mut Outbox,
    ) -> Option<u64> {
        let download = self.all.get_mut(game)?;
        let transfer = download.transfer_mut()?;
        if !transfer.picker.stored(peer, id, chunk, now).new {
            return None;
        }
        let content = transfer.content.clone();
        let manifest = content.manifest();
        let place = manifest.place(chunk)?;
        transfer.unannounced.push(chunk);
        let finished = |part: ChunkPart| Event::DownloadChunkFinished {
            game: game.clone(),
            path: manifest.files()[part.file].path.clone(),
            offset: part.offset,
            length: part.len,
            peer,
        };
        // Events and totals count the part of each file, as if small files did not share chunks.
        let parts = manifest.parts(place).map(|part| outbox.event(finished(part))).count();
        download.credit(peer, || roster.name_of(&peer), parts as u64, place.len, now);
        self.announce_chunks(now, game, roster, outbox);
        Some(place.len)
    }

    /// Notes that a request for a chunk failed.
    pub fn chunk_failed(&mut self, now: Time, game: &GameId, (peer, id): RequestKey, failure: Failure) {
        let Some(transfer) = self.transfer_mut(game) else { return };
        transfer.picker.failed(peer, id, failure, now);
        // A source that no longer serves the game is asked again when it announces the game again.
        let gone =
            [Refusal::UnknownGame, Refusal::NotDownloaded, Refusal::UnderOperation, Refusal::OtherContent];
        if matches!(failure, Failure::Refused(reason) if gone.contains(&reason)) {
            transfer.picker.remove_source(peer);
        }
    }

    /// Announces chunks that have arrived, several at a time, to peers that download the same content.
    pub fn announce_chunks(&mut self, now: Time, game: &GameId, roster: &Roster, outbox: &mut Outbox) {
        let have_interval = self.tuning.have_interval;
        let Some(download) = self.all.get_mut(game) else { return };
        let content = download.content;
        let Some(transfer) = download.transfer_mut() else { return };
        if transfer.unannounced.is_empty() || now.since(transfer.announced_at) < transfer.have_interval {
            return;
        }
        transfer.announced_at = now;
        let chunks = std::mem::take(&mut transfer.unannounced);
        // In a line the seeds are told, too, because one of them is the placer.
        let in_line = transfer.picker.is_in_line();
        let listens = |p: &&RemotePeer| p.is_interested(content) || in_line && transfer.picker.is_seed(p.id);
        let conns: Vec<_> = roster.iter().filter(listens).map(|p| p.conn).collect();
        if in_line {
            // Chunks arrive in order, so one number announces them all. No choice depends on this number while the line
            // moves.
            transfer.have_interval = PROGRESS_NEWS_INTERVAL.max(conns.len() as u32 * PROGRESS_NEWS_EACH);
            let below = transfer.picker.have_below();
            conns.iter().for_each(|&conn| outbox.send(conn, Message::Progress { content, below }));
            return;
        }
        transfer.have_interval = have_interval * (1 + conns.len() as u32 / LISTENERS_PER_INTERVAL);
        for part in chunks.chunks(CHUNKS_PER_HAVE_MAX) {
            for &conn in &conns {
                outbox.send(conn, Message::Have { content, chunks: part.to_vec() });
            }
        }
    }
}

/// Returns the chunks of a part of a bitmap, least significant bit first. Bits beyond the last chunk need no check
/// here, because no set accepts such a chunk.
fn chunks_in(first: ChunkIndex, bits: &[u8]) -> Vec<ChunkIndex> {
    let set = |at: &usize| bits[at / 8] >> (at % 8) & 1 == 1;
    let chunk = |at: usize| first.0.checked_add(at as u32).map(ChunkIndex);
    (0..bits.len() * 8).filter(set).filter_map(chunk).collect()
}
