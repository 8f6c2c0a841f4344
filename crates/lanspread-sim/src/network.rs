//! Bulk transfers between peers, over one switch that never blocks or over one switch for each group of peers.
//!
//! The model is fluid: at every moment each transfer has its weighted max-min fair share of the sender's uplink, the
//! receiver's downlink and, between groups, the switches' uplinks. TCP flows over one switch settle on these shares
//! within a few round trips, far below the time of a chunk. Real flows do not share evenly (a flow that has just lost
//! a packet gets less), so each transfer has a weight.
//!
//! Transfers between the same two peers share one connection and run one after the other. A sender's operating system
//! buffers some bytes that have not left, so a transfer is *handed over* some time before it has *ended*.

mod shares;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lanspread_core::time::Time;

use self::shares::Shares;

/// Rates of a full-duplex link, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkRate {
    /// From the host, or from a group's switch, to the network.
    pub up: f64,
    /// From the network to the host or to a group's switch.
    pub down: f64,
}

/// One direction of a link. Link `n` has the ends `2n` (up) and `2n + 1` (down).
pub type End = usize;

/// The ends on the way from one peer to another: the sender's uplink, the receiver's downlink and, between two
/// groups, the uplinks of their switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    ends: [End; 4],
    len: usize,
}

impl Path {
    /// Returns the ends; each link counts in one direction only.
    pub fn ends(&self) -> &[End] {
        &self.ends[..self.len]
    }
}

/// One answer on its way, such as a chunk.
#[derive(Debug, Clone)]
pub struct Transfer<T> {
    /// Sending peer.
    pub from: usize,
    /// Receiving peer.
    pub to: usize,
    /// Size of the payload.
    pub bytes: u64,
    /// Weight of its share where transfers contend for a link; 1 is usual.
    pub weight: f64,
    /// What the transfer carries; opaque here.
    pub tag: T,
}

/// A step of a transfer.
#[derive(Debug)]
pub enum Progress<T> {
    /// The sender's operating system has taken all bytes.
    HandedOver(Transfer<T>),
    /// The last byte has left the sender.
    Ended(Transfer<T>),
}

/// The connection between two peers while it has something to send.
#[derive(Debug)]
struct Flow<T> {
    from: usize,
    to: usize,
    /// Transfers in order; the first one runs, the rest wait.
    queue: VecDeque<Transfer<T>>,
    /// Number of transfers, from the front of the queue, that are handed over.
    handed: usize,
}

impl<T> Flow<T> {
    /// Returns how many bytes of the first transfer remain when the next transfer is handed over. Returns `None` if
    /// all are handed over, or if the first one ends before.
    fn hands_over_at(&self, ahead: f64) -> Option<f64> {
        let waiting = self.queue.iter().take(self.handed + 1).skip(1);
        let at = ahead - waiting.map(|transfer| transfer.bytes as f64).sum::<f64>();
        (self.handed < self.queue.len() && at >= 0.0).then_some(at)
    }
}

/// A transfer with this many bytes left counts as ended, because sums of floats are not exact.
const DONE: f64 = 0.5;

/// Network with the transfers that are under way.
///
/// A flow has the same index in `flows`, `remaining`, `until`, `pace` and `shares`, so that the values that each step
/// reads lie side by side.
#[derive(Debug)]
pub struct Network<T> {
    /// The group of each peer; empty if there is only one switch.
    group_of: Vec<usize>,
    /// Link number of the first group's uplink.
    first_uplink: usize,
    flows: Vec<Flow<T>>,
    index: HashMap<(usize, usize), usize>,
    /// Bytes of each flow's first transfer that have not left.
    remaining: Vec<f64>,
    /// The value of `remaining` at which the flow's next step happens.
    until: Vec<f64>,
    /// Factor on each flow's share: the pace of its sender.
    pace: Vec<f64>,
    /// The pace of each peer.
    pace_of: Vec<f64>,
    shares: Shares,
    /// Bytes that a sender's operating system buffers for each connection.
    ahead: f64,
    now: Time,
    stale: bool,
    next_done: Option<Time>,
}

impl<T: Clone> Network<T> {
    /// Returns an idle network of peers with these links. `ahead` is the number of bytes that a sender's operating
    /// system buffers for each connection.
    pub fn new(links: Vec<LinkRate>, ahead: u64) -> Self {
        Self {
            group_of: Vec::new(),
            first_uplink: links.len(),
            flows: Vec::new(),
            index: HashMap::new(),
            remaining: Vec::new(),
            until: Vec::new(),
            pace: Vec::new(),
            pace_of: vec![1.0; links.len()],
            shares: Shares::new(&links),
            ahead: ahead as f64,
            now: Time::START,
            stale: false,
            next_done: None,
        }
    }

