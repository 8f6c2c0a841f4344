//! What a sender has sent of one content, to whom, and what it has heard of it since.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_types::{ChunkIndex, ChunkSet, PeerId};

use crate::time::Time;

/// A chunk that left should have been announced by whoever got it after so many times what that usually takes (answers
/// wait in the system's buffers, and TCP shares links unevenly) ...
const TRANSIT_FACTOR: f64 = 4.0;
/// ... but not before this, which is also what an announcement takes to be heard by everybody ...
const SPREAD_PATIENCE: Duration = Duration::from_millis(200);
/// ... and after this as long as nobody has announced anything. If a wish that was made after that names the chunk all the
/// same, it is fresh again: its receiver keeps it, lies, or is slow.
const TRANSIT_UNKNOWN: Duration = Duration::from_millis(350);
/// Weight of the newest sample of what an answer takes.
const NEWEST: f64 = 0.1;

/// How often each chunk of a content was sent, in all and to whom, and what has become of it.
#[derive(Debug)]
pub(super) struct Sent {
    times: Vec<u16>,
    last: Vec<Fate>,
    to: BTreeMap<PeerId, ChunkSet>,
    /// Seconds from handing an answer over to hearing that its receiver has it.
    transit: Option<f64>,
}

/// What is known of the copy of a chunk that was sent last.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Handing it over has not ended, or it was never sent.
    Unsent,
    Left(Time),
    /// Its receiver has told everybody.
    Announced(Time),
}

impl Sent {
    pub fn new(chunks: u32) -> Self {
        let chunks = chunks as usize;
        Self { times: vec![0; chunks], last: vec![Fate::Unsent; chunks], to: BTreeMap::new(), transit: None }
    }

    pub fn times(&self, chunk: ChunkIndex) -> u16 {
        self.times.get(chunk.as_usize()).copied().unwrap_or(0)
    }

    pub fn sent_to(&self, peer: &PeerId, chunk: ChunkIndex) -> bool {
        self.to.get(peer).is_some_and(|set| set.contains(chunk))
    }

    /// Whether nobody has it who passes it on, as one sees it who wishes for it at that time.
    pub fn is_fresh(&self, chunk: ChunkIndex, since: Time) -> bool {
        self.times(chunk) == 0
            || match self.last.get(chunk.as_usize()) {
                Some(Fate::Left(at)) => *at + self.patience() <= since,
                Some(Fate::Announced(at)) => *at + self.hearing() <= since,
                Some(Fate::Unsent) | None => false,
            }
    }

    fn patience(&self) -> Duration {
        let usual = self.transit.map_or(TRANSIT_UNKNOWN, Duration::from_secs_f64);
        usual.mul_f64(TRANSIT_FACTOR).max(SPREAD_PATIENCE)
    }

    /// How long until everybody has heard of an announcement and wishes accordingly: where answers take long, so do these.
    fn hearing(&self) -> Duration {
        self.transit.map_or(Duration::ZERO, Duration::from_secs_f64).max(SPREAD_PATIENCE)
    }

    pub fn note(&mut self, peer: PeerId, chunk: ChunkIndex) {
        if let Some(times) = self.times.get_mut(chunk.as_usize()) {
            *times = times.saturating_add(1);
            self.last[chunk.as_usize()] = Fate::Unsent;
            let chunks = self.times.len() as u32;
            self.to.entry(peer).or_insert_with(|| ChunkSet::empty(chunks)).insert(chunk);
        }
    }

    pub fn left(&mut self, chunk: ChunkIndex, now: Time) {
        if let Some(fate @ Fate::Unsent) = self.last.get_mut(chunk.as_usize()) {
            *fate = Fate::Left(now);
        }
    }

    /// Its receiver has told us, and with us everybody.
    pub fn announced(&mut self, peer: &PeerId, chunk: ChunkIndex, now: Time) {
        if !self.sent_to(peer, chunk) {
            return;
        }
        let alone = self.times(chunk) == 1;
        let Some(fate) = self.last.get_mut(chunk.as_usize()) else { return };
        if let (Fate::Left(at), true) = (*fate, alone) {
            let took = now.since(at).as_secs_f64();
            self.transit = Some(self.transit.map_or(took, |usual| usual + NEWEST * (took - usual)));
        }
        if !matches!(fate, Fate::Announced(_)) {
            *fate = Fate::Announced(now);
        }
    }

    pub fn undo(&mut self, peer: PeerId, chunk: ChunkIndex) {
        if let Some(times) = self.times.get_mut(chunk.as_usize()) {
            *times = times.saturating_sub(1);
        }
        if let Some(set) = self.to.get_mut(&peer) {
            set.remove(chunk);
        }
    }

    /// Those who were sent the chunk.
    pub fn receivers_of(&self, chunk: ChunkIndex) -> impl Iterator<Item = &PeerId> {
        self.to.iter().filter(move |(_, chunks)| chunks.contains(chunk)).map(|(peer, _)| peer)
    }

    /// Who is gone takes its copies along: what nobody else was sent is fresh again.
    pub fn forget_gone(&mut self, stays: impl Fn(&PeerId) -> bool) {
        let times = &mut self.times;
        self.to.retain(|peer, chunks| {
            let stays = stays(peer);
            if !stays {
                chunks.iter().for_each(|chunk| {
                    times[chunk.as_usize()] = times[chunk.as_usize()].saturating_sub(1);
                });
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    /// Sends a chunk to the receiver with that number, who tells of it so much later, if at all.
    fn send(sent: &mut Sent, n: u8, chunk: u32, left: u64, announced: Option<u64>) {
        let (peer, chunk) = (PeerId([n; 32]), ChunkIndex(chunk));
        sent.note(peer, chunk);
        sent.left(chunk, at(left));
        if let Some(announced) = announced {
            sent.announced(&peer, chunk, at(announced));
        }
    }

    #[test]
    fn how_long_one_waits_for_an_announcement_follows_what_they_take() {
        let mut sent = Sent::new(8);
        send(&mut sent, 1, 0, 0, Some(1000));
        send(&mut sent, 1, 1, 1000, Some(3000));
        send(&mut sent, 2, 2, 3000, None);
        let fresh = |ms| sent.is_fresh(ChunkIndex(2), at(ms));
        assert!(!fresh(3000 + 4390) && fresh(3000 + 4410), "four times what it takes: 1.1 s by now");
    }

    #[test]
    fn what_was_announced_and_is_wished_for_all_the_same_is_fresh_once_everybody_has_heard() {
        let mut sent = Sent::new(8);
        send(&mut sent, 1, 0, 0, Some(1000));
        assert!(!sent.is_fresh(ChunkIndex(0), at(1900)) && sent.is_fresh(ChunkIndex(0), at(2000)));
        // Said again, it is no news.
        sent.announced(&PeerId([1; 32]), ChunkIndex(0), at(1900));
        assert!(sent.is_fresh(ChunkIndex(0), at(2000)));
    }
}
