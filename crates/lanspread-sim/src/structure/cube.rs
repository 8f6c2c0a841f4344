//! Exchange of blocks in a sparse graph: a cube, or a line of small cubes. Every peer knows only its neighbours.
//!
//! Receivers request blocks by name from their neighbours and tell them what they have. Messages take the latency, so
//! a peer's knowledge is old. A sender answers the requests of its neighbours in turn.

use std::collections::VecDeque;

use super::network::{Blocks, Event, Network, Structure};
use super::room::{MILLI, Nanos};

/// Which of a neighbour's blocks a receiver requests first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The block that fewest neighbours have.
    Rarest,
    /// The first block in order.
    Lowest,
}

/// Rules and bounds of the requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CubeRules {
    /// Which block a receiver requests first.
    pub choice: Choice,
    /// Most requests under way to one neighbour.
    pub to_one: u32,
    /// Most requests under way to all neighbours.
    pub to_all: u32,
    /// Range of blocks that a receiver may request, from the first missing one on.
    pub span: u32,
}

impl CubeRules {
    /// Returns the bounds of the comparison.
    pub fn new(choice: Choice) -> Self {
        Self { choice, to_one: 2, to_all: 6, span: 2048 }
    }
}

/// Returns the neighbours of each peer in a cube of any number of peers. A corner without a peer is replaced by the
/// corner across the last dimension.
pub fn cube(peers: usize) -> Vec<Vec<usize>> {
    let dimensions = usize::BITS - (peers.max(2) - 1).leading_zeros();
    let mut sets = vec![std::collections::BTreeSet::new(); peers];
    for peer in 0..peers {
        for dimension in 0..dimensions {
            let mut other = peer ^ (1 << dimension);
            if other >= peers {
                other &= !(1 << (dimensions - 1));
            }
            if other != peer {
                sets[peer].insert(other);
                sets[other].insert(peer);
            }
        }
    }
    sets.into_iter().map(|set| set.into_iter().collect()).collect()
}

/// Returns the neighbours of each peer in a line of cubes of `size` receivers. Each member is linked to its
/// counterparts in the cubes before and behind; the seed is linked to the first cube.
pub fn line_of_cubes(receivers: usize, size: usize) -> Vec<Vec<usize>> {
    let mut sets = vec![std::collections::BTreeSet::new(); receivers + 1];
    let mut link = |a: usize, b: usize| {
        sets[a].insert(b);
        sets[b].insert(a);
    };
    let rows = super::rows::layout(receivers, size);
    for &first in &rows[0] {
        link(0, first);
    }
    for row in &rows {
        for (at, neighbours) in cube(row.len()).iter().enumerate() {
            for &other in neighbours.iter().filter(|_| row.len() > 1) {
                link(row[at], row[other]);
            }
        }
    }
    for pair in rows.windows(2) {
        for at in 0..pair[0].len().max(pair[1].len()) {
            link(pair[0][at % pair[0].len()], pair[1][at % pair[1].len()]);
        }
    }
    sets.into_iter().map(|set| set.into_iter().collect()).collect()
}

/// A message between neighbours.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// The sender has this block.
    Have { block: u32 },
    /// The sender requests this block.
    Request { block: u32 },
}

#[derive(Debug)]
struct Peer {
    neighbours: Vec<usize>,
    /// Blocks that each neighbour is known to have.
    theirs: Vec<Blocks>,
    /// Requests under way: block, neighbour's slot, and when it was sent.
    asked: Vec<(u32, u8, Nanos)>,
    /// Number of requests under way to each neighbour.
    out: Vec<u32>,
    /// Unanswered requests of each neighbour.
    queues: Vec<VecDeque<u32>>,
    turn: usize,
    rotation: usize,
    joined: bool,
    /// When `first_missing` last changed.
    moved: Nanos,
    first_missing: u32,
}

/// Exchange in a graph of neighbours.
#[derive(Debug)]
pub struct Cube {
    rules: CubeRules,
    peers: Vec<Peer>,
}

impl Cube {
    /// Returns peers with these neighbours. Every peer knows from the start that the seed has all `blocks`.
    pub fn new(graph: Vec<Vec<usize>>, blocks: u32, rules: CubeRules) -> Self {
        let peers = graph.into_iter().map(|neighbours| Peer {
            theirs: neighbours.iter().map(|&other| Blocks::new(blocks, other == 0)).collect(),
            asked: Vec::new(),
            out: vec![0; neighbours.len()],
            queues: vec![VecDeque::new(); neighbours.len()],
            turn: 0,
            rotation: 0,
            joined: false,
            moved: 0,
            first_missing: 0,
            neighbours,
        });
        Self { rules, peers: peers.collect() }
    }

