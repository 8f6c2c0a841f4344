//! The relay line: each receiver streams in order from one upstream and feeds one downstream.
//!
//! A receiver asks the seed for a place by message. After that the order of the line is known to all peers without
//! delay, and only the messages that follow from it take time. So healing looks better than it is by one latency.

use super::network::{Event, Network, Structure};
use super::room::{MILLI, Nanos};

/// How a line deals with followers that do not keep up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineRules {
    /// Block times after which a follower that takes nothing moves to the tail. `None`: the line stays as it was
    /// formed.
    pub patience: Option<u32>,
}

/// A message between two peers of the line.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// Asks the seed for a place in the line.
    Want,
    /// Names the receiver's upstream.
    Place { upstream: u32 },
    /// Asks the upstream for all blocks from this one on.
    Follow { from_block: u32 },
    /// Tells the receiver of this message to follow its sender, because the peer between them is skipped.
    Come,
    /// Asks the upstream's upstream for all blocks from this one on, because the upstream sends nothing.
    Overtake { from_block: u32 },
    /// Tells the receiver of this message that it was skipped.
    Skipped,
}

#[derive(Debug, Default, Clone)]
struct Place {
    upstream: Option<usize>,
    downstream: Option<usize>,
    /// True once the downstream has said from which block it follows.
    streaming: bool,
    /// Next block to send to the downstream.
    next: u32,
    /// Blocks on the way to the downstream.
    flying: u32,
    /// When the last block arrived.
    arrival: Nanos,
    /// True while a `WATCH` timer is planned.
    watching: bool,
    /// When the `WATCH` timer is due.
    watched_at: Nanos,
    /// When the current measurement of the downstream began.
    measured: Nanos,
    /// Blocks that the downstream took since then.
    taken: u32,
    /// True if this peer ran out of blocks to send since then.
    starved: bool,
    /// Number of downstreams in a row that were too slow.
    slow: u32,
}

/// A relay line.
#[derive(Debug)]
pub struct Line {
    rules: LineRules,
    places: Vec<Place>,
    tail: usize,
    /// Peer that gives places: the seed, or the spare seed after it.
    seed: usize,
    /// Second complete peer, which replaces the seed when the seed is gone.
    spare: Option<usize>,
}

const WATCH: u32 = 1;
const STAND_IN: u32 = 2;
const SEED: usize = 0;

impl Line {
    /// Returns a line of the seed alone, in a room of `peers` peers.
    pub fn new(peers: usize, rules: LineRules) -> Self {
        Self { rules, places: vec![Place::default(); peers], tail: SEED, seed: SEED, spare: None }
    }

    /// Adds a second complete peer, which the first receiver follows when the seed is gone.
    pub fn with_spare_seed(mut self, peer: usize) -> Self {
        self.spare = Some(peer);
        self
    }

    fn patience(&self, network: &Network<Message>) -> Option<Nanos> {
        let blocks = self.rules.patience?;
        Some((u64::from(blocks) * network.room.block_time()).max(10 * MILLI) + 4 * network.room.latency)
    }

    fn push(&mut self, network: &mut Network<Message>, peer: usize) {
        let window = network.room.window;
        let place = &mut self.places[peer];
        let Some(to) = place.downstream else { return };
        if !place.streaming {
            return;
        }
        while network.takes_more(peer) && place.flying < window && place.next < network.have(peer).lowest {
            if network.have(to).has(place.next) {
                place.next += 1;
                continue;
            }
            network.send(peer, to, place.next, 0);
            place.next += 1;
            place.flying += 1;
        }
        if place.next >= network.have(peer).lowest {
            place.starved = true;
        }
    }

    /// Plans a check of whether blocks still arrive.
    fn watch(&mut self, network: &mut Network<Message>, peer: usize) {
        let Some(patience) = self.patience(network) else { return };
        let place = &mut self.places[peer];
        if place.watching || peer == self.seed || network.have(peer).full() {
            return;
        }
        place.watching = true;
        network.timer(peer, (place.arrival + patience).max(network.now + patience / 4), WATCH);
        place.watched_at = (place.arrival + patience).max(network.now + patience / 4);
    }

    /// Asks the upstream's upstream if no block has arrived for the patience.
    fn watched(&mut self, network: &mut Network<Message>, peer: usize) {
        let Some(patience) = self.patience(network) else { return };
        let now = network.now;
        let place = &mut self.places[peer];
        place.watching = false;
        if now > place.watched_at + MILLI {
            // The timer is late, so this peer itself has stalled.
            place.arrival = now;
        } else if now >= place.arrival + patience
            && let Some(upstream) = place.upstream
            && let Some(beyond) = self.places[upstream].upstream
        {
            let from_block = network.have(peer).lowest;
            network.message(peer, beyond, Message::Overtake { from_block });
        }
        self.watch(network, peer);
    }

    /// Feeds the downstream's downstream directly if it starves and this peer has more blocks for it.
    fn overtaken(&mut self, network: &mut Network<Message>, peer: usize, by: usize, from_block: u32) {
        let Some(between) = self.places[peer].downstream else { return };
        // Blocks on their way through the peer between are no lead.
        let lead = self.rules.patience.unwrap_or(0) + 4 * network.room.window;
        if self.places[between].downstream != Some(by)
            || network.have(peer).lowest < (from_block + lead).min(network.blocks())
        {
            return;
        }
        self.skip(network, peer, false);
        self.follow(network, peer, by, from_block);
    }

