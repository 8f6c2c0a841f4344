//! Rows: a line of small groups whose members share the work of one place in the line.
//!
//! Each block enters a row once. The member that gets it *owns* it there: it sends the block on to the next row first, then
//! to each fellow of its own row. So every uplink carries one copy in all, a block passes N ÷ width places one after the other
//! instead of N, and only the last leg of its way competes for full links. Who owns a block is not fixed: a member takes as
//! many as it gives on (credit), so a slow or stalled one owns less. Rows of one member are the relay line.
//!
//! Sender and receiver need no knowledge of what others have. What is late all the same is asked for (repair).

use std::collections::VecDeque;

use super::network::{Event, Network, Structure};
use super::room::{MILLI, Nanos, Room};

/// Constants of the rows, in blocks and links.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRules {
    /// Members of the row above that each member gets blocks from.
    pub links: usize,
    /// Blocks that a member may be given and has not yet reported as nearly sent on, per link.
    pub credit: u32,
    /// A member takes more while fewer than this wait for half of its fellows.
    pub backlog: usize,
}

impl RowRules {
    /// What waits at one member is a hundredth of the transfer at most: that much one member may end later than the others. Two
    /// blocks keep its uplink busy, sixteen bridge a stall.
    pub fn for_game(blocks: u32, width: usize) -> Self {
        let backlog = (blocks as usize / (100 * width)).clamp(2, 16);
        Self { links: 4, credit: (backlog as u32 / 2).max(2), backlog }
    }
}

/// How many members a row has.
///
/// The way through N ÷ width rows and then to width fellows is shortest near the square root of N. Rows have six at least: a
/// member that stalls takes its part of the row's uplinks with it.
pub fn width(receivers: usize) -> usize {
    ((receivers as f64).sqrt().round() as usize).max(6).min(receivers)
}

/// Receivers `1..=receivers` in rows of about `width`: all of one size but the last, which has nothing to forward and so may be
/// smaller or larger.
pub fn layout(receivers: usize, width: usize) -> Vec<Vec<usize>> {
    let rows = ((receivers as f64 / width as f64).round() as usize).max(1);
    let last = |size: usize| receivers.saturating_sub((rows - 1) * size);
    let (small, large) = (receivers / rows, receivers.div_ceil(rows));
    let size =
        if last(large) * 2 >= large && large - last(large) < last(small) - small { large } else { small };
    let mut layout: Vec<Vec<usize>> =
        (0..rows - 1).map(|row| (1 + row * size..1 + (row + 1) * size).collect()).collect();
    layout.push((1 + (rows - 1) * size..=receivers).collect());
    layout
}

/// The rows of a room: of those who click at one moment behind one switch.
pub fn layout_of(room: &Room, width: usize) -> Vec<Vec<usize>> {
    let receivers: Vec<usize> = (1..room.guests.len()).filter(|&peer| !room.guests[peer].complete).collect();
    let place = |peer: usize| (room.guests[peer].clicks, room.guests[peer].switch);
    let parties = receivers.chunk_by(|&a, &b| place(a) == place(b));
    let rows = parties.flat_map(|party| {
        layout(party.len(), width.min(party.len()))
            .into_iter()
            .map(|row| row.into_iter().map(|at| party[at - 1]).collect())
    });
    rows.collect()
}

#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// The seed is silent: the sender takes blocks from the receiver, which begins behind this one.
    Adopt { frontier: u32 },
    /// The sender takes one more block from the receiver, to own it.
    Credit,
    /// The sender misses this block.
    Ask { block: u32 },
    /// The sender got this block by asking.
    Got { block: u32 },
}

const SEED: usize = 0;
const FELLOW: u8 = 0;
const OWN: u8 = 1;
const REPAIR: u8 = 2;

