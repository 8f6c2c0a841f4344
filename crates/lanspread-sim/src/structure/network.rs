//! Hosts with an uplink, a downlink and a processor; blocks and messages between them; virtual time.
//!
//! The blocks of a sender leave one after the other. On its way each block passes queues with a rate: the links of
//! switches, if there are any, and the receiver's downlink. A block counts once it is verified and written. Only what
//! a dead host sends, or is sent, is lost. A [`Structure`] decides which peer sends what; this module decides when it
//! arrives, and counts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::figures::{Figures, GuestFigures};
use super::random::Random;
use super::room::{Nanos, Room, Stalls};

/// An event that a structure reacts to.
#[derive(Debug, Clone, Copy)]
pub enum Event<M> {
    /// A peer takes part from now on.
    Clicked {
        /// The peer.
        peer: usize,
    },
    /// A block has left the sender's uplink, so the sender may hand over another one.
    Sent {
        /// The sender.
        from: usize,
    },
    /// A block was verified and written.
    Stored {
        /// The sender.
        from: usize,
        /// The receiver, which stored the block.
        to: usize,
        /// The block.
        block: u32,
        /// The tag that the sender gave to [`Network::send`].
        tag: u8,
        /// False if the receiver already had the block.
        fresh: bool,
    },
    /// The sender learns that the receiver's operating system took a block in.
    Acked {
        /// The sender of the block.
        from: usize,
        /// The receiver of the block.
        to: usize,
        /// The tag that the sender gave to [`Network::send`].
        tag: u8,
    },
    /// A message arrives.
    Heard {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// The message.
        message: M,
    },
    /// A timer is due.
    Timer {
        /// The peer that set it.
        peer: usize,
        /// The tag that the peer gave to [`Network::timer`].
        tag: u32,
    },
}

/// A way to spread a game: it reacts to events by sending blocks and messages.
pub trait Structure {
    /// Messages between the peers.
    type Message: Copy;
    /// Reacts to an event.
    fn happened(&mut self, network: &mut Network<Self::Message>, event: Event<Self::Message>);
}

#[derive(Debug, Clone, Copy)]
enum Planned<M> {
    Event(Event<M>),
    Leaves { from: u32, to: u32, block: u32, tag: u8, time: u32 },
    Dies { peer: u32 },
}

#[derive(Debug)]
struct Entry<M> {
    at: Nanos,
    order: u64,
    what: Planned<M>,
}

impl<M> PartialEq for Entry<M> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl<M> Eq for Entry<M> {}
impl<M> PartialOrd for Entry<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Entry<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The blocks that a peer has.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    /// One bit for each block, the lowest first.
    pub words: Vec<u64>,
    /// First missing block.
    pub lowest: u32,
    /// Number of blocks that the peer has.
    pub count: u32,
    total: u32,
}

impl Blocks {
    /// Returns all of `total` blocks or none of them.
    pub fn new(total: u32, full: bool) -> Self {
        let mut words = vec![if full { u64::MAX } else { 0 }; total.div_ceil(64) as usize];
        if full
            && !total.is_multiple_of(64)
            && let Some(last) = words.last_mut()
        {
            *last = (1 << (total % 64)) - 1;
        }
        let count = if full { total } else { 0 };
        Self { words, lowest: count, count, total }
    }

    /// Returns whether the peer has a block.
    pub fn has(&self, block: u32) -> bool {
        self.words[(block / 64) as usize] >> (block % 64) & 1 == 1
    }

    /// Adds a block. Returns false if the peer already had it.
    pub fn add(&mut self, block: u32) -> bool {
        let (word, bit) = ((block / 64) as usize, 1 << (block % 64));
        if self.words[word] & bit != 0 {
            return false;
        }
        self.words[word] |= bit;
        self.count += 1;
        while self.lowest < self.total && self.has(self.lowest) {
            self.lowest += 1;
        }
        true
    }

    /// Returns whether the peer has all blocks.
    pub fn full(&self) -> bool {
        self.count == self.total
    }
}

#[derive(Debug, Default)]
struct Host {
    /// Nanoseconds for each byte on the uplink.
    up: f64,
    /// Nanoseconds for each byte on the downlink.
    down: f64,
    alive: bool,
    /// When all handed-over blocks have left.
    up_free: Nanos,
    /// When the downlink has carried all blocks that were sent so far.
    down_free: Nanos,
    /// When all blocks so far are verified and written.
    processor_free: Nanos,
    /// Blocks that were handed over and have not left.
    handed_over: u32,
    /// Begin and end of each stall, in order.
    stalls: Vec<(Nanos, Nanos)>,
    /// Current factor on the times of transfers.
    jitter: f64,
    /// Bytes for which that factor still holds.
    jitter_left: u64,
    sent: u64,
    messages: u64,
    received: u64,
    have: Blocks,
    complete: Option<Nanos>,
    /// When the unpacker is done with the blocks up to the first missing one.
    unpacked: Nanos,
    /// Peers that the host exchanged blocks with.
    partners: std::collections::BTreeSet<usize>,
}

