//! Rows: a line of small groups whose members share the work of one place in the line.
//!
//! Each block enters a row once, at the member that *owns* it there. The owner sends the block first to the next row
//! and then to each fellow of its own row. So every uplink carries about one copy, and a block passes N ÷ width
//! places one after the other instead of N. Ownership follows from credit: a member gets as many new blocks as it has
//! passed on, so a slow or stalled member owns less. Rows of one member are the relay line.
//!
//! Peers need no knowledge of what other peers have. A receiver asks for blocks that are late (repair).

use std::collections::VecDeque;

use super::network::{Event, Network, Structure};
use super::room::{MILLI, Nanos, Room};

/// Constants of the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRules {
    /// Members of the row above that feed each member.
    pub links: usize,
    /// Most blocks that a member has been given on one link and has not reported as done.
    pub credit: u32,
}

impl Default for RowRules {
    /// Nine open blocks at each member (3 links × 3) bridge a stall of nine rounds. Three links let rows of unequal
    /// size even out.
    fn default() -> Self {
        Self { links: 3, credit: 3 }
    }
}

/// Returns the number of members of a row.
///
/// The way through N ÷ width rows and then to width fellows is shortest near width = √N. A row has at least six
/// members, because a member that stalls takes its part of the row's uplinks with it.
pub fn width(receivers: usize) -> usize {
    ((receivers as f64).sqrt().round() as usize).max(6).min(receivers)
}

/// Returns receivers `1..=receivers` in rows of about `width`. All rows have the same size, except that the last one,
/// which forwards nothing, may be smaller or larger.
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

/// Returns whether a peer has an upload limit. Such a peer owns nothing.
fn limited(room: &Room, peer: usize) -> bool {
    room.guests[peer].up * 2.0 < room.guests[peer].down
}

/// Returns the rows of a room. Receivers that click at the same time behind the same switch form their own rows.
pub fn layout_of(room: &Room, width: usize) -> Vec<Vec<usize>> {
    let mut receivers: Vec<usize> =
        (1..room.guests.len()).filter(|&peer| !room.guests[peer].complete).collect();
    // A peer with an upload limit comes last, where it has nothing to forward.
    receivers.sort_by_key(|&peer| (room.guests[peer].clicks, room.guests[peer].switch, limited(room, peer)));
    let place = |peer: usize| (room.guests[peer].clicks, room.guests[peer].switch);
    let parties = receivers.chunk_by(|&a, &b| place(a) == place(b));
    let rows = parties.flat_map(|party| {
        layout(party.len(), width.min(party.len()))
            .into_iter()
            .map(|row| row.into_iter().map(|at| party[at - 1]).collect())
    });
    rows.collect()
}

/// A message between members.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    /// Asks the spare seed for the blocks behind this one, because the seed is silent.
    Adopt { frontier: u32 },
    /// The sender can own one more block from the receiver.
    Credit,
    /// The sender has passed this block on and can own one more from the receiver.
    Done { block: u32 },
    /// Asks the receiver, which has this block, to send it to these columns of the row, because the sender is slow.
    TakeOver { block: u32, columns: u64 },
    /// Asks for a missing block.
    Ask { block: u32 },
    /// The sender got this block by repair.
    Got { block: u32 },
}

const SEED: usize = 0;
/// Tag of a block for a fellow of the same row.
const FELLOW: u8 = 0;
/// Tag of a block that the receiver owns from now on.
const OWN: u8 = 1;
/// Tag of a block that a fellow asked for.
const REPAIR: u8 = 2;