    /// Puts each peer behind the switch of its group. The switches' uplinks meet in a core switch that never blocks.
    pub fn with_groups(mut self, group_of: Vec<usize>, uplinks: &[LinkRate]) -> Self {
        self.shares.add_links(uplinks);
        self.group_of = group_of;
        self
    }

    /// Returns the ends on the way from one peer to another.
    pub fn path(&self, from: usize, to: usize) -> Path {
        let (mut ends, mut len) = ([from * 2, to * 2 + 1, 0, 0], 2);
        if let (Some(a), Some(b)) = (self.group_of.get(from), self.group_of.get(to))
            && a != b
        {
            (ends[2], ends[3], len) = ((self.first_uplink + a) * 2, (self.first_uplink + b) * 2 + 1, 4);
        }
        Path { ends, len }
    }

    /// Adds a transfer. Returns true if it runs at once, false if it waits for others on its connection.
    pub fn start(&mut self, transfer: Transfer<T>, now: Time) -> bool {
        self.settle(now);
        self.stale = true;
        let (from, to) = (transfer.from, transfer.to);
        if let Some(&at) = self.index.get(&(from, to)) {
            self.flows[at].queue.push_back(transfer);
            self.look_ahead(at);
            return false;
        }
        let at = self.flows.len();
        self.index.insert((from, to), at);
        self.remaining.push(transfer.bytes as f64);
        self.until.push(0.0);
        self.pace.push(self.pace_of[from]);
        self.shares.add(self.path(from, to), transfer.weight);
        self.flows.push(Flow { from, to, queue: [transfer].into(), handed: 0 });
        self.look_ahead(at);
        true
    }

    /// Aborts all transfers between the peers that `between` selects. Returns the transfers that ran, each with the
    /// number of bytes that had left.
    pub fn cut(&mut self, between: impl Fn(usize, usize) -> bool, now: Time) -> Vec<(Transfer<T>, u64)> {
        self.settle(now);
        self.stale = true;
        let keep: Vec<bool> = self.flows.iter().map(|flow| !between(flow.from, flow.to)).collect();
        if keep.iter().all(|&keep| keep) {
            return Vec::new();
        }
        let mut ran = Vec::new();
        for (at, flow) in self.flows.iter_mut().enumerate().filter(|&(at, _)| !keep[at]) {
            if let Some(transfer) = flow.queue.pop_front() {
                let left = (transfer.bytes as f64 - self.remaining[at]).max(0.0) as u64;
                ran.push((transfer, left));
            }
        }
        retain(&mut self.flows, &keep);
        retain(&mut self.remaining, &keep);
        retain(&mut self.until, &keep);
        retain(&mut self.pace, &keep);
        self.shares.retain(&keep);
        self.index = self.flows.iter().enumerate().map(|(at, flow)| ((flow.from, flow.to), at)).collect();
        ran
    }

    /// Changes the rate of a link: of a peer or, at the numbers after the peers, of a group's uplink.
    pub fn set_rate(&mut self, link: usize, rate: LinkRate, now: Time) {
        self.settle(now);
        self.shares.set_rate(link, rate);
        self.stale = true;
    }

    /// Sets the factor on a sender's shares. A pace below 1 leaves nothing to other flows, and a pace above 1 takes
    /// nothing from them, because it models bytes that are slow or fast on all links of their way.
    pub fn set_pace(&mut self, peer: usize, pace: f64, now: Time) {
        self.pace_of[peer] = pace;
        if self.shares.flows(peer * 2).is_empty() {
            return;
        }
        self.settle(now);
        for &at in self.shares.flows(peer * 2) {
            self.pace[at] = pace;
        }
        self.stale = true;
    }

    /// Stops the link of a peer in both directions, or starts it again. Peers that cannot send to a stalled peer use
    /// that share for their other flows.
    pub fn set_stalled(&mut self, peer: usize, stalled: bool, now: Time) {
        self.settle(now);
        self.shares.set_stalled(peer, stalled);
        self.stale = true;
    }