#[derive(Debug, Default, Clone, Copy)]
struct SwitchLink {
    free: Nanos,
    bytes: u64,
}

/// The links, the clock and the counters of one run.
#[derive(Debug)]
pub struct Network<M> {
    /// The room that is played.
    pub room: Room,
    /// The current time.
    pub now: Nanos,
    /// Random numbers of the run, for structures as well.
    pub random: Random,
    hosts: Vec<Host>,
    /// Outgoing link of each switch.
    out: Vec<SwitchLink>,
    /// Incoming link of each switch.
    into: Vec<SwitchLink>,
    queue: BinaryHeap<Entry<M>>,
    order: u64,
    blocks: u32,
    /// Receivers that stay to the end and are not complete yet.
    waiting: usize,
    duplicates: u64,
    events: u64,
}

impl<M: Copy> Network<M> {
    /// Returns a network at time zero, with all clicks and deaths planned.
    pub fn new(room: Room) -> Self {
        let mut random = Random::new(room.seed);
        let blocks = room.blocks();
        let hosts = room.guests.iter().map(|guest| Host {
            up: 1e9 / guest.up,
            down: 1e9 / guest.down,
            alive: true,
            stalls: stalls(&room, &mut random),
            have: Blocks::new(blocks, guest.complete),
            unpacked: guest.clicks,
            ..Host::default()
        });
        let hosts: Vec<_> = hosts.collect();
        let switches = room.guests.iter().map(|guest| guest.switch).max().unwrap_or(0) + 1;
        let waiting = room.guests.iter().filter(|guest| !guest.complete && guest.dies.is_none()).count();
        let mut network = Self {
            now: 0,
            random,
            hosts,
            out: vec![SwitchLink::default(); switches],
            into: vec![SwitchLink::default(); switches],
            queue: BinaryHeap::new(),
            order: 0,
            blocks,
            waiting,
            duplicates: 0,
            events: 0,
            room,
        };
        for (peer, guest) in network.room.guests.clone().into_iter().enumerate() {
            network.plan(guest.clicks, Planned::Event(Event::Clicked { peer }));
            if let Some(at) = guest.dies {
                network.plan(at, Planned::Dies { peer: peer as u32 });
            }
        }
        network
    }

    /// Plays the room until all receivers are complete, or to the deadline.
    pub fn run<S: Structure<Message = M>>(mut self, structure: &mut S) -> Figures {
        while let Some(Entry { at, what, .. }) = self.queue.pop() {
            self.now = at;
            self.events += 1;
            if at > self.room.deadline {
                break;
            }
            match what {
                Planned::Event(event) => self.deliver(structure, event),
                Planned::Leaves { from, to, block, tag, time } => {
                    let (from, to) = (from as usize, to as usize);
                    self.hosts[from].handed_over -= 1;
                    if self.hosts[from].alive {
                        self.travel(from, to, block, tag, Nanos::from(time));
                        structure.happened(&mut self, Event::Sent { from });
                    }
                }
                Planned::Dies { peer } => self.hosts[peer as usize].alive = false,
            }
            if self.waiting == 0 {
                break;
            }
        }
        self.figures()
    }

    fn deliver<S: Structure<Message = M>>(&mut self, structure: &mut S, event: Event<M>) {
        let peer = match event {
            Event::Clicked { peer } | Event::Timer { peer, .. } => peer,
            Event::Sent { from } | Event::Acked { from, .. } => from,
            Event::Stored { to, .. } | Event::Heard { to, .. } => to,
        };
        if !self.hosts[peer].alive {
            return;
        }
        if let Event::Stored { from, to, block, tag, .. } = event {
            let fresh = self.store(to, block);
            structure.happened(self, Event::Stored { from, to, block, tag, fresh });
        } else {
            structure.happened(self, event);
        }
    }

    fn store(&mut self, to: usize, block: u32) -> bool {
        let (now, blocks, rate) = (self.now, self.blocks, self.room.unpack_rate);
        let bytes = self.bytes_of(block);
        let unpacking = (self.room.block as f64 / rate * 1e9) as Nanos;
        let host = &mut self.hosts[to];
        host.received += bytes;
        let before = host.have.lowest;
        if !host.have.add(block) {
            self.duplicates += 1;
            return false;
        }
        for _ in before..host.have.lowest {
            host.unpacked = host.unpacked.max(now) + unpacking;
        }
        if host.have.count == blocks && host.complete.is_none() {
            host.complete = Some(now);
            if self.room.guests[to].dies.is_none() {
                self.waiting -= 1;
            }
        }
        true
    }