#[derive(Debug, Default)]
struct Member {
    column: usize,
    fellows: Vec<usize>,
    /// Owned blocks that wait for each fellow.
    queues: Vec<VecDeque<u32>>,
    /// Blocks on the way to each fellow.
    flying: Vec<u32>,
    /// Members of the next row that this one feeds.
    below: Vec<usize>,
    /// Blocks that each of them can take.
    credit: Vec<u32>,
    /// Blocks owned here, in the order of their arrival.
    owned: Vec<u32>,
    /// Number of these that went to the next row; at a seed, the next block to send.
    forwarded: usize,
    /// Blocks that other members asked for: receiver, block and tag.
    repairs: VecDeque<(usize, u32, u8)>,
    /// Members of the previous row that feed this one.
    above: Vec<usize>,
    /// Owned blocks that are not reported as done.
    open: Vec<Open>,
    /// Blocks given to the next row and not reported as done.
    given: Vec<Given>,
    /// When each member below was last heard.
    heard: Vec<Nanos>,
    /// Whether each member below is given up.
    silent: Vec<bool>,
    /// Given blocks that were not reported in time and must be given again.
    again: VecDeque<u32>,
    turn: usize,
    /// Highest block that this member has.
    frontier: u32,
    /// The first missing block, and when it became the first.
    first: (u32, Nanos),
    /// Blocks that arrived.
    arrived: u32,
    /// Value of `arrived` at the last `look`.
    arrived_before: u32,
    /// Blocks that this member asked for: block, when last, and how many times before.
    asked: Vec<(u32, Nanos, usize)>,
    /// When the last block arrived from the previous row.
    fed: Nanos,
    /// When `look` ran last.
    looked: Nanos,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    block: u32,
    from: usize,
    since: Nanos,
    /// Fellows that the block has not been sent to.
    waiting: usize,
}

#[derive(Debug, Clone, Copy)]
struct Given {
    block: u32,
    slot: usize,
    since: Nanos,
}

/// All rows of a room.
#[derive(Debug)]
pub struct Rows {
    rules: RowRules,
    members: Vec<Member>,
    /// Second complete peer, which the first row turns to when the seed is silent.
    spare: Option<usize>,
}