    fn follow(&mut self, network: &mut Network<Message>, peer: usize, by: usize, from_block: u32) {
        let now = network.now;
        let place = &mut self.places[peer];
        if place.downstream == Some(by) {
            place.streaming = true;
            place.next = from_block;
            place.measured = now;
            place.taken = 0;
            self.push(network, peer);
        }
    }

    /// Skips the downstream of `peer`. If `calls`, tells the peer behind it to follow `peer`.
    fn skip(&mut self, network: &mut Network<Message>, peer: usize, calls: bool) {
        let Some(gone) = self.places[peer].downstream else { return };
        let behind = self.places[gone].downstream;
        network.message(peer, gone, Message::Skipped);
        self.places[gone].upstream = None;
        self.places[gone].downstream = None;
        self.places[gone].streaming = false;
        let place = &mut self.places[peer];
        place.downstream = behind;
        place.streaming = false;
        place.flying = 0;
        match behind {
            Some(behind) => {
                self.places[behind].upstream = Some(peer);
                if calls {
                    network.message(peer, behind, Message::Come);
                }
            }
            None => self.tail = peer,
        }
    }

    /// Measures the downstream over at least half a second and skips it if it takes much less than `peer` has to
    /// send.
    fn measure(&mut self, network: &mut Network<Message>, peer: usize) {
        if self.rules.patience.is_none() {
            return;
        }
        let block = network.room.block_time();
        let place = &mut self.places[peer];
        place.taken += 1;
        if network.now < place.measured + (64 * block).max(500 * MILLI) {
            return;
        }
        let could = (network.now - place.measured) as f64 / block as f64;
        let slow = !place.starved && f64::from(place.taken) < 0.7 * could;
        let last = place.downstream.is_none_or(|downstream| downstream == self.tail);
        place.measured = network.now;
        place.taken = 0;
        place.starved = false;
        if !slow {
            self.places[peer].slow = 0;
        } else if !last {
            self.places[peer].slow += 1;
            if self.places[peer].slow >= 2 && peer != SEED {
                // Two slow downstreams in a row: the bottleneck is this peer's own uplink.
                self.places[peer].slow = 0;
                if let Some(upstream) = self.places[peer].upstream {
                    self.skip(network, upstream, true);
                }
            } else {
                self.skip(network, peer, true);
            }
        }
    }

    /// Lets the spare seed take over once the seed is dead, which it checks each time the patience has passed.
    fn stand_in(&mut self, network: &mut Network<Message>, peer: usize) {
        let patience = self.patience(network).unwrap_or(100 * MILLI);
        if network.alive(SEED) {
            network.timer(peer, network.now + patience, STAND_IN);
            return;
        }
        self.seed = peer;
        let first = self.places[SEED].downstream;
        let place = &mut self.places[peer];
        place.downstream = first;
        match first {
            Some(first) => {
                self.places[first].upstream = Some(peer);
                network.message(peer, first, Message::Come);
            }
            None => self.tail = peer,
        }
    }

    fn place_at_tail(&mut self, network: &mut Network<Message>, peer: usize) {
        if self.places[peer].upstream.is_some() || peer == self.tail {
            return;
        }
        let tail = self.tail;
        self.tail = peer;
        let place = &mut self.places[tail];
        place.downstream = Some(peer);
        place.streaming = false;
        place.flying = 0;
        self.places[peer].upstream = Some(tail);
        network.message(self.seed, peer, Message::Place { upstream: tail as u32 });
    }
}

impl Structure for Line {
    type Message = Message;

    fn happened(&mut self, network: &mut Network<Message>, event: Event<Message>) {
        match event {
            Event::Clicked { peer } => {
                if Some(peer) == self.spare {
                    self.stand_in(network, peer);
                } else if peer != SEED {
                    network.message(peer, self.seed, Message::Want);
                }
            }
            Event::Sent { from } => self.push(network, from),
            Event::Stored { to, .. } => {
                self.places[to].arrival = network.now;
                self.watch(network, to);
                self.push(network, to);
            }
            Event::Acked { from, to, .. } => {
                let place = &mut self.places[from];
                if place.downstream == Some(to) && place.streaming {
                    place.flying = place.flying.saturating_sub(1);
                    self.measure(network, from);
                }
                self.push(network, from);
            }
            Event::Heard { from, to, message } => match message {
                Message::Want => self.place_at_tail(network, from),
                Message::Skipped => {
                    // The order is known at once; the tail hears of its new follower by message.
                    network.message(to, self.seed, Message::Want);
                }
                Message::Place { upstream } => {
                    let from_block = network.have(to).lowest;
                    network.message(to, upstream as usize, Message::Follow { from_block });
                }
                Message::Come => {
                    let from_block = network.have(to).lowest;
                    network.message(to, from, Message::Follow { from_block });
                }
                Message::Follow { from_block } => self.follow(network, to, from, from_block),
                Message::Overtake { from_block } => self.overtaken(network, to, from, from_block),
            },
            Event::Timer { peer, tag: STAND_IN } => self.stand_in(network, peer),
            Event::Timer { peer, .. } => self.watched(network, peer),
        }
    }
}