    /// Hands a block over to the sender's operating system. It leaves after all blocks that were handed over before.
    pub fn send(&mut self, from: usize, to: usize, block: u32, tag: u8) {
        debug_assert!(from != to && self.hosts[from].have.has(block));
        let bytes = self.bytes_of(block);
        let factor = self.jitter(from, bytes);
        let time = (bytes as f64 * self.hosts[from].up * factor) as Nanos;
        let mut work = time;
        if let Stalls::PerTransfer { every, length } = self.room.stalls
            && self.random.unit() < self.room.block_time() as f64 / every as f64
        {
            work += length;
        }
        let start = self.hosts[from].up_free.max(self.now);
        let end = self.through_stalls(from, start, work);
        let host = &mut self.hosts[from];
        host.up_free = end;
        host.handed_over += 1;
        host.sent += bytes;
        if host.partners.len() < 512 {
            host.partners.insert(to);
            self.hosts[to].partners.insert(from);
        }
        let (from, to, time) = (from as u32, to as u32, time.min(u64::from(u32::MAX)) as u32);
        self.plan(end, Planned::Leaves { from, to, block, tag, time });
    }

    /// Moves a block from the sender's uplink through the queues of switches and of the downlink to the processor.
    fn travel(&mut self, from: usize, to: usize, block: u32, tag: u8, time: Nanos) {
        if !self.hosts[to].alive {
            return;
        }
        let bytes = self.bytes_of(block);
        let mut there = self.now + self.room.latency;
        let (a, b) = (self.room.guests[from].switch, self.room.guests[to].switch);
        if let (Some(rate), true) = (self.room.switch_rate, a != b) {
            let occupied = (bytes as f64 / rate * 1e9) as Nanos;
            for link in [&mut self.out[a], &mut self.into[b]] {
                link.free = there.max(link.free + occupied);
                link.bytes += bytes;
                there = link.free;
            }
        }
        // One draw of the jitter affects both ends. With separate draws, a fully used link could not keep up.
        let occupied = time as f64 * self.hosts[to].down / self.hosts[from].up;
        let host = &mut self.hosts[to];
        host.down_free = there.max(host.down_free + occupied as Nanos);
        let begin = host.down_free.max(host.processor_free);
        let work = self.room.overhead + (bytes as f64 * self.room.overhead_per_byte) as Nanos;
        let stored = self.through_stalls(to, begin, work);
        // A full receive buffer blocks the link.
        let buffered = (self.room.receive_buffer as f64 * self.hosts[to].down) as Nanos;
        let host = &mut self.hosts[to];
        host.processor_free = stored;
        host.down_free = host.down_free.max(stored.saturating_sub(buffered));
        let acked = host.down_free + self.room.latency;
        let acked = self.awake(from, acked);
        self.plan(acked, Planned::Event(Event::Acked { from, to, tag }));
        self.plan(stored, Planned::Event(Event::Stored { from, to, block, tag, fresh: false }));
    }

    /// Sends a message. It takes the latency and, if the room says so, waits for the data before it.
    pub fn message(&mut self, from: usize, to: usize, message: M) {
        self.hosts[from].messages += 1;
        let leaves =
            if self.room.messages_behind_data { self.hosts[from].up_free.max(self.now) } else { self.now };
        let at = self.awake(to, leaves + self.room.latency);
        self.plan(at, Planned::Event(Event::Heard { from, to, message }));
    }

    /// Sets a timer of a peer. A timer that is due in a stall fires when the stall is over.
    pub fn timer(&mut self, peer: usize, at: Nanos, tag: u32) {
        let at = self.awake(peer, at);
        self.plan(at, Planned::Event(Event::Timer { peer, tag }));
    }

    /// Returns whether the peer's operating system takes another block.
    pub fn takes_more(&self, peer: usize) -> bool {
        self.hosts[peer].handed_over < self.room.ahead
    }

    /// Returns the number of blocks that were handed over and have not left.
    pub fn handed_over(&self, peer: usize) -> u32 {
        self.hosts[peer].handed_over
    }

    /// Returns the number of blocks that a peer's downlink carries in this time.
    pub fn down_blocks(&self, peer: usize, time: Nanos) -> f64 {
        time as f64 / (self.hosts[peer].down * self.room.block as f64)
    }

    /// Returns whether a peer has not died.
    pub fn alive(&self, peer: usize) -> bool {
        self.hosts[peer].alive
    }