impl Rows {
    /// Returns rows below the seed. Peer 0 is the seed; `layout` names all receivers.
    pub fn new(layout: &[Vec<usize>], rules: RowRules) -> Self {
        let peers = layout.iter().flatten().max().copied().unwrap_or(0) + 1;
        let mut members: Vec<Member> = Vec::new();
        members.resize_with(peers, Member::default);
        let mut above: Vec<usize> = vec![SEED];
        for row in layout {
            for (column, &peer) in row.iter().enumerate() {
                let fellows: Vec<usize> =
                    (1..row.len()).map(|step| row[(column + step) % row.len()]).collect();
                let member = &mut members[peer];
                member.column = column;
                member.queues = vec![VecDeque::new(); fellows.len()];
                member.flying = vec![0; fellows.len()];
                member.fellows = fellows;
            }
            for (upper, lower) in links(above.len(), row.len(), rules.links) {
                let (upper, lower) = (above[upper], row[lower]);
                members[upper].below.push(lower);
                members[upper].credit.push(0);
                members[upper].heard.push(0);
                members[upper].silent.push(false);
                members[lower].above.push(upper);
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
            self.members[peer].heard.push(0);
            self.members[peer].silent.push(false);
        }
        self
    }

    fn is_seed(&self, peer: usize) -> bool {
        peer == SEED || Some(peer) == self.spare
    }

    /// Turns to the spare seed when no block has come from the seed for a long time.
    fn look_for_seed(&mut self, network: &mut Network<Message>, peer: usize, round: Nanos) {
        let Some(spare) = self.spare else { return };
        let credit = self.rules.credit;
        let member = &mut self.members[peer];
        if member.above != [SEED] || network.now < member.fed + (8 * round).max(300 * MILLI) {
            return;
        }
        member.above.push(spare);
        network.message(peer, spare, Message::Adopt { frontier: member.frontier });
        for _ in 0..credit {
            network.message(peer, spare, Message::Credit);
        }
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

    /// Sends the next owned block to the member of the next row with the most credit.
    fn forward(&mut self, network: &mut Network<Message>, peer: usize) -> bool {
        let seed = self.is_seed(peer);
        let member = &mut self.members[peer];
        let next = if let Some(&again) = member.again.front() {
            Some(again)
        } else if seed {
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
        member.given.push(Given { block, slot, since: network.now });
        if member.again.pop_front().is_none() {
            member.forwarded += 1;
        }
        if seed {
            member.turn = slot + 1;
        }
        network.send(peer, member.below[slot], block, OWN);
        true
    }

    /// Sends an owned block to the fellow with the longest queue.
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
        self.sent_on(network, peer, block);
        true
    }

    /// Counts down the fellows that wait for a block.
    fn sent_on(&mut self, network: &mut Network<Message>, peer: usize, block: u32) {
        if let Some(open) = self.members[peer].open.iter_mut().find(|open| open.block == block) {
            open.waiting = open.waiting.saturating_sub(1);
        }
        self.report(network, peer);
    }

    /// Reports blocks that few fellows still wait for, because a slow or dead fellow must not hold the row up.
    fn report(&mut self, network: &mut Network<Message>, peer: usize) {
        let member = &mut self.members[peer];
        let few = (member.fellows.len() / 4).max(1);
        while let Some(at) = member.open.iter().position(|open| open.waiting <= few) {
            let Open { block, from, .. } = member.open.remove(at);
            network.message(peer, from, Message::Done { block });
        }
    }

    /// Hands blocks that have waited for a long time to a fellow that has them, because this peer's uplink is slow.
    fn hand_over(&mut self, network: &mut Network<Message>, peer: usize, round: Nanos) {
        let columns = |&fellow: &usize| self.members[fellow].column;
        let columns: Vec<usize> = self.members[peer].fellows.iter().map(columns).collect();
        // At full rate the blocks that a member may hold take this many rounds.
        let patience = (u64::from(self.rules.credit) * self.rules.links as u64 + 4) * round;
        let member = &mut self.members[peer];
        let late = member.open.iter().filter(|open| network.now > open.since + patience);
        for block in late.map(|open| open.block).collect::<Vec<u32>>() {
            let (waiting, served): (Vec<usize>, Vec<usize>) =
                (0..columns.len()).partition(|&slot| member.queues[slot].contains(&block));
            let served: Vec<usize> = served.into_iter().filter(|&slot| member.flying[slot] == 0).collect();
            let Some(&heir) = served.get(block as usize % served.len().max(1)) else { continue };
            let mask = waiting.iter().fold(0, |mask, &slot| mask | 1 << columns[slot]);
            for slot in waiting {
                member.queues[slot].retain(|&queued| queued != block);
            }
            if let Some(open) = member.open.iter_mut().find(|open| open.block == block) {
                open.waiting = 0;
            }
            network.message(peer, member.fellows[heir], Message::TakeOver { block, columns: mask });
        }
        self.report(network, peer);
    }

    fn take_over(&mut self, network: &mut Network<Message>, peer: usize, block: u32, columns: u64) {
        for slot in 0..self.members[peer].fellows.len() {
            let column = self.members[self.members[peer].fellows[slot]].column;
            if columns >> column & 1 == 1 && network.have(peer).has(block) {
                self.members[peer].queues[slot].push_front(block);
            }
        }
        self.push(network, peer);
    }

    /// Takes blocks back from a member below that has been silent for a long time, to give them to other members.
    fn look_below(&mut self, network: &mut Network<Message>, peer: usize, slept: bool) {
        let now = network.now;
        let Some(&below) = self.members[peer].below.first() else { return };
        let patience = (10 * self.round(network, below)).max(300 * MILLI);
        let member = &mut self.members[peer];
        for slot in 0..member.below.len() {
            if slept {
                member.heard[slot] = now;
            }
            let here = |given: &&Given| given.slot == slot;
            let oldest = member.given.iter().filter(here).map(|given| given.since).min();
            let late = oldest.is_some_and(|oldest| now > oldest.max(member.heard[slot]) + patience);
            if late && !member.silent[slot] {
                member.silent[slot] = true;
                member.credit[slot] = 0;
                let again: Vec<u32> = member.given.iter().filter(here).map(|given| given.block).collect();
                member.given.retain(|given| given.slot != slot);
                member.again.extend(again);
            }
        }
        self.push(network, peer);
    }

    /// Records that a member below can take one more block and, if `done`, has passed that block on.
    fn takes(&mut self, network: &mut Network<Message>, from: usize, to: usize, done: Option<u32>) {
        let credit = self.rules.credit;
        let member = &mut self.members[to];
        let Some(slot) = member.below.iter().position(|&below| below == from) else { return };
        member.heard[slot] = network.now;
        if let Some(block) = done {
            member.given.retain(|given| given.block != block || given.slot != slot);
        }
        let revived = std::mem::take(&mut member.silent[slot]);
        member.credit[slot] = if revived { credit } else { member.credit[slot] + 1 };
        self.push(network, to);
    }

    /// Removes a block from a fellow's queue, because the fellow has it or gets it another way.
    fn unqueue(&mut self, network: &mut Network<Message>, peer: usize, fellow: usize, block: u32) {
        let member = &mut self.members[peer];
        let Some(slot) = member.fellows.iter().position(|&other| other == fellow) else { return };
        let before = member.queues[slot].len();
        member.queues[slot].retain(|&queued| queued != block);
        if member.queues[slot].len() < before {
            self.sent_on(network, peer, block);
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
            member.fed = network.now;
            let waiting = if fresh { member.fellows.len() } else { 0 };
            member.open.push(Open { block, from, since: network.now, waiting });
            if fresh {
                member.owned.push(block);
                for queue in &mut member.queues {
                    queue.push_back(block);
                }
            }
            self.report(network, to);
            self.push(network, to);
        } else if tag == REPAIR && fresh {
            for fellow in self.members[to].fellows.clone() {
                network.message(to, fellow, Message::Got { block });
            }
        }
    }

    /// Returns the time in which a row passes a block on to all of its members.
    fn round(&self, network: &Network<Message>, peer: usize) -> Nanos {
        (self.members[peer].fellows.len() as u64 + 1) * network.room.block_time() + 4 * network.room.latency
    }

    /// Asks for missing blocks while the downlink is idle, and for the first one when the row is long past it.
    fn look(&mut self, network: &mut Network<Message>, peer: usize) {
        let (now, round) = (network.now, self.round(network, peer));
        let member = &mut self.members[peer];
        let slept = now > member.looked + round + 20 * MILLI;
        member.looked = now;
        network.timer(peer, now + round, 0);
        self.look_below(network, peer, slept);
        if self.is_seed(peer) {
            return;
        }
        self.hand_over(network, peer, round);
        if network.have(peer).full() {
            return;
        }
        self.look_for_seed(network, peer, round);
        let could = network.down_blocks(peer, round);
        let member = &mut self.members[peer];
        let arrived = f64::from(member.arrived - member.arrived_before);
        let idle = arrived < could / 2.0;
        if member.first.0 != network.have(peer).lowest {
            member.first = (network.have(peer).lowest, now);
        }
        let stuck = now > member.first.1 + (24 * round).max(600 * MILLI);
        let end = if idle && arrived == 0.0 { network.blocks() } else { member.frontier };
        member.arrived_before = member.arrived;
        let have = network.have(peer);
        let most = if idle { (could - arrived).ceil() as usize } else { usize::from(stuck) };
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
            // Fellows come first. If they cannot help, one member, chosen by the block's number, asks the row above
            // and then owns the block.
            let size = member.fellows.len() + 1;
            let mine = (block as usize + attempt / 4) % size == peer % size;
            let helper = if member.fellows.is_empty() || (mine && attempt >= 1) {
                member.above[(block as usize + attempt) % member.above.len()]
            } else {
                member.fellows[(block as usize + attempt) % member.fellows.len()]
            };
            network.message(peer, helper, Message::Ask { block });
        }
    }

    fn asked(&mut self, network: &mut Network<Message>, from: usize, to: usize, block: u32) {
        let member = &mut self.members[to];
        if !network.have(to).has(block)
            || member.repairs.iter().any(|&(who, what, _)| (who, what) == (from, block))
        {
            return;
        }
        let slot = member.below.iter().position(|&below| below == from);
        if member.given.iter().any(|given| given.block == block && Some(given.slot) == slot) {
            // The block is on its way.
            return;
        }
        let tag = if member.below.contains(&from) { OWN } else { REPAIR };
        member.repairs.push_back((from, block, tag));
        self.unqueue(network, to, from, block);
        self.push(network, to);
    }
}

/// Returns which member of the upper row feeds which of the lower: `links` for each lower member, spread evenly, and
/// at least one for each upper member.
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
                if !self.is_seed(peer) && !limited(&network.room, peer) {
                    for above in self.members[peer].above.clone() {
                        // A row of one is a place in a line: one link carries what a row spreads over several links.
                        let alone = self.members[peer].fellows.is_empty();
                        let links = if alone { self.rules.links as u32 } else { 1 };
                        for _ in 0..self.rules.credit * links {
                            network.message(peer, above, Message::Credit);
                        }
                    }
                }
                self.members[peer].looked = network.now;
                self.look(network, peer);
            }
            Event::Sent { from } => self.push(network, from),
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
                Message::Credit => self.takes(network, from, to, None),
                Message::Done { block } => self.takes(network, from, to, Some(block)),
                Message::TakeOver { block, columns } => self.take_over(network, to, block, columns),
                Message::Ask { block } => self.asked(network, from, to, block),
                Message::Got { block } => self.unqueue(network, to, from, block),
            },
            Event::Timer { peer, .. } => self.look(network, peer),
        }
    }
}