    /// Requests as many blocks as the bounds allow.
    fn choose(&mut self, network: &mut Network<Message>, peer: usize) {
        if !self.peers[peer].joined || network.have(peer).full() {
            return;
        }
        let count = self.peers[peer].neighbours.len();
        loop {
            let state = &mut self.peers[peer];
            if state.asked.len() as u32 >= self.rules.to_all {
                return;
            }
            state.rotation = (state.rotation + 1) % count;
            let mut slots: Vec<usize> = (0..count).map(|at| (at + state.rotation) % count).collect();
            slots.sort_by_key(|&slot| state.out[slot]);
            let mut found = false;
            for slot in slots {
                if self.peers[peer].out[slot] >= self.rules.to_one {
                    continue;
                }
                if let Some(block) = self.wanted(network, peer, slot) {
                    let state = &mut self.peers[peer];
                    state.asked.push((block, slot as u8, network.now));
                    state.out[slot] += 1;
                    let to = state.neighbours[slot];
                    network.message(peer, to, Message::Request { block });
                    found = true;
                    break;
                }
            }
            if !found {
                return;
            }
        }
    }

    fn wanted(&self, network: &mut Network<Message>, peer: usize, slot: usize) -> Option<u32> {
        let state = &self.peers[peer];
        let have = network.have(peer);
        let first = (have.lowest / 64) as usize;
        let last = ((have.lowest + self.rules.span) / 64).min(network.blocks().div_ceil(64) - 1) as usize;
        let seed = state.neighbours[slot] == 0;
        let first_missing_late = network.now > state.moved + self.late(network);
        let mut candidates: [u32; 16] = [0; 16];
        let (mut found, mut rarity) = (0, u32::MAX);
        for word in first..=last {
            let mut wanted = state.theirs[slot].words[word] & !have.words[word];
            if wanted == 0 {
                continue;
            }
            for &(block, ..) in &state.asked {
                if (block / 64) as usize == word {
                    wanted &= !(1 << (block % 64));
                }
            }
            while wanted != 0 {
                let bit = wanted.trailing_zeros();
                wanted &= wanted - 1;
                let block = word as u32 * 64 + bit;
                if seed && !self.own_share(network, peer, block, first_missing_late) {
                    continue;
                }
                if self.rules.choice == Choice::Lowest {
                    return Some(block);
                }
                let others = state.theirs.iter().enumerate();
                let others = others.filter(|&(other, _)| other != slot && state.neighbours[other] != 0);
                let copies = others.filter(|(_, theirs)| theirs.has(block)).count() as u32;
                if copies < rarity {
                    (found, rarity) = (0, copies);
                }
                if copies == rarity && found < candidates.len() {
                    candidates[found] = block;
                    found += 1;
                }
            }
            if rarity == 0 && found == candidates.len() {
                break;
            }
        }
        (found > 0).then(|| candidates[network.random.below(found)])
    }

    /// Returns whether a block of the seed belongs to this neighbour: the seed's neighbours divide its blocks by
    /// number, and a neighbour whose first missing block is late may request that block, too.
    fn own_share(&self, network: &Network<Message>, peer: usize, block: u32, late: bool) -> bool {
        let sharers = &self.peers[0].neighbours;
        let place = sharers.iter().position(|&sharer| sharer == peer).unwrap_or(0);
        block as usize % sharers.len() == place || (late && block == network.have(peer).lowest)
    }

    fn late(&self, network: &Network<Message>) -> Nanos {
        let block = network.room.block_time();
        (u64::from(self.rules.to_all) * 8 * block).max(200 * MILLI)
    }

    fn serve(&mut self, network: &mut Network<Message>, peer: usize) {
        let count = self.peers[peer].neighbours.len();
        let mut idle = 0;
        while network.takes_more(peer) && idle < count {
            let state = &mut self.peers[peer];
            state.turn = (state.turn + 1) % count;
            let slot = state.turn;
            idle += 1;
            if let Some(block) = state.queues[slot].pop_front() {
                network.send(peer, state.neighbours[slot], block, 0);
                idle = 0;
            }
        }
    }

    /// Withdraws late requests, so that their blocks are requested from other neighbours.
    fn look(&mut self, network: &mut Network<Message>, peer: usize) {
        let late = self.late(network);
        let now = network.now;
        let state = &mut self.peers[peer];
        let before = state.asked.len();
        let out = &mut state.out;
        state.asked.retain(|&(_, slot, since)| {
            let keep = now < since + late;
            if !keep {
                out[slot as usize] = out[slot as usize].saturating_sub(1);
            }
            keep
        });
        if state.asked.len() < before {
            state.rotation += 1;
        }
        self.choose(network, peer);
        if !network.have(peer).full() {
            network.timer(peer, now + late / 2, 0);
        }
    }

    fn slot_of(&self, peer: usize, other: usize) -> usize {
        self.peers[peer].neighbours.binary_search(&other).unwrap_or(0)
    }
}

impl Structure for Cube {
    type Message = Message;

