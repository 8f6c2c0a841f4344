//! Bulk transfers through one switch that never blocks.
//!
//! Transfers are fluid: at every moment each has its max-min fair share of its sender's uplink and its receiver's
//! downlink, which is what TCP flows over one switch settle on (they find it in a few round trips, far below the time
//! of a chunk). Two transfers between the same two peers share one connection, so they run one after the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use lanspread_core::time::Time;

/// Rates of one peer's full-duplex link, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkRate {
    pub up: f64,
    pub down: f64,
}

/// One chunk on its way.
#[derive(Debug, Clone)]
pub struct Transfer<T> {
    pub from: usize,
    pub to: usize,
    pub bytes: u64,
    pub tag: T,
}

#[derive(Debug)]
struct Flow<T> {
    transfer: Transfer<T>,
    remaining: f64,
    rate: f64,
}

/// What remains of a transfer is compared with this, in bytes: sums of floats are not exact.
const DONE: f64 = 0.5;

#[derive(Debug)]
pub struct Network<T> {
    links: Vec<LinkRate>,
    flows: Vec<Flow<T>>,
    waiting: BTreeMap<(usize, usize), VecDeque<Transfer<T>>>,
    now: Time,
    stale: bool,
    next_done: Option<Time>,
}

impl<T> Network<T> {
    pub fn new(links: Vec<LinkRate>) -> Self {
        let waiting = BTreeMap::new();
        Self { links, flows: Vec::new(), waiting, now: Time::START, stale: false, next_done: None }
    }

    /// Adds a transfer. Returns whether it runs at once.
    pub fn start(&mut self, transfer: Transfer<T>, now: Time) -> bool {
        self.settle(now);
        let pair = (transfer.from, transfer.to);
        let busy = self.flows.iter().any(|flow| (flow.transfer.from, flow.transfer.to) == pair);
        if busy {
            self.waiting.entry(pair).or_default().push_back(transfer);
        } else {
            self.run(transfer);
        }
        !busy
    }

    /// Ends all transfers from and to a peer, unfinished, and returns them.
    pub fn cut(&mut self, ends: impl Fn(usize, usize) -> bool, now: Time) -> Vec<Transfer<T>> {
        self.settle(now);
        let mut cut = Vec::new();
        for at in (0..self.flows.len()).rev() {
            if ends(self.flows[at].transfer.from, self.flows[at].transfer.to) {
                cut.push(self.flows.swap_remove(at).transfer);
            }
        }
        let pairs: Vec<_> = self.waiting.keys().copied().filter(|&(from, to)| ends(from, to)).collect();
        pairs.iter().filter_map(|pair| self.waiting.remove(pair)).for_each(|queue| cut.extend(queue));
        self.stale = true;
        cut
    }

    pub fn set_rate(&mut self, peer: usize, rate: LinkRate, now: Time) {
        self.settle(now);
        self.links[peer] = rate;
        self.stale = true;
    }

    /// When the next transfer ends, if nothing changes until then.
    pub fn next_done(&mut self) -> Option<Time> {
        if self.stale {
            self.share();
            let soonest = self.flows.iter().map(|flow| flow.remaining / flow.rate).min_by(f64::total_cmp);
            // Rounded up to the next nanosecond: never a moment too early.
            self.next_done =
                soonest.map(|s| self.now + Duration::from_nanos((s * 1e9).ceil().max(0.0) as u64 + 1));
            self.stale = false;
        }
        self.next_done
    }

    /// Lets time pass and returns the transfers that ended.
    pub fn advance(&mut self, now: Time) -> Vec<Transfer<T>> {
        self.settle(now);
        let mut done = Vec::new();
        for at in (0..self.flows.len()).rev() {
            if self.flows[at].remaining <= DONE {
                done.push(self.flows.swap_remove(at).transfer);
                self.stale = true;
            }
        }
        done
    }