#[derive(Debug, Default)]
struct Member {
    row: usize,
    fellows: Vec<usize>,
    /// Owned blocks that wait for each fellow.
    queues: Vec<VecDeque<u32>>,
    /// Blocks on the way to each fellow.
    flying: Vec<u32>,
    /// Members of the next row, and how many blocks each takes.
    below: Vec<usize>,
    credit: Vec<u32>,
    /// Blocks owned here in their order, and how many of them went to the next row.
    owned: Vec<u32>,
    forwarded: usize,
    /// Blocks that were asked for: to whom, which, as what.
    repairs: VecDeque<(usize, u32, u8)>,
    above: Vec<usize>,
    /// Credit that is not given back yet to each of those above.
    withheld: Vec<u32>,
    turn: usize,
    /// Highest block that is here.
    frontier: u32,
    /// The frontier at earlier moments.
    passed: VecDeque<(Nanos, u32)>,
    arrived: u32,
    arrived_before: u32,
    /// Blocks that were asked for: which, when last, how often before.
    asked: Vec<(u32, Nanos, usize)>,
    /// When the last block came from above.
    given: Nanos,
}

#[derive(Debug)]
pub struct Rows {
    rules: RowRules,
    members: Vec<Member>,
    /// A second complete peer, which the first row turns to when the seed is silent.
    spare: Option<usize>,
}

impl Rows {
    /// Rows below the seed; peer 0 is the seed, `layout` names everybody else.
    pub fn new(layout: &[Vec<usize>], rules: RowRules) -> Self {
        let peers = layout.iter().flatten().max().copied().unwrap_or(0) + 1;
        let mut members: Vec<Member> = Vec::new();
        members.resize_with(peers, Member::default);
        let mut above: Vec<usize> = vec![SEED];
        for (at, row) in layout.iter().enumerate() {
            for (column, &peer) in row.iter().enumerate() {
                let fellows: Vec<usize> =
                    (1..row.len()).map(|step| row[(column + step) % row.len()]).collect();
                let member = &mut members[peer];
                member.row = at + 1;
                member.queues = vec![VecDeque::new(); fellows.len()];
                member.flying = vec![0; fellows.len()];
                member.fellows = fellows;
            }
            for (upper, lower) in links(above.len(), row.len(), rules.links) {
                let (upper, lower) = (above[upper], row[lower]);
                members[upper].below.push(lower);
                members[upper].credit.push(0);
                members[lower].above.push(upper);
                members[lower].withheld.push(rules.credit);
            }
            above.clone_from(row);
        }
        Self { rules, members, spare: None }
    }

    /// Adds a second complete peer, which the first row turns to when the seed is silent.
    pub fn with_spare_seed(mut self, peer: usize) -> Self {
        self.members.resize_with(self.members.len().max(peer + 1), Member::default);
        self.spare = Some(peer);
        for first in self.members[SEED].below.clone() {
            self.members[peer].below.push(first);
            self.members[peer].credit.push(0);
        }
        self
    }

    fn is_seed(&self, peer: usize) -> bool {
        peer == SEED || Some(peer) == self.spare
    }

    /// Turns to the spare seed when nothing has come from the seed for long.
    fn look_for_seed(&mut self, network: &mut Network<Message>, peer: usize, round: Nanos) {
        let Some(spare) = self.spare else { return };
        let credit = self.rules.credit;
        let member = &mut self.members[peer];
        if member.above != [SEED] || network.now < member.given + (8 * round).max(300 * MILLI) {
            return;
        }
        member.above.push(spare);
        member.withheld.push(credit);
        network.message(peer, spare, Message::Adopt { frontier: member.frontier });
        self.give_credit(network, peer);
    }

    fn push(&mut self, network: &mut Network<Message>, peer: usize) {
        while network.takes_more(peer) {
            if !(self.repair(network, peer) || self.forward(network, peer) || self.share(network, peer)) {
                return;
            }
        }
    }

    fn repair(&mut self, network: &mut Network<Message>, peer: usize) -> bool {
        while let Some((to, block, tag)) = self.members[peer].repairs.pop_front() {
            if !network.have(to).has(block) {
                network.send(peer, to, block, tag);
                return true;
            }
        }
        false
    }

    /// Sends the next owned block to the next row, to the member that takes most.
    fn forward(&mut self, network: &mut Network<Message>, peer: usize) -> bool {
        let seed = self.is_seed(peer);
        let member = &mut self.members[peer];
        let next = if seed {
            (member.forwarded < network.blocks() as usize).then_some(member.forwarded as u32)
        } else {
            member.owned.get(member.forwarded).copied()
        };
        let Some(block) = next else { return false };
        let mut best: Option<usize> = None;
        for step in 0..member.below.len() {
            let slot = (member.turn + step) % member.below.len();
            if member.credit[slot] > 0 && best.is_none_or(|best| member.credit[slot] > member.credit[best]) {
                best = Some(slot);
            }
        }
        let Some(slot) = best else { return false };
        member.credit[slot] -= 1;
        member.forwarded += 1;
        if seed {
            member.turn = slot + 1;
        }
        network.send(peer, member.below[slot], block, OWN);
        true
    }