    /// Returns when the next step of any transfer happens if nothing changes until then; `None` if there are no
    /// transfers.
    pub fn next_done(&mut self) -> Option<Time> {
        if self.stale {
            self.shares.renew();
            let rates = self.shares.rates().iter().zip(&self.pace).map(|(share, pace)| share * pace);
            let each = self.remaining.iter().zip(&self.until).zip(rates);
            let soonest = each
                .map(|((remaining, until), rate)| (remaining - until).max(0.0) / rate)
                .fold(f64::INFINITY, f64::min);
            // Rounded up, so that no step comes a moment too early.
            let in_nanos = || Duration::from_nanos((soonest * 1e9).ceil().max(0.0) as u64 + 1);
            self.next_done = (!self.flows.is_empty()).then(|| self.now + in_nanos());
            self.stale = false;
        }
        self.next_done
    }

    /// Lets time pass and returns the steps that happened. When a transfer ends, the next one of its connection runs
    /// at once: see [`Self::runs`].
    pub fn advance(&mut self, now: Time) -> Vec<Progress<T>> {
        self.settle(now);
        let mut done = Vec::new();
        for at in (0..self.flows.len()).rev() {
            // `until` is the hand-over if there is one before the end, and more bytes remain then.
            if self.remaining[at] > self.until[at] + DONE {
                continue;
            }
            let flow = &mut self.flows[at];
            while flow.hands_over_at(self.ahead).is_some_and(|until| self.remaining[at] <= until + DONE) {
                done.push(Progress::HandedOver(flow.queue[flow.handed].clone()));
                flow.handed += 1;
            }
            if self.remaining[at] <= DONE
                && let Some(ended) = flow.queue.pop_front()
            {
                done.push(Progress::Ended(ended));
                flow.handed -= 1;
                let Some(next) = flow.queue.front() else {
                    self.remove(at);
                    continue;
                };
                self.remaining[at] = next.bytes as f64;
                self.shares.set_weight(at, next.weight);
            }
            self.look_ahead(at);
        }
        self.stale |= !done.is_empty();
        done
    }

    /// Returns the transfer that runs from one peer to another.
    pub fn runs(&self, from: usize, to: usize) -> Option<&Transfer<T>> {
        self.flows[*self.index.get(&(from, to))?].queue.front()
    }

    /// Returns how long the bytes that are queued at a peer's uplink take to leave, at most `longest`. The result is
    /// zero unless the uplink is full.
    pub fn backlog(&mut self, peer: usize, longest: Duration, now: Time) -> Duration {
        self.settle(now);
        self.next_done();
        let end = peer * 2;
        if !self.shares.is_full(end) {
            return Duration::ZERO;
        }
        let room = longest.as_secs_f64() * self.shares.capacity(end);
        let mut bytes = 0.0;
        for &at in self.shares.flows(end) {
            let after_first = self.flows[at].queue.iter().skip(1).map(|transfer| transfer.bytes as f64);
            for part in std::iter::once(self.remaining[at].max(0.0)).chain(after_first) {
                bytes += part;
                if bytes >= room {
                    return longest;
                }
            }
        }
        Duration::from_secs_f64(bytes / self.shares.capacity(end))
    }

    /// Updates `until` of a flow. Call it when the flow's queue or its hand-overs have changed.
    fn look_ahead(&mut self, at: usize) {
        self.until[at] = self.flows[at].hands_over_at(self.ahead).unwrap_or(0.0);
    }

    /// Removes a flow. The last flow takes its index.
    fn remove(&mut self, at: usize) {
        let gone = self.flows.swap_remove(at);
        self.index.remove(&(gone.from, gone.to));
        if let Some(moved) = self.flows.get(at) {
            self.index.insert((moved.from, moved.to), at);
        }
        self.remaining.swap_remove(at);
        self.until.swap_remove(at);
        self.pace.swap_remove(at);
        self.shares.swap_remove(at);
    }

    /// Updates `remaining` of each flow to `now`.
    fn settle(&mut self, now: Time) {
        let passed = now.since(self.now).as_secs_f64();
        if passed > 0.0 {
            self.next_done();
            self.now = now;
            let rates = self.shares.rates().iter().zip(&self.pace).map(|(share, pace)| share * pace);
            self.remaining.iter_mut().zip(rates).for_each(|(remaining, rate)| *remaining -= rate * passed);
        }
    }
}

/// Keeps the elements whose entry in `keep` is true.
fn retain<E>(all: &mut Vec<E>, keep: &[bool]) {
    let mut keep = keep.iter();
    all.retain(|_| keep.next().is_none_or(|&keep| keep));
}