    /// The transfer that was waiting for this one to end, which now runs.
    pub fn follow(&mut self, ended: &Transfer<T>) -> Option<&Transfer<T>> {
        let queue = self.waiting.get_mut(&(ended.from, ended.to))?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&(ended.from, ended.to));
        }
        self.run(next?);
        self.flows.last().map(|flow| &flow.transfer)
    }

    /// Brings what remains of each flow up to now.
    fn settle(&mut self, now: Time) {
        let passed = now.since(self.now).as_secs_f64();
        if passed > 0.0 {
            self.next_done();
            self.now = now;
            self.flows.iter_mut().for_each(|flow| flow.remaining -= flow.rate * passed);
        }
    }

    fn run(&mut self, transfer: Transfer<T>) {
        let remaining = transfer.bytes as f64;
        self.flows.push(Flow { transfer, remaining, rate: 0.0 });
        self.stale = true;
    }

    /// Progressive filling: the most contended end of a link gives each of its flows the same share; what they cannot
    /// use elsewhere is left to the others; and so on. An end's share only grows while others are settled, so a heap
    /// with stale entries finds the next one.
    fn share(&mut self) {
        let ends = self.links.len() * 2;
        let mut at_end: Vec<Vec<usize>> = vec![Vec::new(); ends];
        for (index, flow) in self.flows.iter().enumerate() {
            at_end[flow.transfer.from * 2].push(index);
            at_end[flow.transfer.to * 2 + 1].push(index);
        }
        let mut left: Vec<f64> = self.links.iter().flat_map(|link| [link.up, link.down]).collect();
        let mut open: Vec<usize> = at_end.iter().map(Vec::len).collect();
        let mut settled = vec![false; self.flows.len()];
        let key = |left: f64, open: usize| (left.max(0.0) / open as f64 * 16.0) as u64;
        let mut heap: BinaryHeap<_> = (0..ends)
            .filter(|&end| open[end] > 0)
            .map(|end| Reverse((key(left[end], open[end]), end)))
            .collect();
        while let Some(Reverse((share, end))) = heap.pop() {
            if open[end] == 0 {
                continue;
            }
            let current = key(left[end], open[end]);
            if current > share {
                heap.push(Reverse((current, end)));
                continue;
            }
            let rate = (left[end] / open[end] as f64).max(1.0);
            for &index in &at_end[end] {
                if std::mem::replace(&mut settled[index], true) {
                    continue;
                }
                let transfer = &self.flows[index].transfer;
                for other in [transfer.from * 2, transfer.to * 2 + 1] {
                    left[other] -= rate;
                    open[other] -= 1;
                }
                self.flows[index].rate = rate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkRate = LinkRate { up: 100.0, down: 100.0 };

    fn finish(links: Vec<LinkRate>, transfers: &[(usize, usize, u64)]) -> Vec<(usize, f64)> {
        let mut network = Network::new(links);
        for (tag, &(from, to, bytes)) in transfers.iter().enumerate() {
            network.start(Transfer { from, to, bytes, tag }, Time::START);
        }
        let mut done = Vec::new();
        while let Some(at) = network.next_done() {
            for transfer in network.advance(at) {
                done.push((transfer.tag, (at.since_start().as_secs_f64() * 10.0).round() / 10.0));
                network.follow(&transfer);
            }
        }
        done.sort_by_key(|(tag, _)| *tag);
        done
    }

    #[test]
    fn flows_share_the_narrowest_end_fairly() {
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000)]), [(0, 10.0)]);
        assert_eq!(finish(vec![LINK; 3], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 20.0), (1, 20.0)]);
        // Full duplex: both directions at once.
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (1, 0, 1000)]), [(0, 10.0), (1, 10.0)]);
        // What a slow receiver cannot take is left to the other: 20 and 80, then 20 alone.
        let slow = LinkRate { up: 20.0, down: 20.0 };
        assert_eq!(finish(vec![LINK, slow, LINK], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 50.0), (1, 12.5)]);
    }

    #[test]
    fn one_connection_carries_one_answer_after_the_other() {
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (0, 1, 1000)]), [(0, 10.0), (1, 20.0)]);
    }
}