    /// Sends an owned block to the fellow that most of them wait for.
    fn share(&mut self, network: &mut Network<Message>, peer: usize) -> bool {
        let window = network.room.window;
        let member = &mut self.members[peer];
        let mut best: Option<usize> = None;
        let count = member.fellows.len();
        for step in 0..count {
            let slot = (member.turn + step) % count;
            if member.flying[slot] >= window || member.queues[slot].is_empty() {
                continue;
            }
            let better = best.is_none_or(|best| member.queues[slot].len() > member.queues[best].len());
            if better {
                best = Some(slot);
            }
        }
        let Some(slot) = best else { return false };
        let Some(block) = member.queues[slot].pop_front() else { return false };
        let to = member.fellows[slot];
        member.turn = (slot + 1) % count;
        member.flying[slot] += 1;
        network.send(peer, to, block, FELLOW);
        true
    }

    /// Gives credit back while few blocks wait here.
    fn give_credit(&mut self, network: &mut Network<Message>, peer: usize) {
        let backlog = self.rules.backlog;
        let member = &mut self.members[peer];
        let crowded = member.queues.iter().filter(|queue| queue.len() >= backlog).count();
        if crowded * 2 > member.fellows.len() {
            return;
        }
        for (slot, &above) in member.above.iter().enumerate() {
            for _ in 0..std::mem::take(&mut member.withheld[slot]) {
                network.message(peer, above, Message::Credit);
            }
        }
    }

    fn stored(
        &mut self,
        network: &mut Network<Message>,
        from: usize,
        to: usize,
        block: u32,
        tag: u8,
        fresh: bool,
    ) {
        let member = &mut self.members[to];
        member.arrived += 1;
        member.frontier = member.frontier.max(block);
        if tag == OWN {
            member.given = network.now;
            if let Some(slot) = member.above.iter().position(|&above| above == from) {
                member.withheld[slot] += 1;
            }
            if fresh {
                member.owned.push(block);
                for queue in &mut member.queues {
                    queue.push_back(block);
                }
            }
            self.give_credit(network, to);
            self.push(network, to);
        } else if tag == REPAIR && fresh {
            for fellow in self.members[to].fellows.clone() {
                network.message(to, fellow, Message::Got { block });
            }
        }
    }

    /// How long it takes a row to pass a block on to all of its members.
    fn round(&self, network: &Network<Message>, peer: usize) -> Nanos {
        (self.members[peer].fellows.len() as u64 + 1) * network.room.block_time() + 4 * network.room.latency
    }

