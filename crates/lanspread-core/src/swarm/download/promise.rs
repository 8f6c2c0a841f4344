//! What scarce seeds have promised: that a chunk was sent to another peer, which will announce it and pass it on.
//!
//! A promise that is repeated for long while no peer announces the chunk is not believed, or a seed that always answers
//! "nothing fresh" would keep its share of the game from everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_types::{ChunkIndex, PeerId};

use super::Download;
use crate::swarm::doubt::SILENCE_FACTOR;
use crate::time::Time;

/// The promises that are open, one for each chunk at most.
#[derive(Debug, Default)]
pub(super) struct Promises(BTreeMap<ChunkIndex, Promise>);

#[derive(Debug)]
struct Promise {
    seed: PeerId,
    /// When the seed first said so, with no copy announced since.
    since: Time,
    /// When it last said so; `None` once there is reason to ask again at once.
    last: Option<Time>,
}

impl Promises {
    pub fn remove(&mut self, chunk: ChunkIndex) {
        self.0.remove(&chunk);
    }

    /// Lets every promised chunk be asked for again at once: the peer that was to pass it on may have left.
    pub fn expect_again(&mut self) {
        self.0.values_mut().for_each(|promise| promise.last = None);
    }

    /// Whether the chunk was promised less than `patience` ago.
    pub fn is_open(&self, chunk: ChunkIndex, patience: Duration, now: Time) -> bool {
        self.0.get(&chunk).and_then(|promise| promise.last).is_some_and(|last| now < last + patience)
    }

    /// When each promised chunk may be asked for again.
    pub fn due(&self, patience: Duration) -> impl Iterator<Item = Time> + '_ {
        self.0.values().filter_map(move |promise| promise.last).map(move |last| last + patience)
    }

    /// Records a promise and returns since when the same seed has made it. `kept` tells that a copy is announced.
    fn record(&mut self, chunk: ChunkIndex, seed: PeerId, kept: bool, now: Time) -> Time {
        let promise = self.0.entry(chunk).or_insert(Promise { seed, since: now, last: None });
        if kept || promise.seed != seed {
            (promise.seed, promise.since) = (seed, now);
        }
        promise.last = Some(now);
        promise.since
    }
}

impl Download {
    /// A seed says that it has sent these chunks to other peers. If another seed could be asked instead, a seed that has
    /// said so of one chunk for eight times as long as an announcement takes is doubted.
    pub(super) fn promised(&mut self, seed: PeerId, chunks: Vec<ChunkIndex>) {
        let broken_after = self.spread_patience() * SILENCE_FACTOR;
        let mut broken = false;
        for chunk in chunks {
            let kept = self.availability.copies(chunk) > 0;
            broken |= self.promises.record(chunk, seed, kept, self.now) + broken_after <= self.now;
        }
        let doubted = self.sources.get(&seed).is_some_and(|source| !source.doubt.is_credible());
        if doubted || broken && self.seeds.len() > 1 {
            self.doubt(seed, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkIndex = ChunkIndex(3);
    const PATIENCE: Duration = Duration::from_millis(200);

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn promise_counts_from_its_first_time_at_one_seed() {
        let (ada, ben) = (PeerId([1; 32]), PeerId([2; 32]));
        let mut promises = Promises::default();
        assert_eq!(promises.record(CHUNK, ada, false, at(100)), at(100));
        assert_eq!(promises.record(CHUNK, ada, false, at(900)), at(100));
        assert_eq!(promises.record(CHUNK, ada, true, at(1000)), at(1000), "a copy was announced");
        assert_eq!(promises.record(CHUNK, ben, false, at(1100)), at(1100), "another seed says so");
    }

    #[test]
    fn departed_peer_reopens_promises_but_keeps_their_age() {
        let ada = PeerId([1; 32]);
        let mut promises = Promises::default();
        promises.record(CHUNK, ada, false, at(100));
        assert!(promises.is_open(CHUNK, PATIENCE, at(299)) && !promises.is_open(CHUNK, PATIENCE, at(300)));
        assert_eq!(promises.due(PATIENCE).collect::<Vec<_>>(), [at(300)]);
        promises.expect_again();
        assert!(!promises.is_open(CHUNK, PATIENCE, at(100)) && promises.due(PATIENCE).next().is_none());
        assert_eq!(promises.record(CHUNK, ada, false, at(400)), at(100));
    }
}