    fn happened(&mut self, network: &mut Network<Message>, event: Event<Message>) {
        match event {
            Event::Clicked { peer } => {
                self.peers[peer].joined = true;
                self.look(network, peer);
            }
            Event::Sent { from } => self.serve(network, from),
            Event::Stored { from, to, block, fresh, .. } => {
                let state = &mut self.peers[to];
                if let Some(at) = state.asked.iter().position(|&(asked, ..)| asked == block) {
                    let (_, slot, _) = state.asked.swap_remove(at);
                    state.out[slot as usize] = state.out[slot as usize].saturating_sub(1);
                }
                if state.first_missing != network.have(to).lowest {
                    state.first_missing = network.have(to).lowest;
                    state.moved = network.now;
                }
                if fresh {
                    for other in self.peers[to].neighbours.clone() {
                        if other != from && other != 0 {
                            network.message(to, other, Message::Have { block });
                        }
                    }
                }
                let slot = self.slot_of(from, to);
                self.peers[from].theirs[slot].add(block);
                self.choose(network, to);
            }
            Event::Acked { .. } => {}
            Event::Heard { from, to, message: Message::Have { block } } => {
                let slot = self.slot_of(to, from);
                self.peers[to].theirs[slot].add(block);
                self.choose(network, to);
            }
            Event::Heard { from, to, message: Message::Request { block } } => {
                let slot = self.slot_of(to, from);
                self.peers[to].queues[slot].push_back(block);
                self.serve(network, to);
            }
            Event::Timer { peer, .. } => self.look(network, peer),
        }
    }
}

/// The cube of the probe: knowledge is immediate, the sender chooses the block, and a downlink takes one block at a
/// time.
#[derive(Debug)]
pub struct IdealCube {
    neighbours: Vec<Vec<usize>>,
    choice: Choice,
    flying: Vec<Blocks>,
    up: Vec<bool>,
    down: Vec<bool>,
    rotation: Vec<usize>,
    sent_by_seed: Blocks,
}

impl IdealCube {
    /// Returns peers with these neighbours, none of which sends yet.
    pub fn new(graph: Vec<Vec<usize>>, blocks: u32, choice: Choice) -> Self {
        let peers = graph.len();
        Self {
            neighbours: graph,
            choice,
            flying: vec![Blocks::new(blocks, false); peers],
            up: vec![false; peers],
            down: vec![false; peers],
            rotation: vec![0; peers],
            sent_by_seed: Blocks::new(blocks, false),
        }
    }

    fn start(&mut self, network: &mut Network<()>, peer: usize) {
        if self.up[peer] || network.have(peer).count == 0 {
            return;
        }
        let count = self.neighbours[peer].len();
        for step in 0..count {
            let to = self.neighbours[peer][(self.rotation[peer] + step) % count];
            if self.down[to] {
                continue;
            }
            let words = network.have(peer).words.len();
            let lacks = |other: usize, word: usize| {
                !network.have(other).words[word] & !self.flying[other].words[word]
            };
            let mut want: Vec<u64> =
                (0..words).map(|word| network.have(peer).words[word] & lacks(to, word)).collect();
            let mut narrow = |mask: &dyn Fn(usize) -> u64| {
                let narrower: Vec<u64> = (0..words).map(|word| want[word] & mask(word)).collect();
                if narrower.iter().any(|&word| word != 0) {
                    want = narrower;
                }
            };
            if self.choice == Choice::Rarest {
                for &other in self.neighbours[peer].iter().filter(|&&other| other != to) {
                    narrow(&|word| lacks(other, word));
                }
            }
            if peer == 0 {
                narrow(&|word| !self.sent_by_seed.words[word]);
            }
            let first: Vec<u32> = ones(&want).take(8).collect();
            let Some(&lowest) = first.first() else { continue };
            let block = match self.choice {
                Choice::Lowest => lowest,
                Choice::Rarest => first[network.random.below(8).min(first.len() - 1)],
            };
            self.up[peer] = true;
            self.down[to] = true;
            self.flying[to].words[(block / 64) as usize] |= 1 << (block % 64);
            self.rotation[peer] = (self.rotation[peer] + step + 1) % count;
            if peer == 0 {
                self.sent_by_seed.add(block);
            }
            network.send(peer, to, block, 0);
            return;
        }
    }
}

fn ones(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(at, &word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
    })
}

impl Structure for IdealCube {
    type Message = ();

    fn happened(&mut self, network: &mut Network<()>, event: Event<()>) {
        match event {
            Event::Clicked { peer } => self.start(network, peer),
            Event::Stored { from, to, block, .. } => {
                self.up[from] = false;
                self.down[to] = false;
                self.flying[to].words[(block / 64) as usize] &= !(1 << (block % 64));
                self.start(network, from);
                self.start(network, to);
                for at in 0..self.neighbours[to].len() {
                    self.start(network, self.neighbours[to][at]);
                }
            }
            _ => {}
        }
    }
}