    /// Asks for blocks that are late: others of the row passed them long ago, or the downlink is idle.
    fn look(&mut self, network: &mut Network<Message>, peer: usize) {
        if network.have(peer).full() {
            return;
        }
        let (now, round) = (network.now, self.round(network, peer));
        let patience = (6 * round).max(150 * MILLI);
        let could = network.down_blocks(peer, round);
        let member = &mut self.members[peer];
        let arrived = f64::from(member.arrived - member.arrived_before);
        let idle = arrived < could / 2.0;
        if member.passed.back().is_none_or(|&(at, _)| now >= at + patience / 4) {
            member.passed.push_back((now, member.frontier));
        }
        while member.passed.len() > 1 && member.passed[1].0 + patience <= now {
            member.passed.pop_front();
        }
        let passed = member
            .passed
            .front()
            .map_or(0, |&(at, frontier)| if at + patience <= now { frontier } else { 0 });
        let end = if idle && arrived == 0.0 {
            network.blocks()
        } else if idle {
            member.frontier
        } else {
            passed
        };
        member.arrived_before = member.arrived;
        let have = network.have(peer);
        // while blocks arrive at full rate, what waits at a fellow is not late: few are asked for, in case they are lost
        let most = if idle { (could - arrived).ceil() as usize } else { 0 };
        let missing = (have.lowest..end).filter(|&block| !have.has(block));
        member.asked.retain(|&(block, ..)| !have.has(block));
        let mut asks = Vec::new();
        for block in missing {
            if asks.len() >= most {
                break;
            }
            if let Some((_, at, attempts)) = member.asked.iter_mut().find(|(asked, ..)| *asked == block) {
                if now >= *at + round.max(20 * MILLI) {
                    (*at, *attempts) = (now, *attempts + 1);
                    asks.push((block, *attempts));
                }
            } else if member.asked.len() < 64 {
                member.asked.push((block, now, 0));
                asks.push((block, 0));
            } else {
                break;
            }
        }
        for (block, attempt) in asks {
            // fellows first; the one whom a block falls to asks above in the end, and then owns it
            let size = member.fellows.len() + 1;
            let mine = (block as usize + attempt / 4) % size == peer % size;
            let helper = if member.fellows.is_empty() || (mine && attempt >= 1) {
                member.above[(block as usize + attempt) % member.above.len()]
            } else {
                member.fellows[(block as usize + attempt) % member.fellows.len()]
            };
            network.message(peer, helper, Message::Ask { block });
        }
        self.look_for_seed(network, peer, round);
        network.timer(peer, now + round, 0);
    }

    fn asked(&mut self, network: &mut Network<Message>, from: usize, to: usize, block: u32) {
        let member = &mut self.members[to];
        if !network.have(to).has(block)
            || member.repairs.iter().any(|&(who, what, _)| (who, what) == (from, block))
        {
            return;
        }
        let tag = if member.below.contains(&from) { OWN } else { REPAIR };
        if let Some(slot) = member.fellows.iter().position(|&fellow| fellow == from) {
            member.queues[slot].retain(|&queued| queued != block);
        }
        member.repairs.push_back((from, block, tag));
        self.push(network, to);
    }
}

/// Which member of the upper row sends to which of the lower: `links` each, spread evenly, at least one for either.
fn links(upper: usize, lower: usize, links: usize) -> Vec<(usize, usize)> {
    let mut pairs = std::collections::BTreeSet::new();
    if upper == 1 {
        return (0..lower).map(|column| (0, column)).collect();
    }
    for column in 0..lower {
        for step in 0..links.min(upper) {
            pairs.insert(((column * upper / lower + step) % upper, column));
        }
    }
    for column in 0..upper {
        pairs.insert((column, column * lower / upper));
    }
    pairs.into_iter().collect()
}

impl Structure for Rows {
    type Message = Message;

    fn happened(&mut self, network: &mut Network<Message>, event: Event<Message>) {
        match event {
            Event::Clicked { peer } => {
                if !self.is_seed(peer) {
                    self.give_credit(network, peer);
                    let at = network.now + self.round(network, peer);
                    network.timer(peer, at, 0);
                }
            }
            Event::Sent { from } => {
                self.give_credit(network, from);
                self.push(network, from);
            }
            Event::Stored { from, to, block, tag, fresh } => {
                self.stored(network, from, to, block, tag, fresh);
            }
            Event::Acked { from, to, tag } => {
                if tag == FELLOW {
                    let member = &mut self.members[from];
                    if let Some(slot) = member.fellows.iter().position(|&fellow| fellow == to) {
                        member.flying[slot] -= 1;
                    }
                    self.push(network, from);
                }
            }
            Event::Heard { from, to, message } => match message {
                Message::Adopt { frontier } => {
                    let member = &mut self.members[to];
                    member.forwarded = member.forwarded.max(frontier as usize + 1);
                }
                Message::Credit => {
                    let member = &mut self.members[to];
                    if let Some(slot) = member.below.iter().position(|&below| below == from) {
                        member.credit[slot] += 1;
                    }
                    self.push(network, to);
                }
                Message::Ask { block } => self.asked(network, from, to, block),
                Message::Got { block } => {
                    let member = &mut self.members[to];
                    if let Some(slot) = member.fellows.iter().position(|&fellow| fellow == from) {
                        member.queues[slot].retain(|&queued| queued != block);
                    }
                }
            },
            Event::Timer { peer, .. } => self.look(network, peer),
        }
    }
}