    /// Returns the blocks that a peer has.
    pub fn have(&self, peer: usize) -> &Blocks {
        &self.hosts[peer].have
    }

    /// Returns the number of blocks of the game.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    fn bytes_of(&self, block: u32) -> u64 {
        let begin = u64::from(block) * self.room.block;
        self.room.block.min(self.room.bytes - begin)
    }

    fn plan(&mut self, at: Nanos, what: Planned<M>) {
        self.order += 1;
        self.queue.push(Entry { at, order: self.order, what });
    }

    fn jitter(&mut self, peer: usize, bytes: u64) -> f64 {
        if self.room.jitter == 0.0 {
            return 1.0;
        }
        if self.hosts[peer].jitter_left == 0 {
            let factor = (1.0 + self.room.jitter * self.random.normal()).max(0.2);
            self.hosts[peer].jitter = factor;
            self.hosts[peer].jitter_left = self.room.jitter_span.max(bytes);
        }
        let host = &mut self.hosts[peer];
        host.jitter_left = host.jitter_left.saturating_sub(bytes);
        host.jitter
    }

    /// Returns when work of this length is done, which rests during the host's stalls.
    fn through_stalls(&self, peer: usize, start: Nanos, work: Nanos) -> Nanos {
        let mut end = start + work;
        let stalls = &self.hosts[peer].stalls;
        let first = stalls.partition_point(|&(_, until)| until <= start);
        for &(from, until) in &stalls[first..] {
            if from >= end {
                break;
            }
            end += until - from.max(start);
        }
        end
    }

    fn awake(&self, peer: usize, at: Nanos) -> Nanos {
        let stalls = &self.hosts[peer].stalls;
        match stalls.get(stalls.partition_point(|&(_, until)| until <= at)) {
            Some(&(from, until)) if from <= at => until,
            _ => at,
        }
    }

    fn figures(&self) -> Figures {
        let seconds = |t: Nanos| t as f64 / 1e9;
        let guests = self.room.guests.iter().zip(&self.hosts).enumerate();
        let guests = guests.filter(|(_, (guest, _))| !guest.complete && guest.dies.is_none());
        let guests = guests.map(|(peer, (guest, host))| GuestFigures {
            bound: self.room.bound(peer),
            complete: host.complete.map_or(f64::INFINITY, |at| seconds(at - guest.clicks)),
            slow: guest.slow,
            playable: host.complete.map_or(f64::INFINITY, |_| seconds(host.unpacked - guest.clicks)),
        });
        let per_peer = |total: u64| total as f64 / (self.hosts.len() - 1) as f64;
        let receivers = || self.hosts.iter().zip(&self.room.guests).filter(|(_, guest)| !guest.complete);
        let copies = |bytes: u64| bytes as f64 / self.room.bytes as f64;
        let seeds = self.hosts.iter().zip(&self.room.guests).filter(|(_, guest)| guest.complete);
        Figures {
            guests: guests.collect(),
            floor: self.floor(),
            seed_copies: copies(seeds.map(|(host, _)| host.sent).sum()),
            duplicates: per_peer(self.duplicates) / f64::from(self.blocks),
            messages: per_peer(self.hosts.iter().map(|host| host.messages).sum()) / f64::from(self.blocks),
            connections: receivers().map(|(host, _)| host.partners.len()).max().unwrap_or(0),
            switch_copies: [&self.out, &self.into]
                .map(|links| links.iter().map(|link| copies(link.bytes)).fold(0.0, f64::max)),
            events: self.events,
        }
    }
}

impl<M> Network<M> {
    fn floor(&self) -> f64 {
        let bound = self.room.bytes as f64 / self.room.rate();
        let until = (bound * 1e9) as Nanos;
        let buffered = (self.room.receive_buffer as f64 / self.room.rate() * 1e9) as Nanos;
        let lost = |host: &Host, bridged: Nanos| {
            let during = host.stalls.iter().filter(|&&(from, _)| from < until);
            during.map(|&(from, to)| (to - from).saturating_sub(bridged)).sum::<Nanos>() as f64 / 1e9
        };
        let receivers = self.hosts[1..].iter().map(|host| lost(host, buffered)).fold(0.0, f64::max);
        1.0 + lost(&self.hosts[0], 0).max(receivers) / bound
    }
}

fn stalls(room: &Room, random: &mut Random) -> Vec<(Nanos, Nanos)> {
    let Stalls::Moments { every, length } = room.stalls else { return Vec::new() };
    let mut all = Vec::new();
    let mut at = 0;
    loop {
        at += random.exponential(every as f64) as Nanos;
        if at > room.deadline {
            return all;
        }
        all.push((at, at + length));
        at += length;
    }
}
