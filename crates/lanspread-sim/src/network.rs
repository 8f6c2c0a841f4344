//! Bulk transfers through one switch that never blocks, or through the switches of several groups of peers.
//!
//! Transfers are fluid: at every moment each has its weighted max-min fair share of its sender's uplink and its
//! receiver's downlink, and of the uplinks of both groups' switches, which is what TCP flows over one switch settle on (they find it in a few round trips, far below
//! the time of a chunk). Real flows do not share evenly: who has just lost a packet has less. So each transfer brings a
//! weight. Two transfers between the same two peers share one connection, so they run one after the other; and the
//! sender's system takes some bytes ahead of what has left: a transfer is *handed over* some time before it has *ended*.

mod shares;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lanspread_core::time::Time;

use self::shares::Shares;

/// Rates of one peer's full-duplex link, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkRate {
    pub up: f64,
    pub down: f64,
}

/// One direction of a link: those of link `n` are `2n` (up) and `2n + 1` (down).
pub type End = usize;

/// The ends that something passes from one peer to another: its sender's and its receiver's, and those of the uplinks
/// between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    ends: [End; 4],
    len: usize,
}

impl Path {
    pub fn ends(&self) -> &[End] {
        &self.ends[..self.len]
    }
}

/// One chunk on its way.
#[derive(Debug, Clone)]
pub struct Transfer<T> {
    pub from: usize,
    pub to: usize,
    pub bytes: u64,
    /// Its share where links are contended, against those of others.
    pub weight: f64,
    pub tag: T,
}

/// What has come of a transfer.
#[derive(Debug)]
pub enum Progress<T> {
    /// The sender's system has all of it.
    HandedOver(Transfer<T>),
    /// The last byte has left.
    Ended(Transfer<T>),
}

/// The connection between two peers while it has something to send.
#[derive(Debug)]
struct Flow<T> {
    from: usize,
    to: usize,
    /// The first runs, the others wait for it to end.
    queue: VecDeque<Transfer<T>>,
    /// So many of the queue, from the front, are handed over.
    handed: usize,
}

impl<T> Flow<T> {
    /// What remains of the first transfer when the next one that is not handed over will be; `None` if all are, or if
    /// it will not be before the first has ended.
    fn hands_over_at(&self, ahead: f64) -> Option<f64> {
        let waiting = self.queue.iter().take(self.handed + 1).skip(1);
        let at = ahead - waiting.map(|transfer| transfer.bytes as f64).sum::<f64>();
        (self.handed < self.queue.len() && at >= 0.0).then_some(at)
    }
}

/// What remains of a transfer is compared with this, in bytes: sums of floats are not exact.
const DONE: f64 = 0.5;

/// Flows have the same index in `flows`, `remaining`, `until`, `pace` and `shares`: what every step looks at lies side by
/// side.
#[derive(Debug)]
pub struct Network<T> {
    /// The group of each peer, and the uplink of the first group; nobody has a group if there is one switch.
    group_of: Vec<usize>,
    first_uplink: usize,
    flows: Vec<Flow<T>>,
    index: HashMap<(usize, usize), usize>,
    /// Bytes of each flow's first transfer that have not left.
    remaining: Vec<f64>,
    /// What remains when something next comes of the flow.
    until: Vec<f64>,
    /// How much of its share a flow makes use of: its sender's pace.
    pace: Vec<f64>,
    pace_of: Vec<f64>,
    shares: Shares,
    /// Bytes that a connection takes ahead of what has left.
    ahead: f64,
    now: Time,
    stale: bool,
    next_done: Option<Time>,
}

impl<T: Clone> Network<T> {
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

    /// What lies between two peers.
    pub fn path(&self, from: usize, to: usize) -> Path {
        let (mut ends, mut len) = ([from * 2, to * 2 + 1, 0, 0], 2);
        if let (Some(a), Some(b)) = (self.group_of.get(from), self.group_of.get(to))
            && a != b
        {
            (ends[2], ends[3], len) = ((self.first_uplink + a) * 2, (self.first_uplink + b) * 2 + 1, 4);
        }
        Path { ends, len }
    }

    /// Adds a transfer. Returns whether it runs at once.
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

    /// Ends all transfers between some peers, unfinished. Returns those that ran, with the bytes that had left.
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

    /// Changes the rate of a link: a peer's, or the uplink of a group, which follow those of the peers.
    pub fn set_rate(&mut self, link: usize, rate: LinkRate, now: Time) {
        self.settle(now);
        self.shares.set_rate(link, rate);
        self.stale = true;
    }

    /// Sets how much a sender makes of its share of each link, for better or worse. What it does not use is left to nobody, and
    /// what it has beyond is taken from nobody: a block of bytes is slow or fast on all links that it passes.
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

    /// Stops the link of a peer in both directions, or lets it go on. What others cannot send there is left to their other flows.
    pub fn set_stalled(&mut self, peer: usize, stalled: bool, now: Time) {
        self.settle(now);
        self.shares.set_stalled(peer, stalled);
        self.stale = true;
    }

    /// When something next comes of a transfer, if nothing changes until then.
    pub fn next_done(&mut self) -> Option<Time> {
        if self.stale {
            self.shares.renew();
            let rates = self.shares.rates().iter().zip(&self.pace).map(|(share, pace)| share * pace);
            let each = self.remaining.iter().zip(&self.until).zip(rates);
            let soonest = each
                .map(|((remaining, until), rate)| (remaining - until).max(0.0) / rate)
                .fold(f64::INFINITY, f64::min);
            // Rounded up to the next nanosecond: never a moment too early.
            let in_nanos = || Duration::from_nanos((soonest * 1e9).ceil().max(0.0) as u64 + 1);
            self.next_done = (!self.flows.is_empty()).then(|| self.now + in_nanos());
            self.stale = false;
        }
        self.next_done
    }

    /// Lets time pass and returns what came of transfers. The next one of the same connection runs at once: see
    /// [`Self::runs`].
    pub fn advance(&mut self, now: Time) -> Vec<Progress<T>> {
        self.settle(now);
        let mut done = Vec::new();
        for at in (0..self.flows.len()).rev() {
            // Something is handed over before it has ended, and more of it remains then.
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

    /// The transfer that runs between two peers.
    pub fn runs(&self, from: usize, to: usize) -> Option<&Transfer<T>> {
        self.flows[*self.index.get(&(from, to))?].queue.front()
    }

    /// How long what is queued at a peer's uplink needs to leave, at most `longest`; nothing unless the uplink is full.
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

    /// To be called when a flow's queue, or what is handed over of it, has changed.
    fn look_ahead(&mut self, at: usize) {
        self.until[at] = self.flows[at].hands_over_at(self.ahead).unwrap_or(0.0);
    }

    /// Removes a flow; the last one takes its index.
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

    /// Brings what remains of each flow up to now.
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

/// Keeps the elements that are marked.
fn retain<E>(all: &mut Vec<E>, keep: &[bool]) {
    let mut keep = keep.iter();
    all.retain(|_| keep.next().is_none_or(|&keep| keep));
}
